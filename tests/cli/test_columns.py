"""Tables that fit the width of the screen."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.helpers import Run
from tests.steps import DIGITS
from tflm_train.cli.columns import Column, fitted

OPS = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"] * 3
NAMES = [f"network/of/long/names/and/{'x' * 30}{i}/Relu" for i in range(9)]


def shown(columns: list[Column], width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(fitted(columns, width))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_a_line_for_each_row(width: int) -> None:
    lines = shown(
        [
            Column("#", list("123456789")),
            Column("op", OPS, ["C", "D", "F"] * 3, left=True),
            Column("name", NAMES, left=True, is_name=True),
            Column("MACs", ["1,234,567"] * 9, leaves=1),
            Column("shape", ["1x100x100x3"] * 9, left=True, leaves=2),
        ],
        width,
    )
    assert len(lines) == 2 + 9
    assert all(len(line) <= width for line in lines)
    for number, line in enumerate(lines[2:], 1):
        assert line.split()[0] == str(number) and line.rstrip().count(f"{number - 1}/Relu") == 1
    assert ("MACs" in lines[0], "shape" in lines[0]) == (width > 40, width > 40)


def test_names_cut_in_the_middle() -> None:
    for line in shown([Column("name", NAMES, left=True, is_name=True, cut_middle=True)], 30)[2:]:
        assert len(line.rstrip()) == 30
        assert line.startswith("network/of…") and line.rstrip().endswith("/Relu")


def test_an_empty_column_is_left_out() -> None:
    assert "gone" not in shown([Column("a", ["1"]), Column("gone", [""])], 80)[0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_pipe_is_as_wide_as_columns_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = run("inspect", DIGITS).out
    table = out[out.index("Layers:") :].split("losses:")[0].splitlines()
    assert len(table) - 12 in (3, 4)  # The title may take two lines, a layer takes one.
    assert all(len(line) <= width for line in table)


def test_no_colour_in_a_pipe(run: Run) -> None:
    assert "\x1b" not in run("inspect", DIGITS).out


def test_names_are_no_markup(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "digits[log]:cat:.tflite"
    model.write_bytes(DIGITS.read_bytes())
    done = run("optimize", model, "-o", tmp_path / "small[b].tflite")
    assert done.status == 0 and "small[b].tflite" in done.out.replace("\n", "")
    assert "digits[log]:cat:.tflite" in run("inspect", model).out
