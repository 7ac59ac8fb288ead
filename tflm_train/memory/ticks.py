"""Round values for axes of bytes and of operators, and sizes in words."""

from __future__ import annotations

_KB = 1024


def ticks(most: int, count: int, *, binary: bool = False) -> list[int]:
    """Round whole numbers from 0 to at most `most`.

    Args:
      most: The end of the axis.
      count: About how many there should be at most.
      binary: Steps are powers of two, as sizes of memory are.
    """
    step = 1
    while most > step * count:
        if binary:
            step *= 2
        else:
            step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, most + 1, step))


def size_words(size: int) -> str:
    """A size: `490 B`, `7.8 KB`, `64 KB`."""
    if size < _KB:
        return f"{size} B" if size else "0"
    return f"{size / _KB:,.1f}".removesuffix(".0") + " KB"
