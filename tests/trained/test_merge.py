"""Trained weights baked into an ordinary model: the same outputs, no trace of training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests.models import TRAINABLE
from tests.steps import full_scheme, random_inputs, train
from tflm_train.errors import DataError, ModelError, TflmTrainError
from tflm_train.model import Graph, Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.trained.merge import METADATA_NAME, is_merged_model

Converted = Callable[[str], Model]
SAMPLES = 20


def partial_scheme(model: Model) -> Scheme:
    """Half of the channels of every layer but the head: split forward layers."""
    layers = range(len(list_layers(model.graph)) - 1)
    return Scheme(weights=tuple(WeightUpdate(layer, 0.5) for layer in layers))


SCHEMES = {"whole": full_scheme, "split": partial_scheme}


def trained(model: Model, scheme: Scheme) -> tuple[Model, tt.Interpreter]:
    rewritten = Model(rewrite(model, scheme).model_bytes, f"rewritten {model.name}")
    interpreter = tt.Interpreter(rewritten)
    train(interpreter, 5)
    return rewritten, interpreter


def assert_same_structure(got: Graph, expected: Graph) -> None:
    """The same ops on tensors of the same names, shapes and quantization."""
    assert [op.name for op in got.ops] == [op.name for op in expected.ops]
    for op, reference in zip(got.ops, expected.ops, strict=True):
        assert (op.options is None) == (reference.options is None)
        if op.options is not None:
            assert vars(op.options) == pytest.approx(vars(reference.options))
        for tensor, wanted in zip(op.inputs, reference.inputs, strict=True):
            assert (tensor is None) == (wanted is None)
            if tensor is not None and wanted is not None:
                assert (tensor.name, tensor.shape) == (wanted.name, wanted.shape)
                assert (tensor.data is None) == (wanted.data is None)
                assert not tensor.is_variable
    for ours, theirs in ((got.inputs, expected.inputs), (got.outputs, expected.outputs)):
        assert [t.name for t in ours] == [t.name for t in theirs]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", TRAINABLE)
def test_outputs_equal_the_trained_interpreters(
    name: str, scheme: str, converted: Converted
) -> None:
    model = converted(name)
    rewritten, interpreter = trained(model, SCHEMES[scheme](model))
    assert ("SPLIT" in str([op.name for op in rewritten.graph.ops])) == (scheme == "split")
    merged = Model(tt.merge(rewritten, interpreter.state()), "merged")
    assert_same_structure(merged.graph, model.graph)
    plain = tt.Interpreter(merged)
    assert not plain.is_trainable
    untrained = tt.Interpreter(model)
    differs = False
    for x in random_inputs(model.graph, SAMPLES, seed=5):
        expected = interpreter.infer(x)
        np.testing.assert_array_equal(plain.infer(x), expected)
        differs |= bool(np.any(untrained.infer(x) != expected))
    assert differs, "training changed nothing"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["mobilenet", "keyword"])
def test_litert_runs_the_result(name: str, scheme: str, converted: Converted) -> None:
    """LiteRT's reference kernels, which are TFLM's, give the same bits."""
    from ai_edge_litert.interpreter import Interpreter as LiteRt
    from ai_edge_litert.interpreter import OpResolverType

    model = converted(name)
    rewritten, interpreter = trained(model, SCHEMES[scheme](model))
    litert = LiteRt(
        model_content=tt.merge(rewritten, interpreter.state()),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    litert.allocate_tensors()
    source, sink = litert.get_input_details()[0], litert.get_output_details()[0]
    for x in random_inputs(model.graph, SAMPLES, seed=6):
        litert.set_tensor(source["index"], x)
        litert.invoke()
        np.testing.assert_array_equal(litert.get_tensor(sink["index"]), interpreter.infer(x))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["mobilenet", "resnet", "branches"])
def test_the_factory_merge_rewrites_and_trains_as_the_original(
    name: str, scheme: str, converted: Converted
) -> None:
    model = converted(name)
    chosen = SCHEMES[scheme](model)
    rewritten, interpreter = trained(model, chosen)
    again = rewrite(Model(tt.merge(rewritten)), chosen)
    second = tt.Interpreter(again.model_bytes)
    train(second, 5)
    for (key, value), other in zip(
        interpreter.variables().items(), second.variables().values(), strict=True
    ):
        np.testing.assert_array_equal(value, other, key)


@pytest.mark.interpreter
def test_a_merged_model_keeps_learning(digits: Model) -> None:
    rewritten, interpreter = trained(digits, full_scheme(digits))
    merged = Model(tt.merge(rewritten, interpreter.state()))
    again = tt.Interpreter(rewrite(merged, full_scheme(merged)).model_bytes)
    x = random_inputs(digits.graph, 1)[0]
    np.testing.assert_array_equal(again.infer(x), interpreter.infer(x))
    train(again, 2)


def test_nothing_of_training_is_left(digits: Model) -> None:
    data = tt.merge(rewrite(digits, full_scheme(digits)).model_bytes)
    assert is_merged_model(data) and not is_merged_model(digits.source)
    assert b"TFLM_TRAIN" not in data and b"train/" not in data and b"grad/" not in data
    merged = Model(data)
    assert len(merged.graph.tensors) == len(digits.graph.tensors)
    assert abs(len(data) - len(digits.source)) < 512
    for tensor, original in zip(merged.graph.tensors, digits.graph.tensors, strict=True):
        assert tensor.name == original.name
        if original.data is not None:
            assert tensor.data is not None
            np.testing.assert_array_equal(tensor.data, original.data)


@functools.cache
def a_fresh_head() -> bytes:
    from tests.steps import DIGITS
    from tflm_train.scheme import Head

    scheme = Scheme(head=Head(classes=3))
    return rewrite(tt.load(DIGITS), scheme).model_bytes


def test_a_fresh_head_stays() -> None:
    interpreter = tt.Interpreter(a_fresh_head())
    train(interpreter, 4)
    merged = tt.Interpreter(tt.merge(a_fresh_head(), interpreter.state()))
    x = random_inputs(merged.model.graph, 1)[0]
    assert merged.infer(x).shape == (1, 3)
    np.testing.assert_array_equal(merged.infer(x), interpreter.infer(x))


def test_merging_twice_notes_the_last_step(digits: Model) -> None:
    rewritten, interpreter = trained(digits, full_scheme(digits))
    once = Model(tt.merge(rewritten, interpreter.state()))
    again = rewrite(once, full_scheme(once)).model_bytes
    twice = tt.merge(again)
    assert twice.count(METADATA_NAME.encode()) == 1
    assert b'"step": 0' in twice and b'"step": 5' not in twice


def test_refusals(digits: Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no training ops"):
        tt.merge(digits)
    rewritten = rewrite(digits, full_scheme(digits)).model_bytes
    with pytest.raises(DataError, match="not a saved training state"):
        tt.merge(rewritten, b"something else")
    other = tt.Interpreter(a_fresh_head()).state()
    with pytest.raises(DataError, match="saved from another model"):
        tt.merge(rewritten, other)
    with pytest.raises(TflmTrainError, match="cannot be read"):
        tt.merge(tmp_path / "absent.tflite")
