# `make demo` runs the main job on built-in data; `make test` passes the tests. Both make the environment they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread a process: the tests run side by side, and threads of both would fight over the cores.
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check pytest page web bench clean

demo: $(VENV)/.demo
	$(BIN)/seglens demo --out demo

test: check web pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

pytest: $(VENV)/.dev
	$(BIN)/pytest -n auto

# Builds the page into the package, where web/ has changed. Needs Node 20.19 or later.
page:
	$(PYTHON) web/build.py

# The page's own types and tests, where there is a Node to run them; what it does in a browser is among the tests.
web:
	@if node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2> /dev/null; \
	then cd web && if npm ci --ignore-scripts --no-audit --no-fund --silent; \
	then npm run --silent check && npm run --silent test; \
	else echo "The packages that build the page cannot be had here: its own tests are left out."; fi; \
	else echo "No Node of version 20.19 or later: the page's own tests are left out."; fi

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

$(VENV)/.demo: pyproject.toml constraints.txt requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements.txt
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -r requirements-dev.txt
	touch $(VENV)/.demo $@

clean:
	rm -rf $(VENV) demo dist
