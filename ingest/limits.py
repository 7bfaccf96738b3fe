"""Every bound of the ingest side, in one place (SPEC E3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MAX_PAYLOAD_BYTES = 64 * 1024
MAX_METRICS = 256  # in one sample
MAX_NAMES = 500  # of one device
MAX_NAME_LENGTH = 128
MAX_CODE_LENGTH = 128
MAX_TEXT_LENGTH = 4_096
MAX_ATTRIBUTES = 64
MAX_SEQUENCE = 2**53 - 1  # the largest whole number that every JSON sender can write

MAX_WAVEFORM_BYTES = 1024 * 1024
MIN_WAVEFORM_SAMPLES, MAX_WAVEFORM_SAMPLES = 16, 262_144
MIN_RATE_HZ, MAX_RATE_HZ = 1.0, 1e6
MAX_UNIT_LENGTH = 32

MAX_AHEAD = timedelta(minutes=5)
MAX_AGE_LIVE = timedelta(days=7)
OLDEST_RECORDED_US = 315_532_800_000_000  # 1980-01-01: what comes before is seconds taken for milliseconds

MAX_NEW_DAYS = 400  # partitions opened for one batch
MAX_DAYS = 8_000  # partitions altogether, 20 years

MAX_DETAIL_LENGTH = 500


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What one ingester may hold and how long it waits. Times are in seconds.

    ``settle_s`` follows every connect, and must exceed the broker's redelivery delay (5 s): until then older
    messages may come after newer ones, and readings are stored but not yet judged. ``gap_wait_s`` is how long the
    same is done for a device whose sequence numbers have a hole. An ingester that falls silent within a transaction for
    ``frozen_after_s`` loses its connection, and with it the locks that keep another from taking over. A former session
    is read for ``linger_s`` longer than it seems to hold anything (`ingest.succession`).
    """

    queue_messages: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    alarm_queue_messages: int = 2_000
    alarm_queue_bytes: int = 8 * 1024 * 1024
    batch_messages: int = 4_000
    batch_bytes: int = 8 * 1024 * 1024
    poll_s: float = 0.25
    settle_s: float = 7.0
    gap_wait_s: float = 8.0
    checkpoint_every_s: float = 5.0
    tick_every_s: float = 1.0
    replay_every_s: float = 1.0
    replay_messages: int = 500
    refresh_every_s: float = 10.0
    catch_up_series: int = 2_000
    catch_up_rows: int = 200_000
    backoff_max_s: float = 15.0
    frozen_after_s: float = 15.0
    linger_s: float = 10.0
