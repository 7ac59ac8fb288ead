"""Flash and RAM of the kernels on Cortex-M, as `arm-none-eabi-size` counts them.

    python -m benchmarks.code_size [PART ...]

`state` is what saving, loading and the journal need; `kernels` all arithmetic. Compiled with -Os;
text is code and constants, data and bss are RAM (none: there are no globals). A linker drops what
a program does not call.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import cortex_m  # noqa: E402 - a script beside this package

CORES = ("cortex_m0plus", "cortex_m4", "cortex_m7")
STATE = ("crc32.cc", "journal.cc", "state.cc", "storage.cc")
# The only RAM is in the object that the program makes; the compiler tells its size.
PROBE = "#include <tflm_kernels/journal.h>\nchar journal[sizeof(tflm_train::Journal)];\n"


def sources(part: str) -> list[Path]:
    everything = sorted((ROOT / "tflm_kernels").glob("*.cc"))
    return [path for path in everything if (path.name in STATE) == (part == "state")]


def measure(core: str, paths: list[Path]) -> list[tuple[str, int, int, int]]:
    """(file, text, data, bss) of each source."""
    flags = [*cortex_m.COMPILE_FLAGS, "-Os", *cortex_m.core_flags()[core], f"-I{ROOT}"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            output = Path(folder) / (path.stem + ".o")
            cortex_m.call([cortex_m.COMPILER, *flags, "-c", str(path), "-o", str(output)])
            answer = subprocess.run(
                ["arm-none-eabi-size", str(output)], check=True, text=True, capture_output=True
            )
            text, data, bss = map(int, answer.stdout.splitlines()[1].split()[:3])
            rows.append((path.name, text, data, bss))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=("state", "kernels", []), default=[])
    parts = parser.parse_args().parts or ["state", "kernels"]
    for part in parts:
        print(f"{part:24}" + "".join(f"{core:>18}" for core in CORES) + "   (text / data / bss)")
        columns = [measure(core, sources(part)) for core in CORES]
        for row in zip(*columns, strict=True):
            print(f"  {row[0][0]:22}" + "".join(f"{_cell(*cell[1:]):>18}" for cell in row))
        totals = [[sum(row[i] for row in column) for i in (1, 2, 3)] for column in columns]
        print(f"  {'total':22}" + "".join(f"{_cell(*total):>18}" for total in totals))
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.cc"
        probe.write_text(PROBE)
        (row,) = measure(CORES[0], [probe])
        print(f"a Journal object: {row[3]} bytes of RAM; saving and loading need no buffer")


def _cell(text: int, data: int, bss: int) -> str:
    return f"{text:,} / {data} / {bss}"


if __name__ == "__main__":
    main()
