"""What every process tells of itself: a file of metrics, and how full its disk is.

One process, one file ``<data_dir>/metrics/<process>.prom``, written anew every few seconds: the API collects them
(api/measures.py), so that one address serves the whole machine's figures and no process opens a port for it.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, write_to_textfile

METRICS_EVERY_S = 5.0
METRICS_FOLDER = "metrics"


@contextmanager
def measured(data_dir: Path, process: str) -> Iterator[None]:
    """Write this process's metrics to its file while the block runs, and take the file away after it."""
    path = data_dir / METRICS_FOLDER / f"{process}.prom"
    done = threading.Event()
    writer = threading.Thread(target=_write, args=(path, done), name="metrics", daemon=True)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join(METRICS_EVERY_S)
        path.unlink(missing_ok=True)


def disks(data_dir: Path) -> dict[str, float]:
    """Return the share of the disk in use, by what lies on it; nothing when the folder cannot be looked at."""
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError as error:
        structlog.get_logger().warning("cannot look at the disk", path=str(data_dir), error=str(error))
        return {}
    return {"data_dir": usage.used / (usage.used + usage.free)}


def _write(path: Path, done: threading.Event) -> None:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_to_textfile(str(path), REGISTRY)
        except OSError as error:
            structlog.get_logger().warning("cannot write metrics", path=str(path), error=str(error))
        if done.wait(METRICS_EVERY_S):
            return
