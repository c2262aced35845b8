# Everything sets itself up in .venv; the machine needs Python 3.11 or newer and make.

PYTHON ?= python3
BIN := .venv/bin
DATA := ../shared/data

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow tools lint bench data clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

.venv/runs: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

.venv/develops: .venv/runs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps open_clip_torch timm
	@touch $@

install: .venv/runs  ## install clipwright and the demo into .venv; no torch

demo: .venv/runs  ## say what is in real photographs, and search them, with the model in the package
	$(BIN)/python examples/demo.py

test: .venv/develops  ## the quick tests
	$(BIN)/python -m pytest -m 'not slow' -n auto --dist loadfile

test-slow: .venv/develops tools  ## the tests that take longer; installs Debian's chromium and qemu-user where they are missing
	$(BIN)/python -m pytest -m slow

tools:
	@{ command -v chromium && command -v qemu-x86_64; } >/dev/null 2>&1 || { \
	  echo "installing chromium, which the tests of the page need, and qemu-user, which imitates other processors"; \
	  if [ "$$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi; \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends chromium qemu-user >/dev/null; \
	} || { echo "error: chromium and qemu-user could not be installed; install them by hand" >&2; exit 1; }

lint: .venv/develops  ## formatting, style and strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/develops  ## measure training on this machine
	$(BIN)/python benchmarks/training_speed.py

data: .venv/develops  ## unpack the starter's training data into data/
	$(BIN)/python $(DATA)/unpack.py data

clean:  ## remove .venv and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
