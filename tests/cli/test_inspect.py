"""`tflm_train inspect`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model
from tests.model.test_runnable import function
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


def test_what_training_adds_stands_first_and_is_what_rewrite_does(run: Run, folder: Path) -> None:
    shown = run("inspect", folder / "digits.tflite").out.splitlines()
    described = run("inspect", folder / "digits.tflite", "--json").json
    rewritten = run("rewrite", folder / "digits.tflite", "--json").json
    chosen, before = described["training"]["chosen"], described["arena"]["minimum_bytes"]
    assert described["training"]["tried"][-1] == chosen
    assert chosen["preset"] == rewritten["chosen"]["preset"]
    assert before + chosen["ram_bytes"] == rewritten["arena"]["minimum_bytes"]
    assert described["bytes"] + chosen["flash_bytes"] == rewritten["flash"]["total_bytes"]
    ms = described["time"]["ms"] + chosen["step_ms"]
    assert ms == pytest.approx(rewritten["time"]["ms"], abs=0.06)
    kilobytes = chosen["ram_bytes"] / 1024
    assert shown[4].startswith(f"training adds {kilobytes:.1f}".removesuffix(".0"))


def test_inspect_says_what_rewrite_would(run: Run, folder: Path) -> None:
    """Of a weight of -128, which TFLM's kernels may not have, and of what nothing can train."""
    model = load(folder / "digits.tflite")
    weights = next(op for op in model.graph.ops if op.name == "FULLY_CONNECTED").inputs[1]
    assert weights is not None and weights.data is not None
    weights.data = np.where(np.arange(weights.size).reshape(weights.shape), weights.data, -128)
    (folder / "m.tflite").write_bytes(model.to_bytes())
    warnings = run("rewrite", folder / "m.tflite", "--json").json["warnings"]
    assert (
        warnings
        and run("inspect", folder / "m.tflite", "--json").json["training"]["warnings"] == warnings
    )
    (folder / "r.tflite").write_bytes(Way().rewrite(model, Scheme()).model_bytes)
    described = run("inspect", folder / "r.tflite", "--json").json
    assert "training ops already" in described["why_no_training"]
    assert described["training"] is None


def test_a_model_that_tflm_cannot_run(run: Run, folder: Path) -> None:
    (folder / "m.tflite").write_bytes(function("SQRT", np.int8).source)
    done = run("inspect", folder / "m.tflite")
    assert_refused(done, "TFLM cannot run it: op 0 (SQRT", "`--force` inspects it all the same")
    forced = run("inspect", folder / "m.tflite", "--force")
    assert forced.status == 0 and "computes it in float32 only" in forced.out


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
    assert "What training each layer adds" in shown and "on m4 at 64 MHz with" in shown
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


def test_measure_takes_the_loss_that_the_output_is_made_for(run: Run, folder: Path) -> None:
    """The head alone, which layers add to, has no softmax behind LOGISTIC."""
    (folder / "m.tflite").write_bytes(loss_model("tagger"))
    described = run("inspect", folder / "m.tflite", "--measure", "--json").json
    assert all(layer["added"] for layer in described["layers"])
    shown = run("inspect", folder / "m.tflite", "--measure").out
    assert "What training each layer adds" in shown and "output 1x" in shown
