"""The paper's formula for extra memory, and what a rewrite really keeps."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import tflm_train as tt
from tests.steps import full_scheme
from tflm_train.memory import memory_report
from tflm_train.memory.extra import ExtraMemory, analytic_extra_memory, kept_memory
from tflm_train.model import Model
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Scheme
from tflm_train.scheme.library import library_names, library_text


def test_formula(digits: Model) -> None:
    layers = list_layers(digits.graph)
    layer = layers[2]
    found = analytic_extra_memory(layers, {2}, {2: 1})
    channels = layer.x.shape[-1]
    assert found == ExtraMemory(
        masks_bytes=-(-layer.op.output.size // 8),
        activations_bytes=layer.x.size // channels,
        weights_bytes=layer.weights.size // channels,
        biases_bytes=4 * layer.out_channels,
    )
    assert analytic_extra_memory(layers, (), {}).total_bytes == 0


def test_an_original_model_keeps_nothing(digits: Model) -> None:
    assert kept_memory(digits, memory_report(digits)) == ExtraMemory(0, 0, 0, 0)


@pytest.mark.parametrize("bits", [0, 4, 8])
def test_residuals(digits: Model, bits: int) -> None:
    scheme = dataclasses.replace(full_scheme(digits), residual_bits=bits)
    kept = rewrite(digits, scheme).report.extra_memory.kept
    assert kept.residuals_bytes == pytest.approx(kept.weights_bytes * bits / 8, abs=16)
    assert kept.total_bytes == sum(
        getattr(kept, f"{part}_bytes")
        for part in ("masks", "activations", "weights", "biases", "residuals")
    )


@pytest.mark.parametrize("name", library_names())
def test_schemes_of_the_paper(shared: Path, name: str) -> None:
    """The formula gives the size in the scheme's name, and we keep no more."""
    network, kilobytes = re.fullmatch(r"(.*)-(\d+)kb", name).groups()  # type: ignore[union-attr]
    model = tt.load(shared / "models" / f"{network}.nopad.tflite")
    scheme = dataclasses.replace(Scheme.parse(library_text(name)), residual_bits=0)
    accounts = rewrite(model, scheme).report.extra_memory
    analytic, kept = accounts.analytic, accounts.kept
    assert int(kilobytes) * 1024 <= analytic.total_bytes < (int(kilobytes) + 1) * 1024
    assert kept.total_bytes <= analytic.total_bytes
    for part in ("activations", "weights", "biases"):
        assert getattr(kept, f"{part}_bytes") == getattr(analytic, f"{part}_bytes")
