"""The bytes of Sparkplug B: a protobuf message described by a table, in our own words.

Only the fields that a host needs are described; all others are passed over unread. What is a message of its own on
the wire and of no use here (data sets, templates, nested property sets) is described as bytes, which look the same:
so a value's presence is seen without its content being parsed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Protocol, cast

from google.protobuf.descriptor_pb2 import EDITION_2023, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from ingest.limits import MAX_PAYLOAD_BYTES
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_microseconds

# A birth names everything that a node will ever tell: thousands of metrics in one message.
MAX_BIRTH_BYTES = 1024 * 1024
_COMPRESSED = "SPBV1.0_COMPRESSED"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class DataType(IntEnum):
    """The data types by their codes."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13
    TEXT = 14
    UUID = 15
    DATA_SET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATE_TIME_ARRAY = 34


# message -> (number, name, type, is it a list?, one of). A type with a capital letter is another message of the table.
FIELDS: dict[str, tuple[tuple[int, str, str, bool, str], ...]] = {
    "Payload": (
        (1, "timestamp", "uint64", False, ""),
        (2, "metrics", "Metric", True, ""),
        (3, "seq", "uint64", False, ""),
        (4, "uuid", "string", False, ""),
        (5, "body", "bytes", False, ""),
    ),
    "Metric": (
        (1, "name", "string", False, ""),
        (2, "alias", "uint64", False, ""),
        (3, "timestamp", "uint64", False, ""),
        (4, "datatype", "uint32", False, ""),
        (5, "is_historical", "bool", False, ""),
        (6, "is_transient", "bool", False, ""),
        (7, "is_null", "bool", False, ""),
        (9, "properties", "PropertySet", False, ""),
        (10, "int_value", "uint32", False, "value"),
        (11, "long_value", "uint64", False, "value"),
        (12, "float_value", "float", False, "value"),
        (13, "double_value", "double", False, "value"),
        (14, "boolean_value", "bool", False, "value"),
        (15, "string_value", "string", False, "value"),
        (16, "bytes_value", "bytes", False, "value"),
        (17, "dataset_value", "bytes", False, "value"),
        (18, "template_value", "bytes", False, "value"),
    ),
    "PropertySet": (
        (1, "keys", "string", True, ""),
        (2, "values", "Property", True, ""),
    ),
    "Property": (
        (2, "is_null", "bool", False, ""),
        (3, "int_value", "uint32", False, "value"),
        (4, "long_value", "uint64", False, "value"),
        (8, "string_value", "string", False, "value"),
    ),
}


class Property(Protocol):
    """One property of a metric."""

    is_null: bool
    int_value: int
    long_value: int
    string_value: str

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Return which field of a group is there."""


class PropertySet(Protocol):
    """Properties: names and values as two lists."""

    @property
    def keys(self) -> Sequence[str]:
        """The names."""

    @property
    def values(self) -> Sequence[Property]:
        """The values, in the order of the names."""


class Metric(Protocol):
    """One metric as it is sent. What is not there reads as zero: ask ``HasField``, ``WhichOneof("value")``."""

    name: str
    alias: int
    timestamp: int
    datatype: int
    is_historical: bool
    is_transient: bool
    is_null: bool
    int_value: int
    long_value: int
    float_value: float
    double_value: float
    boolean_value: bool
    string_value: str
    bytes_value: bytes

    @property
    def properties(self) -> PropertySet:
        """The properties, empty where there are none."""

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's name
        """Say whether a field is there."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """Return which field of a group is there."""


class Payload(Protocol):
    """One message: times are in milliseconds since 1970."""

    timestamp: int
    seq: int
    uuid: str
    body: bytes

    @property
    def metrics(self) -> Sequence[Metric]:
        """The metrics, in the order they were sent."""

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's name
        """Say whether a field is there."""


def read(payload: bytes, *, is_birth: bool) -> Payload:
    """Parse a payload; one whose body is compressed is unpacked first.

    Raises Unusable("too_large"), Unusable("bad_sparkplug").
    """
    limit = MAX_BIRTH_BYTES if is_birth else MAX_PAYLOAD_BYTES
    if len(payload) > limit:
        raise Unusable(Reason.TOO_LARGE, f"got {len(payload)} bytes, expected at most {limit}")
    parsed = _parse(payload)
    if parsed.uuid != _COMPRESSED:
        return parsed
    inner = _parse(_unpacked(parsed.body, limit))
    # Encoders differ in which of the two carries time and number.
    if parsed.HasField("timestamp") and not inner.HasField("timestamp"):
        inner.timestamp = parsed.timestamp
    if parsed.HasField("seq") and not inner.HasField("seq"):
        inner.seq = parsed.seq
    return inner


def rebirth_request(now: datetime) -> bytes:
    """Return the command that asks an edge node to be born again."""
    command = _PAYLOAD(
        timestamp=to_microseconds(now) // 1000,
        metrics=[
            _METRIC(
                name="Node Control/Rebirth",
                timestamp=to_microseconds(now) // 1000,
                datatype=DataType.BOOLEAN,
                boolean_value=True,
            )
        ],
    )
    return command.SerializeToString()


def _parse(payload: bytes) -> Payload:
    parsed = _PAYLOAD()
    try:
        parsed.ParseFromString(payload)
    except DecodeError as error:
        raise Unusable(Reason.BAD_SPARKPLUG, f"no protobuf payload of Sparkplug B: {str(error)[:200]}") from None
    return cast(Payload, parsed)


def _unpacked(body: bytes, limit: int) -> bytes:
    unpacking = zlib.decompressobj(wbits=_GZIP_OR_ZLIB)
    try:
        unpacked = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unusable(Reason.BAD_SPARKPLUG, f"the compressed body is neither GZIP nor DEFLATE: {error}") from None
    if len(unpacked) > limit:
        raise Unusable(Reason.TOO_LARGE, f"got a compressed body of more than {limit} bytes, expected at most that")
    if not unpacking.eof:
        raise Unusable(Reason.BAD_SPARKPLUG, f"the compressed body of {len(body)} bytes ends before its end")
    return unpacked


def _described(tables: Iterable[tuple[str, tuple[tuple[int, str, str, bool, str], ...]]]) -> FileDescriptorProto:
    # This edition checks that texts are UTF-8, and still tells a field that is absent from one that is zero.
    file = FileDescriptorProto(
        name="wearsight_sparkplug_b.proto", package="wearsight.sparkplug", syntax="editions", edition=EDITION_2023
    )
    for message, fields in tables:
        described = file.message_type.add(name=message)
        for number, name, kind, is_list, one_of in fields:
            label = FieldDescriptorProto.LABEL_REPEATED if is_list else FieldDescriptorProto.LABEL_OPTIONAL
            field = described.field.add(name=name, number=number, label=label)
            if kind[0].isupper():
                field.type = FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{file.package}.{kind}"
            else:
                field.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
            if one_of:
                if not described.oneof_decl:
                    described.oneof_decl.add(name=one_of)
                field.oneof_index = 0
    return file


def _message_class(name: str) -> type[Message]:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"wearsight.sparkplug.{name}"))


_POOL = DescriptorPool()
_POOL.Add(_described(FIELDS.items()))
_PAYLOAD = _message_class("Payload")
_METRIC = _message_class("Metric")
