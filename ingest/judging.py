"""The detectors' side of ingest: which rules watch which series, anchors, and when state is saved.

State is saved with a batch when findings of the device changed, when a late reading was passed over, when an anchor
was set, and otherwise every few seconds; not with every batch, because the state of a series is larger than a
reading. Nothing is lost by that: on a restart the readings after the saved state are read from the table and fed
again, which gives the same findings under the same ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray
from psycopg import Connection

from detectors.bank import LAYOUT, Bank, FindingChange, Opened
from detectors.rules import RuleInForce
from domain.readings import Readings
from domain.regimes import OperatingRegimes
from ingest.registry import KnownDevice
from storage import checkpoints, devices
from storage.regimes import regimes_of
from storage.rules import rules_in_force

_log = structlog.get_logger()
_NEVER_S = float("-inf")
InForce = tuple[list[RuleInForce], OperatingRegimes | None]


class Judge:
    """A bank of detectors for the devices of one partition."""

    def __init__(self, partition: str, save_every_s: float) -> None:
        self._partition = partition
        self._save_every_s = save_every_s
        self._bank = Bank()
        self._rules: dict[str, InForce] = {}  # by asset type
        self._device_of: dict[int, int] = {}  # series id -> device id
        self._anchored: dict[int, int] = {}  # series id -> newest anchor given to the bank
        self._saved_s: dict[int, float] = {}  # device id -> when its state was last saved
        self._unsaved: set[int] = set()
        self._urgent: set[int] = set()

    def add(self, connection: Connection, known: Collection[KnownDevice]) -> None:
        """Watch every series of these devices and take back their saved state."""
        for device in known:
            self.watch(connection, device, device.series.items())
        for saved in checkpoints.load_states(connection, self._partition, [device.id for device in known]):
            try:
                self._bank.restore(saved.state)
            except ValueError as error:
                _log.warning("state of another version; read again from the stored readings", error=str(error))

    def watch(self, connection: Connection, device: KnownDevice, series: Iterable[tuple[str, int]]) -> None:
        """Watch these (metric, series id) of a device with the rules and operating regimes now in force."""
        rules, regimes = self._rules_for(connection, device.record.asset_type)
        self._bank.set_regimes(device.record.asset_id, regimes)
        for metric, series_id in series:
            self._bank.add_series(series_id, device.record.asset_id, metric, rules)
            self._device_of[series_id] = device.id
        self._bank.watch_group(device.id, device.record.asset_id, device.series, rules)
        if regimes is not None:
            # A series that is new may tell the regime: what was judged before must not be judged again with it.
            self._urgent.add(device.id)

    def refresh_rules(
        self, connection: Connection, known: Collection[KnownDevice], changed: Collection[KnownDevice]
    ) -> None:
        """Take note of new rules and regimes; what stays the same keeps its state.

        ``changed`` have another asset or type.
        """
        old, self._rules = self._rules, {}
        again = {device.id for device in changed}
        asset_types = {device.record.asset_type for device in known}
        other = {name for name in asset_types if self._rules_for(connection, name) != old.get(name)}
        for device in known:
            if device.id in again or device.record.asset_type in other:
                self.watch(connection, device, device.series.items())

    def set_anchors(self, connection: Connection, known: Collection[KnownDevice]) -> None:
        """Start new baselines where a repair asks for it."""
        of_asset: dict[int, list[KnownDevice]] = {}
        for device in known:
            of_asset.setdefault(device.record.asset_id, []).append(device)
        for asset_id, metric, at_us in devices.anchors_of(connection, of_asset.keys()):
            for device in of_asset[asset_id]:
                series_id = device.series.get(metric)
                if series_id is not None and self._anchored.get(series_id) != at_us:
                    self._bank.anchor(series_id, at_us)
                    self._anchored[series_id] = at_us
                    self._urgent.add(device.id)

    def watermark_us(self, series_id: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the newest judged time of each series."""
        return self._bank.watermark_us(series_id)

    def feed(self, readings: Readings, device_ids: Iterable[int]) -> list[FindingChange]:
        """Judge readings of these devices, in series-time order and newer than the watermark."""
        self._unsaved.update(device_ids)
        return self._noted(self._bank.feed(readings))

    def tick(self, series_ids: Sequence[int], now_us: int) -> list[FindingChange]:
        """Judge silence."""
        return self._noted(self._bank.tick(series_ids, now_us))

    def passed_over(self, device_ids: Iterable[int]) -> None:
        """Have the state of these devices saved: readings older than it were stored, and must stay unjudged."""
        self._urgent.update(device_ids)

    def states(self, known: Collection[KnownDevice], now_s: float, *, everything: bool = False) -> dict[int, bytes]:
        """Return the state, by device id, of those of these devices whose state is to be saved now."""
        found: dict[int, bytes] = {}
        for device in known:
            if device.id in self._urgent or (
                device.id in self._unsaved
                and (everything or now_s - self._saved_s.get(device.id, _NEVER_S) >= self._save_every_s)
            ):
                found[device.id] = self._bank.save(list(device.series.values()))
        return found

    def unsaved(self) -> Collection[int]:
        """Return the ids of devices that were judged since their state was saved."""
        return self._unsaved | self._urgent

    def saved(self, device_ids: Iterable[int], now_s: float) -> None:
        """Take note that the state of these devices is committed."""
        for device_id in device_ids:
            self._saved_s[device_id] = now_s
            self._unsaved.discard(device_id)
            self._urgent.discard(device_id)

    @property
    def layout(self) -> str:
        """The layout of the state, stored beside it."""
        return LAYOUT

    def _noted(self, changes: list[FindingChange]) -> list[FindingChange]:
        for change in changes:
            series_id = change.finding.series_id if isinstance(change, Opened) else change.series_id
            self._urgent.add(self._device_of[series_id])
        return changes

    def _rules_for(self, connection: Connection, asset_type: str) -> InForce:
        known = self._rules.get(asset_type)
        if known is None:
            rules = [rule for rule in rules_in_force(connection, asset_type) if _works(rule)]
            known = self._rules[asset_type] = (rules, regimes_of(connection, asset_type))
        return known


def cut_level(found: Readings, limit: int, devices: Iterable[Collection[int]]) -> Readings:
    """Return the rows up to the time that all series of their device have reached; ``devices``: the series of each.

    ``found`` holds at most ``limit`` rows of each series, and a series with more than that in the table ends before the
    others. Detectors that look at several metrics of one message at once must not see one run ahead.
    """
    series, first, counts = np.unique(found.series_id, return_index=True, return_counts=True)
    ends = dict(zip(series.tolist(), found.ts_us[first + counts - 1].tolist(), strict=True))
    unfinished = set(series[counts >= limit].tolist())
    keep = np.ones(len(found), bool)
    for its_series in devices:
        reached = [ends[series_id] for series_id in unfinished.intersection(its_series)]
        if reached:
            keep &= ~np.isin(found.series_id, list(its_series)) | (found.ts_us <= min(reached))
    return Readings(found.series_id[keep], found.ts_us[keep], found.value[keep])


def _works(rule: RuleInForce) -> bool:
    """Say whether a rule can run here. One that cannot (of another version, say) must not stop the readings."""
    try:
        rule.typed_parameters()
    except (KeyError, ValueError) as error:
        _log.error("a rule in force cannot run; publish a corrected version", rule=rule.name, error=repr(error))
        return False
    return True
