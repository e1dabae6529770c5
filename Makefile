# The README's two commands are `make compare` and `make test`; `make help` lists the rest.
.DEFAULT_GOAL := help
.NOTPARALLEL: # two measurements at once measure each other
.PHONY: help compare study pages notebook test quick fuzz fuzzers soak documented browser differences networks nightly \
	lint format cluster-test cluster-demo sail-test spark35-test clean

# The first interpreter that is CPython 3.10 to 3.12; name another with `make PYTHON=... compare`.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SAIL := .venv-sail
SPARK35 := .venv-spark35

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "cnn-bench needs Python 3.10, 3.11 or 3.12 on the PATH: \
	install one, or run make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,test,data]"
	touch $@

compare: $(VENV)/installed ## Compare every engine on the embedded photographs
	@$(BIN)/cnn-bench compare

# What is measured already is not measured again: an interrupted study goes on, a new one needs a new
# folder.
STUDY ?= study
study: $(VENV)/installed ## Measure the 2024 study's figure, three sessions of all: STUDY=study
	$(BIN)/cnn-bench study run docs/study.toml --out $(STUDY)/sessions
	rm -rf $(STUDY)/results.parquet
	$(BIN)/cnn-bench merge $(STUDY)/sessions/*.json -o $(STUDY)/results.parquet
	$(BIN)/cnn-bench report $(STUDY)/results.parquet --format svg --chart time -o $(STUDY)/time.svg
	$(BIN)/cnn-bench report $(STUDY)/results.parquet --format svg --chart ratio -o $(STUDY)/ratio.svg
	$(BIN)/cnn-bench report $(STUDY)/results.parquet -o $(STUDY)/report.html

pages: $(VENV)/installed ## Measure again what README.md and docs/study.md show
	rm -rf docs/study build/readme.json
	@mkdir -p build
	$(BIN)/cnn-bench compare --samples 1,10,100,1000 --budget 10 --seed 1 --json build/readme.json
	$(BIN)/cnn-bench report build/readme.json --format svg -o docs/time.svg
	$(MAKE) --no-print-directory study STUDY=docs/study
	PYTHONPATH=.:tests $(BIN)/python -m documentation.printed build/readme.json docs/study/results.parquet

notebook: $(VENV)/installed ## Make build/notebook.ipynb of docs/notebook.py, for Jupyter
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[notebook]"
	@mkdir -p build
	$(BIN)/jupytext --to notebook docs/notebook.py --output build/notebook.ipynb

# A file's tests stay in one process: many share what their file starts.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
test: $(VENV)/installed ## Run every test, but for soaks, pages in a browser, commands of the documentation
	$(BIN)/python -m pytest $(PARALLEL)

quick: $(VENV)/installed ## Run the tests that take less than ten seconds each
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not documented and not soak and not browser and not nightly"

documented: $(VENV)/installed ## Run the commands of the documentation that take up to 20 seconds
	$(BIN)/python -m pytest tests/documentation -m "documented$(if $(SLOW),, and not nightly)"

browser: $(VENV)/installed ## Open the report in headless Chromium, if there is one
	$(BIN)/python -m pytest tests/browser -m browser -rs

soak: $(VENV)/installed ## Run many tasks, threads and processes: leaks, hangs and races
	$(BIN)/python -m pytest tests/soak -m soak --soak $(or $(SOAK),short)

# pip knows what is there already: the extra goes on top of it.
$(VENV)/cluster-installed: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[cluster]"
	touch $@

# Sail 0.7 serves no pyspark 4.3, and its client is a package called pyspark, too.
$(SAIL)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SAIL)
	$(SAIL)/bin/python -m pip install --quiet -c constraints.txt -e ".[sail]" pytest pytest-timeout
	touch $@

sail-test: $(SAIL)/installed ## Run the tests of Sail, in an environment of its own
	$(SAIL)/bin/python -m pytest tests/cluster/test_sail.py -m cluster -rs

# constraints.txt has one version of pyspark, the newest.
$(SPARK35)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SPARK35)
	grep -v '^pyspark' constraints.txt > $(SPARK35)/constraints.txt
	$(SPARK35)/bin/python -m pip install --quiet -c $(SPARK35)/constraints.txt -e . "pandas>=2.2,<3" \
		"pyspark>=3.5,<3.6" pytest pytest-timeout
	touch $@

spark35-test: $(SPARK35)/installed ## Run the tests of map_batches in Spark 3.5, in an environment of its own
	$(SPARK35)/bin/python -m pytest tests/cluster/test_local.py tests/cluster/test_job.py -m cluster -rs \
		-W default  # pyspark 3.5 uses what Python has deprecated

cluster-test: $(VENV)/cluster-installed ## Run the tests of Spark; they need Java 17
	$(BIN)/python -m pytest tests/cluster -m cluster -rs

cluster-demo: $(VENV)/cluster-installed ## Classify 50,000 images on a cluster, some of it killed
	@$(BIN)/python -m bench.cluster.demo

networks: $(VENV)/installed ## Run whole networks in every engine, and those of timm
	$(BIN)/python -m pytest tests/bench tests/exec tests/model -m nightly

differences: $(VENV)/installed ## Measure a version against itself, and against a slower one
	$(BIN)/python -m pytest tests/difference -m nightly

TARGET ?= graphs
SEED ?= 1000
MINUTES ?= 5
fuzz: $(VENV)/installed ## Check random inputs: make fuzz TARGET=graphs SEED=1000 MINUTES=5
	PYTHONPATH=.:tests $(BIN)/python -m fuzz $(TARGET) $(SEED) $(MINUTES) \
		$(if $(CASES),--cases $(CASES))

# Each target in turn, but those in WITHOUT; all are run, whatever one of them finds.
fuzzers: $(VENV)/installed ## Do so for every target: make fuzzers SEED=1000 MINUTES=5
	@targets=$$(PYTHONPATH=.:tests $(BIN)/python -c \
		'from fuzz.__main__ import TARGETS; print(*TARGETS)') || exit 1; \
	failed=; for target in $$targets; do \
	case " $(WITHOUT) " in *" $$target "*) continue;; esac; \
	echo "fuzz: $$target"; $(MAKE) --no-print-directory fuzz TARGET=$$target || failed=1; \
	done; test -z "$$failed"

nightly: $(VENV)/installed ## Soak for long, fuzz, measure, study, run every documented command: hours
	@failed=; for step in differences networks "study STUDY=build/study-$$(date +%s)" "soak SOAK=long" \
	"fuzzers SEED=$$(date +%s)" "documented SLOW=1" sail-test spark35-test; do \
	$(MAKE) --no-print-directory $$step || failed="$$failed '$$step'"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

lint: $(VENV)/installed ## Check style (ruff) and types (mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the virtual environment and every cache in this folder
	rm -rf $(VENV) $(SAIL) $(SPARK35) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
