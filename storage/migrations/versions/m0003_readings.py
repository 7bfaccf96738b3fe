"""Run 0003_readings."""

from storage.migrations.plain_sql import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply the file."""
    run("0003_readings")
