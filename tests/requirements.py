"""What a test may lack: the only reasons to skip, each declared once.

A test that calls one of these functions without its requirement is skipped with the reason
`needs NAME: what is missing`; with `--require NAME` (pytest's, and that of tools/run_tests.py) it
fails instead. `make test` counts a skip for any other reason as a failure.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
METADATA_PYTHON = ROOT / ".venv-metadata" / "bin" / "python"
VELA = ROOT / ".venv-vela" / "bin" / "vela"
FIRMWARE_TOOLS = ("arm-none-eabi-g++", "arm-none-eabi-nm", "qemu-system-arm")

NAMES = ("shared", "tflm", "tflm-m4", "programs", "metadata", "vela")
required: set[str] = set()
"""The requirements that must not be missing."""


def shared() -> Path:
    """The folder of models and data beside the repository."""
    if not SHARED.is_dir():
        _missing("shared", f"the models and data in {SHARED}")
    return SHARED


def tflm() -> None:
    """A TFLM built for Cortex-M7 (or M4), and what runs it."""
    for name in ("TFLM_LIB", "TFLM_INCLUDE"):
        if not os.environ.get(name):
            _missing("tflm", f"{name} names no TFLM built for a Cortex-M (see docs/MEMORY.md)")
    programs(*FIRMWARE_TOOLS)


def tflm_for_cortex_m4() -> None:
    """A TFLM that both Cortex-M4 and M7 run: they have the same instructions but for the FPU's."""
    tflm()
    attributes = subprocess.run(
        ["arm-none-eabi-readelf", "-A", os.environ["TFLM_LIB"]],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    if re.search(r"Tag_FP_arch: FP.*ARMv8", attributes):
        _missing("tflm-m4", "TFLM_LIB is built for Cortex-M7, this board needs Cortex-M4")


def programs(*names: str) -> None:
    """Programs that `make test` installs."""
    for name in names:
        if shutil.which(name) is None:
            _missing("programs", f"{name} is not on the PATH")


def metadata_support() -> Path:
    """The Python of the environment with TFLite Support, which `make test` makes."""
    if not METADATA_PYTHON.exists():
        _missing("metadata", "TFLite Support: `python tools/environment.py metadata`")
    return METADATA_PYTHON


def vela() -> Path:
    """Arm's compiler for the Ethos-U, which `make test` installs."""
    if not VELA.exists():
        _missing("vela", "Vela: `python tools/environment.py vela`")
    return VELA


def _missing(name: str, what: str) -> NoReturn:
    reason = f"needs {name}: {what}"
    if name in required:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
