"""The reader's language: an explicit choice, else the cookie that remembers one, else what the browser prefers."""

from __future__ import annotations

from enum import StrEnum

from fastapi import Request

QUERY_NAME = "lang"
COOKIE_NAME = "wearsight_language"


class Language(StrEnum):
    """The languages of the product."""

    EN = "en"
    ZH = "zh"


def preferred_language(request: Request) -> Language:
    """Return the language of a request: ``?lang=``, the cookie, Accept-Language, else English."""
    for chosen in (request.query_params.get(QUERY_NAME), request.cookies.get(COOKIE_NAME)):
        if (language := _named(chosen or "")) is not None:
            return language
    return _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> Language:
    """Return the known language with the highest weight in an Accept-Language header; the first wins a tie."""
    best, best_weight = Language.EN, 0.0
    for entry in header.split(","):
        tag, _, parameters = entry.partition(";")
        language, weight = _named(tag.strip()), _weight(parameters)
        if language is not None and weight > best_weight:
            best, best_weight = language, weight
    return best


def _named(tag: str) -> Language | None:
    primary = tag.lower().split("-")[0].split("_")[0]
    return Language(primary) if primary in set(Language) else None


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
