"""The measured figures that costs are estimated with, as the package carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from tflm_train.cost.cores import Core

_FOLDER = "tflm_train.cost"
_REFERENCE = 4.0
"""How many times CMSIS-NN's instructions TFLM's reference kernels take, at least."""
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD")


@cache
def instruction_table() -> Mapping[str, Any]:
    """What `python -m benchmarks.fit_cost` has written: coefficients of each kind of op."""
    return _read("instructions.json")


@cache
def code_size_table() -> Mapping[str, Any]:
    """What `python -m benchmarks.linked_size` has written: bytes of code."""
    return _read("code_size.json")


@cache
def coefficients(core: Core, is_reference: bool = False) -> Mapping[str, Mapping[str, float]]:
    """Instructions per unit of each feature, by kind of op.

    Args:
      core: What runs them.
      is_reference: Of TFLM's reference kernels, where builtin operators have others than
        CMSIS-NN's.

    Returns:
      By kind of op, then by feature.
    """
    table = instruction_table()
    own: Mapping[str, Mapping[str, float]] = table["instructions"][str(core)]
    if not is_reference:
        return own
    slower = {
        kind: {name: _REFERENCE * value for name, value in own[kind].items()} for kind in _LAYERS
    }
    return {**own, **slower}


def _read(name: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(
        resources.files(_FOLDER).joinpath(name).read_text("utf-8")
    )
    return table
