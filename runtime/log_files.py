"""The files that processes write their logs to: bounded, and quoted when something went wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LOG_BYTES = 20 * 1024 * 1024


def keep_short(log: Path) -> None:
    """Move a log that has grown aside. Writers append, so they go on in the emptied file; one older part is kept."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def last_line(log: Path) -> str:
    """Return the last line that says something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-1] if lines else "it is empty"
