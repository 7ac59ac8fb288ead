"""The predicted arena against a TFLM that runs on an emulated Cortex-M7, to the byte."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests import requirements
from tests.networks import CONVOLUTIONAL, NETWORKS, load_network
from tests.target import firmware
from tflm_train.memory import memory_report
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Head, Scheme, WeightUpdate
from tflm_train.scheme.library import find_scheme

# Without the autoencoder: of FULLY_CONNECTED alone, it fits into 16 bytes less (test_minimum.py).
ORIGINALS = (
    *CONVOLUTIONAL,
    "ad01_int8",  # planning needs more than running
    "keyword_scrambled_8bit",
    "mcunet-5fps.nopad",
    "person_detect",
    "pretrainedResnet_quant",
    "vww_96_int8",
)
REWRITES = {
    **{name: NETWORKS[name].scheme for name in CONVOLUTIONAL},
    "kws_ref_model": Scheme(biases_last=4, weights=(WeightUpdate(7),)),
    "mcunet-5fps.nopad": Scheme(
        head=Head(classes=10),
        biases_last=22,
        weights=(WeightUpdate(21), WeightUpdate(36, ratio=0.125), WeightUpdate(39, ratio=0.25)),
        residual_bits=4,
    ),
    "person_detect": Scheme(biases_last=6, residual_bits=0),
    "pretrainedResnet_quant": Scheme(head=Head(classes=10), weights=(WeightUpdate(8),)),
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    requirements.tflm()
    return firmware.build("arena_firmware.cc", tmp_path_factory.mktemp("objects"))


def assert_confirmed(path: Path, objects: list[Path], folder: Path, model: Model) -> None:
    report = memory_report(model, firmware.library_kernels())
    assert report.persistent.unmodelled == ()
    measured = firmware.run(objects, path, report.minimum_bytes, folder)
    assert measured["used"] == report.total_bytes
    assert measured["fits"] == 1
    assert measured["fits_less"] == 0
    assert ("loss" in measured) == (report.first_training_op is not None)


@pytest.mark.parametrize("name", ORIGINALS)
def test_originals(objects: list[Path], tmp_path: Path, name: str) -> None:
    model = load_network(name)
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(model.source)
    assert_confirmed(path, objects, tmp_path, model)


@pytest.mark.parametrize("name", REWRITES)
def test_rewritten(objects: list[Path], tmp_path: Path, name: str) -> None:
    data = rewrite(load_network(name), REWRITES[name]).model_bytes
    path = tmp_path / f"{name}_train.tflite"
    path.write_bytes(data)
    assert_confirmed(path, objects, tmp_path, Model(data, path.name))


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet", "person_detect"])
def test_latents(objects: list[Path], tmp_path: Path, name: str) -> None:
    scheme = dataclasses.replace(REWRITES[name], latent=True)
    data = rewrite(load_network(name), scheme).model_bytes
    path = tmp_path / f"{name}_latent.tflite"
    path.write_bytes(data)
    assert_confirmed(path, objects, tmp_path, Model(data, path.name))


def test_streamed(objects: list[Path], tmp_path: Path) -> None:
    """A ready scheme with STREAMs that write over their input: the smallest arena of all."""
    original = load_network("proxyless-w0.3.nopad")
    scheme = dataclasses.replace(find_scheme("proxyless-w0.3-98kb"), residual_bits=0)
    data = rewrite(original, scheme, stream=Streaming.AUTO, forward=Forward.AUTO).model_bytes
    path = tmp_path / "streamed_train.tflite"
    path.write_bytes(data)
    assert_confirmed(path, objects, tmp_path, Model(data, path.name))
