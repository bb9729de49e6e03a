# make train   a real MS-G3D trains before your eyes, on demo data
# make test    the quick tests
# make test-all  what is left: the slow ones
# make lint    style and types
# make bench-check  whether we are as fast as recorded (some minutes)
# Each creates .venv and installs what it needs.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: train test test-all lint bench-check sparse clean

train: .venv/installed
	$(BIN)/python examples/train_demo.py

test: .venv/installed
	$(BIN)/python -m pytest -m 'not slow'

test-all: .venv/installed
	$(BIN)/python -m pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-check: .venv/installed
	$(BIN)/python benchmarks/check.py

# Optional: torch-scatter and torch-sparse, from wheels where pip finds them, else
# compiled against the torch that is installed (up to 20 minutes).
sparse: .venv/installed
	$(PIP) wheel
	$(PIP) --no-build-isolation -c constraints.txt torch-scatter torch-sparse

.venv/installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) 'setuptools>=77'
	$(PIP) -c constraints.txt -e '.[test,lint]'
	touch $@

clean:
	rm -rf .venv runs *.egg-info
