"""Ctrl-C, SIGTERM and a closed terminal ask to stop, once."""

from __future__ import annotations

import os
import signal

import pytest

from runtime.signals import StopSignals


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
