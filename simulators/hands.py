"""Giving a command as a person at the screen does: with the facts that the ticket asks for, known or made up.

What a command needs is read from the ticket's next steps, so that people who were simulated before a fact was asked
for give it all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from simulators.console_client import ApiRefusal, ConsoleClient, Json, objects, text

SERVER_ERROR = 500
SAID = "Measured, adjusted and tested as the work order asks"

_MADE_UP: Mapping[str, Callable[[datetime], object]] = {
    "text": lambda now: SAID,
    "number": lambda now: 1.0,
    "integer": lambda now: 1,
    "boolean": lambda now: True,
    "future_time": lambda now: (now + timedelta(hours=1)).isoformat(),
    "time": lambda now: now.isoformat(),
}


class Hands:
    """Gives commands for people; what the service refused is counted by command and name."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.refused: Counter[str] = Counter()

    def give(self, who: ConsoleClient, code: str, command: str, facts: Json, summary: str = "") -> Json | None:
        """Give a command and return the ticket after it; None when the service says no: the person leaves it then."""
        path = f"/tickets/{code}/commands/{command}"
        try:
            return who.post(path, {"summary": summary, "facts": facts})
        except ApiRefusal as refusal:
            if refusal.name != "missing_fact":
                self._count(command, refusal)
                return None
        steps = [step for step in objects(who.get(f"/tickets/{code}"), "next_steps") if step["command"] == command]
        if not steps:
            self.refused[f"{command}: not offered"] += 1
            return None
        try:
            return who.post(path, {"summary": summary or SAID, "facts": completed(steps[0], facts, self._now())})
        except ApiRefusal as refusal:
            self._count(command, refusal)
            return None

    def _count(self, command: str, refusal: ApiRefusal) -> None:
        """Count a no; what is not the person's doing is an error."""
        if refusal.status >= SERVER_ERROR:
            raise refusal
        self.refused[f"{command}: {refusal.name}"] += 1


def completed(step: Json, known: Json, now: datetime) -> Json:
    """Return the facts of a next step: the known ones, and those required that nobody thought of."""
    facts = dict(known)
    for need in objects(step, "facts"):
        name = text(need, "name")
        if need.get("required") is not True or name in facts:
            continue
        options = objects(need, "options")
        if options:
            kind, value = text(need, "type"), text(options[0], "value")
            facts[name] = int(value) if kind in ("integer", "person", "team") and value.isdigit() else value
        elif text(need, "type") in _MADE_UP:
            facts[name] = _MADE_UP[text(need, "type")](now)
    return facts
