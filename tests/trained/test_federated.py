"""Federated averaging of states."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import full_scheme, random_inputs, train
from tflm_train.errors import DataError
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Scheme
from tflm_train.trained.federated import average
from tflm_train.trained.state import StateBlob, StateLayout
from tflm_train.trained.trainable_model import TrainableModel, Update


@pytest.fixture(params=[0, 4, 8])
def layout(request: pytest.FixtureRequest, digits: Model) -> StateLayout:
    scheme = full_scheme(digits, residual_bits=request.param)
    return StateLayout(TrainableModel.read(Model(rewrite(digits, scheme).model_bytes)))


def weight_updates(layout: StateLayout) -> list[Update]:
    return [update for update in layout.model.updates if update.weights is not None]


def random_state(layout: StateLayout, seed: int, step: int) -> StateBlob:
    """Any weights within the bounds that the update keeps."""
    rng = np.random.default_rng(seed)
    values = []
    for tensor in (variable.tensor for variable in layout.model.variables):
        if tensor.type_name == "FLOAT32":
            values.append(rng.random(tensor.shape).astype(np.float32))
        elif tensor.type_name == "INT32":
            values.append(rng.integers(-(1 << 30), 1 << 30, tensor.shape).astype(np.int32))
        elif tensor.type_name == "UINT8":
            values.append(rng.integers(0, 256, tensor.shape).astype(np.uint8))
        else:
            values.append(rng.integers(-100, 101, tensor.shape).astype(np.int8))
    return layout.pack(values, step, seed=1)


def by_key(layout: StateLayout, blob: StateBlob) -> dict[str, np.ndarray]:
    keys = [variable.key for variable in layout.model.variables]
    return dict(zip(keys, layout.values(blob), strict=True))


def real_weights(layout: StateLayout, blob: StateBlob) -> list[np.ndarray]:
    """Each trained layer's weights with their low bits, in steps."""
    values = by_key(layout, blob)
    found = []
    for update in weight_updates(layout):
        bits = update.residual_bits
        weights = values[update.weights.key].astype(np.float64).reshape(-1)
        if update.residual is not None:
            rest = values[update.residual.key].reshape(-1)
            if bits == 8:
                rest = rest.view(np.int8)
            if bits == 4:
                low = (rest & 15).astype(np.int8)
                high = (rest >> 4).astype(np.int8)
                rest = np.stack([low, high], axis=1).reshape(-1)[: weights.size]
                rest = np.where(rest > 7, rest - 16, rest)
            weights = weights + rest / 2.0**bits
        found.append(weights)
    return found


def test_equal_states_stay(layout: StateLayout) -> None:
    # States as the update leaves them: 4-bit residuals of odd sizes have no spare nibble set.
    blob = layout.factory_state()
    assert average(layout, [blob, blob, blob]) == blob


@pytest.mark.parametrize("weighting", ["equal", "steps"])
def test_weights_are_averaged_with_their_low_bits(layout: StateLayout, weighting: str) -> None:
    blobs = [random_state(layout, seed, step) for seed, step in ((1, 30), (2, 10), (3, 0))]
    shares = [1 / 3] * 3 if weighting == "equal" else [0.75, 0.25, 0.0]
    mean = average(layout, blobs, weighting)
    assert mean.step == 30
    originals = [real_weights(layout, blob) for blob in blobs]
    for index, got in enumerate(real_weights(layout, mean)):
        expected = sum(s * weights[index] for s, weights in zip(shares, originals, strict=True))
        unit = 2.0 ** -weight_updates(layout)[index].residual_bits
        assert np.abs(got - expected).max() <= unit / 2 + 1e-9
    values = [layout.values(blob) for blob in (*blobs, mean)]
    for i, tensor in enumerate(variable.tensor for variable in layout.model.variables):
        if tensor.type_name == "INT32":
            exact = sum(s * v[i].astype(np.float64) for s, v in zip(shares, values, strict=False))
            assert np.abs(values[3][i] - exact).max() <= 0.5
        if tensor.name == "train/ranges":
            np.testing.assert_array_equal(values[3][i], np.max([v[i] for v in values[:3]], axis=0))


def test_extremes_stay_within_bounds(layout: StateLayout) -> None:
    """The update keeps |W + R / 2^bits| <= 127; averages do too."""
    values = {key: v.copy() for key, v in by_key(layout, layout.factory_state()).items()}
    for update in weight_updates(layout):
        values[update.weights.key][...] = 127
    blob = layout.pack(list(values.values()), 1, 0)
    for weights in real_weights(layout, average(layout, [blob, blob])):
        np.testing.assert_array_equal(weights, 127)


@pytest.mark.interpreter
def test_an_average_trains_on(digits: Model) -> None:
    model = Model(rewrite(digits, full_scheme(digits)).model_bytes)
    layout = StateLayout(TrainableModel.read(model))
    blobs = []
    for seed in (1, 2):
        interpreter = tt.Interpreter(model)
        train(interpreter, 4, seed=seed)
        blobs.append(StateBlob.parse(interpreter.state()))
    interpreter = tt.Interpreter(model)
    interpreter.load_state(average(layout, blobs).pack())
    assert interpreter.step == 4
    interpreter.infer(random_inputs(model.graph, 1)[0])
    train(interpreter, 1)


def test_refusals(layout: StateLayout) -> None:
    blob = layout.factory_state()
    with pytest.raises(DataError, match="at least two"):
        average(layout, [blob])
    with pytest.raises(DataError, match="no state has taken a training step"):
        average(layout, [blob, blob], "steps")
    foreign = StateBlob(blob.fingerprint ^ 1, 0, 0, blob.payload)
    with pytest.raises(DataError, match=r"b\.state: saved from another model"):
        average(layout, [blob, foreign], names=["a.state", "b.state"])


def test_biases_that_an_input_gradient_updates_are_averaged(digits: Model) -> None:
    scheme = Scheme(biases_last=4)
    data = rewrite(digits, scheme, stream=Streaming.AUTO, forward=Forward.AUTO).model_bytes
    layout = StateLayout(TrainableModel.read(Model(data)))
    states = [random_state(layout, seed, step=1) for seed in (1, 2)]
    first, second, mean = (by_key(layout, blob) for blob in (*states, average(layout, states)))
    biases = [v.key for v in layout.model.variables if v.tensor.type_name == "INT32"]
    assert len(biases) == 5
    for key in biases:
        exact = (first[key].astype(np.float64) + second[key]) / 2
        assert np.abs(mean[key] - exact).max() <= 0.5
