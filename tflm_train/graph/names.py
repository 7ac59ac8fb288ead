"""Names of tensors and layers as people tell them apart."""

from __future__ import annotations

from collections.abc import Sequence


def without_common_folder(names: Sequence[str]) -> list[str]:
    """Names without the folders, up to a `/`, that all of them begin with."""
    if len(names) < 2:
        return list(names)
    first, last = min(names), max(names)  # What these two begin with, all begin with.
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return [name[first.rfind("/", 0, same) + 1 :] for name in names]
