# Every target sets up what it needs on a machine with Python 3.11, make and a package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WANTED := --quiet --constraint constraints.txt --editable '.[dev]'

.PHONY: install demo test quick check fix bench docs clean

install: $(READY)

# uv takes seconds where pip takes minutes; where uv is not to be had, pip does the same.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	{ $(BIN)/python -m pip install --quiet --disable-pip-version-check uv && \
	  $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python $(WANTED); } || \
	  $(BIN)/python -m pip install --disable-pip-version-check $(WANTED)
	touch $(READY)

demo: $(READY)
	$(BIN)/shadowserve demo

# All that CI runs: format, lint and types, the quick suite, then real servers and processes.
test: check quick
	$(BIN)/pytest -q -n auto --dist loadfile -m "live and not alone"
	$(BIN)/pytest -q -m "live and alone" tests/live

quick: $(READY)
	$(BIN)/pytest -q -n auto --dist worksteal -m "not live" --ignore tests/live

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(READY)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

# Each prints a table; docs/benchmarks.md keeps what they said. The peers and the catalogue take half an hour each.
bench: $(READY)
	set -e; for each in featurization comparison peers calibration detection; do \
	  echo "== $$each"; $(BIN)/python -m benchmarks.$$each; done

# The documentation as a site in build/docs, with every link checked. Nothing is fetched, to build or to read it.
docs: $(READY)
	$(BIN)/python -m rig.pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/pytest -q tests/house/test_docs.py tests/house/test_docstrings.py tests/house/test_doctests.py \
	  tests/house/test_messages.py tests/house/test_readme.py tests/house/test_site.py
	@echo "The site is in build/docs; open build/docs/index.html, or serve it: $(BIN)/mkdocs serve"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
