# Everything is made inside this folder, in .cache/ and .tox/; `make clean` removes it all. For GNU make.

PYTHON ?= python3
RUNTIME ?= gevent

.DEFAULT_GOAL := help
.PHONY: help demo test lint clean check-python

help:
	@echo 'make demo     hang a real server and look into it with manhole-cli'
	@echo '              RUNTIME=gevent (default), eventlet or threads'
	@echo 'make test     the whole test suite against the built wheel, on every Python this machine has'
	@echo 'make lint     ruff and mypy'
	@echo 'make clean    remove what the others have made'

check-python:
	@command -v '$(PYTHON)' >/dev/null || \
	  { echo '$(PYTHON) is not on the PATH: name a Python 3.10 or later with PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$$('$(PYTHON)' --version) is too old: name a Python 3.10 or later with PYTHON=..." >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' || \
	  { echo '$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv' >&2; exit 1; }

# --- demo

extra_gevent := [gevent]
extra_eventlet := [eventlet]
extra_threads :=

demo: .cache/demo-$(RUNTIME)/ready
	@.cache/demo-$(RUNTIME)/bin/python demo/run.py '$(RUNTIME)'

# -qq: pip's errors are shown, its remarks about the machine's settings are not the demo's business.
.cache/demo-%/ready: pyproject.toml $(shell find manhole -name '*.py') | check-python
	@$(if $(filter gevent eventlet threads,$*),,$(error RUNTIME is gevent, eventlet or threads))
	@echo 'Making a virtual environment in .cache/demo-$* ...'
	@'$(PYTHON)' -m venv .cache/demo-$*
	@.cache/demo-$*/bin/pip install -qq --disable-pip-version-check '.$(extra_$*)'
	@touch $@

# --- tests

VERSIONS := 3.10 3.11 3.12 3.13

# pyenv's own commands answer only for the versions selected with it, so each version's folder is added too: at the
# end, for what the user has put on the PATH comes first.
empty :=
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)
PYENV_BINS := $(wildcard $(foreach version,$(VERSIONS),$(PYENV)/versions/$(version).*/bin))
export PATH := $(PATH)$(subst $(empty) /,:/,$(empty) $(PYENV_BINS))

# The versions that run here. An attempt, because a file of that name may be pyenv's stand-in, which only says no. The
# `:` because make throws the output away where the last command was not found.
FOUND = $(shell PATH='$(PATH)'; for version in $(VERSIONS); do IFS=:; for folder in $$PATH; do \
	"$$folder/python$$version" -c '' >/dev/null 2>&1 && echo $$version && break; done; done; :)

# tox is asked for the versions found and not allowed to skip one, so that none is left out in silence.
test: .cache/test/ready
	$(eval FOUND := $(FOUND))
	@echo 'Python on this machine:     $(or $(FOUND),none of $(VERSIONS))'
	@echo 'not on this machine:        $(or $(filter-out $(FOUND),$(VERSIONS)),-)'
	@test -n '$(FOUND)'
	@.cache/test/bin/tox run --skip-missing-interpreters false $(foreach version,$(FOUND),-f py$(subst .,,$(version)))
	@echo 'tested with Python:         $(FOUND)'
	@echo 'not on this machine:        $(or $(filter-out $(FOUND),$(VERSIONS)),-)'

lint: .cache/test/ready
	@.cache/test/bin/tox run -e lint,types

.cache/test/ready: Makefile | check-python
	@'$(PYTHON)' -m venv .cache/test
	@.cache/test/bin/pip install -qq --disable-pip-version-check 'tox>=4.20'
	@touch $@

clean:
	rm -rf .cache .tox .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
