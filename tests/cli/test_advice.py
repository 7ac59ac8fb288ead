"""What `train` says when something goes wrong; following it helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.helpers import Run
from tests.networks import NETWORKS, load_network
from tflm_train.cli import advice
from tflm_train.data import Dataset
from tflm_train.learning import RateChoice
from tflm_train.rewriter import rewrite
from tflm_train.runtime import Interpreter, training
from tflm_train.scheme import Scheme
from tflm_train.scheme.head import Head

pytestmark = pytest.mark.interpreter
Train = Callable[..., dict[str, Any]]


@pytest.fixture
def train(run: Run, folder: Path) -> Train:
    """Trains one of the networks by the command line; its JSON."""

    def command(name: str, *options: object, data: Dataset | None = None, **scheme: Any) -> Any:
        model = folder / f"{name}.tflite"
        chosen: Scheme = replace(NETWORKS[name].scheme, **scheme)
        model.write_bytes(rewrite(load_network(name), chosen).model_bytes)
        data = NETWORKS[name].dataset() if data is None else data
        arrays = {"x_train": data.x_train, "x_test": data.x_test}
        if data.y_train.size:
            arrays |= {"y_train": data.y_train, "y_test": data.y_test}
        np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
        done = run("train", model, "--data", folder / "data.npz", *options, "--json")
        assert done.status == 0, done.err
        return done.json

    return command


def only(result: dict[str, Any]) -> str:
    (sentence,) = result["warnings"]
    return str(sentence)


def suggested(sentence: str, option: str) -> str:
    return sentence.partition(f"{option} ")[2].split(",")[0]


def test_pictures_that_are_squeezed(run: Run, folder: Path, rewritten: Path) -> None:
    arrays = dict(np.load(folder / "d.npz"))
    for rows, is_said in ((8, True), (15, False)):
        part = {key: x[:, :rows] if x.ndim > 1 else x for key, x in arrays.items()}
        np.savez(folder / "part.npz", **part)
        done = run("train", rewritten, "--data", folder / "part.npz", "--lr", 0.01, "--json")
        assert done.status == 0, done.err
        said = " ".join(done.json["warnings"])
        assert ("are 8 by 16 pixels, the model takes 16 by 16" in said) == is_said


def test_divergence(train: Train) -> None:
    result = train("ds_cnn", "--lr", 0.3, "--epochs", 3)
    assert "the model got worse" in only(result) and "0.3 is too large" in only(result)
    better = train("ds_cnn", "--lr", suggested(only(result), "--lr"), "--epochs", 3)
    assert better["test_accuracy"] > result["test_accuracy"] + 0.5
    assert "got worse" not in str(better.get("warnings"))


def test_a_loss_above_that_of_guessing(train: Train) -> None:
    result = train("resnet", "--lr", 1, "--epochs", 2, head=Head(10))
    assert "no better than guessing among 10 classes (ln 10 = 2.303)" in only(result)
    assert "leave --lr out" in only(result)
    better = train("resnet", "--epochs", 2, head=Head(10))
    assert better["test_accuracy"] > result["test_accuracy"] + 0.2


def test_a_loss_that_still_falls(train: Train) -> None:
    result = train("ds_cnn", "--lr", 1e-3, "--epochs", 2)
    assert "the loss still fell fast at the end" in only(result)
    better = train("ds_cnn", "--lr", 1e-3, "--epochs", suggested(only(result), "--epochs"))
    assert better["test_accuracy"] > result["test_accuracy"] + 0.05


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ({}, "rounded to nothing"),
        ({"weights": (), "biases_last": 5, "head": Head(train=False)}, "the loss stood still"),
    ],
    ids=["weights", "biases"],
)
def test_a_loss_that_stands_still(train: Train, scheme: dict[str, Any], words: str) -> None:
    first = result = train("autoencoder", "--lr", 1e-4, "--epochs", 2, **scheme)
    assert words in only(result)
    for _ in range(5):  # Each a decade up, as it says.
        if "larger one" not in str(result.get("warnings")):
            break
        rate = suggested(only(result), "--lr")
        result = train("autoencoder", "--lr", rate, "--epochs", 2, **scheme)
    assert result["test_accuracy"] < 0.97 * first["test_accuracy"]


@pytest.mark.parametrize("bits", [8, 4, 0])
@pytest.mark.parametrize("rate", ["1e-9", "1e-40", "1e-45"])
def test_steps_that_all_vanish(train: Train, rate: str, bits: int) -> None:
    """Of a model that guesses, too: that would not end by itself."""
    result = train("ds_cnn", "--lr", rate, "--epochs", 1, residual_bits=bits)
    counts = result["weight_steps"]
    assert counts["steps"] == counts["vanished"] > 0 == counts["limited"]
    assert "100 % of the steps of weights were rounded to nothing" in only(result)
    assert f"the learning rate {float(rate):g} is too small" in only(result)
    assert suggested(only(result), "--lr") == "1e-06"


def test_a_rate_beyond_floats_is_named_as_given(train: Train, run: Run, folder: Path) -> None:
    train("ds_cnn", "--epochs", 1)
    command = ["train", folder / "ds_cnn.tflite", "--data", folder / "data.npz", "--lr"]
    for rate in ("1e-46", "1e+39"):
        done = run(*command, rate)
        assert done.status == 1 and f"learning rate {rate} is beyond" in done.err


def test_steps_that_were_limited(train: Train) -> None:
    """The autoencoder still learns at a rate at which many of its steps are limited."""
    result = train("autoencoder", "--lr", 30, "--epochs", 1)
    assert result["weight_steps"]["limited"] > 0.1 * result["weight_steps"]["steps"]
    assert "were limited" in only(result) and suggested(only(result), "--lr") == "3"
    better = train("autoencoder", "--lr", 3, "--epochs", 1)
    assert better["test_accuracy"] < result["test_accuracy"]


def test_one_class_only(train: Train) -> None:
    data = NETWORKS["ds_cnn"].dataset()
    of_class = data.y_train == 3
    one = replace(data, x_train=data.x_train[of_class], y_train=data.y_train[of_class])
    told = train("ds_cnn", "--lr", 1e-3, "--epochs", 1, "--val-share", 0, data=one)["warnings"]
    assert told[0].startswith(f"all {of_class.sum()} training samples are of class 3: the model")
    assert "are of class" not in str(train("ds_cnn", "--lr", 1e-3, "--epochs", 1).get("warnings"))


def test_inputs_that_clip(train: Train) -> None:
    data = NETWORKS["autoencoder"].dataset()
    large = replace(data, x_train=data.x_train * 255, x_test=data.x_test * 255)
    told = train("autoencoder", "--lr", 1e-2, "--epochs", 1, data=large)["warnings"][0]
    assert "of the values in x_train lie beyond what the model's input takes (0 to 1;" in told
    fine = train("autoencoder", "--lr", 1e-2, "--epochs", 1)
    assert "lie beyond" not in str(fine.get("warnings"))


def test_a_rate_that_is_chosen_needs_no_advice(run: Run, train: Train, folder: Path) -> None:
    result = train("ds_cnn")
    assert "warnings" not in result
    choice = result["rate_choice"]
    assert choice["rate"] == result["learning_rate"]
    assert {tried["rate"] for tried in choice["tried"]} >= {0.01, 0.1}
    shown = run("train", folder / "ds_cnn.tflite", "--data", folder / "data.npz")
    assert f"learning rate {choice['rate']:g}, chosen in" in shown.out + shown.err
    assert "a mean of those with a held-out score" in shown.err


def test_an_autoencoder_that_answers_the_mean() -> None:
    network = NETWORKS["autoencoder"]
    data = network.dataset()
    model = rewrite(load_network("autoencoder"), network.scheme)
    interpreter = Interpreter(model.model_bytes)
    record = training.train(interpreter, data, learning_rate=1e-3, epochs=2)
    train, test = (np.asarray(x, np.float64) for x in (data.x_train, data.x_test))
    floor = float(np.mean((test - train.mean(axis=0)) ** 2))
    choice = RateChoice(1e-3, (), 0)
    learnt = replace(record, test_accuracy=0.9 * floor)
    assert "the mean" not in str(advice.on_run(interpreter, learnt, choice, data))
    collapsed = replace(record, test_accuracy=1.01 * floor)
    (sentence,) = advice.on_run(interpreter, collapsed, choice, data)
    assert "always answers the mean" in sentence and "--preset head" in sentence


def test_samples_that_ties_decide(train: Train) -> None:
    result = train("ds_cnn", "--lr", 4e-3, "--epochs", 2, head=Head(10))
    assert result["test"]["ties"] > 0.2
    share = f"equal in {100 * result['test']['ties']:.0f} % of the test samples"
    assert share in only(result)
    better = train("ds_cnn", "--lr", suggested(only(result), "--lr"), "--epochs", 2, head=Head(10))
    assert better["test"]["ties"] < 0.1
    assert better["test_accuracy"] > result["test_accuracy"] + 0.2
