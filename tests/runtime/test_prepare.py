"""What kernels refuse when an interpreter is made, one field away from what they take."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import tflm_train as tt
from tests.stacks import Stack
from tests.steps import weights_of
from tflm_train import ops
from tflm_train.errors import ModelError
from tflm_train.model import Model
from tflm_train.ops.constants import MAX_SUM_LENGTH
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme
from tflm_train.trained.trainable_model import TrainableModel, VariableKind

pytestmark = pytest.mark.interpreter
LINEAR = 0


def trained() -> bytes:
    """A model that sends a gradient through one channel more than may be summed at once."""
    stack = Stack.start(3, 3, 2, 71)
    stack.conv(3, 2, 1, True, LINEAR)
    stack.conv(MAX_SUM_LENGTH + 1, 1, 1, True, LINEAR)
    stack.conv(2, 3, 1, False, LINEAR)
    return rewrite(stack.finish(trainable=True), Scheme(weights=weights_of(0))).model_bytes


def changed(kind: type[ops.Params], **fields: int) -> Model:
    """The trained model with other parameters in its last op of a kind, as firmware sees it."""
    model = Model(trained())
    op = [op for op in model.graph.ops if op.name == ops.OP_PREFIX + kind.OP][-1]
    params: Any = ops.unpack(op.custom_options or b"")
    if isinstance(params, ops.ConvUpdate):
        fields = {"update": dataclasses.replace(params.update, **fields)}  # type: ignore[dict-item]
    op.custom_options = dataclasses.replace(params, **fields).pack()
    damaged = Model(trained())
    damaged.source = model.to_bytes()
    return damaged


def test_all_is_taken_as_it_is() -> None:
    tt.Interpreter(Model(trained()))
    params = [
        ops.unpack(op.custom_options or b"") for op in Model(trained()).graph.ops if op.is_custom
    ]
    groups = {p.group for p in params if isinstance(p, ops.ConvInputGrad)}
    assert MAX_SUM_LENGTH in groups


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (ops.ConvInputGrad, {"group": MAX_SUM_LENGTH + 1}, r"group \* k_h \* k_w"),
        (ops.ConvInputGrad, {"group_shift": 0}, "number of groups"),
        (ops.ConvUpdate, {"tap_y0": 1, "tap_y1": 1}, "tap_y0"),
        (ops.ConvUpdate, {"tap_x0": 1, "tap_x1": 1}, "tap_x0"),
        (ops.ConvUpdate, {"tap_y1": 3}, "tap_y1"),
        (ops.ConvUpdate, {"tap_x1": 3}, "tap_x1"),
    ],
)
def test_the_next_value_is_refused(
    kind: type[ops.Params], fields: dict[str, int], words: str
) -> None:
    model = changed(kind, **fields)
    with pytest.raises(ModelError, match=f"TFLM cannot run this model: .*{words}"):
        tt.Interpreter(model)


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_factory_weight_that_no_step_reaches(where: str) -> None:
    model = Model(trained())
    restore = next(op for op in model.graph.ops if op.name == ops.OP_PREFIX + ops.Restore.OP)
    (factory,) = ops.Restore.inputs_of(restore).factory
    weights = next(v for v in TrainableModel.read(model).variables if v.factory is not None)
    assert factory.data is not None and weights.kind is VariableKind.WEIGHTS
    values = factory.data.copy()
    values[0 if where == "first" else weights.tensor.size - 1] = -128
    factory.data = values
    with pytest.raises(ModelError, match="a factory weight is -128"):
        tt.Interpreter(Model(model.to_bytes()))
