"""Every loss through the whole path: rewritten, stepped in TFLM, equal to the numpy reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.loss_models import loss_model, other_model
from tests.steps import assert_follows_reference, random_inputs, random_target, weights_of
from tflm_train.errors import DataError, RuntimeFailure, SchemeError, UnsupportedError
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.scheme import Head, Loss, Scheme

CASES: dict[str, tuple[str, Loss]] = {
    "labels": ("tagger", Loss("sigmoid_cross_entropy")),
    "weighted labels": (
        "tagger",
        Loss("sigmoid_cross_entropy", label_smoothing=0.1, class_weights=(1, 2, 0.5, 1)),
    ),
    "yes or no": ("detector", Loss("sigmoid_cross_entropy")),
    "values": ("regression", Loss("mean_squared_error")),
    "autoencoder": ("autoencoder", Loss("mean_squared_error", "input")),
    "autoencoder, given": ("autoencoder", Loss("mean_squared_error")),
    "logits as labels": ("regression", Loss("sigmoid_cross_entropy")),
    "distillation": ("regression", Loss(target="probabilities")),
    "smoothed": ("regression", Loss(label_smoothing=0.2, class_weights=(1, 0.5, 2))),
    "first output": ("two_outputs", Loss()),
    "map": ("segmenter", Loss()),
    "weighted map": ("segmenter", Loss(label_smoothing=0.1, class_weights=(0.2, 1, 2))),
    "map of probabilities": ("segmenter", Loss(target="probabilities")),
    "values behind a sigmoid": ("tagger", Loss("mean_squared_error")),
}

_QUANTIZE = "make an int8 model of it: `tflm_train quantize MODEL --data D`"


def rewritten(name: str, loss: Loss, **changes: Any) -> Model:
    """Everything trains that feeds the trained output."""
    model = Model(loss_model(name), name)
    scheme = Scheme(loss=loss, **{"weights": weights_of(0), **changes})
    return Model(rewrite(model, scheme).model_bytes, name)


@pytest.mark.parametrize("case", CASES)
def test_steps_follow_the_reference(case: str) -> None:
    assert_follows_reference(rewritten(*CASES[case]), rate=0.05)


@pytest.mark.parametrize("case", CASES)
def test_the_loss_of_a_fixed_batch_falls(case: str) -> None:
    interpreter = tt.Interpreter(rewritten(*CASES[case]))
    rng = np.random.default_rng(1)
    samples = random_inputs(interpreter.model.graph, 4, seed=1)
    targets = [random_target(interpreter, rng) for _ in samples]
    rate = 0.5 if case.endswith(("labels", "sigmoid")) or "map" in case else 0.02
    epochs = [
        sum(interpreter.train_step(x, t, rate) for x, t in zip(samples, targets, strict=True))
        for _ in range(120)
    ]
    assert epochs[-1] < 0.95 * epochs[0]


@pytest.mark.parametrize("case", CASES)
def test_inference_stays(case: str) -> None:
    name, loss = CASES[case]
    plain, trainable = tt.Interpreter(loss_model(name)), tt.Interpreter(rewritten(name, loss))
    for x in random_inputs(plain.model.graph, 5):
        np.testing.assert_array_equal(plain.infer(x), trainable.infer(x))


def test_the_label_is_what_the_loss_needs() -> None:
    def described(case: str) -> list[tuple[str, str, tuple[int, ...]]]:
        own = 1
        return [(t.name, t.type_name, t.shape) for t in rewritten(*CASES[case]).graph.inputs[own:]]

    rate = ("train/learning_rate", "FLOAT32", (1,))
    assert described("labels") == [("train/label", "FLOAT32", (1, 4)), rate]
    assert described("values") == [("train/label", "FLOAT32", (1, 3)), rate]
    assert described("smoothed") == [("train/label", "INT32", (1,)), rate]
    assert described("map") == [("train/label", "INT32", (1, 4, 5)), rate]
    assert described("autoencoder") == [rate]


def output_of(size: int) -> int:
    """Which output of `two_outputs` has so many elements; the converter orders them."""
    outputs = Model(loss_model("two_outputs")).graph.outputs
    return [t.size for t in outputs].index(size)


class TestOutputs:
    def test_each_output(self) -> None:
        for size, loss in ((3, Loss()), (4, Loss("mean_squared_error"))):
            new = rewritten("two_outputs", loss, output=output_of(size))
            interpreter = tt.Interpreter(new)
            assert interpreter.trained_output == output_of(size) and interpreter.classes == size
            assert_follows_reference(new, rate=0.01)

    def test_by_name(self) -> None:
        model = Model(loss_model("two_outputs"))
        box = output_of(4)
        name = model.graph.outputs[box].name
        first = rewritten("two_outputs", Loss("mean_squared_error"), output=name)
        second = rewritten("two_outputs", Loss("mean_squared_error"), output=box)
        assert [op.name for op in first.graph.ops] == [op.name for op in second.graph.ops]

    def test_the_head_is_the_trained_output_s(self) -> None:
        model = Model(loss_model("two_outputs"))
        heads = set()
        for output, loss in ((output_of(3), Loss()), (output_of(4), Loss("mean_squared_error"))):
            scheme = Scheme(loss=loss, output=output, head=Head(classes=5))
            result = rewrite(model, scheme)
            new = Model(result.model_bytes)
            shapes = [t.shape for t in new.graph.outputs[:2]]
            other = 1 - output
            assert shapes[output] == (1, 5) and shapes[other] == model.graph.outputs[other].shape
            heads.add(result.report.layers[0].index)
        assert len(heads) == 2

    def test_none_of_that_name(self) -> None:
        with pytest.raises(
            SchemeError, match=r"output: two_outputs has no output 'x'; it has 0 \("
        ):
            rewritten("two_outputs", Loss(), output="x")
        with pytest.raises(SchemeError, match="has no output 2"):
            rewritten("two_outputs", Loss(), output=2)


def test_two_inputs() -> None:
    interpreter = tt.Interpreter(rewritten("two_inputs", Loss(), weights=weights_of(0, 1)))
    assert interpreter.input_count == 2
    rng = np.random.default_rng(2)
    shapes = [t.shape for t in interpreter.model.graph.inputs[:2]]
    x = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
    losses = [interpreter.train_step(x, 1, 0.02) for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    assert int(np.argmax(interpreter.infer(*x))) == 1
    with pytest.raises(DataError, match="1 inputs given, the model has 2"):
        interpreter.train_step(x[0], 1, 0.02)


class TestRefusals:
    @pytest.mark.parametrize(
        ("case", "target", "words"),
        [
            ("labels", np.full(4, 1.5), "no probability from 0 to 1"),
            ("labels", np.zeros(3), "the target has 3 values; the model has 4 outputs"),
            ("labels", 4, "label 4 is outside the model's 4 classes"),
            ("labels", None, "the loss of this model needs a target"),
            ("yes or no", 2, "no probability from 0 to 1"),
            ("values", np.array([0, np.nan, 0]), "not a finite number"),
            ("values", 1, "the target is one number; the model has 3 outputs"),
            ("autoencoder", np.zeros(24), "its own input; give None"),
            ("smoothed", 0.5, "the target is float64 .*; this model takes one class index"),
            ("smoothed", 3, "label 3 is out of range: the model has 3 classes"),
        ],
    )
    def test_targets(self, case: str, target: Any, words: str) -> None:
        interpreter = tt.Interpreter(rewritten(*CASES[case]))
        x = random_inputs(interpreter.model.graph, 1)[0]
        with pytest.raises(DataError, match=words):
            interpreter.train_step(x, target, 0.01)
        assert interpreter.step == 0

    @pytest.mark.parametrize(
        ("case", "wrong", "words"),
        [
            ("labels", 1.5, "a target value is no probability from 0 to 1"),
            ("distillation", -0.1, "a target value is no probability from 0 to 1"),
            ("values", np.nan, "a target value is not a finite number of ordinary size"),
            ("values", np.inf, "a target value is not a finite number of ordinary size"),
        ],
    )
    def test_targets_in_the_kernel(self, case: str, wrong: float, words: str) -> None:
        interpreter = tt.Interpreter(rewritten(*CASES[case]))
        before = interpreter.state()
        label, rate = interpreter.model.graph.inputs[1:]
        raw = interpreter._interpreter
        raw.set_input(random_inputs(interpreter.model.graph, 1)[0], 0)
        target = np.full(label.shape, 0.5, np.float32)
        target[0, -1] = wrong
        raw.set_input(target, 1)
        raw.set_input(np.full(rate.shape, 0.1, np.float32), 2)
        with pytest.raises(RuntimeFailure, match=words):
            interpreter._invoke()
        raw.set_input(np.zeros(rate.shape, np.float32), 2)
        assert interpreter.state() == before

    def test_class_weights_of_other_classes(self) -> None:
        with pytest.raises(SchemeError, match="2 weights for the 3 classes of regression"):
            rewritten("regression", Loss(class_weights=(1, 2)))

    def test_an_input_that_is_no_target(self) -> None:
        with pytest.raises(UnsupportedError, match=r"loss\.target: regression: input .* cannot be"):
            rewritten("regression", Loss("mean_squared_error", "input"))

    def test_one_class(self) -> None:
        with pytest.raises(UnsupportedError, match="needs at least 2 classes"):
            rewritten("detector", Loss())


class TestOtherForms:
    """What is not int8 from end to end."""

    def test_float_ends(self) -> None:
        model = Model(other_model("float_ends"), "float_ends")
        assert model.graph.inputs[0].type_name == "FLOAT32"
        assert [op.name for op in model.graph.ops][:: len(model.graph.ops) - 1] == [
            "QUANTIZE", "DEQUANTIZE",
        ]  # fmt: skip
        assert inspect_model(model).barriers == ()
        for loss in (Loss("mean_squared_error"), Loss()):
            scheme = Scheme(loss=loss, weights=weights_of(0))
            interpreter = tt.Interpreter(rewrite(model, scheme).model_bytes)
            plain = tt.Interpreter(model)
            rng = np.random.default_rng(5)
            x = rng.uniform(-1, 1, (1, 6)).astype(np.float32)
            np.testing.assert_array_equal(interpreter.infer(x), plain.infer(x))
            target = 1 if loss == Loss() else np.array([0.3, -0.3, 0.1])
            losses = [interpreter.train_step(x, target, 0.02) for _ in range(60)]
            assert losses[-1] < 0.6 * losses[0]

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("hybrid", f"are FLOAT32, not quantized int8; {_QUANTIZE}"),
            ("float", f"are FLOAT32, not quantized int8; {_QUANTIZE}"),
        ],
    )
    def test_refused_with_a_remedy(self, kind: str, words: str) -> None:
        model = Model(other_model(kind), kind)
        with pytest.raises(UnsupportedError, match=f"{words.partition('; ')[2]}$"):
            rewrite(model, Scheme())
        described = inspect_model(model)
        assert all(layer.why_not.endswith(words) for layer in described.layers)

    def test_a_fresh_head_for_what_is_not_int8(self) -> None:
        with pytest.raises(UnsupportedError, match=r"is FLOAT32, not quantized int8; leave `head`"):
            rewrite(Model(other_model("hybrid")), Scheme(head=Head(classes=5)))


def test_a_label_index_stands_for_that_label_alone() -> None:
    first, second = (tt.Interpreter(rewritten(*CASES["labels"])) for _ in range(2))
    x = random_inputs(first.model.graph, 1)[0]
    assert first.train_step(x, 2, 0.1) == second.train_step(x, [0, 0, 1, 0], 0.1)
    assert first.state() == second.state()


def test_labels_and_logits_are_the_same_model() -> None:
    """LOGISTIC at the end is part of the loss: its 1/256 steps do not limit the gradient."""
    model = Model(loss_model("tagger"))
    assert [op.name for op in model.graph.ops][-1] == "LOGISTIC"
    new = rewritten("tagger", Loss("sigmoid_cross_entropy"))
    loss = next(op for op in new.graph.ops if op.name == "TFLM_TRAIN_LOSS")
    logits = list_layers(model.graph)[-1].op.output
    assert loss.input is new.graph.tensors[model.graph.tensors.index(logits)]
