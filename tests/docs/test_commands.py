"""Every command in README.md and docs/ works: pasted in order, on small files of the same names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.helpers import Run
from tests.docs.commands import DOCUMENTS, commands_of, copy_state, make_files, words_of
from tflm_train import Interpreter
from tflm_train.cli.main import parse

# Placeholders, not to be pasted.
FORMS = ("[", "MODEL", "FLOAT", "--board ...")
# Files that stand for others in a document: the name there, and one of `commands.MAKERS`.
INSTEAD = {"docs/DATA.md": {"model.tflite": "activities.tflite"}}
# These take minutes on any data: here they are parsed, tests/cli/test_analyze.py and test_search.py
# run them.
LONG = ("analyze", "search")


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if commands_of(d)])
def test_the_commands_of(
    document: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFLM_TRAIN_CACHE", str(tmp_path / "cache"))
    for command in commands_of(document):
        if any(form in command for form in FORMS):
            continue
        words, target = words_of(command)
        if words[0].startswith("tflm_train."):
            _module(words, tmp_path)
            monkeypatch.chdir(tmp_path / words[-1])
            continue
        words = [str(Path(w).expanduser()) if w.startswith("~") else w for w in words]
        list(make_files(command, Path.cwd(), INSTEAD.get(document, {})))
        _prepare(run, words, INSTEAD.get(document, {}))
        if words[0] in LONG:
            parse(["tflm_train", *words])
            words = ["scheme", "show", "light", "--model", words[1]]
            target = _found_scheme(command)
        done = run(*words, *(["--force"] if words[0] in ("rewrite", "export", "quantize") else []))
        assert done.status == 0, f"{document}: {command}\n{done.err}"
        if target is not None:
            Path(target).write_text(done.out, encoding="utf-8")


def _found_scheme(command: str) -> str | None:
    """The scheme that a search writes, which later commands take."""
    return next((word for word in command.split() if word.endswith(".yaml")), None)


def _module(words: list[str], folder: Path) -> None:
    subprocess.run([sys.executable, "-m", *words], cwd=folder, check=True, capture_output=True)


def _prepare(run: Run, words: list[str], instead: dict[str, str]) -> None:
    """What a reader has by then: a rewritten model, states of his boards."""
    for word in words:
        stem = word.removesuffix("_train.tflite")
        if word.endswith("_train.tflite") and not Path(word).exists() and words[0] != "rewrite":
            list(make_files(f"{stem}.tflite", Path.cwd(), instead))
            assert run("rewrite", f"{stem}.tflite", "-o", word).status == 0
    states = [word for word in words if word.endswith(".state") and not Path(word).exists()]
    if words[0] != "train" and states:
        model = next(word for word in words if word.endswith("_train.tflite"))
        interpreter = Interpreter(model)
        interpreter.infer(*(np.zeros(t.shape, t.dtype) for t in interpreter.model.graph.inputs[:1]))
        Path("made.state").write_bytes(interpreter.state())
        copy_state(Path.cwd(), "made.state", *states)
