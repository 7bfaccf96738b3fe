"""Run 0023_evidence."""

from storage.migrations.plain_sql import run

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Apply the file."""
    run("0023_evidence")
