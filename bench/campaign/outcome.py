"""What one campaign came to."""

from __future__ import annotations

from dataclasses import dataclass

from bench.campaign.house import Count, House


@dataclass(frozen=True, slots=True)
class Outcome:
    """``passed`` is judged against what the service promises, ``told`` says it in words.

    ``missed`` names a bar that was not reached though the service kept its promise, because of what it stands on.
    One that ``fell_over`` was not carried through, and says nothing about the service.
    """

    passed: bool
    told: str
    missed: str = ""
    fell_over: bool = False

    @property
    def verdict(self) -> str:
        """One word, or two."""
        if not self.passed:
            return "**broken**"
        return f"held; **bar missed**: {self.missed}" if self.missed else "held"


def whole(house: House, count: Count) -> Outcome:
    """Judge that every message is there once, as it was sent."""
    return Outcome(count.is_whole, told_of(house, count))


def told_of(house: House, count: Count) -> str:
    """Say what was counted, and what was killed."""
    kills = ", ".join(f"{times} kills of the {name}" for name, times in house.kills.items() if times)
    told = f"{count.lost:,} lost, {count.doubled:,} doubled of {count.sent:,}"
    if count.wrong or count.quarantined or count.reported:
        told += f"; {count.wrong} wrong, {count.quarantined} in quarantine, {len(count.reported)} reported missing"
    return f"{told}; {kills}" if kills else told
