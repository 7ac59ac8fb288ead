"""A fresh classifier in place of the old one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_train as tt
from tests.loss_models import loss_model
from tests.steps import RATE, assert_follows_reference, random_inputs, weights_of
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, Quantization, Tensor
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.attach_head import LOGITS_SCALE, LOGITS_SCALE_RANGE, attach_head
from tflm_train.scheme import Head, Loss, Scheme

Converted = Callable[[str], Model]

CONVOLUTIONAL_HEAD = "opaque"


def with_head(model: Model, classes: int) -> Model:
    return Model(rewrite(model, Scheme(head=Head(classes=classes))).model_bytes)


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
        ("opaque", ["RESHAPE", "SOFTMAX"]),  # convolutional head
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


@pytest.mark.parametrize("name", ["mobilenet", "opaque"])
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


def test_the_old_classifier_leaves_the_file(converted: Converted) -> None:
    model = converted("keyword")
    old = head_of(model).weights.data
    assert old is not None and old.tobytes() in model.source
    assert old.tobytes() not in with_head(model, 5).source
    assert old.tobytes() in rewrite(model, Scheme()).model_bytes


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
    assert [x.index for x in rewrite(converted("mobilenet"), scheme).report.layers] == [6]


class TestExtend:
    @pytest.mark.parametrize("name", ["mobilenet", "resnet", "max_pool_like"])
    def test_the_old_classes_stay(self, converted: Converted, name: str) -> None:
        model = converted(CONVOLUTIONAL_HEAD if name == "max_pool_like" else name)
        new = Model(rewrite(model, Scheme(head=Head(add=2))).model_bytes)
        old_head, head = head_of(model), head_of(new)
        old = old_head.out_channels
        assert head.out_channels == old + 2
        assert new.graph.outputs[0].shape == (1, old + 2)
        before, after = tt.Interpreter(model), tt.Interpreter(new)
        variables = after.variables()
        assert old_head.weights.data is not None and head.bias is not None
        weights = variables[head.weights.name]
        np.testing.assert_array_equal(weights[:old], old_head.weights.data)
        assert not weights[old:].any() and not variables[head.bias.name][old:].any()
        if name == "resnet":  # the outputs are the logits
            for x in random_inputs(model.graph, 4):
                first, second = before.infer(x), after.infer(x)
                scales = old_head.op.output.scale, head.op.output.scale
                zeros = old_head.op.output.zero_point, head.op.output.zero_point
                real = [
                    (y.astype(np.float64) - z) * s
                    for y, z, s in zip((first, second), zeros, scales, strict=True)
                ]
                np.testing.assert_allclose(real[1][0, :old], real[0][0], atol=0.51 * sum(scales))
                assert np.abs(real[1][0, old:]).max() == 0

    def test_the_new_class_is_learnt(self, converted: Converted) -> None:
        new = Model(rewrite(converted("mobilenet"), Scheme(head=Head(add=1))).model_bytes)
        interpreter = tt.Interpreter(new)
        x = random_inputs(new.graph, 1)[0]
        for _ in range(60):
            interpreter.train_step(x, interpreter.classes - 1, 0.2)
        assert int(np.argmax(interpreter.infer(x))) == interpreter.classes - 1
        assert_follows_reference(new)

    @pytest.mark.parametrize(("scale", "expected"), [(0.125, 0.125), (0.0625, 0.25), (0.75, 0.75)])
    def test_the_logits_scale(self, converted: Converted, scale: float, expected: float) -> None:
        model = with_logits_scale(converted("resnet"), scale)
        new = Model(rewrite(model, Scheme(head=Head(add=3))).model_bytes)
        assert head_of(new).op.output.scale == pytest.approx(expected)
        kept = scale == expected
        assert head_of(new).op.output.zero_point == (3 if kept else 0)


def test_reinitialise(converted: Converted) -> None:
    model = converted("mobilenet")
    new = Model(rewrite(model, Scheme(head=Head(reinitialise=True))).model_bytes)
    assert head_of(new).out_channels == head_of(model).out_channels
    assert not tt.Interpreter(new).variables()[head_of(new).weights.name].any()
    assert_follows_reference(new)


class TestHidden:
    @pytest.mark.parametrize("name", ["mobilenet", "convolution"])
    @pytest.mark.parametrize("hidden", [(16,), (12, 7)])
    def test_layers_are_inserted_and_train(
        self, converted: Converted, name: str, hidden: tuple[int, ...]
    ) -> None:
        model = converted(CONVOLUTIONAL_HEAD if name == "convolution" else name)
        scheme = Scheme(head=Head(classes=3, hidden=hidden), biases_last=1)
        result = rewrite(model, scheme)
        new = Model(result.model_bytes)
        layers = list_layers(new.graph)
        old = list_layers(model.graph)
        assert [layer.name for layer in layers[len(old) - 1 : -1]] == [
            f"head/hidden_{i}" for i in range(len(hidden))
        ]
        assert [layer.out_channels for layer in layers[len(old) - 1 :]] == [*hidden, 3]
        described = result.report.layers
        # One bias below the head, the hidden layers, and the head.
        assert [layer.weights > 0 for layer in described] == [False] + [True] * (len(hidden) + 1)
        assert [layer.head for layer in described] == [False] * (len(hidden) + 1) + [True]
        interpreter = tt.Interpreter(new)
        variables = interpreter.variables()
        for layer in layers[len(old) - 1 : -1]:
            weights = variables[layer.weights.name]
            assert abs(weights.mean()) < 10 and 20 < weights.std() < 50
            assert layer.op.output.zero_point == -128
        assert_follows_reference(new, steps=4)

    def test_activations_keep_their_range(self, converted: Converted) -> None:
        model = converted("mobilenet")
        scheme = Scheme(head=Head(hidden=(64,)))
        new = Model(rewrite(model, scheme).model_bytes)
        interpreter = tt.Interpreter(new, preserve_all=True)
        hidden = list_layers(new.graph)[-2].op.output
        for x in random_inputs(new.graph, 6):
            interpreter.infer(x)
            values = interpreter.tensor(hidden)
            assert values.max() > -118 and np.mean(values == 127) < 0.1

    def test_it_learns_what_a_linear_head_cannot(self) -> None:
        """Exclusive or: four corners, two classes."""
        model = Model(loss_model("regression"))
        x = np.zeros((4, 1, 6), np.int8)
        x[:, 0, 0], x[:, 0, 1] = [-120, -120, 120, 120], [-120, 120, -120, 120]
        scheme = Scheme(head=Head(classes=2, hidden=(16,)), weights=weights_of(0))
        interpreter = tt.Interpreter(rewrite(model, scheme).model_bytes)
        for _ in range(150):
            for sample, label in zip(x, (0, 1, 1, 0), strict=True):
                interpreter.train_step(sample, label, 0.05)
        assert [int(np.argmax(interpreter.infer(sample))) for sample in x] == [0, 1, 1, 0]

    def test_the_seed_makes_the_weights(self, converted: Converted) -> None:
        def factory(seed: int) -> bytes:
            scheme = Scheme(head=Head(hidden=(8,)), seed=seed)
            return rewrite(converted("mobilenet"), scheme).model_bytes

        assert factory(1) == factory(1) != factory(2)


class TestRegression:
    def test_the_output_keeps_its_scale(self) -> None:
        model = Model(loss_model("regression"))
        scheme = Scheme(loss=Loss("mean_squared_error"), head=Head(classes=5))
        new = Model(rewrite(model, scheme).model_bytes)
        old, fresh = head_of(model).op.output, head_of(new).op.output
        assert (fresh.scale, fresh.zero_point) == (old.scale, old.zero_point)
        assert fresh.shape == (1, 5)
        assert_follows_reference(new, rate=0.05)


def test_shared_weights_are_not_replaced(converted: Converted) -> None:
    model = converted("keyword")
    layers = list_layers(model.graph)
    layers[-2].op.inputs[1] = layers[-1].weights
    with pytest.raises(UnsupportedError, match="is shared with another op; leave `head`"):
        attach_head(model, head_of(model), Head(classes=9))
