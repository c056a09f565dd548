# Everything runs in .venv, made from requirements.lock by uv when it is there, else by venv and pip.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= auto
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo demo-service test-faults test test-full lint docs lock clean

.venv/installed: requirements.lock pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python $(PYTHON) .venv && uv pip install --quiet --python $(BIN)/python -r requirements.lock && uv pip install --quiet --python $(BIN)/python --no-deps -e . ; \
	else \
	  $(PYTHON) -m venv --clear .venv && $(BIN)/python -m pip install --quiet -r requirements.lock && $(BIN)/python -m pip install --quiet --no-deps -e . ; \
	fi
	@touch $@

demo: .venv/installed
	$(BIN)/fairlot demo pseudomarket --out demo-result --force

demo-service: .venv/installed
	$(BIN)/fairlot serve --demo

test-faults: .venv/installed
	$(BIN)/python tests/store/faults.py --runs 1000

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n $(WORKERS) -m "not slow" --doctest-modules src tests

# The documentation runs the gallery; a warning or a failing example is an error.
test-full: lint docs
	$(BIN)/pytest -n $(WORKERS) --doctest-modules src tests

# The oldest versions that pyproject.toml allows (needs uv): tests of every room, in an environment of their own.
LOWEST := .venv-lowest/bin/python
test-lowest:
	uv venv --quiet --clear --python $(PYTHON) .venv-lowest
	uv pip compile --quiet pyproject.toml --resolution lowest-direct -o .venv-lowest/requirements.txt
	uv pip install --quiet --python $(LOWEST) -r .venv-lowest/requirements.txt \
	  pytest pytest-xdist hypothesis pandas matplotlib networkx jsonschema
	uv pip install --quiet --python $(LOWEST) --no-deps -e .
	$(LOWEST) -m pytest -n $(WORKERS) -m "not slow" tests/io tests/cli tests/model tests/lottery tests/draw tests/plot \
	  tests/report tests/verify tests/reallocation tests/pseudomarket/test_solve_equilibrium.py

# Hostile input on every reader, with figures: FUZZ_SECONDS=600 ENGINE=hypothesis make fuzz
fuzz: .venv/installed
	$(BIN)/python tests/fuzz/run.py --seconds $${FUZZ_SECONDS:-120} --engine $${ENGINE:-random}

docs: .venv/installed
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

lock:
	uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock

clean:
	rm -rf .venv .venv-lowest demo-result docs/_build .pytest_cache .mypy_cache .ruff_cache
