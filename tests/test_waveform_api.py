"""Waveform blocks over HTTP: listed, downloaded, as spectra, and which of them are kept (SPEC D4)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import pytest
from psycopg_pool import ConnectionPool

from domain.waveforms import WaveformBlock
from storage import waveforms
from storage.policies import shipped_body
from storage.waveform_keeping import POLICY
from tests.api_builders import BASE, NORTH, NOW, SOUTH, Api, a_device, an_api, an_asset
from ticketing.actors import Role

RATE_HZ, COUNT = 25_600.0, 25_600
SECONDS = np.arange(COUNT) / RATE_HZ
# A shaft line, and a resonance at 6 kHz that is struck 97 times a second.
SIGNAL = (
    3.0 * np.sin(2 * np.pi * 25.0 * SECONDS)
    + (1 + 0.5 * np.cos(2 * np.pi * 97.0 * SECONDS)) * np.sin(2 * np.pi * 6_000 * SECONDS)
).astype("<f4")


def a_block(hour: int, metric: str, samples: bytes) -> WaveformBlock:
    at = NOW + timedelta(hours=hour)
    return WaveformBlock(round(at.timestamp() * 1_000_000), metric, "m/s2", RATE_HZ, samples)


class Plant:
    """The API over an asset at each site; the northern one's device has three blocks of two metrics."""

    def __init__(self, api: Api) -> None:
        self.api = api
        with api.pool.connection() as connection:
            body = {**shipped_body(POLICY), "keep": "all"}
            waveforms.publish_keep_policy(connection, body, person_id=None, now=NOW)
            self.asset, self.other = an_asset(connection, NORTH), an_asset(connection, SOUTH)
            self.device = a_device(connection, self.asset)
            self.blocks = [
                a_block(0, "de", SIGNAL.tobytes()),
                a_block(1, "de", SIGNAL[:16].tobytes()),
                a_block(2, "nde", SIGNAL.tobytes()),
            ]
            for block in self.blocks:
                waveforms.insert(connection, [(self.device, block)], NOW)
            self.ids = sorted(row.id for row in waveforms.page(connection, self.asset))


@pytest.fixture
def plant(pool: ConnectionPool) -> Iterator[Plant]:
    with an_api(pool) as api:
        yield Plant(api)


def test_the_blocks_of_an_asset_are_listed_by_page_and_filter(plant: Plant) -> None:
    first = plant.api.get(f"/assets/{plant.asset}/waveforms", limit=2).json()
    assert [item["id"] for item in first["items"]] == [plant.ids[2], plant.ids[1]]
    rest = plant.api.get(f"/assets/{plant.asset}/waveforms", limit=2, cursor=first["next_cursor"]).json()
    assert [item["id"] for item in rest["items"]] == [plant.ids[0]]
    assert rest["next_cursor"] is None
    item = rest["items"][0]
    assert (item["device"], item["metric"], item["unit"], item["rate_hz"]) == ("dev-1", "de", "m/s2", RATE_HZ)
    assert (item["sample_count"], item["kept_for"]) == (COUNT, "all")
    assert "samples" not in item
    by_metric = plant.api.get(f"/assets/{plant.asset}/waveforms", metric="nde").json()
    assert [one["id"] for one in by_metric["items"]] == [plant.ids[2]]
    assert plant.api.get(f"/assets/{plant.asset}/waveforms", device=plant.device + 1).json()["items"] == []


def test_a_block_is_downloaded_as_json_as_float32_and_as_csv(plant: Plant) -> None:
    address = f"/waveforms/{plant.ids[0]}"
    whole = plant.api.get(address).json()
    assert np.array_equal(np.array(whole["samples"], dtype="<f4"), SIGNAL)
    raw = plant.api.get(f"{address}/samples")
    assert raw.content == SIGNAL.tobytes()
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["content-disposition"] == "attachment; filename*=UTF-8''dev-1_de_20260302T080000.f32"
    table = plant.api.get(f"{address}/samples", format="csv")
    assert table.headers["content-type"].startswith("text/csv")
    lines = table.text.splitlines()
    assert lines[0] == "time_s,value"
    assert len(lines) == COUNT + 1
    seconds, values = np.array([line.split(",") for line in lines[1:]], dtype=np.float64).T
    assert np.allclose(seconds, SECONDS, atol=1e-9)
    assert np.array_equal(values.astype("<f4"), SIGNAL)


