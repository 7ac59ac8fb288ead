# tools/environment.py makes .venv; tools/run_tests.py runs the tests and adds up the results.
PYTHON ?= python3

.PHONY: demo test docs firmware fuzz lint format generate clean

demo:
	$(PYTHON) tools/environment.py demo
	.venv/bin/python -m tflm_train.demo

# The documents as a site, build/site/index.html; a link that leads nowhere ends it.
docs:
	$(PYTHON) tools/environment.py demo
	$(PYTHON) tools/environment.py docs
	.venv/bin/python -m tools.docs_site pages
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

# REQUIRE="shared tflm": fail where these are missing, do not skip (tests/requirements.py).
test:
	$(PYTHON) tools/run_tests.py $(addprefix --require=,$(REQUIRE))

# What needs a TFLM library for a Cortex-M: TFLM_INCLUDE (folders, colons between them), TFLM_LIB.
firmware: export TFLM_INCLUDE TFLM_LIB
firmware:
	.venv/bin/python -m pytest -q --require=tflm tests/target tests/export

# Campaigns of the fuzz targets (tools/fuzz.py): in all MINUTES long, and with RUNS=10000000 until
# each target has run that often, all campaigns together.
MINUTES ?= 60
fuzz:
	.venv/bin/python tools/fuzz.py --minutes $(MINUTES) $(addprefix --runs ,$(RUNS))

lint:
	$(PYTHON) tools/run_tests.py lint

format:
	$(PYTHON) tools/format_sources.py

# C++ headers and tables of the documentation, from the declarations in tflm_train/ops.
generate:
	.venv/bin/python -m tools.generate

clean:
	rm -rf .venv .venv-* build dist *.egg-info tflm_train/_host_ops.so tests/cpp/generated
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	-command -v bazel >/dev/null && bazel clean
