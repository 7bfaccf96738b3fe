"""Run 0034_people."""

from storage.migrations.plain_sql import run

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Apply the file."""
    run("0034_people")
