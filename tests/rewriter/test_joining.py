"""Gradients of branches meet at no more cost than they must."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_train as tt
from tests.stacks import Stack
from tests.steps import assert_follows_reference, train, weights_of
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme

LINEAR, RELU = 0, 1


def forked(*branches: str, activation: int = LINEAR) -> Model:
    """One layer whose output goes through the branches, which ADDs join."""
    stack = Stack.start(6, 5, 3, 61)
    stack.conv(4, 3, 1, True, activation)
    fork = stack.top
    ends = []
    for branch in branches:
        stack.top = fork
        if branch == "conv":
            stack.conv(4, 3, 1, True, LINEAR)
        else:
            stack.max_pool(3, 1)
        ends.append(stack.top)
    for end in ends[:-1]:
        stack.add(end, LINEAR)
    stack.conv(3, 5, 2, False, LINEAR)
    return stack.finish(trainable=True)


@pytest.mark.parametrize(
    ("branches", "accumulates"),
    [
        # The convolution's gradient takes the other one along, whichever is found first.
        (("conv", "pool"), 0),
        (("pool", "conv"), 0),
        (("conv", "conv"), 0),
        (("pool", "pool"), 1),
    ],
)
def test_a_producer_that_takes_the_others_along_comes_last(
    branches: tuple[str, ...], accumulates: int
) -> None:
    result = rewrite(forked(*branches), Scheme(weights=weights_of(0)))
    assert result.report.ops.get("ACCUMULATE", 0) == accumulates
    assert_follows_reference(Model(result.model_bytes))


@pytest.mark.parametrize(("branches", "accumulates"), [(4, 1), (5, 2), (7, 2), (8, 3)])
def test_up_to_four_gradients_meet_in_one_operator(branches: int, accumulates: int) -> None:
    """The last one masks as well, as it would not if it had done four before."""
    model = forked(*["pool"] * branches, activation=RELU)
    result = rewrite(model, Scheme(weights=weights_of(0)))
    assert result.report.ops.get("ACCUMULATE", 0) == accumulates
    assert_follows_reference(Model(result.model_bytes))


def test_each_bias_trains_where_layers_share_a_gradient() -> None:
    """One of them goes along with the input gradient, which has room for no other."""
    model = forked(*["conv"] * 4)
    scheme = Scheme(weights=weights_of(0), biases_last=5)
    # Biases join input gradients in streamed models only.
    result = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)
    assert 0 < result.report.ops["BIAS_UPDATE"] < 4
    interpreter = tt.Interpreter(result.model_bytes)
    before = interpreter.variables()
    train(interpreter, 3)
    after = interpreter.variables()
    biases = [name for name in before if name.startswith("bias_")]
    assert len(biases) == sum(layer.bias is not None for layer in list_layers(model.graph)) >= 4
    assert all(np.any(before[name] != after[name]) for name in biases)
