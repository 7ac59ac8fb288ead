"""TFLite Metadata survives a rewrite and describes what was added."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests import requirements
from tests.steps import DIGITS
from tflm_train.errors import ModelError
from tflm_train.model import Model, load
from tflm_train.model.metadata import METADATA_NAME, class_names
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head, Loss, Scheme

SCRIPT = Path(__file__).with_name("metadata_script.py")
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

Support = Callable[..., Any]


@pytest.fixture
def support() -> Support:
    """TFLite Support in its own environment."""
    python = requirements.metadata_support()

    def call(*arguments: object) -> Any:
        command = [str(python), str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return call


@pytest.fixture
def described(tmp_path: Path, support: Support) -> Path:
    """The demonstration's model with metadata and a label file, as TFLite Support writes them."""
    labels = tmp_path / "digits.txt"
    labels.write_text("\n".join(NAMES))
    path = tmp_path / "described.tflite"
    support("write", DIGITS, path, labels)
    return path


def rewritten(path: Path, **changes: Any) -> Path:
    result = path.with_name("rewritten.tflite")
    result.write_bytes(rewrite(load(path), Scheme(**changes)).model_bytes)
    return result


def interface(metadata: Any) -> tuple[list[Any], list[Any]]:
    subgraph = metadata["subgraph_metadata"][0]
    return subgraph["input_tensor_metadata"], subgraph["output_tensor_metadata"]


def test_everything_survives_and_the_new_is_described(described: Path, support: Support) -> None:
    before = support("read", described)
    after = support("read", rewritten(described))
    assert after["files"] == before["files"] == {"digits.txt": "\n".join(NAMES)}
    old_inputs, old_outputs = interface(before["metadata"])
    inputs, outputs = interface(after["metadata"])
    assert inputs[:1] == old_inputs and outputs[:1] == old_outputs
    assert inputs[0]["process_units"][0]["options"]["std"] == [127.5, 64.0, 32.0]
    assert [t["name"] for t in inputs[1:]] == ["label", "learning_rate"]
    assert [t["name"] for t in outputs[1:]] == ["loss", "state"]
    for tensor in inputs[1:] + outputs[1:]:
        assert tensor["description"]
    del before["metadata"]["subgraph_metadata"], after["metadata"]["subgraph_metadata"]
    assert before["metadata"] == after["metadata"]


def test_targets_are_described(described: Path, support: Support) -> None:
    loss = Loss(target="probabilities")
    inputs, _ = interface(support("read", rewritten(described, loss=loss))["metadata"])
    assert [t["name"] for t in inputs[1:]] == ["target", "learning_rate"]


def test_merge_takes_the_descriptions_back(described: Path, support: Support) -> None:
    before = support("read", described)
    path = described.with_name("merged.tflite")
    path.write_bytes(tt.merge(rewritten(described)))
    after = support("read", path)
    assert after == before
    assert rewrite(load(path), Scheme()).model_bytes


