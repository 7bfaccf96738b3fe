"""Severity zones say where a velocity stands, by the machine's size and its foundation (SPEC D4)."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise, product

import pytest

from detectors import severity_zones
from detectors.severity_zones import BORDERS_MM_S, Foundation, MachineGroup, Zone, severity_zone

MEDIUM, LARGE = MachineGroup.MEDIUM, MachineGroup.LARGE
RIGID, FLEXIBLE = Foundation.RIGID, Foundation.FLEXIBLE


def test_the_docstrings_example_holds() -> None:
    assert doctest.testmod(severity_zones).failed == 0


@pytest.mark.parametrize(
    ("group", "foundation", "borders"),
    [
        (MEDIUM, RIGID, (1.4, 2.8, 4.5)),
        (MEDIUM, FLEXIBLE, (2.3, 4.5, 7.1)),
        (LARGE, RIGID, (2.3, 4.5, 7.1)),
        (LARGE, FLEXIBLE, (3.5, 7.1, 11.0)),
    ],
)
def test_each_border_belongs_to_the_zone_below_it(
    group: MachineGroup, foundation: Foundation, borders: tuple[float, float, float]
) -> None:
    """SPEC D4, ISO 20816-3."""
    assert severity_zone(0.0, group, foundation).zone is Zone.A
    for border, (below, above) in zip(borders, pairwise(Zone), strict=True):
        at, beyond = (severity_zone(velocity, group, foundation) for velocity in (border, border * 1.0001))
        assert (at.zone, at.next_mm_s) == (below, border)
        assert beyond.zone is above
    assert severity_zone(1e9, group, foundation).next_mm_s is None


def test_every_group_on_every_foundation_has_rising_borders() -> None:
    assert set(BORDERS_MM_S) == set(product(MachineGroup, Foundation))
    assert all(list(borders) == sorted(set(borders)) for borders in BORDERS_MM_S.values())


def test_a_zone_is_told_in_both_languages() -> None:
    told = severity_zone(9.0, MEDIUM, RIGID)
    assert told.in_english() == "9 mm/s is zone D of ISO 20816-3: may cause damage"
    assert told.in_chinese() == "9 mm/s 属于 ISO 20816-3 的 D 区：可能造成损坏"


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
def test_what_is_no_velocity_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a finite number from 0"):
        severity_zone(wrong, MEDIUM, RIGID)
