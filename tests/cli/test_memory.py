"""`tflm_train memory`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import tflm_train as tt
from tests.steps import full_scheme
from tflm_train.cli.main import execute, parse
from tflm_train.files import is_png
from tflm_train.memory import KernelSet, memory_report
from tflm_train.model import Model
from tflm_train.records import plain
from tflm_train.rewriter import rewrite


@pytest.fixture
def model(tmp_path: Path, digits: Model) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(rewrite(digits, full_scheme(digits)).model_bytes)
    return path


def run(*arguments: object) -> int:
    return execute(parse(["tflm_train", "memory", *map(str, arguments)]))


@pytest.mark.parametrize("kernels", list(KernelSet))
def test_json(model: Path, capsys: pytest.CaptureFixture[str], kernels: KernelSet) -> None:
    assert run(model, "--kernels", kernels, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    report = memory_report(tt.load(model), kernels)
    assert summary["arena"] == plain(report.arena())
    flash, time = summary["flash"], summary["time"]
    assert flash["model_bytes"] == model.stat().st_size
    assert flash["total_bytes"] == flash["model_bytes"] + flash["kernel_bytes"]
    assert sum(op["instructions"] for op in time["per_op"]) == pytest.approx(
        time["instructions"], abs=len(time["per_op"])
    )
    assert time["ms"] == pytest.approx(1e3 * time["cycles"] / time["clock"], abs=1e-3)
    longest = time["longest_op"]
    ops = time["per_op"]
    assert longest["ms"] == max(op["ms"] for op in ops)
    assert {key: longest[key] for key in ("op", "output", "ms")}.items() <= (
        ops[longest["index"]].items()
    )
    assert summary["peak"]["bytes"] == sum(b["bytes"] for b in summary["peak"]["buffers"])
    assert summary["unmodelled_ops"] == []


def test_table(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(model) == 0
    shown = capsys.readouterr().out
    report = memory_report(tt.load(model))
    for number in (*plain(report.arena()).values(), report.peak_bytes):
        assert f"{number:,}" in shown
    assert report.peak_buffers()[0].name.split(";")[0] in shown
    longest = re.search(r"longest op: op (\d+) \((\w+)\), ([\d.]+) ms", shown)
    assert longest is not None
    assert tt.load(model).graph.ops[int(longest[1])].name == longest[2] and float(longest[3]) > 0


def test_plot(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "arena.png"
    assert run(model, "--plot", plot) == 0
    assert is_png(plot.read_bytes())
    assert str(plot) in capsys.readouterr().out.replace("\n", "")
    plot.write_bytes(b"a user's file")
    assert run(model, "--plot", plot) == 1
    assert "--force" in capsys.readouterr().err
    assert plot.read_bytes() == b"a user's file"
    assert run(model, "--plot", plot, "--force") == 0
    assert is_png(plot.read_bytes())
