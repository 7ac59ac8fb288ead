"""The smallest arena, as the memory model predicts it, against the interpreter's, by bisection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.memory.host import ALIGNMENT, host_target, smallest_arena
from tests.models import convert
from tests.networks import CONVOLUTIONAL, load_network
from tests.steps import full_scheme
from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model
from tflm_train.rewriter import rewrite


def assert_minimum(model: Model, folder: Path) -> None:
    report = memory_report(model, KernelSet.REFERENCE, target=host_target())
    path = folder / "model.tflite"
    path.write_bytes(model.source)
    assert smallest_arena(path, 2 * report.minimum_bytes) == report.minimum_bytes


@pytest.mark.parametrize("name", ["keyword", "branches", "wide", "statistics"])
def test_converted_models(converted: Callable[[str], Model], tmp_path: Path, name: str) -> None:
    model = converted(name)
    assert_minimum(model, tmp_path)
    assert_minimum(Model(rewrite(model, full_scheme(model)).model_bytes), tmp_path)


@pytest.mark.interpreter
@pytest.mark.parametrize(
    "name",
    [*CONVOLUTIONAL, "ad01_int8", "hello_world_int8", "keyword_scrambled_8bit", "kws_ref_model",
     "trained_lstm_int8", "person_detect"],
)  # fmt: skip
def test_real_models(tmp_path: Path, name: str) -> None:
    assert_minimum(load_network(name), tmp_path)


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "conv": lambda layers, x: layers.Conv2D(300, 2)(x),
    "conv_without_bias": lambda layers, x: layers.Conv2D(300, 2, use_bias=False)(x),
    "depthwise": lambda layers, x: layers.DepthwiseConv2D(2, depth_multiplier=100)(x),
    "two_convs": lambda layers, x: layers.Conv2D(5, 1)(layers.Conv2D(200, 1)(x)),
}


@pytest.mark.parametrize("name", _OPERATORS)
def test_where_prepare_needs_most(tmp_path: Path, name: str) -> None:
    """Few tensors, many channels: Prepare copies every zero point, the plan is small."""

    def build(layers: Any) -> Any:
        x = layers.Input((2, 2, 3), batch_size=1)
        return x, _OPERATORS[name](layers, x)

    model = Model(convert(build, 3))
    report = memory_report(model, KernelSet.REFERENCE, target=host_target())
    assert report.minimum_bytes > max(report.total_bytes, report.persistent.planning_bytes)
    assert_minimum(model, tmp_path)


def _one_layer(layers: Any) -> Any:
    x = layers.Input((3,), batch_size=1)
    return x, layers.Dense(500)(x)


@pytest.mark.parametrize("name", ["one_layer", "autoencoder"])
def test_prepare_is_never_overwritten(tmp_path: Path, name: str) -> None:
    """FULLY_CONNECTED asks for persistent memory last, which TFLM lets run into the temporary."""
    model = Model(convert(_one_layer, 3)) if name == "one_layer" else load_network(name)
    path = tmp_path / "model.tflite"
    path.write_bytes(model.source)
    report = memory_report(model, KernelSet.REFERENCE, target=host_target())
    found = smallest_arena(path, 2 * report.minimum_bytes)
    assert found in (report.minimum_bytes, report.minimum_bytes - ALIGNMENT)
