# The two commands of the README: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
ARGS ?=

.PHONY: help demo test check format constraints schema dashboards clean

help:
	@echo "make demo    a village in your terminal: broker, devices, service, console"
	@echo '             make demo ARGS="--exit-after 60 --json --no-browser"'
	@echo "make test    lint, types, contracts and all tests, against a real Mosquitto"
	@echo "make check   only lint, types and contracts"
	@echo "make format  put the code into its one form"
	@echo "make constraints   pin the newest versions that fit pyproject.toml (needs uv)"
	@echo "make dashboards    build Grafana's dashboards anew (docs/dashboards.md)"
	@echo "make clean   remove the environment and everything made"

demo: .venv/ready
	@./chargewatch demo $(ARGS)

test: .venv/ready-dev
	@scripts/test $(ARGS)

check: .venv/ready-dev
	@scripts/check

format: .venv/ready-dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# The environment, from nothing: only Python and the network's package index are needed.
.venv/ready: constraints.txt scripts/bootstrap
	@scripts/bootstrap $(PYTHON) constraints.txt
	@touch $@

.venv/ready-dev: constraints-dev.txt scripts/bootstrap
	@scripts/bootstrap $(PYTHON) constraints-dev.txt
	@touch $@ .venv/ready

constraints:
	scripts/pin

schema: .venv/ready
	.venv/bin/python -m ingest.schema
	.venv/bin/python -m ingest.ledger.making

dashboards: .venv/ready
	.venv/bin/python -m dashboards build

clean:
	rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
