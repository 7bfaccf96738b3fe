"""Values of Sparkplug B as numbers.

Whole numbers travel in unsigned fields; a negative one as two's complement. Encoders differ in how wide: an Int8 of
-1 comes as 255 or as 4,294,967,295, and both say -1. Whole numbers beyond 2**53 lose their last digits, as readings
are floating-point numbers.
"""

from __future__ import annotations

import math
from enum import StrEnum

from ingest.quarantine_reasons import Reason, Unusable
from ingest.sparkplug.wire import DataType, Metric, Property

# data type -> (bits, may it be negative?)
_WHOLE: dict[int, tuple[int, bool]] = {
    DataType.INT8: (8, True),
    DataType.INT16: (16, True),
    DataType.INT32: (32, True),
    DataType.INT64: (64, True),
    DataType.UINT8: (8, False),
    DataType.UINT16: (16, False),
    DataType.UINT32: (32, False),
    DataType.UINT64: (64, False),
    DataType.DATE_TIME: (64, True),
}
_REAL = frozenset({DataType.FLOAT, DataType.DOUBLE})
_FIELD_BITS = {"int_value": 32, "long_value": 64}
_NUMBERS = frozenset({*_WHOLE, *_REAL, DataType.BOOLEAN})
_NOT_NUMBERS = frozenset({DataType.STRING, DataType.TEXT, DataType.UUID, DataType.BYTES, DataType.FILE}) | frozenset(
    range(DataType.INT8_ARRAY, DataType.DATE_TIME_ARRAY + 1)
)
# What a value of unknown type can only be.
_TYPE_OF_FIELD = {
    "float_value": DataType.FLOAT,
    "double_value": DataType.DOUBLE,
    "boolean_value": DataType.BOOLEAN,
    "string_value": DataType.STRING,
    "bytes_value": DataType.BYTES,
    "dataset_value": DataType.DATA_SET,
    "template_value": DataType.TEMPLATE,
}
_QUALITY = "Quality"
_UNIT = "engUnit"
MAX_UNIT_LENGTH = 64
_STALE = 500
_SUBCODES_OF_BAD = 512


class Skipped(StrEnum):
    """Why a metric is passed over by rule, its message being used all the same."""

    NULL = "null"
    NOT_A_NUMBER = "not_a_number"
    BAD_QUALITY = "bad_quality"
    TRANSIENT = "transient"
    CONTROL = "control"
    NOT_CHOSEN = "not_chosen"


class TypeUnknownError(Exception):
    """A whole number came, and nobody has said how to read it."""


def to_number(metric: Metric, datatype: int, name: str) -> float | Skipped:
    """Return the metric's value as a finite number, or why it is passed over.

    Raises Unusable, naming the metric, and TypeUnknownError where ``datatype`` is 0 and the value is ambiguous.
    """
    field = metric.WhichOneof("value")
    if field is None or metric.is_null:
        return Skipped.NULL
    if datatype not in _NUMBERS:
        if datatype == DataType.UNKNOWN:
            if field in _FIELD_BITS:
                raise TypeUnknownError
            datatype = _TYPE_OF_FIELD[field]
        _refuse_structures(datatype, field, name)
        if datatype in _NOT_NUMBERS:
            return Skipped.NOT_A_NUMBER
    if metric.is_transient:
        return Skipped.TRANSIENT
    if metric.HasField("properties") and is_bad(metric):
        return Skipped.BAD_QUALITY
    value = _number(metric, field, datatype)
    if value is None:
        _refuse_structures(datatype, field, name)
        raise Unusable(
            Reason.BAD_SPARKPLUG,
            f"metric {name[:64]!r} has data type {datatype} and {field} {str(getattr(metric, field))[:32]}, "
            "which do not fit",
        )
    if not math.isfinite(value):
        raise Unusable(Reason.NOT_A_NUMBER, f"metric {name[:64]!r} is {value}, expected a finite number")
    return value


def _refuse_structures(datatype: int, field: str, name: str) -> None:
    if datatype == DataType.DATA_SET or field == "dataset_value":
        raise Unusable(Reason.SPARKPLUG_DATA_SET, f"metric {name[:64]!r} is a data set, expected a single number")
    if datatype == DataType.TEMPLATE or field == "template_value":
        raise Unusable(Reason.SPARKPLUG_TEMPLATE, f"metric {name[:64]!r} is a template, expected a single number")


def _number(metric: Metric, field: str, datatype: int) -> float | None:
    if datatype in _REAL:
        if field == "float_value":
            return metric.float_value
        return metric.double_value if field == "double_value" else None
    if datatype == DataType.BOOLEAN:
        return float(metric.boolean_value) if field == "boolean_value" else None
    if datatype in _WHOLE and field in _FIELD_BITS:
        sent = metric.int_value if field == "int_value" else metric.long_value
        whole = _whole(sent, _FIELD_BITS[field], *_WHOLE[datatype])
        return None if whole is None else float(whole)
    return None


def _whole(sent: int, field_bits: int, bits: int, is_signed: bool) -> int | None:
    """Read a whole number of ``bits`` that came in a field of ``field_bits``; None where it does not fit."""
    if not is_signed:
        return sent if sent < 1 << bits else None
    half = 1 << (bits - 1)
    if sent < half:
        return sent
    if sent < 1 << bits:
        return sent - (1 << bits)
    widened = sent - (1 << field_bits)
    return widened if widened >= -half else None


def is_bad(metric: Metric) -> bool:
    """Say whether the sender itself calls the value bad or stale.

    0 is bad, 192 good, 500 stale. Ignition sends its own codes: bad ones have the top bit set, or are 512 and above.
    """
    quality = _property(metric, _QUALITY)
    if quality is None or quality.is_null:
        return False
    field = quality.WhichOneof("value")
    if field not in _FIELD_BITS:
        return False
    sent = quality.int_value if field == "int_value" else quality.long_value
    code = sent - (1 << 32) if 1 << 31 <= sent < 1 << 32 else sent
    is_uncertain = 1 << 30 <= code < 1 << 31
    return not is_uncertain and (code <= 0 or code == _STALE or code >= _SUBCODES_OF_BAD)


def unit_of(metric: Metric) -> str | None:
    """Return the engineering unit that a birth gives, if it gives one."""
    unit = _property(metric, _UNIT)
    if unit is None or unit.is_null or unit.WhichOneof("value") != "string_value":
        return None
    text = unit.string_value.strip()
    return text if 1 <= len(text) <= MAX_UNIT_LENGTH and text.isprintable() else None


def _property(metric: Metric, name: str) -> Property | None:
    if not metric.HasField("properties"):
        return None
    properties = metric.properties
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == name:
            return value
    return None
