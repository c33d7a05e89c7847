# Two commands do everything on a fresh machine: `make demo` and `make test`. All targets make the environment first.
# The first Python of 3.11 to 3.13 that can make environments; `make PYTHON=...` chooses another one.
ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null && \
	echo $$python && break; done)
endif
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo watch test test-all lint docs clean

demo: $(INSTALLED)
	$(BIN)/navsim demo

watch: $(INSTALLED)
	$(BIN)/navsim watch --driver reference expert --town test-3 village-test-0 grid-test-1 suburb-test-2

test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

# Each Python of 3.11 to 3.13 on this machine: navsim without torch; `make test-all FULL=1` runs the whole suite on each.
test-all: $(INSTALLED)
	$(BIN)/nox --session $(if $(FULL),full,light)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/sphinx-build --builder html --jobs auto --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "the site is docs/_build/html/index.html"

clean:
	rm -rf $(VENV) .nox

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 with venv is on the PATH (PyBullet has no builds for" \
		"others); install python3.11 and python3.11-venv or set PYTHON=..." >&2; exit 2; }
	@command -v $(PYTHON) > /dev/null || { echo "error: PYTHON=$(PYTHON): no such program" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "error: PYTHON=$(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1); PyBullet has builds for Python 3.11, 3.12 and 3.13 only" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || \
		{ echo "error: PYTHON=$(PYTHON) has no venv module; on Debian install it: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $(INSTALLED)
