"""The campaigns, one function each. Every one returns what it counted; ``size`` scales it for a quick look."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.campaign.faulty_proxy import FaultyProxy
from bench.campaign.house import DEVICES, Count, House, a_house, a_stream, at_shares, wait_until
from bench.campaign.sender import Sender
from runtime.embedded_broker import MosquittoBroker
from runtime.lodging import Lodging

KILLS = 20
_DISK = 700 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one campaign came to; ``passed`` is judged against its own promise, ``told`` says it in words."""

    passed: bool
    told: str


class DefaultMosquitto(MosquittoBroker):
    """Mosquitto as a distribution starts it: 1,000 queued messages at most, nothing saved for half an hour."""

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        command = super()._command(lodging, port)
        path = lodging.directory / "mosquitto.conf"
        kept = ("listener ", "allow_anonymous", "user ", "log_", "persistence_location", "persistence true")
        lines = [line for line in path.read_text().splitlines() if line.startswith(kept)]
        path.write_text("\n".join(lines) + "\n")
        return command


class DurableMosquitto(MosquittoBroker):
    """Mosquitto that saves after every change: as durable as it gets, at some hundred messages a second."""

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        command = super()._command(lodging, port)
        path = lodging.directory / "mosquitto.conf"
        path.write_text(path.read_text().replace("autosave_interval 1000", "autosave_interval 1"))
        return command


def kills_of_ingester_and_database(size: float, bug: str) -> Outcome:
    """0 lost, 0 doubled of 1,000,000 over 20 kill -9 each of ingester and database."""
    with a_house(bug=bug) as house:
        stream = a_stream(house, int(1_000_000 * size), per_second=5_000)
        house.start_ingester()
        sender = Sender(stream)

        def kill(step: int) -> None:
            house.wait_until_it_stores(sender)
            time.sleep(0.7 * random.random())
            if step % 2 == 0:
                house.kill_ingester()
            else:
                house.kill_database()

        at_shares(sender, stream, 2 * _kills(size), kill)
        return _whole(house, house.wait_until_all_is_stored(stream, sender.finish(900), 900))


def kills_of_the_embedded_broker(size: float, bug: str) -> Outcome:
    """0 lost of 200,000 over 20 kill -9 of the embedded broker, while the ingester lives, dies, and is away."""
    with a_house(bug=bug) as house:
        return _broker_kills(house, int(200_000 * size), _kills(size))


def kills_of_mosquitto(size: float, bug: str) -> Outcome:
    """0 lost of 10,000 over 20 kill -9 of Mosquitto that saves after every change."""
    with a_house(DurableMosquitto, bug=bug) as house:
        return _broker_kills(house, int(10_000 * size), _kills(size))


def gaps_at_mosquittos_defaults(size: float, bug: str) -> Outcome:
    """What Mosquitto's defaults lose is reported, message by message: the ingester is away, its queue overflows."""
    with a_house(DefaultMosquitto, bug=bug) as house:
        stream = a_stream(house, int(40_000 * size))
        house.start_ingester()
        sender = Sender(stream)

        def away(step: int) -> None:
            house.stop_ingester()
            goal = min(stream.messages, sender.acknowledged + stream.messages // 5)
            wait_until(lambda: sender.acknowledged >= goal, "the queue overflows", 120)
            house.start_ingester()

        at_shares(sender, stream, 2, away)
        house.wait_until_all_is_stored(stream, sender.finish(900), 120)
        # A device's last messages are missed only when it speaks again: so each does, three times.
        stream = replace(stream, first=stream.messages, messages=stream.messages + 3 * DEVICES)
        sent = Sender(stream).finish(60)
        count = house.wait_until_all_is_stored(stream, sent, 120)
        passed = count.lost > 0 and count.lost == count.gaps and not (count.doubled or count.wrong)
        return Outcome(passed, f"of {sent:,} acknowledged the broker dropped {count.lost:,}; reported {count.gaps:,}")


def faulty_network(size: float, bug: str) -> Outcome:
    """0 lost of 100,000 through proxies that reset, stall, slice and refuse, before and behind every part."""
    with a_house(bug=bug) as house, _proxies(house) as (near, far, store):
        stream = a_stream(house, int(100_000 * size), port=near.port, per_second=4_000)
        house.start_ingester()
        for proxy, chance in ((near, 0.002), (far, 0.002), (store, 0.0005)):
            proxy.faults.reset_chance = chance
        sender = Sender(stream)
        done = threading.Event()
        trouble = threading.Thread(target=_make_trouble, args=((near, far, store), done))
        trouble.start()
        wait_until(lambda: sender.is_done, "everything is acknowledged", 900)
        done.set()
        trouble.join(30)
        for proxy in (near, far, store):
            proxy.faults.reset_chance, proxy.faults.slices = 0.0, False
        began = time.monotonic()
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 300)
        happened = {name: sum(p.faults.happened[name] for p in (near, far, store)) for name in near.faults.happened}
        told = f"{happened}; all stored {time.monotonic() - began - 2:.0f} s after the last fault"
        outcome = _whole(house, count)
        return Outcome(outcome.passed and all(happened.values()), f"{outcome.told}; {told}")


def disk_full(size: float, bug: str) -> Outcome:
    """0 lost of 300,000 when the database's disk fills, and it goes on by itself once there is room."""
    with _small_disk() as disk, a_house(bug=bug, postgres_folder=disk / "pg") as house:
        stream = a_stream(house, int(300_000 * size), per_second=6_000)
        house.start_ingester()
        sender = Sender(stream)
        wait_until(lambda: house.stored() > stream.messages // 10, "some is stored", 120)
        ballast = disk / "ballast"
        _fill(ballast)
        full_at = house.stored()
        wait_until(lambda: sender.acknowledged > stream.messages * 0.8, "the broker keeps the rest", 300)
        time.sleep(5)
        fell = house.postgres.exit_code is not None
        ballast.unlink()
        if fell:
            house.postgres.start()  # as the supervisor does
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 300)
        outcome = _whole(house, count)
        server = "the server stopped itself and was started again" if fell else "the server stayed up"
        return Outcome(outcome.passed and full_at < stream.messages, f"{outcome.told}; full at {full_at:,}, {server}")


