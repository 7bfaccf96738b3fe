"""Run 0018_regimes."""

from storage.migrations.plain_sql import run

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Apply the file."""
    run("0018_regimes")
