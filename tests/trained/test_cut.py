"""A model cut at its frozen boundary trains as the whole model does, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests.loss_models import loss_model, other_model
from tests.steps import RATE, random_inputs, random_target, weights_of
from tflm_train.model import Model, load
from tflm_train.model.layers import list_layers
from tflm_train.ops import Stream
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming, optimize
from tflm_train.scheme import Loss, Scheme
from tflm_train.trained.cut import Cut, CutError, cut, find_boundary

Converted = Callable[[str], Model]


def rewritten(model: Model, scheme: Scheme) -> Model:
    return Model(rewrite(model, scheme).model_bytes, model.name)


def streamed(model: Model, scheme: Scheme) -> Model:
    ways = {"stream": Streaming.AUTO, "forward": Forward.FLASH}
    return Model(rewrite(model, scheme, **ways).model_bytes, model.name)


def assert_trains_alike(whole: Model, parts: Cut, steps: int = 4) -> None:
    one, other = tt.Interpreter(whole), tt.Interpreter(parts.tail)
    trunk = None if parts.trunk is None else tt.Interpreter(parts.trunk)
    targets, same = np.random.default_rng(1), np.random.default_rng(1)
    for x in random_inputs(whole.graph, steps):
        latent = x if trunk is None else trunk.infer(x)
        given = [latent, x] if one.learns_its_input and trunk is not None else [latent]
        np.testing.assert_array_equal(one.infer(x), other.infer(*given))
        loss = one.train_step(x, random_target(one, targets), RATE)
        assert loss == other.train_step(given, random_target(other, same), RATE)
        assert one.state() == other.state()
    one.reset()
    one.load_state(other.state())
    assert one.step == steps


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [0, 8])
def test_the_tail_trains_bit_for_bit_as_the_whole(digits: Model, residual_bits: int) -> None:
    scheme = Scheme(biases_last=3, weights=weights_of(9, 10), residual_bits=residual_bits)
    whole = rewritten(digits, scheme)
    parts = cut(whole)
    assert parts.trunk is not None and parts.first_layer > 0
    assert_trains_alike(whole, parts)


@pytest.mark.interpreter
def test_streams_are_cut_where_a_frozen_one_ends(digits: Model) -> None:
    whole = streamed(digits, Scheme(biases_last=3, weights=weights_of(9, 10)))
    parts = cut(whole)
    assert parts.trunk is not None
    frozen = [op for op in parts.trunk.graph.ops if Stream.is_kind_of(op)]
    saving = [op for op in parts.tail.graph.ops if Stream.is_kind_of(op) and len(op.outputs) > 1]
    assert frozen and all(len(op.outputs) == 1 for op in frozen) and saving
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


def test_a_target_that_is_the_input_stays_an_input_of_the_tail() -> None:
    model = Model(loss_model("autoencoder"), "autoencoder")
    scheme = Scheme(loss=Loss("mean_squared_error", "input"))
    whole = rewritten(model, scheme)
    parts = cut(whole)
    assert parts.trunk is not None and parts.first_layer == 1
    names = [t.name for t in parts.tail.graph.inputs]
    assert names == [parts.boundary, whole.graph.inputs[0].name, "train/learning_rate"]
    assert_trains_alike(whole, parts)


def test_a_target_that_is_made_of_the_input_is_made_in_the_tail_once_more() -> None:
    model = Model(other_model("float_ends", "autoencoder"), "autoencoder")
    whole = rewritten(model, Scheme(loss=Loss("mean_squared_error", "input")))
    parts = cut(whole)
    assert parts.trunk is not None and parts.first_layer == 1 and parts.takes_sample
    assert [t.type_name for t in parts.tail.graph.inputs] == ["INT8", "FLOAT32", "FLOAT32"]
    one, trunk, tail = (tt.Interpreter(m) for m in (whole, parts.trunk, parts.tail))
    for x in np.random.default_rng(2).uniform(-1, 1, (4, 24)).astype(np.float32):
        latent = trunk.infer(x)
        np.testing.assert_array_equal(one.infer(x), tail.infer(latent, x))
        assert one.train_step(x, None, RATE) == tail.train_step([latent, x], None, RATE)
        assert one.state() == tail.state()
    alone = cut(whole, sample_beside=False)
    assert alone.first_layer == 0 and not alone.takes_sample
    assert alone.boundary == whole.graph.ops[1].output.name


@pytest.mark.parametrize("way", [lambda model: model, lambda m: Model(optimize(m).model_bytes)])
def test_a_plain_model_is_cut_where_told(
    converted: Converted, way: Callable[[Model], Model]
) -> None:
    model = way(converted("keyword"))
    pool = next(op for op in model.graph.ops if op.name == "AVERAGE_POOL_2D")
    parts = cut(model, pool.output.name)
    assert parts.trunk is not None
    counts = [len(list_layers(m.graph)) for m in (parts.trunk, parts.tail, model)]
    assert parts.first_layer == counts[0] and counts[0] + counts[1] == counts[2]
    whole, trunk, tail = (tt.Interpreter(m) for m in (model, parts.trunk, parts.tail))
    for x in random_inputs(model.graph, 3):
        np.testing.assert_array_equal(whole.infer(x), tail.infer(trunk.infer(x)))


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
    # What a layer reads of an earlier run is a variable that no op of the file writes.
    layers[0].weights.data, layers[0].weights.is_variable = None, True
    with pytest.raises(CutError, match="CONV_2D before it may remember"):
        cut(model, layers[0].op.output.name)
    two = Model(loss_model("two_inputs"), "two_inputs")
    with pytest.raises(CutError, match="several inputs"):
        cut(two, list_layers(two.graph)[-1].x.name)


def test_what_remembers_stays_in_the_tail(shared: Path) -> None:
    model = load(shared / "models" / "trained_lstm_int8.tflite")
    whole = rewritten(model, Scheme())
    names = [op.name for op in cut(whole).tail.graph.ops]
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM" in names


def test_the_parts_say_nothing_of_the_whole(shared: Path) -> None:
    whole = rewritten(load(shared / "models" / "vww_96_int8.tflite"), Scheme())
    parts = cut(whole)
    assert parts.trunk is not None
    assert whole.signatures and not parts.trunk.signatures and not parts.tail.signatures
    sizes = [len(m.source) for m in (parts.trunk, parts.tail, whole)]
    assert sizes[0] + sizes[1] < 1.1 * sizes[2], "each part holds its own constants only"
