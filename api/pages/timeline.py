"""The timeline in words: what each event told, with ids turned into names and codes into words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.i18n import N_
from api.languages import Language
from api.pages import words
from api.pages.times import site_time
from storage.ticket_views import EventView, TicketDetail
from ticketing.lifecycle import Command
from ticketing.steps import OPTION_LABELS, label

# What the opening event keeps for machines and for proof; the page shows it elsewhere.
NOT_TOLD = frozenset({"title", "due", "prediction_id", "from_team_id"})
PERSON_FACTS = ("assignee_id", "previous_assignee_id")
PEOPLE_FACTS = ("told",)
CODE_FACTS = ("channels", "nobody")
TICKET_FACTS = ("other", "code", "split_code", "merged_into", "opened_code")


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as shown: the command's name and what was told, as (message of the catalogue, text).

    ``tickets`` are the texts that are tracking codes of other tickets.
    """

    event: EventView
    name: str
    told: Sequence[tuple[str, str]]
    tickets: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reader:
    """What it takes to put facts into words for one reader of one ticket: names of people and of teams by their ids."""

    language: Language
    zone: str
    names: Mapping[int, str]
    teams: Mapping[int, str]
    translate: Callable[[str], str]


def people_named(detail: TicketDetail) -> set[int]:
    """Return the ids of the people that the facts of a timeline mention."""
    found = [event.facts.get(name) for event in detail.timeline for name in PERSON_FACTS]
    for told in (event.facts.get(name) for event in detail.timeline for name in PEOPLE_FACTS):
        found.extend(told if isinstance(told, list) else ())
    return {person_id for person_id in found if isinstance(person_id, int)}


def entries(detail: TicketDetail, reader: Reader) -> list[Entry]:
    """Return the timeline, newest first."""
    return [_entry(event, detail, reader) for event in reversed(detail.timeline)]


def _entry(event: EventView, detail: TicketDetail, reader: Reader) -> Entry:
    told = (
        _scored_again(event.facts, reader)
        if event.command == Command.REPRIORITISE
        else [
            (_name(name), _value(name, value, detail, reader))
            for name, value in event.facts.items()
            if name not in NOT_TOLD and value is not False
        ]
    )
    known = event.command in set(Command)
    name = label(Command(event.command), reader.language.value) if known else event.command
    if (event.command, event.channel) in BY_THE_REQUESTER:
        name = reader.translate(BY_THE_REQUESTER[event.command, event.channel])
    tickets = frozenset(str(event.facts[one]) for one in TICKET_FACTS if event.facts.get(one))
    return Entry(event, name, [(title, text) for title, text in told if text], tickets)


def _scored_again(facts: Mapping[str, object], reader: Reader) -> list[tuple[str, str]]:
    """Return why a score was looked at, what it moved from and to, and the factors that count."""
    cause, factors = str(facts.get("cause")), facts.get("factors")
    known = cause in set(Command)
    counted = [
        f"{reader.translate(words.FACTORS.get(one['name'], one['name']))} {one['value']}"
        for one in (factors if isinstance(factors, list) else ())
        if one["value"] != 1
    ]
    return [
        (
            N_("Because of"),
            label(Command(cause), reader.language.value) if known else reader.translate(words.LOOKS.get(cause, cause)),
        ),
        (N_("Priority"), _moved([f"P{facts[name]}" for name in ("level_before", "level") if name in facts])),
        (N_("Score"), _moved([str(facts[name]) for name in ("score_before", "score") if facts.get(name) is not None])),
        (N_("Factors"), " × ".join(counted)),
    ]


def _moved(values: Sequence[str]) -> str:
    return " → ".join(dict.fromkeys(values))


def _name(fact: str) -> str:
    return words.FACTS.get(fact, fact.replace("_", " ").capitalize())


def _value(name: str, value: object, detail: TicketDetail, reader: Reader) -> str:
    if value is None or isinstance(value, Mapping):
        return ""
    if name in CODED:
        return CODED[name](value, reader)
    if isinstance(value, bool):
        return reader.translate("Yes" if value else "No")
    if name == "team_id":
        return _team(value, detail, reader)
    if name in PERSON_FACTS and isinstance(value, int):
        return reader.names.get(value, str(value))
    if name in (*PEOPLE_FACTS, *CODE_FACTS) and isinstance(value, list):
        return ", ".join(
            reader.names.get(one, str(one)) if isinstance(one, int) else _word(one, reader) for one in value
        )
    if name == "finding_ids" and isinstance(value, Sequence):
        return str(len(value))
    if name == "attachment_id":
        return next((file.file_name for file in detail.attachments if str(file.id) == value), str(value))
    if name in ("number", "operation"):
        return _work(name, value, detail, reader)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "; ".join(_line(line, reader) for line in value)
    text = str(value)
    return _time(text, reader.zone) if name.endswith("_at") else _word(text, reader)


# What is said otherwise when the requester does it, by the link.
BY_THE_REQUESTER: Mapping[tuple[str, str], str] = {("confirm", "link"): N_("Confirmed by the requester")}
# Facts that are codes of their own.
CODED: Mapping[str, Callable[[object, Reader], str]] = {
    "priority": lambda value, _reader: f"P{value}",
    "clock": lambda value, reader: reader.translate(words.CLOCKS.get(str(value), str(value))),
    "channel": lambda value, reader: reader.translate(words.CHANNELS.get(str(value), str(value))),
}


def _word(code: str, reader: Reader) -> str:
    return OPTION_LABELS[code][reader.language is Language.ZH] if code in OPTION_LABELS else code


def _work(name: str, value: object, detail: TicketDetail, reader: Reader) -> str:
    if name == "operation":
        return next((f"{one.number} {one.name}" for one in detail.operations if one.number == value), str(value))
    return next((_task(task, reader) for task in detail.tasks if task.number == value), str(value))


def _team(team_id: object, detail: TicketDetail, reader: Reader) -> str:
    names = {**reader.teams, **{one.to_team_id: one.to_team for one in detail.hand_overs}}
    if detail.ticket.team_id is not None and detail.ticket.team_name is not None:
        names[detail.ticket.team_id] = detail.ticket.team_name
    return next((name for known, name in names.items() if known == team_id), str(team_id))


def _task(task: object, reader: Reader) -> str:
    return str(getattr(task, "text_zh" if reader.language is Language.ZH else "text_en"))


def _line(line: object, reader: Reader) -> str:
    if not isinstance(line, Mapping) or "part_number" not in line:
        return str(line)
    columns = (("issued", "Issued"), ("used", "Used"), ("returned", "Returned"))
    told = ", ".join(f"{reader.translate(title)} {line.get(column, 0)}" for column, title in columns)
    return f"{line['part_number']}: {told}"


def _time(text: str, zone: str) -> str:
    try:
        shown = site_time(datetime.fromisoformat(text), zone)
    except ValueError:
        return text
    return f"{shown.text} {shown.zone}"
