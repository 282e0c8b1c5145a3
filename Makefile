# From a fresh clone `make demo` and `make test` need nothing else first.

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
DEMO_SITE ?= downstream-4
PEER_PYTHON ?=
# Each file of tests stays with one worker, which makes what its tests share once.
PARALLEL := -n 2 --dist loadfile
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/xla
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.3

# OpenBLAS's threads wait in loops that use up a core: on small matrices they only take time from the other worker.
quick-tests test test-slow: export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help setup demo archive-demo change-demo bench bench-check docs quick quick-tests test test-slow lint clean

help:
	@echo "make demo       set up, then the main job on embedded data: landscape, train, map, evaluate (minutes)"
	@echo "make archive-demo  set up, then from products, vectors and orthophotos (made up) to a dataset, a network and a map (minutes)"
	@echo "make change-demo  set up, then maps of four years, decoded change, its scores, areas and report (made up; minutes)"
	@echo "make test       set up, then all tests but those marked slow"
	@echo "make quick      set up, then lint, types and the fast tests"
	@echo "make test-slow  set up, then the tests marked slow"
	@echo "make bench      time the training step and inference (small network, one core); PEER_PYTHON=... adds PyTorch beside both"
	@echo "make bench-check  flag what became slower: start-up, loader, inference, mapping, beside the stored reference"
	@echo "make docs       the site of docs/, in site/: runs the tutorial, fails on broken links; adds the tools to .venv"
	@echo "make lint       set up, then format, lint and types (part of quick; quick-tests is the other part)"
	@echo "make setup      only the virtual environment, in $(VENV)"
	@echo "make clean      remove $(VENV) and the caches; data, runs and maps stay"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt pyproject.toml
	@echo "== setting up $(VENV) with $$($(PYTHON) --version) =="
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python >= 3.11 is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup
	@echo "== 1/5 a landscape, as raw rasters, and the dataset made of it =="
	$(RUN) prepare.py --config=configs/demo.py
	@echo "== 2/5 the joint network =="
	$(RUN) train.py --config=configs/demo.py --workdir=runs/demo
	@echo "== 3/5 the bilinear control: same budget, same seed =="
	$(RUN) train.py --config=configs/demo.py:control=bilinear --workdir=runs/demo-bilinear
	@echo "== 4/5 a map of one test site =="
	$(RUN) predict.py --workdir=runs/demo --input=datasets/demo/sites/$(DEMO_SITE) --output=maps/demo
	@echo "== 5/5 both judged on the test sites =="
	$(RUN) evaluate.py --workdir=runs/demo
	$(RUN) evaluate.py --workdir=runs/demo-bilinear
	@echo
	@echo "== what came out (made-up ground: a check of the software, no evidence about real cities) =="
	@$(RUN) -m jointseg_jax.evaluation.compare runs/demo runs/demo-bilinear
	@echo "look at    maps/demo/quicklook.png                     input, super-resolved image, map"
	@echo "           runs/demo/evaluation/test/report.html       figures, charts and panels of each test site, in a browser"
	@echo "the map    maps/demo/impervious.tif                    open it in QGIS"
	@echo "figures    runs/demo/evaluation/test/metrics.json      curves: $(VENV)/bin/tensorboard --logdir runs"

