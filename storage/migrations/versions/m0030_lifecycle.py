"""Run 0030_lifecycle."""

from storage.migrations.plain_sql import run

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Apply the file."""
    run("0030_lifecycle")
