"""The database away for long, and its disk full: nothing is acknowledged, memory is bounded, the broker keeps all."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.campaign import packets
from bench.campaign.house import a_house, a_stream, wait_until
from bench.campaign.outcome import Outcome, whole
from bench.campaign.sender import Stream, message
from ingest.buffered_client import BUFFER_BYTES
from ingest.limits import MAX_WAVEFORM_BYTES, IngestOptions

_DISK = 700 * 1024 * 1024
_MOST_MB = 150


def disk_full(size: float, bug: str) -> Outcome:
    """0 lost of 300,000 when the database's disk fills, and it goes on by itself once there is room."""
    with _small_disk() as disk, a_house(bug=bug, postgres_folder=disk / "pg") as house:
        stream = a_stream(house, int(300_000 * size), per_second=6_000)
        house.start_ingester()
        sender = house.send(stream)
        wait_until(lambda: house.stored() > stream.messages // 10, "some is stored", 120)
        ballast = disk / "ballast"
        _fill(ballast)
        full_at = house.stored()
        wait_until(lambda: sender.acknowledged > stream.messages * 0.8, "the broker keeps the rest", 300)
        time.sleep(5)
        # What waits to be stored dies with it: the broker must have it still.
        house.kill_ingester()
        time.sleep(5)
        fell = house.postgres.exit_code is not None
        ballast.unlink()
        if fell:
            house.postgres.start()  # as the supervisor does
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 300)
        outcome = whole(house, count)
        server = "the server stopped itself and was started again" if fell else "the server stayed up"
        return Outcome(outcome.passed and full_at < stream.messages, f"{outcome.told}; full at {full_at:,}, {server}")


def database_outage(size: float, bug: str) -> Outcome:
    """Queue and memory stay bounded while the database is away for ten minutes; then 0 lost of 1,440,000."""
    seconds = 600 * size
    with a_house(bug=bug) as house:
        stream = a_stream(house, int(2_000 * seconds * 1.2), per_second=2_000)
        house.start_ingester()
        sender = house.send(stream)
        wait_until(lambda: house.stored() > stream.messages // 50, "some is stored", 120)
        # The broker's window bounds what waits at QoS 1 by itself; at QoS 0 only our own bound does.
        chatter = house.send(
            replace(stream, client_id="chatter", per_second=500, messages=int(500 * seconds), is_chatter=True)
        )
        before_mb = house.memory_mb()
        house.postgres.stop()
        most: dict[str, float] = {}
        most_mb, until = before_mb, time.monotonic() + seconds
        while time.monotonic() < until:
            most_mb = max(most_mb, house.memory_mb())
            most |= {what: max(most.get(what, 0.0), value) for what, value in house.queued().items()}
            time.sleep(0.5)
        house.postgres.start()
        chatter.finish(120)
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 900)
        outcome = whole(house, count)
        bounds = _bounds(stream)
        told = (
            f"{outcome.told}; away for {seconds:.0f} s; at most "
            + ", ".join(f"{most.get(what, 0):,.0f} of {bound:,} {what}" for what, bound in bounds.items())
            + f"; memory {before_mb:.0f} MB and at most {most_mb - before_mb:.0f} MB more"
        )
        is_bounded = all(most.get(what, 0) <= bound for what, bound in bounds.items()) and len(most) >= len(bounds)
        # A queue that never filled would show nothing.
        was_full = most.get("messages telemetry", 0) >= IngestOptions().queue_messages
        return Outcome(outcome.passed and is_bounded and was_full and most_mb - before_mb < _MOST_MB, told)


def _bounds(stream: Stream) -> dict[str, int]:
    """The bounds of both lanes; each lets in one burst more, at most so many of the smallest messages."""
    options = IngestOptions()
    burst = BUFFER_BYTES // len(packets.publish(*message(stream, 0), 1)) + 1
    burst_bytes = max(BUFFER_BYTES, MAX_WAVEFORM_BYTES)
    return {
        "messages telemetry": options.queue_messages + burst,
        "bytes telemetry": options.queue_bytes + burst_bytes,
        "messages alarms": options.alarm_queue_messages + burst,
        "bytes alarms": options.alarm_queue_bytes + burst_bytes,
    }


@contextmanager
def _small_disk() -> Iterator[Path]:
    """A disk of 700 MB in memory; needs root, and says so where it is not."""
    with tempfile.TemporaryDirectory(prefix="wd-", dir="/tmp") as name:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0755", "tmpfs", name],
            capture_output=True,
            text=True,
            timeout=30,
        )
        if made.returncode:
            raise RuntimeError(f"a small disk needs the right to mount: {made.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=False, timeout=30)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 1_048_576)
        except OSError:
            return
