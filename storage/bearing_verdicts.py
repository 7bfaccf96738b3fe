"""Which part of a bearing is damaged, as the newest block tells it and as it did when a finding opened (SPEC D4, D8).

The ratios of fault frequencies that ingest stores with every block (``detectors.vibration``) say what this bearing
shows while it is healthy; the block itself says at which lines. ``detectors.bearings.identify`` compares the two. The
desk does so once for each finding, when it freezes the finding's evidence, and keeps the answer with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.bearings import Part, PartEvidence, TurningBearing, examine, identify, limits_above
from detectors.envelope import envelope_spectrum
from detectors.vibration import DEFAULT_SETTINGS
from storage.bearings import Bearing, list_bearings
from storage.queries import load
from storage.waveforms import StoredWaveform, waveform_by_id

QUERIES = load("bearings")

# As many as the rules of a bearing's library learn from; fewer than the least tell nothing of what is normal.
HEALTHY_BLOCKS = 200
FEWEST_HEALTHY = 10


@dataclass(frozen=True, slots=True)
class PartShown:
    """What a block shows of one part; ``healthy`` is the highest ratio of the healthy blocks, None without enough.

    Otherwise as ``detectors.bearings.PartEvidence``: ratios in medians of the spectrum around, frequencies in Hz.
    """

    part: Part
    frequency_hz: float
    found_hz: tuple[float, ...]
    ratios: tuple[float, ...]
    ratio: float
    healthy: float | None


@dataclass(frozen=True, slots=True)
class BearingVerdict:
    """The part that a block names, None where none stands out; ``block_at`` is equipment time.

    With fewer than FEWEST_HEALTHY ``healthy_blocks`` nothing is named, because nothing is known of what is normal.
    """

    component: str
    metric: str
    block_at: datetime
    speed_rpm: float
    part: Part | None
    healthy_blocks: int
    parts: tuple[PartShown, ...]

    @property
    def is_judged(self) -> bool:
        """Whether there was something to compare with."""
        return any(one.healthy is not None for one in self.parts)

    @property
    def named(self) -> PartShown | None:
        """What the block shows of the part that it names."""
        return next((one for one in self.parts if one.part is self.part), None)


def newest_block(connection: Connection, asset_id: int, metric: str, until: datetime) -> StoredWaveform | None:
    """Return the newest block of an accelerometer that is kept whole, not after ``until`` (equipment time)."""
    asked = {"asset_id": asset_id, "metric": metric, "until": until}
    row = connection.execute(QUERIES["newest_block"], asked).fetchone()
    return None if row is None else waveform_by_id(connection, row[0])


def judge_block(
    connection: Connection, asset_id: int, bearing: Bearing, block: StoredWaveform
) -> BearingVerdict | None:
    """Return what a block says of a bearing; None at standstill, without a speed, or where it has no envelope."""
    speed_rpm = bearing.speed_rpm if block.row.speed_rpm is None else block.row.speed_rpm
    if speed_rpm is None or speed_rpm <= 0:
        return None
    lines = envelope_spectrum(block.samples, block.row.rate_hz, DEFAULT_SETTINGS.envelope_band)
    if lines is None:
        return None
    evidence = examine(lines, TurningBearing(bearing.orders, speed_rpm))
    highest, count = _healthy(connection, asset_id, bearing, block.row.ts)
    part = identify(evidence, limits_above(highest)).part
    shown = tuple(_shown(one, found, highest) for one, found in evidence.items())
    return BearingVerdict(bearing.component, bearing.metric, block.row.ts, speed_rpm, part, count, shown)


def freeze_verdicts(connection: Connection, finding_id: UUID, now: datetime) -> None:
    """Keep with a finding what the newest block of each bearing of its asset said by then."""
    row = connection.execute(QUERIES["heard_by_finding"], {"finding_id": finding_id}).fetchone()
    if row is None:
        return
    asset_id, opened_at = row
    for bearing in list_bearings(connection, asset_id):
        block = newest_block(connection, asset_id, bearing.metric, opened_at)
        verdict = None if block is None else judge_block(connection, asset_id, bearing, block)
        if verdict is not None:
            connection.execute(
                QUERIES["freeze_verdict"],
                {
                    "finding_id": finding_id,
                    "component": verdict.component,
                    "metric": verdict.metric,
                    "block_ts": verdict.block_at,
                    "speed_rpm": verdict.speed_rpm,
                    "part": verdict.part,
                    "healthy_blocks": verdict.healthy_blocks,
                    "parts": Jsonb([asdict(one) for one in verdict.parts]),
                    "now": now,
                },
            )


def verdicts_of(connection: Connection, finding_id: UUID) -> list[BearingVerdict]:
    """Return what was kept with a finding; nothing where its asset has no bearing that is known from inside."""
    return [
        BearingVerdict(
            component, metric, at, speed_rpm, None if part is None else Part(part), count, tuple(map(_part, parts))
        )
        for component, metric, at, speed_rpm, part, count, parts in connection.execute(
            QUERIES["verdicts_of"], {"finding_id": finding_id}
        )
    ]


def _healthy(
    connection: Connection, asset_id: int, bearing: Bearing, before: datetime
) -> tuple[dict[Part, float], int]:
    """Return the highest healthy ratio of each part that has enough readings, and how many blocks there were."""
    names = {f"{bearing.metric}.{part}": part for part in Part}
    asked = {
        "asset_id": asset_id,
        "component": bearing.component,
        "metric": bearing.metric,
        "ratios": list(names),
        "before": before.astimezone(UTC),
        "limit": HEALTHY_BLOCKS,
    }
    rows = connection.execute(QUERIES["healthy_ratios"], asked).fetchall()
    highest = {names[metric]: float(value) for metric, value, count in rows if count >= FEWEST_HEALTHY}
    return highest, max((int(count) for _, _, count in rows), default=0)


def _shown(part: Part, found: PartEvidence, highest: Mapping[Part, float]) -> PartShown:
    return PartShown(part, found.frequency_hz, found.found_hz, found.ratios, found.ratio, highest.get(part))


def _part(told: Mapping[str, object]) -> PartShown:
    values = {**told, "part": Part(str(told["part"]))}
    for name in ("found_hz", "ratios"):
        given = told[name]
        values[name] = tuple(given) if isinstance(given, list) else ()
    return PartShown(**values)  # type: ignore[arg-type]  # written by freeze_verdicts from this very class
