"""Rewrites with STREAMs learn exactly what rewrites without them learn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests.memory.test_memory_report import assert_predicted
from tests.steps import full_scheme, weights_of
from tflm_train import ops
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.library import find_scheme
from tflm_train.trained.merge import merge

STEPS = 3
STREAM = ops.OP_PREFIX + ops.Stream.OP


# The paper's totals for sparse updates at 128x128.
ARENAS = {
    ("mbv2-w0.35-49kb", 8): 128 << 10,
    ("mcunet-5fps-49kb", 8): 128 << 10,
    ("proxyless-w0.3-49kb", 8): 128 << 10,
    ("mbv2-w0.35-99kb", 0): 141 << 10,
    ("mcunet-5fps-99kb", 0): 173 << 10,
    ("proxyless-w0.3-98kb", 0): 135 << 10,
    ("proxyless-w0.3-98kb", 8): 256 << 10,
}


def assert_learns_the_same(model: Model, plain: bytes, streamed: bytes) -> None:
    first, second = tt.Interpreter(plain), tt.Interpreter(streamed)
    x = model.graph.inputs[0]
    rng = np.random.default_rng(3)
    for step in range(STEPS):
        value = rng.integers(-128, 128, x.shape).astype(np.int8)
        label = step % first.classes
        np.testing.assert_array_equal(first.infer(value), second.infer(value))
        losses = [i.train_step(value, label, 0.01) for i in (first, second)]
        assert losses[0] == losses[1]
    ours, theirs = first.variables(), second.variables()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    # The same scheme of the same model: a state moves from one to the other.
    second.load_state(first.state())
    value = rng.integers(-128, 128, x.shape).astype(np.int8)
    merged = tt.Interpreter(merge(streamed, first.state()))
    np.testing.assert_array_equal(first.infer(value), merged.infer(value))


@pytest.mark.parametrize("forward", list(Forward))
@pytest.mark.parametrize("stream", list(Streaming))
@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(biases_last=1),
        Scheme(weights=(WeightUpdate(2, ratio=0.5),)),
        Scheme(weights=weights_of(3), residual_bits=0),
        None,
    ],
    ids=["bias", "half_a_layer", "one_layer", "full"],
)
@pytest.mark.parametrize("name", ["mobilenet", "resnet"])
def test_training_is_the_same(
    converted: Callable[[str], Model],
    name: str,
    scheme: Scheme | None,
    stream: Streaming,
    forward: Forward,
) -> None:
    model = converted(name)
    chosen = full_scheme(model) if scheme is None else scheme
    plain = rewrite(model, chosen)
    result = rewrite(model, chosen, stream=stream, forward=forward)
    names = [op.name for op in Model(result.model_bytes).graph.ops]
    if stream is Streaming.OFF and forward is Forward.BUILTIN:
        assert result.model_bytes == plain.model_bytes
        return
    assert result.memory.total_bytes <= plain.memory.total_bytes
    if forward is Forward.FLASH:
        assert "CONV_2D" not in names and "DEPTHWISE_CONV_2D" not in names
        assert STREAM in names
    if stream is Streaming.AUTO and forward is Forward.AUTO and scheme == Scheme(biases_last=1):
        # The mask's bits come out of the pass that computes the activation.
        assert "TFLM_TRAIN_CLAMP_MASK" not in names
    assert_learns_the_same(model, plain.model_bytes, result.model_bytes)
    assert_predicted(Model(result.model_bytes))


@pytest.mark.interpreter
@pytest.mark.parametrize(("name", "residual_bits"), ARENAS)
def test_ready_schemes(shared: Path, name: str, residual_bits: int) -> None:
    network = name.rsplit("-", 1)[0]
    model = tt.load(shared / "models" / f"{network}.nopad.tflite")
    scheme = dataclasses.replace(find_scheme(name), residual_bits=residual_bits)
    plain = rewrite(model, scheme)
    result = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)
    assert result.memory.total_bytes <= ARENAS[name, residual_bits]
    masks = [made.report.ops.get("CLAMP_MASK", 0) for made in (plain, result)]
    assert masks[1] <= masks[0] / 2
    assert_learns_the_same(model, plain.model_bytes, result.model_bytes)
    assert_predicted(Model(result.model_bytes))
