"""Compilers, linkers and CMake for the tests of exported projects.

They build against the TFLM that TFLM_INCLUDE (folders separated by colons) and TFLM_LIB name, or
else against `tflm_stub`: our own declarations of the API that is used, in each of its generations.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import requirements

ROOT = requirements.ROOT
FOLDER = Path(__file__).parent
LINK = FOLDER / "link"
ARDUINO = FOLDER / "arduino_stub"
STUB = FOLDER / "tflm_stub"
COMPILER = "arm-none-eabi-g++"
M4 = "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16 -mthumb".split()
FIRMWARE = "-fno-exceptions -fno-rtti -Wall -Wextra -Werror".split()
BARE_METAL = "--specs=nosys.specs -Wl,--no-warn-rwx-segments".split()
_TOOLCHAIN = ROOT / "stm32_example" / "arm-none-eabi.cmake"
_SOURCES = (".c", ".cc", ".cpp", ".cxx")  # what Arduino and PlatformIO compile


@dataclass(frozen=True)
class Tflm:
    """A TFLM to build against.

    Attributes:
      includes: its folders, and those of its third parties.
      option: a compiler option that it needs.
      library: for a Cortex-M; None where the stub is compiled instead.
    """

    includes: tuple[str, ...]
    option: str = "-DTF_LITE_STATIC_MEMORY"
    library: str | None = None

    @property
    def flags(self) -> list[str]:
        """For the compiler."""
        includes = [option for path in self.includes for option in ("-isystem", path)]
        return ["-DTF_LITE_STATIC_MEMORY", self.option, *includes]

    def link_with(self, folder: Path, *compiler: str) -> Path:
        """What a program is linked with; the stub is compiled into `folder`."""
        if self.library is not None:
            return Path(self.library)
        (stub,) = objects_of([STUB / "tflm_stub.cc"], folder, [*compiler, *self.flags])
        return stub


_SINCE_2023 = (str(STUB), str(FOLDER / "tflm_stub_since_2023"))
OLD_NAMES = Tflm(_SINCE_2023)
NEW_NAMES = Tflm(_SINCE_2023, "-DTFLM_STUB_NAMESPACED")
OLD_REGISTRATION = Tflm((str(STUB),))
MAY_2023 = Tflm(_SINCE_2023, "-DTFLM_STUB_MAY_2023")
GENERATIONS = {
    "September 2022": OLD_REGISTRATION,
    "May 2023": MAY_2023,
    "June 2023": OLD_NAMES,
    "October 2026": NEW_NAMES,
}
"""The stub in each of them, by the month it begins with."""


def tflms() -> tuple[Tflm, ...]:
    """The one that is given, or the stub in both generations that are in use today."""
    includes, library = (os.environ.get(name, "") for name in ("TFLM_INCLUDE", "TFLM_LIB"))
    if includes and library:
        return (Tflm(tuple(includes.split(":")), library=library),)
    return (OLD_NAMES, NEW_NAMES)


def run(*command: object) -> None:
    """Runs a command that must succeed."""
    finished = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False,
        env={**os.environ, "IDF_PATH": str(LINK / "esp_idf")},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr


def objects_of(sources: Sequence[Path], folder: Path, compiler: Sequence[str]) -> list[Path]:
    """Compiles sources, whose names may be alike."""
    requirements.programs(compiler[0])
    folder.mkdir(parents=True, exist_ok=True)
    objects = [folder / f"{number}_{source.stem}.o" for number, source in enumerate(sources)]
    for source, target in zip(sources, objects, strict=True):
        run(*compiler, "-c", source, "-o", target)
    return objects


def as_cpp(source: Path, target: Path) -> Path:
    """A sketch as the Arduino builder hands it to the compiler."""
    target.write_text(f'#include <Arduino.h>\n#line 1 "{source}"\n{source.read_text()}')
    return target


def check_syntax(sources: Sequence[Path], *options: str) -> None:
    """Lets the compiler read sources with each TFLM."""
    requirements.programs(COMPILER)
    for tflm in tflms():
        run(COMPILER, *M4, *FIRMWARE, "-fsyntax-only", *options, *tflm.flags, *sources)


def link(tflm: Tflm, folder: Path, library: Path, mains: Sequence[Path], *options: str) -> None:
    """Compiles every source below a library's folder, and links them with each program.

    Args:
      tflm: the TFLM.
      folder: where objects and programs go.
      library: the folder whose sources all count, as Arduino and PlatformIO have it.
      mains: programs; those that are sketches (.cpp) get Arduino's core.
      *options: what the format's build file and tool give the compiler.
    """
    compiler = [COMPILER, *M4, *FIRMWARE, *options]
    sources = sorted(p for p in library.rglob("*") if p.suffix in _SOURCES and p not in mains)
    objects = objects_of(sources, folder / "library", [*compiler, *tflm.flags])
    objects.append(tflm.link_with(folder, COMPILER, *M4))
    for main in mains:
        core = [ARDUINO / "silent_core.cc"] if main.suffix == ".cpp" else []
        flags = [*compiler, f"-I{ARDUINO}", *tflm.flags]
        program = objects_of([main, *core], folder / main.stem, flags)
        run(COMPILER, *M4, *BARE_METAL, *program, *objects, "-o", folder / f"{main.stem}.elf")


def cmake(tflm: Tflm, source: Path, build: Path, on_host: bool = False, **cache: object) -> None:
    """Configures and builds a project, for a Cortex-M4 or the host.

    Args:
      tflm: the TFLM; the stub on the host.
      source: the folder with CMakeLists.txt.
      build: where to build.
      on_host: with the host's compiler.
      **cache: the variables to configure with, besides TFLM_INCLUDE and TFLM_LIB.
    """
    requirements.programs("cmake", "make")
    flags = [tflm.option] if on_host else [*M4, tflm.option]
    library = tflm.link_with(build, "c++" if on_host else COMPILER, *flags)
    cache |= {"TFLM_LIB": library, "TFLM_INCLUDE": ";".join(tflm.includes)}
    cache |= {"CMAKE_CXX_FLAGS": shlex.join(flags)}
    if not on_host:
        cache |= {"CMAKE_TOOLCHAIN_FILE": _TOOLCHAIN}
        cache |= {"CMAKE_EXE_LINKER_FLAGS": shlex.join(BARE_METAL)}
    definitions = [f"-D{name}={value}" for name, value in cache.items()]
    run("cmake", "-S", source, "-B", build, *definitions)
    run("cmake", "--build", build, "--parallel", "2")
