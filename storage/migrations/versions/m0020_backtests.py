"""Run 0020_backtests."""

from storage.migrations.plain_sql import run

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Apply the file."""
    run("0020_backtests")
