"""Translations: one gettext catalogue for Python, templates and the browser's scripts, read from .po at start.

English is the language of the message ids, so it needs no catalogue. No compiled .mo files: reading the few
hundred messages takes milliseconds, and what is committed is what is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from babel.messages.pofile import read_po

from api.languages import Language

LOCALE = Path(__file__).parent / "locale"
# BCP 47 tags for the lang attribute and for scripts, and what each language calls itself.
TAGS: Mapping[Language, str] = MappingProxyType({Language.EN: "en", Language.ZH: "zh-CN"})
OWN_NAMES: Mapping[Language, str] = MappingProxyType({Language.EN: "English", Language.ZH: "简体中文"})


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Translations of one language: all messages, and those that the browser's scripts use."""

    messages: Mapping[str, str]
    script_words: Mapping[str, str]

    def gettext(self, message: str) -> str:
        """Return the translation, or the message itself."""
        return self.messages.get(message, message)


def N_(message: str) -> str:  # noqa: N802 -- the customary name, known to extractors
    """Mark a message in a table for extraction without translating it yet."""
    return message


@cache
def catalogue(language: Language) -> Catalogue:
    """Return the catalogue of a language, read once per process."""
    if language is Language.EN:
        return Catalogue(MappingProxyType({}), MappingProxyType({}))
    with (LOCALE / "zh_CN" / "LC_MESSAGES" / "wearsight.po").open("rb") as file:
        read = read_po(file, locale="zh_CN")
    messages: dict[str, str] = {}
    script_words: dict[str, str] = {}
    for message in read:
        if not isinstance(message.id, str) or not isinstance(message.string, str) or not message.id:
            continue
        if message.string and not message.fuzzy:
            messages[message.id] = message.string
            if any(name.endswith(".ts") for name, _ in message.locations):
                script_words[message.id] = message.string
    return Catalogue(MappingProxyType(messages), MappingProxyType(script_words))
