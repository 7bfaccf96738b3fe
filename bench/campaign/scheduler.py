"""A scheduler of escalations as a process, as it is or with a bug: ``python -m bench.campaign.scheduler none``.

Its database is the first line of its standard input.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from runtime.clock import SystemClock
from runtime.desk import JOBS, run_jobs
from storage import escalations
from storage.database import open_pool


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
    """Do the desk's job of escalations, and nothing else, until killed."""
    BUGS[sys.argv[1]]()
    job = next(job for job in JOBS if job.name == "escalate")
    with open_pool(sys.stdin.readline().strip(), size=2) as pool:
        run_jobs((job,), pool, SystemClock(), threading.Event())


if __name__ == "__main__":
    main()
