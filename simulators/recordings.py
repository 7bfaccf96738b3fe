"""Recorded data sets as equipment: their devices, rows, events and replacements on the recording's own time.

What really failed is the truth for scoring; it is read beside and never sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import pandas as pd

from simulators import datasets

# Failure mode of a furnace in the service's library; a press has one mode per component.
FURNACE_MODE = "thermal_system_failure"
PRESS_COMPONENTS = ("comp1", "comp2", "comp3", "comp4")
PRESS_METRICS = ("volt", "rotate", "pressure", "vibration")


def press_mode(component: str) -> str:
    """Return the code of the failure mode in which ``component`` of a press fails."""
    return f"{component}_failure"


@dataclass(frozen=True, slots=True)
class RecordedDevice:
    """A device of the recording, which is also the name of its asset."""

    name: str
    title: str
    asset_type: str
    expected_interval_s: float


@dataclass(frozen=True, slots=True)
class RecordedRow:
    """One row of readings of a device."""

    ts: datetime
    device: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class RecordedError:
    """An error code that the machine reported."""

    ts: datetime
    device: str
    code: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """A component was replaced, planned or after a failure."""

    ts: datetime
    device: str
    component: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The truth: the machine's ``mode`` failed between ``begins`` and ``ends`` (equal where an instant is known)."""

    device: str
    mode: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Recording:
    """A data set as equipment; rows, errors and replacements are in time order, times aware (taken as UTC)."""

    name: str
    devices: tuple[RecordedDevice, ...]
    rows: tuple[RecordedRow, ...]
    errors: tuple[RecordedError, ...]
    replacements: tuple[Replacement, ...]
    failures: tuple[Failure, ...]

    @property
    def first_row_at(self) -> datetime:
        """When the recording of readings begins."""
        return self.rows[0].ts

    @property
    def last_row_at(self) -> datetime:
        """When the recording of readings ends."""
        return self.rows[-1].ts

    @property
    def keeps_maintenance_records(self) -> bool:
        """Whether replacements were recorded, so that a replay knows when work was done."""
        return bool(self.replacements)


def machine_temperature(folder: Path) -> Recording:
    """Read the NAB machine temperature below the data folder as one furnace. Raises WrongData."""
    root = folder / datasets.known("nab-machine-temperature").folder
    name = f"{datasets.MACHINE_TEMPERATURE}_part1.csv"
    table = _table(root / f"{name}.gz", "timestamp").sort_values("timestamp", kind="stable")
    labels = json.loads(_content(root / "combined_windows.json"))
    device = RecordedDevice("F-401", "Furnace, temperature of an internal component (NAB)", "furnace", 300.0)
    rows = tuple(
        RecordedRow(ts, device.name, {"temperature": value})
        for ts, value in zip(_times(table["timestamp"]), table["value"].tolist(), strict=True)
    )
    failures = tuple(
        Failure(device.name, FURNACE_MODE, *(_aware(text) for text in window)) for window in labels.get(name, [])
    )
    return Recording("nab-machine-temperature", (device,), rows, (), (), failures)


def presses(folder: Path) -> Recording:
    """Read the Azure machines that have telemetry as presses. Raises WrongData."""
    root = folder / datasets.known("azure-pdm").folder
    telemetry = _table(root / "telemetry.csv.gz", "datetime").sort_values(["datetime", "machineID"], kind="stable")
    machines = sorted({int(machine) for machine in telemetry["machineID"]})
    register = _content_table(root / "machines.csv.gz")
    models = {
        int(machine): f"{model}, {age} years"
        for machine, model, age in zip(register["machineID"], register["model"], register["age"], strict=True)
    }
    devices = tuple(
        RecordedDevice(
            press_name(machine),
            f"Press {machine}, {models[machine]} (Azure)",
            "press",
            3600.0,
        )
        for machine in machines
    )
    columns = [telemetry[metric].tolist() for metric in PRESS_METRICS]
    rows = tuple(
        RecordedRow(ts, press_name(machine), dict(zip(PRESS_METRICS, values, strict=True)))
        for ts, machine, *values in zip(
            _times(telemetry["datetime"]), telemetry["machineID"].tolist(), *columns, strict=True
        )
    )
    end = rows[-1].ts
    errors = tuple(
        RecordedError(ts, press_name(machine), code)
        for ts, machine, code in _records(root / "errors.csv.gz", "errorID", machines, end)
    )
    replacements = tuple(
        Replacement(ts, press_name(machine), component)
        for ts, machine, component in _records(root / "maint.csv.gz", "comp", machines, end)
    )
    failures = tuple(
        Failure(press_name(machine), press_mode(component), ts, ts)
        for ts, machine, component in _records(root / "failures.csv.gz", "failure", machines, end)
    )
    return Recording("azure-pdm", devices, rows, errors, replacements, failures)


def press_name(machine: int) -> str:
    """Return the device name of an Azure machine: PR-01 for machine 1."""
    return f"PR-{machine:02d}"


READERS = {"nab-machine-temperature": machine_temperature, "azure-pdm": presses}


def available(folder: Path) -> list[str]:
    """Return the names of the recordings whose folder is below ``folder``."""
    return [name for name in READERS if (folder / datasets.known(name).folder).is_dir()]


def _records(path: Path, column: str, machines: list[int], end: datetime) -> list[tuple[datetime, int, str]]:
    table = _table(path, "datetime")
    table = table[table["machineID"].isin(machines)].sort_values(["datetime", "machineID", column], kind="stable")
    records = zip(_times(table["datetime"]), table["machineID"].tolist(), table[column].tolist(), strict=True)
    return [record for record in records if record[0] <= end]


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise datasets.WrongData(f"{path} is missing; `wearsight datasets --verify` says what else is")
    return datasets.read(path)


def _content_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(BytesIO(_content(path)))


def _table(path: Path, time_column: str) -> pd.DataFrame:
    return pd.read_csv(BytesIO(_content(path)), parse_dates=[time_column])


def _times(column: pd.Series) -> list[datetime]:
    # The recordings name no time zone; read as UTC, which is also what keeps their spacing.
    return [stamp.to_pydatetime() for stamp in column.dt.tz_localize("UTC")]


def _aware(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def time_shift(recording: Recording, last_row_lies_at: datetime) -> timedelta:
    """Return what to add to every time of the recording so that its last row lies at the given time.

    Rounded down to whole seconds, so that the shifted times stay readable.
    """
    shift = last_row_lies_at - recording.last_row_at
    return timedelta(seconds=shift // timedelta(seconds=1))
