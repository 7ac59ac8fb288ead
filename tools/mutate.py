"""Changes single lines of the sources and sees whether the tests notice.

`python tools/mutate.py [name ...]` goes through tests/mutations.toml, or through the entries of it
whose names begin so. Each is applied alone, to a copy of the tree, and the tests that it names are
run until one fails. What none of them notices has survived. The last line is `N killed, N
survived`; the exit status is 0 only when nothing survived. This takes minutes and is not part of
`make test`, which sees that the list is current (tests/test_mutations.py).

An entry's `tests` are commands:

    host NAME ...       C++ tests (tests/cpp/NAME.cc) on this machine
    MACHINE NAME ...    the same on an emulated board of tools/cortex_m.py
    pytest ARGUMENT ... Python tests
"""

import argparse
import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = Path("tests/mutations.toml")
HOST_FLAGS = "-std=c++17 -O2 -ffp-contract=off -fno-exceptions -fno-rtti -w -I.".split()
LIBRARY_FLAGS = (*HOST_FLAGS, "-fPIC", "-shared", "-DTFLM_TRAIN_HOST")
HOST_SOURCES = (
    "tests/cpp/harness.cc", "tests/cpp/platform_host.cc", "tflm_kernels/host/file_storage.cc",
)  # fmt: skip
BOARD_SOURCES = ("tests/cpp/harness.cc", "tests/cpp/target/*.cc")
SECONDS = 900
BOARD_SECONDS = 30
# Of pytest: tests failed, or could not be collected.
FAILED = (1, 2)


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One entry of the list.

    Attributes:
      name: What it is called.
      file: Which file it changes, from the root.
      old: The text that it replaces, which occurs once.
      new: What takes its place.
      tests: Commands of which at least one must fail.
      bound: The guard of a fast path that it loosens, as tagged in the sources; "" for others.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    bound: str = ""

    def mutated(self, text: str) -> str:
        """Returns the file's text with the change.

        Raises:
          ValueError: the old text does not occur once.
        """
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: {self.old!r} is in {self.file} {count} times, not once")
        return text.replace(self.old, self.new)


def read_list(root: Path = ROOT) -> list[Mutation]:
    """Reads all entries."""
    entries = tomllib.loads((root / LIST).read_text())["mutation"]
    return [Mutation(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


class Tree:
    """A copy of the sources and what is built from it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        for name in names.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        if (ROOT.parent / "shared").exists():
            (folder / "shared").symlink_to(ROOT.parent / "shared")
        self._build(sys.executable, "tests/cpp/generate_golden.py")
        # The copy's own: it builds where it lies.
        sys.path.insert(0, str(self.root / "tools"))
        self._boards = importlib.import_module("cortex_m")
        # Not a warning but a test is to notice a change.
        flags = [*self._boards.COMPILE_FLAGS, "-w"]
        vars(self._boards).update(COMPILE_FLAGS=flags, RUN_SECONDS=BOARD_SECONDS)
        self._library_is_current = False

    def write(self, name: str, text: str) -> None:
        """Replaces a file, and what is generated from it."""
        (self.root / name).write_text(text)
        if name.startswith("tflm_train/ops/"):
            self._build(sys.executable, "-m", "tools.generate")
        if name.startswith(("tflm_kernels/", "tflm_train/ops/")):
            self._library_is_current = False

    def passes(self, command: str) -> bool:
        """Runs one of an entry's commands.

        Raises:
          subprocess.CalledProcessError: something does not build.
          ValueError: there are no such tests.
        """
        kind, *arguments = command.split()
        if kind == "pytest":
            return self._pytest(arguments)
        if kind == "host":
            return self._run([str(self._host_program(arguments))]).returncode == 0
        return self._board_passes(kind, arguments)

    def _run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.root, env={**os.environ, "PYTHONPATH": str(self.root)}, text=True,
            timeout=SECONDS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, errors="replace", check=False,
        )  # fmt: skip

    def _build(self, *command: str) -> None:
        finished = self._run(command)
        if finished.returncode != 0:
            raise subprocess.CalledProcessError(finished.returncode, command, finished.stdout)

    def _pytest(self, arguments: Sequence[str]) -> bool:
        if not self._library_is_current:
            sources = sorted(map(str, self.root.glob("tflm_kernels/**/*.cc")))
            library = ["-ldl", "-o", "tflm_train/_host_ops.so"]
            self._build("c++", *LIBRARY_FLAGS, *sources, *library)
            self._library_is_current = True
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=repeatable"]
        finished = self._run([sys.executable, "-m", "pytest", *options, *arguments])
        if finished.returncode not in (0, *FAILED):
            raise ValueError(f"pytest {' '.join(arguments)}:\n{finished.stdout}")
        return finished.returncode == 0

    def _host_program(self, names: Sequence[str]) -> Path:
        folder = self.root / "build" / "host"
        folder.mkdir(parents=True, exist_ok=True)
        objects = []
        tests = [f"tests/cpp/{name}.cc" for name in names]
        for pattern in (*HOST_SOURCES, *self._boards.kernel_sources(), *tests):
            for source in sorted(self.root.glob(pattern)):
                output = folder / f"{source.stem}.o"
                if not self._boards.is_current(output):
                    self._build("c++", *HOST_FLAGS, "-MMD", "-c", str(source), "-o", str(output))
                objects.append(str(output))
        program = folder / "-".join(names)
        self._build("c++", *objects, "-o", str(program))
        return program

    def _board_passes(self, name: str, names: Sequence[str]) -> bool:
        boards = {machine.name: machine for machine in self._boards.MACHINES}
        if name not in boards:
            raise ValueError(f"no tests are called {name!r}")
        tests = [f"tests/cpp/{test}.cc" for test in names]
        patterns = (*BOARD_SOURCES, *self._boards.kernel_sources(), *tests)
        elf = self._boards.compile_and_link(boards[name], patterns, "-".join(names))
        return bool(self._boards.emulate(boards[name], elf).failed == 0)


def survivors(tree: Tree, mutations: Sequence[Mutation]) -> list[Mutation]:
    """Applies each entry and says, a line each, what became of it; returns those unnoticed."""
    for command in dict.fromkeys(test for mutation in mutations for test in mutation.tests):
        if not tree.passes(command):
            raise ValueError(f"{command}: fails without any change")
    found = []
    for mutation in mutations:
        started = time.monotonic()
        text = (tree.root / mutation.file).read_text()
        tree.write(mutation.file, mutation.mutated(text))
        killer = next((test for test in mutation.tests if not tree.passes(test)), None)
        tree.write(mutation.file, text)
        if killer is None:
            found.append(mutation)
        outcome = "SURVIVED" if killer is None else f"killed by {killer}"
        print(f"{mutation.name}: {outcome} ({time.monotonic() - started:.0f} s)", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="beginnings of names; default: all")
    wanted = tuple(parser.parse_args().names) or ("",)
    chosen = [mutation for mutation in read_list() if mutation.name.startswith(wanted)]
    # What is compiled for one file serves the next change to it.
    chosen.sort(key=lambda mutation: mutation.file)
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        try:
            lived = survivors(Tree(Path(folder)), chosen)
        except subprocess.CalledProcessError as error:
            print(f"{error.cmd[0]} failed:\n{error.output}")
            return 2
        except ValueError as error:
            print(error)
            return 2
    print(f"{len(chosen) - len(lived)} killed, {len(lived)} survived")
    return 1 if lived or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
