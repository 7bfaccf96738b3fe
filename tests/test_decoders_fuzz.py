"""The fuzzer itself: a short run over every decoder breaks none, and a planted bug is found and kept (SPEC E5)."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.decoder_targets import targets
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(
    find_spec("atheris") is None, reason="left out: atheris is missing (it is made for Linux, Python below 3.13)"
)


def fuzz(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.fuzz_decoders", "--crashes", str(folder), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=110)


def test_a_short_run_breaks_no_decoder(tmp_path: Path) -> None:
    ran = fuzz(tmp_path, "--payloads", "18000")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list(tmp_path.iterdir()) == []
    for name in targets():
        found = re.search(rf"^{name}: ([\d,]+) payloads, [\d,]+/s, ([\d,]+) accepted", ran.stdout, re.MULTILINE)
        assert found is not None, ran.stdout
        # Both ways were walked: some messages were used, the others refused by name.
        assert 0 < int(found[2].replace(",", "")) < int(found[1].replace(",", "")), name
    assert re.search(r"^18,0\d\d payloads, 0 decoders broken$", ran.stdout, re.MULTILINE), ran.stdout


def test_a_planted_bug_is_found_and_its_input_kept(tmp_path: Path) -> None:
    ran = fuzz(tmp_path, "--payloads", "3000", "--decoders", "senml", "--planted")
    assert ran.returncode == 1
    assert "senml BROKE: KeyError: 'planted'" in ran.stdout
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("senml-")
    assert b"7" in kept.read_bytes()


def test_a_decoder_that_is_not_there_is_named(tmp_path: Path) -> None:
    ran = fuzz(tmp_path, "--decoders", "morse")
    assert ran.returncode == 1
    assert "morse" in ran.stderr
