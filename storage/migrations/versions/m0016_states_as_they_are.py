"""Run 0016_states_as_they_are."""

from storage.migrations.plain_sql import run

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply the file."""
    run("0016_states_as_they_are")
