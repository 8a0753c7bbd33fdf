# `make demo` and `make test` do all the set-up on a fresh machine: a virtual environment in .venv, with everything inside.
# Another Python: `make PYTHON=/path/to/python3.10 demo`. Another place: `make VENV=/path/to/venv demo`.
# Both lines of setup.py side by side: `make demo test && make PYTHON=python3.13 VENV=.venv-current demo test`.
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
PYTEST = $(BIN)/python -m pytest -q -n 2 --dist worksteal
export TF_CPP_MIN_LOG_LEVEL := 3

.NOTPARALLEL: # two set-ups of one environment at once would spoil it
.PHONY: help demo test test-slow test-beam lint clean moved

help:
	@echo 'make demo       restore a face with the shipped models; writes demo/astronaut.restored.png and demo/panel.png'
	@echo 'make test       lint and the tests, some minutes on two cores'
	@echo 'make test-slow  tests of runs that are stopped, killed or distributed, and of BEGAN: as long again'
	@echo 'make test-beam  tests of gekeras.beam, for which it installs Apache Beam'
	@echo 'make lint       ruff check, ruff format --check, and mypy'
	@echo 'make clean      remove builds, caches and demo/; the environment in $(VENV) stays'
	@echo 'The first demo or test sets up $(VENV): a download of about 0.7 GB, up to 2.5 GB on disk. It takes Python 3.9-3.11'
	@echo 'where there is one (TensorFlow 2.15, with tensorflow-gan and tensorflow-addons), else 3.12 or 3.13 (newest TensorFlow).'

demo: $(VENV)/.installed
	$(BIN)/gekeras demo

test: lint
	$(PYTEST) -m 'not slow'

test-slow: $(VENV)/.installed-test
	$(PYTEST) -m slow

# Beam holds other packages back, so that it comes after what is tested without it.
test-beam: $(VENV)/.installed-test
	$(PIP) -e '.[beam]'
	$(PYTEST) tests/test_beam.py

lint: $(VENV)/.installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then $(BIN)/python -m mypy; \
	else echo 'make lint: the types are checked on Python 3.10 and newer, which mypy needs'; fi

clean:
	rm -rf build dist demo gekeras.egg-info .pytest_cache .ruff_cache .mypy_cache
	find gekeras tests tools benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Prints "3.11", or "3.11 without venv" where a system's package of Python leaves that module out.
VERSION_OF = import sys, importlib.util as u; \
print("%d.%d%s" % (*sys.version_info[:2], "" if u.find_spec("ensurepip") and u.find_spec("venv") else " without venv"))

# Sets `python` to the first suitable one, or to the one that is named. A candidate has to run: a pyenv shim can exist and
# still find no command.
define find_python
python=; found='$(PYTHON:%=, % does not run)'; \
for candidate in $(or $(PYTHON),python3.11 python3.10 python3.9 python3 python3.13 python3.12); do \
    version=$$("$$candidate" -c '$(VERSION_OF)' 2>/dev/null) || continue; \
    case $$version in \
        $(SUITABLE)) python=$$candidate; break ;; \
        ?*) found="$(if $(PYTHON),,$$found), $$candidate is $$version" ;; \
    esac; \
done; \
if [ -z "$$python" ]; then \
    echo "make: gekeras needs Python 3.9 to 3.13 with its venv module; found: $${found:-, none}." \
        "Install one (Debian, Ubuntu: python3.11 and python3.11-venv; elsewhere: pyenv install 3.11)" \
        "or name it: make PYTHON=/path/to/python3.11" | sed 's/found: , /found: /' >&2; \
    exit 1; \
fi
endef
SUITABLE = 3.9|3.10|3.11|3.12|3.13

# $(call install,REQUIREMENT). `.unfinished` lies in a new environment until its first installation is complete, so one
# that was interrupted is made again from nothing. A working one that was there before make is used as it is.
define install
if [ -e $(VENV)/.unfinished ] || ! $(BIN)/python -c '' 2>/dev/null; then \
    $(find_python); \
    echo "Making $(VENV) with $$python (Python $$version)."; \
    rm -rf $(VENV) && mkdir -p $(VENV) && touch $(VENV)/.unfinished && "$$python" -m venv $(VENV) || exit 1; \
fi; \
version=$$($(BIN)/python -c '$(VERSION_OF)'); \
case "$${version%% *}" in \
    3.9|3.10|3.11) echo "Python $${version%% *}: TensorFlow 2.15 and Keras 2.15, with tensorflow-gan and tensorflow-addons." ;; \
    $(SUITABLE)) echo "Python $${version%% *}: the newest TensorFlow with Keras 3, which tensorflow-gan and" \
        "tensorflow-addons do not import with: the losses of training are gekeras' own." ;; \
    *) echo "make: $(VENV) holds Python $$version; gekeras needs 3.9 to 3.13." \
        "Remove $(VENV) or choose another place: make VENV=.venv-gekeras" >&2; exit 1 ;; \
esac; \
$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null || exit 1; \
echo "Installing gekeras and what it needs into $(VENV); the first time this downloads about 0.7 GB and takes minutes."; \
$(PIP) 'pip>=21.3' && $(PIP) -e '$(1)' || exit 1; \
printf '%s\n' '$(CURDIR)' >$(VENV)/.checkout && rm -f $(VENV)/.unfinished && touch $@
endef

# Each stamp is written last, and says that the installation it names is complete and as setup.py asks.
$(VENV)/.installed: setup.py gekeras/_version.py
	@$(call install,.)

$(VENV)/.installed-test: setup.py gekeras/_version.py
	@$(call install,.[test])
	@touch $(VENV)/.installed

# A folder that was moved or copied keeps its stamps, but its environment still points at the old place.
ifneq ($(shell cat $(VENV)/.checkout 2>/dev/null),$(CURDIR))
$(VENV)/.installed $(VENV)/.installed-test: moved
endif

