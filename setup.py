"""Builds the native part: the training kernels as one shared library, `tflm_train/_host_ops.so`.

It is not a Python extension module: the interpreter of the `tflite-micro` package finds the
operators in it through the dynamic loader (ctypes, RTLD_GLOBAL). Where there is no such
interpreter, or no C++ compiler, the library is left out: only what runs models on the host needs
it. Everything else about the package is in pyproject.toml.
"""

import functools
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
LIBRARY = Path("tflm_train", "_host_ops.so")
KERNELS = Path("tflm_train", "_kernels")
# -ffp-contract=off: a fused multiply-add rounds once where docs/NUMERICS.md rounds twice.
CXX_FLAGS = (
    "-std=c++17 -O3 -fPIC -shared -ffp-contract=off -fno-exceptions -fno-rtti -Wall -Wextra "
    "-fstack-protector-strong -DTFLM_TRAIN_HOST"
).split()
EXPORTS = Path("tflm_kernels", "host", "exports.map")
LINK_FLAGS = [f"-Wl,-z,relro,-z,now,--version-script={EXPORTS}", "-ldl"]


@functools.cache
def host_compiler() -> list[str] | None:
    """The C++ compiler for the host library; None, and a sentence why, where it is left out."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        reason = "there is a TFLM interpreter for Linux on x86-64 only"
    else:
        compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
        if shutil.which(compiler[0]) is not None:
            return compiler
        reason = (
            f"there is no C++ compiler: {compiler[0]!r} is not on the PATH. Install one (Debian, "
            "Ubuntu: apt-get install g++) or name it in the environment variable CXX, and install "
            "tflm_train again"
        )
    print(
        f"tflm_train: the host library is left out, {reason}. `train`, `evaluate` and `optimize` "
        "need it, nothing else does.",
        file=sys.stderr,
    )
    return None


class IntoPackage(Command):
    """Puts files into the package that is built."""

    user_options: ClassVar = [("build-lib=", "b", "directory to build into")]

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))


class BuildHostOps(IntoPackage):
    """Compiles tflm_kernels/**/*.cc into the one shared library."""

    description = "build the training kernels' host library"

    def run(self) -> None:
        compiler = host_compiler()
        if compiler is None:
            return
        sources = self.get_source_files()
        if not sources:
            raise SystemExit(f"tflm_train: no sources below {ROOT / 'tflm_kernels'}.")
        output = ROOT / LIBRARY if self.editable_mode else Path(self.build_lib or ".") / LIBRARY
        output.parent.mkdir(parents=True, exist_ok=True)
        # Written beside the target and renamed: a process that has the old library mapped keeps it.
        partial = output.with_suffix(".so.partial")
        command = [*compiler, *CXX_FLAGS, f"-I{ROOT}", *sources, *LINK_FLAGS, "-o", str(partial)]
        self.announce(shlex.join(command), level=2)
        try:
            subprocess.run(command, check=True, cwd=ROOT)
        except subprocess.CalledProcessError as error:
            raise SystemExit(
                f"tflm_train: {compiler[0]} failed on the training kernels (its messages are "
                "above). GCC 9 or Clang 10, or newer, is needed."
            ) from error
        partial.replace(output)

    def get_source_files(self) -> list[str]:
        return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tflm_kernels/**/*.cc"))

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_lib or ".") / LIBRARY)] if host_compiler() else []

    def get_output_mapping(self) -> dict[str, str]:
        return {path: str(LIBRARY) for path in self.get_outputs()} if self.editable_mode else {}


class CopyKernels(IntoPackage):
    """Puts the kernels' sources into the wheel: `tflm_train export` hands them on."""

    description = "copy the training kernels' sources into the package"

    def run(self) -> None:
        if self.editable_mode:  # the package finds them beside itself
            return
        for source in self.get_source_files():
            target = Path(self.build_lib or ".") / KERNELS / source
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, target)

    def get_source_files(self) -> list[str]:
        files = [path for path in ROOT.glob("tflm_kernels/**/*") if path.suffix in (".h", ".cc")]
        return sorted(str(path.relative_to(ROOT)) for path in [*files, ROOT / "LICENSE"])

    def get_outputs(self) -> list[str]:
        return [str(Path(self.build_lib or ".") / KERNELS / s) for s in self.get_source_files()]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    """The usual build, then the host library and the kernels' sources."""

    sub_commands: ClassVar = [
        *build.sub_commands,
        ("build_host_ops", None),
        ("copy_kernels", None),
    ]


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3: native code, if any, but no Python ABI."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class NativeDistribution(Distribution):
    """A distribution for this platform where it holds a shared library."""

    def has_ext_modules(self) -> bool:
        return host_compiler() is not None


setup(
    distclass=NativeDistribution,
    cmdclass={
        "build": Build,
        "build_host_ops": BuildHostOps,
        "copy_kernels": CopyKernels,
        "bdist_wheel": PlatformWheel,
    },
)
