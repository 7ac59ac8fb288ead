"""Flash, RAM and stack of the kernels on Cortex-M, as compiler and `arm-none-eabi-size` count them.

    python -m benchmarks.code_size [PART ...] [--json]

`state` is what saving, loading and the journal need; `kernels` all arithmetic; `micro` the TFLM ops
around it, with their checks, log messages and tables. Compiled with -Os;
text is code and constants, RAM data and bss (none: there are no globals), stack the largest frame
of a function. A linker drops what a program does not call.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import Column, show
from tools import boards

CORES = ("cortex_m0plus", "cortex_m4", "cortex_m7", "cortex_m55")
# The only RAM is in the object that the program makes; the compiler tells its size.
PROBE = "#include <tflm_kernels/state/journal.h>\nchar journal[sizeof(tflm_train::Journal)];\n"


PARTS = ("state", "kernels", "micro")
# TFLM's declarations, as far as the ops need them.
TFLM = [
    f"-isystem{boards.ROOT / 'tests/export' / stub}"
    for stub in ("tflm_stub", "tflm_stub_since_2023")
]


def sources(part: str) -> list[Path]:
    if part == "micro":
        return sorted((boards.ROOT / "tflm_kernels/micro").glob("*.cc"))
    paths = [boards.ROOT / path for path in boards.kernel_sources()]
    return [path for path in paths if (path.parent.name == "state") == (part == "state")]


class Size(NamedTuple):
    """Bytes of one source, or of some.

    Attributes:
      text: Code and constants.
      ram: data and bss.
      stack: The largest frame.
    """

    text: int
    ram: int
    stack: int


def measure(core: str, path: Path) -> Size:
    """Compiles a source for a core."""
    flags = [*boards.ARM.compile_flags, "-Os", "-fstack-usage", *boards.core_flags()[core]]
    flags += [f"-I{boards.ROOT}", *TFLM, "-DTF_LITE_STATIC_MEMORY"]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "object.o"
        command = [boards.ARM.compiler, *flags, "-c", str(path), "-o", str(output)]
        boards.call(command)
        answer = subprocess.run(
            ["arm-none-eabi-size", str(output)], check=True, text=True, capture_output=True
        )
        text, data, bss = map(int, answer.stdout.splitlines()[1].split()[:3])
        frames = output.with_suffix(".su").read_text().splitlines()
    return Size(text, data + bss, max((int(line.split("\t")[1]) for line in frames), default=0))


def total(sizes: list[Size]) -> Size:
    """Of sources that are linked into one program."""
    return Size(sum(s.text for s in sizes), sum(s.ram for s in sizes), max(s.stack for s in sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), default=[])
    parser.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    for part in arguments.parts or PARTS:
        sizes = {path.name: [measure(core, path) for core in CORES] for path in sources(part)}
        sizes["total"] = [total(list(column)) for column in zip(*sizes.values(), strict=True)]
        report[part] = {
            name: {core: size._asdict() for core, size in zip(CORES, row, strict=True)}
            for name, row in sizes.items()
        }
        if not arguments.json:
            rows = [
                {"file": name, **{c: _cell(s) for c, s in zip(CORES, row, strict=True)}}
                for name, row in sizes.items()
            ]
            columns = [Column("file", "file"), *(Column(core, core) for core in CORES)]
            show(f"{part}: bytes of text / RAM / largest stack frame", columns, rows)
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.cc"
        probe.write_text(PROBE)
        report["journal_object"] = measure(CORES[0], probe).ram
    if arguments.json:
        print(json.dumps(report))
    else:
        ram = report["journal_object"]
        print(f"a Journal object: {ram} bytes of RAM; saving and loading need no buffer")


def _cell(size: Size) -> str:
    return f"{size.text:,} / {size.ram} / {size.stack}"


if __name__ == "__main__":
    main()