ARCHIVE := datasets/archive-demo
archive-demo: setup
	@echo "== an archive of made-up ground: two .SAFE products, two orthophotos, vectors, radar, terrain =="
	$(RUN) -m jointseg_jax.landscape.archive --output=$(ARCHIVE)/raw
	@echo "== 1/5 sites, drawn at random =="
	$(RUN) -m jointseg_jax.data.sample --area=$(ARCHIVE)/raw/area.gpkg --region=name --sites=4 --side=360 --distance=510 --output=$(ARCHIVE)/sample
	@echo "== 2/5 the dataset: products are chosen, images warped and moved, vectors burnt =="
	$(RUN) prepare.py --config=configs/archive_demo.py
	@echo "== 3/5 a network =="
	$(RUN) train.py --config=configs/archive_demo.py --workdir=runs/archive-demo
	@echo "== 4/5 a map of a whole product =="
	$(RUN) predict.py --workdir=runs/archive-demo --input=$$(echo $(ARCHIVE)/raw/s2/*T51RTP*.SAFE) --output=maps/archive-demo
	@echo "== 5/5 judged on its test ground =="
	$(RUN) evaluate.py --workdir=runs/archive-demo
	@echo
	@echo "== what came out (40 steps on four made-up sites: a check of the walk, no evidence about maps) =="
	@echo "the report $(ARCHIVE)/dataset/report.html       sites, splits, registration, classes, radiometry: open it in a browser"
	@echo "look at    $(ARCHIVE)/sample/sites.png          where the sites are"
	@echo "           $(ARCHIVE)/dataset/sources.csv       which files serve each site, and why"
	@echo "           maps/archive-demo/quicklook.png             input, super-resolved image, map"

CHANGE := datasets/change-demo
CHANGED := maps/change-demo
# The argument of configs/change_demo.py, such as CHANGE_ARG=seed=1,side=720
CHANGE_ARG ?=
change-demo: setup
	@echo "== 1/5 a landscape in four years, and the dataset made of it =="
	$(RUN) prepare.py --config=configs/change_demo.py:$(CHANGE_ARG)
	$(RUN) -m jointseg_jax outlines --dataset=$(CHANGE) --split=test --output=$(CHANGE)-places.gpkg
	@echo "== 2/5 one network for all years =="
	$(RUN) train.py --config=configs/change_demo.py:$(CHANGE_ARG) --workdir=runs/change-demo
	@echo "== 3/5 maps of four years of the test ground, decoded together =="
	$(RUN) -m jointseg_jax monitor --workdir=runs/change-demo --input=$(CHANGE) --aoi=$(CHANGE)-places.gpkg \
		--years=2017,2019,2021,2023 --regions=$(CHANGE)-places.gpkg --region_name=region --output=$(CHANGED)
	@echo "== 4/5 a sample of the kinds of change, answered from the labels, and areas with intervals =="
	$(RUN) -m jointseg_jax sample --product=$(CHANGED)/maps/2023 --change=$(CHANGED) --output=$(CHANGED)-sample \
		--polygons=$(CHANGE)-places.gpkg --name=region --buffer=10 --points=600 --minimum=20 --no-page
	$(RUN) -m jointseg_jax answers --design=$(CHANGED)-sample --dataset=$(CHANGE) --output=$(CHANGED)-answers.csv
	$(RUN) -m jointseg_jax estimate --design=$(CHANGED)-sample --answers=$(CHANGED)-answers.csv --json=$(CHANGED)-estimates.json
	@echo "== 5/5 scores against the landscape's own growth, the report, the page =="
	$(RUN) -m jointseg_jax growth --monitor=$(CHANGED) --dataset=$(CHANGE) --regions=$(CHANGE)-places.gpkg --name=region \
		--estimates=$(CHANGED)-estimates.json --view --output=$(CHANGED)-report
	@echo
	@echo "== what came out (made-up ground: a check of the software, no evidence about real growth) =="
	@echo "the report $(CHANGED)-report/report.html     growth by region, areas with intervals, scores: open it in a browser"
	@echo "the page   $(CHANGED)/viewer/index.html      a slider over the years, the year of change"
	@echo "figures    $(CHANGED)-report/metrics.json    F1 of change, gain mapped and true, flicker, naive differencing beside them"

bench: setup
	$(RUN) benchmarks/train_step.py $(if $(PEER_PYTHON),--peer-python=$(PEER_PYTHON))
	@echo "== the network over one window of a map =="
	$(RUN) benchmarks/inference.py $(if $(PEER_PYTHON),--peer-python=$(PEER_PYTHON))
	@echo "== start-up, loader, inference and mapping, as CPU time over a calibration kernel's =="
	$(RUN) benchmarks/check.py --write --reference=runs/benchmarks/parts.json

bench-check: setup
	$(RUN) benchmarks/check.py

docs: setup
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@echo "== the tutorial runs (minutes), then the site is built: any broken link ends it =="
	PYTHONPATH=$(CURDIR) PATH=$(CURDIR)/$(VENV)/bin:$$PATH NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build
	@echo "look at    site/index.html"

lint: setup
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

quick: lint quick-tests

quick-tests: setup
	$(RUN) -m pytest -m "quick and not slow" $(PARALLEL)

test: setup
	@echo "== all tests but those marked slow =="
	$(RUN) -m pytest -m "not slow" $(PARALLEL)

test-slow: setup
	@echo "== the tests marked slow: soak, chaos, several processes, thousands of spoilt inputs =="
	$(RUN) -m pytest -m slow $(PARALLEL)

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache
