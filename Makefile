# The main commands, on a machine with Python 3.11+, make and git: `make repro` and `make test`. `make help` lists all.
# Without an NVIDIA GPU torch comes as CPU-only wheels; HIMOE_TORCH=cpu, cuda or default overrides (README).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONDONTWRITEBYTECODE
# Folders of real data, given to make or in the environment. With WESAD alone, only its study is run.
CEAP360VR_PATH = $(or $(CEAP360VR),$(HIMOE_CEAP360VR_PATH))
HKU956_PATH = $(or $(HKU956),$(HIMOE_HKU956_PATH))
WESAD_PATH = $(or $(WESAD),$(HIMOE_WESAD_PATH))
WITHOUT_CLIPS = $(and $(WESAD_PATH),$(if $(CEAP360VR_PATH)$(HKU956_PATH),,alone))

.PHONY: help install repro report demo extended cohorts personal asynchrony lags real test test-quick test-seconds test-nightly docs site bench cost lint lock-check clean

help:                     ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | awk -F '|' '{ printf "%-18s %s\n", $$1, $$2 }'

install: $(STAMP)         ## the environment in .venv, nothing else

repro: $(STAMP)           ## every table, every figure and the report from raw files
	python -m pipeline.repro

report: $(STAMP)          ## reports/index.html, and whatever it needs that is not there yet
	dvc repro report

demo: $(STAMP)            ## a first look in minutes: one simulated set, two methods, a picture
	python -m pipeline.demo

extended: $(STAMP)        ## every other run and the front ends, into reports/extended
	python -m pipeline.study reports/extended

personal: $(STAMP)        ## what adapting to one new person gains, on simulated people, into reports/personal
	python -m pipeline.personal reports/personal

asynchrony: $(STAMP)      ## sensors out of step: what it costs, and lags found, on simulated people, into reports/asynchrony
	python -m pipeline.asynchrony reports/asynchrony

lags: $(STAMP)            ## how late sensors of data sets answer: make lags CEAP360VR=folder WESAD=folder HKU956=folder
	python -m pipeline.lags reports/asynchrony ceap360vr="$(CEAP360VR_PATH)" wesad="$(WESAD_PATH)" \
	hku956="$(HKU956_PATH)" reference="$(REFERENCE)"

cohorts: $(STAMP)         ## the main comparison on three simulated cohorts, into reports/cohorts
	python -m pipeline.cohorts reports/cohorts

real: $(STAMP)            ## the open real data: make real CEAP360VR=folder HKU956=folder WESAD=folder
	$(if $(WITHOUT_CLIPS),,HIMOE_CEAP360VR_PATH="$(CEAP360VR_PATH)" HIMOE_HKU956_PATH="$(HKU956_PATH)" \
	python -m pipeline.study reports/real)
	$(if $(WESAD_PATH),HIMOE_WESAD_PATH="$(WESAD_PATH)" python -m pipeline.study reports/wesad)

test: $(DEV)              ## the test suite
	python -m pytest -n auto --maxprocesses 8 --dist loadfile

test-quick: $(DEV)        ## the tests that take less than half a second (by tests/seconds.txt), and the ten slowest
	python -m pytest -n auto --maxprocesses 8 --dist loadfile --quick --durations=10

test-seconds: $(DEV)      ## the test suite, and tests/seconds.txt from it (on a machine without other work)
	python -m pytest -n auto --maxprocesses 8 --dist loadfile --record-seconds

test-nightly: $(DEV)      ## what a release needs besides: the tests that `make test` leaves out
	python -m pytest -n auto --maxprocesses 8 --dist loadfile -m nightly

docs: $(STAMP)            ## run the commands of README and docs, and paste what they print
	python -m pipeline.docs

site: $(DOCS)             ## README, docs and the library's reference as a site in site/, read from disk
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet

bench: $(STAMP)           ## what people and trials cost in seconds, memory and disk, into bench/size.md (long)
	python -m bench.size

cost: $(STAMP)            ## what networks take on this machine, into bench/cost.csv; make repro before and after
	python -m bench.cost

lint: $(DEV)              ## style and types
	ruff check .
	mypy

lock-check: $(STAMP)      ## dvc.lock belongs to this code and these parameters
	python -m pipeline.lock_check

$(STAMP): pyproject.toml
	$(PYTHON) -m pipeline.install $(VENV)
	touch $(STAMP)

$(DEV): pyproject.toml
	$(PYTHON) -m pipeline.install $(VENV) dev
	touch $(DEV) $(STAMP)

$(DOCS): pyproject.toml
	$(PYTHON) -m pipeline.install $(VENV) docs
	touch $(DOCS) $(STAMP)

clean:                    ## remove what is made, keep the environment
	rm -rf code data settings runs scores main site .himoe
