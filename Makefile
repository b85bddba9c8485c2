# Sets up .venv and calls; what the workflow does stands in the Snakefile.
PYTHON ?= python3.11
CORES ?= all
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: figures plan watch report dag test test-fast numbers test-slurm bench notebook docs lint format clean

figures: $(READY)  ## run the study to its last figure
	snakemake --cores $(CORES) figures

plan: $(READY)  ## the jobs that would run, counted by rule
	snakemake --dry-run --quiet rules host reason -- figures

watch: $(READY)  ## how far the newest run is, and how long it will take
	PYTHONPATH=workflow_scripts python -m dpo_neurons.running.run_progress

report: dag  ## report.zip: findings, figures and tables with captions; unzip and open report.html
	snakemake --cores $(CORES) figures
	snakemake --report report.zip
	python -c "import zipfile; zipfile.ZipFile('report.zip', 'a').write('dag.svg', 'report/dag.svg')"

dag: $(READY)  ## dag.svg: the rules by stage, with the number of their jobs
	snakemake --forceall --d3dag -- figures \
	  | PYTHONPATH=workflow_scripts python -m dpo_neurons.running.rule_graph rules > dag.svg

test: $(DEV_READY)  ## run every test
	pytest -n 2 --dist worksteal

test-fast: $(DEV_READY)  ## the tests that run no whole study, on two architectures
	pytest -n 2 --dist worksteal -m "not slow"

numbers: figures $(DEV_READY)  ## hold the numbers in the README against those of the study
	pytest tests/workflow/test_stated_numbers.py

test-slurm: $(DEV_READY)  ## the micro study through a Slurm of one node; on Debian, as root
	$(PIP) --requirement requirements-slurm.txt
	tests/slurm/with_slurm.sh pytest tests/slurm/check_slurm.py

bench: $(DEV_READY)  ## every benchmark, one after the other; see docs/benchmarks.md
	for name in capture capture_growth patched_generation study neuron_tables scoring workflow_overhead; do \
	  python bench/$$name.py || exit 1; done

notebook: $(DEV_READY)  ## run notebooks/tour.ipynb on a small study
	snakemake --cores $(CORES) figures --configfile tests/micro.yaml
	STUDY=../results/micro jupyter execute notebooks/tour.ipynb

docs: $(DEV_READY)  ## the docs as a site, in site/; a broken link is an error
	mkdocs build --strict --quiet

lint: $(DEV_READY)  ## ruff, snakefmt, Snakemake's own lints, types
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	mypy

format: $(DEV_READY)  ## format Python and Snakemake files
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

clean:  ## remove results; .venv stays
	rm -rf results report.html report.zip dag.svg site

# The package itself is installed as it lies here, so that a pasted command finds it.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --requirement requirements.txt
	$(PIP) --no-deps --editable .
	touch $(READY)

$(DEV_READY): $(READY) requirements-dev.txt
	$(PIP) --requirement requirements-dev.txt
	touch $(DEV_READY)
