# The wallet's commands. `make help` lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV_PYTHON := .venv/bin/python
INSTALL := $(PYTHON) wallet_project/local/install.py
.DEFAULT_GOAL := help
.PHONY: help run test check mutants faults bench clean requirements install-dev

help: ## Show this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s%s\n", $$1, $$2 }'

# exec: the leash ties the runner to make itself, so that not even kill -9 of make leaves it behind.
run: ## Start the whole wallet (PORT, WALLET_HOME, WALLET_DEMO=0 for no demo people); Ctrl-C stops it
	@$(INSTALL)
	@exec $(VENV_PYTHON) -I -S wallet_project/local/leash.py -- $(VENV_PYTHON) -m wallet_project.local run

# More processes than cores: much of a test's time is waiting for a bank that takes a second.
test: ARGS = --numprocesses 3 --dist loadgroup --no-loadscope-reorder
test: install-dev ## Run the tests on real servers (ARGS="tests/ledger -x" for some of them)
	@$(VENV_PYTHON) -m pytest $(ARGS)

check: install-dev ## Check format, lint, types, imports, supply chain, migrations and production's settings
	@$(VENV_PYTHON) -m wallet_project.local.check

mutants: install-dev ## Drop each guard of the money in a copy, and see a test turn red (ARGS="turnstile" for some of them)
	@$(VENV_PYTHON) -m tests.mutants $(ARGS)

faults: install-dev ## Kill everything ten times; a bad day at the gateway: 1,000 top-ups and withdrawals, killed workers; 5,000 payments while all that tells people is killed (SEED=7 for other days)
	@CRASHES=10 $(VENV_PYTHON) -m pytest tests/journeys/test_crash_count.py
	@FAULTS_COUNT=1000 $(if $(SEED),FAULTS_SEED=$(SEED)) $(VENV_PYTHON) -m pytest tests/journeys/test_faults_at_random.py --capture=no
	@EVENTS_COUNT=5000 EVENTS_AWAY_SECONDS=60 $(if $(SEED),EVENTS_SEED=$(SEED)) $(VENV_PYTHON) -m pytest tests/journeys/test_events_chaos.py --capture=no

bench: install-dev ## Measure the wallet against plain SQL on one server, then verify the ledger (four minutes)
	@$(VENV_PYTHON) -m benchmarks.run

install-dev:
	@$(INSTALL) --dev

requirements: install-dev ## Compile requirements*.in to the pinned, hashed requirements*.txt
	@for name in requirements requirements-local requirements-sandbox requirements-dev; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
			$$name.in --output-file $$name.txt || exit 1; \
	done

clean: ## Remove caches, the virtual environment and the local state (a running wallet must be stopped first)
	@if [ -e .local/lock ] && ! flock --nonblock .local/lock true; then \
		echo "wallet: .local is running; stop it first" >&2; exit 1; \
	fi
	@rm -rf .venv .venv.lock .local build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
