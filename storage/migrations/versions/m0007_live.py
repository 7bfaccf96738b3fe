"""Run 0007_live."""

from storage.migrations.plain_sql import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the file."""
    run("0007_live")
