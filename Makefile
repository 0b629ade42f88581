# MeterWAN: everything happens in this folder. The environment goes to .venv/, the data to data/.
# Paths stay relative, so a checkout may lie in a folder whose name has a space.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
UV     := 0.13.9

# An environment that was made elsewhere (a moved or copied checkout) points to the old place: make it anew.
PLACE := $(shell test -f $(VENV)/place && test "$$(cat $(VENV)/place)" != "$$(pwd -P)" && echo moved)
ifeq ($(PLACE),moved)
$(shell rm -rf $(VENV))
endif

# Tests that compute; tests that wait for the wall clock (tests/conftest.py tells them apart), of which more stand side by
# side, each with its own ports and folder; and tests that judge a server in real time at its full speed, one after another.
WORKERS ?= 2
WAITING ?= 3
LIVE    := tests/e2e
SERIAL  := tests/simulator/test_conformance.py tests/faults/test_soak.py
XDIST   := --dist loadfile --no-loadscope-reorder
BENCH  := $(basename $(notdir $(wildcard benchmarks/[a-z]*.py)))

.PHONY: help setup demo test lint format check-locks unit live serial bench trial lock proto translations wheel clean distclean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set everything up, start the server with a simulated house of 60 flats (Ctrl-C ends it)"
	@echo "make test    set everything up, run linters, types and all tests"
	@echo "make lint    linters, types and import walls only"
	@echo "make bench   measure the speed of the hot paths"
	@echo "make trial   the long fault trials"
	@echo "make wheel   build dist/meterwan-*.whl"
	@echo "make lock    resolve the dependencies anew into requirements/"
	@echo "make proto   write the classes of lns/gateways/mqtt/gateway.proto anew"
	@echo "make clean   remove caches and build products (make distclean: the environment too)"

# ------------------------------------------------------------------------------------------------ environment

$(VENV)/place:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "MeterWAN needs Python 3.11 or newer; '$(PYTHON)' is older. Say: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh tools/need.sh python3-venv
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS)
	@pwd -P > $@

# What the program runs on, and the build backend.
$(STAMPS)/run: requirements/run.txt | $(VENV)/place
	@mkdir -p $(STAMPS)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@touch $@

# The same and the tools of development.
$(STAMPS)/dev: requirements/lock.txt | $(VENV)/place
	@mkdir -p $(STAMPS)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	@touch $@ $(STAMPS)/run

$(STAMPS)/program: pyproject.toml hatch_build.py | $(STAMPS)/run
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/translations: $(wildcard appserver/locale/*/LC_MESSAGES/*.po) | $(STAMPS)/run
	$(PY) hatch_build.py
	@touch $@

$(STAMPS)/oracle: $(wildcard tests/oracle/package-lock.json) | $(VENV)/place
	@mkdir -p $(STAMPS)
	@sh tools/need.sh node=nodejs npm=npm
	@test ! -f tests/oracle/package-lock.json || (cd tests/oracle && npm ci --no-audit --no-fund --no-update-notifier --loglevel=error)
	@touch $@

$(STAMPS)/browser: | $(VENV)/place
	@mkdir -p $(STAMPS)
	@sh tools/need.sh chromium=chromium
	@touch $@

# Where a user's PATH has no /usr/sbin, the broker is found there all the same.
$(STAMPS)/broker: | $(VENV)/place
	@mkdir -p $(STAMPS)
	@sh tools/need.sh /usr/sbin/mosquitto=mosquitto
	@touch $@

# Only its programs are used: tests start servers of their own on free ports.
$(STAMPS)/postgresql: | $(VENV)/place
	@mkdir -p $(STAMPS)
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || sh tools/need.sh postgres=postgresql
	@touch $@

translations: $(STAMPS)/translations

setup: $(STAMPS)/run $(STAMPS)/program $(STAMPS)/translations

setup-dev: $(STAMPS)/dev setup

setup-test: setup-dev $(STAMPS)/oracle $(STAMPS)/browser $(STAMPS)/broker $(STAMPS)/postgresql

.PHONY: setup-dev setup-test

# ------------------------------------------------------------------------------------------------ the two commands

demo: setup
	@exec $(PY) -m meterwan demo $(DEMO)

test: setup-test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory live
	@$(MAKE) --no-print-directory serial

lint: setup-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

format: setup-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

unit: setup-test
	$(PY) -m pytest -q -n $(WORKERS) $(XDIST) -m "not real_time"

live: setup-test
	$(PY) -m pytest -q -n $(WAITING) $(XDIST) -m real_time $(LIVE)

serial: setup-test
	$(PY) -m pytest -q -n 0 $(SERIAL)

# ------------------------------------------------------------------------------------------------ more

bench: setup-dev $(STAMPS)/postgresql
	@$(if $(BENCH),for bench in $(BENCH); do echo "== $$bench"; $(PY) -m "benchmarks.$$bench" || exit 1; done,echo "no benchmarks" >&2; exit 1)

# Hours rather than minutes (docs/reliability.md). Each trial prints one line and appends its figures to build/trials/.
trial: setup-test
	$(PY) -m tests.faults.planted
	$(PY) -m tests.faults.seeds --seeds $(METERWAN_SEEDS)
	$(PY) -m tests.faults.forwarder
	$(PY) -m tests.faults.joins
	METERWAN_KILLS=$(METERWAN_KILLS) $(PY) -m pytest -q --timeout=0 -n 0 tests/e2e/test_kill.py
	METERWAN_MIXED_MINUTES=60 $(PY) -m pytest -q --timeout=0 -n 0 tests/lns/test_gateway_mixed.py
	METERWAN_POSTGRESQL=all $(PY) -m pytest -q -n $(WORKERS) $(XDIST) tests/appserver
	$(PY) -m tests.trials.satka --seeds 20
	$(PY) -m tests.trials.conformance
	$(PY) -m tests.fuzz.fuzz_wire -runs=$(FUZZ_RUNS)
	$(PY) -m tests.faults.soak --minutes $(METERWAN_SOAK_MINUTES)

METERWAN_KILLS        ?= 500
METERWAN_SEEDS        ?= 10000
METERWAN_SOAK_MINUTES ?= 60
FUZZ_RUNS             ?= 5000000

wheel: setup-dev
	$(PY) -m hatchling build -t wheel

proto: setup-dev
	cd lns/gateways/mqtt && ../../../$(PY) -m grpc_tools.protoc -I . --python_out=. --pyi_out=. gateway.proto

lock: setup-dev
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV)
	$(PY) -m uv pip compile pyproject.toml --group dev $(COMPILE) -o requirements/lock.txt
	$(PY) -m uv pip compile pyproject.toml --group build -c requirements/lock.txt $(COMPILE) -o requirements/run.txt

COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -path ./$(VENV) -prune -o -name node_modules -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) tests/oracle/node_modules
