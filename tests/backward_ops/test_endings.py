"""What a model may end in behind its logits: it trains as the same model without."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.steps import train
from tflm_train.backward_ops.losses import find_logits
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Op, Quantization, Tensor
from tflm_train.rewriter import rewrite
from tflm_train.runtime.metrics import metric_for
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.head import Head
from tflm_train.scheme.presets import ordinary_loss

_CLASSES = 10
_SCHEME = Scheme(biases_last=1, weights=(WeightUpdate(-1),))


def _softmax(model: Model, x: Tensor) -> Op:
    quantization = Quantization(np.array([1 / 256], np.float32), np.array([-128], np.int64))
    y = Tensor.make("softmax", np.int8, x.shape, quantization=quantization)
    return Op("SOFTMAX", [x], [model.graph.add(y)], schema.SoftmaxOptionsT(beta=1.0))


def _log_softmax(model: Model, x: Tensor) -> Op:
    quantization = Quantization(np.array([16 / 256], np.float32), np.array([127], np.int64))
    y = Tensor.make("log_softmax", np.int8, x.shape, quantization=quantization)
    return Op("LOG_SOFTMAX", [x], [model.graph.add(y)], schema.LogSoftmaxOptionsT())


def _reshape(model: Model, x: Tensor) -> Op:
    shape = (1, 1, 1, _CLASSES)
    y = Tensor.make("reshape", x.dtype, shape, quantization=x.quantization)
    target = model.graph.add(Tensor.constant("shape", np.array(shape, np.int32)))
    options = schema.ReshapeOptionsT(newShape=np.array(shape, np.int32))
    return Op("RESHAPE", [x, target], [model.graph.add(y)], options)


def _squeeze(model: Model, x: Tensor) -> Op:
    y = Tensor.make("squeeze", x.dtype, (_CLASSES,), quantization=x.quantization)
    return Op("SQUEEZE", [x], [model.graph.add(y)], schema.SqueezeOptionsT(squeezeDims=[]))


def _dequantize(model: Model, x: Tensor) -> Op:
    y = Tensor.make("dequantize", np.float32, x.shape)
    return Op("DEQUANTIZE", [x], [model.graph.add(y)], schema.DequantizeOptionsT())


def _arg_max(model: Model, x: Tensor) -> Op:
    y = Tensor.make("arg_max", np.int32, x.shape[:-1])
    axis = model.graph.add(Tensor.constant("axis", np.array([len(x.shape) - 1], np.int32)))
    options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
    return Op("ARG_MAX", [x, axis], [model.graph.add(y)], options)


_ADD = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "dequantize": _dequantize,
    "arg_max": _arg_max,
}


def _know_endings(model: Any) -> None:
    """Enters the operators into the file's table."""
    for name in _ADD:
        builtin = getattr(schema.BuiltinOperator, name.upper())
        code = schema.OperatorCodeT(builtinCode=builtin, deprecatedBuiltinCode=builtin, version=1)
        model.operatorCodes.append(code)


def with_ending(model: Model, *names: str) -> Model:
    """The model with these operators instead of its SOFTMAX."""
    work = Model(raw_model.edit(model.source, _know_endings), model.name)
    softmax = work.graph.ops.pop()
    assert softmax.name == "SOFTMAX"
    tensor = softmax.input
    for name in names:
        op = _ADD[name](work, tensor)
        work.graph.ops.append(op)
        tensor = op.output
    work.graph.outputs = [tensor]
    for key in work.signatures:
        work.drop_signature(key)
    return Model(work.to_bytes(), model.name)


@pytest.mark.interpreter
@pytest.mark.parametrize(
    "ending",
    [
        ("softmax", "reshape"),
        ("softmax", "squeeze"),
        ("softmax", "dequantize", "reshape"),
        ("softmax", "reshape", "dequantize"),
        ("dequantize", "reshape"),
        ("log_softmax",),
        ("arg_max",),
        ("softmax", "arg_max"),
    ],
    ids="+".join,
)
def test_it_trains_as_without(ending: tuple[str, ...], digits: Model) -> None:
    model = with_ending(digits, *ending)
    loss = ordinary_loss(model)
    assert loss.name == "softmax_cross_entropy"
    plain = tt.Interpreter(rewrite(digits, _SCHEME).model_bytes)
    ended = tt.Interpreter(rewrite(model, dataclasses.replace(_SCHEME, loss=loss)).model_bytes)
    assert train(plain, 8) == train(ended, 8)
    values = zip(plain.variables().values(), ended.variables().values(), strict=True)
    assert all(np.array_equal(one, other) for one, other in values)
    merged = Model(tt.merge(ended.model, ended.state()))
    assert [op.name for op in merged.graph.ops] == [op.name for op in model.graph.ops]


@pytest.mark.interpreter
def test_the_number_of_a_class_is_scored_by_itself(digits: Model) -> None:
    """And a head of another number of classes may lie before it."""
    model = with_ending(digits, "softmax", "arg_max")
    scheme = dataclasses.replace(_SCHEME, head=Head(classes=3))
    interpreter = tt.Interpreter(rewrite(model, scheme).model_bytes)
    metric = metric_for(interpreter, np.array([0, 1, 2]))
    answer = np.array([2], np.int32)
    assert [metric.score(answer, np.array(label)) for label in (1, 2)] == [0.0, 1.0]
    assert [metric.error(answer, np.array(label)) for label in (1, 2)] == [1.0, 0.0]
    before = interpreter.model.graph.producer(interpreter.model.graph.outputs[0])
    assert before is not None and before.input.shape[-1] == 3


def test_a_shape_alone_is_no_ending(digits: Model) -> None:
    """A loss that needs the other shape finds it."""
    model = with_ending(digits, "reshape")
    assert find_logits(model) is model.graph.outputs[0]


@pytest.mark.parametrize("loss", ["mean_squared_error", "sigmoid_cross_entropy"])
def test_only_a_classifier_ends_in_the_number_of_a_class(loss: str, digits: Model) -> None:
    with pytest.raises(UnsupportedError, match=f"which only softmax_cross_entropy.*not {loss}"):
        find_logits(with_ending(digits, "arg_max"), loss)
