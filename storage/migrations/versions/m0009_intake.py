"""Run 0009_intake."""

from storage.migrations.plain_sql import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply the file."""
    run("0009_intake")
