"""Kills of Mosquitto, and its defaults. What Mosquitto itself loses is told apart from what the ingester loses.

Mosquitto 2.0 acknowledges a message before it saves it, also when it saves after every change. So a second one stands
beside the one that is tried, set up, fed and killed alike, with nothing of ours behind it: what is lost there, it is
Mosquitto that loses it. And what the ingester has to answer for is told by a tap: what it acknowledged, or was given
in its last life, or what the broker kept for it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.campaign.control import Listener
from bench.campaign.faulty_proxy import FaultyProxy
from bench.campaign.house import DEVICES, Count, House, a_house, a_stream, at_shares, wait_until
from bench.campaign.kills import broker_kills_rate, kill_broker, kills
from bench.campaign.outcome import Outcome, told_of
from bench.campaign.sender import Stream, message, number_of
from bench.campaign.tap import Tap, Told
from ingest.lanes import alarms_of
from ingest.slices import client_of
from runtime.embedded_broker import MosquittoBroker, find_mosquitto
from runtime.lodging import Lodging
from storage.broker_sessions import secret_word
from storage.database import connect

# The environment variable that names the file mosquitto_persist_sqlite.so.
SQLITE = "MOSQUITTO_PERSIST_SQLITE"


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


class SqliteMosquitto(MosquittoBroker):
    """Mosquitto 2.1 that keeps its state in SQLite, by the plugin that SQLITE names, and writes each change at once."""

    def _command(self, lodging: Lodging, port: int) -> Sequence[str | Path]:
        command = super()._command(lodging, port)
        path = lodging.directory / "mosquitto.conf"
        lines = [
            line for line in path.read_text().splitlines() if not line.startswith(("autosave", "persistence true"))
        ]
        lines += [f"plugin {os.environ[SQLITE]}", "plugin_opt_flush_period 0"]
        path.write_text("\n".join(lines) + "\n")
        return command


class Control:
    """A Mosquitto of its own with a bare sender and a bare subscriber, killed whenever the other one is."""

    def __init__(self, folder: Path, broker: type[MosquittoBroker]) -> None:
        folder.mkdir()
        folder.chmod(0o755)
        self._broker = broker(folder)
        self.port = int(self._broker.start().rpartition(":")[2])
        self._listener = Listener(self.port)
        self._listener.wait_until_listening()
        self.is_away = False

    def hold(self) -> None:
        """The subscriber acknowledges no more."""
        self._listener.hold()

    def go_away(self) -> None:
        """The subscriber dies."""
        self._listener.stop()
        self.is_away = True

    def kill(self, house: House) -> None:
        """Kill -9 of this broker too; it comes back."""
        house.kill(self._broker.pid)
        self._broker.start()

    def come_back(self) -> None:
        """The subscriber is there again, if it was away."""
        if self.is_away:
            self.is_away = False
            self._listener.start()

    def lost(self, stream: Stream, sent: int) -> int:
        """How many messages were acknowledged to the sender and never came to the subscriber."""
        self._listener.wait_until_quiet(3, 60)
        heard = self._listener.heard
        return sum(message(stream, number) not in heard for number in range(sent))

    def close(self) -> None:
        """End."""
        self._listener.stop()
        self._broker.stop()


def kills_of_mosquitto(size: float, bug: str) -> Outcome:
    """Over 20 kill -9 nothing that Mosquitto delivered or kept is lost, and what it lost is reported by number."""
    return _kills(DurableMosquitto, size, bug)


def kills_of_mosquitto_on_sqlite(size: float, bug: str) -> Outcome:
    """The same of Mosquitto 2.1 with its SQLite plugin."""
    return _kills(SqliteMosquitto, size, bug)


def _kills(broker: type[MosquittoBroker], size: float, bug: str) -> Outcome:
    with a_house(broker, bug=bug) as house, _tapped(house) as tap, _control(house, broker) as control:
        stream = a_stream(house, int(10_000 * size), per_second=broker_kills_rate(10_000))
        house.start_ingester()
        sender, its_sender = house.send(stream), house.send(replace(stream, port=control.port))

        def kill(step: int) -> None:
            def when_dead() -> None:
                if control.is_away:  # as is the ingester: what it was given last it need not know
                    tap.forget_delivered()
                control.kill(house)

            kill_broker(
                house,
                sender,
                step,
                when_back=control.come_back,
                when_held_up=control.hold,
                when_away=control.go_away,
                when_dead=when_dead,
            )

        at_shares(sender, stream, kills(size), kill)
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 300)
        control.come_back()
        its_lost = control.lost(stream, its_sender.finish(300))
        house.stop_ingester()
        given = tap.acknowledged | tap.delivered | _kept(house)
        outcome = judge_losses(stream, count, given, _version(), its_lost)
        # With one of those the broker forgets what it has not delivered yet.
        told = f"{told_of(house, count)}; {outcome.told}; {tap.strays} acknowledgements of what was not delivered"
        return replace(outcome, passed=outcome.passed and not tap.strays, told=told)


def gaps_at_mosquittos_defaults(size: float, bug: str) -> Outcome:
    """What Mosquitto's defaults lose is reported, message by message: the ingester is away, its queue overflows."""
    with a_house(DefaultMosquitto, bug=bug) as house:
        stream = a_stream(house, int(40_000 * size))
        house.start_ingester()
        sender = house.send(stream)

        def away(_step: int) -> None:
            house.stop_ingester()
            goal = min(stream.messages, sender.acknowledged + stream.messages // 5)
            wait_until(lambda: sender.acknowledged >= goal, "the queue overflows", 120)
            house.start_ingester()

        at_shares(sender, stream, 2, away)
        house.wait_until_all_is_stored(stream, sender.finish(900), 120)
        # A device's last messages are missed only when it speaks again: so each does, three times.
        stream = replace(stream, first=stream.messages, messages=stream.messages + 3 * DEVICES)
        sent = house.send(stream).finish(60)
        count = house.wait_until_all_is_stored(stream, sent, 120)
        told = (
            f"of {sent:,} acknowledged the broker dropped {count.lost:,}; "
            f"{len(count.missing - count.reported):,} of them not reported, "
            f"{len(count.reported - count.missing):,} reported that were not dropped"
        )
        return Outcome(count.lost > 0 and count.is_honest, told)


def judge_losses(stream: Stream, count: Count, given: frozenset[Told], broker: str, its_lost: int) -> Outcome:
    """Judge what is missing: ours is what is among ``given``; the rest the broker lost, and it must be reported."""
    ours = count.missing & {number_of(stream, topic, payload) for topic, payload in given}
    told = (
        f"of what {broker} delivered or kept {len(ours):,} lost; "
        f"{len(count.missing - count.reported):,} lost without a report; "
        f"control with nothing of ours: {its_lost:,} lost of {count.sent:,}"
    )
    missed = f"0 lost, by {broker}, which had acknowledged what it did not keep" if count.missing else ""
    return Outcome(not ours and count.is_honest, told, missed)


def _kept(house: House) -> frozenset[Told]:
    """What waits in the ingester's sessions, now that it is gone for good."""
    with connect(house.dsn) as connection:
        client_id = client_of(0, secret_word(connection))
    kept: frozenset[Told] = frozenset()
    for session in (client_id, alarms_of(client_id)):
        listener = Listener(house.broker_port, session, topic=None)
        listener.wait_until_quiet(2, 20)
        listener.stop()
        kept |= listener.heard
    return kept


@contextmanager
def _tapped(house: House) -> Iterator[Tap]:
    tap = Tap()
    proxy = FaultyProxy(house.broker_port, 1, tap.hear)
    house.ingester_url = f"mqtt://127.0.0.1:{proxy.port}"
    try:
        yield tap
    finally:
        proxy.close()


@contextmanager
def _control(house: House, broker: type[MosquittoBroker]) -> Iterator[Control]:
    control = Control(house.folder / "control", broker)
    try:
        yield control
    finally:
        control.close()


def _version() -> str:
    """Mosquitto's name and number, as its program tells."""
    said = subprocess.run([find_mosquitto(), "-h"], capture_output=True, text=True, check=False, timeout=10).stdout
    return "Mosquitto " + said.partition("\n")[0].rpartition(" ")[2]
