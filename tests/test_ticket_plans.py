"""Every query that speaks of tickets has an index to go by: what is quick with ten tickets must be with a million."""

from __future__ import annotations

from bench.explain_tickets import generic_plans
from storage.database import connect

# Tables that grow with every ticket.
GROWING = frozenset(
    [
        "ticket",
        "ticket_event",
        "ticket_clock",
        "ticket_task",
        "ticket_finding",
        "hold",
        "dispatch_decision",
        "bill_line",
        "stock_movement",
        "attachment",
        "confirmation_link",
        "survey_answer",
        "closure_lesson",
        "prediction",
        "prediction_evidence",
        "finding",
    ]
)
# Whole tables are still read by these; whoever gives one an index takes its name away.
STILL_WHOLE = {
    "closures.retire_links",
    "console.prediction_rows",
    "evidence.last_closed",
    "tickets.ticket_answers",
}


def test_no_query_about_tickets_must_read_a_growing_table_from_end_to_end(database: str) -> None:
    """With sequential scans forbidden the planner takes one only where nothing else can answer."""
    with connect(database) as connection:
        connection.execute("set enable_seqscan = off")
        found = list(generic_plans(connection, GROWING))
    assert len(found) > 90
    assert [plan.told for plan in found if plan.unplanned] == []
    assert {plan.name for plan in found if plan.scans} == STILL_WHOLE
