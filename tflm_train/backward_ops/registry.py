"""Finds what the files of this package declare, so that a file is all there is to add."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from tflm_train import backward_ops


def declared(name: str, by: str) -> dict[Any, Any]:
    """Joins the dicts of one name, such as `RULES`, of all files that have one.

    Args:
      name: Of the dicts.
      by: The module that joins them, which is left out.
    """
    found: dict[Any, Any] = {}
    for info in pkgutil.iter_modules(backward_ops.__path__, f"{backward_ops.__name__}."):
        if info.name == by:
            continue
        own = vars(importlib.import_module(info.name)).get(name, {})
        twice = found.keys() & own.keys()
        assert not twice, f"{info.name} declares {sorted(map(str, twice))} again"
        found |= own
    return found
