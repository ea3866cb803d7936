# Tiers: check (no root, under a minute) < test (what CI runs) ; on demand: e2e, bench, chaos.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help check lint unit test netns-test sandbox-test bench bench-quick chaos cni clean docs
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

# The stamp is as new as the pins: a changed pin installs, an unchanged one costs nothing.
$(VENV)/stamp: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	touch $@

cni: ## build the CNI plugin
	$(MAKE) -s -C nodeagent/cni

lint: $(VENV)/stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=core:kube:operator:nodeagent:cli $(BIN)/lint-imports
	$(BIN)/shellcheck $$(git ls-files "*.sh" .ci/run)

unit: $(VENV)/stamp cni
	$(BIN)/pytest -n 2 --durations=5 -m "not root and not sandbox and not slow" tests

check: lint unit ## formatting, types, layers, tests without root; under a minute

test: check up netns-test sandbox-test ## everything that CI runs

# Everything is there, so what is skipped has failed.
netns-test sandbox-test: export FAIRLEAD_NO_SKIP = 1

netns-test: $(VENV)/stamp cni
	$(PYTHON) -m sandbox.packages requirements/apt-test.txt
	$(BIN)/pytest -m "(root or slow) and not sandbox" tests

sandbox-test: $(VENV)/stamp up
	$(BIN)/pytest -m sandbox tests

docs: $(VENV)/stamp ## the pages that are made from files: docs/crds.md, the chart's copies of crds/
	$(BIN)/python docs/reference.py > docs/crds.md
	cp crds/*.yaml charts/fairlead/files/crds/

bench: $(VENV)/stamp cni ## every benchmark with its contenders
	$(BIN)/python -m tests.bench

bench-quick: $(VENV)/stamp cni ## the benchmarks that take under five minutes
	$(BIN)/python -m tests.bench --quick

chaos: $(VENV)/stamp ## long seeded fault schedules on the sandbox
	$(BIN)/pytest -m chaos tests

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

-include sandbox/sandbox.mk
