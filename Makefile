# Two commands on a machine with Python 3.11+, make and git: `make repro` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro report test lint lock-check real clean

repro: $(STAMP)           ## every table, every figure and the report from raw files
	dvc repro

report: $(STAMP)          ## reports/index.html, and whatever it needs that is not there yet
	dvc repro report

test: $(STAMP)            ## the test suite
	python -m pytest

lint: $(STAMP)            ## style and types
	ruff check .
	mypy

lock-check: $(STAMP)      ## dvc.lock belongs to this code and these parameters
	python -m pipeline.lock_check

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "himoe needs Python 3.11 to 3.13, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24,<27"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(STAMP)

real: $(STAMP)            ## the open real data: make real CEAP360VR=folder HKU956=folder
	HIMOE_CEAP360VR_PATH="$(or $(CEAP360VR),$(HIMOE_CEAP360VR_PATH))" \
	HIMOE_HKU956_PATH="$(or $(HKU956),$(HIMOE_HKU956_PATH))" python -m pipeline.study reports/real

clean:                    ## remove what is made, keep the environment
	rm -rf code data settings runs main .himoe
