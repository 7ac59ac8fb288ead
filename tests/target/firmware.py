"""Builds firmware around a TFLM that someone else built, and runs it on an emulated board.

`TFLM_LIB` names a static library of TFLM for Cortex-M7 (hard float ABI) and `TFLM_INCLUDE` the
include folders of TFLM and of its third parties, separated by colons. The library may hold the
reference or the CMSIS-NN kernels; which of them is read from its symbols. What does not depend on
the size of a pointer runs with a library for x86-64 Linux too, as a program of this machine.
"""

from __future__ import annotations

import dataclasses
import os
import struct
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
_HOST = boards.Machine(
    "host",
    "",
    "x86_64",
    toolchain=dataclasses.replace(
        boards.AARCH64_LINUX,
        compiler="g++",
        # The linker defines a symbol as a number, which no address of such a program is.
        link_flags=("-no-pie", "-Wl,--gc-sections"),
        emulator=(),
        platform=("tests/cpp/platform_host.cc",),
    ),
)
_ELF, _X86_64 = b"\x7fELF", 62
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


@cache
def _machine() -> boards.Machine:
    """What the library was built for, by its first object."""
    library = Path(os.environ["TFLM_LIB"]).read_bytes()
    (machine,) = struct.unpack_from("<H", library, library.index(_ELF) + 18)  # e_machine
    return _HOST if machine == _X86_64 else _MACHINE


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
        *_machine().toolchain.platform,
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
    tools = _machine().toolchain
    layout = {**_machine().memory, "minimum_bytes": minimum_bytes}
    symbols = [f"-Wl,--defsym={name}={value:#x}" for name, value in layout.items()]
    if tools.script is not None:
        symbols.append(f"-Wl,-T,{boards.ROOT / tools.script}")
    linked = [*map(str, objects), os.environ["TFLM_LIB"]]
    link = [tools.compiler, *_flags(), *tools.link_flags, *symbols]
    _call([*link, *linked, "-o", str(elf)])
    finished = subprocess.run(
        boards.emulator_of(_machine(), elf), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    words = [line.split() for line in output.splitlines()]
    return {w[0]: int(w[1]) for w in words if len(w) > 1 and w[1].lstrip("-").isdigit()}


def _flags() -> list[str]:
    includes = [f"-I{path}" for path in os.environ["TFLM_INCLUDE"].split(":") if path]
    # TFLM's own headers do not hold to our warnings.
    plain = [f for f in _machine().toolchain.compile_flags if not f.startswith("-W")]
    core = boards.core_flags().get(_machine().core, [])
    return [*plain, "-O3", "-DTF_LITE_STATIC_MEMORY", *core, f"-I{boards.ROOT}", *includes]


def _compile(source: Path, folder: Path) -> Path:
    output = folder / f"{source.stem}.o"
    _call([_machine().toolchain.compiler, *_flags(), "-c", str(source), "-o", str(output)])
    return output


def _call(command: list[str]) -> None:
    try:
        boards.call(command)
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd[0]} failed:\n{error.output}")
