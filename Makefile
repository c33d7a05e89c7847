# Two commands do everything on a fresh machine: `make demo` and `make test`. All targets make the environment first.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo watch test lint docs clean

demo: $(INSTALLED)
	$(BIN)/navsim demo

watch: $(INSTALLED)
	$(BIN)/navsim watch --driver reference expert --town test-3 village-test-0 grid-test-1 suburb-test-2

test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/sphinx-build --builder html --jobs auto --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "the site is docs/_build/html/index.html"

clean:
	rm -rf $(VENV)

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || \
		{ echo "error: $(PYTHON) not found; install Python 3.11 (PyBullet has no wheels past it) or set PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "error: $(PYTHON) is not Python 3.11, past which PyBullet has no wheels; set PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || \
		{ echo "error: $(PYTHON) has no venv module; install it: apt-get install python3.11-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $(INSTALLED)
