"""Style as a test: what a machine can check about the house, a reviewer need not (STYLE in CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from storage.database import connect
from storage.queries import split

REPOSITORY = Path(__file__).resolve().parent.parent
# Folders of Python that stay out of the wheel, and their limits on the length of a function.
NOT_SHIPPED = frozenset({"tests", "bench"})
FILE_LINES, FUNCTION_LINES, TEST_FUNCTION_LINES = 400, 60, 80


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that is committed or would be, relative to the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return tuple(Path(line) for line in sorted(set(listed.stdout.splitlines())) if (REPOSITORY / line).is_file())


@cache
def text_of(path: Path) -> str | None:
    """The text of a tracked file, or None when it is not text."""
    try:
        return (REPOSITORY / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def files(suffix: str, *, under: str = ".") -> Iterator[tuple[Path, str]]:
    """Tracked text files with this suffix in a folder, with their text."""
    for path in tracked():
        if path.suffix == suffix and (under == "." or path.is_relative_to(under)):
            text = text_of(path)
            assert text is not None, f"{path} is not UTF-8"
            yield path, text


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a tracked Python file."""
    return ast.parse(text_of(path) or "", filename=str(path))


def shipped_python() -> Iterator[Path]:
    """Tracked Python files of the wheel."""
    packages = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return (path for path, _ in files(".py") if path.parts[0] in packages)


