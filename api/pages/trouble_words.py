"""The console's words for what is wrong with the service itself; messages are marked for the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from api.i18n import N_


@dataclass(frozen=True, slots=True)
class Trouble:
    """Messages of the catalogue for one kind of trouble; ``told`` has its subject and figures in braces."""

    title: str
    told: str
    remedy: str


# What is wrong with the service itself: what it is called, what is said of this case, and what to do.
TROUBLES: Mapping[str, Trouble] = MappingProxyType(
    {
        "feed_silent": Trouble(
            N_("Feed silent"),
            N_("Nothing was heard of the feed {subject} for more than {silent_after_s} s."),
            N_("See whether its gateway runs and reaches the broker, and whether the feed's topic is still right."),
        ),
        "site_silent": Trouble(
            N_("Site silent"),
            N_("No device of site {subject} is heard any more; {devices} of them should speak."),
            N_("See whether the site's network and its connection to the broker are up."),
        ),
        "ingest_silent": Trouble(
            N_("Ingester silent"),
            N_("The ingester {subject} does not say that it lives."),
            N_("See whether the process ingest runs; its log says why it stopped."),
        ),
        "ingest_behind": Trouble(
            N_("Ingester behind"),
            N_("The ingester {subject} has {queued} messages waiting and stores none."),
            N_("See whether the database answers and its disk has room; the ingester's log says what it waits for."),
        ),
        "process_silent": Trouble(
            N_("Process silent"),
            N_("The process {subject} has not finished a round of its work for long."),
            N_("See whether the process runs; its log says what it does."),
        ),
        "quarantine_rising": Trouble(
            N_("Quarantine rising"),
            N_("{messages} messages were set aside in {minutes} minutes for one reason: {subject}."),
            N_("The quarantine says what the reason means and what to do."),
        ),
        "outbox_given_up": Trouble(
            N_("Notices undelivered"),
            N_("{messages} notices could not be delivered to anybody."),
            N_("See whether the channels of the people concerned are set up and reachable."),
        ),
        "holidays_ending": Trouble(
            N_("Holidays ending"),
            N_("The official holidays of the calendar {subject} are known until {until} only."),
            N_("Update the service once they are announced, or enter the days into the calendar."),
        ),
        "escalation_late": Trouble(
            N_("Escalations late"),
            N_("{steps} rungs of escalations at site {subject} are overdue and nothing takes them."),
            N_("See whether the process desk runs; its log says why a step fails."),
        ),
        "disk_filling": Trouble(
            N_("Disk filling"),
            N_("The disk of {subject} is {percent} % full."),
            N_("Make room, or keep readings for a shorter time (docs/operations.md)."),
        ),
    }
)
