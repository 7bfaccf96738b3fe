"""The lifecycle at random: ``make campaign-tickets``, 20,000 steps over the table and 1,000 in the database.

The walks are tests (tests/test_lifecycle_machine.py, tests/test_lifecycle_faults.py); this runs them longer and with a
fresh seed, which it prints, so that what it finds can be had again: ``--seed 7``.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path

WALKS = ("tests/test_lifecycle_machine.py", "tests/test_lifecycle_faults.py")
_REPOSITORY = Path(__file__).parents[2]


def main() -> None:
    """Run the walks; the exit code is theirs."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=20_000, help="over the table; a twentieth in the database")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = arguments.parse_args()
    print(f"seed {options.seed}, {options.steps:,} steps", flush=True)
    environment = {
        **os.environ,
        "LIFECYCLE_STEPS": str(options.steps),
        "LIFECYCLE_SEEDS": str(options.seed),
    }
    command = [sys.executable, "-m", "pytest", *WALKS, "-q", "-s", "--timeout=3600"]
    command.append(f"--hypothesis-seed={options.seed}")
    sys.exit(subprocess.run(command, env=environment, cwd=_REPOSITORY, check=False).returncode)


if __name__ == "__main__":
    main()
