"""Run 0024_alarms."""

from storage.migrations.plain_sql import run

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Apply the file."""
    run("0024_alarms")
