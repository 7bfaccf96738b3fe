"""Run 0012_register."""

from storage.migrations.plain_sql import run

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply the file."""
    run("0012_register")
