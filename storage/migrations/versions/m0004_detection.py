"""Run 0004_detection."""

from storage.migrations.plain_sql import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the file."""
    run("0004_detection")
