"""Run 0027_console."""

from storage.migrations.plain_sql import run

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Apply the file."""
    run("0027_console")
