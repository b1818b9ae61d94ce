# Two commands are enough for most: `make demo` and `make test`.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# One more than there are cores: a test that waits for a browser or a database leaves one idle.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)
# Compiled once, whatever the environment says: tests start the shop some hundred times as a process.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -q -n $(WORKERS) --dist worksteal

.PHONY: help setup demo demo-stripe test test-long trials check bench bench-full lock sample pictures clean

help: ## List these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready ## Make .venv and put `store` into it

.venv/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Colophon needs Python 3.11 or newer; say which with: make PYTHON=python3.12 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Setting up .venv (a minute on the first run)"
	@$(PIP) --require-hashes -r requirements-dev.lock >.venv/pip.log 2>&1 || { cat .venv/pip.log; exit 1; }
	@$(PIP) --no-deps --no-build-isolation --editable . >.venv/pip.log 2>&1 || { cat .venv/pip.log; exit 1; }
	@touch $@

demo: setup ## Play the main job on a sample shop, then leave it running
	@STORE_ENV=demo $(BIN)/store demo

demo-stripe: setup ## The same story, paid at Stripe's double on a shop of its own
	@$(BIN)/python -m tests.stripe_double.story

test: check ## Lint, types, import contracts and every test but the long ones
	@$(PYTEST) -m "not long"

test-long: setup ## The slow histories and trials, more looks and PostgreSQL
	@$(PYTEST) -m long

trials: setup ## Kill worker, web, release and import 200 times each, as root cut the power 50 times; tell thrice the random histories; fewer with KILLS=50 CUTS=5 HISTORIES=1
	@KILLS=$(KILLS) CUTS=$(CUTS) HISTORIES=$(HISTORIES) $(BIN)/python -m tests.trials

check: setup ## Lint, types, import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/djlint templates --lint --quiet

bench: setup ## Print the figures, each as a ratio to a reference of the same run
	@$(BIN)/python -m bench

bench-full: setup ## The figures, those that take many minutes too
	@$(BIN)/python -m bench --full

sample: setup ## Make the sample publication's files again
	@$(BIN)/python docs/sample/make.py

pictures: setup ## Take the pictures of the shopkeepers' guide again (needs Chromium)
	@$(BIN)/python -m tests.browser.pictures

LOCK := uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet

lock: setup ## Resolve both lock files again (needs uv): to run the shop, and to work on it
	@$(LOCK) --group dev --upgrade -o requirements-dev.lock
	@$(LOCK) --constraint requirements-dev.lock --upgrade -o requirements.lock

clean: ## Remove what the commands above made, the demo shop too
	@rm -rf .venv instance build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis test-results
