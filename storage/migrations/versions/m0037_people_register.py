"""Run 0037_people_register."""

from storage.migrations.plain_sql import run

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Apply the file."""
    run("0037_people_register")
