"""Training steps for tests: schemes, inputs, and the comparison with the numpy reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tflm_train as tt
from tflm_train import demo
from tflm_train.model import Graph, Model
from tflm_train.model.layers import list_layers
from tflm_train.model.prepared import prepared
from tflm_train.ops.constants import LossKind, TargetKind
from tflm_train.reference import Reference
from tflm_train.scheme import Scheme, WeightUpdate

DIGITS = Path(demo.__file__).with_name("digits.tflite")
RATE = 0.5
"""Large enough that every trained layer of the small models moves in a few steps."""


def random_inputs(graph: Graph, count: int, seed: int = 0) -> list[npt.NDArray[np.int8]]:
    """Random int8 samples for a graph's first input, from uniform noise to nearly flat."""
    rng = np.random.default_rng(seed)
    shape = (count, *graph.inputs[0].shape)
    samples = rng.integers(-128, 128, shape)
    # Some models answer all noise alike: every second sample is noise about some level.
    for i in range(1, count, 2):
        samples[i] = (rng.integers(-128, 128) + samples[i] // 4).clip(-128, 127)
    return list(samples.astype(np.int8))


def weights_of(*layers: int | str) -> tuple[WeightUpdate, ...]:
    return tuple(WeightUpdate(layer) for layer in layers)


def full_scheme(model: Model, **changes: Any) -> Scheme:
    """Trains the weights of every layer."""
    layers = range(len(list_layers(prepared(model).graph)))
    return Scheme(**{"weights": weights_of(*layers), **changes})


def train(
    interpreter: tt.Interpreter, steps: int, seed: int = 0, rate: float = RATE
) -> list[float]:
    """Random steps; returns their losses."""
    rng = np.random.default_rng([seed, 1])
    samples = random_inputs(interpreter.model.graph, steps, seed)
    return [interpreter.train_step(x, random_target(interpreter, rng), rate) for x in samples]


def assert_same_inference(original: Model, rewritten: Model, count: int = 20) -> None:
    """Bit-identical outputs from the factory, and after training and a reset."""
    plain, trainable = tt.Interpreter(original), tt.Interpreter(rewritten)
    samples = random_inputs(original.graph, count)
    expected = [plain.infer(x) for x in samples]
    assert len({y.tobytes() for y in expected}) > 1, "the inputs do not reach the outputs"

    def check(when: str) -> None:
        for i, (x, y) in enumerate(zip(samples, expected, strict=True)):
            np.testing.assert_array_equal(trainable.infer(x), y, f"input {i}, {when}")

    check("factory state")
    factory = trainable.state()
    train(trainable, 2)
    assert trainable.state() != factory
    trainable.reset()
    check("after training and reset")
    assert trainable.state() == factory


def random_target(interpreter: tt.Interpreter, rng: np.random.Generator) -> Any:
    """A target of the form that the model's loss takes."""
    loss = interpreter.require_trainable().loss
    if loss.target_kind == TargetKind.INDEX:
        labels = rng.integers(0, loss.classes, loss.positions)
        return int(labels[0]) if loss.positions == 1 else labels
    if loss.target_kind == TargetKind.INPUT:
        return None
    if loss.loss_kind == LossKind.SOFTMAX_CROSS_ENTROPY:
        return rng.dirichlet(np.ones(loss.classes), loss.positions).astype(np.float32)
    if loss.loss_kind == LossKind.SIGMOID_CROSS_ENTROPY:
        return rng.integers(0, 2, loss.classes).astype(np.float32)
    steps = rng.uniform(-128, 128, loss.classes)
    return ((steps - loss.zero_point) * loss.scale).astype(np.float32)


def assert_follows_reference(rewritten: Model, steps: int = 3, rate: float = RATE) -> None:
    """Loss and every variable equal the numpy reference's after each step, bit for bit."""
    interpreter = tt.Interpreter(rewritten)
    reference = Reference(rewritten)
    factory = reference.state()
    rng = np.random.default_rng(3)
    for number, x in enumerate(random_inputs(rewritten.graph, steps, seed=3), start=1):
        label = random_target(interpreter, rng)
        loss = interpreter.train_step(x, label, rate)
        expected = reference.step(x, label, rate)
        assert loss == expected, f"loss of step {number}"
        assert_same_variables(interpreter.variables(), reference.variables, f"step {number}")
        assert interpreter.state() == reference.state()
    assert reference.state() != factory


def assert_same_variables(
    got: dict[str, npt.NDArray[Any]],
    expected: dict[str, npt.NDArray[Any]],
    where: str,
    names: Sequence[str] | None = None,
) -> None:
    if names is None:
        assert list(got) == list(expected)
    for name in got if names is None else names:
        np.testing.assert_array_equal(
            got[name].reshape(-1), expected[name].reshape(-1), f"{where}: {name}"
        )
