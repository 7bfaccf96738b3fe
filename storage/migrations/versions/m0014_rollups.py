"""Run 0014_rollups."""

from storage.migrations.plain_sql import run

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply the file."""
    run("0014_rollups")
