"""Run 0033_time."""

from storage.migrations.plain_sql import run

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    """Apply the file."""
    run("0033_time")
