"""`tflm_train optimize`, and the switches it shares with `rewrite`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rewriter.test_stream import assert_same_outputs, residual_stack
from tests.steps import DIGITS
from tflm_train.model import load

pytestmark = pytest.mark.interpreter


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tflm_train", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_optimize(tmp_path: Path) -> None:
    source, output = tmp_path / "model.tflite", tmp_path / "small.tflite"
    source.write_bytes(residual_stack().source)
    done = run("optimize", source, "-o", output, "--json", "--plot", tmp_path / "arena")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["arena"]["total_bytes"] < summary["arena_before"]["total_bytes"]
    assert sum(map(len, summary["streams"])) == 6
    assert summary["macs"] == summary["macs_before"] > 0 and summary["folded_pads"] == 2
    assert all(Path(plot).read_bytes()[:4] == b"\x89PNG" for plot in summary["plots"])
    assert_same_outputs(load(source), load(output))
    shown = run("optimize", source, "-o", output)
    assert shown.returncode == 0, shown.stderr
    for stream in summary["streams"]:
        assert f"one op for {len(stream)} layer{'s' * (len(stream) > 1)}: " in shown.stdout
    assert "before" in shown.stdout and f"written: {output}" in " ".join(shown.stdout.split("\n"))
    assert run("optimize", source).returncode == 0
    assert (tmp_path / "model_optimized.tflite").read_bytes() == output.read_bytes()
    again = run("optimize", output, "-o", tmp_path / "again.tflite")
    assert again.returncode == 0, again.stderr
    assert_same_outputs(load(source), load(tmp_path / "again.tflite"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "model.tflite"], "is the input model itself"),
        (["-o", "other.tflite", "--max-slowdown", "0.5"], "must be at least 1"),
        (["-o", "other.tflite", "--max-slowdown", "nan"], "must be at least 1"),
        (["-o", "taken.tflite"], "was not made by this command"),
    ],
)
def test_refusals(tmp_path: Path, arguments: list[str], words: str) -> None:
    source = tmp_path / "model.tflite"
    source.write_bytes(residual_stack().source)
    (tmp_path / "taken.tflite").write_bytes(b"somebody's")
    named = [str(tmp_path / a) if a.endswith(".tflite") else a for a in arguments]
    done = run("optimize", source, *named)
    assert done.returncode == 1 and words in done.stderr
    assert (tmp_path / "taken.tflite").read_bytes() == b"somebody's"


def test_rewrite_with_streams(tmp_path: Path) -> None:
    scheme = tmp_path / "scheme.yaml"
    scheme.write_text("version: 1\nupdate: {biases: {last: 1}}\n")
    totals = []
    for switches in (["--stream", "off", "--forward", "builtin"], []):
        output = tmp_path / "trainable.tflite"
        stem = tmp_path / f"arena{len(totals)}"
        switches += ["--plot", str(stem)]
        done = run("rewrite", DIGITS, "--scheme", scheme, "-o", output, "--json", *switches)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["plots"] == [f"{stem}_before.png", f"{stem}_after.png"]
        assert all(Path(plot).read_bytes()[:4] == b"\x89PNG" for plot in summary["plots"])
        assert ("STREAM" in summary["ops"]) == ("--stream" not in switches)
        totals.append(summary["arena"]["total_bytes"])
    assert totals[1] < totals[0]
