"""Ctrl-C, SIGTERM and a closed terminal ask to stop, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.signals import StopSignals

REPOSITORY = Path(__file__).resolve().parent.parent
BROKEN_OFF_WHILE_CODE_IS_MADE_FROM_TEXT = """
from runtime.signals import AskedToStop, StopSignals
with StopSignals():
    try:
        exec("import os, signal; os.kill(os.getpid(), signal.SIGINT); [None for _ in range(100_000)]")
    except AskedToStop:
        print("caught")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_to_stop_and_later_ones_change_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        signals.interrupting = False
        os.kill(os.getpid(), number)
        assert signals.stop.wait(1)
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_what_is_being_started_is_broken_off_once() -> None:
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # while stopping: patience
        assert signals.stop.is_set()


def test_broken_off_while_code_is_made_from_text_it_still_ends_well() -> None:
    run = subprocess.run(
        [sys.executable, "-c", BROKEN_OFF_WHILE_CODE_IS_MADE_FROM_TEXT],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "caught\n", "")
