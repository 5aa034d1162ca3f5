# Two commands on a fresh machine: `make demo` and `make test`. Both set up everything they need.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help
help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.PHONY: setup
setup: .venv/installed ## a virtual environment in .venv with all that is needed

.PHONY: demo
demo: setup ## draw images, train on them, serve the result on http://127.0.0.1:7860
	$(BIN)/python scripts/demo.py

.PHONY: browser
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "Chromium is needed to test the web page; installing it with apt-get." >&2; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	} || { echo "Install Chromium by hand, then run make test again." >&2; exit 1; }

.PHONY: lint
lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: test
test: setup browser lint ## every check, the browser's included
	$(BIN)/pytest
