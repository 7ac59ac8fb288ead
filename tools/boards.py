"""Cross-compiles the C++ kernel tests and runs them on emulated boards.

`python tools/boards.py [machine ...]` needs each machine's compiler and emulator (see
environment.py) and the golden cases (`python tests/cpp/generate_golden.py`). Only the standard
library is used.
"""

import argparse
import ast
import dataclasses
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "boards"
_FLAGS = (
    "-std=c++17 -ffunction-sections -fdata-sections -ffp-contract=off -fno-exceptions -fno-rtti "
    "-fno-threadsafe-statics -Wall -Wextra -Werror"
)
_LINK_FLAGS = "-Wl,--gc-sections -Wl,--no-warn-rwx-segments"
_BARE = f"-nostartfiles {_LINK_FLAGS}"
# Debian packages no C++ headers for RISC-V. Those for Arm are the same but for what they ask of
# the C library, which these programs do not use.
_CPP_HEADERS = Path("/usr/include/newlib/c++")


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """A compiler for one instruction set, and how its programs run."""

    compiler: str
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    emulator: tuple[str, ...]  # its first words; what follows is the machine's and the program
    script: str | None = "tests/cpp/target/target.ld"
    platform: tuple[str, ...] = ("tests/cpp/target/*.cc",)
    left_out: tuple[str, ...] = (
        "platform_host.cc",
        "file_storage_test.cc",
        "journal_readings_test.cc",
    )


_SEMIHOSTING = tuple(
    "-nographic -monitor none -serial none -semihosting-config enable=on,target=native".split()
)
ARM = Toolchain(
    "arm-none-eabi-g++",
    tuple(f"-mthumb {_FLAGS}".split()),
    tuple(f"{_BARE} --specs=nosys.specs".split()),
    ("qemu-system-arm", *_SEMIHOSTING),
)
RISCV = Toolchain(
    "riscv64-unknown-elf-g++",
    tuple(f"{_FLAGS} -mcmodel=medany --specs=picolibc.specs".split()),
    # Nor does it package the C++ library.
    tuple(f"{_BARE} -nodefaultlibs -Wl,--start-group,-lc,-lgcc,--end-group".split()),
    ("qemu-system-riscv32", "-bios", "none", *_SEMIHOSTING),
)
AARCH64_LINUX = Toolchain(
    "aarch64-linux-gnu-g++",
    tuple(_FLAGS.split()),
    tuple(f"-static {_LINK_FLAGS}".split()),
    ("qemu-aarch64",),
    script=None,
    platform=("tflm_kernels/host/file_storage.cc",),
    left_out=("journal_readings_test.cc",),
)


def kernel_sources(part: str = "") -> tuple[str, ...]:
    """The kernels' sources by what they need: the rule that every build of them follows.

    Bazel, CMake, setup.py and `tflm_train export` say it in their own languages;
    tests/tools/test_kernel_sources.py and `run_tests.py bazel` hold them to it.

    Args:
        part: `micro`, the folder of what needs TFLM's headers; `host`, of what needs a PC; by
            default everything else in whatever folder, which is plain C++17.

    Returns:
        Paths from the root.
    """
    paths = sorted((ROOT / "tflm_kernels").rglob("*.cc"))
    parts = [path.relative_to(ROOT / "tflm_kernels").parts[0] for path in paths]
    wanted = [(p == part) if part else (p not in ("micro", "host")) for p in parts]
    return tuple(
        path.relative_to(ROOT).as_posix() for path, w in zip(paths, wanted, strict=True) if w
    )


SOURCES = ("tests/cpp/*.cc", *kernel_sources())
# What every object depends on besides the files that the compiler names.
FLAGS_FROM = ("tools/boards.py", "tools/bazel/arm_none_eabi/cores.bzl")
RUN_SECONDS = 900
SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$", re.MULTILINE)
KIB = 1024


@dataclasses.dataclass(frozen=True)
class Machine:
    """A board that QEMU emulates, and where code and data go on it."""

    name: str
    board: str  # QEMU's name; empty for a program of an operating system
    core: str
    code: tuple[int, int] = (0x00000000, 4096 * KIB)
    ram: tuple[int, int] = (0x20000000, 4096 * KIB)
    vectors: int | None = None  # where the core starts; None: at the beginning of `code`
    defines: tuple[str, ...] = ()
    optimization: str = "-O3"
    toolchain: Toolchain = ARM
    emulator_flags: tuple[str, ...] = ()

    @property
    def memory(self) -> dict[str, int]:
        """What the linker script takes."""
        layout = {
            "CODE_ORIGIN": self.code[0],
            "CODE_BYTES": self.code[1],
            "RAM_ORIGIN": self.ram[0],
            "RAM_BYTES": self.ram[1],
        }
        return layout if self.vectors is None else {**layout, "VECTORS_ORIGIN": self.vectors}


