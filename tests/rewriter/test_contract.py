"""What firmware and viewers see of a rewritten model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_train as tt
from tests import raw_model
from tests.models import TRAINABLE
from tests.steps import full_scheme, weights_of
from tflm_train import ops
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Op
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Scheme, WeightUpdate

SAVES = (ops.ClampMask, ops.ChannelSave)
UPDATES = (ops.ConvUpdate, ops.DepthwiseUpdate, ops.BiasUpdate)


def params_of(op: Op) -> ops.Params | None:
    return ops.unpack(op.custom_options or b"") if op.name.startswith(ops.OP_PREFIX) else None


@pytest.fixture(params=[*TRAINABLE, "digits"])
def pair(request: pytest.FixtureRequest) -> tuple[Model, Model]:
    """A model and its rewrite with every layer trained."""
    name = request.param
    if name == "digits":
        model = request.getfixturevalue("digits")
    else:
        model = request.getfixturevalue("converted")(name)
    return model, Model(rewrite(model, full_scheme(model)).model_bytes)


def test_interface(pair: tuple[Model, Model]) -> None:
    model, new = pair
    old_inputs = [t.name for t in model.graph.inputs]
    old_outputs = [t.name for t in model.graph.outputs]
    assert [t.name for t in new.graph.inputs] == [
        *old_inputs, "train/label", "train/learning_rate",
    ]  # fmt: skip
    assert [t.name for t in new.graph.outputs] == [*old_outputs, "train/loss", "train/state"]
    label, rate = new.graph.inputs[-2:]
    loss, state = new.graph.outputs[-2:]
    described = [(t.type_name, t.shape, t.is_variable) for t in (label, rate, loss, state)]
    assert described == [
        ("INT32", (1,), False),
        ("FLOAT32", (1,), True),
        ("FLOAT32", (1,), False),
        ("INT32", (16,), False),  # Vela drops variables from the outputs.
    ]
    for t in (label, rate, loss, state):
        assert t.data is None


def test_int8_variables_have_a_zero_point(pair: tuple[Model, Model]) -> None:
    """TFLM before 26 January 2026 reads it unguarded in AllocateTensors()."""
    variables = [t for t in pair[1].graph.tensors if t.is_variable and t.type_name == "INT8"]
    assert variables
    for tensor in variables:
        assert tensor.quantization is not None, tensor.name
        assert tensor.quantization.zero_point[0] == 0
        raw = tensor.raw.quantization
        assert len(raw.scale) == len(raw.zeroPoint) >= 1


def test_the_original_s_tensors_and_operators_stay(pair: tuple[Model, Model]) -> None:
    model, new = pair
    for old, now in zip(model.graph.tensors, new.graph.tensors, strict=False):
        assert (now.name, now.shape, now.type_code) == (old.name, old.shape, old.type_code)
        if now.data is not None:
            np.testing.assert_array_equal(now.data, old.data)
        assert now.is_variable == (old.data is not None and now.data is None)
    forward = [op for op in new.graph.ops if params_of(op) is None]
    index = {id(t): i for m in pair for i, t in enumerate(m.graph.tensors)}

    def wiring(op: Op) -> list[object]:
        tensors = [None if t is None else index[id(t)] for t in [*op.inputs, *op.outputs]]
        return [op.name, tensors, raw_model.plain(op.options)]

    assert [wiring(op) for op in forward] == [wiring(op) for op in model.graph.ops]


def test_one_subgraph_in_executable_order(pair: tuple[Model, Model]) -> None:
    """Each tensor has one producer, which comes before all that read it."""
    _, new = pair
    raw = raw_model.read(new.source)
    assert len(raw.subgraphs) == 1
    emitted = new.graph.ops
    assert emitted[0].name == "TFLM_TRAIN_RESTORE"
    assert emitted[0].inputs[0] is new.graph.inputs[-1]
    known = {id(t) for t in new.graph.inputs}
    known |= {id(t) for t in new.graph.tensors if t.data is not None}
    for op in emitted:
        for t in op.inputs:
            assert t is None or id(t) in known, f"{op.name} reads {t.name!r} before it is written"
        for t in op.outputs:
            assert id(t) not in known, f"{op.name} writes {t.name!r}, which has a producer"
            known.add(id(t))
    assert emitted[-1].name == "TFLM_TRAIN_FINISH"
    assert [*emitted[-1].outputs, emitted[0].outputs[1]] == new.graph.outputs[-2:]


def test_updates_are_reached_through_tokens(pair: tuple[Model, Model]) -> None:
    _, new = pair
    updates = [op for op in new.graph.ops if isinstance(params_of(op), UPDATES)]
    assert len(updates) == len(list_layers(new.graph))
    tokens = new.graph.ops[-1].inputs[: len(updates)]
    assert tokens == [op.output for op in reversed(updates)]
    assert all(op.output.name.endswith("/done") and op.output.nbytes == 1 for op in updates)
    gradients = {
        id(params.inputs_of(op).weights): op.output
        for op in new.graph.ops
        if isinstance(params := params_of(op), ops.ConvInputGrad | ops.DepthwiseInputGrad)
    }
    for op in updates:
        params = params_of(op)
        if isinstance(params, ops.ConvUpdate | ops.DepthwiseUpdate):
            inputs = params.inputs_of(op)
            assert inputs.after is gradients.get(id(inputs.weights))


def test_the_last_op_keeps_all_variables(pair: tuple[Model, Model]) -> None:
    """To TFLM the memory of a variable that the model places is free from its last use on."""
    graph = pair[1].graph
    variables = [t for t in graph.tensors if t.is_variable]
    assert {id(t) for t in variables} <= {id(t) for t in graph.ops[-1].inputs}


def test_the_loss_waits_for_what_the_forward_pass_saves(pair: tuple[Model, Model]) -> None:
    emitted = pair[1].graph.ops
    loss = next(op for op in emitted if isinstance(params_of(op), ops.Loss))
    saves = [op for op in emitted[: emitted.index(loss)] if isinstance(params_of(op), SAVES)]
    assert loss.inputs[3:-2] == [op.output for op in reversed(saves)]


def test_our_ops_in_the_file_are_plain_to_other_tools(pair: tuple[Model, Model]) -> None:
    """Vela loses inputs that are left out, and takes an op with builtin options for that one."""
    model = pair[0]
    half = Scheme(weights=(WeightUpdate(1, 0.5),), residual_bits=0)
    for data in (pair[1].source, rewrite(model, half).model_bytes):
        raw = raw_model.read(data)
        ours = 0
        for op in raw.subgraphs[0].operators:
            name = raw.operatorCodes[op.opcodeIndex].customCode
            if name is not None and name.startswith(b"TFLM_TRAIN_"):
                ours += 1
                assert min(op.inputs) >= 0, name
                assert op.builtinOptionsType == 0 and op.builtinOptions is None, name
        assert ours > 3


def test_variables_have_no_buffer_and_are_restored(pair: tuple[Model, Model]) -> None:
    model, new = pair
    raw = raw_model.read(new.source)
    for tensor in raw.subgraphs[0].tensors:
        if tensor.isVariable:
            data = raw.buffers[tensor.buffer].data
            assert data is None or len(data) == 0, tensor.name
    restore = new.graph.ops[0]
    written = {id(t) for t in restore.outputs}
    learning_rate, state = id(new.graph.inputs[-1]), id(new.graph.outputs[-1])
    variables_of_file = {id(t) for t in new.graph.tensors if t.is_variable}
    assert written - {state} == variables_of_file - {learning_rate}
    old = {t.name: t.data for t in model.graph.tensors}
    variables = iter(restore.outputs[2:])
    factory = restore.inputs[1]
    assert factory is not None and factory.data is not None
    values = factory.data.tobytes()
    while values:
        variable = next(variables)
        original = old[variable.name]
        assert original is not None and original.any()
        assert values.startswith(original.tobytes())
        values = values[original.nbytes :]
    for variable in variables:
        original = old.get(variable.name)
        assert original is None or not original.any()


def test_names_group_the_sections(pair: tuple[Model, Model]) -> None:
    model, new = pair
    added = new.graph.tensors[len(model.graph.tensors) :]
    assert all(t.name.split("/")[0] in ("train", "grad", "update") for t in added)
    names = [t.name for t in added]
    assert len(set(names)) == len(names)


def test_buffers_are_aligned(pair: tuple[Model, Model]) -> None:
    assert raw_model.misaligned_buffers(pair[1].source) == []


def test_slots_are_used_once_and_all(pair: tuple[Model, Model]) -> None:
    _, new = pair
    slots = [getattr(p, "slot_out", None) for p in map(params_of, new.graph.ops)]
    slots += [p.slot for p in map(params_of, new.graph.ops) if isinstance(p, ops.Loss)]
    used = sorted(slot for slot in slots if slot is not None)
    sizes = {t.name: t.shape for t in new.graph.tensors}
    assert used == list(range(len(used)))
    assert sizes["train/scales"] == sizes["train/ranges"] == (len(used),)


def test_a_mask_is_saved_right_after_its_activation(converted: Callable[[str], Model]) -> None:
    scheme = Scheme(bias_layers=(0,), head=Head(train=False))
    new = Model(rewrite(converted("mobilenet"), scheme).model_bytes)
    emitted = new.graph.ops
    masks = [i for i, op in enumerate(emitted) if op.name == "TFLM_TRAIN_CLAMP_MASK"]
    assert len(masks) == 5, "one bit per element of each RELU6 output"
    for i in masks:
        activation = emitted[i].input
        assert activation in emitted[i - 1].outputs
        assert emitted[i].output.nbytes == -(-activation.size // 8)


def test_only_what_updates_need_is_computed(converted: Callable[[str], Model]) -> None:
    report = rewrite(converted("mobilenet"), Scheme()).report
    assert report.ops == {"RESTORE": 1, "LOSS": 1, "CONV_UPDATE": 1, "FINISH": 1}
    report = rewrite(converted("mobilenet"), Scheme(weights=weights_of(5))).report
    assert report.ops == {
        "RESTORE": 1, "CLAMP_MASK": 1, "LOSS": 1, "CONV_INPUT_GRAD": 1, "MOVE_GRAD": 1,
        "CONV_UPDATE": 2, "FINISH": 1,
    }  # fmt: skip


def test_the_same_rewrite_gives_the_same_bytes(digits: Model) -> None:
    scheme = Scheme(biases_last=3)
    source = digits.source
    first, second = (rewrite(digits, scheme) for _ in range(2))
    assert first == second
    assert digits.source == source and digits.to_bytes() == Model(source).to_bytes()


def test_fingerprints_tell_models_and_schemes_apart(
    digits: Model, converted: Callable[[str], Model]
) -> None:
    def fingerprint(model: Model, scheme: Scheme) -> int:
        return tt.Interpreter(rewrite(model, scheme).model_bytes).fingerprint

    found = [
        fingerprint(digits, Scheme()),
        fingerprint(digits, Scheme(seed=1)),
        fingerprint(digits, Scheme(biases_last=1)),
        fingerprint(converted("wide"), Scheme()),
    ]
    assert len(set(found)) == len(found) and 0 not in found


def test_a_rewritten_model_is_not_rewritten_again(pair: tuple[Model, Model]) -> None:
    with pytest.raises(UnsupportedError, match="holds training ops already; rewrite the original"):
        rewrite(pair[1], Scheme())
