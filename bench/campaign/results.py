"""The campaigns' section of bench/RESULTS.md: a row each, whose cells are replaced as they are found out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from bench.campaign.scenarios import SCENARIOS
from bench.report import RESULTS, read_section, write_section

TITLE = "Campaigns: nothing lost, nothing doubled"
_COLUMNS = {
    "title": "campaign",
    "outcome": "outcome",
    "verdict": "",
    "took": "took",
    "day": "on",
    "planted": "with a bug planted",
}
_NOT_RUN = "not run"


def write_cells(title: str, path: Path = RESULTS, **cells: str) -> None:
    """Put these cells into the row of a campaign; its other cells and the other rows stay."""
    rows = _rows(path)
    day = {"day": f"{datetime.now(UTC):%Y-%m-%d}"} if "outcome" in cells else {}
    rows[title] = {**dict.fromkeys(_COLUMNS, _NOT_RUN), **rows.get(title, {}), **cells, **day, "title": title}
    order = [scenario.title for scenario in SCENARIOS.values() if scenario.title in rows]
    lines = [_line(list(_COLUMNS.values())), "|---" * len(_COLUMNS) + "|"]
    lines += [_line([rows[one][column] for column in _COLUMNS]) for one in order]
    write_section(TITLE, "\n".join(lines) + "\n", path)


def _rows(path: Path) -> dict[str, dict[str, str]]:
    rows = {}
    for line in read_section(TITLE, path).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == len(_COLUMNS):
            rows[cells[0]] = dict(zip(_COLUMNS, cells, strict=True))
    return {title: row for title, row in rows.items() if title in {one.title for one in SCENARIOS.values()}}


def _line(cells: list[str]) -> str:
    # A bar inside a cell would end it.
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "/") for cell in cells) + " |"
