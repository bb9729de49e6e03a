# make train   a real MS-G3D trains before your eyes, on demo data
# make test    the quick tests
# make test-all  what is left: the slow ones
# make test-oldest, make test-newest  the quick tests on the oldest and the newest of
#              what we stand on (tests/VERSIONS.md), with torch for CUDA: some GB
# make lint    style and types
# make bench-check  whether we are as fast as recorded (some minutes)
# Each creates .venv (.venv-oldest, .venv-newest) and installs what it needs.

PYTHON ?= python3
PYTHON_OLDEST ?= python3.10
PYTHON_NEWEST ?= $(PYTHON)
BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python $(INSTALL)

.PHONY: train test test-all test-oldest test-newest lint bench-check sparse clean

train: .venv/installed
	$(BIN)/python examples/train_demo.py

test: .venv/installed
	$(BIN)/python -m pytest -m 'not slow'

test-all: .venv/installed
	$(BIN)/python -m pytest -m slow

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -m 'not slow'

# Whatever pip finds on the day.
test-newest:
	test -x .venv-newest/bin/python || $(PYTHON_NEWEST) -m venv .venv-newest
	.venv-newest/bin/python $(INSTALL) --upgrade 'setuptools>=77'
	.venv-newest/bin/python $(INSTALL) --upgrade --upgrade-strategy eager -e '.[test]'
	.venv-newest/bin/python -m pytest -m 'not slow'

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

.venv-oldest/installed: setup.cfg pyproject.toml constraints-oldest.txt
	test -x .venv-oldest/bin/python || $(PYTHON_OLDEST) -m venv .venv-oldest
	.venv-oldest/bin/python $(INSTALL) 'setuptools>=77'
	.venv-oldest/bin/python $(INSTALL) -c constraints-oldest.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv .venv-oldest .venv-newest runs *.egg-info
