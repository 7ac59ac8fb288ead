"""Boards and chips by name: their core, clock, RAM and flash, from public data sheets.

RAM is the largest block that one array can fill. The rest of a program needs some of both: TFLM
with its builtin kernels, the C library, the stack, the drivers. `--board` leaves `RESERVED_RAM` and
`RESERVED_FLASH` for that; `--budget` and `--flash` say otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tflm_train.cost.cores import Core
from tflm_train.errors import SchemeError

_KB = 1024
_MB = 1024 * _KB
RESERVED_RAM = 32 * _KB
RESERVED_FLASH = 192 * _KB
DEFAULT_CLOCK = 64_000_000
"""Hz of what times are told for where neither board nor clock is named."""


@dataclass(frozen=True)
class Board:
    """A board or chip.

    Attributes:
      name: What `--board` calls it.
      title: What people call it.
      core: Its core.
      clock: In Hz, the highest.
      ram_bytes: The largest block of RAM.
      flash_bytes: Flash, or MRAM.
      source: Where the numbers are from.
    """

    name: str
    title: str
    core: Core
    clock: int
    ram_bytes: int
    flash_bytes: int
    source: str

    @property
    def ram_budget(self) -> int:
        """Bytes that the rest of a program leaves to the arena."""
        return self.ram_bytes - RESERVED_RAM

    @property
    def flash_budget(self) -> int:
        """Bytes that the rest of a program leaves to the model and our kernels."""
        return self.flash_bytes - RESERVED_FLASH


BOARDS = {
    board.name: board
    for board in (
        Board(
            "nano33ble", "Arduino Nano 33 BLE (nRF52840)", Core.M4, 64_000_000,
            256 * _KB, 1 * _MB, "Nordic nRF52840 product specification, memory and CPU",
        ),
        Board(
            "stm32f446", "STM32F446RE", Core.M4, 180_000_000,
            128 * _KB, 512 * _KB, "ST DS10693 (STM32F446xC/E), features",
        ),
        Board(
            "stm32f746", "STM32F746NG", Core.M7, 216_000_000,
            320 * _KB, 1 * _MB, "ST DS10916 (STM32F745xx, STM32F746xx), features; its SRAM",
        ),
        Board(
            "stm32h743", "STM32H743ZI", Core.M7, 480_000_000,
            512 * _KB, 2 * _MB, "ST DS12110 (STM32H742xI/G, STM32H743xI/G), features; AXI SRAM",
        ),
        Board(
            "stm32u585", "STM32U585AI", Core.M33, 160_000_000,
            768 * _KB, 2 * _MB, "ST DS13086 (STM32U585xx), features; SRAM1, SRAM2, SRAM3",
        ),
        Board(
            "alif_e3_he", "Alif Ensemble E3, high-efficiency core", Core.M55, 160_000_000,
            256 * _KB, 5632 * _KB, "Alif Ensemble E3 data sheet, M55-HE; its DTCM, shared MRAM",
        ),
        Board(
            "alif_e3_hp", "Alif Ensemble E3, high-performance core", Core.M55, 400_000_000,
            1 * _MB, 5632 * _KB, "Alif Ensemble E3 data sheet, M55-HP; its DTCM, shared MRAM",
        ),
    )
}  # fmt: skip


def parse_clock(text: str) -> int:
    """Reads a frequency: Hz, or with kHz, MHz or GHz.

    Raises:
      SchemeError: Not a frequency above 0.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMG]?)(?:Hz)?\s*", text, re.IGNORECASE)
    units = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}
    hertz = 0 if match is None else round(float(match[1]) * units[match[2].upper()])
    if hertz <= 0:
        raise SchemeError(f"{text!r} is no clock frequency; write for example 64MHz")
    return hertz


def show_clock(hertz: int) -> str:
    """A frequency for people: `64 MHz`."""
    return f"{hertz / 1e6:g} MHz"
