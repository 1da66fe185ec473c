# Every task of the project is a target; `make` alone lists them.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help serve demo test check repro address sample bench-detection bench-serving bench-history fuzz cases-named ui lock environment git-checkout

HOST ?= 127.0.0.1
PORT ?= 8000
UI_PORT ?= 5000
JOBS ?= 2
# The first of these that is new enough makes the environment; PYTHON=/path/to/python names another.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11 python

RUN := .venv/bin/python
# `dvc repro` starts `python -m pipelines...`: the environment's python has to come first.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export KIZASHI_HOST := $(HOST)
export KIZASHI_PORT := $(PORT)
# Nothing is reported to anyone.
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := true

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

serve: git-checkout environment address sample ## Train on data/ when needed, then serve on http://HOST:PORT (127.0.0.1:8000)
	@exec $(RUN) deploy/local.py

demo: git-checkout environment address sample ## Serve as above, to a simulated line of six presses that develop faults
	@exec $(RUN) deploy/demo.py

# Each file's tests stay together and in order: what they share is made once in each process.
test: git-checkout check ## Run every check and every test, on JOBS processes (2)
	@$(RUN) -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

check: environment ## Formatting, lint, types and the direction of imports
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports --no-logo

repro: git-checkout environment sample ## Bring data, model and registry up to date, without serving
	@$(RUN) -m dvc repro

# One worker and no job runners: each more is a process that imports MLflow before the page comes.
ui: export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false
ui: environment ## Open the MLflow UI on http://127.0.0.1:UI_PORT (5000)
	@case "$$MLFLOW_TRACKING_URI" in \
	  http*) echo "MLflow runs at $$MLFLOW_TRACKING_URI: open it there." ;; \
	  *) exec $(RUN) -m mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" \
	       --workers 1 --port $(UI_PORT) ;; \
	esac

# Every figure of the ranking, as the README quotes it; OPTIONS are those of `python -m bench.detection`. The results go where the record
# is, which they continue: what is measured of the same code, settings and data is kept, and `git diff` shows what came. OUT=FOLDER leaves
# the record alone; the READMEs then quote that folder.
OUT ?= bench/results
bench-detection: cases-named environment ## Measure detection beside other detectors on the cases below DATA, into OUT (an hour for 42)
	@"$(UV)" pip install --quiet --require-hashes --python $(RUN) --requirement requirements/bench.txt
	@$(RUN) -m bench.detection data="$(DATA)" out="$(OUT)" readme.en=README.md readme.ja=README.ja.md $(OPTIONS)

# Other servers' environments are made below .bench-serving; OPTIONS are those of `python -m bench.serving`.
bench-serving: environment ## Measure the service beside other servers of models (half an hour; 1 GB of environments)
	@$(RUN) -m bench.serving uv="$(UV)" out="$(OUT)" readme.en=README.md readme.ja=README.ja.md $(OPTIONS)

# OPTIONS are those of `python -m bench.history`.
bench-history: environment ## Measure the history, its faults and its pages (a quarter of an hour; 10 GB of disk meanwhile)
	@$(RUN) -m bench.history out="$(OUT)" readme.en=README.md readme.ja=README.ja.md $(OPTIONS)

fuzz: environment ## Send the service thirty times as many bad requests as the tests do, and others each time (half an hour)
	@HYPOTHESIS_PROFILE=long $(RUN) -m pytest tests/serving/faults/test_schema.py tests/serving/faults/test_mutations.py

# Before gigabytes are fetched, not after.
cases-named:
	@test -n "$(DATA)" || { \
	    echo "Name the folder of cases: make bench-detection DATA=FOLDER (bench/cases.py says what a case is)." >&2; exit 1; }

# Before the long training, not after it: can the service listen there?
address: environment
	@$(RUN) -m serving --check

sample: environment
	@test -d data || $(RUN) -m dvc pull --quiet --remote sample data.dvc || { \
	    echo "What data.dvc names is not the bundled sample: fetch it from the remote that has it, with 'dvc pull data.dvc'." >&2; \
	    exit 1; }

