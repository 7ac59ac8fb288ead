"""An installation as it is on a computer without TFLM: no interpreter, no host library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import requirements

ROOT = requirements.ROOT
_SOURCES = ("tflm_train", "tflm_kernels", "setup.py", "pyproject.toml", "MANIFEST.in")
_DOCUMENTS = ("README.md", "LICENSE")
# Python runs this at its start: the modules cannot be imported, whether or not they are installed,
# and text files are not opened in whatever encoding the computer prefers.
_START = """
import sys, warnings
for name in {hidden!r}:
    sys.modules[name] = None
warnings.filterwarnings("error", category=EncodingWarning, module=r"tflm_train\\b")
"""


@dataclass(frozen=True)
class Installation:
    """A folder that Python can import tflm_train from, and what it hides.

    Attributes:
      folder: Where the wheel was unpacked.
      hooks: A folder with the module that hides others.
    """

    folder: Path
    hooks: Path

    def run(self, *command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs `tflm_train` where text is not UTF-8 unless the code asks for it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {
            "PYTHONPATH": f"{self.hooks}{os.pathsep}{self.folder}",
            "PYTHONIOENCODING": "cp1252",  # what a pipe has on Windows
            "PYTHONWARNDEFAULTENCODING": "1",
        }
        arguments = [str(part) for part in command]
        return subprocess.run(
            [sys.executable, "-m", "tflm_train", *arguments],
            cwd=cwd, env=environment, capture_output=True, text=True, encoding="cp1252",
            check=False,
        )  # fmt: skip


def build_wheel(folder: Path, compiler: str) -> tuple[Path, str]:
    """Builds a wheel of this tree in a folder; returns it and the output.

    Raises:
      subprocess.CalledProcessError: The build failed.
    """
    source = folder / "source"
    source.mkdir(parents=True)
    for name in _SOURCES + _DOCUMENTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--verbose", "--wheel-dir", str(folder), str(source)]
    finished = subprocess.run(
        command, env={**os.environ, "CXX": compiler}, check=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel, finished.stdout


@pytest.fixture(scope="session")
def without_compiler(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A wheel that was built without a C++ compiler, and what the build said."""
    return build_wheel(tmp_path_factory.mktemp("wheel"), "nonexistent")


@pytest.fixture(scope="session")
def bare(
    without_compiler: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """That wheel, installed where there is neither interpreter nor TensorFlow."""
    return _install(without_compiler[0], tmp_path_factory, ("tflite_micro", "tensorflow"))


@pytest.fixture(scope="session")
def without_library(
    without_compiler: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    """That wheel, installed where there is an interpreter."""
    return _install(without_compiler[0], tmp_path_factory, ("tensorflow",))


def _install(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, hidden: tuple[str, ...]
) -> Installation:
    folder, hooks = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("hooks")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    (hooks / "sitecustomize.py").write_text(_START.format(hidden=hidden))
    return Installation(folder, hooks)
