"""Where results may go, and what is there when a command ends early."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused
from tests.loss_models import loss_model
from tflm_train.cli import training_runs


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What stands on standard error but for how far it is, which a busy machine says too."""
    lines = done.stderr.splitlines(keepends=True)
    return "".join(line for line in lines if " tried in " not in line)


def test_a_place_is_refused_before_the_first_step(
    run: Run, folder: Path, rewritten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(training_runs, "train", never)
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
    real = training_runs.train

    def interrupted(*arguments: Any, **options: Any) -> Any:
        def stop(report: Any) -> None:
            if report.epoch == 1:
                raise KeyboardInterrupt

        return real(*arguments, **{**options, "on_step": stop})

    monkeypatch.setattr(training_runs, "train", interrupted)
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
    assert done.returncode == 1 and told(done) == ""


@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "/dev/null"])
def test_what_never_ends_is_not_read(run: Run, folder: Path, rewritten: Path, place: str) -> None:
    os.mkfifo(folder / "pipe")
    path, data = folder / place, folder / "d.npz"
    for command in (
        ("inspect", path),
        ("rewrite", folder / "digits.tflite", "--scheme", path),
        ("train", rewritten, "--data", path),
        ("train", rewritten, "--data", data, "--load-state", path),
        ("quantize", path, "--data", data),
        ("search", folder / "digits.tflite", "--data", data, "--contributions", path),
    ):
        assert_refused(run(*command), "is a device or a pipe, not a file")


def _start(folder: Path, arguments: Sequence[str], **streams: Any) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "tflm_train", *arguments]
    return subprocess.run(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, check=False, **streams
    )


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_full_disk_behind_standard_output(folder: Path, options: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = _start(folder, ["inspect", "digits.tflite", *options], stdout=full)
    assert done.returncode == 1 and told(done) == (
        "tflm_train: error: the result cannot be printed (No space left on device); files that it "
        "names are written\n"
    )


def test_no_standard_output_at_all(folder: Path) -> None:
    script = f"exec {sys.executable} -m tflm_train rewrite digits.tflite --scheme s.yaml >&-"
    done = subprocess.run(
        ["sh", "-c", script], cwd=folder, stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, told(done)) == (0, "")
    assert (folder / "digits_train.tflite").exists()


def test_a_crash_ends_in_a_line(folder: Path) -> None:
    program = """
import ctypes, signal
from tflm_train.cli import main
from tflm_train.runtime.crashes import name_crashes
from tflm_train.runtime.host_library import captured_stderr
def crash(_):
    name_crashes("odd.tflite")
    with captured_stderr():
        ctypes.string_at(0)
main.execute = crash
main.run()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "inspect", "digits.tflite"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(
        "tflm_train: error: odd.tflite: TFLM crashed"
    )


def test_where_nothing_is_gained_it_may_be_written_again(run: Run, tmp_path: Path) -> None:
    """What `optimize` gives is the model itself, which does not look like one of ours."""
    source, output = tmp_path / "model.tflite", tmp_path / "small.tflite"
    source.write_bytes(loss_model("regression"))
    for _ in range(2):
        done = run("optimize", source, "-o", output)
        assert done.status == 0, done.err
        assert output.read_bytes() == source.read_bytes()
