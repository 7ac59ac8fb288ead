"""The int8 gradients of a training step are TensorFlow's float gradients, to the project's target.

`python -m benchmarks.gradients` shows the same as tables, on more images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gradients import (
    CASES,
    LEAST_COSINE,
    LEAST_MEDIAN_COSINE,
    NORM_TOLERANCE,
    STILL,
    Case,
    measure,
)
from benchmarks.tasks import Task, every_layer
from tests.networks import FOLDER, NETWORKS
from tflm_train.model.layers import list_layers

BY_NAME = {case.task.name: case for case in CASES}


def assert_target(case: Case, images: int, gradients: int) -> None:
    report = measure(case, images)
    assert report["images"] == images
    assert report["images_without_gradient"] < images / 2
    assert len(report["rows"]) == gradients
    assert report["loss_error"] < 1e-4
    assert report["least_cosine"] >= LEAST_COSINE
    assert report["median_cosine"] >= LEAST_MEDIAN_COSINE
    low, high = report["norm_ratios"]
    assert 1 - NORM_TOLERANCE <= low <= high <= 1 + NORM_TOLERANCE
    assert report["passes"]


def test_every_layer_of_the_demonstration() -> None:
    case = BY_NAME["digits"]
    layers = len(list_layers(case.task.model().graph))
    assert_target(case, images=20, gradients=2 * layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_network(name: str, tmp_path: Path) -> None:
    network, path = NETWORKS[name], tmp_path / "field.npz"
    data = network.dataset()
    np.savez(
        path, x_train=data.x_train, y_train=data.y_train, x_test=data.x_test, y_test=data.y_test
    )
    task = Task(name, FOLDER / f"{name}.tflite", path, network.scheme, network.rate, epochs=1)
    layers = len(list_layers(task.model().graph))
    assert_target(Case(every_layer(task), 20, STILL), images=20, gradients=2 * layers)


def test_every_layer_of_a_residual_network(shared: Path) -> None:
    assert_target(BY_NAME["resnet"], images=6, gradients=2 * 10)


def test_the_sparse_update_of_mcunet(shared: Path) -> None:
    # 23 biases (22 and the head's) and 7 weights (6 and the head's).
    assert_target(BY_NAME["mcunet"], images=6, gradients=30)
