"""Our kernels on the host: time beside a naive loop's, and instructions by callgrind.

The program of `benchmarks.instructions`, compiled for this machine. Kernel and naive loop take
turns in one run, so that the ratio of their best times means something on a busy machine.
Instructions need valgrind with its headers (Debian: apt-get install valgrind).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflm_train import ops
from tools import boards

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (
    "benchmarks/target/*.cc",
    "tests/cpp/platform_host.cc",
    *boards.kernel_sources(),
)
COMMAND = (
    *("c++", "-std=c++17", "-O3", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti"),
    *("-Wall", "-Wextra", "-Werror", f"-I{ROOT}"),
)
_LINE = re.compile(r"^\d+ (\d+)(?: (\d+))?$", re.MULTILINE)
_TOTALS = re.compile(r"^totals: (\d+)", re.MULTILINE)


@dataclass
class HostCount:
    """One operator on this machine.

    Attributes:
        nanoseconds: the best of several runs.
        naive_nanoseconds: of the naive loop; None where there is none.
        instructions: None without valgrind.
        naive_instructions: of the naive loop.
    """

    nanoseconds: int
    naive_nanoseconds: int | None
    instructions: int | None = None
    naive_instructions: int | None = None

    @property
    def speedup(self) -> float | None:
        """How many times faster than the naive loop."""
        return self.naive_nanoseconds and self.naive_nanoseconds / self.nanoseconds


def has_callgrind() -> bool:
    """Whether instructions can be counted."""
    header = subprocess.run(
        ["c++", "-E", "-x", "c++", "-include", "valgrind/callgrind.h", "/dev/null"],
        capture_output=True,
        check=False,
    )
    return shutil.which("valgrind") is not None and header.returncode == 0


def measure(operators: Sequence[ops.Params]) -> list[HostCount]:
    """Runs operators on random data.

    Raises:
        subprocess.CalledProcessError: the compiler or the program failed.
        RuntimeError: the program ended early, or callgrind's dumps cannot be read.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = _compile(folder, operators)
        found = _LINE.findall(_run([str(program)], folder))
        counts = [HostCount(int(ours), int(naive) if naive else None) for ours, naive in found]
        if len(counts) != len(operators):
            raise RuntimeError(
                f"{program.name} ended after {len(counts)} of {len(operators)} cases"
            )
        if has_callgrind():
            dumps = f"--callgrind-out-file={folder / 'dump'}"
            _run(["valgrind", "--quiet", "--tool=callgrind", dumps, str(program)], folder)
            for index, count in enumerate(counts):
                count.instructions = _total(folder / f"dump.{2 * index + 1}")
                if count.naive_nanoseconds is not None:
                    count.naive_instructions = _total(folder / f"dump.{2 * index + 2}")
    return counts


def _compile(folder: Path, operators: Sequence[ops.Params]) -> Path:
    words = [len(operators)]
    for operator in operators:
        options = operator.pack()
        words.append(len(options))
        words += memoryview(options).cast("I").tolist()
    cases = folder / "cases.cc"
    numbers = ", ".join(f"{word}u" for word in words)
    cases.write_text(
        "#include <cstdint>\n"
        'extern "C" uint32_t bench_cases[];\n'
        f"uint32_t bench_cases[] = {{{numbers}}};\n"
    )
    sources = [str(path) for pattern in SOURCES for path in sorted(ROOT.glob(pattern))]
    program = folder / "bench"
    _run([*COMMAND, *sources, str(cases), "-o", str(program)], folder)
    return program


def _run(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE).stdout


def _total(dump: Path) -> int:
    """The instructions of one of callgrind's dumps."""
    found = _TOTALS.search(dump.read_text())
    if found is None:
        raise RuntimeError(f"{dump.name} holds no total")
    return int(found[1])
