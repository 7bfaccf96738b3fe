"""A library taken into a running house, and out of it (SPEC P1).

An import is all or nothing, and the answer tells what it changed. Modes are known by their code, rules by their name:

- a mode that the file does not have is retired, never deleted: tickets and predictions refer to it;
- a rule is published as a new version only where it differs, and one that the file does not have is switched off;
- a part that the parts register knows keeps the names it has there.

Rules of every asset type belong to the library of the type ``generic``; another library may add and change them, but
does not switch them off by leaving them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from detectors.catalogue import CATALOGUE
from detectors.library import Library, RuleDraft, RuleMode
from detectors.parameters import Scalar, read
from domain.failure_modes import FailureMode
from domain.refusals import Refused
from storage.library import QUERIES, columns_of, save_needs, stored_modes
from storage.regimes import regimes_of, save_regimes
from storage.rules import newest_rules, publish_rule

GENERIC = "generic"


class Noun(StrEnum):
    """What a change is about."""

    ASSET_TYPE = "asset_type"
    REGIME = "regime"
    MODE = "mode"
    RULE = "rule"


class Deed(StrEnum):
    """What an import does to it."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class LibraryChange:
    """One thing that an import changed, by its id, code or name. ``removed``: retired, or switched off."""

    noun: Noun
    name: str
    deed: Deed


def export_library(connection: Connection, asset_type: str) -> Library:
    """Return the library of an asset type as it is in force. Raises Refused("unknown_record")."""
    names = _names(connection, asset_type)
    if names is None:
        raise Refused(
            "unknown_record",
            expected="the id of an asset type",
            got=repr(asset_type)[:100],
            remedy="Look it up in the list of failure modes.",
        )
    rules = [draft for draft in _rules(connection).values() if _belongs(draft, asset_type)]
    return Library(
        asset_type,
        *names,
        modes=tuple(stored_modes(connection, asset_type).values()),
        rules=tuple(rule for rule in rules if rule.mode != RuleMode.OFF),
        regimes=regimes_of(connection, asset_type),
    )


def import_library(connection: Connection, library: Library, now: datetime) -> list[LibraryChange]:
    """Make the library the one in force for its asset type; return what that changed, in order.

    Raises Refused("invalid_library") where a rule's name is taken by another asset type. The caller owns the
    transaction: rolled back, it was a trial.
    """
    changes = [*_take_names(connection, library)]
    changes += _take_regimes(connection, library, now)
    changes += _take_modes(connection, library, now)
    changes += _take_rules(connection, library, now)
    return changes


def _names(connection: Connection, asset_type: str) -> tuple[str, str] | None:
    row = connection.execute(QUERIES["asset_type"], {"id": asset_type}).fetchone()
    return None if row is None else (row[0], row[1])


def _take_names(connection: Connection, library: Library) -> list[LibraryChange]:
    told = {"id": library.asset_type, "name_en": library.name_en, "name_zh": library.name_zh}
    known = _names(connection, library.asset_type)
    if known is None:
        connection.execute(QUERIES["insert_asset_type"], told)
        return [LibraryChange(Noun.ASSET_TYPE, library.asset_type, Deed.ADDED)]
    if known == (library.name_en, library.name_zh):
        return []
    connection.execute(QUERIES["rename_asset_type"], told)
    return [LibraryChange(Noun.ASSET_TYPE, library.asset_type, Deed.CHANGED)]


def _take_regimes(connection: Connection, library: Library, now: datetime) -> list[LibraryChange]:
    known = regimes_of(connection, library.asset_type)
    if known == library.regimes:
        return []
    save_regimes(connection, library.asset_type, library.regimes, now)
    deed = Deed.ADDED if known is None else Deed.REMOVED if library.regimes is None else Deed.CHANGED
    return [LibraryChange(Noun.REGIME, library.asset_type, deed)]


def _take_modes(connection: Connection, library: Library, now: datetime) -> list[LibraryChange]:
    ids = {mode.code: mode_id for mode_id, mode in stored_modes(connection, library.asset_type).items()}
    known = {mode.code: mode for mode in stored_modes(connection, library.asset_type).values()}
    called = _called(connection, [part.number for mode in library.modes for part in mode.parts])
    changes = []
    for mode in (_settled(mode, called) for mode in library.modes):
        if mode == known.get(mode.code):
            continue
        row = connection.execute(QUERIES["rewrite_failure_mode"], columns_of(mode)).fetchone()
        row = row or connection.execute(QUERIES["insert_failure_mode"], columns_of(mode)).fetchone()
        assert row is not None  # what cannot be rewritten is not there, and nobody else imports now
        save_needs(connection, row[0], mode)
        changes.append(LibraryChange(Noun.MODE, mode.code, Deed.CHANGED if mode.code in known else Deed.ADDED))
    for code in sorted(known.keys() - {mode.code for mode in library.modes}):
        connection.execute(QUERIES["retire_failure_mode"], {"id": ids[code], "now": now})
        connection.execute(QUERIES["close_watches_of_retired"], {"id": ids[code], "now": now})
        changes.append(LibraryChange(Noun.MODE, code, Deed.REMOVED))
    return changes


def _called(connection: Connection, numbers: Sequence[str]) -> dict[str, tuple[str, str]]:
    rows = connection.execute(QUERIES["part_names"], {"numbers": list(numbers)}).fetchall()
    return {number: (name_en, name_zh) for number, name_en, name_zh in rows}


def _settled(mode: FailureMode, called: Mapping[str, tuple[str, str]]) -> FailureMode:
    """Return the mode as the database would give it back: parts likeliest first, under the register's names."""
    parts = []
    for part in mode.parts:
        name_en, name_zh = called.get(part.number, (part.name_en, part.name_zh))
        parts.append(replace(part, name_en=name_en, name_zh=name_zh))
    return replace(mode, parts=tuple(sorted(parts, key=lambda part: (-part.probability, part.number))))


def _take_rules(connection: Connection, library: Library, now: datetime) -> list[LibraryChange]:
    known = _rules(connection)
    changes = []
    for draft in library.rules:
        old = known.get(draft.name)
        if old is not None and old.asset_type != draft.asset_type:
            raise Refused(
                "invalid_library",
                expected=f"a rule name that no other asset type uses in rule '{draft.name}'",
                got=f"one of {old.asset_type or 'every asset type'}",
                remedy="Give the rule another name.",
            )
        if old is not None and _meaning(old) == _meaning(draft):
            continue
        publish_rule(connection, draft, now)
        changes.append(LibraryChange(Noun.RULE, draft.name, Deed.ADDED if old is None else Deed.CHANGED))
    told = {draft.name for draft in library.rules}
    for name, old in known.items():
        if name not in told and _belongs(old, library.asset_type) and old.mode != RuleMode.OFF:
            publish_rule(connection, replace(old, mode=RuleMode.OFF), now)
            changes.append(LibraryChange(Noun.RULE, name, Deed.REMOVED))
    return changes


def _rules(connection: Connection) -> dict[str, RuleDraft]:
    return {rule.draft.name: rule.draft for rule in newest_rules(connection)}


def _belongs(draft: RuleDraft, asset_type: str) -> bool:
    return draft.asset_type == asset_type or (draft.asset_type is None and asset_type == GENERIC)


def _meaning(draft: RuleDraft) -> tuple[object, ...]:
    """Return what tells two versions apart: a parameter left out is its default, and 3 is 3.0."""
    given: dict[str, Scalar] = dict(draft.parameters)
    parameters = read(CATALOGUE[draft.detector].parameters, given)
    return draft.metric, draft.detector, parameters, draft.severity, draft.mode
