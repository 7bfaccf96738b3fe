"""The console's words for a ticket's life: its checks, operations, look-ups, links, ladders and flags (SPEC T8 to T10).

``GROUPS`` puts the commands that are not the next step under short headings, so that they are found without reading
them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import DONE, Word
from ticketing.lifecycle import Command

CHECK_RESULTS: Mapping[str, Word] = MappingProxyType(
    {
        "ok": DONE,
        "failed": Word(N_("Check failed"), "alarm", "bad"),
        "not_applicable": Word(N_("Does not apply"), "cross", "grey"),
    }
)

PHASES: Mapping[str, Word] = MappingProxyType(
    {
        "start": Word(N_("To be started"), "clock", "grey"),
        "finish": Word(N_("Under way"), "wrench", "warn"),
        "check": Word(N_("To be checked"), "eye", "calm"),
        "passed": Word(N_("Passed"), "check", "good"),
    }
)

OPERATION_RESULTS: Mapping[str, Word] = MappingProxyType(
    {"passed": PHASES["passed"], "failed": CHECK_RESULTS["failed"]}
)

# For how long nothing effective has been done (SPEC N1).
FLAGS: Mapping[str, Word] = MappingProxyType(
    {
        "yellow": Word(N_("Yellow: stands still"), "clock", "warn"),
        "red": Word(N_("Red: stands still for long"), "alarm", "bad"),
    }
)

# What the list of tickets can be narrowed to beside a state, by the name in its address.
MARKS: Mapping[str, str] = MappingProxyType(
    {
        "unassigned": N_("Nobody has it"),
        "hold": N_("On hold"),
        "review": N_("Review of the hold due"),
        **{name: word.message for name, word in FLAGS.items()},
    }
)

REVIEW_DUE = Word(N_("Review due"), "alarm", "warn")
HEAT_LOCKED = Word(N_("hot, stays with its engineer"), "alarm", "bad")
CHARGED = Word(N_("Charged: out of warranty"), "alarm", "warn")
LINE_STOPPED = Word(N_("Line stopped"), "alarm", "bad")

# How another ticket belongs to this one, read from here and from there.
LINKS: Mapping[tuple[str, bool], str] = MappingProxyType(
    {
        ("related", True): N_("related"),
        ("related", False): N_("related"),
        ("causes", True): N_("caused by this one"),
        ("causes", False): N_("causes this one"),
        ("duplicates", True): N_("duplicated by this one"),
        ("duplicates", False): N_("duplicates this one"),
        ("split", True): N_("split off from this one"),
        ("split", False): N_("this one was split off from it"),
        ("merged", True): N_("goes on in place of this one"),
        ("merged", False): N_("merged into this one"),
    }
)

LOOKUPS: Mapping[str, str] = MappingProxyType(
    {
        "warranty": N_("Warranty"),
        "history": N_("Tickets of this asset"),
        "duplicates": N_("Likely duplicates"),
        "knowledge": N_("Knowledge articles"),
    }
)
LOOKUP_PENDING = Word(N_("being looked up"), "clock", "grey")
LOOKUP_FAILED = Word(N_("could not be looked up"), "alarm", "warn")

WARRANTIES: Mapping[str, Word] = MappingProxyType(
    {
        "in": Word(N_("in warranty"), "check", "good"),
        "out": Word(N_("out of warranty"), "alarm", "warn"),
        "unknown": Word(N_("warranty not known"), "info", "grey"),
    }
)

# What became of one message of an escalation.
MESSAGE_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "delivered": Word(N_("delivered"), "check", "good"),
        "given_up": Word(N_("not delivered"), "cross", "bad"),
        "waiting": Word(N_("on its way"), "clock", "grey"),
    }
)
RUNG_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "done": Word(N_("done"), "check", "good"),
        "dropped": Word(N_("no longer needed"), "cross", "grey"),
        "waiting": Word(N_("to come"), "clock", "grey"),
    }
)
LADDER_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "acknowledged": Word(N_("Acknowledged"), "check", "good"),
        "overtaken": Word(N_("Followed by a graver one"), "up", "grey"),
        "ended": Word(N_("Over"), "check", "grey"),
        "paused": Word(N_("Stands still during the hold"), "pause", "grey"),
        "running": Word(N_("Goes on until somebody acknowledges"), "alarm", "warn"),
    }
)

# Fields in which a merged ticket may have differed from the one that goes on.
DIFFERING: Mapping[str, str] = MappingProxyType(
    {
        "title_en": N_("Title"),
        "description": N_("Description"),
        "priority": N_("Priority"),
        "failure_mode": N_("Failure mode"),
        "asset_tag": N_("Asset"),
        "requester_name": N_("Requester"),
        "line_stopped": N_("Line stopped"),
    }
)

WORK = N_("Work on it")
GROUPS: Mapping[str, Sequence[Command]] = MappingProxyType(
    {
        WORK: (
            Command.ACCEPT,
            Command.DEPART,
            Command.ARRIVE,
            Command.REMOTE_ACTION,
            Command.EXECUTE,
            Command.START_OPERATION,
            Command.FINISH_OPERATION,
            Command.CHECK_OPERATION,
            Command.COMPLETE_TASK,
            Command.USE_PARTS,
            Command.RESOLVE,
            Command.NOTE,
            Command.APPROVAL_REQUEST,
            Command.HOLD,
            Command.EXTEND_HOLD,
            Command.RESUME,
            Command.OVERRIDE_PRIORITY,
            Command.END_OVERRIDE,
            Command.ACKNOWLEDGE,
        ),
        N_("Hand it over"): (
            Command.DISPATCH,
            Command.TRANSFER,
            Command.HAND_OVER,
            Command.RATE_HAND_OVER,
        ),
        N_("Join it with others"): (Command.LINK, Command.SPLIT, Command.MERGE),
        N_("End it"): (
            Command.REQUEST_CONFIRMATION,
            Command.CONFIRM,
            Command.DISPUTE,
            Command.CLOSE,
            Command.CANCEL,
            Command.REOPEN,
        ),
    }
)
