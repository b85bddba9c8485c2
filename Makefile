# Sets up .venv and calls; what the workflow does stands in the Snakefile.
PYTHON ?= python3.11
CORES ?= all
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: figures report dag test test-slurm bench lint format clean

figures: $(READY)  ## run the study to its last figure
	snakemake --cores $(CORES) figures

report: $(READY)  ## report.html: figures and tables with captions
	snakemake --cores $(CORES) figures
	snakemake --report report.html

dag: $(READY)  ## dag.dot: the jobs, for graphviz
	snakemake --dag figures > dag.dot

test: $(READY)  ## run every test
	pytest -n 2

test-slurm: $(READY)  ## the micro study through a Slurm of one node; on Debian, as root
	python -m pip install --quiet --requirement requirements-slurm.txt
	tests/slurm/with_slurm.sh pytest tests/slurm/check_slurm.py

bench: $(READY)  ## every benchmark, one after the other; see docs/benchmarks.md
	for each in capture capture_growth patched_generation neuron_tables scoring workflow_overhead; do \
	  python bench/$$each.py || exit 1; done

lint: $(READY)  ## ruff, snakefmt and snakemake's own lints
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint

format: $(READY)  ## format Python and Snakemake files
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

clean:  ## remove results; .venv stays
	rm -rf results report.html dag.dot

$(READY): requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.txt
	touch $(READY)
