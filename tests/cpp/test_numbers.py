"""The numpy reference gives the numbers of its version (golden_numbers.py)."""

from __future__ import annotations

import copy

import golden_numbers
import pytest
from generate_golden import all_suites
from golden_numbers import Numbers

from tflm_train import ops

VERSION, COMMITTED = golden_numbers.committed()


@pytest.fixture(scope="module")
def computed() -> Numbers:
    """What the reference makes of the same cases."""
    return golden_numbers.chosen({suite.name: suite for suite in all_suites()})


def test_the_file_is_of_this_version() -> None:
    assert VERSION == ops.VERSION


def test_every_op_has_numbers() -> None:
    wanted = {cls.KIND for cls in ops.ALL if cls not in golden_numbers.WITHOUT_NUMBERS}
    assert golden_numbers.kinds(COMMITTED) >= wanted


@pytest.mark.parametrize("suite", golden_numbers.RESULTS)
def test_numbers(computed: Numbers, suite: str) -> None:
    assert computed[suite] == COMMITTED[suite]


def test_a_result_that_moved_is_named() -> None:
    assert golden_numbers.moved(COMMITTED, COMMITTED) == []
    new = copy.deepcopy(COMMITTED)
    name, row = next(iter(new["bias_update"].items()))
    row[-1] = "int32:AAAAAA=="
    assert golden_numbers.moved(COMMITTED, new) == [f"bias_update: {name}"]
    row[0] = "uint8:AAAAAA=="  # another case altogether
    assert golden_numbers.moved(COMMITTED, new) == []
