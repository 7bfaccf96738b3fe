"""Run 0011_waveforms."""

from storage.migrations.plain_sql import run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the file."""
    run("0011_waveforms")
