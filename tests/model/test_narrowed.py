"""Models of int16 activations: the last layer gets int8 ones and trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.models import convert
from tflm_train.model import Model
from tflm_train.model.narrowed import with_narrow_heads
from tflm_train.model.prepared import prepared
from tflm_train.ops.constants import LossKind, TargetKind
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme.presets import preset_scheme

SHAPE = (1, 12, 1, 4)


def denoiser(layers: Any) -> Any:
    x = inputs = layers.Input(SHAPE[1:], batch_size=1)
    x = layers.Conv2D(8, (3, 1), padding="same", activation="relu")(x)
    x = layers.Conv2D(8, (3, 1), padding="same")(x)
    return inputs, layers.Conv2D(4, 1)(x)


def classifier(layers: Any) -> Any:
    x = inputs = layers.Input(SHAPE[1:], batch_size=1)
    x = layers.Flatten()(layers.Conv2D(8, (3, 1), activation="relu")(x))
    return inputs, layers.Softmax()(layers.Dense(3)(x))


def gate(layers: Any) -> Any:
    """A mask of yes and no, as noise suppression has it."""
    x = inputs = layers.Input(SHAPE[1:], batch_size=1)
    x = layers.Flatten()(layers.Conv2D(4, (3, 1), 2, activation="tanh")(x))
    return inputs, layers.Dense(6, activation="sigmoid", use_bias=False)(x)


def rectified(layers: Any) -> Any:
    x = inputs = layers.Input(SHAPE[1:], batch_size=1)
    x = layers.DepthwiseConv2D((3, 1), activation="relu")(x)
    return inputs, layers.DepthwiseConv2D((3, 1), activation="relu6")(x)


BUILDERS = (denoiser, classifier, gate, rectified)


def wide(build: Callable[[Any], Any]) -> Model:
    return Model(convert(build, 41, activations="int16"), f"{build.__name__}.tflite")


def samples(model: Model, count: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(5)
    scale = model.graph.inputs[0].scale
    values = rng.uniform(-1, 1, (count, *SHAPE))
    return [np.clip(np.rint(x / scale), -32768, 32767).astype(np.int16) for x in values]


def target_of(interpreter: tt.Interpreter, index: int) -> Any:
    loss = interpreter.loss
    assert loss is not None
    if loss.target_kind == TargetKind.INDEX:
        labels = (index + np.arange(loss.positions)) % loss.classes
        return int(labels[0]) if loss.positions == 1 else labels
    values = np.linspace(0, 1, loss.classes).astype(np.float32)
    is_label = loss.loss_kind == LossKind.SIGMOID_CROSS_ENTROPY
    return np.round(values) if is_label else 0.5 * values


@pytest.mark.parametrize("build", BUILDERS)
def test_the_answers_are_near_and_the_head_learns(build: Callable[[Any], Any]) -> None:
    model = wide(build)
    result = tt.rewrite(model)
    before, after = tt.Interpreter(model), tt.Interpreter(result.model_bytes)
    batch = samples(model, 6)
    pairs = [(before.infer(x).astype(float), after.infer(x).astype(float)) for x in batch]
    answers, others = map(np.array, zip(*pairs, strict=True))
    largest = float(np.abs(answers).max())
    assert largest > 4000 and 0 < np.abs(answers - others).max() < 0.03 * largest
    (moves,) = (x for x in result.report.warnings if "an int8 last layer moves" in x)
    assert "random inputs, by at most" in moves
    losses = []
    for _ in range(8):
        steps = [after.train_step(x, target_of(after, i), 0.1) for i, x in enumerate(batch)]
        losses.append(np.mean(steps))
    assert losses[-1] < 0.99 * losses[0]
    merged = tt.Interpreter(tt.merge(result.model_bytes, after.state()))
    assert merged.model.graph.outputs[0].type_name == "INT16"
    assert all(np.array_equal(merged.infer(x), after.infer(x)) for x in batch)
    after.reset()
    assert all(np.array_equal(after.infer(x), y) for x, y in zip(batch, others, strict=True))


@pytest.mark.parametrize("build", BUILDERS)
def test_weights_stay_and_scales_hold_the_same_range(build: Callable[[Any], Any]) -> None:
    model = wide(build)
    narrow = with_narrow_heads(model)
    (old,) = (op for op in model.graph.ops if f"{op.output.short_name!r}" in narrow.notes[0])
    (new,) = (op for op in narrow.graph.ops if op.output.name == f"{old.output.name}/int8")
    for x, y in ((old.input, new.input), (old.output, new.output)):
        assert (x.type_name, y.type_name, x.shape) == ("INT16", "INT8", y.shape)
        assert y.scale * (127 - y.zero_point) == pytest.approx(x.scale * 32767)
    weights, same = old.inputs[1], new.inputs[1]
    assert weights is not None and same is not None and weights.data is not None
    np.testing.assert_array_equal(weights.data, same.data)
    bias, rescaled = old.optional_input(2), new.optional_input(2)
    assert (bias is None) == (rescaled is None)
    if bias is not None and rescaled is not None:
        assert bias.quantization is not None and rescaled.quantization is not None
        assert bias.data is not None and rescaled.data is not None
        real = bias.data * (np.float64(old.input.scale) * weights.quantization.scale)  # type: ignore[union-attr]
        error = np.abs(rescaled.data * rescaled.quantization.scale.astype(np.float64) - real)
        assert np.all(error <= 0.51 * rescaled.quantization.scale)
    assert with_narrow_heads(narrow) is narrow


def test_what_is_positive_has_all_steps() -> None:
    narrow = with_narrow_heads(wide(rectified))
    (head,) = (op for op in narrow.graph.ops if op.output.name.endswith("/int8") and op.inputs[1:])
    assert head.input.zero_point == head.output.zero_point == -128
    narrow = with_narrow_heads(wide(denoiser))
    (head,) = (op for op in narrow.graph.ops if op.output.name.endswith("/int8") and op.inputs[1:])
    assert head.input.zero_point == head.output.zero_point == 0


def twice(layers: Any) -> Any:
    """One layer, run twice; what it gives is read by two heads."""
    x = inputs = layers.Input(SHAPE[1:], batch_size=1)
    shared = layers.Conv2D(4, (3, 1), padding="same", activation="relu")
    x = layers.Flatten()(shared(x))
    return inputs, [layers.Dense(3)(x), layers.Dense(2)(x)]


def recurrent(layers: Any) -> Any:
    x = inputs = layers.Input(SHAPE[1:], batch_size=1)
    shared = layers.Conv2D(4, (3, 1), padding="same")
    return inputs, shared(shared(x))


def test_heads_that_read_one_tensor_read_one_copy() -> None:
    narrow = with_narrow_heads(wide(twice))
    first, second = (op for op in narrow.graph.ops if op.name == "FULLY_CONNECTED")
    assert first.input is second.input and first.input.zero_point == -128
    assert [op.name for op in narrow.graph.ops].count("QUANTIZE") == 3
    assert len({tensor.name for tensor in narrow.graph.tensors}) == len(narrow.graph.tensors)
    interpreter = tt.Interpreter(tt.rewrite(wide(twice)).model_bytes)
    interpreter.train_step(samples(narrow, 1)[0], 1, 0.1)


def test_weights_that_another_layer_has_become_its_own() -> None:
    model = wide(recurrent)
    interpreter = tt.Interpreter(tt.rewrite(model).model_bytes)
    before = interpreter.state()
    batch = samples(model, 3)
    losses = [
        np.mean([interpreter.train_step(x, target_of(interpreter, 0), 0.1) for x in batch])
        for _ in range(6)
    ]
    assert interpreter.state() != before and losses[-1] < losses[0]


def test_several_samples_at_a_time() -> None:
    def three(layers: Any) -> Any:
        x = layers.Input(SHAPE[1:], batch_size=3)
        return x, layers.Conv2D(4, 1)(layers.Conv2D(8, (3, 1), activation="relu")(x))

    interpreter = tt.Interpreter(tt.rewrite(wide(three)).model_bytes)
    assert interpreter.model.graph.inputs[0].shape == SHAPE


def test_a_bias_beyond_int32_stays() -> None:
    model = wide(classifier)
    head = next(op for op in model.graph.ops if op.name == "FULLY_CONNECTED")
    bias = head.inputs[2]
    assert bias is not None and bias.data is not None
    bias.data = np.full_like(bias.data, 1 << 45)
    changed = Model(model.to_bytes(), model.name)
    assert with_narrow_heads(changed) is changed


def test_it_is_said_and_no_other_layer_trains() -> None:
    model = wide(denoiser)
    inspection = inspect_model(model)
    assert [layer.trainable for layer in inspection.layers] == [False, False, True]
    assert any("op 2 (CONV_2D" in note and "gets int8 ones" in note for note in inspection.notes)
    assert all("only int8 is differentiated" in str(x.why_not) for x in inspection.layers[:2])
    original = prepared(model)
    assert preset_scheme("medium", original) == preset_scheme("head", original)


def test_int8_models_stay() -> None:
    model = Model(convert(classifier, 41), "int8.tflite")
    assert with_narrow_heads(model) is model


def test_a_fresh_head() -> None:
    model = wide(classifier)
    interpreter = tt.Interpreter(tt.rewrite(model, classes=5).model_bytes)
    batch = samples(model, 5)
    losses = [
        np.mean([interpreter.train_step(x, i, 0.3) for i, x in enumerate(batch)]) for _ in range(12)
    ]
    assert interpreter.infer(batch[0]).shape == (1, 5)
    assert losses[-1] < 0.9 * losses[0]
