# Thin on purpose: `agentkit setup` does the work, and a user without make can call it.
# PYTHON: the Python to begin with.  DOCKER: auto, require or skip.  ARGS: passed on.
PYTHON ?= python3
DOCKER ?= auto
ARGS ?=
BIN := .venv/bin
SETUP := $(PYTHON) -I agentkit/cli/setup.py --docker $(DOCKER)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint bench bench-bfcl bench-context bench-sandbox clean

help: ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 21

setup: ## install what agentkit needs: packages, Docker, sandbox image
	@$(SETUP)

demo: ## set up, then research and plot from documents (ARGS="--documents DIR")
	@$(SETUP)
	@$(BIN)/agentkit demo $(ARGS)

test: ## set up, then run all tests (ARGS="-k NAME")
	@$(SETUP) --dev --with all
	@$(BIN)/python -m pytest $(ARGS)

check: lint ## style, types, import contracts, and the tests that are quick and need no Docker
	@$(BIN)/python -m pytest -m "not docker and not slow" $(ARGS)

lint: ## style, types and import contracts
	@$(SETUP) --dev --docker skip
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: ## measure speed, as ratios to a bare HTTP loop
	@$(SETUP)
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-bfcl: ## run the Berkeley function calling tasks, whole turns at once (ARGS="--details")
	@$(SETUP) --with bfcl
	@$(BIN)/python -m benchmarks.bfcl $(ARGS)

bench-context: ## dollars and retention of context policies (ARGS="--jobs 2")
	@$(SETUP) --docker skip
	@$(BIN)/python -m benchmarks.endurance
	@$(BIN)/python -m benchmarks.context $(ARGS)

bench-sandbox: ## measure the sandbox, beside docker run and docker exec
	@$(SETUP)
	@$(BIN)/python -m benchmarks.sandbox

clean: ## remove what was made here; Docker and the sandbox image stay
	@rm -rf .venv dist artifacts .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
