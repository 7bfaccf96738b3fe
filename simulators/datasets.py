"""The recorded data sets that the project knows: where they come from, their licence, size and checksum.

The repository ships none of them. A set may lie in the data folder whole or cut; what is checked is its *essence*,
the part that the replay reads, in one canonical form. So the checksum holds for the published file and for a cut
of it alike, and ``fetch`` stores exactly the essence.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

DOWNLOAD_LIMIT_BYTES = 200_000_000
TIMEOUT_S = 60.0

MACHINE_TEMPERATURE = "realKnownCause/machine_temperature_system_failure"
# The benchmark's file is longer; the rest is kept apart, for checking on data that nothing was tuned on.
MACHINE_TEMPERATURE_END = "2014-01-05"
MACHINES = frozenset([*range(1, 13), *range(21, 66)])
MACHINES_WITH_TELEMETRY = frozenset(range(1, 13))

Essence = Callable[[bytes], bytes]


def rows_before(day: str) -> Essence:
    """Keep the header and the rows whose first column, a time, sorts before ``day`` (ISO 8601)."""

    def essence(content: bytes) -> bytes:
        header, *rows = _lines(content)
        return _text([header, *(row for row in rows if row.split(",", 1)[0] < day)])

    return essence


def rows_of_machines(machines: Collection[int]) -> Essence:
    """Keep the header and the rows whose column machineID is in ``machines``."""

    def essence(content: bytes) -> bytes:
        header, *rows = _lines(content)
        column = header.split(",").index("machineID")
        return _text([header, *(row for row in rows if int(row.split(",")[column]) in machines)])

    return essence


def windows_of(series: str, before: str) -> Essence:
    """Keep the labelled windows of one series that end before ``before``, under the name of its first part."""
    part = f"{series}_part1.csv"

    def essence(content: bytes) -> bytes:
        labels = json.loads(content)
        windows = labels.get(part, labels.get(f"{series}.csv"))
        if windows is None:
            raise ValueError(f"there are no windows of '{series}' among {len(labels)} series")
        return json.dumps({part: [window for window in windows if window[1] < before]}).encode()

    return essence


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One file: its path below the set's folder, where it is published, and the essence with its SHA-256."""

    path: str
    origin: str
    essence: Essence
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set: its folder below the data folder, what it is and under which licence it may be used."""

    name: str
    folder: str
    title: str
    source: str
    licence: str
    files: tuple[KnownFile, ...]

    @property
    def size(self) -> int:
        """The size of all essences in bytes."""
        return sum(file.size for file in self.files)


_NAB = "https://raw.githubusercontent.com/numenta/NAB/ea702d75cc2258d9d7dd35ca8e5e2539d71f3140"
_AZURE_EVENTS = (
    "https://raw.githubusercontent.com/kokikwbt/predictive-maintenance/"
    "8b0fa93383aafdae5523e3ba216831dadd7fb4e6/datasets/mapm"
)
_AZURE_TELEMETRY = (
    "https://raw.githubusercontent.com/yambogobrice-design/Maintenance-predictive-equipements-lourds-miniers/"
    "c75d8c111e8a089de599b840a84134f89956ebc1/data/raw"
)

KNOWN: tuple[DataSet, ...] = (
    DataSet(
        name="nab-machine-temperature",
        folder="nab",
        title="Temperature of an internal component of a large industrial machine, 5 min, with labelled failures",
        source="Numenta Anomaly Benchmark (github numenta/NAB, commit ea702d7)",
        licence="MIT",
        files=(
            KnownFile(
                f"{MACHINE_TEMPERATURE}_part1.csv.gz",
                f"{_NAB}/data/{MACHINE_TEMPERATURE}.csv",
                rows_before(MACHINE_TEMPERATURE_END),
                308_635,
                "8013d87d122358f84abc949bf5b6d2ad40a5c5226ae6a5ce6ed283061e175cad",
            ),
            KnownFile(
                "combined_windows.json",
                f"{_NAB}/labels/combined_windows.json",
                windows_of(MACHINE_TEMPERATURE, MACHINE_TEMPERATURE_END),
                189,
                "1933fec556143f0ce94dafee86d6c581a7dfd95a0282cb18bc4cb5ecd30423ef",
            ),
        ),
    ),
    DataSet(
        name="azure-pdm",
        folder="azure-pdm",
        title="Presses with four sensors (hourly), error codes, replaced components and failures; simulated",
        source="Microsoft Predictive Maintenance Modeling Guide sample data (github copies, see the origins)",
        licence="CC BY 4.0",
        files=(
            KnownFile(
                "telemetry.csv.gz",
                f"{_AZURE_TELEMETRY}/PdM_telemetry.csv",
                rows_of_machines(MACHINES_WITH_TELEMETRY),
                2_327_702,
                "f897b11548b8f15cc972a78a346da0c7464e39adef65c1305b7d0efc0266316c",
            ),
            KnownFile(
                "errors.csv.gz",
                f"{_AZURE_EVENTS}/PdM_errors.csv.gz",
                rows_of_machines(MACHINES),
                64_602,
                "498f99bc0cbe962493c594acbc96d13ad4d924bd44ae41b9ffe0953082ece5f3",
            ),
            KnownFile(
                "maint.csv.gz",
                f"{_AZURE_EVENTS}/PdM_maint.csv.gz",
                rows_of_machines(MACHINES),
                54_294,
                "b96246725876f81d23b76956ab8d8c9f3b1565c2918f70fb9bf2079474ddd486",
            ),
            KnownFile(
                "failures.csv.gz",
                f"{_AZURE_EVENTS}/PdM_failures.csv.gz",
                rows_of_machines(MACHINES),
                11_429,
                "21388ee234a6d43c876f271d332a8027ef3803e58a574366531b5736da2867ee",
            ),
            KnownFile(
                "machines.csv.gz",
                f"{_AZURE_EVENTS}/PdM_machines.csv.gz",
                rows_of_machines(MACHINES),
                728,
                "2cb8b489e0fad249aa0e217a458876b3a5521f32e554f4f65954a5ad2ab84a09",
            ),
        ),
    ),
)


class WrongData(Exception):
    """A file is missing, cannot be had, or is not what it should be; the text says which and what to do."""


def known(name: str) -> DataSet:
    """Return the data set called ``name``. Raises WrongData that lists the names there are."""
    for data_set in KNOWN:
        if data_set.name == name:
            return data_set
    raise WrongData(f"there is no data set '{name}'; known are {', '.join(each.name for each in KNOWN)}")


def read(path: Path) -> bytes:
    """Return the content of a file, unpacked if its name ends in .gz."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def verify(data_set: DataSet, folder: Path) -> list[str]:
    """Return a sentence for each file of the set below ``folder`` that is missing or wrong; none if all is well."""
    return [sentence for file in data_set.files for sentence in _verify_file(file, folder / data_set.folder)]