def test_the_spectrum_shows_the_lines_of_the_machine_and_the_envelope_those_of_the_knocks(plant: Plant) -> None:
    """SPEC D4: reduced to the points asked for, with every peak at its own frequency and height."""
    address = f"/waveforms/{plant.ids[0]}/spectrum"
    plain = plant.api.get(address, points=256).json()
    assert len(plain["frequency_hz"]) == len(plain["amplitude"]) <= 256
    lines = dict(zip(plain["frequency_hz"], plain["amplitude"], strict=True))
    assert lines[25.0] == pytest.approx(3.0, rel=1e-4)
    assert lines[6_000.0] == pytest.approx(1.0, rel=1e-4)
    envelope = plant.api.get(address, kind="envelope", to_hz=500).json()
    assert max(envelope["frequency_hz"]) <= 500
    place = int(np.argmax(envelope["amplitude"]))
    assert envelope["frequency_hz"][place] == 97.0
    assert envelope["amplitude"][place] == pytest.approx(0.5, rel=1e-3)
    assert (envelope["kind"], envelope["unit"]) == ("envelope", "m/s2")


def test_a_block_too_short_for_an_envelope_has_an_empty_one(plant: Plant) -> None:
    answer = plant.api.get(f"/waveforms/{plant.ids[1]}/spectrum", kind="envelope").json()
    assert (answer["frequency_hz"], answer["amplitude"]) == ([], [])


def test_what_lies_at_another_site_does_not_exist_for_the_caller(plant: Plant) -> None:
    """SPEC E1: answered as unknown, never as forbidden."""
    paths = [f"/assets/{plant.asset}/waveforms"]
    paths += [f"/waveforms/{plant.ids[0]}{end}" for end in ("", "/samples", "/spectrum")]
    for path in paths:
        assert plant.api.get(path, Role.ENGINEER, NORTH).status_code == 200, path
        assert plant.api.get(path, Role.ENGINEER, SOUTH).status_code == 404, path
        assert plant.api.get(path, Role.REQUESTER).status_code == 403, path
    assert plant.api.get(f"/assets/{plant.other}/waveforms").json()["items"] == []
    assert plant.api.get("/waveforms/999999").status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"points": 15}, {"points": 8_193}, {"kind": "phase"}, {"to_hz": 0}, {"to_hz": "nan"}]
)
def test_a_spectrum_that_cannot_be_drawn_is_refused(plant: Plant, wrong: dict[str, object]) -> None:
    assert plant.api.get(f"/waveforms/{plant.ids[0]}/spectrum", **wrong).status_code == 422


def test_a_planner_of_every_site_changes_which_blocks_are_kept(plant: Plant) -> None:
    body = {"keep": "none", "every_s": 60, "keep_when_finding": True, "keep_days": 7, "device_day_bytes": 1_000_000}
    assert plant.api.get("/waveform-policy").json()["keep"] == "all"
    assert plant.api.post("/waveform-policy", body, Role.ENGINEER).status_code == 403
    assert plant.api.post("/waveform-policy", body, Role.PLANNER, NORTH).status_code == 403
    assert plant.api.post("/waveform-policy", {**body, "keep": "some"}).status_code == 422
    assert plant.api.get("/waveform-policy").json()["keep"] == "all"
    answer = plant.api.post("/waveform-policy", body, Role.PLANNER)
    assert answer.status_code == 201, answer.text
    assert answer.json() == body == plant.api.get("/waveform-policy").json()


def test_the_routes_are_described(plant: Plant) -> None:
    described = plant.api.get("/openapi.json").json()["paths"]
    assert {path for path in described if "waveform" in path} == {
        f"{BASE}/assets/{{asset_id}}/waveforms",
        f"{BASE}/waveforms/{{waveform_id}}",
        f"{BASE}/waveforms/{{waveform_id}}/samples",
        f"{BASE}/waveforms/{{waveform_id}}/spectrum",
        f"{BASE}/waveform-policy",
    }
