"""Vela accepts rewritten models, and what it makes of them still trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tflm_train as tt
from tests import requirements
from tests.ethos_u.checks import check
from tests.ethos_u.host import without_npu
from tests.ethos_u.vela import ACCELERATORS, compile_model
from tests.models import TRAINABLE
from tests.steps import full_scheme, random_inputs, random_target
from tflm_train import rewriter
from tflm_train.errors import ModelError
from tflm_train.export import export_project
from tflm_train.export.resolver import exact_resolver
from tflm_train.model import Model, load
from tflm_train.model.layers import list_layers
from tflm_train.ops.npu import ETHOS_U
from tflm_train.scheme import Head, Scheme, WeightUpdate
from tflm_train.trained.trainable_model import TrainableModel

RATE = 0.05
SHARED_MODELS = ("kws_ref_model", "person_detect", "vww_96_int8")


@pytest.fixture(scope="module")
def vela() -> Path:
    return requirements.vela()


def head_only(model: Model) -> Scheme:
    del model
    return Scheme(head=Head(4))


def biases_and_weights(model: Model) -> Scheme:
    """Biases, the whole layer below the head, and part of the one below that."""
    head = len(list_layers(model.graph)) - 1
    weights = (WeightUpdate(head - 1), WeightUpdate(head - 2, ratio=0.5))
    return Scheme(head=Head(4), biases_last=min(head, 3), weights=weights, residual_bits=4)


SCHEMES: dict[str, Callable[[Model], Scheme]] = {
    "head": head_only,
    "biases and weights": biases_and_weights,
    "everything": full_scheme,
}


def assert_the_same_after_vela(vela: Path, rewritten: Model, accelerator: str, folder: Path) -> int:
    """The structure, and training on the host in Vela's order and memory; returns its NPU ops."""
    compiled = compile_model(vela, rewritten, accelerator, folder)
    assert check(rewritten, compiled).problems == []
    expected, got = tt.Interpreter(rewritten), tt.Interpreter(without_npu(rewritten, compiled))
    rng = np.random.default_rng(1)
    factory = expected.state()
    for x in random_inputs(rewritten.graph, 4, seed=5):
        target = random_target(expected, rng)
        assert got.train_step(x, target, RATE) == expected.train_step(x, target, RATE)
        assert got.state() == expected.state()
        np.testing.assert_array_equal(got.infer(x), expected.infer(x))
        # What an inference has overwritten shows only now.
        assert got.state() == expected.state()
    assert expected.state() != factory
    return sum(ETHOS_U.is_kind_of(op) for op in compiled.graph.ops)


def rewrite(model: Model, scheme: str) -> Model:
    return Model(rewriter.rewrite(model, SCHEMES[scheme](model)).model_bytes, model.name)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("name", TRAINABLE)
def test_small_networks(
    converted: Callable[[str], Model], name: str, accelerator: str, scheme: str, vela: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    rewritten = rewrite(converted(name), scheme)
    npu_ops = assert_the_same_after_vela(vela, rewritten, accelerator, tmp_path)
    assert npu_ops > 0 or scheme == "everything"


@pytest.mark.interpreter
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_digits(digits: Model, accelerator: str, scheme: str, vela: Path, tmp_path: Path) -> None:
    assert_the_same_after_vela(vela, rewrite(digits, scheme), accelerator, tmp_path)


@pytest.mark.parametrize("scheme", ["head", "biases and weights"])
@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("name", SHARED_MODELS)
def test_real_models(
    name: str, accelerator: str, scheme: str, shared: Path, vela: Path, tmp_path: Path
) -> None:
    model = load(shared / "models" / f"{name}.tflite")
    rewritten = rewrite(model, scheme)
    assert assert_the_same_after_vela(vela, rewritten, accelerator, tmp_path) > 0


def test_what_only_a_board_can_run(digits: Model, vela: Path, tmp_path: Path) -> None:
    compiled = compile_model(vela, digits, ACCELERATORS[0], tmp_path)
    with pytest.raises(ModelError, match=r"op 0 \(ethos-u\) runs on an Ethos-U, not here; take"):
        tt.Interpreter(compiled)
    assert exact_resolver(compiled).calls == ("resolver.AddEthosU()",)


def test_firmware_of_a_compiled_model(digits: Model, vela: Path, tmp_path: Path) -> None:
    """Its softmax is on the NPU; the trainer still knows which output is the trained one."""
    compiled = compile_model(vela, rewrite(digits, "head"), ACCELERATORS[0], tmp_path)
    assert TrainableModel.read(compiled).trained_output == 0
    project = export_project(compiled, "c-array", name="digits")
    assert any("resolver.AddEthosU()" in str(text) for text in project.files.values())
