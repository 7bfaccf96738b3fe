"""Every preset from its message to the database: what its examples promise is what is stored (SPEC E3, E5)."""

from __future__ import annotations

import tomllib
from collections import Counter
from importlib.resources import files

import pytest

from api.dialects import shipped_presets
from bench.decoder_targets import bytes_of
from storage import feeds
from storage.feeds import FeedDraft
from tests.ingest_builders import NOW, SITE, Line, a_device, a_plant

WRITTEN = {
    preset["name"]: preset
    for entry in (files("editions") / "feeds").iterdir()
    for preset in [tomllib.loads(entry.read_text(encoding="utf-8"))]
}
# Sparkplug's examples are each of a session of its own; what a session stores is tested where sessions are.
ALONE = [preset for preset in shipped_presets() if preset.decoder != "sparkplug_b"]


@pytest.mark.parametrize("preset", ALONE, ids=lambda preset: preset.name)
def test_the_examples_of_a_preset_are_stored_as_they_promise(database, preset):
    examples = WRITTEN[preset.name]["example"]
    promised = [row for example in examples for row in example.get("told", [])]
    draft = FeedDraft(preset.name, SITE, preset.topic, preset.decoder, preset.settings)
    with a_plant(database) as connection:
        feed = feeds.create_feed(connection, draft, NOW)
        for number, key in enumerate(sorted({row["device"] for row in promised})):
            a_device(connection, f"d{number}", feed=(feed.id, key))
        line = Line(database)
        for example in examples:
            line.take((example["topic"], bytes_of(example["payload"], example.get("encoding", "text"))))
        stored = line.rows(
            "select d.feed_key, s.metric, r.ts, r.value from reading r join series s on s.id = r.series_id"
            " join device d on d.id = s.device_id"
        )
        events = line.rows("select d.feed_key, e.code from event e join device d on d.asset_id = e.asset_id")
        online = line.rows("select feed_key, online from device where online is not null")
        reasons = Counter(line.reasons())
    timed = {
        (row["device"], metric, row["ts"], value)
        for row in promised if not row.get("by_receipt")
        for metric, value in row.get("values", {}).items()
    }  # fmt: skip
    untimed = {
        (row["device"], metric, value)
        for row in promised if row.get("by_receipt")
        for metric, value in row["values"].items()
    }  # fmt: skip
    assert timed <= set(stored)
    assert {(key, metric, value) for key, metric, _, value in set(stored) - timed} == untimed
    assert sorted(events) == sorted((row["device"], code) for row in promised for code in row.get("events", []))
    # Who says whether it is there is believed; the others are not known to be.
    said = {row["device"]: row["online"] for row in promised if "online" in row}
    assert {key: state for key, state in online if key in said} == said
    assert reasons == Counter(example["refused"] for example in examples if "refused" in example)
