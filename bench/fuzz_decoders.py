"""Fuzz every decoder: whatever the bytes, it gives readings or a named refusal, in bounded time and memory (SPEC E5).

``python -m bench.fuzz_decoders`` tries a million payloads over all decoders, guided by coverage, starting from the
examples of the presets. Each decoder runs in a process of its own, so that a crash, a hang or a flood of memory names
its decoder; the input that did it is kept in the folder given, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from bench.decoder_targets import Decode, Setting

MAX_INPUT_BYTES = 4_096
MAX_SECONDS_EACH = 2.0
MAX_MEMORY_MB = 1_024
# A decoder that remembers is made anew so often; what it remembers is bounded by its own limits.
PAYLOADS_PER_DECODER = 1_000
# The first byte of an input chooses settings and topic, the second what the others are: the payload itself, pieces to
# put into an example (a parser refuses most of what is random before the decoder sees it), or topic, NUL and payload.
AS_IT_IS, INTO_EXAMPLE, OWN_TOPIC = range(3)
MAX_PIECES = 8
REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Outcome:
    """What came of one decoder. ``crash`` names the input that broke it, ``slowest_s`` is the longest one took."""

    decoder: str
    payloads: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest_s: float = 0.0
    memory_mb: int = 0
    crash: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz each decoder in turn and print a line for each; 0 when none broke."""
    asked = _arguments(arguments)
    if asked.only:
        _fuzz_one(asked)
    from bench.decoder_targets import targets

    names = asked.decoders.split(",") if asked.decoders else list(targets())
    unknown = set(names) - set(targets())
    if unknown:
        sys.exit(f"no decoder named {sorted(unknown)}; there are {', '.join(targets())}")
    asked.crashes.mkdir(parents=True, exist_ok=True)
    share = -(-asked.payloads // len(names))
    outcomes = [_run(name, share, asked.crashes, asked.planted) for name in names]
    total = sum(one.payloads for one in outcomes)
    broken = [one.decoder for one in outcomes if one.crash]
    print(f"{total:,} payloads, {len(broken)} decoders broken{': ' if broken else ''}{', '.join(broken)}")
    return 1 if broken else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz every decoder.")
    parser.add_argument("--payloads", type=int, default=1_000_000, help="in total, over all decoders")
    parser.add_argument("--decoders", default="", help="names with commas between; all of them when left out")
    parser.add_argument("--crashes", type=Path, default=Path("crashes"), help="folder for inputs that break a decoder")
    parser.add_argument("--planted", action="store_true", help="break each decoder on purpose: the fuzzer must find it")
    parser.add_argument("--only", default="", help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _run(name: str, payloads: int, crashes: Path, planted: bool) -> Outcome:
    """Fuzz one decoder in a process of its own; print and return what came of it."""
    command = [sys.executable, "-m", "bench.fuzz_decoders", "--only", name, "--payloads", str(payloads)]
    command += ["--crashes", str(crashes.resolve()), *(["--planted"] if planted else [])]
    with tempfile.TemporaryDirectory() as corpus:
        ran = subprocess.run(
            [*command, "--corpus", corpus], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
    if ran.returncode == -signal.SIGKILL and ran.stdout:
        told = json.loads(ran.stdout.splitlines()[-1])
        outcome = Outcome(**{**told, "refused": Counter(told["refused"])})
    else:
        # The process itself was ended: libFuzzer stops what hangs or takes too much memory, and keeps the input.
        outcome = Outcome(name, crash=f"the process ended with {ran.returncode}: {ran.stderr.strip()[-400:]}")
    rate = outcome.payloads / outcome.seconds if outcome.seconds else 0.0
    print(
        f"{name}: {outcome.payloads:,} payloads, {rate:,.0f}/s, {outcome.accepted:,} accepted, slowest "
        f"{outcome.slowest_s * 1000:.0f} ms, {outcome.memory_mb} MB; refused: "
        + ", ".join(f"{reason} {count:,}" for reason, count in outcome.refused.most_common()),
        flush=True,
    )
    if outcome.crash:
        print(f"{name} BROKE: {outcome.crash}", flush=True)
    return outcome


def _fuzz_one(asked: argparse.Namespace) -> NoReturn:
    """Fuzz one decoder in this process, which then ends itself; the last line of its output is what came of it."""
    import atheris

    # Coverage guides the fuzzer through modules that are first imported here, and through no others; what numba
    # compiles it could not compile any more.
    with atheris.instrument_imports(include=["ingest"], exclude=["ingest.stencils"]):
        from bench.decoder_targets import targets

    trial = _Trial(targets()[asked.only], asked)
    for place, (_, _, payload) in enumerate(trial.messages):
        (asked.corpus / f"{place}-as-it-is").write_bytes(bytes([place, AS_IT_IS]) + payload)
        (asked.corpus / f"{place}-into").write_bytes(bytes([place, INTO_EXAMPLE, 100, 3, place]))
    limits = [f"-max_len={MAX_INPUT_BYTES}", "-timeout=20", f"-rss_limit_mb={MAX_MEMORY_MB}", "-verbosity=0"]
    kept = f"-artifact_prefix={asked.crashes}/{asked.only}-"
    atheris.Setup([sys.argv[0], *limits, kept, str(asked.corpus)], trial.try_one)
    atheris.Fuzz()
    raise SystemExit("libFuzzer ended by itself")


class _Trial:
    """One decoder under fire."""

    def __init__(self, settings: Sequence[Setting], asked: argparse.Namespace) -> None:
        self.settings = settings
        self.messages = [(setting.name, *message) for setting in settings for message in setting.messages]
        self.asked = asked
        self.outcome = Outcome(asked.only)
        self.made: dict[str, Decode] = {}
        self.started = time.monotonic()

    def try_one(self, data: bytes) -> None:
        """Decode one input; the process ends here once enough were tried, or one broke the decoder."""
        outcome = self.outcome
        if outcome.payloads % PAYLOADS_PER_DECODER == 0:
            self.made = {one.name: one.make() for one in self.settings}
        began = time.monotonic()
        wrong = self._wrong(*self._message(data))
        took = time.monotonic() - began
        outcome.slowest_s = max(outcome.slowest_s, took)
        outcome.payloads += 1
        if took > MAX_SECONDS_EACH:
            wrong = wrong or f"took {took:.1f} s"
        if wrong:
            kept = self.asked.crashes / f"{outcome.decoder}-{hashlib.sha256(data).hexdigest()[:16]}"
            kept.write_bytes(data)
            self._end(f"{wrong[:300]}; the input is in {kept.name}")
        if outcome.payloads >= self.asked.payloads:
            self._end()

    def _message(self, data: bytes) -> tuple[str, str, bytes]:
        """Return the settings, the topic and the payload that an input stands for."""
        from bench.decoder_targets import spliced

        choice, kind, rest = (data[0], data[1] % 3, data[2:]) if len(data) > 1 else (0, AS_IT_IS, data)
        name, topic, payload = self.messages[choice % len(self.messages)]
        if kind == AS_IT_IS:
            payload = rest
        elif kind == INTO_EXAMPLE:
            payload = spliced(payload, rest[: 3 * MAX_PIECES])
        else:
            own, _, payload = rest.partition(b"\0")
            topic = own.decode("utf-8", "replace")
        return name, topic, payload

    def _wrong(self, name: str, topic: str, payload: bytes) -> str:
        """Decode, and say what the decoder did that it must not; nothing, when it told or refused."""
        from bench.decoder_targets import RECEIVED, faults
        from ingest.quarantine_reasons import Unusable

        try:
            told = self.made[name](topic, payload, RECEIVED)
            if self.asked.planted and b"7" in payload:
                raise KeyError("planted")
            wrong = next(faults(told), "")
        except Unusable as refused:
            self.outcome.refused[str(refused.reason)] += 1
            return ""
        except Exception as error:  # noqa: BLE001  # any other exception is what we look for
            return f"{type(error).__name__}: {error}"
        self.outcome.accepted += 1
        return f"told {wrong}" if wrong else ""

    def _end(self, crash: str = "") -> NoReturn:
        outcome = self.outcome
        outcome.crash = crash
        outcome.seconds = time.monotonic() - self.started
        outcome.memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(vars(outcome)), flush=True)
        # libFuzzer has no way out of its loop, and takes every other exit for a crash of the target.
        os.kill(os.getpid(), signal.SIGKILL)
        raise SystemExit("a killed process does not get here")


if __name__ == "__main__":
    sys.exit(main())
