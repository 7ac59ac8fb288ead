"""`rewrite`, `memory` and `inspect` in three coins: RAM, flash and time, for a board too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import Run, assert_refused
from tflm_train.cli import shared
from tflm_train.cost.boards import BOARDS


@pytest.fixture
def rewrite(folder: Path) -> list[object]:
    model, output = folder / "digits.tflite", folder / "coins.tflite"
    return ["rewrite", model, "--preset", "light", "-o", output, "--force"]


def test_each_coin_is_told(run: Run, rewrite: list[object], folder: Path) -> None:
    told = run(*rewrite, "--board", "nano33ble", "--json").json
    time, flash = told["time"], told["flash"]
    assert (time["core"], time["clock"]) == ("m4", 64_000_000)
    assert time["ms"] == pytest.approx(1e3 * time["cycles"] / time["clock"], abs=1e-3)
    assert flash["total_bytes"] == flash["rewritten_bytes"] + flash["kernel_bytes"]
    assert flash["rewritten_bytes"] == (folder / "coins.tflite").stat().st_size
    assert all(layer["cycles"] > 0 for layer in told["layers"])
    assert sum(layer["cycles"] for layer in told["layers"]) < time["cycles"]
    faster = run(*rewrite, "--board", "stm32h743", "--json").json["time"]
    assert faster["clock"] == BOARDS["stm32h743"].clock and faster["ms"] < time["ms"] / 7
    same = run("memory", folder / "coins.tflite", "--board", "stm32h743", "--json").json
    assert same["time"]["instructions"] == faster["instructions"]
    assert same["flash"]["total_bytes"] == flash["total_bytes"] or same["flash"]["kernel_bytes"] > 0


def test_what_lacks_is_said(run: Run, rewrite: list[object], folder: Path) -> None:
    told = run(*rewrite, "--json").json
    (folder / "coins.tflite").unlink()
    flash, ms = told["flash"]["total_bytes"], told["time"]["ms"]
    assert_refused(
        run(*rewrite, "--flash", str(flash - 1)), "1 more than the budget of", "our kernels"
    )
    assert_refused(
        run(*rewrite, "--step-ms", str(0.9 * ms)), "ms a step on m4 at 64 MHz (estimated)", "then)"
    )
    assert not (folder / "coins.tflite").exists()
    arguments = ("--flash", str(flash), "--step-ms", str(2.01 * ms), "--clock", "32MHz")
    assert run(*rewrite, *arguments, "--json").json["time"]["ms"] == pytest.approx(2 * ms, rel=1e-3)


def test_what_makes_no_sense(run: Run, rewrite: list[object]) -> None:
    assert_refused(run(*rewrite, "--board", "nano33ble", "--core", "m7"), "has m4, not m7")
    assert_refused(run(*rewrite, "--clock", "fast"), "no clock frequency")
    assert_refused(run(*rewrite, "--step-ms", "0"), "must be above 0")
    assert_refused(run(*rewrite, "--flash", "much"), "no size")


def test_a_boards_memory_is_the_budget(run: Run, folder: Path) -> None:
    model, output = folder / "digits.tflite", folder / "coins.tflite"
    chosen = run("rewrite", model, "-o", output, "--force", "--board", "stm32f446", "--json").json[
        "chosen"
    ]
    board = BOARDS["stm32f446"]
    assert chosen["budget_bytes"] == board.ram_budget
    assert chosen["flash_budget"] == board.flash_budget


def test_progress_without_a_terminal(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "SECONDS_BETWEEN", 0.0)
    told = run("rewrite", folder / "digits.tflite", "-o", folder / "coins.tflite", "--force")
    lines = [line for line in told.err.splitlines() if " tried in " in line]
    assert len(lines) > 1 and told.status == 0
    assert lines[0].startswith("1 variant tried") and lines[1].startswith("2 variants tried")
