"""Run the campaigns and write their section of bench/RESULTS.md: ``make campaign-ingest``.

Each first runs with the bug planted that it is there to find, and must fail; then as the service is. A row is written
as soon as there is something to write, so that several commands add up: ``make campaign-ingest ARGS="--only outage"``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from bench.campaign.outcome import Outcome
from bench.campaign.results import write_cells
from bench.campaign.scenarios import SCENARIOS, Scenario


def main() -> None:
    """Run all, or those named; ``--size 0.1`` makes them a tenth as long, and writes nothing."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS), metavar="NAME")
    arguments.add_argument("--size", type=float, default=1.0, help="share of the full size; less is not written down")
    arguments.add_argument("--planted", action="store_true", help="only with the bug planted")
    arguments.add_argument("--without-planting", action="store_true", help="only as the service is")
    options = arguments.parse_args()
    failed = []
    for name, scenario in SCENARIOS.items():
        if name not in options.only:
            continue
        if scenario.needs and not os.environ.get(scenario.needs):
            print(f"{name}: left out, for {scenario.needs} is not set", flush=True)
            continue
        if not options.without_planting and not _finds_its_bug(name, scenario):
            failed.append(f"{name} did not find {scenario.bug}")
        if not options.planted and not _holds(name, scenario, options.size):
            failed.append(f"{name} is broken")
    if failed:
        sys.exit("\n".join(failed))


def _finds_its_bug(name: str, scenario: Scenario) -> bool:
    outcome, seconds = _run(f"{name} with {scenario.bug}", scenario, scenario.bug_size, scenario.bug)
    # One that fell over has found nothing.
    found = "**fell over**" if outcome.fell_over else "**not found**" if outcome.passed else "found"
    print(f"{name}, `{scenario.bug}`: {found}: {outcome.told} ({seconds:.0f} s)", flush=True)
    write_cells(
        scenario.title, planted=f"`{scenario.bug}` at {scenario.bug_size:g} of the size: {found}: {outcome.told}"
    )
    return found == "found"


def _holds(name: str, scenario: Scenario, size: float) -> bool:
    outcome, seconds = _run(name, scenario, size, "none")
    print(f"{name}: {outcome.verdict}: {outcome.told} ({seconds:.0f} s)", flush=True)
    if size == 1.0:
        write_cells(scenario.title, outcome=outcome.told, verdict=outcome.verdict, took=f"{seconds:.0f} s")
    return outcome.passed


def _run(what: str, scenario: Scenario, size: float, bug: str) -> tuple[Outcome, float]:
    print(f"{what}: begins, size {size:g}", flush=True)
    began = time.monotonic()
    try:
        outcome = scenario.run(size, bug)
    except Exception as error:  # noqa: BLE001 - the top of a loop: told, and the next one gets its turn
        outcome = Outcome(False, f"it could not be carried through: {error!r}", fell_over=True)
    return outcome, time.monotonic() - began


if __name__ == "__main__":
    main()
