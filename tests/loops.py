"""Asynchronous work in a test: where browser tests ran before in the same process, a loop is running already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor


def in_a_loop_of_its_own(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run it in a thread with a loop of its own, at most a minute."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result(60)
