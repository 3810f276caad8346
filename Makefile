# Everything but `make matrix`'s Debian is made inside this folder, in .cache/ and .tox/; `make clean` removes it all.
# For GNU make.

PYTHON ?= python3
RUNTIME ?= gevent

.DEFAULT_GOAL := help
.PHONY: help demo found test smoke matrix lint bench bench-sessions leaks clean check-python

help:
	@echo 'make demo     hang a real server and look into it with manhole-cli'
	@echo '              RUNTIME=gevent (default), eventlet or threads'
	@echo 'make test     the whole test suite against the built wheel, on every Python this machine has;'
	@echo '              INTERPRETERS="python3.11 pypy3.11" chooses among them'
	@echo 'make smoke    the same with the shortest way through everything instead of the suite'
	@echo 'make matrix   make test, and on CPython 3.14, 3.15 and PyPy 3.11 too where the machine lacks them: in a'
	@echo '              Debian of their own outside this folder, which it makes (as root; 1 GB)'
	@echo 'make lint     ruff and mypy'
	@echo 'make bench    what a dump costs the dumped process, beside other tools, as Markdown; on CPython 3.11 and the'
	@echo '              newest here, BENCH_INTERPRETERS=... chooses; BENCH=--quick is the short one'
	@echo 'make bench-sessions'
	@echo '              the same of what a session costs'
	@echo 'make leaks    what 10,000 sessions leave behind in a process; LEAKS="--runtime eventlet" chooses another than gevent'
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
.cache/demo-%/ready: pyproject.toml $(shell find manhole -type f ! -name '*.pyc') | check-python
	@$(if $(filter gevent eventlet threads,$*),,$(error RUNTIME is gevent, eventlet or threads))
	@echo 'Making a virtual environment in .cache/demo-$* ...'
	@'$(PYTHON)' -m venv .cache/demo-$*
	@.cache/demo-$*/bin/pip install -qq --disable-pip-version-check '.$(extra_$*)'
	@touch $@

# --- tests

INTERPRETERS ?= python3.10 python3.11 python3.12 python3.13 python3.14 python3.15 pypy3.11

# pyenv's own commands answer only for the versions selected with it, so each version's folder is added too: at the
# end, for what the user has put on the PATH comes first.
empty :=
PYENV := $(or $(PYENV_ROOT),$(HOME)/.pyenv)
PYENV_BINS := $(wildcard $(foreach name,$(INTERPRETERS),$(PYENV)/versions/$(subst python,,$(name))[.-]*/bin))
export PATH := $(PATH)$(subst $(empty) /,:/,$(empty) $(PYENV_BINS))

# The interpreters that run here. An attempt, because a file of that name may be pyenv's stand-in, which only says no.
# The `:` because make throws the output away where the last command was not found.
FOUND = $(shell PATH='$(PATH)'; for name in $(INTERPRETERS); do IFS=:; for folder in $$PATH; do \
	"$$folder/$$name" -c '' >/dev/null 2>&1 && echo $$name && break; done; done; :)
LACKING = $(filter-out $(FOUND),$(INTERPRETERS))

found:
	@echo '$(FOUND)'

# tox calls python3.10 py310 and pypy3.11 pypy311.
FACTORS = $(subst .,,$(subst python,py,$(FOUND)))
# All environments of an interpreter, or the one that has all libraries.
test_envs = $(FACTORS:%=-f %)
smoke_envs = $(FACTORS:%=-e %-threads) -- -n 0 tests/smoke

# tox is asked for what was found and not allowed to skip any, so that none is left out in silence.
test smoke: .cache/test/ready
	$(eval FOUND := $(FOUND))
	@echo 'on this machine:      $(or $(FOUND),none of $(INTERPRETERS))'
	@echo 'not on this machine:  $(or $(LACKING),-)'
	@test -n '$(FOUND)'
	@.cache/test/bin/tox run --skip-missing-interpreters false $($@_envs)
	@echo 'tested with:          $(FOUND)'
	@echo 'not on this machine:  $(or $(LACKING),-)'

# What the Debian of tools/matrix.sh has.
IN_MATRIX := python3.14 python3.15 pypy3.11

# What this machine lacks first: it tells the more.
matrix:
	$(eval FOUND := $(FOUND))
	@tools/matrix.sh prepare
	@$(if $(filter $(IN_MATRIX),$(LACKING)),tools/matrix.sh make test INTERPRETERS='$(filter $(IN_MATRIX),$(LACKING))')
	@$(if $(FOUND),$(MAKE) --no-print-directory test)

lint: .cache/test/ready
	@.cache/test/bin/tox run -e lint,types

.cache/test/ready: Makefile | check-python
	@'$(PYTHON)' -m venv .cache/test
	@.cache/test/bin/pip install -qq --disable-pip-version-check 'tox>=4.20'
	@touch $@

# --- benchmarks

# sort: once, if both are the same.
BENCH_INTERPRETERS ?= $(sort $(filter python3.11,$(FOUND)) $(lastword $(filter python3.%,$(FOUND))))

bench: SCRIPT := snapshots.py
bench-sessions: SCRIPT := sessions.py

bench bench-sessions:
	$(eval BENCH_INTERPRETERS := $(BENCH_INTERPRETERS))
	@test -n '$(BENCH_INTERPRETERS)' || { echo 'no CPython among $(INTERPRETERS) on this machine' >&2; exit 1; }
	@$(MAKE) --no-print-directory $(BENCH_INTERPRETERS:%=.cache/bench/%/ready) >&2
	@for name in $(BENCH_INTERPRETERS); do \
	  ".cache/bench/$$name/ours/bin/python" benchmarks/$(SCRIPT) \
	    --rival ".cache/bench/$$name/rival/bin/python" $(BENCH) || exit; echo; done

leaks: .cache/bench/$(lastword $(BENCH_INTERPRETERS))/ready
	@.cache/bench/$(lastword $(BENCH_INTERPRETERS))/ours/bin/python benchmarks/leaks.py $(LEAKS)

# python-manhole is imported as `manhole` too, so it has an environment of its own. py-spy has no wheel everywhere, and the
# table says where it is missing. The loop because a file of that name may be pyenv's stand-in, which only says no.
.cache/bench/%/ready: pyproject.toml $(shell find manhole -name '*.py')
	@echo 'Making virtual environments in .cache/bench/$* ...'
	@python=$$(IFS=:; for folder in $$PATH; do \
	   "$$folder/$*" -c '' >/dev/null 2>&1 && echo "$$folder/$*" && break; done); \
	 "$$python" -m venv .cache/bench/$*/ours && "$$python" -m venv .cache/bench/$*/rival
	@.cache/bench/$*/ours/bin/pip install -qq --disable-pip-version-check '.[gevent,eventlet]'
	@.cache/bench/$*/ours/bin/pip install -qq --disable-pip-version-check py-spy || true
	@.cache/bench/$*/rival/bin/pip install -qq --disable-pip-version-check manhole==1.8.1 gevent
	@touch $@

clean:
	rm -rf .cache .tox .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
