"""Where a loss begins in a model, and what it asks of it."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.loss_models import loss_model, other_model
from tflm_train.backward_ops.losses import (
    LOSS_RULES,
    MEAN_SQUARED_ERROR,
    SIGMOID_CROSS_ENTROPY,
    SOFTMAX_CROSS_ENTROPY,
    find_logits,
    find_target_input,
    loss_params,
)
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.ops.constants import LossKind, TargetKind


@pytest.mark.parametrize(
    ("name", "loss", "before"),
    [
        ("tagger", "sigmoid_cross_entropy", "LOGISTIC"),
        ("tagger", "mean_squared_error", None),
        ("tagger", "softmax_cross_entropy", None),
        ("regression", "mean_squared_error", None),
    ],
)
def test_the_loss_takes_its_own_activation_in(name: str, loss: str, before: str | None) -> None:
    model = Model(loss_model(name))
    logits = find_logits(model, loss)
    if before is None:
        assert logits is model.graph.outputs[0]
    else:
        assert [op.name for op in model.graph.consumers(logits)] == [before]


def test_dequantize_at_the_end_is_passed() -> None:
    model = Model(other_model("float_ends"))
    assert find_logits(model) is list_layers(model.graph)[-1].op.output


def test_softmax_is_only_softmax_cross_entropy_s(converted: Callable[[str], Model]) -> None:
    model = converted("mobilenet")
    for loss in ("sigmoid_cross_entropy", "mean_squared_error"):
        with pytest.raises(UnsupportedError, match=f"ends in SOFTMAX, .*, not {loss}$"):
            find_logits(model, loss)


def test_an_autoencoder_s_target() -> None:
    model = Model(loss_model("autoencoder"))
    source = find_target_input(model, model.graph.outputs[0])
    assert source is model.graph.inputs[0]
    params = loss_params(
        MEAN_SQUARED_ERROR, TargetKind.INPUT, 0.0, model.graph.outputs[0], source, 3
    )
    assert (params.target_scale, params.target_zero_point) == (source.scale, source.zero_point)
    assert (params.keep, params.spread, params.slot) == (1.0, 0.0, 3)


@pytest.mark.parametrize(
    ("rule", "spread"), [(SOFTMAX_CROSS_ENTROPY, 0.2 / 3), (SIGMOID_CROSS_ENTROPY, 0.1)]
)
def test_smoothing_spreads_over_the_answers(rule: object, spread: float) -> None:
    logits = Model(loss_model("regression")).graph.outputs[0]
    params = loss_params(rule, TargetKind.VALUES, 0.2, logits, logits, 0)  # type: ignore[arg-type]
    assert params.keep == np.float32(0.8) and params.spread == np.float32(spread)


def test_every_kind_has_one_name() -> None:
    assert [rule.kind for rule in LOSS_RULES.values()] == list(LossKind)
