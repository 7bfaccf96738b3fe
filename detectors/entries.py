"""Entries of a library file: typed access to a TOML table, with refusals that name the entry and the field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from detectors.parameters import Scalar
from domain.refusals import Refused

TEXT_MAX = 4000
# No list of a library is longer than this: modes, rules, signs, parts, tasks.
ENTRIES_MAX = 500


class Entry:
    """A table of the file and where it stands ("mode 2 'bearing_wear'"). What is never asked for is refused at last."""

    def __init__(self, table: Mapping[str, object], place: str) -> None:
        self._table = table
        self._asked: set[str] = set()
        self.place = place

    def has(self, key: str) -> bool:
        """Say whether the field is there."""
        return key in self._table

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty, or the default where there is no such field."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX or "\x00" in value:
            raise self.refusal(f"a text '{key}' of 1 to {TEXT_MAX} characters", repr(value)[:100])
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where there is no such field."""
        value = self._list(key)
        if not all(isinstance(one, str) and 0 < len(one) <= TEXT_MAX and "\x00" not in one for one in value):
            raise self.refusal(f"a list of texts '{key}'", repr(value)[:100])
        return tuple(str(one) for one in value)

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Return a number in [low, high], or the default where there is no such field."""
        value = self._take(key)
        return default if value is None and default is not None else self._number(value, key, low, high)

    def numbers(self, key: str, low: float, high: float) -> tuple[float, ...]:
        """Return a list of numbers in [low, high], empty where there is no such field."""
        return tuple(self._number(one, key, low, high) for one in self._list(key))

    def whole(self, key: str, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.refusal(f"a whole number '{key}' of {low} to {high}", repr(value)[:100])
        return value

    def flag(self, key: str) -> bool:
        """Return true or false; false where there is no such field."""
        value = self._take(key)
        if value not in (None, True, False):
            raise self.refusal(f"true or false for '{key}'", repr(value)[:100])
        return value is True

    def choice(self, key: str, among: Sequence[str]) -> str:
        """Return one of the words."""
        value = self._take(key)
        if not isinstance(value, str) or value not in among:
            raise self.refusal(f"a {key} of {', '.join(among)}", repr(value)[:100])
        return value

    def scalars(self, key: str) -> dict[str, Scalar]:
        """Return a table of plain values, empty where there is no such field."""
        value = self._take(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.refusal(f"a table '{key}'", repr(value)[:100])
        for name, one in value.items():
            if not isinstance(one, (str, int, float, bool)):
                raise self.refusal(f"a plain value for '{name}' in '{key}'", repr(one)[:100])
        return value

    def entry(self, key: str) -> Entry:
        """Return the table under this key."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.refusal(f"a table '{key}'", repr(value)[:100])
        return Entry(value, f"{key} of {self.place}" if self.place else key)

    def entries(self, key: str, named_by: str = "") -> list[Entry]:
        """Return the tables under this key; ``named_by`` is the field that tells them apart."""
        found = []
        for count, one in enumerate(self._list(key), start=1):
            if not isinstance(one, dict):
                raise self.refusal(f"a list of tables '{key}'", repr(one)[:100])
            name = f" '{one[named_by]}'" if isinstance(one.get(named_by), str) else ""
            found.append(Entry(one, f"{key} {count}{name}" + (f" of {self.place}" if self.place else "")))
        return found

    def done(self) -> None:
        """Refuse the fields that nobody asked for: a misspelt field must not be ignored."""
        unknown = sorted(set(self._table) - self._asked)
        if unknown:
            raise self.refusal(f"only the fields {', '.join(sorted(self._asked))}", f"'{unknown[0]}'")

    def refusal(self, expected: str, got: str) -> Refused:
        """Return the refusal of this entry."""
        place = f" in {self.place}" if self.place else ""
        return Refused("invalid_library", expected=expected + place, got=got, remedy="Correct the library file.")

    def _take(self, key: str) -> object:
        self._asked.add(key)
        return self._table.get(key)

    def _list(self, key: str) -> list[object]:
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > ENTRIES_MAX:
            raise self.refusal(f"a list '{key}' of at most {ENTRIES_MAX}", repr(value)[:100])
        return value

    def _number(self, value: object, key: str, low: float, high: float) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise self.refusal(f"a number '{key}'", repr(value)[:100])
        if not low <= value <= high:
            raise self.refusal(f"a number '{key}' of {low:g} to {high:g}", repr(value)[:100])
        return float(value)
