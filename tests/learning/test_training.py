"""Training on latents: the bits of the whole model, and frozen layers run once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.loss_models import loss_model, other_model
from tests.models import converted_model
from tests.steps import DIGITS, random_inputs, weights_of
from tflm_train import learning
from tflm_train.data import Dataset
from tflm_train.learning.frozen_once import FrozenOnce
from tflm_train.learning.host_form import host_form
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.model import Model, load
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.runtime.training import train
from tflm_train.scheme import Loss, Scheme

BODY = Scheme(biases_last=3, weights=weights_of(9, 10))


def rewritten(model: Model, scheme: Scheme, **ways: Any) -> Model:
    return Model(rewrite(model, scheme, **ways).model_bytes, model.name)


def data_for(
    model: Model, targets: Callable[[np.random.Generator], Any], count: int = 9
) -> Dataset:
    x = np.stack(random_inputs(model.graph, 2 * count))[:, 0]
    rng = np.random.default_rng(5)
    y = np.array([targets(rng) for _ in range(2 * count)])
    y = y.astype(np.float32) if y.ndim > 1 else y
    return Dataset(x[:count], y[:count], x[count:], y[count:])


def assert_same_run(model: Model, dataset: Dataset, cache: LatentCache | None = None) -> FrozenOnce:
    """Trains the whole model and on latents; then what was used for the latter."""
    one, other = tt.Interpreter(model), tt.Interpreter(model)
    options = {"epochs": 2, "learning_rate": 0.05, "seed": 3}
    before = train(one, dataset, epochs=1, learning_rate=0.01)
    other.load_state(one.state())
    assert before.epochs
    expected = train(one, dataset, **options)  # type: ignore[arg-type]
    states: list[bytes] = []
    found = learning.train(
        other,
        dataset,
        cache=cache,
        on_epoch=lambda *_: states.append(other.state()),
        **options,  # type: ignore[arg-type]
    )
    assert other.state() == one.state() == states[1] != states[0]
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert found.epochs == expected.epochs and found.metric == expected.metric
    assert found.test_accuracy_before == expected.test_accuracy_before
    return FrozenOnce(other)


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [0, 4, 8])
@pytest.mark.parametrize(
    "ways", [{}, {"stream": Streaming.AUTO, "forward": Forward.AUTO}], ids=["builtin", "streamed"]
)
def test_the_same_bits_as_the_whole_model(residual_bits: int, ways: dict[str, Any]) -> None:
    scheme = Scheme(biases_last=3, weights=weights_of(9, 10), residual_bits=residual_bits)
    model = rewritten(load(DIGITS), scheme, **ways)
    once = assert_same_run(model, data_for(model, lambda rng: int(rng.integers(10))))
    assert once.inputs(np.zeros((1, 16, 16, 1), np.int8))[0].shape[1:] != (16, 16, 1)  # type: ignore[union-attr]


@pytest.mark.interpreter
def test_a_model_that_trains_from_latents_is_cut_there() -> None:
    scheme = Scheme(biases_last=3, weights=weights_of(9, 10), latent=True)
    model = rewritten(load(DIGITS), scheme)
    once = assert_same_run(model, data_for(model, lambda rng: int(rng.integers(10))))
    once.inputs(np.zeros((1, 16, 16, 1), np.int8))
    assert once.computed == 1 and once.tail.model.graph.inputs[0].name == "train/latent"


def test_a_target_that_is_the_input_stays_the_sample() -> None:
    scheme = Scheme(loss=Loss("mean_squared_error", "input"))
    model = rewritten(Model(loss_model("autoencoder"), "autoencoder"), scheme)
    once = assert_same_run(model, data_for(model, lambda rng: int(rng.integers(3))))
    sample = np.ones((1, 24), np.int8)
    ((latent, given),) = once.inputs(sample)[0]
    assert latent.shape == (6,) and (given == 1).all()


def test_a_target_that_is_made_of_the_input() -> None:
    """With float ends the loss reads what QUANTIZE makes of the sample."""
    scheme = Scheme(loss=Loss("mean_squared_error", "input"))
    model = rewritten(Model(other_model("float_ends", "autoencoder"), "autoencoder"), scheme)
    assert tt.Interpreter(model).learns_its_input
    assert model.graph.inputs[0].type_name == "FLOAT32"
    x = np.random.default_rng(5).uniform(-1, 1, (18, 24)).astype(np.float32)
    y = np.zeros((18, 0), np.float32)
    once = assert_same_run(model, Dataset(x[:9], y[:9], x[9:], y[9:]))
    sample = np.full((1, 24), 0.5, np.float32)
    ((latent, given),) = once.inputs(sample)[0]
    assert latent.shape == (6,) and latent.dtype == np.int8
    assert given.dtype == np.float32 and (given == 0.5).all()
    names = [op.name for op in once.tail.model.graph.ops]
    assert names.count("QUANTIZE") == names.count("FULLY_CONNECTED") == 1


@pytest.mark.parametrize(
    ("name", "scheme", "targets"),
    [
        ("regression", Scheme(loss=Loss("mean_squared_error")), lambda rng: rng.uniform(-1, 1, 3)),
        ("tagger", Scheme(loss=Loss("sigmoid_cross_entropy")), lambda rng: rng.integers(0, 2, 4)),
        ("two_outputs", Scheme(), lambda rng: int(rng.integers(3))),
    ],
)
def test_other_losses(name: str, scheme: Scheme, targets: Callable[[Any], Any]) -> None:
    model = rewritten(Model(loss_model(name), name), scheme)
    assert_same_run(model, data_for(model, targets))


@pytest.mark.parametrize("name", ["mobilenet", "resnet", "keyword", "branches"])
def test_other_models(name: str) -> None:
    model = Model(converted_model(name), name)
    whole = rewritten(model, Scheme(biases_last=1))
    classes = tt.Interpreter(whole).classes
    assert_same_run(whole, data_for(whole, lambda rng: int(rng.integers(classes))))


def test_what_remembers_runs_as_it_is(shared: Path) -> None:
    model = rewritten(load(shared / "models" / "trained_lstm_int8.tflite"), Scheme())
    interpreter = tt.Interpreter(model)
    once = FrozenOnce(interpreter)
    x = np.stack(random_inputs(model.graph, 2))[:, 0]
    assert once.inputs(x)[0] is x and once.tail is interpreter and once.computed == 0
    assert_same_run(model, data_for(model, lambda rng: int(rng.integers(interpreter.classes))))


@pytest.mark.interpreter
def test_each_latent_is_computed_once(tmp_path: Path) -> None:
    model = rewritten(load(DIGITS), BODY)
    cache = LatentCache(tmp_path)
    x = np.stack(random_inputs(model.graph, 150))[:, 0]
    told: list[tuple[int, int]] = []
    first = FrozenOnce(tt.Interpreter(model), cache, lambda *done: told.append(done))
    made, test = first.inputs(x[:130], x[130:])
    assert (first.computed, first.found) == (150, 0) and told == [(n, 150) for n in range(1, 151)]
    again = FrozenOnce(tt.Interpreter(model), cache)
    same, same_test = again.inputs(x[:130], x[130:])
    assert (again.computed, again.found) == (0, 150)
    np.testing.assert_array_equal(made, same)
    np.testing.assert_array_equal(test, same_test)
    # The first samples of the same data are there already, another boundary's are not.
    alike = Scheme(biases_last=3, weights=weights_of(10), residual_bits=4, seed=1)
    for scheme, found in ((BODY, 64), (alike, 64), (Scheme(), 0)):
        other = FrozenOnce(tt.Interpreter(rewritten(load(DIGITS), scheme)), cache)
        other.inputs(x[:64])
        assert (other.computed, other.found) == (64 - found, found)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    damaged = FrozenOnce(tt.Interpreter(model), cache)
    np.testing.assert_array_equal(damaged.inputs(x[:130])[0], made)
    assert damaged.computed == 130


@pytest.mark.interpreter
def test_a_form_with_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = rewritten(load(DIGITS), BODY)

    def other_form(part: Model) -> Model:
        """Computes what the right form does from other weights, or with another seed."""
        work = Model(part.source, part.name)
        for tensor in work.graph.tensors:
            if tensor.data is not None and tensor.type_name == "INT8":
                tensor.data = np.roll(tensor.data, 1)
        return Model(work.to_bytes(), part.name)

    monkeypatch.setattr("tflm_train.learning.frozen_once.host_form", other_form)
    assert_same_run(model, data_for(model, lambda rng: int(rng.integers(10))))


@pytest.mark.interpreter
def test_the_form_for_the_host_has_the_same_states() -> None:
    model = rewritten(load(DIGITS), BODY)
    form = host_form(model)
    assert not any(op.name in ("CONV_2D", "DEPTHWISE_CONV_2D") for op in form.graph.ops)
    one, other = tt.Interpreter(model), tt.Interpreter(form)
    for label, x in enumerate(random_inputs(model.graph, 5)):
        assert one.train_step(x, label, 0.1) == other.train_step(x, label, 0.1)
    assert one.state() == other.state()
