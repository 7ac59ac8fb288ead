"""A model cut at its frozen boundary trains as the whole model does, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from benchmarks.tail import Boundary, Cut, CutError, cut, find_boundary
from tests.steps import RATE, random_inputs, weights_of
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.scheme import Scheme

Converted = Callable[[str], Model]


def rewritten(model: Model, scheme: Scheme) -> Model:
    return Model(tt.rewrite(model, scheme).model_bytes, model.name)


def assert_trains_alike(whole: Model, parts: Cut, steps: int = 4) -> None:
    samples = np.stack(random_inputs(whole.graph, steps))[:, 0]
    activations = Boundary(whole, parts).activations(samples)
    labels = np.random.default_rng(1)
    one, other = tt.Interpreter(whole), tt.Interpreter(parts.tail)
    for x, activation in zip(samples, activations, strict=True):
        np.testing.assert_array_equal(one.infer(x), other.infer(activation))
        label = int(labels.integers(one.classes))
        assert one.train_step(x, label, RATE) == other.train_step(activation, label, RATE)
        assert one.state() == other.state()
    one.reset()
    one.load_state(other.state())
    assert one.step == steps


@pytest.mark.parametrize("residual_bits", [0, 8])
def test_the_tail_trains_bit_for_bit_as_the_whole(digits: Model, residual_bits: int) -> None:
    scheme = Scheme(biases_last=3, weights=weights_of(9, 10), residual_bits=residual_bits)
    whole = rewritten(digits, scheme)
    parts = cut(whole)
    assert parts.trunk is not None and parts.first_layer > 0
    assert_trains_alike(whole, parts)


def test_a_skip_branch_moves_the_automatic_cut_before_it(converted: Converted) -> None:
    # Layers 1 and 2 lie beside the skip from layer 0's output.
    whole = rewritten(converted("mobilenet"), Scheme(weights=weights_of(2)))
    parts = cut(whole)
    assert parts.boundary == list_layers(whole.graph)[0].op.output.name
    assert parts.first_layer == 1
    assert_trains_alike(whole, parts)


def test_without_a_frozen_layer_the_boundary_is_the_input(converted: Converted) -> None:
    whole = rewritten(converted("keyword"), Scheme(weights=weights_of(0)))
    parts = cut(whole)
    assert parts.trunk is None and parts.tail is whole and parts.first_layer == 0
    assert_trains_alike(whole, parts)


def test_a_plain_model_is_cut_where_told(converted: Converted) -> None:
    model = converted("keyword")
    parts = cut(model, list_layers(model.graph)[1].op.output.name)
    assert parts.trunk is not None and parts.first_layer == 2
    assert len(list_layers(parts.tail.graph)) == len(list_layers(model.graph)) - 2
    samples = np.stack(random_inputs(model.graph, 3))[:, 0]
    activations = Boundary(model, parts).activations(samples)
    one, other = tt.Interpreter(model), tt.Interpreter(parts.tail)
    for x, activation in zip(samples, activations, strict=True):
        np.testing.assert_array_equal(one.infer(x), other.infer(activation))


def test_what_cannot_be_cut_is_refused(converted: Converted) -> None:
    model = converted("mobilenet")
    layers = list_layers(model.graph)
    with pytest.raises(CutError, match="crosses the cut as well"):
        cut(model, layers[1].op.output.name)
    with pytest.raises(CutError, match="0 tensors named 'nonsense'"):
        cut(model, "nonsense")
    with pytest.raises(CutError, match="no training ops"):
        find_boundary(model)
    whole = rewritten(model, Scheme(weights=weights_of(0)))
    with pytest.raises(CutError, match="a layer before it trains"):
        cut(whole, list_layers(whole.graph)[0].op.output.name)


def test_activations_are_kept(digits: Model, tmp_path: Path) -> None:
    whole = rewritten(digits, Scheme(biases_last=1))
    parts = cut(whole)
    samples = np.stack(random_inputs(whole.graph, 3))[:, 0]
    first = Boundary(whole, parts, tmp_path).activations(samples)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]
    np.testing.assert_array_equal(Boundary(whole, parts, tmp_path).activations(samples), first)
    Boundary(whole, parts, tmp_path).activations(samples[:2])
    assert len(list(tmp_path.iterdir())) == 2
