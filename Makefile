# The front door. `make demo` and `make test` set up all they need; nothing but Python 3.11+ and make has to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SKIN_HOME ?= data
export SKIN_HOME
export DATA
unexport PYTHONDONTWRITEBYTECODE  # what is imported is compiled once, by the first process that does

.DEFAULT_GOAL := help
.PHONY: help setup demo dev serve mlflow test check ruff mypy contracts validate clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(VENV)/.installed  ## create .venv and install what constraints.txt pins

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11, 3.12 or 3.13 is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup  ## walk a delivery to an HTTP answer: make demo [DATA=<folder>] [SKIN_HOME=<folder>]
	@$(BIN)/skin demo $(if $(DATA),--data "$$DATA")

dev: setup  ## the Dagster UI with sensors on, at http://127.0.0.1:3000; drop files into $SKIN_HOME/raw
	@$(BIN)/skin dev

serve: setup  ## serve the champion at http://127.0.0.1:8000; SKIN_ENV=demo make serve: with a page to try it on
	@$(BIN)/skin serve

mlflow: setup  ## MLflow's UI at http://127.0.0.1:5000
	@$(BIN)/skin mlflow

# In a process for each core and one more, as tests wait for processes and disks.
test: setup  ## run all tests
	@$(BIN)/python -m pytest --numprocesses $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 \
	  --dist loadfile --no-loadscope-reorder --max-worker-restart 0

check: ruff mypy contracts validate  ## ruff, mypy, import contracts, Dagster's own validation; --jobs runs them at once

ruff: setup
	@$(BIN)/ruff check .

mypy: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports

validate: setup
	@$(BIN)/dagster definitions validate -w workspace.yaml

clean:  ## remove .venv and caches; never data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
