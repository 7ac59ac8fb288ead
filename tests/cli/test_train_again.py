"""Runs that are broken off and go on, and which state is kept."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tflm_train as tt
from tests.cli.helpers import Run, assert_refused
from tflm_train.cli import training_runs

EPOCHS, SAMPLES = 4, 8


@pytest.fixture
def options(folder: Path, rewritten: Path) -> list[Any]:
    return [
        "train", rewritten, "--data", folder / "d.npz", "--epochs", EPOCHS, "--lr", 0.01,
        "--schedule", "cosine", "--seed", 3,
    ]  # fmt: skip


def break_off(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Makes training end like Ctrl-C after so many steps, of several runs together."""
    real = training_runs.train
    left = itertools.count(steps - 1, -1)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        def stop(_: Any) -> None:
            if next(left) == 0:
                raise KeyboardInterrupt

        return real(*arguments, **{**options, "on_step": stop})

    monkeypatch.setattr(training_runs, "train", interrupted)


@pytest.mark.parametrize("steps", [SAMPLES + 1, 2 * SAMPLES, 3 * SAMPLES + 5])
def test_a_resumed_run_ends_in_the_same_bits(
    run: Run, folder: Path, options: list[Any], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole = run(*options, "--save-state", folder / "whole.bin", "--json").json
    path = folder / "s.bin"
    with monkeypatch.context() as patch:
        break_off(patch, steps)
        done = run(*options, "--save-state", path)
    assert done.status == 130 and "--resume goes on from the last whole epoch" in done.err
    resumed = run(*options, "--save-state", path, "--resume", "--json").json
    assert path.read_bytes() == (folder / "whole.bin").read_bytes()
    for key in ("epochs", "learning_rate", "test_accuracy_before", "test_accuracy", "weight_steps"):
        assert resumed[key] == whole[key]
    assert not (folder / "s.bin.checkpoint").exists()
    assert_refused(run(*options, "--save-state", path, "--resume"), "no run to go on with")


def test_a_chosen_rate_is_not_chosen_again(
    run: Run, folder: Path, options: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options[options.index("--lr") + 1] = "auto"
    whole = run(*options, "--save-state", folder / "whole.bin", "--json").json
    with monkeypatch.context() as patch:
        break_off(patch, SAMPLES + 1)
        run(*options, "--save-state", folder / "s.bin")
    resumed = run(*options, "--save-state", folder / "s.bin", "--resume", "--json").json
    assert resumed["learning_rate"] == whole["learning_rate"] and "rate_choice" not in resumed
    assert (folder / "s.bin").read_bytes() == (folder / "whole.bin").read_bytes()


def test_another_run_is_not_resumed(
    run: Run, folder: Path, options: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "s.bin"
    with monkeypatch.context() as patch:
        break_off(patch, SAMPLES + 1)
        run(*options, "--save-state", path)
    checkpoint = (folder / "s.bin.checkpoint").read_bytes()
    for change, words in (
        (["--seed", 4], "seed 3, not 4"),
        (["--epochs", 5], "epochs 4, not 5"),
        (["--lr", 0.1], "learning rate 0.01, not 0.1"),
        (["--limit", 7], "other training data"),
    ):
        done = run(*options, *change, "--save-state", path, "--resume")
        assert_refused(done, words)
    (folder / "s.bin.checkpoint").write_bytes(checkpoint[:-200])
    assert_refused(run(*options, "--save-state", path, "--resume", "--force"), "s.bin.checkpoint")
    (folder / "s.bin.checkpoint").write_bytes(checkpoint)
    again = run(*options, "--save-state", path)
    assert again.status == 0 and "begins anew" in " ".join(again.err.split())


@pytest.fixture
def validated(folder: Path, options: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options of runs whose samples for validation score as is given here."""
    with np.load(folder / "d.npz") as file:
        arrays = dict(file)
    np.savez(folder / "v.npz", **arrays, x_val=arrays["x_test"], y_val=arrays["y_test"])
    options[options.index("--data") + 1] = folder / "v.npz"
    scores = iter([0.5, 0.75, 0.5, 0.5] * 2)
    monkeypatch.setattr("tflm_train.runtime.training.validate", lambda *_: (next(scores), 0.125))
    return options


def test_the_best_epoch_is_kept(
    run: Run, folder: Path, rewritten: Path, validated: list[Any]
) -> None:
    options, path = validated, folder / "s.bin"
    done = run(*options, "--save-state", path, "--json").json
    assert done["kept_epoch"] == 2
    assert [epoch["val_accuracy"] for epoch in done["epochs"]] == [0.5, 0.75, 0.5, 0.5]
    interpreter = tt.Interpreter(rewritten)
    interpreter.load_state(path.read_bytes())
    assert interpreter.step == 2 * SAMPLES
    last = run(*options, "--save-state", folder / "last.bin", "--keep", "last", "--json").json
    assert "kept_epoch" not in last
    interpreter.load_state((folder / "last.bin").read_bytes())
    assert interpreter.step == EPOCHS * SAMPLES


def test_the_best_epoch_of_a_resumed_run(
    run: Run, folder: Path, rewritten: Path, validated: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, path = validated, folder / "s.bin"
    with monkeypatch.context() as patch:
        break_off(patch, 2 * SAMPLES + 1)
        done = run(*options, "--save-state", path)
    assert "the state of epoch 2 is in" in " ".join(done.err.split())
    done = run(*options, "--save-state", path, "--resume", "--json").json
    assert done["kept_epoch"] == 2
    interpreter = tt.Interpreter(rewritten)
    interpreter.load_state(path.read_bytes())
    assert interpreter.step == 2 * SAMPLES


def test_what_needs_a_place(run: Run, options: list[Any]) -> None:
    assert_refused(run(*options, "--resume"), "--resume needs --save-state")
    assert_refused(run(*options, "--keep", "best"), "keep best needs samples for validation")


def test_a_full_disk(
    run: Run, folder: Path, options: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, and what was there before is as it was."""
    path = folder / "s.bin"
    run(*options, "--save-state", path)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tflm_train.files.os.fsync", fail)
    names = sorted(folder.iterdir())
    assert_refused(run(*options, "--save-state", path, "--json"), "cannot be written (No space")
    assert path.read_bytes() == before and sorted(folder.iterdir()) == names


@pytest.mark.parametrize("epochs", [10**20, 2**31])
def test_more_steps_than_can_be_counted(run: Run, options: list[Any], epochs: int) -> None:
    assert_refused(run(*options, "--epochs", epochs), "use fewer epochs")
