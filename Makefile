# The menu. `make` alone shows it.
.PHONY: help up test torture demo setup lint bench docs lock
.DEFAULT_GOAL := help

BIN := .venv/bin
# The first Python that is new enough; name another with PYTHON=/path/to/python3.11.
SETUP = @for python in $(PYTHON) $(BIN)/python python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	  then exec "$$python" docker/bootstrap.py $(1); fi; done; \
	echo "AgentHub needs Python 3.11 or newer, and none was found. Install one (Debian, Ubuntu: apt install" >&2; \
	echo "python3.11 python3.11-venv), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1

help:
	@echo "make up      serve AgentHub on http://127.0.0.1:9190 (installs first, the first time)"
	@echo "make test    run all tests; with ARGS=\"tests/proxy -x\" some of them"
	@echo "make demo    serve with a stand-in provider and live traffic"
	@echo "make torture for long: kill -9 of thousands of writers and a hundred hubs, 10,000 requests in chaos, a limit for minutes"
	@echo "make lint    style, types and lock files"
	@echo "make bench   measure performance beside other proxies"
	@echo "make docs    build the documentation into site/"
	@echo "make setup   only install"
	@echo "make lock    resolve the dependencies anew"

setup:
	$(call SETUP,server)

up: setup
	@exec $(BIN)/agenthub up

demo: setup
	@exec $(BIN)/agenthub demo

test:
	$(call SETUP,dev)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

torture:
	$(call SETUP,dev)
	TORTURE_KILLS=$${TORTURE_KILLS:-3000} TORTURE_CHECKPOINT_KILLS=$${TORTURE_CHECKPOINT_KILLS:-2000} TORTURE_HUB_KILLS=$${TORTURE_HUB_KILLS:-100} \
	  TORTURE_CHAOS=$${TORTURE_CHAOS:-10000} TORTURE_DATABASE_AWAY_SECONDS=$${TORTURE_DATABASE_AWAY_SECONDS:-60} \
	  TORTURE_LIMIT_SECONDS=$${TORTURE_LIMIT_SECONDS:-300} TORTURE_JOB_TICKS=$${TORTURE_JOB_TICKS:-20000} \
	  $(BIN)/python -m pytest tests/faults $(ARGS)

lint:
	$(call SETUP,dev)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	AGENTHUB_DATA_DIR=.mypy_cache/data $(BIN)/mypy
	@! grep -nE '://|^ *(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)' docker/requirements/*.txt \
	  || { echo "A lock file names where packages come from." >&2; exit 1; }

bench:
	$(call SETUP,dev)
	$(BIN)/python -m bench $(ARGS)

docs:
	$(call SETUP,docs)
	$(BIN)/mkdocs build --strict --config-file docker/mkdocs.yml

lock:
	$(call SETUP,dev)
	@for name in bootstrap server dev docs; do $(BIN)/uv pip compile -q --upgrade --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	  docker/requirements/$$name.in -o docker/requirements/$$name.txt || exit 1; done
