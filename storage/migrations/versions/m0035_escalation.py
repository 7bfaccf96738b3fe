"""Run 0035_escalation."""

from storage.migrations.plain_sql import run

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Apply the file."""
    run("0035_escalation")
