"""The command that tries any models: it names what fails, and a crash is a row like others."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import any_models
from tests import requirements
from tests.steps import DIGITS


@pytest.mark.interpreter
def test_a_model_that_works() -> None:
    row = any_models.in_a_process(DIGITS, seconds=300)
    assert row.why == ""
    assert (row.optimize, row.head, row.light, row.full) == ("ok",) * 4


@pytest.mark.interpreter
def test_a_refusal_and_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    row = any_models.look_at(broken)
    assert row.why.startswith("broken.tflite") and "FAILS" not in row.why
    monkeypatch.setattr(any_models, "_fill", lambda row, path: 1 / 0)
    assert any_models.look_at(broken).why == "FAILS: ZeroDivisionError: division by zero"
    assert any_models.files_of([tmp_path, DIGITS]) == [broken, DIGITS]


def test_a_float_model_is_quantized_on_the_way() -> None:
    row = any_models.look_at(requirements.shared() / "cases" / "zoo" / "float32_01.tflite")
    assert (row.form, row.full, row.why) == ("float", "ok", "")
