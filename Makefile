# On a machine that has only Python >= 3.10 with pip, git and make:
#   make demo      see it work against the sandbox, a local API server; installs what that needs and no more
#   make test      lint, types, unit tests and the core of the integration tests: the loop, about three minutes
#   make test-all  every test, with coverage; what a release needs
# Everything is installed inside the checkout. The second time neither needs a network.
PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin
# uv's cache stays in the checkout too, so that an empty or read-only home is no obstacle.
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
# Trust what the machine trusts, a company's own authority included, as pip does.
export UV_SYSTEM_CERTS := true
# Compiled once at installation: each command that the tests start would otherwise compile dlt anew.
export UV_COMPILE_BYTECODE := 1
export RUNTIME__DLTHUB_TELEMETRY := false
# Without stored bytecode, each worker of pytest rewrites the assertions of all tests again, for seven seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all pythons lint types layers quick all kills drift sequences quota push soak package mutants notebooks strip dbt dbt-models memory fidelity faults destinations openapi tables environments bench benchmarks audit airflow airflow-tests cluster dagster setup lock clean

demo: .venv/.demo
	$(BIN)/automatum demo

test: lint types quick

test-all: lint types all

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: setup
	$(BIN)/mypy

# The packages by layer, and the imports between them.
layers: setup
	PYTHONPATH=sources $(BIN)/python .ci/layers.py

quick: setup
	EXAMPLES=few $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" tests/unit tests/integration

all: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term

WORKERS ?= 3

# The long forms of what `make test` runs in short.
kills: setup
	KILLS=35 $(BIN)/python -m pytest -s tests/system/test_resume.py

sequences: setup
	SEQUENCES=100 $(BIN)/python -m pytest -s tests/integration/sync/test_any_order.py

drift: setup
	SCHEDULES=400 $(BIN)/python -m pytest -s tests/integration/sync/test_drift.py
	BRUTE=long $(BIN)/python -m pytest -s tests/unit/sync/test_brute_force.py tests/unit/sync/test_paged_brute_force.py

quota: setup
	QUOTA_REQUESTS=2500 KILLS=100 $(BIN)/python -m pytest -s tests/system/test_quota_backfill.py tests/system/test_quota_processes.py
	AUTOMATUM_LONG=1 $(BIN)/python -m pytest -n 2 tests/unit/api/rate_limit tests/integration/api/rate_limit

push: setup
	KILLS=100 $(BIN)/python -m pytest -s tests/system/test_push_kills.py
	DEATHS=long $(BIN)/python -m pytest -s tests/system/test_push_deaths.py
	MACHINE_STEPS=20000 $(BIN)/python -m pytest -s tests/integration/metering/test_machine.py
	WALKS=290 $(BIN)/python -m pytest -s tests/integration/metering/ledger/test_ledger_machine.py

# Simulated months of syncs and pushes, with faults, changes and kills, on DuckDB and Postgres. A day takes minutes: SOAK_DAYS=1
# or SOAK_MINUTES=60.
soak: setup
	SOAK_DAYS=$${SOAK_DAYS:-60} $(BIN)/python -m pytest -s tests/system/test_soak.py

# Plants bugs in a copy of the connector, one at a time: the tests must notice each. MUTANTS="paging quota": some areas.
# MUTANTS=new: those that no test has noticed yet.
mutants: setup
	$(BIN)/python -m tests.support.mutants $(MUTANTS)

# Known vulnerabilities of what users install, by the lock file. Asks PyPI's service; fails if it cannot be reached.
audit: $(UV)
	$(UV) export --quiet --frozen --no-dev --all-extras --no-emit-project --format requirements-txt -o .cache/audit.txt
	$(UV) tool run pip-audit --disable-pip --require-hashes -r .cache/audit.txt

