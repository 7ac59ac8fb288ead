"""Each build of the kernels takes all sources, and no others: new files and folders are found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import requirements
from tests.export.builds import STUB
from tflm_train.export.kernel_sources import kernel_sources
from tools import boards

ROOT = boards.ROOT
PLAIN = set(boards.kernel_sources())
ADAPTERS = set(boards.kernel_sources("micro"))
HOST = set(boards.kernel_sources("host"))


def test_the_rule_covers_every_source() -> None:
    paths = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tflm_kernels/**/*.cc")}
    assert paths == PLAIN | ADAPTERS | HOST
    assert PLAIN and ADAPTERS and HOST
    assert len(paths) == len(PLAIN) + len(ADAPTERS) + len(HOST)


@pytest.mark.parametrize("with_tflm", [False, True])
def test_cmake(with_tflm: bool, tmp_path: Path) -> None:
    requirements.programs("cmake", "make")
    command = ["cmake", "-S", ROOT / "tflm_kernels", "-B", tmp_path]
    command += ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    command += [f"-DTFLM_INCLUDE={STUB}"] if with_tflm else []
    subprocess.run(command, check=True, capture_output=True)
    commands = json.loads((tmp_path / "compile_commands.json").read_text())
    found = {Path(entry["file"]).relative_to(ROOT).as_posix() for entry in commands}
    assert found == (PLAIN | ADAPTERS if with_tflm else PLAIN)


def test_export() -> None:
    files = kernel_sources("micro") | kernel_sources("spectrum")
    assert {path for path in files if path.endswith(".cc")} == PLAIN | ADAPTERS
