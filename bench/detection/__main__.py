"""Score the detectors on labelled recordings: ``make bench-detection``, or ``python -m bench.detection [set ...]``.

Each data set is one module of this package with ``TITLE``, ``FOLDER`` (its name below the data folder, "" for none)
and ``score(folder)``. The data folder is ``--data``, else WEARSIGHT_DATA, else ../shared/data beside the repository;
bench/RESULTS.md is written for the default folder only. A bar that is missed is said and does not fail the run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import bench.detection
from bench.detection.figures import Figure
from bench.detection.report import as_json, as_table, missed
from bench.report import RESULTS, write_section

REPOSITORY = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None, results: Path = RESULTS) -> int:
    """Run the sets asked for and return the exit code: 1 when one of them crashed."""
    sets = data_sets()
    asked = _parser(list(sets)).parse_args(arguments)
    unknown = sorted(set(asked.sets) - set(sets))
    if unknown:
        sys.exit(f"no data set named {', '.join(unknown)}; there are {', '.join(sets)}")
    default = default_folder()
    data = (asked.data or default).resolve()
    chosen = {name: module for name, module in sets.items() if name in asked.sets or not asked.sets}
    scored, crashed = run(chosen, data, results if data == default.resolve() else None)
    if asked.out is not None:
        document = {name: as_json(figures) for name, figures in scored.items()}
        asked.out.write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        print(f"written: {asked.out}")
    for line in missed(scored):
        print(f"bar missed: {line}")
    if crashed:
        print(f"crashed: {', '.join(crashed)}")
    return 1 if crashed else 0


def run(
    sets: Mapping[str, ModuleType], data: Path, results: Path | None
) -> tuple[dict[str, Sequence[Figure]], list[str]]:
    """Score each set and print its table; return the figures, and the names of the sets that crashed."""
    scored: dict[str, Sequence[Figure]] = {}
    crashed: list[str] = []
    for name, module in sets.items():
        folder = data / module.FOLDER
        if module.FOLDER and not folder.is_dir():
            print(f"{name}: left out, there is no folder {folder}\n")
            continue
        print(f"{name} ...", flush=True)
        began = time.process_time()
        try:
            figures = module.score(folder)
            as_json(figures)
        except Exception:  # noqa: BLE001 - the loop's top: the other sets still run, and the exit code says so
            traceback.print_exc()
            crashed.append(name)
            continue
        if not figures:
            print(f"{name}: left out, nothing in {folder} can be scored\n")
            continue
        scored[name] = figures
        table = as_table(figures)
        print(f"{table}\n{time.process_time() - began:.0f} s\n", flush=True)
        if results is not None:
            write_section(f"Detection on recorded data: {module.TITLE}", table, results)
    return scored, crashed


def data_sets() -> dict[str, ModuleType]:
    """Return the modules of this package that score a data set, by name."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(bench.detection.__path__) if module.name != "__main__"
    )
    modules = {name: importlib.import_module(f"bench.detection.{name}") for name in names}
    return {
        name: module
        for name, module in modules.items()
        if all(hasattr(module, part) for part in ("TITLE", "FOLDER", "score"))
    }


def default_folder() -> Path:
    """Return the folder that is scored when none is named."""
    return Path(os.environ.get("WEARSIGHT_DATA") or REPOSITORY.parent / "shared" / "data")


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.detection", description=__doc__)
    parser.add_argument("sets", nargs="*", metavar="set", help=f"which to score: {', '.join(names)}; all by default")
    parser.add_argument("--data", type=Path, help="folder of recorded data in the layout of the default one")
    parser.add_argument("--out", type=Path, help="write the figures as JSON to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
