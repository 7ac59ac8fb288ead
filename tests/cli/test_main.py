"""What holds for all commands: how they start, what errors and help look like."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import tflm_train as tt
from tests import raw_model
from tests.cli.helpers import Outcome, Run, assert_refused, listing
from tests.rewriter.test_stream import residual_stack
from tflm_train.cli.command import Group
from tflm_train.cli.commands import COMMANDS
from tflm_train.ops.declaration import HEADER, VERSION
from tflm_train.rewriter.optimize import optimize


def start(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    paths = [str(Path(tt.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "tflm_train", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_rewrite_and_train(folder: Path) -> None:
    done = start("rewrite", "digits.tflite", "--scheme", "s.yaml", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["output"] == "digits_train.tflite"
    done = start("train", "digits_train.tflite", "--data", "d.npz", "--epochs", "1", cwd=folder)
    assert done.returncode == 0
    assert "before: test accuracy" in done.stdout and "epoch 1: loss" in done.stderr + done.stdout


def test_help(folder: Path) -> None:
    done = start("--help", cwd=folder)
    assert done.returncode == 0
    for word in ("inspect", "rewrite", "train", "evaluate", "typical use", "version: 1"):
        assert word in done.stdout


def test_errors(folder: Path) -> None:
    done = start("inspect", "none.tflite", cwd=folder)
    assert_refused(Outcome(done.returncode, done.stdout, done.stderr), "none.tflite", "No such")
    done = start("inspetc", cwd=folder)
    assert_refused(Outcome(done.returncode, done.stdout, done.stderr), "inspetc", "--help")


COMMANDS_ON_A_MODEL = [
    ["inspect", "{model}"],
    ["rewrite", "{model}", "--scheme", "{folder}/s.yaml"],
    ["quantize", "{model}", "--data", "{folder}/d.npz", "-o", "{folder}/o.tflite"],
    ["memory", "{model}"],
    ["optimize", "{model}", "-o", "{folder}/o.tflite"],
    ["train", "{model}", "--data", "{folder}/d.npz"],
    ["evaluate", "{model}", "--data", "{folder}/d.npz"],
    ["analyze", "{model}", "--data", "{folder}/d.npz", "-o", "{folder}/c.json"],
    ["search", "{model}", "--data", "{folder}/d.npz", "-o", "{folder}/t.yaml"],
    ["merge", "{model}", "--state", "{folder}/s.bin", "-o", "{folder}/o.tflite"],
    ["export", "{model}", "--format", "cmake", "-o", "{folder}/project"],
    ["state", "info", "{folder}/s.bin", "--model", "{model}"],
    ["state", "diff", "{folder}/s.bin", "{folder}/s.bin", "--model", "{model}"],
    ["state", "reset", "{folder}/t.bin", "--model", "{model}"],
    ["state", "average", "{folder}/s.bin", "{folder}/s.bin", "--model", "{model}",
     "-o", "{folder}/t.bin"],
]  # fmt: skip
"""Every command that takes a model, `{model}`."""
on_every_command = pytest.mark.parametrize(
    "command",
    COMMANDS_ON_A_MODEL,
    ids=lambda command: "_".join(word for word in command[:2] if "{" not in word),
)


@on_every_command
def test_a_model_that_contradicts_itself(
    run: Run, folder: Path, rewritten: Path, command: list[str]
) -> None:
    def change(raw: Any) -> None:
        codes = [code.builtinCode for code in raw.operatorCodes]
        wanted = codes.index(schema.BuiltinOperator.CONV_2D)
        op = next(o for o in raw.subgraphs[0].operators if o.opcodeIndex == wanted)
        op.builtinOptions.strideW = 0

    (folder / "s.bin").write_bytes(tt.Interpreter(rewritten).state())
    model = folder / "odd.tflite"
    model.write_bytes(raw_model.edit(rewritten.read_bytes(), change))
    before = listing(folder)
    arguments = [word.format(model=model, folder=folder) for word in command]
    assert_refused(run(*arguments), "odd.tflite: corrupt", "(CONV_2D, '", "its stride is 0")
    assert listing(folder) == before


def test_every_command_that_takes_a_model_is_listed() -> None:
    listed = {tuple(w for w in command[:2] if "{" not in w) for command in COMMANDS_ON_A_MODEL}
    takes_none = {(group, do) for group in ("scheme", "features") for do in ("list", "show")}
    takes_none |= {("doctor",), ("completion",)}
    for entry in COMMANDS:
        for command in entry.commands if isinstance(entry, Group) else (entry,):
            path = (entry.name, command.name) if isinstance(entry, Group) else (entry.name,)
            assert (path in listed) != (path in takes_none), path


@on_every_command
@pytest.mark.parametrize("kind", ["rewritten", "optimized"])
def test_a_model_made_by_another_version(
    run: Run, folder: Path, rewritten: Path, command: list[str], kind: str
) -> None:
    """Its arrangement may be another: one sentence, and nothing that looks like damage."""

    def change(raw: Any) -> None:
        for op in raw.subgraphs[0].operators:
            if op.customOptions is not None:
                data = bytes(op.customOptions)
                kind, _, size = HEADER.unpack_from(data)
                header = HEADER.pack(kind, VERSION - 1, size)
                op.customOptions = np.frombuffer(header + data[HEADER.size :], np.uint8)

    (folder / "s.bin").write_bytes(tt.Interpreter(rewritten).state())
    source = rewritten
    if kind == "optimized":
        source = folder / "optimized.tflite"
        source.write_bytes(optimize(residual_stack()).model_bytes)
    model = folder / "old.tflite"
    model.write_bytes(raw_model.edit(source.read_bytes(), change))
    before = listing(folder)
    arguments = [word.format(model=model, folder=folder) for word in command]
    words = f"old.tflite: made with version {VERSION - 1} of our operators"
    assert_refused(run(*arguments), words, "rewrite the original model again")
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("inspect", ["numbered over", "--json"]),
        ("rewrite", ["--preset", "--scheme", "_train.tflite", "--report", "--force", "--json"]),
        ("train", ["x_train", "--schedule", "3, more often", "auto", "--save-state", "--json"]),
        ("evaluate", ["--load-state", "factory weights", "--json"]),
    ],
)
def test_help_teaches(run: Run, command: str, words: list[str]) -> None:
    shown = run(command, "--help")
    assert (shown.status, shown.err) == (0, "")
    for word in words:
        assert word in shown.out


def test_internal_errors_are_one_line_too(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("tflm_train.cli.inspect.load", fail)
    done = run("inspect", folder / "digits.tflite")
    assert done.status == 1 and done.err.count("\n") == 1
    assert "internal error: ZeroDivisionError: a b (set TFLM_TRAIN_DEBUG=1" in done.err
    monkeypatch.setenv("TFLM_TRAIN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("inspect", folder / "digits.tflite")


def test_so_are_those_of_what_shows_a_result(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a")

    monkeypatch.setattr("tflm_train.cli.tables.console", fail)
    done = run("inspect", folder / "digits.tflite")
    assert done.status == 1 and done.err.count("\n") == 1
    assert "internal error: ZeroDivisionError: a" in done.err
