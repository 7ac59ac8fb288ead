"""In TFLM's C++ library, on an emulated Cortex-M7 or a PC: from latents, from samples, of a split
pair and in the Python package the same state."""

from __future__ import annotations

import dataclasses
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests import requirements
from tests.networks import NETWORKS, load_network
from tests.target import firmware
from tflm_train.export import export_project
from tflm_train.model import Model
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.split import split_model
from tflm_train.scheme import Scheme

STEPS, RATE = 8, 0.01
SCHEMES = {
    "mobilenet_v1": NETWORKS["mobilenet_v1"].scheme,
    "mobilenet_v2": NETWORKS["mobilenet_v2"].scheme,
    "resnet": Scheme(),
    "kws_ref_model": Scheme(biases_last=4),
    "pretrainedResnet_quant": Scheme(),
}
FORMS = {
    "builtin": (Streaming.OFF, Forward.BUILTIN),
    "ours": (Streaming.AUTO, Forward.FLASH),
}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    requirements.tflm()
    return firmware.build("latent_firmware.cc", tmp_path_factory.mktemp("objects"))


def state_on_the_host(model: bytes) -> int:
    """The CRC-32, as a signed number, of the state after the firmware's steps."""
    interpreter = tt.Interpreter(model)
    shape = interpreter.model.graph.inputs[0].shape
    random = 1
    for step in range(STEPS):
        sample = np.empty(int(np.prod(shape)), np.uint8)
        for i in range(sample.size):
            random = (random * 1664525 + 1013904223) % (1 << 32)
            sample[i] = random >> 24
        interpreter.train_step(sample.view(np.int8).reshape(shape), step % 10, RATE)
    crc = zlib.crc32(interpreter.state())
    return crc - (crc >> 31 << 32)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SCHEMES)
def test_states_are_the_same(objects: list[Path], tmp_path: Path, name: str, form: str) -> None:
    """Not of a TFLM whose MEAN rounds otherwise, or that knows no FULLY_CONNECTED per channel."""
    original, scheme = load_network(name), SCHEMES[name]
    stream, forward = FORMS[form]
    path = tmp_path / f"{name}_{form}.tflite"
    latent = dataclasses.replace(scheme, latent=True)
    path.write_bytes(rewrite(original, latent, stream=stream, forward=forward).model_bytes)
    found = firmware.run(objects, path, 0, tmp_path)
    plain = state_on_the_host(rewrite(original, scheme).model_bytes)
    assert found["samples"] == found["latents"] == plain


def test_a_split_pair_is_the_model(tmp_path: Path) -> None:
    requirements.tflm()
    original, scheme = load_network("mobilenet_v1"), SCHEMES["mobilenet_v1"]
    parts = split_model(rewrite(original, scheme, apart=True).model_bytes, "pair")
    trunk, tail = Model(parts.trunk, "trunk"), Model(parts.tail, "tail")
    files = export_project(tail, "c-array", trunk=trunk, name="pair").files
    for name in ("pair.h", "pair_model.h", "pair_ops.h", "pair_training.h"):
        (tmp_path / name).write_bytes(files[name])
    source = tmp_path / "pair_firmware.cc"
    shutil.copy(Path(__file__).with_name("pair_firmware.cc"), source)
    # One source: the array of both models, and the program.
    source.write_bytes(files["pair_model.cc"] + source.read_bytes())
    embedded = tmp_path / "unused.tflite"
    embedded.write_bytes(b"-")
    found = firmware.run(firmware.build(str(source), tmp_path), embedded, 0, tmp_path)
    plain = state_on_the_host(rewrite(original, scheme).model_bytes)
    assert found["samples"] == found["latents"] == plain
