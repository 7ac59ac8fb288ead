"""Our forward ops made builtin again: what `optimize` and streamed rewrites did is undone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests import requirements
from tests.models import TRAINABLE
from tests.steps import random_inputs, train
from tflm_train.errors import ModelError
from tflm_train.graph import Graph, Tensor
from tflm_train.model import Model
from tflm_train.model.origins import METADATA_NAME
from tflm_train.ops.reading import is_ours
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.fold_pad import fold_pads
from tflm_train.rewriter.optimize import Choice, Forward, Streaming, optimize
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.trained.builtin_layers import with_builtins

Converted = Callable[[str], Model]
_SMALLEST = Choice(Streaming.AUTO, Forward.AUTO)
_SAMPLES = 5
_LOST_SCALE = 1e-8


def folded(model: Model) -> Graph:
    """The graph that `optimize` begins with."""
    graph = Model(model.source, model.name).graph
    fold_pads(graph)
    return graph


def assert_same_scales(found: npt.NDArray[np.float32], wanted: npt.NDArray[np.float32]) -> None:
    lost = wanted < _LOST_SCALE
    np.testing.assert_array_equal(found[~lost], wanted[~lost])
    assert np.all((found[lost] > 0) & (found[lost] < _LOST_SCALE))


def assert_same_tensor(found: Tensor | None, wanted: Tensor | None) -> None:
    assert (found is None) == (wanted is None)
    if found is None or wanted is None:
        return
    assert (found.shape, found.type_name) == (wanted.shape, wanted.type_name)
    assert (found.data is None) == (wanted.data is None)
    if wanted.data is not None:
        np.testing.assert_array_equal(found.data, wanted.data)
    if wanted.quantization is not None and wanted.type_name == "INT8":
        assert found.quantization is not None
        # A channel whose multiplier is too small for TFLM has lost its scale, and needs none.
        assert_same_scales(found.quantization.scale, wanted.quantization.scale)
        np.testing.assert_array_equal(found.quantization.zero_point, wanted.quantization.zero_point)


def assert_same_graph(found: Graph, wanted: Graph) -> None:
    """The same operators with the same options on the same tensors, but for names."""
    assert [op.name for op in found.ops] == [op.name for op in wanted.ops]
    for op, original in zip(found.ops, wanted.ops, strict=True):
        assert (op.options is None) == (original.options is None)
        if op.options is not None:
            assert repr(vars(op.options)) == repr(vars(original.options))
        optional = [None] * (len(original.inputs) - len(op.inputs))
        for tensor, reference in zip([*op.inputs, *optional], original.inputs, strict=True):
            assert_same_tensor(tensor, reference)
        for tensor, reference in zip(op.outputs, original.outputs, strict=True):
            assert_same_tensor(tensor, reference)


@pytest.mark.parametrize("name", TRAINABLE)
def test_an_optimized_model_is_undone(name: str, converted: Converted) -> None:
    model = converted(name)
    optimized = Model(optimize(model, _SMALLEST).model_bytes, name)
    undone = with_builtins(optimized)
    assert not any(map(is_ours, undone.graph.ops))
    assert_same_graph(undone.graph, folded(model) if undone is not optimized else model.graph)


def test_other_peoples_models_are_undone() -> None:
    folder = requirements.shared() / "models"
    streamed = 0
    for path in sorted(folder.glob("*.tflite")):
        model = tt.load(path)
        optimized = Model(optimize(model, _SMALLEST).model_bytes, path.stem)
        undone = with_builtins(optimized)
        if undone is not optimized:
            streamed += 1
            assert_same_graph(undone.graph, folded(model))
    assert streamed >= 10


@pytest.mark.parametrize("latent", [False, True])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("name", ["mobilenet", "resnet", "keyword"])
def test_merging_a_streamed_model(
    name: str, share: float, latent: bool, converted: Converted
) -> None:
    """Builtin ops, the trained outputs bit for bit, and it is rewritten again."""
    model = converted(name)
    scheme = dataclasses.replace(
        Scheme(biases_last=3, weights=(WeightUpdate(-2, share),)), latent=latent
    )
    result = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)
    rewritten = Model(result.model_bytes, name)
    assert any("STREAM" in op.name for op in rewritten.graph.ops)
    interpreter = tt.Interpreter(rewritten)
    train(interpreter, 5)
    merged = Model(tt.merge(rewritten, interpreter.state()), "merged")
    assert not any(op.is_custom for op in merged.graph.ops)
    assert not any(t.name.startswith("train/") for t in merged.graph.walk_tensors())
    assert merged.metadata(METADATA_NAME) is None
    plain = tt.Interpreter(merged)
    for x in random_inputs(model.graph, _SAMPLES, seed=3):
        np.testing.assert_array_equal(plain.infer(x), interpreter.infer(x))
    rewrite(merged, scheme, stream=Streaming.AUTO, forward=Forward.AUTO)


def test_rewriting_an_optimized_model_is_rewriting_the_original(converted: Converted) -> None:
    model = converted("mobilenet")
    optimized = Model(optimize(model, _SMALLEST).model_bytes, model.name)
    assert any(map(is_ours, optimized.graph.ops))
    scheme = Scheme(biases_last=3)
    states = []
    for each in (model, optimized):
        interpreter = tt.Interpreter(rewrite(each, scheme, stream=Streaming.AUTO).model_bytes)
        train(interpreter, 5)
        states.append(interpreter.variables())
    for first, second in zip(states[0].values(), states[1].values(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_optimizing_twice_changes_nothing(converted: Converted) -> None:
    model = converted("mobilenet")
    once = optimize(model, _SMALLEST)
    again = optimize(Model(once.model_bytes, model.name), _SMALLEST)
    assert again.after.total_bytes == once.after.total_bytes


@pytest.mark.parametrize("damage", [None, b"", b"{", b'{"00000000":[]}'])
def test_without_the_metadata_it_is_said_what_to_do(
    damage: bytes | None, converted: Converted
) -> None:
    model = converted("mobilenet")
    optimized = Model(optimize(model, _SMALLEST).model_bytes, model.name)
    optimized.drop_metadata(METADATA_NAME)
    if damage is not None:
        optimized.set_metadata(METADATA_NAME, damage)
    damaged = Model(optimized.to_bytes(), model.name)
    with pytest.raises(ModelError, match="missing or damaged; rewrite the original model again"):
        with_builtins(damaged)
