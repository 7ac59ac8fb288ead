"""Prepares what `make demo` and `make test` need: virtual environments and Debian packages.

`python tools/environment.py demo|test` makes or refreshes .venv with that extra of pyproject.toml,
in the versions of requirements.lock. `lock` writes that file and requirements-oldest.lock anew, to
the newest and the oldest versions that pyproject.toml allows. `metadata` makes .venv-metadata, for
the tests of TFLite Metadata, `vela` makes .venv-vela with Arm's compiler for the Ethos-U,
and `docs` makes .venv-docs with MkDocs.
Nothing is installed again while neither those files nor the native sources have changed. Only the
standard library is used: this runs before anything is installed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST_VENV = ROOT / ".venv-oldest"
METADATA_VENV = ROOT / ".venv-metadata"
# Reads and checks TFLite Metadata. It pins a protobuf that TensorFlow cannot live with.
METADATA_SUPPORT = "tflite-support==0.4.4"
LOCK_VENV = ROOT / ".venv-lock"
LOCK_TOOL = "uv>=0.5"
LOCK = ROOT / "requirements.lock"
OLDEST_LOCK = ROOT / "requirements-oldest.lock"
DOCS_VENV = ROOT / ".venv-docs"
# Makes the site of the documents.
DOCS = "mkdocs-material==9.8.2"
VELA_VENV = ROOT / ".venv-vela"
# Compiles models for the Ethos-U. Of one version, because its order and its plan are compared.
VELA = "ethos-u-vela==5.2.0"
NATIVE_SOURCES = (
    "setup.py",
    "tflm_kernels/**/*.cc",
    "tflm_kernels/**/*.h",
    "tflm_kernels/**/*.map",
)
# Debian packages.
HOST_COMPILER = ("g++",)
FORMATTER = ("clang-format",)
BAZEL = ("bazel-bootstrap", "bazel-rules-java", "bazel-rules-proto")
CROSS_COMPILER = (
    "gcc-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "libstdc++-arm-none-eabi-newlib",
)
EMULATOR = ("qemu-system-arm",)
# Its C++ headers are those of CROSS_COMPILER.
RISCV = ("gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf", "qemu-system-misc")
AARCH64 = ("g++-aarch64-linux-gnu", "qemu-user")
CMAKE = ("cmake",)
BROWSER = ("chromium", "fonts-dejavu-core")
# The program to look for where there are no Debian packages.
PROGRAMS = {
    "g++": "c++",
    "clang-format": "clang-format",
    "chromium": "chromium",
    "cmake": "cmake",
    "bazel-bootstrap": "bazel",
    "gcc-arm-none-eabi": "arm-none-eabi-g++",
    "qemu-system-arm": "qemu-system-arm",
    "gcc-riscv64-unknown-elf": "riscv64-unknown-elf-g++",
    "qemu-system-misc": "qemu-system-riscv32",
    "g++-aarch64-linux-gnu": "aarch64-linux-gnu-g++",
    "qemu-user": "qemu-aarch64",
}


class MissingPrerequisite(Exception):
    """Something that cannot be installed from here; the message says what and how."""


def python_of(environment: Path) -> str:
    return str(environment / "bin" / "python")


def prepare(extra: str) -> None:
    """Makes .venv hold this project, editable, with one of its extras in the locked versions."""
    if shutil.which("c++") is None and "CXX" not in os.environ:
        install_debian_packages(HOST_COMPILER)
    stamps = _read_stamps(VENV)
    wanted = {extra: _digest("pyproject.toml", LOCK.name), "native": _digest(*NATIVE_SOURCES)}
    if extra == "demo" and "test" in stamps:
        wanted["test"] = wanted.pop("demo")  # test includes demo: refresh that instead
        extra = "test"
    if stamps.get(extra) != wanted[extra]:
        _install(VENV, "--constraint", LOCK.name, "--editable", f".[{extra}]")
    elif stamps.get("native") != wanted["native"]:
        _install(VENV, "--no-deps", "--editable", ".")
    _write_stamps(VENV, {**stamps, **wanted})


def prepare_oldest() -> None:
    """Makes the small environment of the oldest versions that pyproject.toml allows.

    The interpreter there has the names that TFLM had before October 2026; there is no TensorFlow.
    The project itself is not installed there: the tests run from the source tree, with the host
    library that `prepare` has built in it.
    """
    wanted = {"requirements": _digest(OLDEST_LOCK.name)}
    if _read_stamps(OLDEST_VENV) != wanted:
        _install(OLDEST_VENV, "--requirement", OLDEST_LOCK.name)
        _write_stamps(OLDEST_VENV, wanted)


def write_locks() -> None:
    """Pins the versions of all that pyproject.toml names, for every platform."""
    _prepare_alone(LOCK_VENV, LOCK_TOOL)
    for lock, what, options in (
        (LOCK, "the newest versions of everything", ("--all-extras",)),
        (
            OLDEST_LOCK,
            "the oldest versions of what the tests of the interpreter need",
            ("--extra", "interpreter-test", "--resolution", "lowest-direct"),
        ),
    ):
        command = [str(LOCK_VENV / "bin" / "uv"), "pip", "compile", "--universal", *options]
        command += ["--upgrade", "--quiet", "--no-header", "--no-annotate", "pyproject.toml"]
        answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if answer.returncode != 0:
            raise MissingPrerequisite("uv found no versions; its messages are above")
        comment = f"# Made by `python tools/environment.py lock`: {what}."
        lock.write_text(f"{comment}\n{answer.stdout}")


def prepare_metadata_support() -> None:
    """Makes the environment with TFLite Support alone."""
    _prepare_alone(METADATA_VENV, METADATA_SUPPORT)


def prepare_vela() -> None:
    """Makes the environment with Vela alone: nothing of the product itself needs it."""
    _prepare_alone(VELA_VENV, VELA)


def prepare_docs() -> None:
    """Makes the environment with MkDocs alone: nothing of the product itself needs it."""
    _prepare_alone(DOCS_VENV, DOCS)


def install_debian_packages(packages: tuple[str, ...]) -> None:
    """Installs those of the packages that are missing.

    Raises:
        MissingPrerequisite: some are missing and this is not root on a Debian.
    """
    if shutil.which("dpkg-query") is None:
        programs = {PROGRAMS[package] for package in packages if package in PROGRAMS}
        absent = sorted(program for program in programs if shutil.which(program) is None)
        if absent:
            raise MissingPrerequisite(f"these programs are not on the PATH: {', '.join(absent)}")
        return
    missing = sorted({package for package in packages if not _is_installed(package)})
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise MissingPrerequisite(
            f"these Debian packages are missing: {' '.join(missing)}\n"
            f"Install them with: sudo apt-get update && sudo {' '.join(command)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update"], command):
        if subprocess.run(step, env=environment, check=False).returncode != 0:
            raise MissingPrerequisite(f"{' '.join(step)} failed; its messages are above")


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "installed"


def _prepare_alone(environment: Path, requirement: str) -> None:
    wanted = {"requirement": requirement}
    if _read_stamps(environment) != wanted:
        _install(environment, requirement)
        _write_stamps(environment, wanted)


def _install(environment: Path, *requirements: str) -> None:
    if not Path(python_of(environment)).exists():
        print(f"Creating {environment.name}", flush=True)
        try:
            venv.create(environment, with_pip=True)
        except subprocess.CalledProcessError as error:
            shutil.rmtree(environment, ignore_errors=True)
            raise MissingPrerequisite(
                "this Python makes no virtual environments (Debian: apt-get install python3-venv)"
            ) from error
    print(f"Installing into {environment.name}: {' '.join(requirements)}", flush=True)
    pip = [python_of(environment), "-m", "pip", "install", "--quiet", "--quiet", "--prefer-binary"]
    pip += ["--disable-pip-version-check", *requirements]
    if subprocess.run(pip, cwd=ROOT, check=False).returncode != 0:
        raise MissingPrerequisite(f"pip failed in {environment.name}; its messages are above")


def _digest(*patterns: str) -> str:
    digest = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read_stamps(environment: Path) -> dict[str, str]:
    try:
        return dict(json.loads((environment / "stamps.json").read_text()))
    except (OSError, ValueError):
        return {}


def _write_stamps(environment: Path, stamps: dict[str, str]) -> None:
    (environment / "stamps.json").write_text(json.dumps(stamps))


def main() -> int:
    alone = {"metadata": prepare_metadata_support, "vela": prepare_vela, "docs": prepare_docs}
    alone["lock"] = write_locks
    if len(sys.argv) != 2 or sys.argv[1] not in ("demo", "test", *alone):
        print("usage: environment.py demo|test|metadata|vela|docs|lock", file=sys.stderr)
        return 2
    try:
        if sys.argv[1] in alone:
            alone[sys.argv[1]]()
        else:
            prepare(sys.argv[1])
    except MissingPrerequisite as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
