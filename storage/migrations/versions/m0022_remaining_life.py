"""Run 0022_remaining_life."""

from storage.migrations.plain_sql import run

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Apply the file."""
    run("0022_remaining_life")
