"""Run 0005_tickets."""

from storage.migrations.plain_sql import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the file."""
    run("0005_tickets")
