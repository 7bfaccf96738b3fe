"""Run 0025_bearings."""

from storage.migrations.plain_sql import run

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Apply the file."""
    run("0025_bearings")
