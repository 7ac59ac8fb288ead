"""The learning rate that short runs choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

import tflm_train as tt
from tests.networks import NETWORKS, load_network
from tflm_train import learning
from tflm_train.data import Dataset
from tflm_train.learning import RateChoice, choose_rate
from tflm_train.learning.folds import folds_of
from tflm_train.learning.rates import default_budget, middle
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.runtime.model_data import model_inputs
from tflm_train.scheme.head import Head
from tflm_train.scheme.presets import Preset, preset_scheme


def network(name: str, **changes: object) -> tuple[Model, Dataset]:
    """A network as its own scheme rewrites it, and what it meets in the field."""
    scheme = replace(NETWORKS[name].scheme, **changes)  # type: ignore[arg-type]
    rewritten = rewrite(load_network(name), scheme)
    return Model(rewritten.model_bytes, name), NETWORKS[name].dataset()


@pytest.mark.interpreter
@pytest.mark.parametrize("residual_bits", [8, 0])
def test_a_choice_depends_on_nothing_else_and_leaves_the_state(residual_bits: int) -> None:
    model, data = network("ds_cnn", residual_bits=residual_bits)
    interpreter = tt.Interpreter(model)
    x = model_inputs(interpreter, data.x_train, "x_train")
    for index in range(5):
        interpreter.train_step(x[index], int(data.y_train[index]), 1e-2)
    state = interpreter.state()
    told: list[tuple[float, int, int]] = []
    first = choose_rate(
        interpreter, x, data.y_train, steps=600, on_trial=lambda *done: told.append(done)
    )
    assert interpreter.state() == state
    interpreter.infer(x[0])
    assert choose_rate(interpreter, x, data.y_train, steps=600) == first
    assert first.steps == len(told) <= default_budget(600) * 1.6
    assert [step for _, step, _ in told] == list(range(1, len(told) + 1))
    rates = [tried.rate for tried in first.tried]
    assert rates == sorted(set(rates)) and rates[0] <= first.rate <= rates[-1]


@pytest.mark.interpreter
def test_an_automatic_run_is_the_run_at_the_chosen_rate() -> None:
    model, data = network("ds_cnn")
    choices: list[RateChoice] = []
    runs = [tt.Interpreter(model), tt.Interpreter(model)]
    record = learning.train(runs[0], data, epochs=1, seed=2, on_rate=choices.append)
    (choice,) = choices
    again = learning.train(runs[1], data, epochs=1, seed=2, learning_rate=choice.rate)
    assert record.learning_rate == choice.rate == again.learning_rate
    assert runs[0].state() == runs[1].state()
    np.testing.assert_array_equal(record.losses, again.losses)


@pytest.mark.interpreter
@pytest.mark.parametrize(("name", "head"), [("ds_cnn", Head(10)), ("mobilenet_v2", Head())])
def test_a_classifier_learns_as_at_the_best_rate(name: str, head: Head) -> None:
    model, data = network(name, head=head)
    found = learning.train(tt.Interpreter(model), data, epochs=6).test_accuracy
    best = max(
        learning.train(tt.Interpreter(model), data, epochs=6, learning_rate=rate).test_accuracy
        for rate in (3e-3, 1e-2, 3e-2)
    )
    assert found >= best - 0.03


@pytest.mark.interpreter
def test_an_autoencoder_whose_rate_is_far_from_the_first_one() -> None:
    model, data = network("autoencoder")
    before = learning.train(tt.Interpreter(model), data, epochs=3, learning_rate=1e-3)
    record = learning.train(tt.Interpreter(model), data, epochs=3)
    assert record.learning_rate >= 0.1
    assert record.test_accuracy < 0.7 * before.test_accuracy


@pytest.mark.interpreter
@pytest.mark.parametrize("count", [1, 2, 12])
def test_few_samples(count: int) -> None:
    model, data = network("ds_cnn")
    few = Dataset(data.x_train[:count], data.y_train[:count], data.x_test, data.y_test)
    record = learning.train(tt.Interpreter(model), few, epochs=3)
    assert 1e-6 <= record.learning_rate <= 1


def test_the_middle_of_what_may_be_best() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 400)
    close = {0.01: noise + 0.5, 0.1: noise + rng.normal(0, 1, 400) * 0.01 + 0.5, 1.0: noise + 3.0}
    assert 0.02 < middle(close) < 0.05
    assert middle({0.01: noise, 0.1: noise + 0.5}) == pytest.approx(0.01)
    assert middle({0.01: noise, 1.0: noise}) == pytest.approx(0.1)
    assert middle({0.01: np.ones(1), 1.0: np.zeros(1)}) == pytest.approx(1.0)


@pytest.mark.parametrize("count", [2, 3, 10, 90, 500, 5000])
def test_every_part_has_its_share_of_each_class(count: int) -> None:
    y = np.random.default_rng(count).choice(3, count, p=(0.6, 0.3, 0.1))
    folds = folds_of(y, 0)
    held_out = np.concatenate([fold.held_out for fold in folds])
    assert len(held_out) == len(np.unique(held_out))
    for fold in folds:
        assert sorted([*fold.train, *fold.held_out]) == list(range(count))
        for label, share in zip(*np.unique(y, return_counts=True), strict=True):
            expected = share / count * len(fold.held_out)
            assert abs(np.sum(y[fold.held_out] == label) - expected) <= 1.5


@pytest.mark.parametrize(("groups", "folds"), [(2, 2), (3, 3), (5, 4), (40, 4)])
def test_what_belongs_together_is_not_divided(groups: int, folds: int) -> None:
    rng = np.random.default_rng(groups)
    of = rng.permutation(np.arange(240) % groups)
    y = (of + rng.integers(0, 2, 240)) % 4
    found = folds_of(y, 0, of)
    assert len(found) == folds
    for fold in found:
        assert not set(of[fold.train]) & set(of[fold.held_out])
        assert sorted([*fold.train, *fold.held_out]) == list(range(240))
        assert len(fold.held_out) <= 240 / folds + 240 / groups
    held_out = np.concatenate([fold.held_out for fold in found])
    assert len(held_out) == len(np.unique(held_out))


@pytest.mark.parametrize(
    ("y", "groups"),
    [
        ([0] * 10 + [1] * 10, [0] * 10 + [1] * 10),
        (np.arange(60) % 3, np.arange(60) % 3),
        (np.arange(100) // 50, np.arange(100) // 5),
        (np.arange(1000) % 7, [0] * 900 + [1] * 50 + [2] * 50),
        (np.arange(1002) % 2, [0] * 1000 + [1] * 2),
    ],
)
def test_groups_of_one_class_or_of_most_samples(y: npt.ArrayLike, groups: npt.ArrayLike) -> None:
    y, groups = np.array(y), np.array(groups)
    found = folds_of(y, 0, groups)
    assert found
    for fold in found:
        assert len(fold.train) >= len(y) / 2 and len(fold.held_out) > 0
        assert not set(groups[fold.train]) & set(groups[fold.held_out])
    sizes = [len(fold.train) for fold in found]
    assert sizes == sorted(sizes, reverse=True)


def test_one_group_is_none() -> None:
    y = np.arange(50) % 2
    alone, none = folds_of(y, 0, np.zeros(50)), folds_of(y, 0)
    for one, other in zip(alone, none, strict=True):
        np.testing.assert_array_equal(one.held_out, other.held_out)


@pytest.mark.interpreter
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_rates_at_which_nothing_is_learned_are_not_chosen(seed: int) -> None:
    """Here a single answer for all is right as often, of a few samples, as a model that begins."""
    factory = load_network("resnet")
    rewritten = rewrite(factory, preset_scheme(Preset.MEDIUM, factory, Head()))
    interpreter = tt.Interpreter(Model(rewritten.model_bytes, "resnet"))
    data = NETWORKS["resnet"].dataset()
    x = model_inputs(interpreter, data.x_train, "x_train")
    choice = choose_rate(interpreter, x, data.y_train, steps=3000, seed=seed)
    assert 3e-4 <= choice.rate <= 6e-3
