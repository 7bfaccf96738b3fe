"""The machine around this process: its disks, and the metrics that the other processes write to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

# A process writes its file every five seconds; a much older one is of a process that died.
STALE_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class House:
    """What the web application is told of the machine. ``disks`` gives the share in use by what lies there.

    ``broker`` is the host and port at which this process reaches the broker.
    """

    metrics_folder: Path | None = None
    disks: Callable[[], Mapping[str, float]] = dict
    broker: tuple[str, int] | None = None


class ProcessFiles(Collector):
    """The metrics of every process that lives, each sample labelled with the process's name."""

    def __init__(self, folder: Path | None, now: datetime) -> None:
        self._folder = folder
        self._now = now

    def describe(self) -> list[Metric]:
        """Return nothing: what there is is known only from the files."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return the families of all files, and the age of each file."""
        ages = GaugeMetricFamily(
            "wearsight_process_metrics_age_seconds", "Since the process wrote its metrics", labels=["process"]
        )
        families: dict[str, Metric] = {}
        for path in sorted(self._folder.glob("*.prom")) if self._folder is not None else []:
            try:
                age_s = (self._now - datetime.fromtimestamp(path.stat().st_mtime, UTC)).total_seconds()
                text = path.read_text(encoding="utf-8")
            except OSError:
                continue  # it ended just now and took its file away
            ages.add_metric([path.stem], max(0.0, age_s))
            if age_s <= STALE_AFTER_S:
                _add(families, path.stem, text)
        yield from families.values()
        yield ages


def _add(families: dict[str, Metric], process: str, text: str) -> None:
    for family in text_string_to_metric_families(text):
        # Each process has its own Python and its own start; those families tell little and would clash with ours.
        if not family.name.startswith("wearsight_"):
            continue
        known = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue  # when a counter was made: the process's start, over and over
            known.add_sample(sample.name, {**sample.labels, "process": process}, sample.value)
