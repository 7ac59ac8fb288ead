"""Sizes of C structs on a target, from their fields.

A struct is a sequence of fields: one letter per scalar in a string, or a nested struct as a tuple.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Union

Struct = Sequence[Union[str, "Struct"]]
"""Fields in order. Letters: P pointer or size_t, i int32, f float, q int64, d double, h int16,
b one byte (bool, int8, an enum with a uint8_t base), e an enum without a base."""


@dataclass(frozen=True)
class Target:
    """What decides how a compiler lays out TFLM's structs.

    Attributes:
      name: What it is called.
      pointer: Bytes of a pointer.
      enum: Bytes of a small enum (1 with -fshort-enums, which arm-none-eabi compilers imply).
      compression: Built with USE_TFLM_COMPRESSION, as the Python package is.
      recording: Allocations are recorded (RecordingMicroAllocator), as in the Python package.
      since_october_2026: TFLM with its C structs in a namespace; it keeps two pointers more for
        each FULLY_CONNECTED (measured: its sources are not at hand).
    """

    name: str
    pointer: int
    enum: int
    compression: bool = False
    recording: bool = False
    since_october_2026: bool = False

    def size_of(self, *fields: str | Struct) -> int:
        """Size of a struct in bytes, padding included."""
        return self._layout(fields)[0]

    def align_of(self, *fields: str | Struct) -> int:
        """Alignment of a struct in bytes."""
        return self._layout(fields)[1]

    def _layout(self, fields: Sequence[str | Struct]) -> tuple[int, int]:
        offset, widest = 0, 1
        for field in fields:
            if isinstance(field, str):
                parts = [(self._scalar(letter),) * 2 for letter in field]
            else:
                parts = [self._layout(field)]
            for size, alignment in parts:
                offset = align(offset, alignment) + size
                widest = max(widest, alignment)
        return align(offset, widest), widest

    def _scalar(self, letter: str) -> int:
        sizes = {"i": 4, "f": 4, "q": 8, "d": 8, "h": 2, "b": 1}
        sizes |= {"P": self.pointer, "e": self.enum}
        return sizes[letter]


CORTEX_M = Target("cortex_m", pointer=4, enum=1)
"""A 32-bit Arm microcontroller, TFLM (August 2026) as its makefile builds it."""
HOST = Target("host", 8, 4, compression=True, recording=True, since_october_2026=True)
"""The x86-64 interpreter of the `tflite-micro` Python package."""
HOST_CLASSIC = replace(HOST, name="host_classic", since_october_2026=False)
"""The same, before October 2026."""


def align(size: int, alignment: int) -> int:
    """Rounds a size up."""
    return -(-size // alignment) * alignment
