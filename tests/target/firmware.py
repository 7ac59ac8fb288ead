"""Builds firmware around a TFLM that someone else built, and runs it on an emulated board.

`TFLM_LIB` names a static library of TFLM for Cortex-M7 (hard float ABI) and `TFLM_INCLUDE` the
include folders of TFLM and of its third parties, separated by colons. The library may hold the
reference or the CMSIS-NN kernels; which of them is read from its symbols.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tflm_train.memory import KernelSet
from tools import boards

RUN_SECONDS = 240
_MACHINE = boards.Machine(
    "firmware",
    "mps2-an500",
    "cortex_m7",
    code=(0x00000000, 4 << 20),
    ram=(0x60000000, 16 << 20),  # PSRAM; the code's 4 MB are for the model too
)
_FOLDER = Path(__file__).resolve().parent
_EMBEDDED = """
    .section .rodata
    .balign 16
    .global model_data
model_data:
    .incbin "{}"
"""


@cache
def library_kernels() -> KernelSet:
    """Which kernels the library holds."""
    symbols = subprocess.run(
        ["arm-none-eabi-nm", os.environ["TFLM_LIB"]], capture_output=True, text=True, check=False
    ).stdout
    found = "arm_convolve_wrapper_s8" in symbols
    return KernelSet.CMSIS_NN if found else KernelSet.REFERENCE


def build(source: str, folder: Path) -> list[Path]:
    """Compiles everything but the model: our kernels, the board's startup code, `source`.

    Args:
        source: A C++ file beside this one, with `main`.
        folder: Where the objects go.

    Returns:
        The objects.
    """
    root = boards.ROOT
    patterns = (
        *boards.kernel_sources(),
        *boards.kernel_sources("micro"),
        *boards.ARM.platform,
    )
    sources = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [_compile(path, folder) for path in [*sources, _FOLDER / source]]


def run(objects: list[Path], model: Path, minimum_bytes: int, folder: Path) -> dict[str, int]:
    """Links a program with a model and runs it.

    Args:
        objects: What `build` returned.
        model: The .tflite file.
        minimum_bytes: The predicted smallest arena, for the program.
        folder: Where the program goes.

    Returns:
        The numbers of the lines `name number ...` that it printed.
    """
    embedded = folder / f"{model.stem}.s"
    embedded.write_text(_EMBEDDED.format(model))
    objects = [*objects, _compile(embedded, folder)]
    elf = folder / f"{model.stem}.elf"
    layout = {**_MACHINE.memory, "minimum_bytes": minimum_bytes}
    symbols = [f"-Wl,--defsym={name}={value:#x}" for name, value in layout.items()]
    script = f"-Wl,-T,{boards.ROOT / 'tests/cpp/target/target.ld'}"
    linked = [*map(str, objects), os.environ["TFLM_LIB"]]
    link = [boards.ARM.compiler, *_flags(), *boards.ARM.link_flags, *symbols, script]
    _call([*link, *linked, "-o", str(elf)])
    finished = subprocess.run(
        boards.emulator_of(_MACHINE, elf), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    words = [line.split() for line in output.splitlines()]
    return {w[0]: int(w[1]) for w in words if len(w) > 1 and w[1].lstrip("-").isdigit()}


def _flags() -> list[str]:
    includes = [f"-I{path}" for path in os.environ["TFLM_INCLUDE"].split(":") if path]
    # TFLM's own headers do not hold to our warnings.
    plain = [f for f in boards.ARM.compile_flags if not f.startswith("-W")]
    core = boards.core_flags()[_MACHINE.core]
    return [*plain, "-O3", "-DTF_LITE_STATIC_MEMORY", *core, f"-I{boards.ROOT}", *includes]


def _compile(source: Path, folder: Path) -> Path:
    output = folder / f"{source.stem}.o"
    _call([boards.ARM.compiler, *_flags(), "-c", str(source), "-o", str(output)])
    return output


def _call(command: list[str]) -> None:
    try:
        boards.call(command)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd[0]} failed:\n{error.output}")
