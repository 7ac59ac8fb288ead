"""Presets: what they are for each model, and that each is more than the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import networks
from tests.models import OPERATORS
from tests.steps import DIGITS
from tflm_train.errors import UnsupportedError
from tflm_train.model import Model, load
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Scheme, resolve
from tflm_train.scheme.presets import Preset, ordinary_loss, preset_scheme
from tflm_train.scheme.written import scheme_text

Converted = Callable[[str], Model]
NETWORKS = sorted(Path(networks.__file__).parent.glob("*.tflite"))


def weights_in(preset: Preset, model: Model) -> list[int]:
    plan = resolve(preset_scheme(preset, model), model)
    return sorted(index for index in plan.weights if index != plan.head.index)


@pytest.mark.parametrize("path", [*NETWORKS, DIGITS], ids=lambda path: path.stem)
def test_each_trains_what_the_one_before_does_and_takes_no_less(path: Path) -> None:
    model = load(path)
    trained: set[tuple[str, int]] = set()
    arena = 0
    for preset in Preset:
        scheme = preset_scheme(preset, model)
        plan = resolve(scheme, model)
        more = {("bias", i) for i in plan.biases} | {("weights", i) for i in plan.weights}
        needed = rewrite(model, scheme).memory.minimum_bytes
        assert more >= trained and needed >= arena
        trained, arena = more, needed
        assert Scheme.parse(scheme_text(scheme)) == scheme
    assert {i for what, i in trained if what == "weights"} == set(range(len(plan.layers)))


def test_first_pointwise_layers_of_inverted_bottlenecks() -> None:
    model = load(next(path for path in NETWORKS if path.stem == "mobilenet_v2"))
    layers = list_layers(model.graph)
    medium = weights_in(Preset.MEDIUM, model)
    assert len(medium) > len(weights_in(Preset.LIGHT, model)) > 0
    for index in medium[:-1]:  # the last one is a plain layer before the pool
        assert layers[index + 1].is_depthwise
        assert layers[index].out_channels > layers[index].in_channels


def test_pointwise_layers_of_separable_convolutions() -> None:
    model = load(next(path for path in NETWORKS if path.stem == "mobilenet_v1"))
    medium = weights_in(Preset.MEDIUM, model)
    assert medium == [i for i in range(1, 13) if not list_layers(model.graph)[i].is_depthwise]


@pytest.mark.parametrize("name", ["opaque", *OPERATORS])
def test_any_model_that_trains(converted: Converted, name: str) -> None:
    model = converted(name)
    arenas = []
    for preset in Preset:
        arenas.append(rewrite(model, preset_scheme(preset, model)).memory.minimum_bytes)
    assert arenas == sorted(arenas)


def test_losses(converted: Converted) -> None:
    autoencoder = load(next(path for path in NETWORKS if path.stem == "autoencoder"))
    loss = ordinary_loss(autoencoder)
    assert (loss.name, loss.target) == ("mean_squared_error", "input")
    assert ordinary_loss(autoencoder, Head(classes=4)).name == "softmax_cross_entropy"
    assert ordinary_loss(converted("keyword")).name == "softmax_cross_entropy"
    one = ordinary_loss(converted("resnet"), Head(classes=1))
    assert (one.name, one.target) == ("mean_squared_error", "")


def test_a_head_that_cannot_train(converted: Converted) -> None:
    model = converted("resnet")
    head = list_layers(model.graph)[-1]
    head.weights.data = None  # computed
    scheme = preset_scheme(Preset.LIGHT, model)
    assert scheme.head == Head(train=False) and head.index in scheme.bias_layers
    assert preset_scheme(Preset.HEAD, model).bias_layers == (head.index,)
    assert preset_scheme(Preset.HEAD, model, Head(classes=3)).head.train
    head.op.inputs[2] = None
    with pytest.raises(UnsupportedError, match=r"cannot train: .*; use a preset that trains more"):
        preset_scheme(Preset.HEAD, model)
