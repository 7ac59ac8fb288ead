"""A fresh classifier in place of the old one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import RATE, assert_follows_reference, random_inputs, weights_of
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Quantization, Tensor
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter.attach_head import LOGITS_SCALE, LOGITS_SCALE_RANGE, attach_head
from tflm_train.scheme import Head, Scheme

Converted = Callable[[str], Model]


def with_head(model: Model, classes: int) -> Model:
    return Model(tt.rewrite(model, Scheme(head=Head(classes=classes))).model_bytes)


def with_logits_scale(model: Model, scale: float) -> Model:
    output = head_of(model).op.output
    output.quantization = Quantization(np.array([scale], np.float32), np.array([3]))
    return Model(model.to_bytes())


def head_of(model: Model) -> Layer:
    return list_layers(model.graph)[-1]


@pytest.mark.parametrize(
    ("name", "followers"),
    [
        ("mobilenet", ["SOFTMAX"]),  # FULLY_CONNECTED head
        ("resnet", []),  # logits are the output
        ("max_pool", ["RESHAPE", "SOFTMAX"]),  # convolutional head
    ],
)
@pytest.mark.parametrize("classes", [2, 11])
def test_shapes_and_scales(
    converted: Converted, name: str, followers: list[str], classes: int
) -> None:
    model = converted(name)
    new = with_head(model, classes)
    old_head, head = head_of(model), head_of(new)
    assert head.weights.shape == (classes, *old_head.weights.shape[1:])
    assert head.op.output.shape == (*old_head.op.output.shape[:-1], classes)
    assert new.graph.outputs[0].shape == (1, classes)
    end = [op for op in new.graph.ops if not op.is_custom][old_head.op_index + 1 :]
    assert [op.name for op in end] == followers
    assert [op.output.shape for op in end] == [(1, classes)] * len(followers)
    assert old_head.weights.quantization is not None and head.weights.quantization is not None
    median = np.float32(np.median(old_head.weights.quantization.scale))
    assert head.bias is not None and head.bias.quantization is not None
    np.testing.assert_array_equal(head.weights.quantization.scale, median)
    np.testing.assert_array_equal(head.bias.quantization.scale, np.float32(head.x.scale) * median)
    low, high = LOGITS_SCALE_RANGE
    kept = low <= old_head.op.output.scale <= high
    assert head.op.output.scale == (old_head.op.output.scale if kept else LOGITS_SCALE)


@pytest.mark.parametrize("name", ["mobilenet", "max_pool"])
def test_a_fresh_head_knows_nothing_and_learns(converted: Converted, name: str) -> None:
    model = converted(name)
    new = with_head(model, 3)
    interpreter = tt.Interpreter(new)
    assert interpreter.classes == 3
    head = head_of(new)
    assert head.bias is not None
    variables = interpreter.variables()
    assert not variables[head.weights.name].any() and not variables[head.bias.name].any()
    x = random_inputs(model.graph, 1)[0]
    assert len(set(interpreter.infer(x).reshape(-1).tolist())) == 1
    first = interpreter.train_step(x, 2, 0.05)
    assert first == pytest.approx(np.log(3), rel=1e-5)
    losses = [interpreter.train_step(x, 2, 0.2) for _ in range(60)]
    assert losses[-1] < 0.2 * first
    assert int(np.argmax(interpreter.infer(x))) == 2
    assert_follows_reference(new)


def test_the_logits_scale_of_the_old_head_is_kept_when_sane(converted: Converted) -> None:
    for scale, expected in ((0.125, 0.125), (0.5, 0.5), (0.0625, 0.25), (0.75, 0.25)):
        new = with_head(with_logits_scale(converted("resnet"), scale), 4)
        assert head_of(new).op.output.scale == pytest.approx(expected, rel=1e-6)


def test_a_too_fine_logits_scale_is_warned_of(converted: Converted) -> None:
    fine = with_logits_scale(converted("resnet"), 0.05)
    warnings = tt.rewrite(fine, Scheme()).report["warnings"]
    assert any("the logits' scale is 0.05" in w for w in warnings)
    assert tt.rewrite(fine, Scheme(head=Head(classes=6))).report["warnings"] == []


def test_the_old_classifier_leaves_the_file(converted: Converted) -> None:
    model = converted("keyword")
    old = head_of(model).weights.data
    assert old is not None and old.tobytes() in model.source
    assert old.tobytes() not in with_head(model, 5).source
    assert old.tobytes() in tt.rewrite(model, Scheme()).model_bytes


def test_refused_after_an_op_that_mixes_classes(converted: Converted) -> None:
    model = converted("branches")
    graph = model.graph
    # The classifier's output goes through one more ADD.
    logits = Tensor.make("logits", np.int8, (1, 3), quantization=graph.outputs[0].quantization)
    head_of(model).op.outputs = [graph.add(logits)]
    add = next(op for op in graph.ops if op.name == "ADD")
    add.inputs, add.outputs = [logits, logits], [graph.outputs[0]]
    graph.ops = [*[op for op in graph.ops if op is not add], add]
    with pytest.raises(UnsupportedError, match=r"head\.classes: op \d+ \(ADD, .* be resized"):
        attach_head(model, head_of(model), Head(classes=9))


def test_refused_for_a_depthwise_head(converted: Converted) -> None:
    model = converted("mobilenet")
    with pytest.raises(UnsupportedError, match=r"head\.classes: layer 1 \(DEPTHWISE_CONV_2D"):
        attach_head(model, list_layers(model.graph)[1], Head(classes=9))


def test_a_new_head_on_a_frozen_body_leaves_the_body(converted: Converted) -> None:
    model = converted("mobilenet")
    new = with_head(model, 5)
    first = tt.Interpreter(model, preserve_all=True)
    second = tt.Interpreter(new, preserve_all=True)
    for x in random_inputs(model.graph, 2):
        second.train_step(x, 1, RATE)
        first.infer(x)
        np.testing.assert_array_equal(first.tensor(head_of(model).x), second.tensor(head_of(new).x))


def test_weights_named_beside_a_new_head(converted: Converted) -> None:
    scheme = Scheme(head=Head(classes=9), weights=weights_of(6))
    assert [x["index"] for x in tt.rewrite(converted("mobilenet"), scheme).report["layers"]] == [6]
