"""The failure-mode library in the database, and the libraries that come with the service."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from typing import cast

from psycopg import Connection

from detectors.learning import apply
from detectors.library import Library, parse_library
from domain.checklists import Task
from domain.failure_modes import (
    EventSign,
    FailureMode,
    FindingSign,
    HistorySign,
    PartAgeSign,
    PartNeed,
    Signature,
)
from domain.findings import Direction
from storage.learning import learnt_modes
from storage.queries import load
from storage.regimes import regimes_of, save_regimes
from storage.rules import install_rule

QUERIES = load("library")


def shipped_libraries() -> list[Library]:
    """Return the libraries in ``editions/library``, by asset type."""
    folder = files("editions") / "library"
    found = [
        parse_library(path.read_text(encoding="utf-8")) for path in folder.iterdir() if path.name.endswith(".toml")
    ]
    return sorted(found, key=lambda library: library.asset_type)


def install_library(connection: Connection, library: Library, now: datetime) -> None:
    """Store the asset type, its failure modes, parts and rules as far as they are missing.

    What is there stays as it is: people and closures may have changed it.
    """
    connection.execute(
        QUERIES["insert_asset_type"],
        {"id": library.asset_type, "name_en": library.name_en, "name_zh": library.name_zh},
    )
    for mode in library.modes:
        row = connection.execute(QUERIES["insert_failure_mode"], columns_of(mode)).fetchone()
        if row is not None:
            save_needs(connection, row[0], mode)
    for rule in library.rules:
        install_rule(connection, rule, now)
    if library.regimes is not None and regimes_of(connection, library.asset_type) is None:
        save_regimes(connection, library.asset_type, library.regimes, now)


def columns_of(mode: FailureMode) -> dict[str, object]:
    """Return the columns of a failure mode's row."""
    columns = {name: getattr(mode, name) for name in FailureMode.__slots__ if name not in ("parts", "signature")}
    columns["skills"] = list(mode.skills)
    columns["tasks"] = json.dumps([asdict(task) for task in mode.tasks])
    columns["signature"] = json.dumps(asdict(mode.signature))
    return columns


def save_needs(connection: Connection, failure_mode_id: int, mode: FailureMode) -> None:
    """Store the parts that the mode needs, instead of those that it needed so far.

    A part that the register knows keeps its names: it may serve other modes too.
    """
    connection.execute(QUERIES["drop_needs"], {"failure_mode_id": failure_mode_id})
    for part in mode.parts:
        connection.execute(
            QUERIES["insert_part"], {"number": part.number, "name_en": part.name_en, "name_zh": part.name_zh}
        )
        connection.execute(
            QUERIES["insert_failure_mode_part"],
            {
                "failure_mode_id": failure_mode_id,
                "number": part.number,
                "quantity": part.quantity,
                "probability": part.probability,
            },
        )


def failure_modes(connection: Connection, asset_type: str | None = None) -> dict[int, FailureMode]:
    """Return the failure modes of an asset type, or of all of them, with what closures taught (SPEC P4).

    By id and in the order of their codes.
    """
    learnt = learnt_modes(connection, asset_type)
    return {
        mode_id: apply(mode, learnt[mode_id]) if mode_id in learnt else mode
        for mode_id, mode in stored_modes(connection, asset_type).items()
    }


def stored_modes(connection: Connection, asset_type: str | None = None) -> dict[int, FailureMode]:
    """Return the same modes as the library says them."""
    rows = connection.execute(QUERIES["failure_modes"], {"asset_type": asset_type}).fetchall()
    needs = _parts_of(connection, [row[0] for row in rows])
    return {
        row[0]: FailureMode(
            asset_type=row[1],
            code=row[2],
            name_en=row[3],
            name_zh=row[4],
            effect_en=row[5],
            effect_zh=row[6],
            severity=row[7],
            component=row[8],
            prior=row[9],
            watch_probability=row[10],
            ticket_probability=row[11],
            window_from_h=row[12],
            window_to_h=row[13],
            skills=tuple(row[14]),
            tasks=tuple(Task(**task) for task in row[15]),
            parts=tuple(needs[row[0]]),
            signature=_signature(row[16]),
            item_en=row[17],
            item_zh=row[18],
            mechanism_en=row[19],
            mechanism_zh=row[20],
            cause_en=row[21],
            cause_zh=row[22],
            occurrence=row[23],
            detection=row[24],
        )
        for row in rows
    }


def _parts_of(connection: Connection, failure_mode_ids: Sequence[int]) -> Mapping[int, list[PartNeed]]:
    needs: defaultdict[int, list[PartNeed]] = defaultdict(list)
    rows = connection.execute(
        QUERIES["parts_of_failure_modes"], {"failure_mode_ids": list(failure_mode_ids)}
    ).fetchall()
    for failure_mode_id, number, name_en, name_zh, quantity, probability in rows:
        needs[failure_mode_id].append(PartNeed(number, name_en, name_zh, quantity, probability))
    return needs


def _signature(stored: Mapping[str, object]) -> Signature:
    findings = cast("list[dict[str, object]]", stored["findings"])
    events = cast("list[dict[str, object]]", stored["events"])
    age = cast("dict[str, float] | None", stored["part_age"])
    # Signatures stored before there was a history have none.
    history = cast("dict[str, float] | None", stored.get("history"))
    return Signature(
        findings=tuple(
            FindingSign(
                metric=str(sign["metric"]),
                detector=str(sign["detector"]),
                direction=None if sign["direction"] is None else Direction(str(sign["direction"])),
                within_h=float(cast("float", sign["within_h"])),
                log_odds=float(cast("float", sign["log_odds"])),
            )
            for sign in findings
        ),
        events=tuple(
            EventSign(
                code=str(sign["code"]),
                within_h=float(cast("float", sign["within_h"])),
                log_odds=float(cast("float", sign["log_odds"])),
                also=tuple(cast("list[str]", sign.get("also", []))),
            )
            for sign in events
        ),
        part_age=None if age is None else PartAgeSign(**age),
        history=HistorySign() if history is None else HistorySign(**history),
    )
