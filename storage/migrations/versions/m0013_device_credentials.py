"""Run 0013_device_credentials."""

from storage.migrations.plain_sql import run

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply the file."""
    run("0013_device_credentials")
