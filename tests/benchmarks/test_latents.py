"""The smaller form of `python -m benchmarks.latents --check`, and its table's cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import latents
from tests.networks import CONVOLUTIONAL, load_network
from tflm_train.model import load
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.scheme import Scheme

STEPS = 12


@pytest.mark.interpreter
@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_bits_are_the_same(name: str) -> None:
    model = load_network(name)
    for scheme, chosen in latents.schemes_of(model).items():
        assert latents.is_same(model, chosen, STEPS), scheme


@pytest.mark.interpreter
def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Interpreter.latent
    monkeypatch.setattr(Interpreter, "latent", lambda self: original(self) ^ 1)
    assert not latents.is_same(load_network("resnet"), Scheme(), STEPS)


def test_every_case_has_a_latent(shared: Path) -> None:
    for (network, _), scheme in latents.CASES.items():
        if network.startswith("kws"):
            model = load(shared / "models" / f"{network}.tflite")
            plain, latent = latents.both_ways(model, scheme).values()
            assert plain.report.latent is None and latent.report.latent is not None
