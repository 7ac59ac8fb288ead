"""What the tests of exports share."""

from __future__ import annotations

import dataclasses

import pytest

import tflm_train as tt
from tests.steps import DIGITS
from tflm_train.model import Model, load
from tflm_train.ops.reading import is_ours
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Choice, optimize
from tflm_train.rewriter.split import split_model


@pytest.fixture(scope="session")
def digits_train() -> Model:
    scheme = tt.Scheme.load(DIGITS.with_name("scheme.yaml"))
    return Model(rewrite(load(DIGITS), scheme).model_bytes, "digits_train.tflite")


@pytest.fixture(scope="session")
def digits_optimized() -> Model:
    """A model that only infers, with an op of ours."""
    model = Model(optimize(load(DIGITS), Choice()).model_bytes, "digits_optimized.tflite")
    assert any(is_ours(op) for op in model.graph.ops)
    return model


@pytest.fixture(scope="session")
def digits_latent() -> Model:
    scheme = dataclasses.replace(tt.Scheme.load(DIGITS.with_name("scheme.yaml")), latent=True)
    return Model(rewrite(load(DIGITS), scheme).model_bytes, "digits_latent.tflite")


@pytest.fixture(scope="session")
def digits_pair() -> tuple[Model, Model]:
    """Trunk and tail, as `rewrite --split` writes them."""
    scheme = tt.Scheme.load(DIGITS.with_name("scheme.yaml"))
    parts = split_model(rewrite(load(DIGITS), scheme, apart=True).model_bytes, "digits")
    return Model(parts.trunk, "digits_trunk.tflite"), Model(parts.tail, "digits_tail.tflite")