# The wheel and the sdist, each in an environment with what it asks for and nothing else; beside them a list of what
# they ask for (SBOM, CycloneDX). Asks the package index.
package: setup
	rm -rf dist
	$(UV) build --quiet --out-dir dist
	$(UV) export --quiet --frozen --no-dev --all-extras --format cyclonedx1.5 -o dist/sbom.cdx.json
	set -e; for built in dist/*.whl dist/*.tar.gz; do \
		echo "$$built"; \
		$(UV) venv --quiet --clear --python "$(PYTHON)" .cache/bare; \
		$(UV) pip install --quiet --python .cache/bare/bin/python "dlt-source-automatum[sandbox] @ file://$(CURDIR)/$$built"; \
		(cd .cache/bare && bin/automatum --version && bin/automatum demo >/dev/null && bin/automatum discover >/dev/null); \
	done

# Environments of users: dlt with DuckDB or Postgres and then `dlt init`; the lowest versions on the oldest Python; the
# newest versions on the newest Python (3.14, which Debian's packages provide where it is missing); Meltano's tests of a tap.
# Asks the package index.
# CORE="tests/unit/core" is a short form.
environments: export CORE ?= tests/unit tests/integration
environments: setup
	-.ci/newest_python
	ENVIRONMENTS=all $(BIN)/python -m pytest -s tests/system/environments

# `make test` on each Python from 3.10 to 3.14 that is found, in a fresh clone of the last commit; about four minutes for each.
# Some of them: PYTHONS="3.10 3.14" or PYTHONS="oldest newest". 3.14 comes from Debian's packages where it is missing.
pythons: $(UV)
	.ci/pythons

# Run the notebooks and keep their pictures, to be looked at.
notebooks: setup
	PICTURES=$(CURDIR)/.cache/notebooks $(BIN)/python -m pytest tests/system/test_notebooks.py
	ls .cache/notebooks

# Before a commit: take out of the notebooks what running them has left.
strip: setup
	$(BIN)/python notebooks/strip.py notebooks/*.ipynb

# The dbt project, with dbt 1.10 and 1.11 on DuckDB and Postgres, each in full and empty. Asks the package index.
dbt: setup
	DBT=all $(BIN)/python -m pytest tests/system/test_dbt.py

# Generate dbt/models and dbt/seeds from models/.
dbt-models: setup
	DBT=write $(BIN)/python -m pytest -q tests/unit/operations/test_dbt_project.py

# The servers of other shapes, and the table of docs/internals/fidelity.md with what came of them.
fidelity: setup
	FIDELITY=write $(BIN)/python -m pytest -q tests/integration/api/test_shapes.py tests/integration/metering/test_shapes.py

# Each fault in each phase, and the table of docs/internals/faults.md with what came of it.
faults: setup
	FAULTS=write $(BIN)/python -m pytest -q tests/integration/test_fault_matrix.py

# Every destination, and the table of docs/destinations.md with what came of it; DuckLake in an environment of its own.
destinations: setup .venv-lake/.ready
	DESTINATIONS=all $(BIN)/python -m pytest tests/system/destinations --write-table
	DESTINATIONS=all .venv-lake/bin/python -m pytest tests/system/destinations/test_conformance.py -k DuckLake --write-table

.venv-lake/.ready: pyproject.toml uv.lock $(UV)
	UV_PROJECT_ENVIRONMENT=.venv-lake $(UV) sync --frozen --no-group dev --group lake --python "$(PYTHON)"
	touch $@

# docs/internals/openapi.yaml: what is documented and what is assumed of the API.
openapi: setup
	OPENAPI=write $(BIN)/python -m pytest -q tests/unit/operations/test_openapi.py

# What docs/tables.md and docs/configuration.md list: tables, columns and settings, as the code describes them.
tables: setup
	TABLES=write $(BIN)/python -m pytest -q tests/unit/operations/test_tables_page.py tests/unit/config/test_settings_page.py

# The connector against a floor: ratios, docs/internals/performance.md and benchmarks/results.json. The suite has an environment
# of its own: the connector with what it needs and no more; so has each peer. Asks the package index. About half an hour
# on two idle cores. In part: BENCH="flat startup". All of it in small, without writing anything: BENCH=--quick.
BENCH ?= flat nested second startup push organizations growth peers
bench: .venv-bench/.ready $(if $(filter peers,$(BENCH)),.venv-bench-singer/.ready .venv-bench-airbyte/.ready)
	.venv-bench/bin/python benchmarks/bench.py $(if $(filter --quick,$(BENCH)),,--write) $(BENCH)

.venv-bench/.ready: pyproject.toml uv.lock $(UV)
	UV_PROJECT_ENVIRONMENT=.venv-bench $(UV) sync --frozen --no-default-groups --python "$(PYTHON)"
	touch $@

.venv-bench-%/.ready: benchmarks/requirements-%.txt $(UV)
	$(UV) venv --quiet --clear --python "$(PYTHON)" .venv-bench-$*
	$(UV) pip install --quiet --python .venv-bench-$*/bin/python -r $<
	touch $@

