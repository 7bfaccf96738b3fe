"""A line now and then, so that whoever looks on sees that a long campaign gets on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 30.0


@contextmanager
def telling(told: Callable[[], str], every_s: float = EVERY_S) -> Iterator[None]:
    """Print what is told, with the seconds since the start, as long as the block runs."""
    done, began = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every_s):
            print(f"  {time.monotonic() - began:4.0f} s: {told()}", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join(20)
