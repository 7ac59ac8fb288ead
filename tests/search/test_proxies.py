"""Proxies of contributions, against what they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.networks import NETWORKS, load_network
from tflm_train.model.layers import list_layers
from tflm_train.scheme.head import Head
from tflm_train.search.candidates import list_candidates
from tflm_train.search.contributions import analyze
from tflm_train.search.fine_tune import FineTune, FineTuner, model_digest
from tflm_train.search.proxies import PROXIES, proxies, spearman
from tflm_train.search.results import Results
from tflm_train.search.split_data import split_data
from tflm_train.search.workers import InProcess

HEAD = Head(reinitialise=True)
RATE = 0.1


def test_rank_correlation() -> None:
    assert spearman([1.0, 2.0, 3.0], [10.0, 20.0, 1e9]) == pytest.approx(1.0)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)
    # By hand: ranks 0, 1.5, 1.5, 3 and 0, 1, 2, 3.
    assert spearman([1.0, 2.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]) == pytest.approx(4.5 / 22.5**0.5)


def test_values() -> None:
    model = load_network("ds_cnn")
    data = split_data(NETWORKS["ds_cnn"].dataset(), model)
    candidates = list_candidates(model, HEAD)
    task = FineTune(model_digest(model), data.digest, candidates.head.scheme, RATE, 100, 0)
    trained = FineTuner(model, data).trained(task)
    found = proxies(trained, data, candidates, RATE)
    assert found.keys() == set(PROXIES)
    for name, values in found.items():
        assert values.keys() == {each.key for each in candidates.weights}
        for (layer, ratio), value in values.items():
            first = name == "fisher" and layer == 0  # Nothing trains before it.
            assert np.isfinite(value) and (value > 0 or first)
            if ratio < 1:
                assert value <= values[layer, 1.0]
    layer = list_layers(model.graph)[2]
    assert layer.weights.quantization is not None and layer.weights.data is not None
    scales = layer.weights.quantization.scale.astype(np.float64).reshape(-1, 1, 1, 1)
    whole = float(((layer.weights.data * scales) ** 2).sum())
    assert found["magnitude"][2, 1.0] == pytest.approx(whole)


def test_the_fast_way() -> None:
    """It predicts what it does not measure, and leaves nothing out."""
    model = load_network("ds_cnn")
    data = split_data(NETWORKS["ds_cnn"].dataset(), model)
    results = Results(None)
    workers = InProcess(FineTuner(model, data))
    found = analyze(model, data, HEAD, workers, results, fast=True, steps=15, depth=5)
    candidates = list_candidates(model, HEAD, 5)
    assert found.weights.keys() == {each.key for each in candidates.weights}
    assert [last for last, _ in found.biases] == [1, 2, 3, 4, 5]
    measured = [gain for gain in found.weights.values() if gain.seeds]
    predicted = [gain for gain in found.weights.values() if not gain.seeds]
    assert 12 <= len(measured) <= 15 and len(predicted) == len(found.weights) - len(measured)
    span = [gain.mean for gain in measured]
    assert all(min(span) <= gain.mean <= max(span) for gain in predicted)
    assert found.unfinished == 0 and found.stopped == 0
