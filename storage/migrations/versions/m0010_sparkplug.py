"""Run 0010_sparkplug."""

from storage.migrations.plain_sql import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply the file."""
    run("0010_sparkplug")
