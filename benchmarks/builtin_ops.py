"""Executed instructions of every op of a model in TFLM on emulated Cortex-M cores.

TFLM itself is someone else's build: `TFLM_LIB` names its static library (hard float ABI where the
core has one), in which `{core}` stands for a key of `instructions.CORES`, else it is one for the
M7; `TFLM_INCLUDE` names the include folders of TFLM and its third parties, separated by colons.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
from functools import cache
from pathlib import Path

from benchmarks import instructions
from tflm_train.model import Model
from tools import boards

SOURCES = (
    "benchmarks/target/tflm/*.cc",
    *boards.kernel_sources(),
    *boards.kernel_sources("micro"),
)
MODEL_BYTES = 1024 * boards.KIB  # at the end of the board's memory
_ONLY_CORE = "m7"


def count(core: str, model: Model) -> list[int] | None:
    """Runs a model once.

    Args:
        core: a key of `instructions.CORES`.
        model: of at most 1 MB.

    Returns:
        Instructions of each of its ops; None where no library for this core is at hand.

    Raises:
        RuntimeError: the program or the emulator failed, or the model is too large.
    """
    if library(core) is None:
        return None
    if len(model.source) > MODEL_BYTES:
        raise RuntimeError(f"{model.name} has {len(model.source)} bytes, more than {MODEL_BYTES}")
    elf, model_at = program(core, SOURCES, "profile")
    output = instructions.emulate(machine(core), elf, model.source, model_at)
    counts = instructions.parse(output)
    if len(counts) != len(model.graph.ops) or not output.rstrip().endswith("done"):
        raise RuntimeError(f"{model.name} on {core} ended early:\n{output}")
    return counts


def library(core: str) -> Path | None:
    """The static library for a core; None where none is at hand."""
    named = os.environ.get("TFLM_LIB", "")
    if not named or not os.environ.get("TFLM_INCLUDE"):
        return None
    if "{core}" not in named and core != _ONLY_CORE:
        return None
    path = Path(named.replace("{core}", core))
    return path if path.exists() else None


def machine(core: str) -> boards.Machine:
    """A core's board, without the end of its memory, where models go."""
    name = instructions.CORES[core]
    board = next(m for m in boards.MACHINES if m.name == name)
    origin, size = board.ram
    defines = (*board.defines, "-DTF_LITE_STATIC_MEMORY")
    return dataclasses.replace(board, ram=(origin, size - MODEL_BYTES), defines=defines)


@cache
def program(core: str, sources: tuple[str, ...], name: str) -> tuple[Path, int]:
    """Builds a program with TFLM.

    Args:
        core: a key of `instructions.CORES`, for which there is a library.
        sources: patterns of its sources.
        name: what to call it.

    Returns:
        The ELF file, and where it wants the model.

    Raises:
        RuntimeError: the compiler or linker failed.
    """
    board = machine(core)
    model_at = sum(board.ram)
    includes = [path for path in os.environ["TFLM_INCLUDE"].split(":") if path]
    symbols = {"model_data": model_at}
    try:
        elf = boards.compile_and_link(board, sources, name, symbols, includes, [str(library(core))])
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{error.cmd[0]} failed:\n{error.output}") from error
    return elf, model_at
