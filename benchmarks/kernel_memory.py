"""What TFLM's builtin kernels ask the arena for, operator by operator, on emulated Cortex-M cores.

    python -m benchmarks.kernel_memory --source TEXT [--cores m7 m4 ...] [--json] [--save FILE]

TFLM_INCLUDE and TFLM_LIB name a build of TFLM as for `benchmarks.stream_speed`; its kernels may be
the reference ones or CMSIS-NN's. Every case of tests/memory/kernel_cases.py is allocated there. Its
row has the bytes of the parsed options, of what `Init` and `Prepare` keep, of the scratch buffers,
and `arena_used_bytes()`; or it says that the kernel refuses the case. With `--save` the rows of
other builds stay in the file.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import builtin_ops, instructions
from benchmarks.report import Column, parser_of, publish, show
from tests.memory.kernel_cases import kernel_cases
from tests.memory.kernel_rows import PARTS, REFUSED, row_text
from tflm_train.memory import KernelSet

SOURCES = ("benchmarks/target/memory/*.cc",)
_STEP = 16
_HELIUM, _WITHOUT_DSP = ("m55",), ("m0plus", "m3")
_USED = "used"


def measure(core: str) -> dict[str, str] | None:
    """Allocates every case.

    Args:
        core: a key of `instructions.CORES`.

    Returns:
        A row for each; None where no library for this core is at hand.

    Raises:
        RuntimeError: the program or the emulator failed.
    """
    if builtin_ops.library(core) is None:
        return None
    cases = kernel_cases()
    elf, model_at = builtin_ops.program(core, SOURCES, "memory")
    models = [model.source for model in cases.values()]
    blob = struct.pack("<I", len(models)).ljust(_STEP, b"\0") + b"".join(map(_entry, models))
    if len(blob) > builtin_ops.MODEL_BYTES:
        raise RuntimeError(f"{len(cases)} models with {len(blob)} bytes do not fit")
    try:
        output = instructions.emulate(builtin_ops.machine(core), elf, blob, model_at)
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"the program on {core} failed:\n{error.output[-2000:]}") from error
    rows = list(parse(output))
    if len(rows) != len(cases) or not output.rstrip().endswith("done"):
        raise RuntimeError(f"the cases on {core} ended early:\n{output[-2000:]}")
    return dict(zip(cases, rows, strict=True))


def kernels_of(core: str) -> KernelSet:
    """Which kernels the library for a core holds."""
    symbols = subprocess.run(
        ["arm-none-eabi-nm", str(builtin_ops.library(core))],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    if "arm_convolve_wrapper_s8" not in symbols:
        return KernelSet.REFERENCE
    if core in _HELIUM:
        return KernelSet.CMSIS_NN_HELIUM
    return KernelSet.CMSIS_NN_BASIC if core in _WITHOUT_DSP else KernelSet.CMSIS_NN


def parse(output: str) -> Iterator[str]:
    """The rows of what the program on the target printed."""
    sizes: dict[str, list[int]] = {part: [] for part in PARTS}
    for line in output.splitlines():
        part, _, size = line.partition(" ")
        if part in (_USED, REFUSED):
            yield row_text(sizes, int(size)) if part == _USED else REFUSED
            sizes = {part: [] for part in PARTS}
        elif part in sizes:
            sizes[part].append(int(size))


def merge(earlier: Mapping[str, Any], build: str, rows: Mapping[str, str]) -> dict[str, Any]:
    """Puts one build's rows in the place of those that an earlier report has of it.

    Cases that are no more are left out.
    """
    before = earlier.get("rows", {})
    return {case: {**before.get(case, {}), build: row} for case, row in rows.items()}


def _entry(model: bytes) -> bytes:
    padded = model.ljust(-(-len(model) // _STEP) * _STEP, b"\0")
    return struct.pack("<I", len(model)).ljust(_STEP, b"\0") + padded


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--source", required=True, help="commits and dates of TFLM and CMSIS-NN")
    cores = list(instructions.CORES)
    parser.add_argument("--cores", nargs="+", choices=cores, default=["m7"], help="default: m7")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    arguments = _arguments(words)
    results: dict[str, Any] = {}
    if arguments.save is not None and arguments.save.exists():
        earlier = json.loads(arguments.save.read_text())
        results = {key: earlier[key] for key in ("builds", "rows")}
    for core in arguments.cores:
        rows = measure(core)
        if rows is None:
            raise SystemExit(f"TFLM_LIB and TFLM_INCLUDE name no TFLM for {core}")
        build = f"{kernels_of(core)} {core}"
        made_by = {"tflm": arguments.source, "compiler": instructions.compiler()}
        results["builds"] = {**results.get("builds", {}), build: made_by}
        results["rows"] = merge(results, build, rows)
        if not arguments.json:
            columns = [Column("operator", "case"), Column(build, "row")]
            show(build, columns, [{"case": case, "row": row} for case, row in rows.items()])
    publish("kernel_memory", results, arguments)


if __name__ == "__main__":
    main()
