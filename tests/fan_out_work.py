"""Work for the tests of the fan-out, in a file of its own: workers import it, and should start soon."""

from __future__ import annotations

import os
import signal
import time

ERROR, DEATH, LONG = 7, 8, 9


def square(number: int) -> int:
    """The square of a number; one is an error, one kills its worker, one takes long."""
    if number == ERROR:
        raise ValueError("seven")
    if number == DEATH:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == LONG:
        time.sleep(60)
    return number * number
