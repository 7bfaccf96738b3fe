"""What each user of the broker may do: one pure list of grants, from which every broker's rules are rendered.

A grant names MQTT filters to publish to and to subscribe to; whatever no grant names is refused. So a device may
publish its own topics and hear its own tickets, and nothing else (SPEC E2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.refusals import Refused
from domain.topic_filters import check_filter, overlap

NATIVE_ROOT = "wearsight/v1"
# What a device tells, and what it is told, below wearsight/v1/{site}/{device}/.
DEVICE_PUBLISHES = ("telemetry", "events", "waveform", "state")
DEVICE_HEARS = ("tickets", "commands")
FILTERS_LIMIT = 20

# What internal processes listen to: everything, and what a broker tells of itself.
_SERVICE_HEARS = ("#", "$SYS/#")
# What they say: tickets and commands on native topics, commands and STATE to Sparkplug edge nodes.
_SERVICE_PUBLISHES = (f"{NATIVE_ROOT}/#", "spBv1.0/#")
# These mean something to one broker or another: NATS wildcards, EMQX placeholders, quotes and comments of rule files.
_SPECIAL = ("*", ">", '"', "'", "\\", "${", "%", " ", "\u00a0")


@dataclass(frozen=True, slots=True)
class Grant:
    """The MQTT filters that ``user`` may publish to and subscribe to."""

    user: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeedTopic:
    """The filter of a feed and the site whose equipment speaks there."""

    topic: str
    site: str


def device_grant(user: str, site: str, device: str) -> Grant:
    """Return what a device may: its own native topics, nobody else's."""
    own = f"{NATIVE_ROOT}/{site}/{device}"
    return Grant(
        user,
        publish=tuple(f"{own}/{kind}" for kind in DEVICE_PUBLISHES),
        subscribe=tuple(f"{own}/{kind}" for kind in DEVICE_HEARS),
    )


def gateway_grant(user: str, publish: Iterable[str], subscribe: Iterable[str]) -> Grant:
    """Return what a gateway may: the filters that were checked when it was saved."""
    return Grant(user, tuple(publish), tuple(subscribe))


def service_grant(user: str) -> Grant:
    """Return what our own processes may: hear everything, and speak where equipment listens."""
    return Grant(user, _SERVICE_PUBLISHES, _SERVICE_HEARS)


def anonymous_grant(user: str, feed_topics: Iterable[str]) -> Grant:
    """Return what clients without a name may where that is allowed: speak as equipment does, and listen."""
    feeds = tuple(sorted(feed_topics))
    spoken = tuple(f"{NATIVE_ROOT}/+/+/{kind}" for kind in DEVICE_PUBLISHES)
    return Grant(user, (*spoken, *feeds), (f"{NATIVE_ROOT}/#", *feeds))


def check_gateway_filters(
    site: str, publish: Sequence[str], subscribe: Sequence[str], feeds: Iterable[FeedTopic]
) -> None:
    """Refuse, as ``invalid_gateway``, filters that would let a gateway speak or listen for others than its site.

    Native topics: its own site's only, and to publish only what devices publish, so no tickets. Other topics: what
    is no other site's feed.
    """
    if not publish and not subscribe:
        raise _invalid("at least one filter", "none", "Name the topics of the devices behind it.")
    known = list(feeds)
    for filters in (publish, subscribe):
        if len(filters) > FILTERS_LIMIT:
            raise _invalid(f"at most {FILTERS_LIMIT} filters each way", str(len(filters)), "Use + or # in fewer.")
        for one in filters:
            _check_form(one)
            _check_native(one, site, DEVICE_PUBLISHES if filters is publish else None)
            _check_feeds(one, site, known)


def _check_form(one: str) -> None:
    try:
        check_filter(one)
    except ValueError as error:
        raise _invalid("an MQTT topic filter", str(error), "Correct the filter.") from None
    special = next((text for text in _SPECIAL if text in one), None)
    if special is not None:
        raise _invalid(
            "a filter without spaces, quotes, backslashes, *, >, % and ${, which brokers read as something else",
            repr(one),
            f"Leave out {special!r}.",
        )
    # On some brokers a wildcard in the first place would select the broker's own topics too.
    first = one.split("/")[0]
    if first in ("+", "#", "") or first[0] in "$_":
        raise _invalid(
            "a filter whose first level is a name of letters or digits",
            repr(one),
            "Name the first level of the topics.",
        )


def _check_native(one: str, site: str, kinds: Sequence[str] | None) -> None:
    """``kinds``: the last levels that are allowed; None allows every one."""
    if not overlap(one, f"{NATIVE_ROOT.split('/')[0]}/#"):
        return
    levels = one.split("/")
    is_own = "/".join(levels[:2]) == NATIVE_ROOT and len(levels) > 3 and levels[2] == site
    if not is_own or (kinds is not None and (len(levels) != 5 or levels[4] not in kinds)):
        allowed = f"{NATIVE_ROOT}/{site}/..." if kinds is None else f"{NATIVE_ROOT}/{site}/+/{{{'|'.join(kinds)}}}"
        raise _invalid(
            f"of the native topics only {allowed}", repr(one), "Narrow the filter, or make a gateway of that site."
        )


def _check_feeds(one: str, site: str, feeds: Iterable[FeedTopic]) -> None:
    foreign = next((feed for feed in feeds if feed.site != site and overlap(one, feed.topic)), None)
    if foreign is not None:
        raise _invalid(
            f"topics that are no feed of another site than '{site}'",
            f"{one!r}, which overlaps {foreign.topic!r} of site '{foreign.site}'",
            "Narrow the filter, or make a gateway of that site.",
        )


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_gateway", expected=expected, got=got, remedy=remedy)
