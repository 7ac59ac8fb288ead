"""A model with `latent: true` learns from latents, samples or both what the plain one learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tflm_train as tt
from tests.loss_models import loss_model, other_model
from tests.memory.test_memory_report import assert_predicted
from tests.networks import NETWORKS, load_network
from tests.steps import RATE, full_scheme, random_inputs, random_target, weights_of
from tflm_train.errors import DataError, ModelError, UnsupportedError
from tflm_train.model import Model, Tensor
from tflm_train.ops import Stream
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.split import split_model
from tflm_train.scheme import Loss, Scheme, WeightUpdate
from tflm_train.trained.merge import merge

Converted = Callable[[str], Model]

SCHEMES = {
    "head": Scheme(),
    "biases": Scheme(biases_last=2),
    "half_a_layer": Scheme(weights=(WeightUpdate(3, 0.5),), residual_bits=4),
}
FORWARD = {
    "default": (Streaming.OFF, Forward.BUILTIN),
    "streamed": (Streaming.AUTO, Forward.AUTO),
    "flash": (Streaming.OFF, Forward.FLASH),
}


def with_latent(model: Model, scheme: Scheme, forward: str = "default") -> Model:
    chosen = dataclasses.replace(scheme, latent=True)
    stream, single = FORWARD[forward]
    result = rewrite(model, chosen, stream=stream, forward=single)
    return Model(result.model_bytes, model.name)


@pytest.mark.parametrize("has_float_ends", [False, True])
def test_a_target_that_is_the_input_is_the_latent(has_float_ends: bool) -> None:
    """A step from a latent has nothing else of the sample."""
    made = other_model("float_ends", "autoencoder") if has_float_ends else loss_model("autoencoder")
    scheme = Scheme(loss=Loss("mean_squared_error", "input"))
    model = with_latent(Model(made, "autoencoder"), scheme)
    from_samples, from_latents = tt.Interpreter(model), tt.Interpreter(model)
    rng = np.random.default_rng(4)
    samples = rng.uniform(-1, 1, (4, 1, 24)).astype(np.float32)
    if not has_float_ends:
        samples = rng.integers(-128, 128, (4, 1, 24)).astype(np.int8)
    latents = []
    for sample in samples:
        from_latents.infer(sample)
        latents.append(from_latents.latent())
    for sample, latent in zip(samples, latents, strict=True):
        loss = from_samples.train_step(sample, None, RATE)
        assert from_latents.train_from_latent(latent, None, RATE) == loss
        assert from_latents.state() == from_samples.state()
    apart = rewrite(Model(made, "autoencoder"), scheme, apart=True).model_bytes
    if has_float_ends:
        assert split_model(apart, "autoencoder").latent_shape == (1, 24)
    else:
        with pytest.raises(UnsupportedError, match=r"learns its own input, .* leave out --split"):
            split_model(apart, "autoencoder")


def latents_of(model: Model, samples: list[npt.NDArray[np.int8]]) -> list[npt.NDArray[np.int8]]:
    interpreter = tt.Interpreter(model)
    latents = []
    for sample in samples:
        interpreter.infer(sample)
        latents.append(interpreter.latent())
    return latents


def assert_learns_the_same(plain: bytes, model: Model, steps: int = 6, rate: float = RATE) -> None:
    """Steps on samples, on latents and a mixture of both, beside the model without latents."""
    samples = random_inputs(model.graph, steps)
    latents = latents_of(model, samples)
    assert len({latent.tobytes() for latent in latents}) > 1
    whole, mixed, latent = tt.Interpreter(plain), tt.Interpreter(model), tt.Interpreter(model)
    rng = np.random.default_rng(1)
    for i, sample in enumerate(samples):
        target = random_target(whole, rng)
        expected = whole.train_step(sample, target, rate)
        assert latent.train_from_latent(latents[i], target, rate) == expected
        if i % 3:
            assert mixed.train_from_latent(latents[i], target, rate) == expected
        else:
            assert mixed.train_step(sample, target, rate) == expected
        np.testing.assert_array_equal(mixed.latent(), latents[i])
        other = latents[i - 1]
        np.testing.assert_array_equal(mixed.infer_from_latent(other), whole.infer(samples[i - 1]))
        np.testing.assert_array_equal(mixed.infer(sample), whole.infer(sample))
    assert whole.state() == mixed.state() == latent.state()
    # A state moves from one to the other.
    fresh = tt.Interpreter(plain)
    fresh.load_state(latent.state())
    np.testing.assert_array_equal(fresh.infer(samples[0]), whole.infer(samples[0]))


@pytest.mark.parametrize("forward", FORWARD)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["mobilenet", "resnet", "branches"])
def test_learns_the_same(converted: Converted, name: str, scheme: str, forward: str) -> None:
    original = converted(name)
    plain = rewrite(original, SCHEMES[scheme]).model_bytes
    model = with_latent(original, SCHEMES[scheme], forward)
    assert_learns_the_same(plain, model)
    assert_predicted(model)


@pytest.mark.interpreter
@pytest.mark.parametrize("name", NETWORKS)
def test_the_five_networks(name: str) -> None:
    original, network = load_network(name), NETWORKS[name]
    plain = rewrite(original, network.scheme).model_bytes
    model = with_latent(original, network.scheme)
    assert_learns_the_same(plain, model, rate=network.rate)
    assert_predicted(model)


@pytest.mark.interpreter
@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.sampled_from("slib"))),
    name=st.sampled_from(["mobilenet_v2", "resnet"]),
)
def test_any_order_of_samples_and_latents(steps: list[tuple[int, int, str]], name: str) -> None:
    """Steps on samples (s) and latents (l), inferences of others (i) and resets (b) between."""
    plain, model, samples, latents = _prepared(name)
    whole, other = tt.Interpreter(plain), tt.Interpreter(model)
    for index, label, kind in steps:
        if kind == "i":
            other.infer(samples[index])
        elif kind == "b":
            whole.reset()
            other.reset()
        else:
            expected = whole.train_step(samples[index], label, 1e-2)
            found = (
                other.train_step(samples[index], label, 1e-2)
                if kind == "s"
                else other.train_from_latent(latents[index], label, 1e-2)
            )
            assert found == expected
    assert whole.state() == other.state()


_Prepared = tuple[bytes, Model, list[npt.NDArray[np.int8]], list[npt.NDArray[np.int8]]]
_PREPARED: dict[str, _Prepared] = {}


def _prepared(name: str) -> _Prepared:
    if name not in _PREPARED:
        original, scheme = load_network(name), NETWORKS[name].scheme
        model = with_latent(original, scheme)
        samples = random_inputs(original.graph, 4)
        plain = rewrite(original, scheme).model_bytes
        _PREPARED[name] = plain, model, samples, latents_of(model, samples)
    return _PREPARED[name]


def test_the_interface(digits: Model) -> None:
    plain = Model(rewrite(digits, Scheme(biases_last=1)).model_bytes)
    model = with_latent(digits, Scheme(biases_last=1))
    names = [t.name for t in model.graph.inputs]
    assert names == [*(t.name for t in plain.graph.inputs), "train/source"]
    names = [t.name for t in model.graph.outputs]
    assert names == [*(t.name for t in plain.graph.outputs), "train/latent"]
    source, latent = model.graph.inputs[-1], model.graph.outputs[-1]
    assert (source.type_name, source.shape, source.is_variable) == ("INT32", (1,), True)
    assert (latent.type_name, latent.is_variable, latent.data) == ("INT8", True, None)
    assert latent.quantization is not None
    producers = [op for op in model.graph.ops if latent in op.outputs]
    assert [Stream.is_kind_of(op) for op in producers] == [True]
    assert all(source is op.inputs[-1] for op in producers)
    assert source in model.graph.ops[-1].inputs and latent in model.graph.ops[-1].inputs
    assert set(model.signatures) == set(plain.signatures)


def test_the_latent_is_no_part_of_the_state(digits: Model) -> None:
    model = with_latent(digits, Scheme(biases_last=1))
    interpreter = tt.Interpreter(model)
    samples = random_inputs(digits.graph, 2)
    interpreter.infer(samples[0])
    state, latent = interpreter.state(), interpreter.latent()
    assert latent.any()
    interpreter.infer(samples[1])
    assert interpreter.state() == state
    interpreter.train_from_latent(latent, 1, RATE)
    interpreter.load_state(state)
    np.testing.assert_array_equal(interpreter.latent(), latent)
    interpreter.reset()
    assert not interpreter.latent().any()
    assert interpreter.state() == state
    assert tt.Interpreter(rewrite(digits, Scheme(biases_last=1)).model_bytes).state() == state


def test_the_model_s_input_may_be_the_latent(converted: Converted) -> None:
    original = converted("mobilenet")
    result = rewrite(original, dataclasses.replace(full_scheme(original), latent=True))
    assert any("the latent is the input" in warning for warning in result.report.warnings)
    model = Model(result.model_bytes)
    assert model.graph.outputs[-1] is model.graph.inputs[0]
    assert_learns_the_same(rewrite(original, full_scheme(original)).model_bytes, model)
    assert_predicted(model)


def test_what_another_op_makes_is_copied(converted: Converted) -> None:
    """The pooling before the head has no form of ours: a STREAM behind it makes the latent."""
    model = with_latent(converted("mobilenet"), Scheme())
    producer = model.graph.producer(model.graph.outputs[-1])
    assert producer is not None and Stream.is_kind_of(producer)
    before = model.graph.producer(producer.input)
    assert before is not None and before.name == "MEAN"
    assert model.graph.outputs[-1].size == 12


def test_a_frozen_layer_without_a_form_is_named(converted: Converted) -> None:
    original = converted("keyword")
    op = next(op for op in original.graph.ops if op.name == "FULLY_CONNECTED")
    where = f"op {original.graph.index(op)} \\(FULLY_CONNECTED, '{op.output.name}'\\) is frozen"
    with pytest.raises(UnsupportedError, match=f"{where}.*`rewrite --split`"):
        rewrite(original, Scheme(latent=True))


def test_two_inputs_have_no_latent() -> None:
    model = Model(loss_model("two_inputs"))
    with pytest.raises(UnsupportedError, match=r"has 2 inputs.*leave out --split"):
        rewrite(model, Scheme(), apart=True)
    with pytest.raises(UnsupportedError, match="has 2 inputs; only a model with one"):
        rewrite(model, Scheme(latent=True))


def test_merges_into_a_model_without_latents(converted: Converted) -> None:
    original = converted("resnet")
    model = with_latent(original, SCHEMES["half_a_layer"])
    interpreter = tt.Interpreter(model)
    samples = random_inputs(original.graph, 4)
    for sample in samples:
        interpreter.train_step(sample, 1, RATE)
    merged = Model(merge(model, interpreter.state()))
    assert not any(t.is_variable for t in merged.graph.walk_tensors())
    assert [t.name for t in merged.graph.inputs] == [t.name for t in original.graph.inputs]
    plain = tt.Interpreter(merged)
    for sample in samples:
        np.testing.assert_array_equal(plain.infer(sample), interpreter.infer(sample))


def test_a_latent_that_does_not_fit_is_refused(digits: Model) -> None:
    interpreter = tt.Interpreter(with_latent(digits, Scheme(biases_last=1)))
    latent = interpreter.latent()
    state = interpreter.state()
    with pytest.raises(DataError, match=r"the latent is int8 .*, the model takes int8"):
        interpreter.train_from_latent(latent[..., :1], 1, RATE)
    with pytest.raises(DataError, match="the latent is float32"):
        interpreter.train_from_latent(latent.astype(np.float32), 1, RATE)
    with pytest.raises(DataError, match="learning rate"):
        interpreter.train_from_latent(latent, 1, 0.0)
    assert interpreter.state() == state
    plain = tt.Interpreter(rewrite(digits, Scheme()).model_bytes)
    assert not plain.trains_from_latents
    for call in (plain.latent, lambda: plain.train_from_latent(latent, 1, RATE)):
        with pytest.raises(ModelError, match="trains from samples only; rewrite the original"):
            call()


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ("rate", r"\(source\) is float32, expected int32"),
        ("constant", r"\(source\) is a constant, it must be a variable"),
        ("twice", "inputs and 1 outputs, expected"),
    ],
)
def test_the_kernel_refuses_another_source(digits: Model, instead: str, words: str) -> None:
    model = with_latent(digits, Scheme(biases_last=1))
    op = next(op for op in model.graph.ops if Stream.is_kind_of(op))
    if instead == "rate":
        op.inputs[-1] = model.graph.inputs[-2]
    elif instead == "constant":
        zero = Tensor.constant("zero", np.zeros(1, np.int32))
        op.inputs[-1] = model.graph.add(zero)
    else:
        op.inputs.insert(-1, model.graph.inputs[1])
    with pytest.raises(ModelError, match=words):
        tt.Interpreter(Model(model.to_bytes()))


def test_several_layers_of_weights(converted: Converted) -> None:
    original = converted("mobilenet")
    scheme = Scheme(weights=weights_of(4, 5), residual_bits=0)
    plain = rewrite(original, scheme).model_bytes
    assert_learns_the_same(plain, with_latent(original, scheme, "streamed"))
