"""Prepare refuses what the declarations forbid, and Python's twin of its tables agrees."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable

import numpy as np
import pytest

from tests.ops.op_samples import SAMPLES, changed, model_of, sample, with_word
from tflm_train import ops
from tflm_train.graph import Op, Tensor
from tflm_train.ops.checks import NOT_ASCENDING, why_not
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


def with_constant(params: ops.Params, name: str, change: Callable[[np.ndarray], None]) -> Op:
    """A sample whose constant of a name is changed."""
    op = sample(params)
    index = [slot.name for slot in slots_of(params.INPUTS)].index(name)
    tensor = op.inputs[index]
    assert tensor is not None and tensor.data is not None
    data = tensor.data.copy()
    change(data)
    inputs = list(op.inputs)
    inputs[index] = dataclasses.replace(tensor, data=data)
    return changed(op, inputs)


def reverse(listed: np.ndarray) -> None:
    listed[:] = listed[::-1].copy()


def repeat(listed: np.ndarray) -> None:
    listed[1] = listed[0]


@pytest.mark.parametrize("change", [reverse, repeat])
@pytest.mark.parametrize(
    "params", [p for p in SAMPLES if any(s.spec.ascending for s in slots_of(p.INPUTS))],
    ids=lambda params: params.OP,
)  # fmt: skip
def test_lists_that_do_not_ascend_are_refused(
    params: ops.Params, change: Callable[[np.ndarray], None]
) -> None:
    slot = next(slot for slot in slots_of(params.INPUTS) if slot.spec.ascending)
    if getattr(params, "kept", 1) == 0:
        return  # it has no list
    op = with_constant(params, slot.name, change)
    reason, message = why_not(op, params), refusal(op)
    assert reason is not None and NOT_ASCENDING in reason
    assert message is not None and NOT_ASCENDING in message


def test_channels_in_both_parts_of_a_layer_are_refused() -> None:
    """The rest and the columns of a convolution, each ascending, share a channel."""
    params = ops.SplitConv(SAMPLES[16].geometry, SAMPLES[16].output, 2)  # type: ignore[attr-defined]

    def overlap(order: np.ndarray) -> None:
        order[:] = [0, 1, 1, 3]

    op = with_constant(params, "channels", overlap)
    message = refusal(op)
    assert why_not(op, params) is not None
    assert message is not None and NOT_ASCENDING in message


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), -1.0, 1e38])
@each_sample
def test_scales_that_are_none_are_refused(params: ops.Params, value: float) -> None:
    for index, word in enumerate(words_of(type(params))):
        if word.code != "f":
            continue
        bits = struct.unpack("<i", struct.pack("<f", value))[0]
        op = sample(params)
        op.custom_options = with_word(params, index, bits)
        reason = why_not(op, ops.unpack(op.custom_options))
        assert (refusal(op) is None) == (reason is None), word.path
        if value != 1e38:
            assert reason is not None, word.path


def test_bounds_that_overflow_are_refused() -> None:
    """Reaches whose sum is beyond 64 bits."""
    (move,) = (p for p in SAMPLES if isinstance(p, ops.MoveGrad))
    far = ops.MoveAxis(1, 0, 1, 1 << 30, LARGEST)
    message = refusal(sample(dataclasses.replace(move, axis=(far,) * 5)))
    assert message is not None and "an axis leaves the gradient" in message
    product = next(p for p in SAMPLES if isinstance(p, ops.ProductGrad))
    wide = ops.ProductAxis(1 << 30, 0, LARGEST)
    message = refusal(sample(dataclasses.replace(product, reduced=(wide,) * 3)))
    assert message is not None and "an axis leaves x" in message


def test_factory_values_end_with_a_variable() -> None:
    op = sample(ops.Restore(1, 2, 3, 2))
    assert [t.size for t in op.outputs[2:]] == [4, 4]
    for size, is_taken in ((4, True), (8, True), (3, False), (7, False), (9, False)):
        values = Tensor.constant("factory", np.zeros(size, np.int8))
        message = refusal(changed(op, [op.inputs[0], values]))
        assert (message is None) == is_taken
        assert message is None or "do not end with a variable" in message


@each_sample
def test_an_output_that_is_an_input_is_refused(params: ops.Params) -> None:
    op = sample(params)
    for index, tensor in enumerate(op.inputs):
        if tensor is None or tensor.data is not None or tensor.is_variable:
            continue
        made = op.outputs[-1]
        if (tensor.type_name, tensor.size) != (made.type_name, made.size):
            continue
        inputs = list(op.inputs)
        inputs[index] = made
        message = refusal(changed(op, inputs))
        assert message is not None and "an output is one of the inputs" in message


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
