"""The declarations of the training ops: packing, named tensors, what names mean."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

from tests.steps import DIGITS, full_scheme
from tflm_train import ops
from tflm_train.graph import Op, Tensor
from tflm_train.model import Model, load
from tflm_train.ops.declaration import HEADER, TrainingOp, scope_of
from tflm_train.ops.fields import Number, Struct, names_of, words_of
from tflm_train.ops.tensors import Role, Spec, Tensors, slots_of
from tflm_train.rewriter import rewrite


def samples() -> list[tuple[Op, ops.Params]]:
    """Every training op of a fully trained model."""
    model = load(DIGITS)
    new = Model(rewrite(model, full_scheme(model)).model_bytes)
    return [(op, ops.unpack(op.custom_options or b"")) for op in new.graph.ops if op.is_custom]


def test_packing_survives_a_round_trip() -> None:
    for op, params in samples():
        data = params.pack()
        assert data == op.custom_options
        assert ops.unpack(data, op.name) == params
        assert HEADER.unpack_from(data) == (params.KIND, ops.VERSION, len(data))


def test_fields_lie_in_their_order() -> None:
    params = ops.Loss(10, -3, 0.5, 7, keep=0.9)
    values = struct.unpack_from("<iifiiifffi", params.pack(), HEADER.size)
    assert values == pytest.approx((10, -3, 0.5, 7, 0, 0, 0.9, 0.0, 1.0, 0))
    names = names_of(ops.Loss)
    assert [names[n] for n in ("classes", "scale", "keep", "target_zero_point")] == [0, 2, 6, 9]


def test_kinds_and_names_are_unique() -> None:
    assert len({cls.KIND for cls in ops.ALL}) == len({cls.OP for cls in ops.ALL}) == len(ops.ALL)
    assert list(ops.ALL) == sorted(ops.ALL, key=lambda cls: cls.KIND)


@pytest.mark.parametrize("cls", ops.ALL, ids=lambda cls: cls.OP)
def test_every_expression_of_a_declaration_is_understood(cls: type[ops.Params]) -> None:
    scope = scope_of(cls)
    specs = [slot.spec for slot in slots_of(cls.INPUTS) + slots_of(cls.OUTPUTS)]
    texts = [t for s in specs for t in (s.type, s.size, s.present, s.low, s.high, s.ascending)]
    texts += [t for r in cls.RULES for t in (r.value, r.low, r.high)]
    for text in filter(None, texts):
        assert scope.compile(text)
    assert not set(cls.TERMS) & set(scope.words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes hold no header"),
        (b"\x01\x00\x01\x00\x18", "5 bytes hold no header"),
        (struct.pack("<HHI", 99, 1, 8), "unknown training op kind 99, version 1"),
        (struct.pack("<HHI4I", 2, 999, 24, 0, 0, 0, 0), "training op kind 2, version 999"),
        (struct.pack("<HHI4I", 11, ops.VERSION, 20, 0, 0, 0, 0), "BIAS_UPDATE: 24 bytes"),
        (
            struct.pack("<HHI2I", 11, ops.VERSION, 16, 0, 0),
            f"BIAS_UPDATE: 8 bytes, expected {4 * len(words_of(ops.BiasUpdate))}",
        ),
    ],
)
def test_damaged_options_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ops.unpack(data)


def test_another_ops_options_are_refused() -> None:
    data = ops.BiasUpdate(1, 2, 3).pack()
    with pytest.raises(ValueError, match="are those of TFLM_TRAIN_BIAS_UPDATE"):
        ops.unpack(data, "TFLM_TRAIN_LOSS")


def test_a_repeated_part_is_read_as_often_as_it_is_there() -> None:
    stage = ops.StageFields(
        0, ops.Geometry(*range(1, 15)), ops.OutputFields(1, 2, 3, 4), 1, -1, -1, 5
    )
    for count in (1, 3):
        params = ops.Stream((stage,) * count)
        assert ops.unpack(params.pack()) == params
    with pytest.raises(ValueError, match="STREAM: "):
        ops.unpack(HEADER.pack(50, ops.VERSION, 16) + bytes(8))


@dataclass(frozen=True, kw_only=True)
class SampleInputs(Tensors):
    x: Annotated[Tensor, Spec(Role.ACTIVATION, "INT8", "size")]
    mask: Annotated[Tensor | None, Spec(Role.MASK, "UINT8", "size", present="FREE")]
    parts: Annotated[tuple[Tensor, ...], Spec(Role.GRADIENT, "INT8", "size")]
    state: Annotated[Tensor, Spec(Role.STATE, "INT32", "16")]


@dataclass(frozen=True, kw_only=True)
class SampleOutputs(Tensors):
    y: Annotated[Tensor, Spec(Role.RESULT, "INT8", "size")]


@dataclass(frozen=True)
class Axis(Struct):
    CPP = "Axis"
    size: int = 1


@dataclass(frozen=True)
class Sample(TrainingOp[SampleInputs, SampleOutputs], kind=200):
    size: Annotated[int, Number("elements", "1")]
    axes: Annotated[tuple[Axis, ...], Number(count=2)]


def tensor(name: str) -> Tensor:
    return Tensor.make(name, np.int8, (1,))


def make(*names: str | None) -> Op:
    tensors = [None if name is None else tensor(name) for name in names]
    return Op("TFLM_TRAIN_SAMPLE", tensors, [tensor("y")], is_custom=True)


def test_tensors_are_read_by_name() -> None:
    inputs = Sample.inputs_of(make("x", None, "p", "q", "state"))
    assert inputs.x.name == "x" and inputs.mask is None and inputs.state.name == "state"
    assert [t.name for t in inputs.parts] == ["p", "q"]
    assert Sample.outputs_of(make("x", None, "state")).y.name == "y"
    assert [t.name for t in inputs.having(Role.GRADIENT)] == ["p", "q"]
    assert inputs.having(Role.MASK) == []


def test_tensors_are_written_in_order() -> None:
    op = make("x", None, "p", "state")
    inputs = Sample.inputs_of(op)
    assert inputs.in_order() == op.inputs
    bits = tensor("bits")
    ops.set_input(op, Sample(1, (Axis(), Axis())), mask=bits)
    assert op.inputs == [inputs.x, bits, *inputs.parts, inputs.state]


@pytest.mark.parametrize(
    ("names", "words"),
    [(("x", None), "2 tensors, expected 3"), ((None, None, "state"), "x is missing")],
)
def test_other_tensors_are_refused(names: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sample.inputs_of(make(*names))


def test_arrays_are_of_their_length() -> None:
    assert [word.path for word in words_of(Sample)] == ["size", "axes[0].size", "axes[1].size"]
    with pytest.raises(AssertionError):
        Sample(1, (Axis(),)).pack()
