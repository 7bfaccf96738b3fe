"""Rows for COPY in its text format, gathered by table: the fastest way into the database for made-up data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from psycopg import Connection
from psycopg.sql import SQL, Identifier

# Parents before children, with the columns in the order in which ``Rows.add`` is given them.
TABLES: Mapping[str, str] = {
    "prediction": "id asset_id failure_mode_id stage status probability evidence_at first_evidence_at window_from"
    " window_to opened_at updated_at",
    "prediction_evidence": "prediction_id kind reference ts log_odds summary_en summary_zh",
    "finding": "id rule_id series_id asset_id metric detector direction severity shadow opened_at cleared_at value"
    " score limit_value evidence recorded_at",
    "ticket": "id code kind state outcome site_id asset_id failure_mode_id prediction_id title_en title_zh description"
    " priority priority_reason policy_id requester_id assignee_id opened_at due_at evidence_at expected_response_at"
    " responded_at resolution_code found_failure_mode_id cause action_taken work_finished_at resolved_at confirmed_at"
    " closed_at last_effective_at version timeline_length timeline_head line_stopped",
    "ticket_event": "ticket_id number at actor_kind actor_id actor_name channel command from_state to_state effective"
    " summary facts previous_hash hash",
    "ticket_clock": "ticket_id clock calendar_id target_s started_at due_at stopped_at noticed_at",
    "ticket_finding": "ticket_id finding_id joined_at",
    "ticket_task": "ticket_id number text_en text_zh done_at done_by",
    "hold": "ticket_id started_at reason review_at ended_at noticed_at",
    "dispatch_decision": "ticket_id at chosen_id candidates",
    "bill_line": "ticket_id part_id predicted probability issued used returned",
    "stock_movement": "part_id quantity reason ticket_id at",
    "attachment": "id ticket_id kind file_name media_type content added_by added_at",
    "confirmation_link": "id ticket_id secret_hash created_at expires_at used_at",
    "survey_answer": "confirmation_link_id ticket_id solved satisfied cause comment answered_at",
    "closure_lesson": "ticket_id asset_type_id predicted_mode_id found_mode_id outcome rules parts closed_at asset_id"
    " probability evidence_at found_at lead_h",
}
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Raw(str):
    """Text that is already as COPY wants it."""

    __slots__ = ()


class Rows:
    """Lines by table."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {table: [] for table in TABLES}

    def add(self, table: str, *values: object) -> None:
        """Add a row, its values in the order of the table's columns."""
        self.lines[table].append("\t".join(map(as_text, values)))

    def write(self, connection: Connection) -> int:
        """Copy every row into its table and return how many there were."""
        for table, columns in TABLES.items():
            lines = self.lines[table]
            if not lines:
                continue
            names = SQL(", ").join(map(Identifier, columns.split()))
            statement = SQL("copy {} ({}) from stdin").format(Identifier(table), names)
            with connection.cursor().copy(statement) as copy:
                copy.write("\n".join(lines) + "\n")
        return sum(map(len, self.lines.values()))


def as_text(value: object) -> str:
    """Return a value as a field of COPY's text format; mappings and lists are JSON."""
    kind = type(value)
    if value is None:
        return "\\N"
    if kind is Raw:
        return str(value)
    if kind is str:
        return str(value).translate(_ESCAPES)
    if kind is bool:
        return "t" if value else "f"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"\\\\x{value.hex()}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)
    return str(value)
