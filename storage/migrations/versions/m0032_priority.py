"""Run 0032_priority."""

from storage.migrations.plain_sql import run

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Apply the file."""
    run("0032_priority")
