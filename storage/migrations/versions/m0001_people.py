"""Run 0001_people."""

from storage.migrations.plain_sql import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the file."""
    run("0001_people")
