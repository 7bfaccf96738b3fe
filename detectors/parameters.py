"""Typed parameters of detectors: a frozen dataclass for people, one row of numbers for the kernels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

type_codes = {"float": "f8", "float | None": "f8", "int": "i8", "bool": "u1", "Side": "i1"}


class Side(StrEnum):
    """Which side of normal a detector watches."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


# In the kernels: 1 up, -1 down, 0 both.
SIDE_CODES = {Side.UP: 1, Side.DOWN: -1, Side.BOTH: 0}

Scalar = float | int | str | bool | None


class Parameters(Protocol):
    """Any dataclass of detector parameters; its ``__post_init__`` raises ValueError on values out of range."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[object]]]


def in_range(name: str, value: float | None, low: float, high: float = math.inf) -> None:
    """Raise ValueError unless ``value`` is None or lies in [low, high]."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"'{name}' must lie between {low:g} and {high:g}, got {value!r}")


def row_dtype(parameters: type[Parameters]) -> np.dtype[np.void]:
    """Return the dtype of the kernels' copy of these parameters: one field each, in order."""
    return np.dtype([(field.name, type_codes[str(field.type)]) for field in dataclasses.fields(parameters)])


def as_row(parameters: Parameters) -> NDArray[np.void]:
    """Return the parameters as an array of one row; a limit that is not set (None) becomes NaN."""
    row = np.zeros(1, row_dtype(type(parameters)))
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        if isinstance(value, Side):
            value = SIDE_CODES[value]
        row[field.name] = math.nan if value is None else value
    return row


def read(parameters: type[Parameters], given: Mapping[str, Scalar]) -> Parameters:
    """Return the dataclass made from ``given`` (a rule's parameters); the rest keep their defaults.

    Raises ValueError with a sentence when a name is unknown, a type is wrong or a value is out of range.
    """
    fields = {field.name: str(field.type) for field in dataclasses.fields(parameters)}
    values: dict[str, Scalar] = {}
    for name, value in given.items():
        if name not in fields:
            raise ValueError(f"there is no parameter '{name}'; there are {', '.join(fields)}")
        values[name] = _typed(name, fields[name], value)
    return parameters(**values)


def _typed(name: str, declared: str, value: Scalar) -> Scalar:
    if declared == "Side":
        if value not in list(Side):
            raise ValueError(f"'{name}' must be one of {', '.join(Side)}, got {value!r}")
        return Side(str(value))
    if declared == "bool":
        if not isinstance(value, bool):
            raise ValueError(f"'{name}' must be true or false, got {value!r}")
        return value
    if value is None and declared == "float | None":
        return None
    if declared == "int":
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"'{name}' must be a whole number, got {value!r}")
        return value
    if not _is_number(value):
        raise ValueError(f"'{name}' must be a number, got {value!r}")
    return float(value)


def _is_number(value: Scalar) -> TypeGuard[float | int]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
