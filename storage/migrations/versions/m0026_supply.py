"""Run 0026_supply."""

from storage.migrations.plain_sql import run

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Apply the file."""
    run("0026_supply")