MACHINES: tuple[Machine, ...] = (
    # 16 KB of RAM: a part of the cases (TFLM_TRAIN_SMALL_TARGET), and small buffers. Its flash has
    # room for them with -Os only.
    Machine(
        "microbit",
        "microbit",
        "cortex_m0plus",
        code=(0x00000000, 256 * KIB),
        ram=(0x20000000, 16 * KIB),
        defines=("-DTFLM_TRAIN_SMALL_TARGET", "-DTEST_ARENA_BYTES=8192"),
        optimization="-Os",
    ),
    # All cases in Cortex-M0+ code. QEMU has no M0 board with the room; the M3 runs its subset.
    Machine("mps2-an385-m0plus", "mps2-an385", "cortex_m0plus"),
    Machine("mps2-an385", "mps2-an385", "cortex_m3"),
    Machine("mps2-an386", "mps2-an386", "cortex_m4"),
    Machine(
        "netduinoplus2",
        "netduinoplus2",
        "cortex_m4",
        code=(0x08000000, 1024 * KIB),
        ram=(0x20000000, 128 * KIB),
        defines=("-DTFLM_TRAIN_MEDIUM_TARGET",),
    ),
    Machine("mps2-an500", "mps2-an500", "cortex_m7"),
    # Secure aliases: the core starts in the secure state. Its ITCM is too small for all cases.
    Machine(
        "mps3-an547",
        "mps3-an547",
        "cortex_m55",
        code=(0x11000000, 2048 * KIB),
        ram=(0x31000000, 2048 * KIB),
        vectors=0x10000000,
    ),
)
_VIRT = Machine(
    "virt",
    "virt",
    "rv32imc",
    code=(0x80000000, 4096 * KIB),
    ram=(0x80400000, 4096 * KIB),
    toolchain=RISCV,
    emulator_flags=("-cpu", "rv32,f=off,d=off"),
)
MACHINES += (
    # Without and with an FPU, as an ESP32-C3 and an ESP32-P4.
    dataclasses.replace(_VIRT, name="riscv32imc"),
    dataclasses.replace(
        _VIRT, name="riscv32imafc", core="rv32imafc", emulator_flags=("-cpu", "rv32,d=off")
    ),
    # As a Raspberry Pi with a 64-bit system.
    Machine("aarch64-linux", "", "aarch64", toolchain=AARCH64_LINUX),
)
# Firmware is built for size (Arduino) or with -O2 more often than not: the loops by hand once more.
OPTIMIZATIONS = {
    "mps2-an385-m0plus": "-Os",
    "mps2-an385": "-Os",
    "mps2-an386": "-Os",
    "mps2-an500": "-O2",
    "mps3-an547": "-Os",
    "riscv32imc": "-Os",
}
MACHINES += tuple(
    dataclasses.replace(machine, name=machine.name + option, optimization=option)
    for machine in MACHINES
    if (option := OPTIMIZATIONS.get(machine.name))
)


