"""Saved states: power loss, damage, layout; all against the interpreter's own blobs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import RATE, full_scheme, random_inputs, train
from tflm_train.errors import DataError, ModelError
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel, VariableKind

Converted = Callable[[str], Model]
STEPS = 12


def rewritten(model: Model, **changes: object) -> Model:
    return Model(rewrite(model, full_scheme(model, **changes)).model_bytes)


def steps(interpreter: tt.Interpreter, first: int, last: int) -> list[float]:
    """Steps `first` to `last - 1` of one fixed sequence of samples, labels and rates."""
    samples = random_inputs(interpreter.model.graph, STEPS, seed=8)
    return [
        interpreter.train_step(samples[i], i % interpreter.classes, RATE / (1 + i))
        for i in range(first, last)
    ]


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [0, 4, 8])
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_power_loss_changes_nothing(digits: Model, residual_bits: int, cut: int) -> None:
    """Save, new interpreter, load, continue: the bits of uninterrupted training."""
    model = rewritten(digits, residual_bits=residual_bits)
    whole = tt.Interpreter(model)
    losses = steps(whole, 0, STEPS)
    first = tt.Interpreter(model)
    early = steps(first, 0, cut)
    blob = first.state()
    del first
    second = tt.Interpreter(model)
    second.load_state(blob)
    assert second.state() == blob
    assert early + steps(second, cut, STEPS) == losses
    assert second.state() == whole.state()
    assert second.step == STEPS


def test_power_loss_with_layers_trained_in_part(converted: Converted) -> None:
    scheme = Scheme(weights=(WeightUpdate(0, 0.5), WeightUpdate(2, 0.5)), residual_bits=4)
    model = Model(rewrite(converted("mobilenet"), scheme).model_bytes)
    whole = tt.Interpreter(model)
    steps(whole, 0, 6)
    first, second = tt.Interpreter(model), tt.Interpreter(model)
    steps(first, 0, 3)
    second.load_state(first.state())
    steps(second, 3, 6)
    assert second.state() == whole.state()


@pytest.mark.interpreter
def test_parse_and_pack(digits: Model) -> None:
    model = rewritten(digits)
    interpreter = tt.Interpreter(model)
    layout = StateLayout(TrainableModel.read(model))
    assert layout.factory_state().pack() == interpreter.state()
    train(interpreter, 3)
    data = interpreter.state()
    blob = StateBlob.parse(data)
    assert (blob.step, blob.fingerprint) == (3, interpreter.fingerprint)
    assert blob.pack() == data
    values = layout.values(blob)
    for (name, expected), variable, value in zip(
        interpreter.variables().items(), layout.model.variables, values, strict=True
    ):
        assert variable.key == variable.tensor.name == name
        np.testing.assert_array_equal(value, expected)
    assert layout.pack(values, blob.step, blob.seed) == blob


def test_every_damage_is_found(digits: Model) -> None:
    blob = StateBlob(fingerprint=1 << 40, step=9, seed=3, payload=bytes(range(40))).pack()
    assert StateBlob.parse(blob).payload == bytes(range(40))
    for position in range(len(blob)):
        damaged = bytearray(blob)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(DataError):
            StateBlob.parse(bytes(damaged))
    for size in range(len(blob)):
        with pytest.raises(DataError):
            StateBlob.parse(blob[:size])
    with pytest.raises(DataError, match="cut off or damaged"):
        StateBlob.parse(blob + b"\0")
    with pytest.raises(ModelError, match="holds no training ops"):
        TrainableModel.read(digits)


@pytest.mark.interpreter
def test_the_interpreter_refuses_what_the_parser_refuses(digits: Model) -> None:
    """The C++ reader's answers, bit by bit of the header, on live weights that stay as they are."""
    interpreter = tt.Interpreter(rewritten(digits))
    train(interpreter, 1)
    live = interpreter.state()
    train(interpreter, 1)
    kept = interpreter.state()
    for position in (*range(32), 33, len(live) - 1):
        damaged = bytearray(live)
        damaged[position] ^= 0x10
        with pytest.raises(DataError):
            interpreter.load_state(bytes(damaged))
        assert interpreter.state() == kept
    interpreter.load_state(live)
    assert interpreter.state() == live


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [0, 4, 8])
def test_a_state_with_weights_that_no_step_reaches(digits: Model, residual_bits: int) -> None:
    """They would make cores part; of what lies below the weights each byte is a value."""
    interpreter = tt.Interpreter(rewritten(digits, residual_bits=residual_bits))
    train(interpreter, 1)
    kept = interpreter.state()
    blob, layout = StateBlob.parse(kept), StateLayout(interpreter.require_trainable())
    at = 0
    for variable in layout.model.variables:
        payload = bytearray(blob.payload)
        payload[at] = 0x80
        changed = StateBlob(blob.fingerprint, blob.step, blob.seed, bytes(payload))
        at += variable.tensor.nbytes
        if variable.kind is VariableKind.WEIGHTS:
            with pytest.raises(DataError, match="weights of -128"):
                layout.values(changed)
            with pytest.raises(DataError, match="weights of -128"):
                interpreter.load_state(changed.pack())
            assert interpreter.state() == kept
        elif variable.kind is VariableKind.RESIDUAL:
            interpreter.load_state(changed.pack())
            assert interpreter.state() == changed.pack()
            train(interpreter, 1)
            interpreter.load_state(kept)
