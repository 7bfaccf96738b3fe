"""How alike two reports are, and which words a text is found by, in Chinese and English alike (SPEC Q1, T10).

Chinese has no spaces: a run of characters is taken as its overlapping pairs. A word with a digit in it is a code and
stays whole: C-2 is another machine than C-5, however alike the rest of the two sentences is.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = rf"[^\W_{_HAN}]+"
_TOKEN = re.compile(rf"[{_HAN}]+|{_WORD}(?:[-./]{_WORD})*")
_PARTS = re.compile(r"[-./]")
_FUNCTION_WORDS = frozenset(
    {
        "a", "an", "and", "are", "as", "at", "be", "been", "by", "for", "from", "had", "has", "have", "in", "into",
        "is", "it", "its", "no", "not", "of", "off", "on", "or", "our", "so", "than", "that", "the", "then", "there",
        "this", "to", "was", "we", "were", "when", "which", "while", "will", "with",
    }
)  # fmt: skip
_TITLE_WEIGHT = 3.0

MODE_PART, TIME_PART, TEXT_PART = 0.45, 0.2, 0.35
UNKNOWN_MODE = 0.5


def tokens(text: str) -> list[str]:
    """Return what a text is found by, in its order: words without plural, codes whole, Chinese in pairs."""
    found: list[str] = []
    for match in _TOKEN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        run = match[0]
        if re.match(f"[{_HAN}]", run):
            found += [run] if len(run) == 1 else [run[place : place + 2] for place in range(len(run) - 1)]
        elif _is_code(run):
            found += [run, *(part for part in _PARTS.split(run) if len(part) >= 3 and part != run)]
        else:
            found += [_singular(part) for part in _PARTS.split(run) if part not in _FUNCTION_WORDS]
    return found


def words_of_article(title: str, body: str) -> dict[str, float]:
    """Return the words of an article with their weights: the title's count three times, repeats count ever less."""
    weights = {word: 1.0 + math.log(times) for word, times in Counter(tokens(body)).items()}
    for word in set(tokens(title)):
        weights[word] = weights.get(word, 0.0) + _TITLE_WEIGHT
    return weights


def overlap(one: str, other: str) -> float:
    """Return how many of their words two texts share, 0 to 1 (Dice); 0 when they name different codes."""
    mine, theirs = set(tokens(one)), set(tokens(other))
    if not mine or not theirs:
        return 0.0
    my_codes, their_codes = ({token for token in side if _is_code(token)} for side in (mine, theirs))
    if my_codes and their_codes and not my_codes & their_codes:
        return 0.0
    return 2 * len(mine & theirs) / (len(mine) + len(theirs))


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two tickets of one asset are, 0 to 1, and its three parts, each 0 to 1."""

    score: float
    mode: float
    time: float
    text: float


def likeness(
    modes: tuple[int | None, int | None], apart: timedelta, within: timedelta, texts: tuple[str, str]
) -> Likeness:
    """Compare two tickets of one asset: failure mode and time first, then the text."""
    mine, theirs = modes
    mode = UNKNOWN_MODE if mine is None or theirs is None else float(mine == theirs)
    time = max(0.0, 1.0 - abs(apart) / within)
    text = overlap(*texts)
    score = MODE_PART * mode + TIME_PART * time + TEXT_PART * text
    return Likeness(round(score, 3), mode, round(time, 3), round(text, 3))


def _is_code(token: str) -> bool:
    return any(character.isdigit() for character in token)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
