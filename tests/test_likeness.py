"""Words in two languages: what a text is found by, and how alike two reports are (SPEC Q1, T10)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ticketing.likeness import likeness, overlap, tokens, words_of_article

WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("电机轴承异响", ["电机", "机轴", "轴承", "承异", "异响"]),
        ("热", ["热"]),
        ("The bearings of pump P-101 are howling", ["bearing", "pump", "p-101", "101", "howling"]),
        ("drive-end batteries, gas; bus", ["drive", "end", "battery", "gas", "bus"]),
        ("６２０４－２ＲＳ轴承", ["6204-2rs", "6204", "2rs", "轴承"]),
        ("  …!? ", []),
    ],
)
def test_a_text_is_found_by_its_words_codes_and_pairs_of_characters(text: str, found: list[str]) -> None:
    assert tokens(text) == found


def test_one_machine_is_not_another_however_alike_the_sentences_are() -> None:
    """SPEC Q1: a bare ratio takes chiller C-2 for C-5."""
    assert (
        overlap("Chiller C-2 compressor trips on high pressure", "Chiller C-5 compressor trips on high pressure") == 0
    )
    assert overlap("冷水机C-2压缩机高压跳闸", "冷水机C-5压缩机高压跳闸") == 0
    assert overlap("Chiller C-2 trips on high pressure", "C-2 trips: high pressure") > 0.8
    assert overlap("冷水机压缩机高压跳闸", "压缩机高压跳闸了") > 0.6
    assert overlap("", "") == 0


@pytest.mark.parametrize(
    ("modes", "apart", "texts", "is_likely"),
    [
        ((1, 1), HOUR, ("Motor howls", "轴承异响"), True),
        ((None, None), HOUR, ("Motor howls loudly", "motor howls"), True),
        ((None, 1), HOUR, ("电机轴承有异响", "轴承有异响"), True),
        ((None, None), HOUR, ("Motor howls", "Paint is coming off"), False),
        ((1, 2), HOUR, ("Motor howls", "Motor leaks oil at the shaft"), False),
        ((None, None), 8 * timedelta(days=1), ("Motor howls", "Motor noise"), False),
    ],
)
def test_mode_and_time_count_before_the_words(
    modes: tuple[int | None, int | None], apart: timedelta, texts: tuple[str, str], is_likely: bool
) -> None:
    alike = likeness(modes, apart, WEEK, texts)
    assert (alike.score >= 0.5) is is_likely, alike
    assert likeness(modes[::-1], -apart, WEEK, texts[::-1]) == alike


def test_the_words_of_a_title_count_more_and_repeats_ever_less() -> None:
    weights = words_of_article("Bearing noise", "bearing bearing bearing grease")
    assert weights["noise"] == 3.0
    assert weights["grease"] == 1.0
    assert 5.0 < weights["bearing"] < 5.2
