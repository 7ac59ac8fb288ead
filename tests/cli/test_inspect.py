"""`tflm_train inspect`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model


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


def test_inspect_another_output(run: Run, folder: Path) -> None:
    (folder / "m.tflite").write_bytes(loss_model("two_outputs"))
    first, second = (
        run("inspect", folder / "m.tflite", "--output", output, "--json").json["layers"]
        for output in ("0", "1")
    )
    assert [x["trainable"] for x in first] != [x["trainable"] for x in second]
    done = run("inspect", folder / "m.tflite", "--output", "2")
    assert_refused(done, "output: m.tflite has no output 2")
