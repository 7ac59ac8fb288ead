"""`tflm_train inspect`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model
from tflm_train.model import load
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme, WeightUpdate


def test_json(run: Run, folder: Path) -> None:
    described = run("inspect", folder / "digits.tflite", "--json").json
    assert len(described["layers"]) == 12
    assert {
        "index", "name", "op", "input_shape", "output_shape", "weight_shape", "macs",
        "weight_bytes", "bias_kept_bytes", "weight_kept_bytes", "trainable", "why_not",
    } <= described["layers"][0].keys()  # fmt: skip
    assert all(layer["trainable"] for layer in described["layers"])


def test_table(run: Run, folder: Path) -> None:
    shown = run("inspect", folder / "digits.tflite")
    assert (shown.status, shown.err) == (0, "")
    assert "DEPTHWISE_CONV_2D" in shown.out and "MACs" in shown.out
    assert "arena on a" in shown.out


def test_what_training_a_layer_really_adds(run: Run, folder: Path) -> None:
    """Each figure is a rewrite's, and none is below what the layer keeps by itself."""
    model = load(folder / "digits.tflite")
    described = run("inspect", folder / "digits.tflite", "--measure", "--json").json
    way = Way()
    head = way.rewrite(model, Scheme()).memory.minimum_bytes
    for layer in described["layers"][4::4]:
        schemes = {
            "biases": Scheme(bias_layers=(layer["index"],)),
            "weights": Scheme(weights=(WeightUpdate(layer["index"]),)),
        }
        for part, scheme in schemes.items():
            arena = way.rewrite(model, scheme).memory.minimum_bytes
            assert layer["added"][part]["ram_bytes"] == arena - head
    shown = run("inspect", folder / "digits.tflite", "--measure", "--board", "nano33ble").out
    assert "training it adds" in shown and "on m4 at 64 MHz (an estimate" in shown
    assert "added" not in run("inspect", folder / "digits.tflite", "--json").json["layers"][0]


def test_inspect_another_output(run: Run, folder: Path) -> None:
    (folder / "m.tflite").write_bytes(loss_model("two_outputs"))
    first, second = (
        run("inspect", folder / "m.tflite", "--output", output, "--json").json["layers"]
        for output in ("0", "1")
    )
    assert [x["trainable"] for x in first] != [x["trainable"] for x in second]
    done = run("inspect", folder / "m.tflite", "--output", "2")
    assert_refused(done, "output: m.tflite has no output 2")
