"""docs/lifecycle.md, rendered from the lifecycle table: ``python -m ticketing.diagram > docs/lifecycle.md``."""

from __future__ import annotations

import sys

from ticketing.closure import GATES
from ticketing.lifecycle import TABLE, Step
from ticketing.ticket import RESOLUTION_CODES, Outcome, State

HEAD = """# The lifecycle of a ticket

Generated from the table in `ticketing/lifecycle.py` by `python -m ticketing.diagram > docs/lifecycle.md`;
a test fails when the two differ. Commands that keep the state are in the table only.

"""

TABLE_HEAD = """
## Every command

Facts in *italics* are optional. A ticket's version grows with every command except those that only observe.

| Command | From | To | Who may | Facts | When | Effective | Clocks stopped | Clocks started | Records |
|---|---|---|---|---|---|---|---|---|---|
"""

GATES_HEAD = """
## Closure gates

Which gate stands before closing depends on the outcome; † only if a person reported the fault.

"""


def render() -> str:
    """Return the whole document."""
    return HEAD + _diagram() + TABLE_HEAD + "".join(_row(step) for step in TABLE) + GATES_HEAD + _gates()


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> new: open"]
    edges: dict[tuple[str, str], list[str]] = {}
    for step in TABLE:
        for origin in step.origins:
            if step.to is not None and step.to is not origin:
                names = edges.setdefault((origin.value, step.to.value), [])
                names.append(step.command.value)
    lines += [f"    {origin} --> {to}: {', '.join(names)}" for (origin, to), names in edges.items()]
    return "\n".join([*lines, "    closed --> [*]", "```", ""])


def _row(step: Step) -> str:
    origins = "any" if set(step.origins) == set(State) else ", ".join(step.origins)
    facts = ", ".join(fact.name if fact.required else f"*{fact.name}*" for fact in step.facts)
    summary = ["summary"] if step.summary_required else []
    cells = [
        f"`{step.command.value}`",
        origins,
        step.to.value if step.to else "stays",
        ", ".join(step.who),
        ", ".join(filter(None, [facts, *summary])),
        ", ".join(condition.value.replace("_", " ") for condition in step.when),
        "yes" if step.effective else "observes" if step.observes else "",
        ", ".join(step.stops),
        ", ".join([*step.starts, *(f"{clock} anew" for clock in step.anew)]),
        ", ".join(step.records or ()),
    ]
    return "| " + " | ".join(cells) + " |\n"


def _gates() -> str:
    lines = ["| Gate | " + " | ".join(RESOLUTION_CODES) + " | To pass it |", "|---" * (len(RESOLUTION_CODES) + 2) + "|"]
    for gate in GATES:
        marks = [_mark(gate.value, outcome, outcome in gate.outcomes) for outcome in RESOLUTION_CODES]
        lines.append(f"| {gate.value} | " + " | ".join(marks) + f" | {gate.remedy_en} |")
    return "\n".join(lines) + "\n"


def _mark(gate: str, outcome: Outcome, stands: bool) -> str:
    if gate == "confirmation" and outcome is Outcome.FALSE_ALARM:
        return "†"
    return "yes" if stands else ""


if __name__ == "__main__":
    sys.stdout.write(render())
