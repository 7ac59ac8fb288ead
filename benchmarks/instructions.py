"""Executed instructions of our operators on emulated Cortex-M cores.

QEMU runs one instruction in 64 ns of its own time (`-icount shift=6`), so that a timer of the board
counts instructions, the same number in every run. Instructions are not cycles: no cache misses,
no wait states, no dual issue.
"""

from __future__ import annotations

import dataclasses
import re
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tflm_train import ops
from tools import boards

SOURCES = ("benchmarks/target/*.cc", *boards.kernel_sources())
CORES = {
    "m0plus": "mps2-an385-m0plus",
    "m3": "mps2-an385",
    "m4": "mps2-an386",
    "m7": "mps2-an500",
    "m55": "mps3-an547",
}
# As firmware is built more often than not: each core counted once more.
FOR_SIZE = {f"{core} -Os": core for core in CORES}
_CASES_BYTES = 64 * boards.KIB  # at the end of the board's memory
_RUN_SECONDS = 900
_LINE = re.compile(r"^(\d+) (\d+)$", re.MULTILINE)


def count(core: str, operators: Sequence[ops.Params]) -> list[int]:
    """Runs operators on random data, each warmed up once.

    Args:
        core: a key of `CORES`, or of `FOR_SIZE`: the same compiled with -Os.
        operators: their parameters; shapes and kinds follow from them.

    Returns:
        Instructions of one run of each.

    Raises:
        RuntimeError: the program or the emulator failed.
    """
    machine = next(m for m in boards.MACHINES if m.name == CORES[FOR_SIZE.get(core, core)])
    origin, size = machine.ram
    machine = dataclasses.replace(machine, ram=(origin, size - _CASES_BYTES))
    if core in FOR_SIZE:
        machine = dataclasses.replace(machine, optimization="-Os")
    cases_at = origin + size - _CASES_BYTES
    cases = struct.pack("<I", len(operators))
    for operator in operators:
        options = operator.pack()
        cases += struct.pack("<I", len(options)) + options
    if len(cases) > _CASES_BYTES:
        raise RuntimeError(f"{len(operators)} operators do not fit; count them in parts")
    try:
        elf = boards.compile_and_link(machine, SOURCES, "bench", {"bench_cases": cases_at})
        output = emulate(machine, elf, cases, cases_at)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{error.cmd[0]} failed:\n{error.output}") from error
    counts = parse(output)
    if len(counts) != len(operators) or not output.rstrip().endswith("done"):
        raise RuntimeError(f"the benchmark on {machine.name} ended early:\n{output}")
    return counts


def compiler() -> str:
    """The name and version of the cross compiler: the counts depend on it."""
    command = [boards.ARM.compiler, "--version"]
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout.split("\n")[0]


def parse(output: str) -> list[int]:
    """The counts of a program's lines `index instructions`."""
    return [int(instructions) for _, instructions in _LINE.findall(output)]


def emulate(machine: boards.Machine, elf: Path, data: bytes, address: int) -> str:
    """Runs a program that reads data from an address; returns what it prints.

    Raises:
        subprocess.CalledProcessError: it failed (what it printed in `output`).
    """
    with tempfile.TemporaryDirectory() as folder:
        blob = Path(folder) / "data.bin"
        blob.write_bytes(data)
        command = [*boards.emulator_of(machine, elf), "-icount", "shift=6"]
        command += ["-device", f"loader,file={blob},addr={address:#x},force-raw=on"]
        return subprocess.run(
            command,
            check=True,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_RUN_SECONDS,
        ).stdout
