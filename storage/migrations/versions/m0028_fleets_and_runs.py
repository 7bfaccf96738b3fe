"""Run 0028_fleets_and_runs."""

from storage.migrations.plain_sql import run

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Apply the file."""
    run("0028_fleets_and_runs")
