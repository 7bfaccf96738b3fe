"""Run 0021_library."""

from storage.migrations.plain_sql import run

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Apply the file."""
    run("0021_library")
