"""Named queries: SQL lives in ``storage/sql/<noun>.sql``, each query with a name and a line of purpose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from psycopg.sql import SQL

_HEADER = re.compile(r"^-- name: (\w+)\n-- (.+)\n", re.MULTILINE)


@cache
def load(noun: str) -> Mapping[str, SQL]:
    """Return the queries of ``storage/sql/<noun>.sql`` by name, ready for ``connection.execute``.

    Raises ``ValueError`` when the file breaks the format: a ``-- name:`` line, a purpose line, then the SQL.
    """
    text = (files("storage") / "sql" / f"{noun}.sql").read_text(encoding="utf-8")
    return MappingProxyType({name: SQL(body) for name, _, body in split(text, noun)})


def split(text: str, noun: str) -> list[tuple[str, str, str]]:
    """Cut one file's text into (name, purpose, SQL); used by ``load`` and by the tidy tests."""
    headers = list(_HEADER.finditer(text))
    if len(headers) != text.count("-- name:"):
        raise ValueError(f"{noun}.sql: every '-- name: x' line must be followed by a purpose line '-- ...'")
    ends = [header.start() for header in headers[1:]] + [len(text)]
    found = [
        (header[1], header[2], text[header.end() : end].strip().rstrip(";"))
        for header, end in zip(headers, ends, strict=True)
    ]
    names = [name for name, _, _ in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{noun}.sql: names must be unique, repeated: {', '.join(repeated)}")
    return found
