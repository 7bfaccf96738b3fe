"""`wearsight demo`: the house with a simulated fleet and, where the folder is, recorded machines beside it.

The simulators run as processes of their own: they are customers, who know the service by MQTT and HTTP only.
"""

from __future__ import annotations

import sys
from datetime import datetime

import psycopg

from domain.clock import Clock
from runtime.answering import QUERIES
from runtime.screen import Screen
from runtime.settings import Settings
from runtime.supervisor import Supervisor
from storage.database import connect
from storage.parts import receive_stock

_ASK_EVERY_S = 1.0
_PIECES = 24  # enough for the presses of the recorded data
_STILL_WAITING_EVERY_S = 30.0


class FirstTicket:
    """Waits for the first ticket that a device opens in this run, and announces it once."""

    def __init__(self, supervisor: Supervisor, clock: Clock, screen: Screen) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._screen = screen
        self._since: datetime = clock.now()
        self._began_s = self._asked_s = self._told_s = clock.monotonic_s()
        self._announced = False

    def look(self) -> None:
        """Ask the database now and then; call it often."""
        now_s = self._clock.monotonic_s()
        if self._announced or now_s - self._asked_s < _ASK_EVERY_S:
            return
        self._asked_s = now_s
        try:
            with connect(self._supervisor.addresses.database) as connection:
                row = connection.execute(QUERIES["first_device_ticket_since"], {"since": self._since}).fetchone()
        except psycopg.OperationalError:
            return  # it is just being started again; the supervisor says so
        waited_s = now_s - self._began_s
        if row is not None:
            code, title = row
            address = f"{self._supervisor.addresses.api}/tickets/{code}"
            self._screen.say(f"first ticket opened by a device after {waited_s:.0f} s: {code} {title} - {address}")
            self._announced = True
        elif now_s - self._told_s > _STILL_WAITING_EVERY_S:
            self._told_s = now_s
            self._screen.say(f"waiting for the first ticket from a device ({waited_s:.0f} s so far); machines wear")


def start_simulators(supervisor: Supervisor, settings: Settings, screen: Screen, clock: Clock, *, people: bool) -> None:
    """Fill the store, start the fleet, the replay where there is recorded data and, if asked, simulated people."""
    _fill_store(supervisor.addresses.database, clock)
    command = [sys.executable, "-m", "runtime.commands"]
    supervisor.add_helper("fleet", [*command, "fleet"])
    screen.say("a simulated fleet of motors, pumps and ovens reports over MQTT")
    if settings.recorded_data() is not None:
        supervisor.add_helper("replay", [*command, "replay"])
        screen.say(f"recorded machines are replayed from {settings.recorded_data()}")
        screen.say("their tickets are closed by a simulated engineer when the recording says the part was replaced")
    else:
        screen.say("no folder of recorded data was found (WEARSIGHT_DATA), so nothing recorded is replayed")
    if people:
        supervisor.add_helper("people", [*command, "people"])
        screen.say("simulated engineers and a requester carry tickets to closed")
    else:
        screen.say("the fleet's tickets wait for you; with --people simulated engineers work on them too")


def _fill_store(database: str, clock: Clock) -> None:
    """A plant that simulates machines has their spare parts too: some of each that was never in the store."""
    with connect(database) as connection:
        for (number,) in connection.execute(QUERIES["parts_never_stocked"]).fetchall():
            receive_stock(connection, number, _PIECES, clock.now())
