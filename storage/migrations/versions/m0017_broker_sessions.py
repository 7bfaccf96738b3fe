"""Run 0017_broker_sessions."""

from storage.migrations.plain_sql import run

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply the file."""
    run("0017_broker_sessions")
