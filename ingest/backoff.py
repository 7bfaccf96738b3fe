"""How long to wait before trying again: longer after each failure, and never the same for two clients."""

from __future__ import annotations

import random


def backoff_s(failures: int, first_s: float, most_s: float) -> float:
    """Return a random wait: between half and all of ``first_s`` doubled with each failure, at most ``most_s``.

    The random half keeps a plant's clients from coming back all at once.
    """
    longest_s = min(most_s, first_s * 2.0 ** min(max(failures, 0), 32))
    return random.uniform(longest_s / 2, longest_s)
