"""`rewrite --data`: runs on the data tell the presets that fit apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.cli.helpers import Run, assert_refused
from tests.networks import FOLDER, NETWORKS
from tests.steps import DIGITS
from tflm_train.model import load
from tflm_train.rewriter.choose_preset import Judge, JudgedPreset, choose_preset
from tflm_train.rewriter.coins import Budget
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme

BIG = Budget(1 << 20)


def judge_with(errors: Mapping[str, float], noise: float, seen: list[str]) -> Judge:
    """A judge of given errors, whose samples differ by noise."""

    def judge(preset: str, scheme: Scheme, way: Way) -> tuple[JudgedPreset, npt.NDArray[Any]]:
        seen.append(preset)
        apart = noise * np.random.default_rng(len(seen)).normal(size=100)
        each = errors.get(preset, 1.0) + apart - apart.mean()
        return JudgedPreset(preset, 0.01, 0.5, float(each.mean())), each

    return judge


@pytest.mark.parametrize(
    ("errors", "noise", "best"),
    [({"head": 1, "biases": 3, "light": 2, "medium": 4}, 0.1, "head"),
     ({"head": 2, "biases": 1, "light": 1, "medium": 3}, 0.1, "light"),
     ({"head": 1.0, "biases": 1.5, "light": 1.5, "medium": 1.05}, 1.0, "medium")],
)  # fmt: skip
def test_of_those_that_are_not_clearly_worse_the_one_that_trains_most(
    errors: dict[str, float], noise: float, best: str
) -> None:
    judge = judge_with(errors, noise, [])
    _, choice = choose_preset(load(DIGITS), BIG, Way(), judge=judge)
    assert choice.preset == best and choice.judged is not None
    assert [each.preset for each in choice.judged] == list(errors)
    assert choose_preset(load(DIGITS), BIG, Way())[1].preset == "medium"


def test_what_cannot_fit_is_not_judged() -> None:
    seen: list[str] = []
    judge = judge_with({}, 0.0, seen)
    fitting, choice = choose_preset(load(DIGITS), Budget(17 << 10), Way(), judge=judge)
    assert seen and "medium" not in seen and choice.preset == seen[-1]
    assert fitting.scheme.residual_bits == choice.residual_bits


@pytest.mark.interpreter
def test_runs_on_real_data(run: Run, tmp_path: Path) -> None:
    data = NETWORKS["mobilenet_v2"].dataset()
    np.savez(
        tmp_path / "d.npz",
        x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test,
    )  # type: ignore[arg-type]  # fmt: skip
    model = FOLDER / "mobilenet_v2.tflite"
    words = ["rewrite", model, "--data", tmp_path / "d.npz", "-o", tmp_path / "o.tflite"]
    done = run(*words, "--budget", "19KB", "--cache", tmp_path / "cache", "--json")
    assert done.status == 0, done.err
    judged = {each["preset"]: each for each in done.json["chosen"]["judged"]}
    assert list(judged) == [each["preset"] for each in done.json["chosen"]["tried"] if each["fits"]]
    assert all(0 < each["score"] < 1 and each["error"] > 0 for each in judged.values())


@pytest.mark.interpreter
def test_what_is_said(run: Run, folder: Path) -> None:
    words = ["rewrite", folder / "digits.tflite", "--data", folder / "d.npz", "--budget", "7KB"]
    chosen, scores = run(*words, "--cache", "none").out.splitlines()[:2]
    assert "the best in runs on the data of those that fit 7,168 bytes of RAM" in chosen
    assert scores.startswith("score on held-out samples: head ")


def test_a_named_preset_needs_no_choice(run: Run, folder: Path) -> None:
    assert_refused(
        run("rewrite", folder / "digits.tflite", "--preset", "head", "--data", folder / "d.npz"),
        "--data chooses the preset",
    )