@dataclasses.dataclass
class Outcome:
    """What one machine, or any other part of the tests, came to."""

    passed: int
    failed: int
    output: str = ""
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)  # by reason

    def add(self, other: "Outcome") -> None:
        """Counts what another one came to; its output stays its own."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def core_flags() -> dict[str, list[str]]:
    """The flags that select a core; of Cortex-M the table that the Bazel toolchains use too."""
    path = ROOT / "tools/bazel/arm_none_eabi/cores.bzl"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            return {**ast.literal_eval(node.value), **_OTHER_CORES}
    raise ValueError(f"{path}: no table of cores")


_OTHER_CORES = {
    "rv32imc": ["-march=rv32imc", "-mabi=ilp32"],
    "rv32imafc": ["-march=rv32imafc", "-mabi=ilp32f"],
    "aarch64": ["-march=armv8-a"],
}


def compile_and_link(
    machine: Machine,
    patterns: Sequence[str] = SOURCES,
    program: str = "",
    symbols: Mapping[str, int] | None = None,
    includes: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> Path:
    """Builds a program for one machine, by default its tests; returns the ELF file.

    Args:
        machine: where it will run.
        patterns: its sources.
        program: its name, if it is not the tests.
        symbols: addresses for the linker to define.
        includes: folders of other people's headers.
        libraries: static libraries to link with.

    Raises:
        subprocess.CalledProcessError: the compiler or linker failed (its messages in `output`).
    """
    tools = machine.toolchain
    flags = [*tools.compile_flags, machine.optimization, *core_flags()[machine.core]]
    flags += [*machine.defines, f"-I{ROOT}"]
    # Machines with the same flags share objects.
    variant = machine.optimization.removeprefix("-O3")
    variant += "-".join(define.removeprefix("-D") for define in machine.defines)
    if tools is RISCV:
        includes = [*includes, *_cpp_headers()]
    flags += [f"-isystem{folder}" for folder in includes]
    folder = BUILD / f"{machine.core}-{variant}".rstrip("-")
    folder.mkdir(parents=True, exist_ok=True)
    sources = [
        path
        for pattern in dict.fromkeys((*patterns, *tools.platform))
        for path in sorted(ROOT.glob(pattern))
        if path.name not in tools.left_out
    ]

    def compile_one(source: Path) -> Path:
        output = folder / (source.relative_to(ROOT).as_posix().replace("/", "__") + ".o")
        if not is_current(output):
            call([tools.compiler, *flags, "-MMD", "-c", str(source), "-o", str(output)])
        return output

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    elf = BUILD / f"{machine.name}-{program}.elf" if program else BUILD / f"{machine.name}.elf"
    linked = [*map(str, objects), *libraries]
    if tools.script is not None:
        layout = {**machine.memory, **(symbols or {})}
        linked += [f"-Wl,--defsym={name}={value:#x}" for name, value in layout.items()]
        linked += ["-T", str(ROOT / tools.script)]
    call([tools.compiler, *flags, *linked, *tools.link_flags, "-o", str(elf)])
    return elf


def _cpp_headers() -> list[str]:
    """The folders of the C++ headers of the compiler for Arm."""
    versions = sorted(_CPP_HEADERS.glob("*"))
    if not versions:
        raise FileNotFoundError(f"no C++ headers in {_CPP_HEADERS}: libstdc++-arm-none-eabi-newlib")
    return [str(versions[-1]), str(versions[-1] / "arm-none-eabi")]


def is_current(output: Path) -> bool:
    """Whether an object is newer than all that it was compiled from, as the compiler noted it."""
    noted = output.with_suffix(".d")
    if not (output.exists() and noted.exists()):
        return False
    inputs = noted.read_text().replace("\\\n", " ").split()[1:]
    made = output.stat().st_mtime_ns
    paths = [ROOT / name for name in (*FLAGS_FROM, *inputs)]
    return all(path.exists() and path.stat().st_mtime_ns < made for path in paths)


def call(command: list[str]) -> None:
    subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def run(machine: Machine) -> Outcome:
    """Builds and runs the tests of one machine; a build or run that breaks is one failure."""
    try:
        return emulate(machine, compile_and_link(machine))
    except subprocess.CalledProcessError as error:
        return Outcome(0, 1, f"{error.cmd[0]} failed:\n{error.output}")


def emulator_of(machine: Machine, elf: Path) -> list[str]:
    """The command that runs a program as on a machine."""
    command = [*machine.toolchain.emulator, *machine.emulator_flags]
    return (
        [*command, "-M", machine.board, "-kernel", str(elf)]
        if machine.board
        else [*command, str(elf)]
    )


def run_to_end(
    command: Sequence[str], seconds: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program that reads nothing; all that it says is its output.

    Raises:
      subprocess.TimeoutExpired: It takes longer than so many seconds.
    """
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
    )


def emulate(machine: Machine, elf: Path) -> Outcome:
    """Runs a program of the tests' harness; a run that breaks is one failure."""
    try:
        finished = run_to_end(emulator_of(machine, elf), RUN_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Outcome(0, 1, str(error))
    return parse(finished.stdout, finished.returncode)


def parse(output: str, status: int) -> Outcome:
    """Reads the harness's last line; a program that did not reach it has one failure more."""
    summaries = SUMMARY.findall(output)
    if not summaries:
        return Outcome(0, 1, output + f"\nended early, exit status {status}")
    passed, failed = map(int, summaries[-1])
    return Outcome(passed, failed or int(status != 0), output)


def run_all(machines: Sequence[Machine]) -> Outcome:
    """Runs the machines one after the other, with a line for each; failures in full."""
    total = Outcome(0, 0)
    for machine in machines:
        outcome = run(machine)
        if outcome.failed:
            print(outcome.output.rstrip())
        print(f"{machine.name}: {outcome.passed} passed, {outcome.failed} failed", flush=True)
        total.add(outcome)
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    names = [machine.name for machine in MACHINES]
    parser.add_argument("machines", nargs="*", help=f"default: all of {', '.join(names)}")
    wanted = parser.parse_args().machines
    for name in wanted:
        if name not in names:
            parser.error(f"no machine {name!r}; there are {', '.join(names)}")
    total = run_all([machine for machine in MACHINES if not wanted or machine.name in wanted])
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
