"""The known data sets: listed, verified by the essence of their files, fetched from a server, refused when wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from simulators import datasets
from simulators.datasets import KNOWN, DataSet, KnownFile, WrongData
from tests.conftest import recorded_data

WHOLE = b"timestamp,value\r\n2014-01-03 00:00:00,1.5\r\n2014-01-04 00:00:00,2.5\r\n2014-01-06 00:00:00,9\r\n"
ESSENCE = b"timestamp,value\n2014-01-03 00:00:00,1.5\n2014-01-04 00:00:00,2.5\n"


class Shelf(BaseHTTPRequestHandler):
    """Publishes a few files."""

    files: ClassVar = {
        "/whole.csv": WHOLE,
        "/whole.csv.gz": gzip.compress(WHOLE),
        "/other.csv": WHOLE.replace(b"1.5", b"1.6"),
        "/page.html": b"<html>moved</html>",
    }
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def shelf() -> Iterator[str]:
    """The address of a running server with the files above."""
    Shelf.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def a_set(origin: str, path: str = "part.csv.gz") -> DataSet:
    file = KnownFile(
        path, origin, datasets.rows_before("2014-01-05"), len(ESSENCE), hashlib.sha256(ESSENCE).hexdigest()
    )
    return DataSet("a-set", "folder", "A set", "somewhere", "MIT", (file,))


@pytest.mark.parametrize("path", ["part.csv", "part.csv.gz"])
@pytest.mark.parametrize("published", ["/whole.csv", "/whole.csv.gz"])
def test_a_fetched_file_holds_the_essence_of_the_published_one(
    shelf: str, tmp_path: Path, path: str, published: str
) -> None:
    data_set = a_set(shelf + published, path)
    (fetched,) = datasets.fetch(data_set, tmp_path)
    assert fetched == tmp_path / "folder" / path
    assert datasets.read(fetched) == ESSENCE
    assert datasets.verify(data_set, tmp_path) == []


def test_what_is_there_and_right_is_not_fetched_again(shelf: str, tmp_path: Path) -> None:
    data_set = a_set(shelf + "/whole.csv")
    list(datasets.fetch(data_set, tmp_path))
    list(datasets.fetch(data_set, tmp_path))
    assert Shelf.asked == ["/whole.csv"]


def test_a_file_that_is_larger_than_its_essence_verifies_too(tmp_path: Path) -> None:
    data_set = a_set("unused", "part.csv")
    target = tmp_path / "folder" / "part.csv"
    target.parent.mkdir()
    target.write_bytes(WHOLE)
    assert datasets.verify(data_set, tmp_path) == []


def test_a_damaged_file_is_named_and_replaced_by_a_fetch(shelf: str, tmp_path: Path) -> None:
    data_set = a_set(shelf + "/whole.csv")
    (path,) = datasets.fetch(data_set, tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    assert len(datasets.verify(data_set, tmp_path)) == 1
    list(datasets.fetch(data_set, tmp_path))
    assert datasets.verify(data_set, tmp_path) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (sentence,) = datasets.verify(a_set("unused"), tmp_path)
    assert sentence.endswith("part.csv.gz is missing")


@pytest.mark.parametrize(
    ("published", "says"),
    [
        ("/other.csv", "is not the known file: SHA-256"),
        ("/page.html", "is not the known file"),
        ("/nowhere.csv", "answered 404"),
    ],
)
def test_what_is_not_the_known_file_is_refused_and_leaves_nothing_behind(
    shelf: str, tmp_path: Path, published: str, says: str
) -> None:
    with pytest.raises(WrongData, match=says):
        list(datasets.fetch(a_set(shelf + published), tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_origin_that_cannot_be_reached_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(WrongData, match=r"cannot be reached .* copy the file from a machine that can"):
        list(datasets.fetch(a_set("http://127.0.0.1:9/whole.csv"), tmp_path))


def test_a_file_that_is_too_large_is_refused(shelf: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DOWNLOAD_LIMIT_BYTES", len(WHOLE) - 1)
    with pytest.raises(WrongData, match="is larger than"):
        list(datasets.fetch(a_set(shelf + "/whole.csv"), tmp_path))


def test_an_essence_of_machines_keeps_their_rows_wherever_the_column_stands() -> None:
    keep = datasets.rows_of_machines({1, 3})
    assert keep(b"datetime,machineID,x\na,1,u\nb,2,v\nc,3,w\n") == b"datetime,machineID,x\na,1,u\nc,3,w\n"
    assert keep(b"machineID,x\n2,u\n3,v") == b"machineID,x\n3,v\n"


def test_an_essence_of_windows_is_the_same_for_the_whole_and_the_cut_labels() -> None:
    early, late = ["2013-12-10 06:25:00.000000", "2013-12-12 05:35:00.000000"], ["2014-01-20", "2014-01-21"]
    keep = datasets.windows_of("a/machine", "2014-01-05")
    whole = keep(json.dumps({"a/machine.csv": [early, late], "b.csv": []}).encode())
    assert whole == keep(json.dumps({"a/machine_part1.csv": [early]}).encode())
    with pytest.raises(ValueError, match="no windows of 'a/machine'"):
        keep(b"{}")


@pytest.mark.parametrize("data_set", KNOWN, ids=lambda data_set: data_set.name)
def test_every_known_set_says_what_it_is(data_set: DataSet) -> None:
    assert all([data_set.title, data_set.source, data_set.licence])
    for file in data_set.files:
        assert len(bytes.fromhex(file.sha256)) == 32
        assert file.size > 0
        assert file.origin.startswith("https://")
    assert data_set.name in datasets.as_table()
    assert datasets.known(data_set.name) is data_set


def test_an_unknown_set_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(WrongData, match="no data set 'nab'; known are nab-machine-temperature, azure-pdm"):
        datasets.known("nab")


@pytest.mark.recorded
@pytest.mark.parametrize("data_set", KNOWN, ids=lambda data_set: data_set.name)
def test_the_data_folder_holds_the_known_files(data_set: DataSet) -> None:
    folder = recorded_data()
    assert folder is not None
    assert datasets.verify(data_set, folder) == []
    strict = replace(data_set, files=tuple(replace(file, sha256="0" * 64) for file in data_set.files))
    assert len(datasets.verify(strict, folder)) == len(data_set.files)