def fetch(data_set: DataSet, folder: Path) -> Iterator[Path]:
    """Download what is missing or wrong of the set into ``folder``, yielding each file when it is there, verified.

    A file is written whole or not at all. Raises WrongData if a file cannot be had or is not the known one; what
    was there before is then still there.
    """
    with httpx2.Client(timeout=TIMEOUT_S, follow_redirects=True) as http:
        for file in data_set.files:
            target = folder / data_set.folder / file.path
            if _verify_file(file, folder / data_set.folder):
                essence = _checked(file, _download(http, file.origin), file.origin)
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(target.name + ".partial")
                partial.write_bytes(gzip.compress(essence, mtime=0) if target.suffix == ".gz" else essence)
                partial.replace(target)
            yield target


def _verify_file(file: KnownFile, folder: Path) -> list[str]:
    path = folder / file.path
    if not path.is_file():
        return [f"{path} is missing"]
    try:
        _checked(file, read(path), str(path))
    except (WrongData, OSError, EOFError) as error:
        return [str(error)]
    return []


def _checked(file: KnownFile, content: bytes, where: str) -> bytes:
    try:
        essence = file.essence(content)
    except (ValueError, IndexError) as error:
        raise WrongData(f"{where} is not the known file: {error}") from error
    digest = hashlib.sha256(essence).hexdigest()
    if digest != file.sha256:
        raise WrongData(
            f"{where} is not the known file: SHA-256 {digest[:16]}... of {len(essence)} bytes, "
            f"expected {file.sha256[:16]}... of {file.size} bytes; remove it and fetch it again"
        )
    return essence


def _download(http: httpx2.Client, origin: str) -> bytes:
    content = bytearray()
    try:
        with http.stream("GET", origin) as response:
            if not response.is_success:
                raise WrongData(f"{origin} answered {response.status_code}; is it still published there?")
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > DOWNLOAD_LIMIT_BYTES:
                    raise WrongData(f"{origin} is larger than {DOWNLOAD_LIMIT_BYTES} bytes; it is not the known file")
    except httpx2.TransportError as error:
        raise WrongData(f"{origin} cannot be reached ({error}); copy the file from a machine that can") from error
    unpacked = bytes(content)
    return gzip.decompress(unpacked) if urlsplit(origin).path.endswith(".gz") else unpacked


def _lines(content: bytes) -> list[str]:
    return content.decode().replace("\r\n", "\n").rstrip("\n").split("\n")


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def as_table(data_sets: Collection[DataSet] = KNOWN) -> str:
    """Return the known sets as lines for people: name, size, licence, title, source and each file's origin."""
    lines = []
    for data_set in data_sets:
        lines += [
            f"{data_set.name}  ({data_set.size / 1e6:.1f} MB, {data_set.licence})",
            f"  {data_set.title}",
            f"  source: {data_set.source}",
            *(f"  {file.path}  sha256 {file.sha256[:16]}...  {file.origin}" for file in data_set.files),
        ]
    return "\n".join(lines)
