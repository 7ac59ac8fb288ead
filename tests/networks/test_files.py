"""The files of the five networks are what their recipe makes, and know what they were taught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.networks import CONVOLUTIONAL, FOLDER, NETWORKS, load_network
from tests.networks.data import source
from tflm_train.model import Model
from tflm_train.runtime.model_data import model_inputs
from tflm_train.runtime.training import evaluate

MOST_BYTES = 100_000


def structure(model: Model) -> list[Any]:
    """Operators with the shapes of what they read and write."""
    return [
        (
            op.name,
            [None if t is None else (t.type_name, t.shape) for t in [*op.inputs, *op.outputs]],
        )
        for op in model.graph.ops
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_recipe_makes_this_architecture(name: str) -> None:
    """Not the weights: TensorFlow's versions train alike, but not to the same bit."""
    from tests.networks.recipe import BUILDERS, convert

    assert BUILDERS.keys() == NETWORKS.keys() == {path.stem for path in FOLDER.glob("*.tflite")}
    keras_model = BUILDERS[name]()
    rng = np.random.default_rng(0)
    for variable in keras_model.trainable_variables:
        # The converter leaves out a bias of zeros, and a signal that dies out has no scale.
        is_kernel = "kernel" in variable.path
        variable.assign(2 * variable if is_kernel else rng.normal(0, 0.5, variable.shape))
    untrained = Model(convert(name, keras_model), name)
    assert structure(untrained) == structure(load_network(name))
    assert len(load_network(name).source) < MOST_BYTES


@pytest.mark.interpreter
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_it_knows_the_digits_as_they_were(name: str) -> None:
    """Digits that it was not trained with; the same, changed, are those of the field."""
    interpreter, network = tt.Interpreter(load_network(name)), NETWORKS[name]
    usual, field = source(network.shape), network.dataset()
    accuracy = [
        evaluate(interpreter, model_inputs(interpreter, data.x_test[:200], "x"), data.y_test[:200])
        for data in (usual, field)
    ]
    assert accuracy[0] > 0.85
    assert accuracy[1] < 0.5
