# make run     start a receiver on 127.0.0.1:2525 that keeps mail in ./Maildir
# make test    install what the tests need, run them all, then the linters and the docs
# make fuzz    play random conversations until it is stopped
# make docs    build the documentation into docs/_build
# make bench   measure how fast mail is received, next to other servers
# make growth  measure how the cost grows, and draw it into docs/plots
# make soak    measure what 10,000 idle connections cost

PYTHON = python3
VENV = .venv
BIN = $(VENV)/bin
SOURCES = setup.cfg setup.py pyproject.toml $(wildcard mvmtr/launcher/*) \
	$(shell find mvmtr twisted -name '*.py' -o -name '*.json')

# Without make's own rules, one of which would compile the launcher over the script beside it.
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

.PHONY: run test tests lint fuzz docs bench growth soak clean

run: $(VENV)/installed
	@echo
	@echo "mvmtr listens on 127.0.0.1:2525. Send it a first message from another terminal:"
	@echo
	@echo "    $(BIN)/python examples/send.py you@example.org"
	@echo
	@echo "It will land in $(CURDIR)/Maildir/new. Stop mvmtr with Ctrl-C."
	@echo
	@exec $(BIN)/twistd --nodaemon --pidfile= mvmtr \
		--control-dir=examples/control --queue=maildir:./Maildir \
		--listen=tcp:2525:interface=127.0.0.1

test: tests lint docs

tests: $(VENV)/tested
	sh .ci/debian-packages
	PYTHONPATH=$(CURDIR) $(BIN)/trial --temp-directory=$(VENV)/trial mvmtr

lint: $(VENV)/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mvmtr

docs: $(VENV)/tested
	$(BIN)/sphinx-build -q -W -E -b html docs docs/_build

fuzz: $(VENV)/tested
	while MVMTR_FUZZ_EXAMPLES=20000 PYTHONPATH=$(CURDIR) \
		$(BIN)/trial --temp-directory=$(VENV)/trial-fuzz \
		mvmtr.test.test_fuzz mvmtr.test.test_fuzz_processes; do :; done

bench: $(VENV)/benched
	-sh .ci/unpack smtp-source postfix
	$(BIN)/python benchmarks/bench.py --json benchmarks/results/bench.json $(BENCH)

growth: $(VENV)/benched
	$(BIN)/python benchmarks/growth.py

soak: $(VENV)/installed
	$(BIN)/python benchmarks/soak.py

clean:
	rm -rf $(VENV) build docs/_build

$(BIN)/python:
	sh .ci/make-venv $(PYTHON) $(VENV)

# Not editable: twistd finds plugins of an installed package only as real files.
$(VENV)/installed: $(BIN)/python $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check .
	@rm -rf build
	@$(BIN)/twistd --help > /dev/null
	@touch $@

$(VENV)/benched: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check '.[bench]'
	@rm -rf build
	@touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test]'
	@rm -rf build
	@touch $@
