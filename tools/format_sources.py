"""Formats the Python and C++ sources in place (`make format`)."""

import subprocess
import sys

import environment
from environment import ROOT

CPP_FILES = (
    "tflm_kernels/**/*",
    "tests/cpp/*",
    "tests/cpp/target/*",
    "tests/export/**/*",
    "tests/fuzz/*",
    "tests/runtime/*",
    "arduino_example/**/*",
    "stm32_example/*",
)


def cpp_files() -> list[str]:
    """The C++ sources, relative to the root; generated files are not among them."""
    return sorted(
        str(path.relative_to(ROOT))
        for pattern in CPP_FILES
        for path in ROOT.glob(pattern)
        if path.suffix in (".h", ".cc")
    )


def main() -> int:
    try:
        environment.install_debian_packages(environment.FORMATTER)
        environment.prepare("test")
    except environment.MissingPrerequisite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    ruff = [environment.python_of(environment.VENV), "-m", "ruff"]
    for command in (
        [*ruff, "check", "--fix", "--exit-zero", "--quiet", "."],
        [*ruff, "format", "."],
        ["clang-format", "-i", *cpp_files()],
    ):
        subprocess.run(command, cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
