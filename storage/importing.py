"""The words of an import into the register: rows that come, errors in their cells, records that are there (SPEC E1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import TYPE_CHECKING, Generic, TypeVar

from psycopg import Connection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ERRORS_SHOWN = 1_000

Value = str | int | float | date | datetime | None
Key = tuple[Value, ...]
Facts = TypeVar("Facts", bound="DataclassInstance")
# Column, what came, what was expected.
Complain = Callable[[str, Value, str], None]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One row: its number as people count it, and the values of the columns that the table has."""

    number: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class CellError:
    """What is wrong in one cell, or without a column in one row."""

    row: int
    column: str | None
    got: str
    expected: str


@dataclass(slots=True)
class Errors:
    """Errors in the order found: the first thousand, and how many there are."""

    shown: list[CellError] = field(default_factory=list)
    count: int = 0

    def add(self, row: int, column: str | None, got: object, expected: str) -> None:
        """Note one more."""
        self.count += 1
        if len(self.shown) < ERRORS_SHOWN:
            self.shown.append(CellError(row, column, str(got)[:200], expected))


@dataclass(frozen=True, slots=True)
class Known(Generic[Facts]):
    """A record that is there: its key in the database (0 where none is needed), its version, what it says."""

    id: int
    version: int
    facts: Facts


class Importer(ABC, Generic[Facts]):
    """How one kind of record is known, how its references are resolved and how it is written.

    ``zones`` has the time zone of every site: a time without one, as spreadsheets have them, is the site's.
    """

    # The columns that tell one record from another, and those that a new one cannot do without.
    keys: tuple[str, ...]
    needed: tuple[str, ...] = ()

    def __init__(self, connection: Connection, zones: Mapping[str, tzinfo], sites: Sequence[str]) -> None:
        self.connection = connection
        self.zones = zones
        self.known: Mapping[Key, Known[Facts]] = self.read(sites)

    @abstractmethod
    def read(self, sites: Sequence[str]) -> Mapping[Key, Known[Facts]]:
        """Return the records there are at these sites, and read what references lead to."""

    @abstractmethod
    def fields(self, values: Mapping[str, Value], complain: Complain) -> dict[str, object]:
        """Return the record's fields, references resolved; complain about those that lead nowhere."""

    @abstractmethod
    def fresh(self, fields: dict[str, object]) -> Facts:
        """Return a new record of these fields."""

    @abstractmethod
    def insert(self, records: Sequence[Facts], now: datetime) -> int:
        """Write new records; return how many were written."""

    @abstractmethod
    def update(self, records: Sequence[tuple[Known[Facts], Facts]]) -> int:
        """Write changed records, each unless its version moved on; return how many were written."""

    def check(self, facts: Facts, complain: Complain) -> None:
        """Complain about columns that do not fit together."""

    def moment(self, site: Value, value: Value) -> Value:
        """Return a time with its zone, the site's where it has none."""
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=self.zones[str(site)])
        return value
