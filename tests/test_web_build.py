"""The hook that builds the console: only when stale, without Node on the machine, and clear when it fails."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
from pathlib import Path
from types import ModuleType

import pytest

from api.pages import rendering

REPOSITORY = Path(__file__).resolve().parent.parent
WEB = REPOSITORY / "web"


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_hook", WEB / "build_hook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository of one source file, and npm as a file that our stand-in for Node is given."""
    (tmp_path / "web" / "src").mkdir(parents=True)
    (tmp_path / "web" / "src" / "console.ts").write_text("export {};\n")
    return tmp_path


def a_node(folder: Path, script: str) -> Path:
    """A program in Node's place: it notes how it was called, then runs ``script``."""
    node = folder / "node"
    node.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n{script}\n')
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
    return node


def the_hook(hook: ModuleType, root: Path) -> object:
    return hook.CustomBuildHook(str(root), {}, None, None, str(root), "wheel")


def test_a_build_is_stale_until_stamped_and_again_after_any_change(hook, sources):
    web, static = sources / "web", sources / "api" / "static"
    assert hook.is_stale(web, static)
    static.mkdir(parents=True)
    hook.build(web, static, a_node(sources, "exit 0"), sources / "npm-cli.js")
    assert not hook.is_stale(web, static)
    (web / "node_modules").mkdir()
    (web / "node_modules" / "left-pad.js").write_text("pad")
    assert not hook.is_stale(web, static)
    (web / "src" / "console.ts").write_text("export const changed = true;\n")
    assert hook.is_stale(web, static)


def test_node_is_asked_for_only_when_there_is_something_to_build(hook, sources):
    assert the_hook(hook, sources).dependencies() == [hook.NODE]
    static = sources / "api" / "static"
    static.mkdir(parents=True)
    (static / ".stamp").write_text(hook.digest(sources / "web"))
    assert the_hook(hook, sources).dependencies() == []


def test_a_source_distribution_with_built_files_needs_no_build(hook, tmp_path):
    built = the_hook(hook, tmp_path)
    assert built.dependencies() == []
    built.initialize("standard", {})


def test_packages_are_installed_as_locked_and_run_no_scripts(hook, sources):
    static = sources / "api" / "static"
    static.mkdir(parents=True)
    hook.build(sources / "web", static, a_node(sources, "exit 0"), sources / "npm-cli.js")
    calls = (sources / "calls").read_text().splitlines()
    assert calls[0].endswith("npm-cli.js ci --ignore-scripts --no-audit --no-fund")
    assert calls[1].endswith("npm-cli.js run build")


def test_a_failed_build_says_what_failed_and_what_to_do_and_leaves_no_stamp(hook, sources):
    static = sources / "api" / "static"
    static.mkdir(parents=True)
    broken = a_node(sources, 'echo "TS2322: wrong type" >&2; exit 2')
    with pytest.raises(SystemExit) as failed:
        hook.build(sources / "web", static, broken, sources / "npm-cli.js")
    said = str(failed.value)
    assert "The console was not built" in said
    assert "TS2322: wrong type" in said
    assert "install again" in said
    assert hook.is_stale(sources / "web", static)


def test_versions_are_exact_and_the_lock_names_no_address():
    package = json.loads((WEB / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert [name for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
    for name, version in versions.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    settings = (WEB / ".npmrc").read_text().splitlines()
    assert "omit-lockfile-registry-resolved=true" in settings
    assert "ignore-scripts=true" in settings


def test_pages_link_what_the_build_made(tmp_path, monkeypatch):
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        json.dumps({"src/console.ts": {"file": "assets/console-1.js", "css": ["assets/console-2.css"]}})
    )
    monkeypatch.setattr(rendering, "MANIFEST", manifest)
    made = rendering.bundle.__wrapped__("console")
    assert made == rendering.Bundle("/static/assets/console-1.js", ("/static/assets/console-2.css",))


def test_pages_work_plain_while_nothing_is_built(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(rendering, "MANIFEST", tmp_path / "manifest.json")
    assert rendering.bundle.__wrapped__("console") == rendering.Bundle(None, ())
    assert "not built" in caplog.text