def database_outage(size: float, bug: str) -> Outcome:
    """Memory stays bounded while the database is away for ten minutes and 1,200,000 messages come; then 0 lost."""
    seconds = 600 * size
    with a_house(bug=bug) as house:
        stream = a_stream(house, int(2_000 * seconds * 1.2), per_second=2_000)
        house.start_ingester()
        sender = Sender(stream)
        wait_until(lambda: house.stored() > stream.messages // 50, "some is stored", 120)
        # The broker's window bounds what waits at QoS 1 by itself; at QoS 0 only our own bound does.
        chatter = Sender(
            replace(stream, client_id="chatter", per_second=500, messages=int(500 * seconds), is_chatter=True)
        )
        before = _memory_mb(house.ingester_pid)
        house.postgres.stop()
        largest, until = before, time.monotonic() + seconds
        while time.monotonic() < until:
            largest = max(largest, _memory_mb(house.ingester_pid))
            time.sleep(0.5)
        house.postgres.start()
        chatter.finish(120)
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 900)
        outcome = _whole(house, count)
        grown = largest - before
        told = f"{outcome.told}; away for {seconds:.0f} s, memory {before:.0f} MB and at most {grown:.0f} MB more"
        return Outcome(outcome.passed and grown < 150, told)


SCENARIOS: dict[str, tuple[Callable[[float, str], Outcome], str, float]] = {
    # name: what is tried, the bug that it must find, and the size at which it shall find it
    "kills of ingester and database": (kills_of_ingester_and_database, "acknowledge_early", 0.1),
    "kills of the embedded broker": (kills_of_the_embedded_broker, "acknowledge_early", 0.3),
    "kills of Mosquitto, saving every change": (kills_of_mosquitto, "acknowledge_early", 1.0),
    "gaps at Mosquitto's defaults": (gaps_at_mosquittos_defaults, "forget_gaps", 0.5),
    "faulty network": (faulty_network, "acknowledge_early", 0.5),
    "disk full": (disk_full, "acknowledge_early", 1.0),
    "database outage": (database_outage, "take_without_bound", 0.25),
}


def _whole(house: House, count: Count) -> Outcome:
    kills = ", ".join(f"{times} kills of the {name}" for name, times in house.kills.items() if times)
    told = f"{count.lost:,} lost, {count.doubled:,} doubled of {count.sent:,}"
    if count.wrong or count.quarantined or count.gaps:
        told += f"; {count.wrong} wrong, {count.quarantined} in quarantine, {count.gaps} reported missing"
    return Outcome(count.is_whole and not count.gaps, f"{told}; {kills}" if kills else told)


def _kills(size: float) -> int:
    return max(3, round(KILLS * size))


def _broker_kills(house: House, messages: int, kills: int) -> Outcome:
    # Time for the ingester to come back between two kills, which takes it two to four seconds.
    stream = a_stream(house, messages, per_second=messages // (6 * kills))
    house.start_ingester()
    sender = Sender(stream)

    def kill(step: int) -> None:
        house.wait_until_it_stores(sender)
        # In turn: the ingester is up, dies with the broker, is away while the broker dies.
        if step % 3 == 1:
            house.stop_ingester()
        if step % 3 == 2:
            house.stop_ingester()
            time.sleep(0.5)
        house.kill_broker()
        if step % 3:
            house.start_ingester()

    at_shares(sender, stream, kills, kill)
    return _whole(house, house.wait_until_all_is_stored(stream, sender.finish(900), 600))


@contextmanager
def _proxies(house: House) -> Iterator[tuple[FaultyProxy, FaultyProxy, FaultyProxy]]:
    """Between senders and broker, broker and ingester, ingester and database."""
    parameters = conninfo_to_dict(house.dsn)
    socket_path = f"{parameters['host']}/.s.PGSQL.{parameters.get('port', 5432)}"
    proxies = [FaultyProxy(house.broker_port, 1), FaultyProxy(house.broker_port, 2), FaultyProxy(socket_path, 3)]
    house.ingester_url = f"mqtt://127.0.0.1:{proxies[1].port}"
    house.ingester_dsn = make_conninfo(house.dsn, host="127.0.0.1", port=str(proxies[2].port))
    try:
        yield proxies[0], proxies[1], proxies[2]
    finally:
        for proxy in proxies:
            proxy.close()


def _make_trouble(proxies: tuple[FaultyProxy, ...], done: threading.Event) -> None:
    """Each fault at each place in turn, until done."""
    while True:
        for proxy in proxies:
            for fault in ("slices", "stall", "refuse"):
                setattr(proxy.faults, fault, True)
                if fault == "refuse":
                    proxy.reset_all()  # who is in must try to come in again
                stopped = done.wait(0.7)
                setattr(proxy.faults, fault, False)
                if stopped:
                    return


@contextmanager
def _small_disk() -> Iterator[Path]:
    """A disk of 700 MB in memory; needs root, and says so where it is not."""
    with tempfile.TemporaryDirectory(prefix="wd-", dir="/tmp") as name:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0755", "tmpfs", name], capture_output=True, text=True
        )
        if made.returncode:
            raise RuntimeError(f"a small disk needs the right to mount: {made.stderr.strip()}")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=False)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 1_048_576)
        except OSError:
            return


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