@cache
def strings_in_code() -> frozenset[str]:
    """Every string literal of the shipped Python, docstrings included."""
    return frozenset(
        node.value
        for path in shipped_python()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def pyproject() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def modules_in(folder: str) -> set[str]:
    """Names of the tracked Python modules directly in a folder, ``__init__`` apart."""
    return {path.stem for path, _ in files(".py", under=folder) if path.parent == Path(folder)} - {"__init__"}


# Packages and layers


def test_every_folder_of_code_is_shipped_type_checked_and_layered():
    folders = {path.parts[0] for path in tracked() if len(path.parts) == 2 and path.name == "__init__.py"} - NOT_SHIPPED
    tool = pyproject()["tool"]
    assert set(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == folders, "the wheel's package list"
    assert set(tool["mypy"]["packages"]) == folders, "mypy's package list"
    assert set(tool["importlinter"]["root_packages"]) == folders, "import-linter's package list"


def test_imports_point_inward():
    linter = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    linted = subprocess.run(
        [sys.executable, "-c", linter, "--no-cache"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout + linted.stderr


# Lengths


def test_files_fit_in_one_reading():
    long = {
        str(path): text.count("\n")
        for suffix in (".py", ".ts", ".sql")
        for path, text in files(suffix)
        if path.parts[0] != "tests" and text.count("\n") > FILE_LINES
    }
    assert not long, f"at most {FILE_LINES} lines a file: split by noun"


def test_functions_fit_on_a_screen():
    long = []
    for path, _ in files(".py"):
        limit = TEST_FUNCTION_LINES if path.parts[0] == "tests" else FUNCTION_LINES
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > limit:
                    long.append(f"{path}:{node.lineno} {node.name} has {lines} lines, at most {limit}")
    assert not long, "\n".join(long)


# Settings


def test_every_setting_is_documented_and_every_documented_variable_exists():
    from runtime.settings import Settings

    prefix = Settings.model_config["env_prefix"]
    fields = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    documented = set(re.findall(rf"{prefix}[A-Z0-9_]+", text_of(Path("docs/settings.md")) or "", re.IGNORECASE))
    assert fields - documented == set(), "missing from docs/settings.md"
    # Variables of the tests and of subprocesses are no settings, but whoever documents one must find it read.
    read_elsewhere = {
        name
        for path, text in files(".py")
        if path.name != "settings.py"
        for name in re.findall(r"WEARSIGHT_[A-Z0-9_]+", text)
    }
    for path, text in files(".md"):
        unknown = set(re.findall(r"WEARSIGHT_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_])", text)) - fields - read_elsewhere
        assert not unknown, f"{path} names variables that nothing reads: {sorted(unknown)}"


def test_every_setting_is_read_by_the_code():
    from runtime.settings import Settings

    attributes = {
        node.attr for path in shipped_python() for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)
    }
    assert set(Settings.model_fields) - attributes == set(), "settings that are stored and never read"


# Catalogues: one file each, and none that nobody lists


def test_every_detector_is_one_file_of_the_catalogue():
    from detectors.catalogue import CATALOGUE

    written = {
        path.stem
        for path, _ in files(".py", under="detectors")
        if any(isinstance(node, ast.FunctionDef) and node.name == "update" for node in tree_of(path).body)
    }
    assert written == set(CATALOGUE)
    assert all(spec.name == name for name, spec in CATALOGUE.items())


def test_every_detector_and_every_parameter_is_documented_with_its_default():
    from detectors.catalogue import CATALOGUE

    chapters = re.split(r"^## ", text_of(Path("docs/detectors.md")) or "", flags=re.MULTILINE)[1:]
    sections = dict(chapter.split("\n", 1) for chapter in chapters)
    assert set(CATALOGUE) == set(sections) - {"Common parameters"}
    for name, spec in CATALOGUE.items():
        own = dict(re.findall(r"^\| (`.+?) \| (.+?) \|", sections["Common parameters"] + sections[name], re.MULTILINE))
        documented = {parameter: default for row, default in own.items() for parameter in re.findall(r"`(\w+)`", row)}
        for field in dataclasses.fields(spec.parameters):
            assert field.name in documented, f"docs/detectors.md: {name} has a parameter '{field.name}'"
            default = "none" if field.default is None else str(field.default).lower().removesuffix(".0")
            assert re.search(rf"(?<![\w.]){default}(?![\w.])", documented[field.name]), (
                f"docs/detectors.md: '{field.name}' of {name} is {default} by default"
            )


@pytest.mark.parametrize("folder", ["ingest/decoders", "notify/channels"])
def test_every_file_of_a_catalogue_folder_is_used_by_its_package(folder: str):
    package = folder.replace("/", ".")
    imported: set[str] = set()
    for path in shipped_python():
        for node in ast.walk(tree_of(path)):
            # A catalogue is the use of what it lists; other files of the folder using each other are none.
            outside = path.parent != Path(folder) or path.name == "catalogue.py"
            if isinstance(node, ast.ImportFrom) and node.module and outside:
                imported |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    unused = {name for name in modules_in(folder) if f"{package}.{name}" not in imported}
    assert modules_in(folder), f"{folder} is empty"
    assert not unused, f"files of {folder} that nothing imports"


def test_every_decoder_is_one_file_of_the_catalogue_or_reads_native_topics():
    from ingest.decoders.catalogue import DECODERS

    # The native topics say what they carry, so nobody chooses their decoders; the other two decode nothing.
    unlisted = {"native", "waveform", "telling", "catalogue"}
    assert modules_in("ingest/decoders") - unlisted == set(DECODERS)
    assert unlisted <= modules_in("ingest/decoders")


def test_every_preset_of_a_feed_is_named_as_its_file_and_documented():
    guides = [text_of(Path(f"docs/{name}")) or "" for name in ("dialects.md", "dialects.zh.md")]
    presets = {path.stem: tomllib.loads(text) for path, text in files(".toml", under="editions/feeds")}
    assert presets, "there is no preset"
    for stem, preset in presets.items():
        assert preset["name"] == stem
        for guide in guides:
            assert f"`{stem}`" in guide, f"the preset '{stem}' is not in the guides to dialects"


def test_every_setting_of_a_dialect_is_documented():
    from ingest.decoders.influx import InfluxRules
    from ingest.decoders.senml import SenmlRules
    from ingest.mapping.json_rules import EventRule, JsonRules, PresenceRule
    from ingest.mapping.when import TimeRule

    settings = {
        name for rules in (InfluxRules, SenmlRules, JsonRules, EventRule, PresenceRule, TimeRule)
        for name in rules.__struct_fields__
    }  # fmt: skip
    for guide in ("docs/dialects.md", "docs/dialects.zh.md"):
        missing = {name for name in settings if f"`{name}`" not in (text_of(Path(guide)) or "")}
        assert not missing, f"{guide} does not explain {sorted(missing)}"


def test_the_examples_of_the_guides_to_dialects_are_those_of_the_presets():
    payloads = {
        line.strip()
        for path, text in files(".toml", under="editions/feeds")
        for example in tomllib.loads(text)["example"]
        for line in example["payload"].splitlines()
    }
    for guide in ("docs/dialects.md", "docs/dialects.zh.md"):
        shown = re.findall(r"^```(?:json|text)\n(.*?)^```", text_of(Path(guide)) or "", re.MULTILINE | re.DOTALL)
        assert len(shown) >= 5, guide
        unknown = [line for block in shown for line in block.splitlines() if line.strip() not in payloads]
        assert not unknown, f"{guide} shows messages that no preset has: nobody tests them"


def test_every_library_is_installed_with_the_house(seeded: str):
    libraries = {path.name: tomllib.loads(text) for path, text in files(".toml", under="editions/library")}
    assert libraries, "there is no failure-mode library"
    with connect(seeded) as connection:
        rows = connection.execute("select asset_type_id, code from failure_mode").fetchall()
        rules = {name for (name,) in connection.execute("select name from rule")}
    for file, library in libraries.items():
        kind = library["asset_type"]["id"]
        assert {(kind, mode["code"]) for mode in library["mode"]} <= set(rows), f"failure modes of {file}"
        assert {rule["name"] for rule in library.get("rule", [])} <= rules, f"rules of {file}"


def test_every_reason_for_quarantine_is_in_the_device_guide_in_both_languages():
    from ingest.quarantine_reasons import EXPLANATIONS, Reason

    guide = text_of(Path("docs/device-guide.md")) or ""
    english, chinese = guide.split("\n# 设备接入指南\n")
    for reason in Reason:
        assert f"`{reason}`" in english, f"'{reason}' in the English part"
        assert f"`{reason}`" in chinese, f"'{reason}' in the Chinese part"
        assert reason in EXPLANATIONS


# Queries and refusals


def test_every_named_query_has_a_purpose_and_a_user():
    used, patterns = strings_in_code(), [re.compile(pattern) for pattern in sorted(indexed_by_pattern())]
    for path, text in files(".sql", under="storage/sql"):
        assert path.stem in used, f"{path} is never loaded"
        for name, purpose, body in split(text, path.stem):
            assert purpose.endswith("."), f"{path}: the purpose of {name} is a sentence"
            assert body, f"{path}: {name} is empty"
            assert name in used or any(pattern.fullmatch(name) for pattern in patterns), (
                f"{path}: nothing executes {name}"
            )


def indexed_by_pattern() -> set[str]:
    """Patterns of the names in ``QUERIES[f"..."]``."""
    return {
        "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in node.slice.values)
        for path in shipped_python()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.JoinedStr)
    }


def test_every_query_that_code_executes_exists():
    named = {
        path.stem: {name for name, _, _ in split(text, path.stem)} for path, text in files(".sql", under="storage/sql")
    }
    for path in shipped_python():
        loads = [
            node.args[0].value
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", "") == "load"
            and isinstance(node.args[0], ast.Constant)
        ]
        known = set().union(*(named[noun] for noun in loads if noun in named))
        asked = {
            node.slice.value
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Subscript)
            and getattr(node.value, "id", "") == "QUERIES"
            and isinstance(node.slice, ast.Constant)
        }
        assert not loads or asked <= known, f"{path} executes queries that are not in storage/sql: {asked - known}"


def test_every_refusal_is_raised_somewhere():
    from domain.refusals import REFUSALS

    named = {
        node.value
        for path in shipped_python()
        if path != Path("domain/refusals.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(REFUSALS) - named == set(), "refusals that nothing raises"


def test_every_raised_refusal_has_a_title():
    from domain.refusals import REFUSALS

    raised = {
        node.args[0].value
        for path in shipped_python()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "Refused"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert raised - set(REFUSALS) == set(), "add them to domain/refusals.py"


def test_every_migration_file_belongs_to_a_revision():
    numbered = {path.name.split(".")[0] for path, _ in files(".sql", under="storage/migrations")}
    revisions = {name.removeprefix("m") for name in modules_in("storage/migrations/versions")}
    assert numbered == revisions


# Documents


def test_every_rule_and_decision_that_is_cited_exists():
    # A row may stand for several rules: "I2–I4".
    rows = re.findall(r"^\| ([A-Z]\d*(?:–[A-Z]\d+)?) \|", text_of(Path("docs/spec.md")) or "", re.MULTILINE)
    rules = {f"{row[0]}{n}" for row in rows for n in range(*span(row))}
    decisions = {int(path.name[:4]) for path, _ in files(".md", under="docs/adr") if path.name != "README.md"}
    broken = []
    for path in tracked():
        text = (text_of(path) or "") if path.suffix in {".py", ".sql", ".ts", ".toml", ".md"} else ""
        cited = {
            rule
            for listed in re.findall(r"SPEC ((?:[A-Z]\d+(?:, | and )?)+)", text)
            for rule in re.findall(r"[A-Z]\d+", listed)
        }
        broken += [f"{path}: SPEC {rule} is not in docs/spec.md" for rule in cited - rules]
        broken += [
            f"{path}: there is no ADR {n}" for n in map(int, re.findall(r"ADR (\d+)", text)) if n not in decisions
        ]
        if re.search(r"\bDESIGN(?:\.md| \d)", text) and path != Path("tests/test_tidy.py"):
            broken.append(f"{path}: cites a design that is not here; cite its ADR")
    assert not broken, "\n".join(broken)


def span(row: str) -> tuple[int, int]:
    """First and one past the last number of a row of rules: "I2–I4" gives (2, 5), "E1" (1, 2)."""
    numbers = [int(number) for number in re.findall(r"\d+", row)] or [0]
    return numbers[0], numbers[-1] + 1


def test_every_dependency_says_what_it_saves_and_how_to_leave_it():
    listed = set(
        re.findall(
            r"[a-z][\w.-]*",
            "".join(re.findall(r"^\| ([^|]+)\|", text_of(Path("docs/adr/0021-libraries.md")) or "", re.MULTILINE)),
        )
    )
    required = {re.split(r"[\[<>=!~; ]", name)[0] for name in pyproject()["project"]["dependencies"]}
    browser = json.loads(text_of(Path("web/package.json")) or "{}")
    required |= set(browser["dependencies"]) | set(browser["devDependencies"])
    assert required - listed == set(), "add a line to docs/adr/0021-libraries.md"


def headings(markdown: str) -> set[str]:
    """Anchors of a Markdown text as code hosts make them: lower case, punctuation dropped, spaces as hyphens."""
    found = re.findall(r"^#+ +(.+?)\s*$", without_code(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def without_code(markdown: str) -> str:
    """The text without fenced and inline code, where brackets are not links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))


def test_relative_links_lead_somewhere():
    broken = []
    for path, text in files(".md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            other = (REPOSITORY / path).parent / name if name else REPOSITORY / path
            if not other.exists():
                broken.append(f"{path}: {target} does not exist")
            elif anchor and other.suffix == ".md" and anchor not in headings(other.read_text(encoding="utf-8")):
                broken.append(f"{path}: {target} has no such heading")
    assert not broken, "\n".join(broken)


def test_every_decision_is_in_the_index():
    index = text_of(Path("docs/adr/README.md")) or ""
    missing = [
        path.name
        for path, _ in files(".md", under="docs/adr")
        if path.name != "README.md" and f"({path.name})" not in index
    ]
    assert not missing, f"link them in docs/adr/README.md: {missing}"


def test_every_document_can_be_reached_from_a_readme():
    linked: set[Path] = set()
    waiting = [Path("README.md")]
    while waiting:
        path = waiting.pop()
        if path in linked or path.suffix != ".md":
            continue
        linked.add(path)
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", without_code(text_of(path) or "")):
            other = (REPOSITORY / path).parent / target
            if other.is_file():
                waiting.append(other.resolve().relative_to(REPOSITORY))
    documents = {path for path, _ in files(".md", under="docs")}
    assert documents - linked == set(), "documents that no link leads to"


def test_the_makefile_runs_what_exists():
    modules = set(re.findall(r"-m (\w[\w.]*)", text_of(Path("Makefile")) or ""))
    packages = set(pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) | NOT_SHIPPED
    paths = [Path(*module.split(".")) for module in modules if module.split(".")[0] in packages]
    known = set(tracked())
    missing = [path for path in paths if not {path.with_suffix(".py"), path / "__main__.py"} & known]
    assert not missing, f"the Makefile runs modules that are not there: {[str(path) for path in missing]}"


# What must never be committed


def addresses(value: object, key: str = "") -> Iterator[str]:
    """Every URL in a JSON value, those of ``funding`` fields apart."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != "funding":
                yield from addresses(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from addresses(inner, key)
    elif isinstance(value, str) and "://" in value:
        yield f"{key}: {value}"


def test_lock_files_name_no_host():
    for path, text in files(".lock"):
        assert "://" not in text, f"{path}: `make lock` writes it without addresses"
    assert list(addresses(json.loads(text_of(Path("web/package-lock.json")) or "{}"))) == []
    resolving = {"uv.lock", "pylock.toml", "yarn.lock", "pnpm-lock.yaml"}
    assert not [path for path in tracked() if path.name in resolving], "lock files that carry a registry's address"


def test_nothing_names_a_path_of_somebodys_machine():
    # Spelt apart, so that this file does not find itself.
    private = re.compile("|".join(rf"(?<![\w.~-])/{top}/[\w.-]+" for top in ("home", "work", "root", "Users")))
    found = [f"{path}: {hit}" for path in tracked() for hit in private.findall(text_of(path) or "")]
    assert not found, "\n".join(found)


def test_no_recorded_data_and_no_built_file_is_committed():
    data = {".csv", ".parquet", ".npz", ".npy", ".mat", ".whl", ".mo", ".db", ".wasm"}
    assert not [str(path) for path in tracked() if path.suffix in data]
    assert not [str(path) for path in tracked() if {"node_modules", "__pycache__"} & set(path.parts)]
