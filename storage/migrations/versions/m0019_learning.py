"""Run 0019_learning."""

from storage.migrations.plain_sql import run

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Apply the file."""
    run("0019_learning")
