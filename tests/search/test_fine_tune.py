"""Fine-tunes: what they are named after, what they compute."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.networks import NETWORKS, load_network
from tflm_train.data import Dataset
from tflm_train.learning.latent_cache import LatentCache
from tflm_train.rewriter import rewrite
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.training import train
from tflm_train.scheme import Scheme, WeightUpdate
from tflm_train.search.fine_tune import FineTune, FineTuner, fine_tune, model_digest
from tflm_train.search.split_data import split_data

SCHEME = Scheme(biases_last=2, weights=(WeightUpdate(8, 0.25),))


def setup(name: str) -> tuple[FineTuner, FineTune]:
    model = load_network(name)
    data = split_data(NETWORKS[name].dataset(), model)
    task = FineTune(model_digest(model), data.digest, SCHEME, 0.05, len(data.y_train), 3)
    return FineTuner(model, data), task


def test_it_is_an_epoch_of_train(tmp_path: Path) -> None:
    tuner, task = setup("ds_cnn")
    tuner.cache = LatentCache(tmp_path)
    found = tuner.run(task)
    data = tuner.data
    interpreter = Interpreter(rewrite(tuner.model, SCHEME).model_bytes)
    dataset = Dataset(data.x_train, data.y_train, data.x_select, data.y_select)
    record = train(interpreter, dataset, learning_rate=0.05, epochs=1, seed=3)
    assert found.score == record.test_accuracy == np.mean(found.scores)
    assert record.test is not None and found.error == np.mean(record.test.errors)
    assert found.loss == pytest.approx(record.losses[-(len(record.losses) // 4) :].mean())
    assert (found.key, found.rate, found.metric) == (task.key, 0.05, "accuracy")
    other = tuner.run(dataclasses.replace(task, seed=4))
    assert other.loss != found.loss
    again = fine_tune(tuner.model, data, task)
    assert dataclasses.replace(again, seconds=found.seconds) == found


def test_an_error_counts_against_it() -> None:
    """More is better of every metric."""
    model = load_network("autoencoder")
    data = split_data(NETWORKS["autoencoder"].dataset(), model)
    scheme = NETWORKS["autoencoder"].scheme
    tuner = FineTuner(model, data)
    short, long = (
        tuner.run(FineTune(model_digest(model), data.digest, scheme, 0.01, steps, 0))
        for steps in (5, 400)
    )
    assert short.metric == "mean_squared_error"
    assert short.score < long.score < 0


def test_a_rate_of_its_own() -> None:
    tuner, task = setup("ds_cnn")
    found = tuner.run(dataclasses.replace(task, rate=None, steps=40))
    named = tuner.run(dataclasses.replace(task, rate=found.rate, steps=40))
    assert named.scores == found.scores and named.loss == found.loss


def test_keys() -> None:
    _, task = setup("ds_cnn")
    others = [
        dataclasses.replace(task, model="m"),
        dataclasses.replace(task, data="d"),
        dataclasses.replace(task, scheme=dataclasses.replace(SCHEME, residual_bits=0)),
        dataclasses.replace(task, rate=0.06),
        dataclasses.replace(task, rate=None),
        dataclasses.replace(task, steps=7),
        dataclasses.replace(task, seed=0),
    ]
    assert len({each.key for each in [task, *others]}) == 1 + len(others)
    assert dataclasses.replace(task).key == task.key


def test_other_data_are_refused() -> None:
    tuner, task = setup("ds_cnn")
    with pytest.raises(ValueError, match="another model or other data"):
        tuner.run(dataclasses.replace(task, data="d"))


def test_split() -> None:
    model = load_network("ds_cnn")
    dataset = NETWORKS["ds_cnn"].dataset()
    one, same, other = (split_data(dataset, model, seed) for seed in (0, 0, 1))
    assert one.digest == same.digest != other.digest
    assert len(one.y_train) + len(one.y_select) == len(dataset.y_train)
    assert one.x_test is dataset.x_test
    counts = [np.bincount(y, minlength=10) for y in (one.y_select, dataset.y_train)]
    assert np.all(np.abs(counts[0] - 0.25 * counts[1]) <= 1)
    seen = {sample.tobytes() for sample in one.x_train}
    fresh = [sample.tobytes() not in seen for sample in one.x_select]
    assert np.mean(fresh) > 0.95  # The same picture may be there twice.


def test_groups_stay_together() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 49, 10, 1)).astype(np.float32)
    groups = np.repeat(np.arange(6), 10)
    y = np.tile(np.arange(5), 12)
    model = load_network("ds_cnn")
    data = split_data(Dataset(x, y, x[:5], y[:5], group_train=groups), model)
    parts = [_groups_of(part, x, groups) for part in (data.x_train, data.x_select)]
    assert parts[0] and parts[1] and not parts[0] & parts[1]
    assert 1 <= len(parts[1]) <= 2


def _groups_of(part: np.ndarray, x: np.ndarray, groups: np.ndarray) -> set[int]:
    return {int(groups[i]) for i, sample in enumerate(x) if (part == sample).all((1, 2, 3)).any()}
