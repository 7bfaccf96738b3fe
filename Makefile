# Everything from a fresh machine with python3, pip and make. `make run` and `make test` set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-annotate --no-header --quiet
WEB := $(shell find web -type f -not -path '*/node_modules/*' 2>/dev/null)

.PHONY: run test lint types bench bench-detection campaign-ingest campaign-tickets fuzz-decoders docs lock clean

run: $(VENV)/.run
	$(BIN)/wearsight demo

# Compiled once before the workers start, or each of them would compile the same.
test: $(VENV)/.dev
	$(BIN)/python -m runtime.compiling
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# The detectors on labelled recordings. DATA: another folder of the same layout; OUT: a JSON file for the figures.
bench-detection: $(VENV)/.dev
	$(BIN)/python -m bench.detection $(if $(DATA),--data "$(DATA)") $(if $(OUT),--out "$(OUT)")

# Fault injection: kills, outages, a bad network, a full disk. About 40 minutes; needs mosquitto, and root for the full disk.
campaign-ingest: $(VENV)/.dev
	$(BIN)/python -m bench.campaign $(ARGS)

# The ticket's life at length: random steps, working time against every minute, kills of schedulers, contested claims.
campaign-tickets: $(VENV)/.dev
	$(BIN)/python -m bench.campaign.lifecycle
	$(BIN)/python -m bench.campaign.working_time
	$(BIN)/python -m bench.campaign --only schedulers claims

# A million payloads through the decoders; what breaks one is kept in crashes/.
fuzz-decoders: $(VENV)/.dev
	$(BIN)/python -m bench.fuzz_decoders --payloads $(or $(PAYLOADS),1000000) --crashes crashes

# Writes the parts of docs/ that are generated from the code; a test says when they are out of date.
docs: $(VENV)/.run
	$(BIN)/python -m ticketing.diagram > docs/lifecycle.md

# Resolves the dependencies anew. The locks name versions and hashes, no registry.
lock: $(VENV)/.dev
	$(PIP) uv
	$(BIN)/$(LOCK) --extra dev --output-file requirements-dev.lock
	$(BIN)/$(LOCK) --constraint requirements-dev.lock --output-file requirements.lock

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python requirements.lock pyproject.toml $(WEB)
	@echo "Installing what Wearsight runs on into $(VENV) ..."
	$(PIP) --require-hashes --requirement requirements.lock
	@echo "Building the console (a first build takes about half a minute) ..."
	$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@echo "Installing what the tests run on into $(VENV) ..."
	$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

clean:
	rm -rf $(VENV) api/static build dist .pytest_cache .mypy_cache .ruff_cache
