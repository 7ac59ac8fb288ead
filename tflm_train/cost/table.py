"""The measured figures that costs are estimated with, as the package carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from tflm_train.cost.cores import Core

_FOLDER = "tflm_train.cost"


@cache
def instruction_table() -> Mapping[str, Any]:
    """What `python -m benchmarks.fit_cost` has written: coefficients of each kind of op."""
    return _read("instructions.json")


@cache
def code_size_table() -> Mapping[str, Any]:
    """What `python -m benchmarks.code_size --save-table` has written: bytes of code."""
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
    own: dict[str, Mapping[str, float]] = dict(table["instructions"][str(core)])
    if is_reference:
        own |= table["reference"]
    return own


@cache
def cycles_per_instruction(core: Core) -> Mapping[str, float]:
    """Modelled cycles per instruction, by kind of op; `*` for those not named."""
    table: Mapping[str, float] = instruction_table()["cycles_per_instruction"][str(core)]
    return table


def _read(name: str) -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(resources.files(_FOLDER).joinpath(name).read_text())
    return table
