"""What refuses a model or a scheme says what to do, and that works."""

from __future__ import annotations

import pytest

from benchmarks.refusals import CASES, Case, look_at


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_the_advice_works(case: Case) -> None:
    assert look_at(case)["works"] in ("yes", "nothing helps, and it says so")


def test_advice_that_does_not_work_is_seen() -> None:
    assert "not refused" in str(look_at(Case("", "rewrite relu.tflite", ""))["works"])
    command = "rewrite bare.tflite"
    assert "other words" in str(look_at(Case("", command, "quantize it"))["works"])
    assert f"FAILS: {command}" in str(look_at(Case("", command, "nothing", (command,)))["works"])
