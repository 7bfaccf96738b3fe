"""How far predictions may act by themselves and how much closures change: policy, versioned (SPEC P4, P5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from detectors.learning import Caution
from detectors.trust import Terms
from domain.refusals import Refused
from storage.console import site_zones
from storage.policies import newest_body, publish_body, shipped_body

POLICY = "detection"
MOST_TICKETS = 10_000
MOST_SITES = 1_000

# Section -> field -> the smallest and largest value, and whether it is a whole number.
NUMBERS: Mapping[str, Mapping[str, tuple[float, float, bool]]] = {
    "budget": {"tickets_per_site_per_day": (0, MOST_TICKETS, True), "passes_from_severity": (1, 11, True)},
    "flood": {"assets": (2, 100_000, True), "within_minutes": (1, 1_440, False)},
    "learning": {
        "prior_strength": (1, 10_000, False),
        "quantity_strength": (0, 10_000, False),
        "largest_step": (0.1, 5, False),
    },
    "trust": {
        "demote_below": (0.01, 0.99, False),
        "promote_above": (0.01, 0.99, False),
        "least_closures": (1, 10_000, True),
        "again_after": (1, 10_000, True),
        "credibility": (0.5, 0.999, False),
        "shadow_wait_h": (1, 8_760, False),
    },
}


@dataclass(frozen=True, slots=True)
class TicketBudget:
    """Tickets that predictions open at a site in one local day; ``sites`` have their own."""

    tickets_per_site_per_day: int
    passes_from_severity: int
    sites: Mapping[str, int]

    def of_site(self, site_id: str) -> int:
        """Return the budget of a site."""
        return self.sites.get(site_id, self.tickets_per_site_per_day)


@dataclass(frozen=True, slots=True)
class FloodTerms:
    """From how many assets of a site with findings within so many minutes on it is a flood."""

    assets: int
    within_minutes: float


@dataclass(frozen=True, slots=True)
class DetectionPolicy:
    """The policy; editions/policy/detection.toml says what each field means."""

    budget: TicketBudget
    flood: FloodTerms
    learning: Caution
    trust: Terms


def read_detection_policy(body: Mapping[str, object]) -> DetectionPolicy:
    """Check and return the policy. Raises Refused("invalid_policy") naming the first field that is wrong."""
    if set(body) != {"name", *NUMBERS} or body["name"] != POLICY:
        raise _invalid(f"the fields name = '{POLICY}', {', '.join(NUMBERS)}", ", ".join(sorted(map(str, body))))
    given = {section: _section(section, body[section]) for section in NUMBERS}
    budget, flood, learning, trust = (given[section] for section in NUMBERS)
    return DetectionPolicy(
        TicketBudget(
            int(budget["tickets_per_site_per_day"]), int(budget["passes_from_severity"]), _sites(body["budget"])
        ),
        FloodTerms(int(flood["assets"]), flood["within_minutes"]),
        Caution(**learning),
        Terms(
            demote_below=trust["demote_below"],
            promote_above=trust["promote_above"],
            least_closures=int(trust["least_closures"]),
            again_after=int(trust["again_after"]),
            credibility=trust["credibility"],
            shadow_wait_h=trust["shadow_wait_h"],
        ),
    )


def detection_in_force(connection: Connection) -> tuple[int | None, DetectionPolicy]:
    """Return id and content of the policy in force; before the first seeding, the shipped one without an id."""
    found = newest_body(connection, POLICY)
    if found is None:
        return None, read_detection_policy(shipped_body(POLICY))
    return found[0], read_detection_policy(found[1])


def publish_detection_policy(
    connection: Connection, body: Mapping[str, object], *, person_id: int | None, now: datetime
) -> int:
    """Check and publish the next version of the policy, in force at once; return its id.

    Raises Refused("invalid_policy"), also for a budget of a site that does not exist.
    """
    check_detection_policy(connection, body)
    return publish_body(connection, POLICY, body, person_id=person_id, now=now)


def check_detection_policy(connection: Connection, body: Mapping[str, object]) -> None:
    """Check a policy that is to be published; raises as ``publish_detection_policy``."""
    policy = read_detection_policy(body)
    unknown = sorted(set(policy.budget.sites) - set(site_zones(connection)))
    if unknown:
        raise _invalid("'budget.sites' with ids of sites", ", ".join(unknown))


def ensure_detection_policy(connection: Connection, now: datetime) -> None:
    """Publish the shipped policy when there is none yet."""
    if newest_body(connection, POLICY) is None:
        publish_detection_policy(connection, shipped_body(POLICY), person_id=None, now=now)


def _section(section: str, given: object) -> dict[str, float]:
    wanted = NUMBERS[section]
    extra = {"sites"} if section == "budget" else set()
    if not isinstance(given, Mapping) or set(given) != {*wanted, *extra}:
        got = ", ".join(sorted(map(str, given))) if isinstance(given, Mapping) else repr(given)
        raise _invalid(f"'{section}' with the fields {', '.join(sorted({*wanted, *extra}))}", got)
    return {name: _number(f"{section}.{name}", given[name], *bounds) for name, bounds in wanted.items()}


def _sites(budget: object) -> dict[str, int]:
    sites = budget["sites"] if isinstance(budget, Mapping) else None
    if not isinstance(sites, Mapping) or len(sites) > MOST_SITES:
        raise _invalid(f"'budget.sites' as a table of at most {MOST_SITES} sites", repr(sites))
    return {
        str(site): int(_number(f"budget.sites.{site}", most, 0, MOST_TICKETS, True)) for site, most in sites.items()
    }


def _number(name: str, value: object, low: float, high: float, is_whole: bool) -> float:
    wanted = int if is_whole else int | float
    if isinstance(value, bool) or not isinstance(value, wanted) or not low <= value <= high:
        kind = "a whole number" if is_whole else "a number"
        raise _invalid(f"'{name}' as {kind} from {low:g} to {high:g}", repr(value))
    return float(value)


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_policy", expected=expected, got=got[:200], remedy="Correct the policy and send it again.")
