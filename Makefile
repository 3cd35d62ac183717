# The common jobs. Everything runs in .venv, which is made from requirements.lock on first use.

# The first of these that is new enough; or name one: make PYTHON=/path/to/python test
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PORT ?= 5000
SUITE ?= glyphs
VENV := .venv
STAMP := $(VENV)/.installed

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
# Every process of a run imports the same packages: without bytecode on disk each would compile them again.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup reproduce test lint report ui lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment .venv from requirements.lock

reproduce: setup ## Compute what is missing of suite $SUITE (glyphs), and compare it with what is committed
	@dapbench reproduce --suite $(SUITE)

test: lint ## Linter, type checker and all tests
	OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile

lint: setup ## Linter and type checker
	ruff check .
	ruff format --check --quiet .
	mypy

report: setup ## Analysis, tables, figures and page again from the result files, without data or jobs
	dvc repro --force --single-item --allow-missing analyse report page

# One reader needs one worker; MLflow's job runner serves evaluations, which there are none of, and starts slowly.
ui: setup ## The tracked runs in MLflow's browser interface, on port $PORT (5000)
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri sqlite:///mlflow.db --port $(PORT) --workers 1

lock: setup ## Resolve requirements.lock anew from pyproject.toml, for every platform
	uv pip compile pyproject.toml --universal --all-extras --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

clean: ## Remove tool caches and the MLflow store; computed jobs, data and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis dvc_plots mlflow.db mlruns mlartifacts
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# uv comes from the lock too, so that its hash is checked by pip before it installs the rest.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; name one: make PYTHON=/path/to/python setup" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: $(PYTHON) is Python %d.%d, 3.11 or newer is needed; name one: make PYTHON=/path/to/python setup" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock
	$(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python --require-hashes requirements.lock
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@
