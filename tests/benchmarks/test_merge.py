"""The model that TensorFlow is given is the one that the interpreter trains."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_train as tt
from benchmarks.gradients import merge
from tests.steps import random_inputs, train, weights_of
from tflm_train.model import Model
from tflm_train.scheme import Scheme, WeightUpdate


def test_merged_is_the_trained_model_without_training(digits: Model) -> None:
    whole = Model(tt.rewrite(digits, Scheme(biases_last=4, weights=weights_of(7))).model_bytes)
    interpreter = tt.Interpreter(whole)
    train(interpreter, 4)
    merged = tt.Interpreter(merge(whole, interpreter.variables()))
    original = tt.Interpreter(digits)
    assert not merged.is_trainable
    moved = False
    for x in random_inputs(digits.graph, 5):
        np.testing.assert_array_equal(merged.infer(x), interpreter.infer(x))
        moved |= not np.array_equal(merged.infer(x), original.infer(x))
    assert moved


def test_a_layer_trained_in_part_cannot_be_merged(digits: Model) -> None:
    scheme = Scheme(weights=(WeightUpdate(10, ratio=0.5),))
    whole = Model(tt.rewrite(digits, scheme).model_bytes)
    with pytest.raises(ValueError, match="is made by a training op"):
        merge(whole, tt.Interpreter(whole).variables())
