"""The real models of the shared folder, in whatever generation of the interpreter is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

import tflm_train as tt
from tests.steps import assert_follows_reference, assert_same_inference, full_scheme, weights_of
from tflm_train.model import Model, load
from tflm_train.scheme import Head, Scheme

pytestmark = pytest.mark.interpreter

# Biases of the last k layers, and weights of some.
SCHEMES: dict[str, tuple[int, tuple[int, ...]]] = {
    "kws_ref_model": (8, (0, 1, 2, 3, 4, 6, 8)),
    "mbv2-w0.35": (25, (27, 48)),
    "mbv2-w0.35.nopad": (25, (27, 48)),
    "mcunet-5fps": (22, (21, 22, 24)),
    "mcunet-5fps.nopad": (22, (21, 24, 27, 30, 36, 39)),
    "person_detect": (10, (20,)),
    "pretrainedResnet_quant": (9, (0, 2, 4, 6, 8)),
    "proxyless-w0.3": (25, (36,)),
    "proxyless-w0.3.nopad": (25, (36, 39)),
    "str_ww_ref_model": (8, (1, 3, 5)),
    "vww_96_int8": (10, (20, 22)),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_inference_equals_the_original_s(shared: Path, name: str) -> None:
    model = load(shared / "models" / f"{name}.tflite")
    last, layers = SCHEMES[name]
    scheme = Scheme(biases_last=last, weights=weights_of(*layers))
    assert_same_inference(model, Model(tt.rewrite(model, scheme).model_bytes))


@pytest.mark.parametrize("residual_bits", [8, 0])
@pytest.mark.parametrize("classes", [None, 10])
def test_a_step_of_kws_equals_the_reference(
    shared: Path, classes: int | None, residual_bits: int
) -> None:
    model = load(shared / "models" / "kws_ref_model.tflite")
    scheme = full_scheme(model, head=Head(classes=classes), residual_bits=residual_bits, seed=2)
    new = Model(tt.rewrite(model, scheme).model_bytes)
    # Two: a fresh head hands no gradient on before its weights have moved.
    assert_follows_reference(new, steps=2, rate=2e-3)
