"""Run the campaigns and write their section of bench/RESULTS.md: ``make campaign-ingest``.

Each first runs with the bug planted that it is there to find, and must fail; then as the service is.
"""

from __future__ import annotations

import argparse
import sys
import time

from bench.campaign.scenarios import SCENARIOS
from bench.report import write_section

TITLE = "Campaigns: nothing lost, nothing doubled"


def main() -> None:
    """Run all, or those named; ``--size 0.1`` makes them a tenth as long."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help=f"some of: {', '.join(SCENARIOS)}")
    arguments.add_argument("--size", type=float, default=1.0)
    arguments.add_argument("--without-planting", action="store_true")
    options = arguments.parse_args()
    unknown = set(options.names) - set(SCENARIOS)
    if unknown:
        sys.exit(f"no campaign named {sorted(unknown)}; there are {list(SCENARIOS)}")
    lines = ["| campaign | outcome | | the same with a bug planted |", "|---|---|---|---|"]
    failed = []
    for name, (run, bug, bug_size) in SCENARIOS.items():
        if options.names and name not in options.names:
            continue
        found = "not run"
        if not options.without_planting:
            outcome = run(bug_size, bug)
            found = f"`{bug}`: {'**not found**' if outcome.passed else 'found'}: {outcome.told}"
            print(f"{name}, {found}", flush=True)
            if outcome.passed:
                failed.append(f"{name} did not find {bug}")
        began = time.monotonic()
        outcome = run(options.size, "none")
        verdict = "held" if outcome.passed else "**broken**"
        print(f"{name}: {verdict}: {outcome.told} ({time.monotonic() - began:.0f} s)", flush=True)
        if not outcome.passed:
            failed.append(f"{name}: {outcome.told}")
        lines.append(f"| {name} | {outcome.told} | {verdict} | {found} |")
    if not options.names and options.size == 1.0:
        write_section(TITLE, "\n".join(lines) + "\n")
    if failed:
        sys.exit("\n".join(failed))


if __name__ == "__main__":
    main()
