"""The memory model's kernels against what TFLM's asked for when they were last measured.

No TFLM is needed: benchmarks/results/kernel_memory.json holds the measurement, exact in every
byte, so that a wrong number in the model does not wait for someone who has a TFLM at hand.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from tests.memory.kernel_cases import kernel_cases
from tests.memory.kernel_rows import REFUSED, predicted_row
from tflm_train.memory import KernelSet
from tflm_train.ops.builtin import BUILTINS

TABLE = Path(__file__).resolve().parents[2] / "benchmarks/results/kernel_memory.json"
MODELLED = {row.name for row in BUILTINS.values() if row.memory is not None}
BUILDS = ("reference m7", "cmsis_nn m4", "cmsis_nn m7", "cmsis_nn_helium m55")
COMMON = "cmsis_nn m7"
"""Has a row for every case: what CMSIS-NN has no kernel of its own for is the same everywhere."""
ON_ONE_CORE = frozenset(
    {"ABS", "COS", "CUMSUM", "DIV", "ELU", "EXP", "GATHER", "LOG", "NEG", "SIN", "SQRT", "SQUARE"}
)
"""Such operators, of which some cases have that row alone."""
IN_MODELS = frozenset({"ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE"})
"""Operators that do not run alone: whole models with them are measured (test_memory_report)."""


@cache
def measured() -> dict[str, dict[str, str]]:
    return dict(json.loads(TABLE.read_text())["rows"])


def test_every_operator_is_measured() -> None:
    measured_ones = {case.split("(")[0] for case in kernel_cases()}
    hint = "add cases to kernel_cases, the kernel to allocations.cc, and measure (or IN_MODELS)"
    assert measured_ones | IN_MODELS == MODELLED and not measured_ones & IN_MODELS, hint


def test_the_table_holds_these_cases() -> None:
    assert list(measured()) == list(kernel_cases())
    for case, row in measured().items():
        needed = {COMMON} if case.split("(")[0] in ON_ONE_CORE else set(BUILDS)
        assert needed <= set(row), case


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("operator", sorted(MODELLED - IN_MODELS))
def test_prediction(operator: str, build: str) -> None:
    kernels = KernelSet(build.split()[0])
    rows = {
        case: (predicted_row(model, kernels), measured()[case][build])
        for case, model in kernel_cases().items()
        if case.startswith(f"{operator}(") and measured()[case].get(build, REFUSED) != REFUSED
    }
    assert rows or (operator in ON_ONE_CORE and build != COMMON)
    wrong = {case: row for case, row in rows.items() if row[0] != row[1]}
    assert not wrong, "predicted, measured"
