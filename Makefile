# Everything starts here: `make demo`, `make test`. Both set up .venv first, once.
#
#   make test PYTHON=python          use an environment of your own (the name or path of its interpreter); nothing is installed
#   make setup VENV=path             another place for the environment
#   make setup BASE_PYTHON=python3.12    the interpreter to create it with (any from 3.11)
#   make setup OVRS_UV=0             install with plain pip

VENV ?= .venv
BASE_PYTHON ?=
VOCAB ?= ship,bridge,water,building,road
BACKGROUND ?= harbor,pavement,grass,tree,bare soil,cropland,sports field
OUTPUT ?= output/demo
# Worker processes of pytest, and further arguments: make test ARGS="-k vocabulary"
WORKERS ?= 2
ARGS ?=

# Only PYTHON=... on the command line counts: a PYTHON in the environment may be there for other reasons.
ifeq ($(origin PYTHON),command line)
READY :=
else
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ovrs-ready
endif

RECIPE := third_party/detectron2/pyproject.toml $(wildcard third_party/detectron2/detectron2_wheel/*.py)

export OVRS_UV

.DEFAULT_GOAL := help
.PHONY: help setup demo app test lint pins clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

setup: $(READY) ## create the virtual environment and install everything, once

# Written last, so that a set-up that was broken off starts again; older than what it was made from, it is made anew.
$(VENV)/.ovrs-ready: $(wildcard requirements/*.txt) pyproject.toml tools/create_environment.sh $(RECIPE)
	tools/create_environment.sh "$(VENV)" "$(BASE_PYTHON)"
	@touch $@

demo: $(READY) ## segment a scene by words: the files land in output/demo
	$(PYTHON) demo/demo.py --vocab "$(VOCAB)" --background "$(BACKGROUND)" --output "$(OUTPUT)" $(ARGS)

app: $(READY) ## open the demo in a browser
	$(PYTHON) demo/app.py $(ARGS)

# One thread a worker: several workers with threads of their own would fight for the cores.
test: $(READY) ## run the tests
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: $(READY) ## check style (ruff) and types (mypy)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy ovrs

# Detectron2 is not on the index, so its wheel stands in a folder while the versions are settled.
pins: $(READY) ## settle the versions in requirements/ anew, from pyproject.toml
	$(PYTHON) tools/pin_requirements.py

clean: ## remove caches and the demo's output; the environment stays (rm -r .venv)
	rm -rf output/demo .pytest_cache .ruff_cache .mypy_cache .hypothesis build *.egg-info
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +
