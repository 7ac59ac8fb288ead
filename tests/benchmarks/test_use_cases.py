"""The parts of the benchmarks that go a user's whole way: what they measure with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import rate_grid
from benchmarks.cell_detector import picture
from benchmarks.use_commands import run_command
from benchmarks.wake_word import clips_of, cutoff_of, log_mel, rates_of
from tests.single_op import activation
from tests.steps import DIGITS


def test_log_mel_is_the_inverse_of_the_dct() -> None:
    rng = np.random.default_rng(0)
    mfcc = rng.normal(size=(3, 7, 10))
    mel = log_mel(mfcc)
    place = (np.arange(40) + 0.5) * np.pi / 40
    forward = np.cos(np.outer(np.arange(10), place)) * np.sqrt(2 / 40)
    forward[0] /= np.sqrt(2)
    assert np.allclose(mel @ forward.T, mfcc)


def test_clips_end_where_the_sound_does() -> None:
    mfcc = np.zeros((2, 12, 10, 1))
    mfcc[..., 0, 0] = log_mel_of_silence = -100.0
    mfcc[0, 3:6, 0, 0] = 0
    clips = clips_of(mfcc, np.array([True, False]), activation(1, 3, 40), (-5.0, 5.0))
    assert clips.x.shape == (2, 4, 3, 40) and clips.x.dtype == np.int8
    assert clips.end.tolist() == [2, 1], log_mel_of_silence
    assert clips.x[0, 1].min() == clips.x[0, 1].max() == 0 and clips.x[0, 0].max() == -128
    both = clips.with_others(clips[np.array([1])])
    assert both.y.tolist() == [True, False, False] and len(both.x) == len(both.end) == 3


def test_rates_at_a_cutoff() -> None:
    y = np.array([True] * 4 + [False] * 200)
    answers = np.r_[0.9, 0.8, 0.7, 0.2, np.linspace(0, 0.75, 200)]
    cutoff = cutoff_of(answers, y)
    assert 0.74 < cutoff < 0.75
    assert rates_of(answers, y, cutoff) == (50.0, 1.0)
    assert cutoff_of(answers / 2, y) == 0.5


def test_pictures_have_what_their_cells_say() -> None:
    rng = np.random.default_rng(0)
    found = [picture(rng) for _ in range(40)]
    assert all(x.shape == (96, 96, 1) and x.dtype == np.uint8 for x, _ in found)
    counts = [np.count_nonzero(cells) for _, cells in found]
    assert {1, 2, 3} >= set(counts) and len(set(counts)) > 1
    assert {int(kind) for _, cells in found for kind in np.unique(cells)} == {0, 1, 2}


def test_commands_answer_or_say_why_not(tmp_path: Path) -> None:
    (tmp_path / "digits.tflite").write_bytes(DIGITS.read_bytes())
    assert run_command(tmp_path, "inspect digits.tflite")["model"] == "digits.tflite"
    with pytest.raises(RuntimeError, match=r"tflm_train inspect none\.tflite: tflm_train: error"):
        run_command(tmp_path, "inspect none.tflite")


@pytest.mark.parametrize(
    ("name", "scores", "is_met"),
    [("hum", [5.2, 5.0], True), ("hum", [5.3, 5.0], False), ("cells", [90, 91.9], True)],
)
def test_a_chosen_rate_is_held_against_the_best(
    name: str,
    scores: list[float],
    is_met: bool,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    case = dataclasses.replace(rate_grid.CASES[name], make=lambda folder: None)
    tried: list[str] = []

    def answer(folder: Path, command: str) -> Any:
        if command.startswith("train"):
            tried.append(command.split("--lr ")[1].split()[0])
            return {"learning_rate": 0.1 if tried[-1] == "auto" else float(tried[-1])}
        score = scores[0] if tried[-1:] == ["auto"] else scores[1]
        return {"test_accuracy": score, "classes": [{}, {"f1": score / 100}]}

    monkeypatch.setattr(rate_grid, "run_command", answer)
    row = rate_grid.measure(name, case, tmp_path)
    assert row["is_met"] == is_met and row["rate"] == 0.1 and len(tried) == 7
