"""Run 0029_casework."""

from storage.migrations.plain_sql import run

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Apply the file."""
    run("0029_casework")
