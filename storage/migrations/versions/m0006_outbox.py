"""Run 0006_outbox."""

from storage.migrations.plain_sql import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the file."""
    run("0006_outbox")
