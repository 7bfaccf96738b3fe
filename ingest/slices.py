"""Slices: which sites an ingester hears, so that several work side by side on one machine (ADR 25).

A slice is a list of sites; ``"*"`` stands for every site that no other slice names. Each slice has its own sessions at
the broker, its own partition of the detectors' state and its own fence. A site is heard by one slice, so the messages
of a device stay in one order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.topics import TopicKind

REST = "*"
# What the alarms' lane carries: few messages, each worth more than any reading.
EARLY_KINDS = (TopicKind.EVENTS, TopicKind.STATE)
_NATIVE = "wearsight/v1/"


@dataclass(frozen=True, slots=True)
class Slice:
    """One of the slices. ``sites`` are those that it names, ``elsewhere`` has the partitions of those others name.

    ``rest`` is the partition that hears every site that nobody names, if there is one. ``is_alone``: there is no other
    slice. ``is_keyed``: the source itself
    deals out devices to partitions (by a key, as Kafka does), so that a device is ours once it has been heard,
    whatever its site.
    """

    partition: str
    sites: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    rest: str | None = None
    is_alone: bool = True
    is_keyed: bool = False

    @property
    def hears_rest(self) -> bool:
        """Say whether this slice hears the sites that nobody names."""
        return self.rest == self.partition

    @property
    def is_whole(self) -> bool:
        """Say whether no message can be another slice's."""
        return self.is_keyed or (self.hears_rest and self.is_alone)

    def hears(self, site: str) -> bool:
        """Say whether this slice is the one that hears the site."""
        return site not in self.elsewhere if self.hears_rest else site in self.sites

    def owner_of(self, site: str) -> str | None:
        """Return the partition of the slice that hears the site, None when none does."""
        if site in self.sites:
            return self.partition
        return self.elsewhere.get(site, self.rest)

    def native_filters(self) -> set[str]:
        """Return the filters of the native topics."""
        sites = ("+",) if self.hears_rest else tuple(self.sites)
        return {native_filter(site, kind) for site in sites for kind in TopicKind}


def whole(partition: str) -> Slice:
    """Return the slice that hears everything."""
    return Slice(partition, rest=partition)


def keyed(partition: str) -> Slice:
    """Return the slice of one partition of a log whose keys are devices."""
    return Slice(partition, is_keyed=True)


def cut(slices: Sequence[Collection[str]], number: int) -> Slice:
    """Return slice ``number`` of these lists of sites. Raises ValueError when there is no such slice."""
    check(slices)
    if not 0 <= number < len(slices):
        raise ValueError(f"got slice {number}, expected 0 to {len(slices) - 1}: there are {len(slices)} slices")
    owners = {site: partition_of(place) for place, sites in enumerate(slices) for site in sites}
    rest = owners.pop(REST, None)
    own = frozenset(slices[number]) - {REST}
    elsewhere = {site: partition for site, partition in owners.items() if site not in own}
    return Slice(partition_of(number), own, elsewhere, rest, is_alone=len(slices) == 1)


def check(slices: Sequence[Collection[str]]) -> None:
    """Raise ValueError unless every site, and the rest, is in one slice at most."""
    seen: set[str] = set()
    if not slices:
        raise ValueError('expected at least one slice, got none; [["*"]] is one slice that hears every site')
    for sites in slices:
        twice = sorted(seen.intersection(sites)) or sorted({site for site in sites if list(sites).count(site) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is there twice; a site is heard by one slice, else its data has two owners")
        seen.update(sites)


def unheard(slices: Sequence[Collection[str]], sites: Iterable[str]) -> list[str]:
    """Return those of the sites that no slice hears."""
    named = {site for one in slices for site in one}
    return [] if REST in named else sorted(set(sites) - named)


def partition_of(number: int) -> str:
    """Return the partition of slice ``number``."""
    return f"mqtt-{number}"


def client_of(number: int, word: str) -> str:
    """Return the id by which slice ``number`` is known to the broker, and by it the session.

    ``word`` is the secret of `storage.broker_sessions`: whoever knows the id can take the session over.
    """
    return f"wearsight-ingest-{number}-{word}"


def process_of(number: int) -> str:
    """Return the name of the process of slice ``number``."""
    return "ingest" if number == 0 else f"ingest-{number}"


def native_filter(site: str, kind: TopicKind) -> str:
    """Return the filter of one kind of native topic of a site (``+``: of every site)."""
    return f"{_NATIVE}{site}/+/{kind}"


def is_early(topic_filter: str) -> bool:
    """Say whether the filter belongs to the alarms' lane."""
    return topic_filter.startswith(_NATIVE) and topic_filter.endswith(tuple(f"/{kind}" for kind in EARLY_KINDS))


def site_of(topic: str) -> str | None:
    """Return the site that a native topic names, None for any other topic."""
    return topic[len(_NATIVE) :].partition("/")[0] if topic.startswith(_NATIVE) else None
