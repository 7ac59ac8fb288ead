"""Models that classify each cell of a map: detectors of centroids, segmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests import requirements
from tests.cli.conftest import run  # noqa: F401 - a fixture
from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model
from tests.steps import assert_follows_reference, full_scheme
from tflm_train.errors import DataError, SchemeError
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.scheme import Head, Loss, Scheme
from tflm_train.scheme.presets import preset_scheme

_CELLS = (4, 5)


@pytest.fixture(scope="module")
def segmenter() -> Model:
    return Model(loss_model("segmenter"), "segmenter.tflite")


def scenes(count: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Images with a bright or a dark spot of 2x2 pixels; which cell has which is the target."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.1, (count, 8, 10, 2)).astype(np.float32)
    y = np.zeros((count, *_CELLS), np.int64)
    for image, cells in zip(x, y, strict=True):
        kind, row, column = rng.integers(1, 3), rng.integers(4), rng.integers(5)
        image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 0.8 if kind == 1 else -0.8
        cells[row, column] = kind
    return x, y


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_public_detectors_train(number: int) -> None:
    path = requirements.shared() / "cases" / "zoo" / f"softmax_map_0{number}.tflite"
    model = tt.load(path)
    described = inspect_model(model)
    assert all(layer.trainable for layer in described.layers)
    assert described.losses["softmax_cross_entropy"] is None
    result = rewrite(model, preset_scheme("biases", model))
    interpreter = Interpreter(result.model_bytes)
    assert interpreter.require_trainable().label.shape == (1, 12, 12)
    x = np.random.default_rng(0).integers(-128, 128, model.graph.inputs[0].shape).astype(np.int8)
    target = np.zeros((12, 12), np.int64)
    target[3:5, 4:7] = 1
    losses = [interpreter.train_step(x, target, 0.02) for _ in range(12)]
    assert min(losses[6:]) < losses[0]


def test_steps_are_the_references(segmenter: Model) -> None:
    scheme = full_scheme(segmenter, loss=Loss(class_weights=(0.1, 1, 2)))
    assert_follows_reference(Model(rewrite(segmenter, scheme).model_bytes))


def test_targets(segmenter: Model) -> None:
    interpreter = Interpreter(rewrite(segmenter, full_scheme(segmenter)).model_bytes)
    x = np.zeros(segmenter.graph.inputs[0].shape, np.int8)
    cells = np.arange(20).reshape(_CELLS) % 3
    first = interpreter.train_step(x, cells, 1e-9)
    assert interpreter.train_step(x, cells.astype(np.float32), 1e-9) == first
    assert interpreter.train_step(x, np.zeros(_CELLS, np.int64), 1e-9) != first
    with pytest.raises(DataError, match=r"this model takes 20 class indices"):
        interpreter.train_step(x, 1, 1e-3)
    with pytest.raises(DataError, match=r"label 3 is out of range: the model has 3 classes"):
        interpreter.train_step(x, cells + 1, 1e-3)
    with pytest.raises(DataError, match=r"this model takes 20 class indices"):
        interpreter.train_step(x, cells + 0.5, 1e-3)
    with pytest.raises(SchemeError, match="2 weights for the 3 classes of"):
        rewrite(segmenter, Scheme(loss=Loss(class_weights=(1, 2))))


def test_a_detector_learns_and_is_scored_by_the_cell(
    run: Run,  # noqa: F811
    segmenter: Model,
    tmp_path: Path,
) -> None:
    x, y = scenes(160, 0)
    x_test, y_test = scenes(60, 1)
    data = tmp_path / "d.npz"
    names = np.array(["nothing", "bright", "dark"])
    np.savez(data, x_train=x, y_train=y, x_test=x_test, y_test=y_test, class_names=names)
    head = Head(reinitialise=True)
    scheme = full_scheme(segmenter, loss=Loss(class_weights=(0.1, 1, 1)), head=head)
    trainable, state = tmp_path / "t.tflite", tmp_path / "s.bin"
    trainable.write_bytes(rewrite(segmenter, scheme).model_bytes)
    before = run("evaluate", trainable, "--data", data, "--json").json
    trained = run(
        "train", trainable, "--data", data, "--lr", "1.0", "--epochs", "4", "--save-state", state
    )
    assert trained.status == 0, trained.err
    after = run("evaluate", trainable, "--data", data, "--load-state", state, "--json").json
    f1 = {row["class"]: row["f1"] for row in after["classes"]}
    assert min(f1["bright"], f1["dark"]) > 0.6 and f1["nothing"] > 0.95, f1
    assert max(row["f1"] for row in before["classes"][1:]) < 0.4
    assert sum(row["samples"] for row in after["classes"]) == 60 * 20
    right = sum(row["right"] for row in after["classes"])
    assert after["test_accuracy"] == pytest.approx(right / (60 * 20))
    plain = tmp_path / "m.tflite"
    plain.write_bytes(segmenter.source)
    assert run("evaluate", plain, "--data", data, "--json").json["classes"][0]["f1"] >= 0
    np.savez(data, x_train=x, y_train=y[:, 0, 0], x_test=x_test, y_test=y_test[:, 0, 0])
    refused = run("evaluate", plain, "--data", data)
    assert_refused(refused, "classifies 20 positions", "the index of the class for each of them")
