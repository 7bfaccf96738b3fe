"""The detection benchmark: scoring by event and by the rules of NAB, controls, intervals, and the harness."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.detection import controls, nab, skab
from bench.detection.__main__ import data_sets, main, run
from bench.detection.bootstrap import interval
from bench.detection.events import EventScore, Recording, joined, outside, score_recording, total
from bench.detection.figures import Figure
from bench.detection.nab_score import (
    LOW_FALSE_ALARMS,
    LOW_MISSES,
    STANDARD,
    AlarmedSeries,
    probation_rows,
    raw_score,
    reward,
    score,
)
from bench.detection.report import as_json, as_table, missed
from tests.conftest import recorded_data

PROFILES = (STANDARD, LOW_FALSE_ALARMS, LOW_MISSES)


# Events


def a_recording(*alarms: tuple[float, float], events: tuple[tuple[float, float], ...] = ((100.0, 200.0),)) -> Recording:
    return Recording("run", alarms, events, (0.0, 400.0))


def test_an_alarm_counts_at_its_rising_edge() -> None:
    assert score_recording(a_recording((120, 130))).found == 1
    before = score_recording(a_recording((90, 150)))
    assert (before.found, before.false_alarms) == (0, 1), "open before the onset: false, and the event is not found"


def test_further_alarms_in_an_event_neither_help_nor_harm() -> None:
    scored = score_recording(a_recording((120, 121), (140, 141), (160, 161), (300, 301)))
    assert (scored.found, scored.false_alarms, scored.delays) == (1, 1, (20.0,))
    assert scored.precision == 0.5
    assert scored.f1 == pytest.approx(2 / 3)


def test_an_alarm_in_the_grace_after_an_event_is_neither_right_nor_wrong() -> None:
    recording = a_recording((230, 240), (270, 280))
    assert score_recording(recording, grace=60).false_alarms == 1
    assert score_recording(recording).false_alarms == 2
    assert score_recording(recording, grace=60).normal == 240


def test_time_in_alarm_is_counted_in_normal_time_only_and_once() -> None:
    scored = score_recording(a_recording((50, 150), (80, 120), (350, 500)))
    assert scored.normal == 300
    assert scored.in_alarm == 50 + 50
    assert scored.false_alarms_per(100) == 1


def test_scores_of_recordings_add_up() -> None:
    parts = [score_recording(a_recording((120, 130))), score_recording(a_recording((300, 301)))]
    assert total(parts) == EventScore(2, 1, 1, 600.0, 1.0, (20.0,))
    assert total([]).f1 == 0


def test_spans_are_joined_and_cut_out() -> None:
    assert joined([(5, 6), (1, 3), (2, 4)]) == [(1, 4), (5, 6)]
    assert joined([(5, 6), (1, 4)], gap=1) == [(1, 6)]
    assert outside((0, 10), [(-5, 1), (3, 4), (9, 20), (30, 40)]) == [(1, 3), (4, 9)]


# The rules of NAB


@st.composite
def corpora(draw: st.DrawFn) -> list[AlarmedSeries]:
    """Series without alarms, with windows that begin behind the probation and do not overlap."""
    corpus = []
    for _ in range(draw(st.integers(1, 4))):
        edges = sorted(draw(st.lists(st.integers(800, 4_999), min_size=2, max_size=8, unique=True)))
        windows = tuple((first, last) for first, last in zip(edges[::2], edges[1::2], strict=False))
        corpus.append(AlarmedSeries(5_000, (), windows))
    return corpus


@given(corpora())
def test_silence_scores_zero_and_perfection_a_hundred(corpus: list[AlarmedSeries]) -> None:
    perfect = [
        AlarmedSeries(series.rows, tuple(first for first, _ in series.windows), series.windows) for series in corpus
    ]
    for profile in PROFILES:
        assert score(corpus, profile) == pytest.approx(0)
        assert score(perfect, profile) == pytest.approx(100)


@given(corpora(), st.data())
def test_any_other_alarms_score_less_than_perfection_and_false_ones_less_than_silence(
    corpus: list[AlarmedSeries], data: st.DataObject
) -> None:
    alarmed = [
        AlarmedSeries(one.rows, tuple(data.draw(st.lists(st.integers(0, 4_999), max_size=5))), one.windows)
        for one in corpus
    ]
    outside_only = [
        AlarmedSeries(
            one.rows, tuple(row for row in one.alarms if not any(a <= row <= b for a, b in one.windows)), one.windows
        )
        for one in alarmed
    ]
    for profile in PROFILES:
        assert score(alarmed, profile) <= 100 + 1e-9
        assert score(outside_only, profile) <= 1e-9


def a_series(*alarms: int, rows: int = 4_000) -> AlarmedSeries:
    return AlarmedSeries(rows, alarms, ((2_000, 2_099),))


def test_the_first_alarm_in_a_window_counts_and_the_earlier_the_more() -> None:
    scores = [raw_score(a_series(row), STANDARD) for row in (2_000, 2_020, 2_050, 2_099)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1)
    # At row 2,050 half of the window is left: (2 / (1 + e^-2.5) - 1) / (2 / (1 + e^-5) - 1).
    assert scores[2] == pytest.approx(0.84828 / 0.98661, abs=1e-4)
    assert raw_score(a_series(2_050, 2_060, 2_099), STANDARD) == scores[2]


def test_an_alarm_outside_costs_more_the_further_behind_the_window_it_lies() -> None:
    def cost(row: int) -> float:
        return raw_score(a_series(2_000, row), STANDARD) - raw_score(a_series(2_000), STANDARD)

    assert cost(2_100) > cost(2_150) > cost(2_200)
    assert cost(2_100) == pytest.approx(-0.11 * 0.02525, abs=1e-4)
    assert cost(2_900) == cost(1_900) == pytest.approx(-0.11), "far behind a window, or before the first"
    assert reward(3.01) == -1


def test_the_profiles_weigh_false_alarms_and_misses() -> None:
    assert raw_score(a_series(1_900), LOW_FALSE_ALARMS) == pytest.approx(-1.22)
    assert raw_score(a_series(1_900), LOW_MISSES) == pytest.approx(-2.11)


def test_the_probation_is_not_scored() -> None:
    assert probation_rows(1_000) == 150
    assert probation_rows(100_000) == 750
    assert raw_score(a_series(0, 599), STANDARD) == raw_score(a_series(), STANDARD)
    assert raw_score(a_series(600), STANDARD) < raw_score(a_series(), STANDARD)


# Controls and intervals


def test_random_alarms_are_as_many_as_ours_and_lie_in_the_scored_time() -> None:
    recordings = [a_recording((10, 11), (20, 21)), Recording("b", ((900, 901), (2_000, 2_001)), (), (800.0, 1_000.0))]
    drawn = controls.at_random(recordings, np.random.default_rng(1))
    assert sum(len(one.alarms) for one in drawn) == 3, "the alarm at 2,000 is not scored"
    assert all(one.scored[0] <= at <= one.scored[1] for one in drawn for at, _ in one.alarms)
    mean = controls.mean_at_random(recordings, lambda some: len(some[0].alarms))
    assert mean == pytest.approx(2, abs=0.2), "two thirds of the time are the first recording's"


def test_a_clock_ticks_and_always_on_rises_once() -> None:
    (ticked,) = controls.clock([a_recording()], 150, hold=5)
    assert ticked.alarms == ((150, 155), (300, 305))
    (on,) = controls.always_on([a_recording()])
    assert score_recording(on) == EventScore(1, 0, 1, 300, 300, ())


def test_a_clock_that_starts_at_random_cannot_know_when_the_files_begin() -> None:
    """All faults begin 100 after the start of the file, and so does a clock of 110."""
    recordings = [a_recording(events=((105.0, 115.0),))] * 50
    knowing = total(score_recording(one) for one in controls.clock(recordings, 110))
    mean = controls.mean_by_clock(recordings, lambda some: total(map(score_recording, some)).recall, 110)
    assert knowing.recall == 1
    assert mean < 0.2


def test_an_interval_holds_the_statistic_and_narrows_with_more_values() -> None:
    random = np.random.default_rng(0)
    few, many = list(random.normal(5, 1, 20)), list(random.normal(5, 1, 2_000))
    low, high = interval(few, lambda some: float(np.mean(some)))
    narrow_low, narrow_high = interval(many, lambda some: float(np.mean(some)), rounds=200)
    assert low < np.mean(few) < high
    assert 0.6 < high - low < 1.2, "about 3.9 / sqrt(20)"
    assert narrow_high - narrow_low < 0.2
    assert (low, high) == interval(few, lambda some: float(np.mean(some)))
    with pytest.raises(ValueError, match="at least one value"):
        interval([], lambda some: 0.0)


# The harness


def a_set(figures: list[Figure] | Exception, folder: str = "here") -> ModuleType:
    module = ModuleType("a_set")
    module.TITLE, module.FOLDER = "A set", folder

    def scored(_: Path) -> list[Figure]:
        if isinstance(figures, Exception):
            raise figures
        return figures

    module.score = scored
    return module


def test_a_crash_of_one_set_does_not_keep_the_others_from_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    sets = {
        "broken": a_set(RuntimeError("no")),
        "absent": a_set([], folder="elsewhere"),
        "good": a_set([Figure("F1", 0.5, bar_low=0.9)]),
    }
    scored, crashed = run(sets, tmp_path, tmp_path / "RESULTS.md")
    assert list(scored) == ["good"]
    assert crashed == ["broken"]
    said = capsys.readouterr().out
    assert "absent: left out" in said
    assert "**missed**" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert missed(scored) == ["good: F1 is 0.5, wanted ≥ 0.9"]


def test_a_set_without_a_folder_needs_no_data(tmp_path: Path) -> None:
    scored, _ = run({"fleet": a_set([Figure("F1", 1.0)], folder="")}, tmp_path / "nowhere", None)
    assert list(scored) == ["fleet"]


def test_every_set_says_what_it_is_and_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = data_sets()
    assert {"nab", "skab"} <= set(sets)
    assert len({module.TITLE for module in sets.values()}) == len(sets)
    with_data = [name for name, module in sets.items() if module.FOLDER]
    assert main([*with_data, "--data", str(tmp_path)], tmp_path / "RESULTS.md") == 0
    assert all(f"{name}: left out" in capsys.readouterr().out for name in with_data[:1])
    with pytest.raises(SystemExit, match="no data set named magic"):
        main(["magic"])


def a_nab_folder(folder: Path) -> Path:
    """One series of calm noise with a spike in its window, in the layout of NAB."""
    random = np.random.default_rng(0)
    values = random.uniform(0, 1, 2_000)
    values[1_500] = 5.0
    times = np.datetime64("2026-01-01") + np.arange(2_000) * np.timedelta64(300, "s")
    text = "timestamp,value\n" + "".join(
        f"{str(at).replace('T', ' ')},{value}\n" for at, value in zip(times, values, strict=True)
    )
    (folder / "nab" / "kind").mkdir(parents=True)
    (folder / "nab" / "kind" / "one.csv.gz").write_bytes(gzip.compress(text.encode()))
    window = [str(times[1_490]).replace("T", " ") + ".000000", str(times[1_550]).replace("T", " ") + ".000000"]
    (folder / "nab" / nab.LABELS).write_text(json.dumps({"kind/one.csv": [window]}), encoding="utf-8")
    return folder


def test_figures_of_another_folder_are_written_as_json_and_the_results_are_left_alone(tmp_path: Path) -> None:
    """SPEC D7 on another folder of the same layout."""
    out, results = tmp_path / "figures.json", tmp_path / "RESULTS.md"
    assert main(["nab", "--data", str(a_nab_folder(tmp_path)), "--out", str(out)], results) == 0
    assert not results.exists()
    figures = json.loads(out.read_text(encoding="utf-8"))["nab"]
    recall = figures["event recall"]
    assert recall["value"] == 1
    assert set(recall) == {"value", "low", "high", "unit", "bar_low", "bar_high", "met", "of", "note"}
    assert figures["NAB score, standard"]["met"] is True
    assert {one["of"] for one in figures.values()} == {
        "wearsight", controls.ALWAYS_ON, controls.AT_RANDOM, controls.CLOCK,
    }  # fmt: skip


def test_the_default_folder_is_written_into_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEARSIGHT_DATA", str(a_nab_folder(tmp_path)))
    assert main(["nab"], tmp_path / "RESULTS.md") == 0
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert f"## Detection on recorded data: {nab.TITLE}" in text
    assert text.index("| wearsight |") < text.index(f"| {controls.CLOCK} |")


def test_a_broken_folder_gives_exit_code_one(tmp_path: Path) -> None:
    (a_nab_folder(tmp_path) / "nab" / nab.LABELS).unlink()
    out = tmp_path / "figures.json"
    assert main(["nab", "--data", str(tmp_path), "--out", str(out)], tmp_path / "RESULTS.md") == 1
    assert json.loads(out.read_text(encoding="utf-8")) == {}


def test_a_folder_without_anything_to_score_is_left_out(tmp_path: Path) -> None:
    for name in ("nab", "skab", "azure-pdm", "ims-bearing", "cmapss", "hydraulic", "gearbox-gfd"):
        (tmp_path / name).mkdir()
    out = tmp_path / "figures.json"
    sets = ["nab", "skab", "azure", "ims", "cmapss", "hydraulic", "gearbox"]
    assert main([*sets, "--data", str(tmp_path), "--out", str(out)], tmp_path / "RESULTS.md") == 0
    assert json.loads(out.read_text(encoding="utf-8")) == {}


def test_labels_may_lie_beside_the_folder_of_the_data(tmp_path: Path) -> None:
    """As the corpus is published: data/kind/file.csv, and labels that name it kind/file.csv."""
    before = nab.read_corpus(a_nab_folder(tmp_path) / "nab")
    folder = tmp_path / "nab"
    for name in ("data", "labels"):
        (folder / name).mkdir()
    for path in [path for path in folder.iterdir() if path.name not in ("data", "labels")]:
        path.rename(folder / ("labels" if path.name == nab.LABELS else "data") / path.name)
    after = nab.read_corpus(folder)
    assert [one.windows for one in after] == [one.windows for one in before]
    assert any(one.windows for one in after)


def test_two_figures_of_one_name_are_refused_and_what_is_no_number_is_none() -> None:
    with pytest.raises(ValueError, match="two figures are named 'F1'"):
        as_json([Figure("F1", 1.0), Figure("F1", 0.5)])
    figures = [Figure("F1", float("nan"), of="clock"), Figure("F1", 1234.0, low=0.1, high=2.0, bar_high=3.0)]
    assert as_json(figures)["F1 (clock)"]["value"] is None
    ours, theirs = as_table(figures).splitlines()[2:]
    assert ours.startswith("| wearsight | F1 | 1,234 | 0.1 to 2 | ≤ 3 | **missed** |")
    assert theirs.startswith("| clock | F1 | nan |")


# On the recorded data


@pytest.mark.recorded
def test_new_records_find_the_windows_of_nab() -> None:
    """The bars: standard >= 60, reward low false alarms >= 55, event F1 >= 0.65, <= 0.025 false a series-day."""
    folder = recorded_data()
    assert folder is not None
    scores = [nab.score_series(series, nab.alarm_rows(series)) for series in nab.read_corpus(folder / nab.FOLDER)]
    assert nab.normalised(scores, STANDARD) >= 60
    assert nab.normalised(scores, LOW_FALSE_ALARMS) >= 55
    assert nab.STATISTICS["event F1"][0](scores) >= 0.65
    assert nab.STATISTICS["false alarms"][0](scores) <= 0.025


@pytest.mark.recorded
def test_the_shipped_rules_find_the_faults_of_the_water_rig() -> None:
    """The bars: event F1 >= 0.90, <= 1 false alarm an hour, in alarm <= 2 % of the fault-free run."""
    folder = recorded_data()
    assert folder is not None
    rules = skab.shipped_rules()
    runs = skab.read_runs(folder / skab.FOLDER)
    scores = [
        skab.RunScore(score_recording(skab.record(one, rules), grace=skab.GRACE_S), one.fault_free) for one in runs
    ]
    assert skab.STATISTICS["event F1"][0](scores) >= 0.90
    assert skab.STATISTICS["false alarms"][0](scores) <= 1.0
    assert skab.STATISTICS["in alarm on the fault-free run"][0](scores) <= 2.0
