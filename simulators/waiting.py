"""Waiting for the service, with a bound and a way out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

LIMIT_S = 120.0
POLL_S = 0.02


class Stopped(Exception):
    """The caller's stop was set."""


class StillWaiting(Exception):
    """The service did not get there in time; the text says what was waited for."""


def wait_until(is_there: Callable[[], bool], what: str, now: Callable[[], datetime], stop: threading.Event) -> None:
    """Return when ``is_there`` holds. Raises Stopped, or StillWaiting after LIMIT_S seconds."""
    deadline = now() + timedelta(seconds=LIMIT_S)
    while not is_there():
        if now() > deadline:
            raise StillWaiting(f"waited {LIMIT_S:g} s for {what}; do ingest and desk run?")
        if stop.wait(POLL_S):
            raise Stopped(f"stopped while waiting for {what}")
