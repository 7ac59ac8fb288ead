"""Boards by name, and clocks."""

from __future__ import annotations

import pytest

from tflm_train.cost.boards import BOARDS, parse_clock, show_clock
from tflm_train.cost.cores import Core
from tflm_train.errors import SchemeError


def test_each_board() -> None:
    assert {board.core for board in BOARDS.values()} == {Core.M4, Core.M7, Core.M33, Core.M55}
    for name, board in BOARDS.items():
        assert board.name == name and board.source and board.title
        assert 0 < board.ram_budget < board.ram_bytes
        assert 0 < board.flash_budget < board.flash_bytes
    assert (BOARDS["nano33ble"].clock, BOARDS["stm32h743"].clock) == (64_000_000, 480_000_000)


@pytest.mark.parametrize(
    ("text", "hertz"),
    [("64MHz", 64_000_000), ("32768", 32768), ("1.5 ghz", 1_500_000_000), ("48M", 48_000_000)],
)
def test_clocks(text: str, hertz: int) -> None:
    assert parse_clock(text) == hertz


@pytest.mark.parametrize("text", ["", "MHz", "-1MHz", "0", "64 MB", "1e6"])
def test_no_clock(text: str) -> None:
    with pytest.raises(SchemeError):
        parse_clock(text)


def test_shown() -> None:
    assert show_clock(64_000_000) == "64 MHz"
    assert show_clock(32768) == "0.032768 MHz"
