# Two commands on a fresh machine: `make demo` and `make test`. Both set up everything they need.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
# Small enough for two cores. From random weights, a network with batch normalization learns in
# these few steps what a ConvNeXt needs ten times as many for.
DEMO_RECIPE := --model test_resnet --no-pretrained --image-size 128 --epochs 20 --lr 4e-3 \
  --schedule cosine --warmup-epochs 3 --clip-grad 1 --rotation 10 --plain-epochs 5

# Tests start many processes; each would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

FAST_TESTS := tests/unit -m 'not slow' -n logical --maxprocesses 4 --dist worksteal --hypothesis-profile=fast

.PHONY: help
help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@echo "Installing into .venv: a few minutes and several gigabytes, this once." >&2
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.PHONY: setup
setup: .venv/installed ## a virtual environment in .venv with all that is needed

.PHONY: demo
demo: setup ## draw images, train on them, serve the result on http://127.0.0.1:7860
	NEXT_PHASE=serve $(BIN)/python trainer/push.py --run-dir runs/demo --data-dir drawn_samples $(DEMO_RECIPE)
	MODEL_ID=local-dir:runs/demo/published $(BIN)/python space/app.py

.PHONY: test-programs
test-programs:
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "Chromium is needed to test the web page; installing it with apt-get." >&2; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	} || { echo "Install Chromium by hand, then run make test again." >&2; exit 1; }
	@PATH="$$PATH:/usr/sbin" command -v mosquitto >/dev/null || { \
	  echo "The broker mosquitto is needed to test --mqtt; installing it with apt-get." >&2; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends mosquitto; \
	} || { echo "Install mosquitto by hand, then run make test again." >&2; exit 1; }

.PHONY: format
format: setup ## bring the code into shape, as far as ruff can by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# mypy ends with 2, an internal error, where a worker of its takes longer than three seconds to start,
# as on a busy machine; then it checks alone. With 1, it found an error of types.
.PHONY: lint
lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2 || { [ $$? -eq 2 ] && $(BIN)/mypy; }

# What it proves: each module computes the values that it should, on small inputs, by itself. What it
# does not: that a whole training, the Hub's protocol, a server under load, README's commands and
# the page in a browser work (tests/integration, tests/e2e), and what the tests marked slow check.
.PHONY: test-fast
test-fast: setup ## the quick unit tests
	OMP_NUM_THREADS=1 $(BIN)/pytest $(FAST_TESTS)

# uv resolves the lowest versions, which pip can't. It reads its own settings (UV_DEFAULT_INDEX, …),
# not pip's.
.venv-lowest/installed: pyproject.toml .venv/installed
	$(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest --resolution lowest-direct \
	  -r pyproject.toml --extra dev -e .
	touch $@

.PHONY: test-lowest
test-lowest: .venv-lowest/installed ## the quick unit tests with the lowest versions that pyproject.toml admits
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest $(FAST_TESTS)

.PHONY: docs
docs: setup ## the site of docs/, into site/; fails at a dead link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Three files of tests at a time for two cores, since a test waits for other processes a quarter of
# its time; were each to use all cores, they would mostly wait for each other. Hypothesis draws the
# same examples each time; plain pytest draws new ones. A worker that dies ends the run: pytest-xdist
# waits for ever for the files that it held.
.PHONY: test
test: setup test-programs lint ## every check, the browser's included
	OMP_NUM_THREADS=1 $(BIN)/pytest -m 'not nightly' \
	  -n "$$($(BIN)/python -c 'import os; print((os.cpu_count() or 1) * 3 // 2)')" --maxprocesses 4 \
	  --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --hypothesis-profile=ci

# README's commands on photographs of steel strip, where these lie beside the clone.
.PHONY: test-nightly
test-nightly: setup ## what repeats at scale what `make test` checks
	OMP_NUM_THREADS=1 $(BIN)/pytest -m nightly
