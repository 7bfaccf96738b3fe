"""The detectors' machine code, made once for this machine and version before anything waits for it.

``python -m runtime.compiling`` makes what is missing, on every core; where all is there it takes a second or two.
`wearsight up` runs it while the database starts, and says so when it has to wait for it. A process that finds no
machine code makes its own, on one core and told to nobody.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from domain.clock import Clock
from runtime.children import Child
from runtime.fanning_out import WorkFailed, fan_out
from runtime.log_files import keep_short
from runtime.screen import Screen

# The folder that holds our packages: the repository, or site-packages.
PACKAGES = Path(__file__).resolve().parent.parent
_STENCILS = "stencils"


class Compiling:
    """The child that compiles while other things start. ``directory`` is the data directory."""

    def __init__(self, directory: Path, clock: Clock, screen: Screen) -> None:
        self._own = directory / "processes" / "compiling"
        self._child = Child("compiling of detectors", self._own, clock=clock)
        self._log = directory / "log" / "compiling.log"
        self._screen = screen

    def start(self) -> None:
        """Start it. Raises what ``Child.spawn`` raises."""
        self._own.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._child.claim()
        keep_short(self._log)
        self._child.spawn(
            [sys.executable, "-m", "runtime.compiling"],
            environment={**os.environ, **where_code_is_kept(self._own.parent.parent)},
            output=self._log,
            cwd=PACKAGES,
        )

    def wait(self) -> None:
        """Wait until it is done, and say why we wait. Where it fails, whoever needs the code makes it later."""
        if self._child.running():
            with self._screen.step("compiling the detectors for this machine (at the first start only)"):
                while self._child.running():
                    time.sleep(0.1)
        if self._child.exit_code != 0:
            self._screen.trouble(f"the detectors were not compiled ahead, so ingest starts later. See {self._log}")
        self.stop()

    def stop(self) -> None:
        """End it, done or not. Twice is harmless."""
        self._child.stop()


def where_code_is_kept(directory: Path) -> dict[str, str]:
    """Return the variables that tell where machine code is kept.

    Beside its package; where that is installed read-only, in our data directory.
    """
    if os.access(PACKAGES / "detectors", os.W_OK) or "NUMBA_CACHE_DIR" in os.environ:
        return {}
    return {"NUMBA_CACHE_DIR": str(directory / "compiled")}


def compile_part(name: str) -> None:
    """Compile the kernels of the detector of this name, or those of the decoder."""
    from detectors import trial
    from ingest import stencils

    if name == _STENCILS:
        stencils.warm_up()
    else:
        trial.warm_up([name])


def main() -> int:
    """Compile everything; return 1 when a part would not compile, which is then written to standard error."""
    from detectors.catalogue import CATALOGUE

    failed = 0
    for part, made in fan_out(compile_part, [*CATALOGUE, _STENCILS], workers=os.cpu_count() or 1):
        if isinstance(made, WorkFailed):
            sys.stderr.write(f"{part}: {made}\n")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
