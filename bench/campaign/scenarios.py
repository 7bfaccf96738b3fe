"""The campaigns, in the order in which they run: what each tries, and the bug that it must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.campaign.claims import contested_claims
from bench.campaign.escalations import kills_of_schedulers
from bench.campaign.kills import kills_of_ingester_and_database, kills_of_the_embedded_broker
from bench.campaign.mosquitto import (
    SQLITE,
    gaps_at_mosquittos_defaults,
    kills_of_mosquitto,
    kills_of_mosquitto_on_sqlite,
)
from bench.campaign.network import faulty_network
from bench.campaign.outages import database_outage, disk_full
from bench.campaign.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Scenario:
    """``run`` is given the share of its full size, and the bug to plant; ``bug`` must be found at ``bug_size``.

    One that ``needs`` an environment variable is left out where it is not set.
    """

    title: str
    run: Callable[[float, str], Outcome]
    bug: str
    bug_size: float
    needs: str = ""


SCENARIOS: Mapping[str, Scenario] = {
    "ingester-database": Scenario(
        "kills of ingester and database", kills_of_ingester_and_database, "acknowledge_early", 0.1
    ),
    "embedded-broker": Scenario(
        "kills of the embedded broker", kills_of_the_embedded_broker, "acknowledge_early", 0.15
    ),
    "mosquitto": Scenario("kills of Mosquitto, saving every change", kills_of_mosquitto, "acknowledge_early", 0.15),
    "mosquitto-sqlite": Scenario(
        "kills of Mosquitto on SQLite", kills_of_mosquitto_on_sqlite, "acknowledge_early", 0.15, needs=SQLITE
    ),
    "mosquitto-defaults": Scenario("gaps at Mosquitto's defaults", gaps_at_mosquittos_defaults, "forget_gaps", 0.5),
    "network": Scenario("faulty network", faulty_network, "store_once", 0.2),
    "disk-full": Scenario("disk full", disk_full, "acknowledge_early", 0.5),
    "schedulers": Scenario("kills of two schedulers of escalations", kills_of_schedulers, "claim_first", 0.15),
    "outage": Scenario("database outage", database_outage, "take_without_bound", 0.12),
    "claims": Scenario("contested claims of tickets", contested_claims, "last_one_wins", 0.01),
}
