"""Where results may go, and what is there when a command ends early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused
from tflm_train.cli import train


def test_a_place_is_refused_before_the_first_step(
    run: Run, folder: Path, rewritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(train, "_train", never)
    os.mkfifo(folder / "pipe")
    places = {
        folder / "none" / "s.bin": "cannot be written",
        folder / "pipe": "a pipe",
        folder: "a folder",
        Path(os.devnull): "a device",
        folder / "d.npz": "--force",
    }
    for place, words in places.items():
        done = run("train", rewritten, "--data", folder / "d.npz", "--save-state", place)
        assert_refused(done, words)
    assert not Path(os.devnull).is_file()
    state = run("train", rewritten, "--data", folder / "d.npz", "--load-state", folder / "pipe")
    assert_refused(state, "a pipe")


def test_an_interrupted_training_keeps_its_state(
    run: Run, folder: Path, rewritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = train.train

    def interrupted(*arguments: Any, **options: Any) -> Any:
        def stop(report: Any) -> None:
            if report.epoch == 1:
                raise KeyboardInterrupt

        return real(*arguments, **{**options, "on_step": stop})

    monkeypatch.setattr(train, "train", interrupted)
    path = folder / "s.bin"
    done = run("train", rewritten, "--data", folder / "d.npz", "--lr", 0.01, "--save-state", path)
    assert done.status == 130 and f"their state is in {path}" in " ".join(done.err.split())
    interpreter = tt.Interpreter(rewritten)
    interpreter.load_state(path.read_bytes())
    assert interpreter.step >= 8


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_has_seen_enough_gets_no_traceback(
    folder: Path, options: tuple[str, ...]
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "tflm_train", "inspect", folder / "digits.tflite", *options],
        stdout=write, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert done.returncode == 1 and done.stderr == ""
