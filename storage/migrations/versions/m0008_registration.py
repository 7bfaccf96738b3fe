"""Run 0008_registration."""

from storage.migrations.plain_sql import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply the file."""
    run("0008_registration")
