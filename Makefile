# make demo | test | check | bench | docs | site | dist. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check bench docs site dist clean

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

# The website of the docs, into site/; it loads nothing from elsewhere. The variable silences a notice of the theme.
site: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html; with search: $(BIN)/python -m http.server --directory site"

# What would be released, into dist/: nothing is published.
dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*

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

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
