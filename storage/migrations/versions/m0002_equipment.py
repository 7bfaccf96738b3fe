"""Run 0002_equipment."""

from storage.migrations.plain_sql import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the file."""
    run("0002_equipment")
