"""Latents are computed once for each sample and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests.steps import random_inputs
from tflm_train.model import Model
from tflm_train.runtime.latents import Latents
from tflm_train.scheme import Scheme
from tflm_train.trained.cut import cut

pytestmark = pytest.mark.interpreter


def test_activations_are_kept(digits: Model, tmp_path: Path) -> None:
    whole = Model(tt.rewrite(digits, Scheme(biases_last=1)).model_bytes)
    parts = cut(whole)
    samples = np.stack(random_inputs(whole.graph, 3))[:, 0]
    first = Latents(whole, parts, tmp_path).activations(samples)
    assert [path.suffix for path in tmp_path.iterdir()] == [".npy"]
    np.testing.assert_array_equal(Latents(whole, parts, tmp_path).activations(samples), first)
    Latents(whole, parts, tmp_path).activations(samples[:2])
    assert len(list(tmp_path.iterdir())) == 2
