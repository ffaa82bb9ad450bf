# The commands of this project. `make run` and `make test` need only Python >= 3.11, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
DATABASE_URL ?= sqlite:///data/vram-fit.db
export HOST PORT DATABASE_URL

# Debian's python3 comes without ensurepip; the system's pip then installs into the environment.
PIP = $(if $(wildcard $(BIN)/pip),$(BIN)/python -m pip,$(PYTHON) -m pip --python $(BIN)/python)
INSTALL = $(PIP) install --quiet --quiet --disable-pip-version-check

.PHONY: run install install-telemetry install-dev test check format accuracy bench bench-catalogue bench-memory bench-replicas fuzz lock clean help

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: install ## Install, migrate, load the bundled catalogue and serve (HOST, PORT, DATABASE_URL)
	@$(BIN)/vram-fit migrate
	@$(BIN)/vram-fit catalogue load
	@exec $(BIN)/vram-fit serve

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "VRAM Fit needs Python 3.11 or newer, found " + sys.version)'
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing the locked dependencies into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the locked development dependencies into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## Create the environment

install-telemetry: install ## Add what OpenTelemetry traces need (VRAM_FIT_TRACES_TO)
	@$(INSTALL) --require-hashes -r requirements-telemetry.txt

install-dev: $(VENV)/.installed-dev ## Create the environment with what development needs

test: install-dev ## Obtain what the tests need and run them all
	@sh tools/test-services.sh
	@VRAM_FIT_REQUIRE_ALL=1 $(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

check: install-dev ## Lint, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install-dev ## Format the code
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

accuracy: install-dev ## Compare the memory model with the traced cases
	@$(BIN)/python -m benchmarks.accuracy $(ARGS)

bench: install-dev ## Measure the service and the core under load
	@$(BIN)/python -m benchmarks.load $(ARGS)

bench-catalogue: install-dev ## Measure imports of, and requests over, 100,000 offers
	@$(BIN)/python -m benchmarks.catalogue

fuzz: install-dev ## Send half a million inputs nobody would send on purpose (some 25 minutes on two cores)
	@nice $(BIN)/python -m benchmarks.fuzz --record docs/fuzz-record.md $(ARGS)

bench-memory: install-dev ## Prove that a worker does not grow between 100,000 and 300,000 requests
	@$(BIN)/python -m benchmarks.load.resident_memory --record docs/memory-record.md $(ARGS)

bench-replicas: install-dev ## Prove two replicas behind nginx while each part is taken away (5 minutes)
	@$(BIN)/python -m benchmarks.load.replicas --seconds 300 $(ARGS)

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-header --upgrade pyproject.toml --group build -o requirements.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --upgrade pyproject.toml --extra telemetry -c requirements.txt -o requirements-telemetry.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --upgrade pyproject.toml --extra telemetry --group build --group dev -c requirements.txt -o requirements-dev.txt

clean: ## Remove the environment and caches, keep the data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
