# make demo | test | check | bench | docs. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check bench docs clean

demo: $(VENV)/.train
	$(BIN)/sightline demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/cache.py

# The command reference is made from --help, so it can't differ from it; a test compares the two.
docs: $(VENV)/.dev
	$(BIN)/python docs/make_reference.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sightline needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# The stamps make a second call instant; a changed list of dependencies installs again.
$(VENV)/.train: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing Sightline with [train] into $(VENV): some 6 GB with CUDA libraries, a few minutes once."
	$(PIP) install --quiet --constraint constraints.txt --editable ".[train]"
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	$(PIP) install --quiet --constraint constraints.txt --editable ".[train,dev]"
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
