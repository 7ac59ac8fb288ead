"""Prepare refuses what the declarations forbid, and Python's twin of its tables agrees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.ops.op_samples import SAMPLES, changed, model_of, sample, with_word
from tflm_train import ops
from tflm_train.graph import Op, Tensor
from tflm_train.ops.checks import why_not
from tflm_train.ops.expression import LARGEST
from tflm_train.ops.fields import words_of
from tflm_train.ops.tensors import Slot, must_be_constant, must_be_variable, slots_of
from tflm_train.runtime.host_library import (
    REGISTERER,
    captured_stderr,
    host_library,
    last_error,
    tflm_runtime,
)

pytestmark = pytest.mark.interpreter
NAMES = [f"{i}_{params.OP}" for i, params in enumerate(SAMPLES)]
each_sample = pytest.mark.parametrize("params", SAMPLES, ids=NAMES)


def refusal(op: Op) -> str | None:
    """What Prepare logs of an op; None where it takes it."""
    host_library()
    data = model_of(op).to_bytes()
    with captured_stderr():
        try:
            tflm_runtime().Interpreter.from_bytes(
                data, custom_op_registerers=[REGISTERER], arena_size=200_000
            )
        except RuntimeError:
            return last_error()
    return None


def test_every_op_has_a_sample() -> None:
    assert {type(params) for params in SAMPLES} == set(ops.ALL)


@each_sample
def test_what_the_declaration_asks_for_is_taken(params: ops.Params) -> None:
    op = sample(params)
    assert why_not(op, params) is None
    assert refusal(op) is None


@each_sample
def test_numbers_out_of_their_limits_are_refused(params: ops.Params) -> None:
    """Each field set to values that no limit allows: both sides say the same."""
    refused = 0
    for index, word in enumerate(words_of(type(params))):
        if word.code == "f":
            continue
        for value in (-LARGEST, -3, LARGEST):
            op = sample(params)
            op.custom_options = with_word(params, index, value)
            reason = why_not(op, ops.unpack(op.custom_options))
            message = refusal(op)
            if reason is not None:
                assert message is not None, f"{word.path} = {value}: {reason}"
                refused += 1
            elif message is not None:
                # Only what is left to the op itself.
                assert (
                    isinstance(params, ops.ProductGrad | ops.MoveGrad | ops.Stream | ops.ResizeGrad)
                    or "mark" in message
                ), message
    assert refused > 0


def places(params: ops.Params, op: Op) -> list[tuple[int, Slot]]:
    """The inputs that are there, with their slots."""
    slots = slots_of(params.INPUTS)
    runs = [i for i, slot in enumerate(slots) if slot.is_run]
    found = []
    for index, tensor in enumerate(op.inputs):
        place = index
        if runs and index >= runs[0]:
            place = max(runs[0], index - (len(op.inputs) - len(slots)))
        if tensor is not None and slots[place].spec.size:
            found.append((index, slots[place]))
    return found


def expect(op: Op, params: ops.Params, index: int, slot: Slot, words: str) -> None:
    """Both sides name the tensor and what is wrong with it."""
    name = f"input {index} ({slot.label}) "
    reason, message = why_not(op, params), refusal(op)
    assert reason is not None and reason.startswith(name), reason
    assert message is not None and message.startswith(params.custom_name), message
    assert name in message and words in message, message


@each_sample
def test_other_types_and_sizes_are_refused(params: ops.Params) -> None:
    op = sample(params)
    for index, slot in places(params, op):
        tensor = op.inputs[index]
        assert tensor is not None
        inputs = list(op.inputs)
        inputs[index] = Tensor.make("other", np.float64, tensor.shape, is_variable=True)
        expect(changed(op, inputs), params, index, slot, "is another type, expected ")
        if slot.spec.at_least:
            continue
        shape = (tensor.size + 1,)
        data = None if tensor.data is None else np.zeros(shape, tensor.dtype)
        inputs[index] = dataclasses.replace(tensor, shape=shape, data=data)
        expect(changed(op, inputs), params, index, slot, f"has {shape[0]} elements, the parameters")


@each_sample
def test_too_few_tensors_are_refused(params: ops.Params) -> None:
    op = sample(params)
    if not any(slot.is_run and not slot.spec.present for slot in slots_of(params.INPUTS)):
        less = changed(op, op.inputs[:-1])
        assert refusal(less) is not None and why_not(less, params) is not None
    for index, slot in places(params, op):
        if slot.spec.present != "1":
            continue
        inputs = list(op.inputs)
        inputs[index] = None
        expect(changed(op, inputs), params, index, slot, "is missing")


@each_sample
def test_constants_and_variables_are_told_apart(params: ops.Params) -> None:
    op = sample(params)
    for index, slot in places(params, op):
        tensor = op.inputs[index]
        assert tensor is not None
        inputs = list(op.inputs)
        if must_be_variable(slot.spec):
            data = np.zeros(tensor.shape, tensor.dtype)
            inputs[index] = dataclasses.replace(tensor, data=data, is_variable=False)
            words = "is a constant, it must be a variable"
        elif must_be_constant(slot.spec):
            inputs[index] = dataclasses.replace(tensor, data=None, is_variable=True)
            words = "must be a constant"
        else:
            continue
        expect(changed(op, inputs), params, index, slot, words)
        if slot.spec.high and tensor.data is not None:
            low = -31 if slot.name == "shifts" else 0
            data = tensor.data.copy()
            data[0] = low - 1
            inputs[index] = dataclasses.replace(tensor, data=data)
            words = f"lists {low - 1}, must be {low} to "
            expect(changed(op, inputs), params, index, slot, words)


def test_a_slot_beyond_the_scales_is_refused() -> None:
    params = ops.PoolGrad(SAMPLES[8].geometry, ops.MaskFields(), 0, 9, 1, 4)  # type: ignore[attr-defined]
    op = sample(params)
    scales = op.inputs[2]
    assert scales is not None and scales.size == 10
    inputs = list(op.inputs)
    inputs[2] = dataclasses.replace(scales, shape=(9,))
    slot = slots_of(params.INPUTS)[2]
    expect(changed(op, inputs), params, 2, slot, "has 9 elements, the parameters need 10")


def test_a_mark_beyond_the_state_is_refused() -> None:
    message = refusal(sample(ops.ClampMask(77, -128, 100, 32)))
    assert message is not None and "mark is 32, must be -1 to 31" in message
