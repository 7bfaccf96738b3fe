"""Reading a policy table: every field by name, type and limits, and nothing that nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping

from domain.refusals import Refused
from ticketing.ticket import Clock


class PolicyTable:
    """A table being read: every field is asked for by name and type, and ``finish`` refuses what nobody asked for."""

    def __init__(self, body: Mapping[str, object], path: str) -> None:
        self.path = path
        self._body = body
        self._read: set[str] = set()

    def names(self) -> list[str]:
        """Return the names of all fields that are given."""
        return list(self._body)

    def table(self, name: str) -> PolicyTable:
        """Return a table inside this one."""
        value = self._take(name, "a table")
        if not isinstance(value, Mapping):
            raise invalid_policy(self._at(name), "a table", repr(value))
        return PolicyTable(value, self._at(name))

    def text(self, name: str) -> str:
        """Return text of 1 to 64 characters."""
        value = self._take(name, "text")
        if not isinstance(value, str) or not 1 <= len(value) <= 64:
            raise invalid_policy(self._at(name), "text of 1 to 64 characters", repr(value))
        return value

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """Return one of the options."""
        value = self._take(name, " or ".join(options))
        if value not in options:
            raise invalid_policy(self._at(name), " or ".join(options), repr(value))
        return str(value)

    def boolean(self, name: str) -> bool:
        """Return true or false."""
        value = self._take(name, "true or false")
        if not isinstance(value, bool):
            raise invalid_policy(self._at(name), "true or false", repr(value))
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        """Return a whole number within the limits."""
        value = self._take(name, f"a whole number {least} to {most}")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise invalid_policy(self._at(name), f"a whole number {least} to {most}", repr(value))
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """Return a number within the limits."""
        value = self._take(name, f"a number {least} to {most}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise invalid_policy(self._at(name), f"a number {least} to {most}", repr(value))
        return float(value)

    def clocks(self, name: str) -> list[Clock]:
        """Return a list of clocks."""
        expected = "a list of " + ", ".join(Clock)
        value = self._take(name, expected)
        if not isinstance(value, list) or any(clock not in tuple(Clock) for clock in value):
            raise invalid_policy(self._at(name), expected, repr(value))
        return [Clock(clock) for clock in value]

    def tables(self, name: str, most: int) -> list[PolicyTable]:
        """Return a list of 1 to ``most`` tables."""
        expected = f"1 to {most} tables"
        value = self._take(name, expected)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise invalid_policy(self._at(name), expected, repr(value))
        found = []
        for number, inner in enumerate(value, start=1):
            if not isinstance(inner, Mapping):
                raise invalid_policy(f"{self._at(name)}.{number}", "a table", repr(inner))
            found.append(PolicyTable(inner, f"{self._at(name)}.{number}"))
        return found

    def words(self, name: str, options: tuple[str, ...]) -> list[str]:
        """Return a list of at least one of the options, each at most once."""
        expected = "a list of at least one, each once, of " + ", ".join(options)
        value = self._take(name, expected)
        if not isinstance(value, list) or not value or any(word not in options for word in value):
            raise invalid_policy(self._at(name), expected, repr(value))
        if len(set(value)) != len(value):
            raise invalid_policy(self._at(name), expected, repr(value))
        return [str(word) for word in value]

    def known(self, name: str, names: Mapping[str, float]) -> bool:
        """Say that a name is among the known ones, or refuse it."""
        if name not in names:
            raise invalid_policy(self._at(name), "one of the tiers " + ", ".join(sorted(names)), repr(name))
        return True

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        unknown = sorted(set(self._body) - self._read)
        if unknown:
            raise invalid_policy(self.path or "the policy", "only known fields", ", ".join(unknown))

    def _take(self, name: str, expected: str) -> object:
        self._read.add(name)
        if name not in self._body:
            raise invalid_policy(self._at(name), expected, "nothing")
        return self._body[name]

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def invalid_policy(path: str, expected: str, got: str) -> Refused:
    """Return the refusal of a policy, with the path of what is wrong."""
    return Refused(
        "invalid_policy", expected=f"{path}: {expected}", got=got[:200], remedy="Correct the policy and save it again."
    )
