"""Runs nodes on several cores and compares what they come to."""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import boards, fuzz_targets

# The ops with the fake of TFLM that the fuzz targets use.
_SOURCES = tuple(
    str(path.relative_to(boards.ROOT))
    for path in (
        *fuzz_targets.kernels("op"),
        *(fuzz_targets.FUZZ / f"{name}.cc" for name in ("fake_tflm", "node", "node_sums")),
    )
)
_DEFINE = "-DTFLM_TRAIN_HOST"
_HOST_FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", _DEFINE)
BOARDS = {
    "cortex_m0plus": "mps2-an385-m0plus",
    "cortex_m4": "mps2-an386",
    "cortex_m7": "mps2-an500",
    "cortex_m55": "mps3-an547",
}
"""The emulated board of each core; the portable loops, twice those of the DSP extension, Helium."""
_SECONDS = 3600


def sources() -> list[Path]:
    """The files that the program is made of, headers too."""
    return fuzz_targets.included(boards.ROOT / source for source in _SOURCES)


def build(core: str, folder: Path) -> list[str]:
    """Compiles the program that runs nodes.

    Args:
      core: `host`, or one of `BOARDS`.
      folder: Where that of the host goes.

    Returns:
      The command that runs it.

    Raises:
      subprocess.CalledProcessError: It does not compile.
    """
    if core == "host":
        program = folder / "node_sums"
        sources = [str(boards.ROOT / source) for source in _SOURCES]
        boards.call(["c++", *_HOST_FLAGS, f"-I{boards.ROOT}", *sources, "-o", str(program)])
        return [str(program)]
    machine = next(m for m in boards.MACHINES if m.name == BOARDS[core])
    machine = dataclasses.replace(machine, defines=(*machine.defines, _DEFINE))
    return boards.emulator_of(machine, boards.compile_and_link(machine, _SOURCES, "node_sums"))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What some nodes came to on several cores.

    Attributes:
      ran: How many ran on all of them and came to the same, by op.
      not_run: How many Prepare refused or were too large, by op.
      differing: The nodes that the cores disagree about, with what each core says.
    """

    ran: Counter[str]
    not_run: Counter[str]
    differing: list[tuple[bytes, dict[str, str]]]


def compare(
    nodes: Sequence[bytes], programs: Mapping[str, Sequence[str]], folder: Path
) -> Comparison:
    """Runs nodes on several cores.

    Args:
      nodes: As node.h has them.
      programs: By core, from `build`.
      folder: Where the nodes go.

    Raises:
      RuntimeError: A program broke off.
    """
    file = b"".join(struct.pack("<I", len(node)) + node for node in nodes)
    (folder / "nodes.bin").write_bytes(file)
    said = {core: _run(core, program, len(nodes), folder) for core, program in programs.items()}
    result = Comparison(Counter(), Counter(), [])
    for number, node in enumerate(nodes):
        lines = {core: found[number] for core, found in said.items()}
        if len(set(lines.values())) > 1:
            result.differing.append((node, lines))
        else:
            ran = next(iter(lines.values())).startswith("I ")
            (result.ran if ran else result.not_run)[op_of(node)] += 1
    return result


def op_of(node: bytes) -> str:
    """The name of a node's op."""
    return node[1 : 1 + node[0]].decode()


def _run(core: str, program: Sequence[str], count: int, folder: Path) -> list[str]:
    ended = boards.run_to_end(program, _SECONDS, folder)
    lines = ended.stdout.splitlines()
    if ended.returncode != 0 or len(lines) != count:
        raise RuntimeError(f"{core}: stopped at node {len(lines)} of {count}: {lines[-1:]}")
    return lines
