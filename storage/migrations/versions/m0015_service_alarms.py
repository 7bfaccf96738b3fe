"""Run 0015_service_alarms."""

from storage.migrations.plain_sql import run

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply the file."""
    run("0015_service_alarms")