git-checkout:
	@command -v git >/dev/null || { \
	    echo "git is missing and DVC needs it: install git, then run make again." >&2; exit 1; }
	@test -e .git || git rev-parse --git-dir >/dev/null 2>&1 || { \
	    echo "This folder is no git repository (a ZIP download has none) and DVC needs one: clone the project, or run 'git init && git add --all && git commit --message Start' here." >&2; \
	    exit 1; }

# ---- The environment: .venv, from requirements/dev.txt ------------------------------------------

# Its stamp is named after the folder, the lock and the metadata: when one of them changes, it is brought up to date.
# A folder that was moved gets a new one, because its scripts name the old place.
STAMP := .venv/.made-of-$(shell (pwd; cat requirements/dev.txt pyproject.toml) | cksum | cut -d ' ' -f 1)
UV := $(shell command -v uv 2>/dev/null || true)
ifeq ($(UV),)
UV := .uv/bin/uv
OWN_UV := $(UV)
endif
ifneq ($(shell test -x $(RUN) && echo usable),usable)
.PHONY: $(STAMP)
endif

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# Sets the shell variable `python`, or ends with one sentence.
FIND_PYTHON = python=; for name in $(PYTHON); do \
    if "$$name" -c '$(NEW_ENOUGH)' 2>/dev/null; then \
      python=$$("$$name" -c 'import sys; print(sys._base_executable)'); break; \
    fi; \
  done; \
  test -n "$$python" || { \
    echo "Python 3.11 or newer is needed (found: $$(python3 --version 2>/dev/null || echo none)): install one, or name it with PYTHON=/path/to/python." >&2; \
    exit 1; }

# Without --compile-bytecode: compiling everything takes a minute, what the stages import a quarter of it.
environment: $(STAMP) ## Make .venv, or bring it up to date (about 6 GB: PyTorch comes with CUDA)

$(STAMP): | $(OWN_UV)
	@rm -f .venv/.made-of-*
	@test "$$(cat .venv/.folder 2>/dev/null || pwd)" = "$$(pwd)" && $(RUN) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	    $(FIND_PYTHON); rm -rf .venv; "$(UV)" venv --quiet --no-python-downloads --python "$$python" .venv; }
	@pwd > .venv/.folder
	"$(UV)" pip sync --require-hashes --python $(RUN) requirements/dev.txt
	@"$(UV)" pip install --quiet --no-deps --no-build-isolation --python $(RUN) --editable .
	@touch $@

# uv itself, into the project's folder, where the machine has none.
.uv/bin/uv:
	@$(FIND_PYTHON); \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$$python cannot make virtual environments (its ensurepip is missing): install it (Debian, Ubuntu: apt install python3-venv), or install uv." >&2; \
	    exit 1; }; \
	rm -rf .uv && "$$python" -m venv .uv && \
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt

# ---- The locks: names, versions and hashes; no addresses ----------------------------------------

PEERS := bench/serving/environments
UV_VERSION := 0.13.9
COMPILE = "$(UV)" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

lock: | $(OWN_UV) ## Recompile requirements/ from pyproject.toml (UPGRADE=--upgrade takes newer versions)
	$(COMPILE) pyproject.toml --output-file requirements/serving.txt
	$(COMPILE) pyproject.toml --extra arrow --extra postgres --constraints requirements/serving.txt --output-file requirements/serving-all.txt
	$(COMPILE) pyproject.toml --extra train --constraints requirements/serving-all.txt --output-file requirements/train.txt
	$(COMPILE) pyproject.toml --extra train --extra postgres --extra dev --constraints requirements/train.txt --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra train --extra bench --constraints requirements/train.txt --output-file requirements/bench.txt
	echo uv==$(UV_VERSION) | $(COMPILE) - --output-file requirements/uv.txt
	$(COMPILE) --no-annotate $(PEERS)/arrow.in --constraints requirements/train.txt --output-file $(PEERS)/arrow.txt
	for peer in bentoml litserve mlflow mlserver; do \
	    $(COMPILE) --no-annotate $(PEERS)/$$peer.in --output-file $(PEERS)/$$peer.txt || exit 1; \
	done
