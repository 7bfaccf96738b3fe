"""A bad network: between senders and broker, broker and ingester, ingester and database."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.campaign.faulty_proxy import FaultyProxy
from bench.campaign.house import House, a_house, a_stream, wait_until
from bench.campaign.outcome import Outcome, whole


def faulty_network(size: float, bug: str) -> Outcome:
    """0 lost of 100,000 through proxies that reset, stall, slice and refuse, before and behind every part."""
    with a_house(bug=bug) as house, _proxies(house) as (near, far, store):
        stream = a_stream(house, int(100_000 * size), port=near.port, per_second=4_000)
        house.start_ingester()
        for proxy, chance in ((near, 0.002), (far, 0.002), (store, 0.0005)):
            proxy.faults.reset_chance = chance
        sender = house.send(stream)
        done = threading.Event()
        trouble = threading.Thread(target=_make_trouble, args=((near, far, store), done))
        trouble.start()
        try:
            wait_until(lambda: sender.is_done, "everything is acknowledged", 900)
        finally:
            done.set()
            trouble.join(30)
        for proxy in (near, far, store):
            proxy.faults.reset_chance, proxy.faults.slices = 0.0, False
        began = time.monotonic()
        count = house.wait_until_all_is_stored(stream, sender.finish(900), 300)
        happened = {name: sum(p.faults.happened[name] for p in (near, far, store)) for name in near.faults.happened}
        told = f"{happened}; all stored {time.monotonic() - began - 2:.0f} s after the last fault"
        outcome = whole(house, count)
        return Outcome(outcome.passed and all(happened.values()), f"{outcome.told}; {told}")


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
    """Each fault at each place in turn, until done. Every other stall ends in a cut, which hits what is under way."""
    for turn in itertools.count():
        for proxy in proxies:
            for fault in ("slices", "stall", "refuse"):
                setattr(proxy.faults, fault, True)
                if fault == "refuse":
                    proxy.reset_all()  # who is in must try to come in again
                stopped = done.wait(0.7)
                if fault == "stall" and turn % 2 == 0:
                    proxy.reset_all()
                setattr(proxy.faults, fault, False)
                if stopped:
                    return
