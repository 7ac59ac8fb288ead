"""`train --seeds`: runs that differ in the order of the samples."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.helpers import Run, assert_refused
from tests.cli.test_train_again import break_off


@pytest.fixture
def asked(folder: Path, rewritten: Path) -> list[Any]:
    with np.load(folder / "d.npz") as file:
        arrays = dict(file)
    np.savez(folder / "v.npz", **arrays, x_val=arrays["x_test"], y_val=arrays["y_test"])
    return ["train", rewritten, "--data", folder / "v.npz", "--lr", 0.3, "--epochs", 2]


def of_kept_epoch(run: dict[str, Any]) -> float:
    score: float = run["epochs"][run["kept_epoch"] - 1]["val_accuracy"]
    return score


def test_each_is_the_run_of_its_seed(run: Run, folder: Path, asked: list[Any]) -> None:
    several = run(*asked, "--seeds", "3,5,0", "--save-state",
                  folder / "all.bin", "--json").json  # fmt: skip
    single, states = {}, {}
    for seed in (3, 5, 0):
        state = folder / f"{seed}.bin"
        single[seed] = run(*asked, "--seed", seed, "--save-state", state, "--json").json
        states[seed] = state.read_bytes()
    seeds = several["seeds"]
    assert [one["seed"] for one in seeds["runs"]] == [3, 5, 0]
    for one in seeds["runs"]:
        assert one["test_accuracy"] == single[one["seed"]]["test_accuracy"]
        assert one["val_accuracy"] == of_kept_epoch(single[one["seed"]])
    assert len(set(states.values())) == 3
    scores = [one["test_accuracy"] for one in seeds["runs"]]
    assert seeds["mean"] == pytest.approx(statistics.fmean(scores))
    assert seeds["deviation"] == pytest.approx(statistics.stdev(scores))
    best = max(seeds["runs"], key=lambda one: one["val_accuracy"])
    assert seeds["kept"] == best["seed"]
    assert (folder / "all.bin").read_bytes() == states[best["seed"]]
    for key in ("epochs", "test_accuracy", "test", "kept_epoch"):
        assert several[key] == single[best["seed"]][key]


def test_each_begins_with_the_state_that_is_given(run: Run, folder: Path, asked: list[Any]) -> None:
    state = folder / "begin.bin"
    run(*asked, "--seed", 9, "--save-state", state)
    asked += ["--load-state", state]
    several = run(*asked, "--seeds", "0..1", "--json").json["seeds"]["runs"]
    single = run(*asked, "--seed", 1, "--json").json
    assert several[1]["test_accuracy"] == single["test_accuracy"]
    assert several[1]["val_accuracy"] == of_kept_epoch(single)


def test_the_rate_is_chosen_once(run: Run, asked: list[Any]) -> None:
    options = [word for word in asked if word not in ("--lr", 0.3)]
    done = run(*options, "--seeds", "1..2")
    assert done.err.count("chosen in") == 1
    assert done.err.count("seed 2, epoch") == 2 and "2 seeds: test accuracy" in done.out


def test_interrupted(
    run: Run, folder: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = folder / "s.bin"
    with monkeypatch.context() as patch:
        break_off(patch, 20)  # In the second run, of 16 steps each.
        done = run(*asked, "--seeds", "0..2", "--save-state", state)
    assert done.status == 130
    assert "after 1 of 3 runs; the state of seed 0" in " ".join(done.err.split())
    whole = folder / "w.bin"
    run(*asked, "--save-state", whole)
    assert state.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("seeds", ["", "4..0", "1,1", "-1", "a..b", "0..5000"])
def test_no_seeds(run: Run, asked: list[Any], seeds: str) -> None:
    assert_refused(run(*asked, f"--seeds={seeds}"), "give seeds as 0..4 or 0,3,7")


def test_one_thing_or_the_other(run: Run, folder: Path, asked: list[Any]) -> None:
    assert_refused(run(*asked, "--seed", 1, "--seeds", "0..1"), "not allowed with")
    resumed = run(*asked, "--seeds", "0..1", "--save-state", folder / "s.bin", "--resume")
    assert_refused(resumed, "--resume goes on with one run")
