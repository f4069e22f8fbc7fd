# Everything a person or the continuous integration runs. `make help` lists it.
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := core bentos training services cli tests
PYTEST := $(BIN)/python -m pytest
# Two worker processes: the machine this is sized for has two cores.
JOBS ?= 2
COMPILE := $(VENV)/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header -q $(if $(UPGRADE),--upgrade,)

##@ Run

.PHONY: up
up: $(READY) ## Train what has no champion, serve everything, print addresses and the first key
	@exec $(BIN)/septet up

.PHONY: train
train: $(READY) ## Train one model: make train MODEL=churn
	@exec $(BIN)/septet train $(MODEL)

.PHONY: doctor
doctor: $(READY) ## Check this installation, and say the fix of each fault
	@exec $(BIN)/septet doctor

##@ Test

.PHONY: test
test: $(READY) ## The fast tier, whole: units, contracts, real servers, real PostgreSQL
	$(PYTEST) -m "not serve and not quality and not long" -n $(JOBS) --dist loadfile
	$(PYTEST) -m "serve and not quality and not long" -n $(JOBS) --dist loadfile

.PHONY: test-serve
test-serve: $(READY) ## Only the tests that start real servers
	$(PYTEST) -m "serve and not long"

.PHONY: test-long
test-long: $(READY) ## The rest: tests of minutes or gigabytes, and the quality tier
	$(PYTEST) -m "long or quality" --timeout 3600

.PHONY: quality
quality: $(READY) ## Hold every model to references and truth, write docs/quality.md: [MODEL=churn]
	@status=0; OMP_NUM_THREADS=1 $(PYTEST) -m quality $(if $(MODEL),-k $(MODEL)) --timeout 3600 \
		-n $(JOBS) --dist worksteal --durations 0 || status=$$?; \
	$(BIN)/python -m tests.quality.report; exit $$status

.PHONY: bench
bench: $(READY) ## Measure what docs/performance.md says, and write it there
	$(BIN)/python -m benchmarks.one_row
	$(BIN)/python -m benchmarks.pricing
	$(BIN)/python -m benchmarks.budget
	$(BIN)/python -m benchmarks.demand
	$(BIN)/python -m benchmarks.anomaly
	$(BIN)/python -m benchmarks.training_memory
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.front
	$(BIN)/python -m benchmarks.front.overload
	$(BIN)/python -m benchmarks.front.keys
	$(BIN)/python -m benchmarks.history

.PHONY: bench-front
bench-front: $(READY) ## Measure the front door beside other servers: [ARGS="--only ours,fastapi --rounds 1"]
	$(BIN)/python -m benchmarks.front $(ARGS)

.PHONY: bench-history
bench-history: $(READY) ## Measure the prediction log beside hand-written SQL: [ARGS="--rows 1000000 --backlog 300000"]
	$(BIN)/python -m benchmarks.history $(ARGS)

##@ Check

.PHONY: check
check: lint types imports ## What must hold before a commit: lint, types, imports

.PHONY: lint
lint: $(READY) ## Ruff: rules and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY) ## mypy, strict
	$(BIN)/mypy

.PHONY: imports
imports: $(READY) ## import-linter: which module may import which
	$(BIN)/lint-imports

.PHONY: format
format: $(READY) ## Rewrite the code in the house form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: openapi
openapi: $(READY) ## Write docs/openapi.json anew, when the interface was meant to change
	$(BIN)/python -m services.openapi.snapshot

##@ Environment

.PHONY: install
install: $(READY) ## Make the environment from the lock files

$(READY): requirements-dev.lock requirements-uv.lock bootstrap.sh
	@./bootstrap.sh
	@touch $@

.PHONY: lock
lock: $(READY) ## Write the lock files anew: make lock UPGRADE=1 also raises versions
	$(COMPILE) pyproject.toml -o requirements-serving.lock
	$(COMPILE) -c requirements-serving.lock --extra train pyproject.toml -o requirements.lock
	$(COMPILE) -c requirements.lock --extra train --extra quality --extra dev pyproject.toml -o requirements-dev.lock
	echo uv | $(COMPILE) - -o requirements-uv.lock

.PHONY: clean
clean: ## Remove the environment and caches; keep .septet, where the data lives
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*

##@ Help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  \033[36mmake %-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