benchmarks: setup
	$(BIN)/python benchmarks/quota.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/guards.py
	$(BIN)/python -m benchmarks.answers

memory: setup
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/organizations.py

# The DAG, in a real Airflow: an environment, a database and a scheduler of its own.
# AIRFLOW_TESTS="tests/system/airflow/test_dag_file.py tests/system/airflow/test_airflow_settings.py" is a short form.
AIRFLOW_TESTS ?= tests/system/airflow
airflow:
	@if $(PYTHON) -c "import sys; sys.exit(sys.version_info >= (3, 14))"; then $(MAKE) --no-print-directory airflow-tests; \
	else echo "skipped: the group airflow is for Python below 3.14; name one: make airflow PYTHON=python3.12"; fi

airflow-tests: .venv-airflow/.ready
	.venv-airflow/bin/python -m pytest $(AIRFLOW_TESTS)

.venv-airflow/.ready: pyproject.toml uv.lock $(UV)
	UV_PROJECT_ENVIRONMENT=.venv-airflow $(UV) sync --frozen --no-default-groups --group airflow --python "$(PYTHON)"
	touch $@

# Many organizations on two workers that are killed: as commands, and on an Airflow with Celery, where a task takes some
# seconds of a core. ORGANIZATIONS=5 is a short form; `benchmarks/cluster.py` says what an organization costs.
cluster: export ORGANIZATIONS ?= 50
cluster: setup .venv-airflow/.ready
	$(BIN)/python -m pytest -s tests/system/cluster
	.venv-airflow/bin/python -m pytest -s tests/system/airflow/test_celery.py
	$(BIN)/python benchmarks/cluster.py

# The source as assets of a real Dagster, in an environment of its own.
# DAGSTER_TESTS=tests/system/dagster/test_assets.py is a short form: in one process, without the command `dagster`.
DAGSTER_TESTS ?= tests/system/dagster
dagster: .venv-dagster/.ready
	.venv-dagster/bin/python -m pytest $(DAGSTER_TESTS)

.venv-dagster/.ready: pyproject.toml uv.lock $(UV)
	UV_PROJECT_ENVIRONMENT=.venv-dagster $(UV) sync --frozen --no-default-groups --group dagster --python "$(PYTHON)"
	touch $@

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock $(UV)
	$(UV) sync --frozen --python "$(PYTHON)"
	touch .venv/.demo $@

# Enough for the command line and the sandbox. An environment for development is kept as it is.
.venv/.demo: pyproject.toml uv.lock $(UV)
	test -e .venv/.ready || $(UV) sync --frozen --no-default-groups --extra sandbox --python "$(PYTHON)"
	test ! -e .venv/.ready || $(UV) sync --frozen --python "$(PYTHON)"
	touch $@

# `pip install --target` needs neither the venv module nor a writable site-packages (PEP 668).
$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-warn-script-location --target .uv uv==$(UV_VERSION)

lock: $(UV)
	$(UV) lock

clean:
	rm -rf .venv .venv-* .uv .cache
