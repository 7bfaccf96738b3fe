"""Run 0031_intake."""

from storage.migrations.plain_sql import run

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Apply the file."""
    run("0031_intake")
