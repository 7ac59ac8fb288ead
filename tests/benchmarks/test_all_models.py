"""The table of all models, at a small scale: every file has its case, and the small ones train."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.all_models import CASES, run

SMALL = {
    # name: epochs
    "ad01_int8": 10,
    "hello_world_int8": 10,
    "keyword_scrambled_8bit": 10,
    "kws_ref_model": 3,
    "micro_speech_quantized": 10,
    "pretrainedResnet_quant": 3,
    "str_ww_ref_model": 4,
    "trained_lstm_int8": 10,
}


def test_every_file_has_a_case(shared: Path) -> None:
    files = {path.stem for path in (shared / "models").glob("*.tflite")}
    assert {case.name for case in CASES} == files


@pytest.mark.parametrize("name", SMALL)
def test_the_loss_of_a_fixed_batch_falls(shared: Path, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    small = dataclasses.replace(case, epochs=SMALL[name])
    row = run(small, shared / "models" / f"{name}.tflite")
    assert row["loss_after"] < row["loss_before"]


@pytest.mark.parametrize(
    ("name", "operator"),
    [("keyword_scrambled_8bit", "SVDF"), ("trained_lstm_int8", "UNIDIRECTIONAL_SEQUENCE_LSTM")],
)
def test_what_cannot_train_is_named(shared: Path, name: str, operator: str) -> None:
    case = dataclasses.replace(next(case for case in CASES if case.name == name), epochs=1)
    (barrier,) = run(case, shared / "models" / f"{name}.tflite")["why_not_more"]
    assert f"({operator}, " in barrier
    assert "has no gradient rule; train layers from " in barrier
