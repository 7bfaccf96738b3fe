"""A scheduler of escalations as a process, as it is or with a bug: ``python -m bench.campaign.scheduler none``.

Its database is the first line of its standard input.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from runtime.clock import SystemClock
from runtime.rounds import escalation_round
from storage import escalations
from storage.database import open_pool

# A round that found nothing rests; the desk rests a little longer, but has fewer kills to make up for.
PAUSE_S = 0.5


def claim_first() -> None:
    """Commit the claim before what it is for is done, as one does who fears to act twice."""
    plan_next = escalations._plan_next

    def too_early(act: escalations._Act) -> None:
        act.connection.commit()
        time.sleep(0.1)
        plan_next(act)

    escalations._plan_next = too_early


BUGS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "claim_first": claim_first,
}


def main() -> None:
    """Do the rounds of escalations, and nothing else of the desk, until killed."""
    BUGS[sys.argv[1]]()
    clock = SystemClock()
    with open_pool(sys.stdin.readline().strip(), size=1) as pool:
        while True:
            if escalation_round(pool, clock.now()) == 0:
                time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
