"""Run 0036_ticket_indexes."""

from storage.migrations.plain_sql import run

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    """Apply the file."""
    run("0036_ticket_indexes")
