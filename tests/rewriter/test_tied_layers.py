"""A layer that runs several times stays one: its gradients add up, its variables are shared."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from benchmarks.orders import differing_orders
from tests.models import TIED
from tests.steps import (
    assert_follows_reference,
    assert_same_inference,
    full_scheme,
    random_inputs,
    random_target,
    train,
    weights_of,
)
from tflm_train.errors import SchemeError
from tflm_train.model import Model, Quantization, Tensor
from tflm_train.model.layers import Layer, have_one_bias, list_layers, uses_of
from tflm_train.model.prepared import prepared
from tflm_train.ops import ConvUpdate, DepthwiseUpdate
from tflm_train.qas.update_rule import AccumulatedSgd, Sgd
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import inspect_model
from tflm_train.rewriter.optimize import Forward, Streaming, optimize
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.scheme.presets import preset_scheme
from tflm_train.trained.trainable_model import TrainableModel

Converted = Callable[[str], Model]
Values = dict[str, npt.NDArray[np.int64]]
FAST, SLOW = 0.3, 0.002


@pytest.fixture(params=TIED)
def model(request: pytest.FixtureRequest, converted: Converted) -> Model:
    return converted(request.param)


def groups(model: Model) -> list[list[Layer]]:
    """The uses of each layer that runs several times."""
    layers = list_layers(model.graph)
    found = {uses[0].index: uses for uses in (uses_of(layers, layer) for layer in layers)}
    return [uses for uses in found.values() if len(uses) > 1]


def schemes(model: Model) -> Iterator[Scheme]:
    whole = full_scheme(model)
    yield whole
    half = tuple(WeightUpdate(layer.index, 0.5) for layer in list_layers(model.graph)[:-1])
    yield dataclasses.replace(whole, weights=half, residual_bits=0)
    yield dataclasses.replace(whole, residual_bits=4, optimizer=Sgd(clip_norm=0.5))
    yield dataclasses.replace(whole, optimizer=AccumulatedSgd(steps=2, weight_decay=0.1))
    yield preset_scheme("biases", model)


def test_all_schemes(model: Model) -> None:
    for scheme in schemes(model):
        new = Model(rewrite(model, scheme).model_bytes, model.name)
        assert_same_inference(model, new, count=4)
        assert_follows_reference(new, rate=FAST)


def test_layers_stay_one_when_streamed_and_merged(model: Model) -> None:
    expected = [len(uses) for uses in groups(model)]
    assert expected and max(expected) > 1
    for scheme in itertools.islice(schemes(model), 2):
        builtin = rewrite(model, scheme).model_bytes
        streamed = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO).model_bytes
        plain, other = tt.Interpreter(builtin), tt.Interpreter(streamed)
        train(plain, 3)
        train(other, 3)
        assert plain.state() == other.state()
        for data, interpreter in ((builtin, plain), (streamed, other)):
            merged = Model(tt.merge(data, interpreter.state()))
            assert [len(uses) for uses in groups(merged)] == expected
            x = random_inputs(model.graph, 1)[0]
            np.testing.assert_array_equal(tt.Interpreter(merged).infer(x), interpreter.infer(x))


def test_a_rewrite_of_the_optimized_model_is_that_of_the_model(model: Model) -> None:
    again = Model(optimize(model).model_bytes, model.name)
    scheme = preset_scheme("full", model)
    one, other = (tt.Interpreter(rewrite(m, scheme).model_bytes) for m in (model, again))
    train(one, 2)
    train(other, 2)
    for a, b in zip(one.variables().values(), other.variables().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def fine_values(interpreter: tt.Interpreter) -> Values:
    """Weights in steps of their residual, biases, by name."""
    values, found = interpreter.variables(), Values()
    for update in TrainableModel.read(interpreter.model).updates:
        if update.weights is not None and update.residual is not None:
            low = values[update.residual.key].view(np.int8).astype(np.int64)
            whole = values[update.weights.key].astype(np.int64)
            found[update.weights.tensor.name] = 256 * whole + low.reshape(whole.shape)
        if update.bias is not None:
            found[update.bias.tensor.name] = values[update.bias.key].astype(np.int64)
    return found


def moved(model: Model, rate: float) -> Values:
    """By how much one step moves everything."""
    interpreter = tt.Interpreter(rewrite(model, full_scheme(model)).model_bytes)
    x = random_inputs(model.graph, 1, seed=6)[0]
    interpreter.infer(x)
    before = fine_values(interpreter)
    target = random_target(interpreter, np.random.default_rng(2))
    interpreter.train_step(x, target, rate)
    return {name: value - before[name] for name, value in fine_values(interpreter).items()}


def untied(model: Model) -> Model:
    """The model with a copy of its weights for each use."""
    for uses in groups(model):
        weights = uses[0].weights
        for layer in uses[1:]:
            copy = dataclasses.replace(weights, name=f"{weights.name}@{layer.index}", raw=None)
            layer.op.inputs[layer.form.weights] = model.graph.add(copy)
    return Model(model.to_bytes(), model.name)


def test_a_step_is_the_sum_of_those_of_its_uses(model: Model) -> None:
    together, apart = moved(model, SLOW), moved(untied(Model(model.source)), SLOW)
    weights = {uses[0].weights.name: uses[0].weights.data for uses in groups(model)}
    assert weights
    for name in weights:
        parts = [value for key, value in apart.items() if key.partition("@")[0] == name]
        assert len(parts) > 1 and np.any(parts[0]) and np.any(parts[1])
        # A weight at the end of its range moves no further.
        inside = np.abs(weights[name].astype(np.int64)) < 120
        np.testing.assert_array_equal(together[name][inside], sum(parts)[inside])


@pytest.mark.parametrize("name", ["siamese", "heads", "gru"])
def test_a_bias_in_several_scales_stays_one(converted: Converted, name: str) -> None:
    model = converted(name)
    uses = next(u for u in groups(model) if u[0].bias is not None and u[0].x.scale != u[1].x.scale)
    first, second = uses[:2]
    assert first.bias is not second.bias and have_one_bias(first, second)
    together, apart = moved(model, SLOW), moved(untied(Model(model.source)), SLOW)
    real = []
    for use in uses:
        assert use.bias is not None and use.weights.quantization is not None
        step = use.x.scale * use.weights.quantization.scale
        assert np.any(together[use.bias.name])
        real.append((together[use.bias.name] * step, apart[use.bias.name] * step, step))
    total = sum(alone for _, alone, _ in real)
    largest = np.abs(total).max()
    for joint, _, step in real:
        # Each part of the sum is int8: what it loses is half a step of the largest channel's.
        assert np.abs(joint - total).max() <= len(uses) * (largest / 127 + step.max())


def test_any_use_names_the_layer(model: Model) -> None:
    for uses in groups(prepared(model)):
        names = [layer.index for layer in uses]
        expected = rewrite(model, Scheme(weights=weights_of(names[-1])))
        for named in (names[:1], names):
            found = rewrite(model, Scheme(weights=weights_of(*named)))
            assert [x.index for x in found.report.layers] == [
                x.index for x in expected.report.layers
            ]
        assert set(names) <= {x.index for x in expected.report.layers}
        trains = {x.index: x.why_not for x in inspect_model(model).layers}
        assert trains[names[-1]] is None
        for index in names[:-1]:
            assert f"it is layer {names[-1]} once more" in (trains[index] or "")


def test_uses_that_are_told_apart_are_refused(converted: Converted) -> None:
    model = converted("siamese")
    first, second = groups(model)[0]
    scheme = Scheme(weights=(WeightUpdate(first.index), WeightUpdate(second.index, 0.5)))
    with pytest.raises(SchemeError, match=r"are one layer, .* say the same of both, or name one"):
        rewrite(model, scheme)


def test_a_bias_that_some_uses_lack_stays(converted: Converted) -> None:
    """The converter adds it elsewhere: alone it would come apart from that."""
    model = converted("siamese")
    first, second = groups(model)[0]
    first.op.inputs[first.form.bias] = None
    lacking = Model(model.to_bytes(), model.name)
    with pytest.raises(SchemeError, match="has no bias everywhere where it runs"):
        rewrite(lacking, Scheme(bias_layers=(second.index,)))
    new = Model(rewrite(lacking, full_scheme(lacking)).model_bytes)
    assert second.bias is not None
    changed = [u.bias.tensor.name for u in TrainableModel.read(new).updates if u.bias is not None]
    assert len(changed) == 5 and second.bias.name not in changed
    assert_follows_reference(new)


def test_decay_and_clipping_are_of_the_whole_layer(converted: Converted) -> None:
    model = converted("heads")
    scheme = full_scheme(model, optimizer=Sgd(weight_decay=0.1, clip_norm=2.0))
    new = Model(rewrite(model, scheme).model_bytes)
    rules: dict[str, list[tuple[float, float]]] = {}
    for update in TrainableModel.read(new).updates:
        if isinstance(update.params, ConvUpdate | DepthwiseUpdate) and update.weights is not None:
            rule = update.params.rule
            found = rules.setdefault(update.weights.key, [])
            found.append((round(rule.weight_decay, 6), rule.clip_norm))
    several = [found for found in rules.values() if len(found) > 1]
    assert several == [[(0.1, 1.0), (0.0, 1.0)]] * 2


def test_uses_that_feed_another_output_run_before_the_step(converted: Converted) -> None:
    """A tool may put them anywhere before what needs them: the loss waits for them."""
    model = converted("siamese")
    difference = next(op for op in model.graph.ops if op.name == "SUB")
    first, second = difference.inputs
    assert first is not None and second is not None
    nothing = Tensor.make(
        "nothing", np.int8, second.shape, data=np.zeros(second.shape, np.int8),
        quantization=second.quantization,
    )  # fmt: skip
    difference.inputs = [first, model.graph.add(nothing)]
    model.graph.outputs.append(second)
    two = Model(model.to_bytes(), model.name)
    new = Model(rewrite(two, full_scheme(two)).model_bytes)
    loss = next(op for op in new.graph.ops if op.name == "TFLM_TRAIN_LOSS")
    assert second.name in {t.name for t in loss.inputs if t is not None}
    assert_same_inference(two, new, count=4)
    assert_follows_reference(new)
    samples = [(x, i % 2) for i, x in enumerate(random_inputs(two.graph, 2))]
    rng = np.random.default_rng(0)
    assert differing_orders(new.source, samples, FAST, 10, rng) == 0


def test_layers_with_equal_constants_are_copied(converted: Converted) -> None:
    """Weights that are all alike are merged by the converter, and say nothing."""
    model = converted("siamese")
    for uses in groups(model):
        for layer in uses[:1]:
            assert layer.weights.data is not None
            layer.weights.data = np.zeros_like(layer.weights.data)
    alike = Model(model.to_bytes(), model.name)
    assert not groups(alike)
    report = rewrite(alike, full_scheme(alike)).report
    assert sum("gets its own copy" in warning for warning in report.warnings) >= 3


def test_biases_that_differ_train_apart(converted: Converted) -> None:
    model = converted("siamese")
    uses = groups(model)[0]
    for layer, value in zip(uses, (500, -500), strict=True):
        assert layer.bias is not None and layer.bias.data is not None
        layer.bias.data = np.full_like(layer.bias.data, value)
        assert isinstance(layer.bias.quantization, Quantization)
    other = Model(model.to_bytes(), model.name)
    assert not have_one_bias(*groups(other)[0])
    new = Model(rewrite(other, full_scheme(other)).model_bytes)
    changed = [u.bias.tensor.name for u in TrainableModel.read(new).updates if u.bias is not None]
    names = [layer.bias.name for layer in uses if layer.bias is not None]
    assert [changed.count(name) for name in names] == [1, 1]
    assert_follows_reference(new)
