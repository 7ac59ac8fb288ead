"""Files that parse but contradict themselves are refused, with what, where and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.models import CONVERTED, OPERATORS, converted_model
from tests.steps import DIGITS
from tflm_train.errors import ModelError
from tflm_train.model import Model

Change = Callable[[Any, Any], None]
"""Of the raw subgraph and one of its operators."""


def code_of(name: str) -> int:
    return int(getattr(schema.BuiltinOperator, name))


def refusal_of(model: str, operator: str, change: Change) -> str:
    """The message after a change that is given the first operator of that name."""

    def edit(raw: Any) -> None:
        graph = raw.subgraphs[0]
        codes = [c.builtinCode for c in raw.operatorCodes]
        change(graph, next(o for o in graph.operators if codes[o.opcodeIndex] == code_of(operator)))

    data = raw_model.edit(converted_model(model), edit)
    with pytest.raises(ModelError) as refusal:
        Model(data, "m.tflite")
    message = str(refusal.value)
    assert message.startswith("m.tflite: corrupt .tflite file: subgraph 0, ")
    assert message.endswith("; get an undamaged copy, or convert the model again")
    assert "\n" not in message
    return message


def option(name: str, value: Any) -> Change:
    return lambda graph, op: setattr(op.builtinOptions, name, value)


def options(value: Any) -> Change:
    def change(graph: Any, op: Any) -> None:
        op.builtinOptions = value
        op.builtinOptionsType = 0
        if value is not None:
            name = type(value).__name__.removesuffix("T")
            op.builtinOptionsType = getattr(schema.BuiltinOptions, name)

    return change


def inputs(*places: int) -> Change:
    """Keeps only some of the inputs; -1 leaves one out."""

    def change(graph: Any, op: Any) -> None:
        op.inputs = np.array([-1 if p < 0 else op.inputs[p] for p in places], np.int32)

    return change


def shape(role: str, place: int, *dimensions: int) -> Change:
    def change(graph: Any, op: Any) -> None:
        graph.tensors[getattr(op, role)[place]].shape = np.array(dimensions, np.int32)

    return change


def quantization(role: str, place: int, field: str, value: Any) -> Change:
    def change(graph: Any, op: Any) -> None:
        setattr(graph.tensors[getattr(op, role)[place]].quantization, field, value)

    return change


def _swap(graph: Any, op: Any) -> None:
    graph.operators[0], graph.operators[1] = graph.operators[1], graph.operators[0]


def _cycle(graph: Any, op: Any) -> None:
    op.inputs = np.array([op.outputs[0], *op.inputs[1:]], np.int32)


def _write_a_constant(graph: Any, op: Any) -> None:
    op.outputs = np.array([op.inputs[1]], np.int32)


def _write_twice(graph: Any, op: Any) -> None:
    graph.operators[1].outputs = graph.operators[0].outputs


def _variable_weights(graph: Any, op: Any) -> None:
    graph.tensors[op.inputs[1]].isVariable = True


def _bias_as_float(graph: Any, op: Any) -> None:
    graph.tensors[op.inputs[2]].type = schema.TensorType.FLOAT32


def _input_twice(graph: Any, op: Any) -> None:
    graph.inputs = np.repeat(graph.inputs, 2)


def _no_operators(graph: Any, op: Any) -> None:
    graph.operators = []


@pytest.mark.parametrize(
    ("model", "operator", "change", "words"),
    [
        ("keyword", "CONV_2D", option("strideW", 0), "its stride is 0;"),
        ("keyword", "CONV_2D", option("strideH", -2), "its stride is -2"),
        ("resnet", "CONV_2D", option("dilationWFactor", 0), "its dilation is 0"),
        ("keyword", "CONV_2D", option("padding", 7), "neither SAME nor VALID"),
        ("keyword", "AVERAGE_POOL_2D", option("filterHeight", 0), "its kernel is 0"),
        ("keyword", "AVERAGE_POOL_2D", option("filterHeight", 99), "kernel is larger than"),
        ("keyword", "CONV_2D", options(schema.Pool2DOptionsT()), "it needs Conv2DOptions, but has"),
        ("keyword", "CONV_2D", options(None), "its stride is 0;"),
        ("resnet", "ADD", options(schema.Pool2DOptionsT()), "it needs AddOptions, but has Pool2D"),
        ("keyword", "SOFTMAX", option("beta", float("nan")), "its beta is nan"),
        ("keyword", "CONV_2D", inputs(0), "it has 1 inputs"),
        ("keyword", "CONV_2D", inputs(0, -1, 2), "input 1 is missing"),
        ("resnet", "ADD", inputs(0, 1, 1), "it has 3 inputs"),
        ("keyword", "CONV_2D", shape("outputs", 0, 1, 13, 5, 9), "but is [1, 13, 5, 9]"),
        ("keyword", "CONV_2D", shape("outputs", 0, 1, 12, 5, 8), "should be [1, 13, 5, 8]"),
        ("keyword", "CONV_2D", shape("inputs", 0, 1, 25, 10), "4 dimensions are needed"),
        ("keyword", "FULLY_CONNECTED", shape("outputs", 0, 1, 17), "output should be 1x16"),
        ("keyword", "FULLY_CONNECTED", shape("inputs", 0, 1, 31), "cannot become 1x31"),
        ("mobilenet", "DEPTHWISE_CONV_2D", option("depthMultiplier", 3), "depth multiplier 3"),
        ("resnet", "ADD", shape("inputs", 0, 1, 13, 11, 5), "should be [1, 13, 11, 6]"),
        ("mobilenet", "MEAN", option("keepDims", True), "but is [1, 12]"),
        ("keyword", "CONV_2D", quantization("inputs", 0, "scale", np.array([0.0], np.float32)),
         "impossible quantization: scale 0"),
        ("keyword", "CONV_2D", quantization("inputs", 0, "zeroPoint", np.array([128])),
         "zero point 128 of a INT8 tensor"),
        ("keyword", "CONV_2D", quantization("outputs", 0, "zeroPoint", None),
         "scales without zero points"),
        ("keyword", "CONV_2D", quantization("inputs", 1, "quantizedDimension", 4),
         "along dimension 4 of 4"),
        ("keyword", "CONV_2D", quantization("inputs", 1, "quantizedDimension", 1),
         "8 scales for 10 channels (dimension 1)"),
        ("keyword", "CONV_2D", _swap, "nothing has written its input"),
        ("keyword", "CONV_2D", _cycle, "nothing has written its input"),
        ("keyword", "CONV_2D", _write_a_constant, "it writes the constant"),
        ("keyword", "CONV_2D", _write_twice, "is written twice"),
        ("keyword", "CONV_2D", _variable_weights, "it is a variable and has values"),
        ("keyword", "CONV_2D", _bias_as_float, "its bias is FLOAT32 beside INT8"),
        ("keyword", "CONV_2D", _input_twice, "one of them is there twice"),
        ("keyword", "CONV_2D", _no_operators, "it has no operators"),
    ],
)  # fmt: skip
def test_contradictions(model: str, operator: str, change: Change, words: str) -> None:
    assert words in refusal_of(model, operator, change)


def test_subgraphs_that_nothing_calls_are_kept_but_not_run() -> None:
    def change(raw: Any) -> None:
        raw.subgraphs = [raw.subgraphs[0], raw.subgraphs[0]]

    model = Model(raw_model.edit(converted_model("keyword"), change), "m.tflite")
    assert Model(model.to_bytes()).uncalled_subgraphs == model.uncalled_subgraphs == [1]
    with pytest.raises(ModelError, match="no operator calls subgraph 1; convert it with one"):
        tt.Interpreter(model)


@pytest.mark.parametrize(("called", "words"), [(5, "calls subgraph 5"), (0, "calls itself")])
def test_calls_of_subgraphs(called: int, words: str) -> None:
    def change(raw: Any) -> None:
        op = raw.subgraphs[0].operators[-1]
        code = raw.operatorCodes[op.opcodeIndex]
        code.deprecatedBuiltinCode = schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
        code.builtinCode = schema.BuiltinOperator.IF
        branches = schema.IfOptionsT(thenSubgraphIndex=called, elseSubgraphIndex=called)
        options(branches)(raw.subgraphs[0], op)

    with pytest.raises(ModelError, match=words):
        Model(raw_model.edit(converted_model("keyword"), change))


@pytest.mark.parametrize(("name", "place"), [(b"ethos-u", 4), (b"ethos-u", 1), (b"npu", 2)])
def test_memory_that_an_npu_works_in_is_written_by_no_op(name: bytes, place: int) -> None:
    def call(*unwritten: int) -> bytes:
        def change(raw: Any) -> None:
            raw_model.make_custom(raw, schema.BuiltinOperator.SOFTMAX, name, b"x")
            graph = raw.subgraphs[0]
            memory = schema.TensorT(shape=np.array([8], np.int32), type=schema.TensorType.UINT8)
            memory.name = b"memory"
            graph.tensors.append(memory)
            op = graph.operators[-1]
            inputs = np.repeat(op.inputs, 5)
            inputs[list(unwritten)] = len(graph.tensors) - 1
            op.inputs = inputs

        return raw_model.edit(converted_model("keyword"), change)

    if name == b"ethos-u":
        assert Model(call(2, 3)).graph.ops[-1].name == "ethos-u"
    with pytest.raises(ModelError, match="nothing has written its input 'memory' before"):
        Model(call(place))


def test_a_refusal_says_where() -> None:
    message = refusal_of("keyword", "DEPTHWISE_CONV_2D", option("strideW", 0))
    assert "subgraph 0, op 1 (DEPTHWISE_CONV_2D, '" in message


def test_signatures_and_metadata_that_name_nothing() -> None:
    def signature(model: Any) -> None:
        model.signatureDefs[0].inputs[0].tensorIndex = 999

    def metadata(model: Any) -> None:
        raw_model.add_metadata(model, b"note", b"text")
        model.metadata[-1].buffer = 999

    for change, words in ((signature, "names tensor 999"), (metadata, "points at no buffer")):
        with pytest.raises(ModelError, match=words):
            Model(raw_model.edit(converted_model("keyword"), change))


@pytest.mark.parametrize("name", [*CONVERTED, *OPERATORS])
def test_converted_models_agree_with_themselves(name: str) -> None:
    Model(converted_model(name))


def test_a_dead_channel_may_have_scale_0() -> None:
    def change(model: Any) -> None:
        weights = model.subgraphs[0].tensors[model.subgraphs[0].operators[0].inputs[1]]
        scale = weights.quantization.scale.copy()
        scale[2] = 0
        weights.quantization.scale = scale

    Model(raw_model.edit(converted_model("keyword"), change))


def test_options_that_are_left_out_are_the_defaults() -> None:
    """As LiteRT and TFLM take them; writing the model gives it the options."""
    model = tt.load(DIGITS)
    place = next(i for i, op in enumerate(model.graph.ops) if op.name == "FULLY_CONNECTED")
    assert model.graph.ops[place].options.fusedActivationFunction == 0

    def leave_out(raw: Any) -> None:
        op = raw.subgraphs[0].operators[place]
        op.builtinOptions, op.builtinOptionsType = None, schema.BuiltinOptions.NONE

    bare = Model(raw_model.edit(model.source, leave_out))
    for found in (bare, Model(bare.to_bytes())):
        options = found.graph.ops[place].options
        assert vars(options) == vars(schema.FullyConnectedOptionsT())
