"""The numpy reference of whole steps, as a user of the package calls it."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import DIGITS, random_inputs
from tflm_train.errors import DataError, ModelError
from tflm_train.model import Model, load
from tflm_train.reference import Reference
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme, WeightUpdate


@pytest.fixture(scope="module")
def digits_train() -> Model:
    scheme = Scheme(weights=(WeightUpdate(-1),), biases_last=2)
    return Model(rewrite(load(DIGITS), scheme).model_bytes, "digits_train.tflite")


def test_it_follows_the_interpreter(digits_train: Model) -> None:
    reference, interpreter = Reference(digits_train), tt.Interpreter(digits_train)
    assert reference.state() == interpreter.state()
    for number, x in enumerate(random_inputs(digits_train.graph, 3)):
        assert reference.step(x, number, 0.1) == interpreter.train_step(x, number, 0.1)
        assert reference.step_count == number + 1
        assert reference.state() == interpreter.state()
    for name, value in interpreter.variables().items():
        np.testing.assert_array_equal(reference.variables[name], value, name)


def test_it_goes_on_from_other_values(digits_train: Model) -> None:
    trained, fresh = Reference(digits_train), Reference(digits_train)
    first, second = random_inputs(digits_train.graph, 2)
    trained.step(first, 3, 0.1)
    fresh.set_variables(trained.variables)
    fresh.step_count = trained.step_count
    assert fresh.step(second, 4, 0.1) == trained.step(second, 4, 0.1)
    assert fresh.state() == trained.state()


def test_a_target_out_of_range_counts_as_no_step(digits_train: Model) -> None:
    reference = Reference(digits_train)
    x = random_inputs(digits_train.graph, 1)[0]
    before = reference.state()
    with pytest.raises(DataError):
        reference.step(x, 10, 0.1)
    assert reference.state() == before


def test_a_model_that_does_not_train_is_refused() -> None:
    with pytest.raises(ModelError, match="no training ops"):
        Reference(load(DIGITS))
