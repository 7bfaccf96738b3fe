"""What the page of one ticket shows, gathered and put into words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from psycopg import Connection

from api import i18n
from api.i18n import N_
from api.identity import Caller
from api.languages import Language
from api.pages import timeline
from api.pages.access import may
from api.pages.ticket_life import life_of
from api.pages.times import to_input
from api.permissions import Action
from storage import console, people, tickets
from storage.floods import flood_of_ticket
from storage.hand_overs import teams_to_choose
from storage.ticket_views import TicketDetail

# More plots than this are no help; the rest are on the asset's page.
PLOTS_MAX = 6
RESPONSE_SUGGESTED = timedelta(minutes=30)
REVIEW_SUGGESTED = timedelta(days=1)


class Drawable(Protocol):
    """A finding as far as a plot needs it; times are equipment time."""

    @property
    def series_id(self) -> int:
        """The series to draw."""
        ...

    @property
    def opened_at(self) -> datetime:
        """When the episode began."""
        ...

    @property
    def cleared_at(self) -> datetime | None:
        """When it ended, None while it lasts."""
        ...


@dataclass(frozen=True, slots=True)
class EvidencePlot:
    """A finding and the stretch of its series to draw."""

    finding: Drawable
    start: datetime
    end: datetime


def plots_of(connection: Connection, findings: Sequence[Drawable]) -> list[EvidencePlot]:
    """Return what to draw: the first and last findings matter most, one for each series before a second of any."""
    seen: dict[int, int] = {}
    ranked: list[tuple[int, int, Drawable]] = []
    for position, finding in enumerate(findings):
        times = seen.get(finding.series_id, 0)
        seen[finding.series_id] = times + 1
        ranked.append((times, position, finding))
    chosen = [finding for _, _, finding in sorted(ranked, key=lambda one: one[:2])[:PLOTS_MAX]]
    return [
        EvidencePlot(one, *console.span_around(connection, one.series_id, one.opened_at, one.cleared_at))
        for one in chosen
    ]


def ticket_context(
    connection: Connection, caller: Caller, code: str, language: Language, now: datetime
) -> dict[str, object]:
    """Return everything the template of a ticket needs, apart from what a form was refused for."""
    detail = tickets.ticket_detail(connection, code, actor=caller.actor(), now=now, language=language.value)
    zone = console.site_zones(connection)[detail.ticket.site_id]
    translate = i18n.catalogue(language).gettext
    names = {}
    for person_id in timeline.people_named(detail):
        found = people.person_by_id(connection, person_id)
        names[person_id] = found.name if found else str(person_id)
    teams = dict(teams_to_choose(connection, detail.ticket.id))
    reader = timeline.Reader(language, zone, names, teams, translate)
    sees_signals = may(caller.person, Action.READ_SIGNALS, detail.ticket.site_id)
    works = may(caller.person, Action.WORK_ON_TICKET, detail.ticket.site_id)
    steps = detail.next_steps if works else []
    return {
        "detail": detail,
        "zone": zone,
        "plots": plots_of(connection, detail.findings) if sees_signals else [],
        "flood": flood_of_ticket(connection, code) if sees_signals else None,
        "entries": timeline.entries(detail, reader),
        "waits_for": translate(_waits_for(detail)),
        "suggestions": _suggestions(detail, zone, now),
        "steps": steps,
        **life_of(connection, caller, detail, steps, language, now),
        "may_attach": works and detail.ticket.state != "closed",
    }


def _suggestions(detail: TicketDetail, zone: str, now: datetime) -> dict[str, str]:
    """Return what most people would type, so that they need not."""
    return {
        "expected_response_at": to_input(to_five_minutes(now + RESPONSE_SUGGESTED), zone),
        "review_at": to_input(to_five_minutes(now + REVIEW_SUGGESTED), zone),
        "found_failure_mode": detail.ticket.failure_mode or "",
        "number": next((str(task.number) for task in detail.tasks if task.done_at is None), ""),
    }


def to_five_minutes(moment: datetime) -> datetime:
    """Return the next full five minutes: what people would type."""
    late = timedelta(minutes=moment.minute % 5, seconds=moment.second, microseconds=moment.microsecond)
    return moment - late + (timedelta(minutes=5) if late else timedelta(0))


def _waits_for(detail: TicketDetail) -> str:
    """Say who or what comes next when the reader cannot do it."""
    ticket = detail.ticket
    if detail.is_on_hold:
        return N_("On hold. The engineer or a supervisor resumes it.")
    if ticket.state == "executing" and ticket.resolved_at is not None:
        if ticket.confirmed_at is None and "confirmation" in detail.gates:
            return N_("The requester confirms next, by the link or its code.")
        return N_("The engineer closes it when every gate is passed.")
    return {
        "new": N_("A dispatch round or a supervisor assigns an engineer next."),
        "dispatched": N_("The assigned engineer accepts it next."),
        "accepted": N_("The engineer sets out and starts the work next."),
        "executing": N_("The engineer is at work and submits a resolution next."),
    }.get(ticket.state, N_("Nothing is left to do."))
