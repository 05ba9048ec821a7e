# Every habit of this project. `make help` lists them; all of them set up what they need.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
RUN    := $(BIN)/python

# Where it is set, each of hundreds of processes that tests start compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-thorough test-explore test-slow test-libraries test-browser bench bench-quick bench-peers lint types fmt gen plots conformance check-gen serve container-test lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One stamp for each set of packages: set up once, again when a list changes.
SOURCES := pyproject.toml clients/python/pyproject.toml constraints.txt

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("lossd needs Python >= 3.11; this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'

$(VENV)/.demo: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e clients/python -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]' --group test --group lint --group gen
	@touch $@

demo: $(VENV)/.demo ## losses and gradients from a real server, on real data, in about a minute
	$(BIN)/lossd demo

test: $(VENV)/.dev ## every loss against torch and the oracle, client, server, scoring (under ten minutes on two cores)
	$(RUN) -m pytest -m "not slow and not thorough" --numprocesses auto --dist worksteal

test-thorough: $(VENV)/.dev ## the rest: faults, load, jobs, shared memory, random calls (eight minutes more)
	$(RUN) -m pytest -m "thorough and not slow" --numprocesses auto --dist worksteal

EXAMPLES ?= 60

test-explore: $(VENV)/.dev ## other random calls of every loss, drawn anew each time; EXAMPLES=60 for each
	LOSSD_EXPLORE=$(EXAMPLES) $(RUN) -m pytest tests/conformance/test_properties.py -m "not slow" --numprocesses auto --dist worksteal --timeout 3600

test-slow: $(VENV)/.dev ## the tests that take long: all 2^32 floats, 1,000 clients and 100 runs that are killed
	$(RUN) -m pytest -m slow --timeout 3600

# The libraries that define losses are heavy, and some change what others import: their own venv.
LIBRARIES := build/libraries
LISTS     := tests/libraries/requirements.txt tests/libraries/requirements-apart.txt

$(LIBRARIES)/.done: $(SOURCES) $(LISTS)
	$(PYTHON) -m venv $(LIBRARIES)
	$(LIBRARIES)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(LIBRARIES)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e clients/python -e . --group test -r tests/libraries/requirements.txt
	$(LIBRARIES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(LIBRARIES)/apart -r tests/libraries/requirements-apart.txt
	@touch $@

test-libraries: $(LIBRARIES)/.done ## the losses against MONAI, TRL, torchvision and others; downloads them
	$(LIBRARIES)/bin/python -m pytest tests/libraries

$(VENV)/.browser: $(VENV)/.dev
	scripts/browser-base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group browser
	@touch $@

test-browser: $(VENV)/.browser ## the pages of runs in a real Chromium, installed if need be; screenshots in build/browser
	$(RUN) -m pytest tests/browser

bench: $(VENV)/.dev ## the benchmark against torch, raw gRPC and the memory limit; writes docs/benchmarks.md
	$(RUN) -m benchmarks --out build/bench --markdown docs/benchmarks.md

bench-quick: $(VENV)/.dev ## a minute of the benchmark, nothing written to docs
	$(RUN) -m benchmarks --quick --out build/bench

# Peers have packages that do not fit with ours: an environment each. Triton's models need the
# system's own Python, in whose library their processes run.
PEERS         := build/peers
SYSTEM_PYTHON ?= /usr/bin/python3

$(PEERS)/%/.done: benchmarks/peers/requirements-%.txt
	$(if $(filter triton,$*),$(SYSTEM_PYTHON),$(PYTHON)) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-peers: $(VENV)/.dev $(PEERS)/flight/.done $(PEERS)/triton/.done ## the benchmark against Arrow Flight and Triton; downloads them; writes docs/benchmarks-peers.md
	$(RUN) -m benchmarks.peers --out build/bench-peers --markdown docs/benchmarks-peers.md --chart docs/img/benchmarks-peers.svg

lint: $(VENV)/.dev ## ruff: style and mistakes
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

types: $(VENV)/.dev ## mypy, strict
	$(RUN) -m mypy

fmt: $(VENV)/.dev ## put the code in shape
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

gen: $(VENV)/.dev ## write protobuf code, client classes and tables from their sources
	$(RUN) -m scripts.generate

plots: $(VENV)/.dev ## draw the pictures of losses that have none, or an old one
	$(RUN) -m scripts.plots

conformance: $(VENV)/.dev ## measure every loss's error against the oracle; writes docs/conformance.md
	$(RUN) -m scripts.conformance

check-gen: $(VENV)/.dev ## tell whether the generated files are current
	$(RUN) -m scripts.generate --check

serve: $(VENV)/.demo ## a server on localhost:50051; FLAGS="--listen unix:/tmp/lossd.sock" for others
	$(BIN)/lossd serve $(FLAGS)

container-test: ## build the image and run docker-compose.yml for real, with Docker or podman
	scripts/container-test

lock: $(VENV)/.dev ## record the versions in this environment as the tested ones
	$(RUN) -m pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$$//' | sort -f > constraints.txt

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
