"""Flash that each training op needs on each core: the table behind `--flash`.

    python -m benchmarks.linked_size [--check]

All kernels are built with -Os; then a program that registers a single op is linked for each, and
the linker's map says which sections it keeps. Sections that the same ops need are one row of
tflm_train/cost/code_size.json, so that the flash of any set of ops follows: each row of which at
least one op is used counts once. `--check` compares with the file instead of writing it; the exit
status is 1 where a core's sum differs by more than 2 %.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import instructions
from benchmarks.code_size import TFLM
from tflm_train import ops
from tflm_train.cost.cores import Core
from tools import boards

TABLE = boards.ROOT / "tflm_train" / "cost" / "code_size.json"
_BUILD = boards.ROOT / "build" / "linked_size"
_TOLERANCE = 0.02
_SOURCES = (*boards.kernel_sources(), *boards.kernel_sources("micro"))
_FLASH = (".text", ".rodata", ".data", ".init_array", ".ARM.extab")
# A section of an object in the linker's map; long names have a line of their own.
_LONG_NAME = re.compile(r"^( \.\S+)\n +(?=0x)", re.MULTILINE)
_SECTION = re.compile(r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+\.o)$", re.MULTILINE)


def build(core: Core) -> list[Path]:
    """Compiles all kernels for a core."""
    folder = _BUILD / str(core)
    folder.mkdir(parents=True, exist_ok=True)
    flags = [*boards.ARM.compile_flags, "-Os", *boards.core_flags()[f"cortex_{core}"]]
    flags += [f"-I{boards.ROOT}", *TFLM, "-DTF_LITE_STATIC_MEMORY"]
    objects = []
    for source in _SOURCES:
        made = folder / (source.replace("/", "_") + ".o")
        boards.call([boards.ARM.compiler, *flags, "-c", str(boards.ROOT / source), "-o", made])
        objects.append(made)
    return objects


def kept(core: Core, objects: list[Path], op: str) -> Iterator[tuple[tuple[str, str], int]]:
    """The sections that a program with one op keeps: object and name, and their bytes."""
    name = f"Register_TRAIN_{op}"
    entry = f"_ZN10tflm_train{len(name)}{name}Ev"
    listing = _BUILD / f"{core}.map"
    command = [boards.ARM.compiler, "-nostdlib", *boards.core_flags()[f"cortex_{core}"]]
    command += ["-Wl,--gc-sections", "-Wl,--unresolved-symbols=ignore-all", f"-Wl,-e,{entry}"]
    command += ["-Wl,--no-warn-rwx-segments", f"-Wl,-Map={listing}", "-o", str(_BUILD / "op.elf")]
    boards.call([*command, *map(str, objects)])
    text = listing.read_text().split("Linker script and memory map")[1]
    for section, size, made in _SECTION.findall(_LONG_NAME.sub(r"\1 ", text)):
        if section.startswith(_FLASH) and int(size, 16):
            yield (Path(made).name, section), int(size, 16)


def measure(core: Core) -> list[dict[str, Any]]:
    """The rows of a core: sections that the same ops need, together."""
    objects = build(core)
    sizes: dict[tuple[str, str], int] = {}
    users: dict[tuple[str, str], set[str]] = defaultdict(set)
    for op in (kind.OP for kind in ops.ALL):
        for section, size in kept(core, objects, op):
            sizes[section] = max(size, sizes.get(section, 0))
            users[section].add(op)
    rows: dict[tuple[str, ...], int] = defaultdict(int)
    for section, by in users.items():
        rows[tuple(sorted(by))] += sizes[section]
    return [{"ops": list(by), "bytes": size} for by, size in sorted(rows.items())]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file")
    arguments = parser.parse_args()
    found = {str(core): measure(core) for core in Core}
    totals = {core: sum(row["bytes"] for row in rows) for core, rows in found.items()}
    print(", ".join(f"{core} {total:,}" for core, total in totals.items()))
    if not arguments.check:
        table = {
            "command": "python -m benchmarks.linked_size",
            "compiler": instructions.compiler(),
            "bytes": found,
        }
        TABLE.write_text(json.dumps(table, indent=1) + "\n")
        return 0
    stored = json.loads(TABLE.read_text())["bytes"]
    wrong = [
        core
        for core, total in totals.items()
        if abs(total / sum(row["bytes"] for row in stored[core]) - 1) > _TOLERANCE
    ]
    print(f"{len(totals) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