class TestHeads:
    def test_added_classes_are_added_to_the_names(self, described: Path, support: Support) -> None:
        path = rewritten(described, head=Head(add=2, labels=("ten", "eleven")))
        read = support("read", path)
        assert read["files"]["digits.txt"].split() == [*NAMES, "ten", "eleven"]
        assert class_names(load(path), 0, 12) == (*NAMES, "ten", "eleven")
        path = rewritten(described, head=Head(add=1))
        assert class_names(load(path), 0, 11) == (*NAMES, "10")

    def test_a_fresh_head_has_other_names(self, described: Path, support: Support) -> None:
        path = rewritten(described, head=Head(classes=2, labels=("cat", "dog")))
        read = support("read", path)
        _, outputs = interface(read["metadata"])
        assert outputs[0]["name"] == "probability"
        assert [f["name"] for f in outputs[0]["associated_files"]] == ["digits.txt"]
        assert read["files"] == {"digits.txt": "cat\ndog\n"}
        assert class_names(load(path), 0, 2) == ("cat", "dog")

    def test_names_of_classes_that_are_no_more_go(self, described: Path, support: Support) -> None:
        path = rewritten(described, head=Head(classes=10))
        read = support("read", path)
        assert read["files"] == {} and class_names(load(path), 0, 10) == ()
        assert "associated_files" not in interface(read["metadata"])[1][0]

    def test_the_same_classes_anew(self, described: Path) -> None:
        path = rewritten(described, head=Head(reinitialise=True))
        assert class_names(load(path), 0, 10) == NAMES

    def test_names_for_a_model_without_metadata(self, tmp_path: Path, support: Support) -> None:
        source = tmp_path / "digits.tflite"
        source.write_bytes(DIGITS.read_bytes())
        path = rewritten(source, head=Head(classes=2, labels=("cat", "dog")))
        read = support("read", path)
        inputs, outputs = interface(read["metadata"])
        assert (len(inputs), len(outputs)) == (3, 3)
        assert read["files"] == {"labels.txt": "cat\ndog\n"}


def test_a_model_without_metadata_stays_without() -> None:
    new = Model(rewrite(load(DIGITS), Scheme()).model_bytes)
    assert new.metadata(METADATA_NAME) is None and new.file_names == []


@pytest.mark.parametrize("data", [b"\x01", b"\xff" * 40, b"\x08\0\0\0M001" + b"\xff" * 30])
def test_damaged_metadata_is_refused_in_one_line(data: bytes) -> None:
    model = load(DIGITS)
    model.set_metadata(METADATA_NAME, data)
    with pytest.raises(ModelError, match="its TFLITE_METADATA is damaged") as refusal:
        rewrite(Model(model.to_bytes()), Scheme())
    assert "\n" not in str(refusal.value)


class TestSignatures:
    def test_both_are_written(self) -> None:
        new = Model(rewrite(load(DIGITS), Scheme()).model_bytes, "digits")
        assert new.signatures[-2:] == ["infer", "train"]
        names = new.signature_names()
        graph = new.graph
        assert [names[id(t)] for t in graph.inputs[1:]] == ["label", "learning_rate"]
        assert [names[id(t)] for t in graph.outputs[1:]] == ["loss", "state"]

    def test_the_original_s_stay(self, converted: Callable[[str], Model]) -> None:
        model = converted("resnet")
        assert model.signatures == ["serving_default"]
        own = model.signature_names()
        new = Model(rewrite(model, Scheme()).model_bytes)
        assert new.signatures == ["serving_default", "infer", "train"]
        assert new.signature_names()[id(new.graph.inputs[0])] == own[id(model.graph.inputs[0])]

    def test_litert_reads_them(self, converted: Callable[[str], Model]) -> None:
        """And runs `infer` of a merged model."""
        from ai_edge_litert.interpreter import Interpreter

        model = converted("mobilenet")
        merged = tt.merge(rewrite(model, Scheme()).model_bytes)
        interpreter = Interpreter(model_content=merged)
        signatures = interpreter.get_signature_list()
        assert set(signatures) == {"serving_default", "infer"}
        run = interpreter.get_signature_runner("infer")
        shape = model.graph.inputs[0].shape
        x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
        y = run(**{signatures["infer"]["inputs"][0]: x})
        np.testing.assert_allclose(
            y[signatures["infer"]["outputs"][0]], tt.Interpreter(merged).infer(x), atol=1
        )

    def test_a_train_signature_of_the_model_s_own(self) -> None:
        model = load(DIGITS)
        graph = model.graph
        model.add_signature("train", {"x": graph.inputs[0]}, {"y": graph.outputs[0]})
        result = rewrite(Model(model.to_bytes()), Scheme())
        assert Model(result.model_bytes).signatures.count("train") == 1
        assert any("own signature 'train' was kept" in w for w in result.report.warnings)
