"""Changes single lines of the sources and sees whether the tests notice.

`python tools/mutate.py [name ...]` goes through tests/mutations.toml, or through the entries of it
whose names begin so. Each is applied alone, to a copy of the tree, and the tests that it names are
run until one fails or takes several times as long as without the change. What none of them notices
has survived. The last line is `N killed, N survived`; the exit status is 0 only when nothing
survived. This takes an hour or so and is not part of `make test`, which sees that the list is
current (tests/test_mutations.py).

`--jobs N` tries N entries at once. A run that was broken off is continued with `--skip FILE`,
where FILE holds what it printed.

An entry's `tests` are commands:

    host NAME ...       C++ tests (tests/cpp/NAME.cc) on this machine
    sanitized NAME ...  the same with sanitizers, which notice what is read beyond an end
    MACHINE NAME ...    the same on an emulated board of tools/boards.py
    pytest ARGUMENT ... Python tests
"""

import argparse
import dataclasses
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = Path("tests/mutations.toml")
HOST_FLAGS = "-std=c++17 -O2 -ffp-contract=off -fno-exceptions -fno-rtti -w -I.".split()
LIBRARY_FLAGS = (*HOST_FLAGS, "-fPIC", "-shared", "-DTFLM_TRAIN_HOST")
HOST_SOURCES = (
    "tests/cpp/harness.cc", "tests/cpp/platform_host.cc", "tflm_kernels/host/file_storage.cc",
)  # fmt: skip
# What each adds to the flags.
HOST_KINDS = {
    "host": (),
    "sanitized": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}
BOARD_SOURCES = ("tests/cpp/harness.cc", "tests/cpp/target/*.cc")
# Of whatever runs without a change: builds, and tests when they are measured.
MOST_SECONDS = 900.0
# A test that a change makes slower than this is noticed: it hangs. Others share the machine, so
# that even an unchanged test may take some times as long as when it was measured.
LEAST_LIMIT = 60.0
SLOWER = 4.0
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


def limit_of(seconds: float) -> float:
    """How long a test may take that took so long without a change, in seconds."""
    return max(LEAST_LIMIT, SLOWER * seconds)


def run_to_end(
    command: Sequence[str], folder: Path, limit: float
) -> subprocess.CompletedProcess[str] | None:
    """Runs a command, and ends it and all that it started when it takes too long.

    Args:
      command: The program and its arguments.
      folder: Where it runs, and where Python looks for modules.
      limit: Seconds.

    Returns:
      What it came to, with what it printed in `stdout`; None if it took too long.
    """
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
    return subprocess.CompletedProcess(command, process.returncode, output)


class BuildError(Exception):
    """The message is what the compiler, or whatever else makes files, said."""


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
        self._boards = importlib.import_module("boards")
        # Not a warning but a test is to notice a change.
        of_core = self._boards.core_flags()
        quiet = {core: [*flags, "-w"] for core, flags in of_core.items()}
        vars(self._boards).update(core_flags=lambda: quiet)
        self._library_is_current = False
        self._limits: dict[str, float] = {}

    def write(self, name: str, text: str) -> None:
        """Replaces a file, and what is generated from it."""
        (self.root / name).write_text(text)
        if name.startswith("tflm_train/ops/"):
            self._build(sys.executable, "-m", "tools.generate")
        if name.startswith(("tflm_kernels/", "tflm_train/ops/")):
            self._library_is_current = False

    def measure(self, command: str) -> None:
        """Sees that tests pass without a change, and in what time, once for each command.

        Raises:
          BuildError: they do not build.
          ValueError: they fail.
        """
        if command in self._limits:
            return
        program = self._built(command)
        started = time.monotonic()
        if not self._passes(command, program, MOST_SECONDS):
            raise ValueError(f"{command}: fails without any change")
        self._limits[command] = limit_of(time.monotonic() - started)

    def passes(self, command: str) -> bool:
        """Runs one of an entry's commands, which has been measured; one that hangs fails.

        Raises:
          BuildError: it does not build.
        """
        return self._passes(command, self._built(command), self._limits[command])

    def _built(self, command: str) -> Path:
        """Builds what a command runs.

        Raises:
          BuildError: it does not build.
          ValueError: there is no such board.
        """
        kind, *arguments = command.split()
        if kind == "pytest":
            return self._host_library()
        if kind in HOST_KINDS:
            return self._host_program(kind, arguments)
        tests = [f"tests/cpp/{test}.cc" for test in arguments]
        patterns = (*BOARD_SOURCES, *self._boards.kernel_sources(), *tests)
        try:
            elf = self._boards.compile_and_link(self._board(kind), patterns, "-".join(arguments))
        except subprocess.CalledProcessError as error:
            raise BuildError(error.output) from None
        return Path(elf)

    def _passes(self, command: str, program: Path, limit: float) -> bool:
        """Runs what was built.

        Raises:
          ValueError: pytest finds no such tests.
        """
        kind, *arguments = command.split()
        if kind == "pytest":
            options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=repeatable"]
            pytest = [sys.executable, "-m", "pytest", *options, *arguments]
            finished = run_to_end(pytest, self.root, limit)
            if finished is not None and finished.returncode not in (0, *FAILED):
                raise ValueError(f"{command}:\n{finished.stdout}")
            return finished is not None and finished.returncode == 0
        if kind in HOST_KINDS:
            finished = run_to_end([str(program)], self.root, limit)
            return finished is not None and finished.returncode == 0
        vars(self._boards).update(RUN_SECONDS=limit)
        return bool(self._boards.emulate(self._board(kind), program).failed == 0)

    def _board(self, name: str) -> Any:
        boards = {machine.name: machine for machine in self._boards.MACHINES}
        if name not in boards:
            raise ValueError(f"no tests are called {name!r}")
        return boards[name]

    def _build(self, *command: str) -> None:
        finished = run_to_end(command, self.root, MOST_SECONDS)
        if finished is None or finished.returncode != 0:
            raise BuildError(finished.stdout if finished else f"{' '.join(command)}: hangs")

    def _host_library(self) -> Path:
        library = self.root / "tflm_train" / "_host_ops.so"
        if not self._library_is_current:
            sources = sorted(map(str, self.root.glob("tflm_kernels/**/*.cc")))
            self._build("c++", *LIBRARY_FLAGS, *sources, "-ldl", "-o", str(library))
            self._library_is_current = True
        return library

    def _host_program(self, kind: str, names: Sequence[str]) -> Path:
        folder = self.root / "build" / kind
        folder.mkdir(parents=True, exist_ok=True)
        objects = []
        flags = (*HOST_FLAGS, *HOST_KINDS[kind])
        tests = [f"tests/cpp/{name}.cc" for name in names]
        for pattern in (*HOST_SOURCES, *self._boards.kernel_sources(), *tests):
            for source in sorted(self.root.glob(pattern)):
                output = folder / f"{source.stem}.o"
                if not self._boards.is_current(output):
                    self._build("c++", *flags, "-MMD", "-c", str(source), "-o", str(output))
                objects.append(str(output))
        program = folder / "-".join(names)
        self._build("c++", *flags, *objects, "-o", str(program))
        return program


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of an entry.

    Attributes:
      name: The entry's.
      seconds: How long it took.
      killer: The command that noticed it; "" if none did.
      problem: Why it could not be tried; "" if it was.
    """

    name: str
    seconds: float
    killer: str = ""
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.name}: NOT TRIED ({self.seconds:.0f} s)\n{self.problem.rstrip()}"
        noticed = f"killed by {self.killer}" if self.killer else "SURVIVED"
        return f"{self.name}: {noticed} ({self.seconds:.0f} s)"


KILLED = re.compile(r"^\[\d+/\d+\] (.*): killed by ", re.MULTILINE)


def try_one(tree: Tree, mutation: Mutation) -> Outcome:
    """Applies an entry to the tree, runs its tests, and takes it back."""
    started = time.monotonic()
    killer, problem = "", ""
    text = (tree.root / mutation.file).read_text()
    try:
        for command in mutation.tests:
            tree.measure(command)
        tree.write(mutation.file, mutation.mutated(text))
        killer = next((test for test in mutation.tests if not tree.passes(test)), "")
    except (BuildError, ValueError) as error:
        problem = str(error)
    finally:
        tree.write(mutation.file, text)
    return Outcome(mutation.name, time.monotonic() - started, killer, problem)


_trees: list[Tree] = []  # One in each process: what it compiled for an entry serves the next.


def _make_tree(folder: str) -> None:
    _trees.append(Tree(Path(folder) / str(os.getpid())))


def _try_here(mutation: Mutation) -> Outcome:
    return try_one(_trees[0], mutation)


def outcomes(mutations: Sequence[Mutation], jobs: int) -> Iterator[Outcome]:
    """Tries entries, `jobs` at a time, each job with a copy of the tree."""
    with (
        tempfile.TemporaryDirectory(prefix="mutate-") as folder,
        ProcessPoolExecutor(jobs, initializer=_make_tree, initargs=(folder,)) as pool,
    ):
        try:
            yield from pool.map(_try_here, mutations)
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="beginnings of names; default: all")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once (default: 1)")
    parser.add_argument(
        "--skip", type=Path, metavar="FILE", help="leave out those that FILE says were killed"
    )
    arguments = parser.parse_args()
    wanted = tuple(arguments.names) or ("",)
    killed = set(KILLED.findall(arguments.skip.read_text())) if arguments.skip else set()
    chosen = [m for m in read_list() if m.name.startswith(wanted) and m.name not in killed]
    # What is compiled for one file serves the next change to it.
    chosen.sort(key=lambda mutation: mutation.file)
    rest = []
    for number, outcome in enumerate(outcomes(chosen, arguments.jobs), start=1):
        print(f"[{number}/{len(chosen)}] {outcome}", flush=True)
        if not outcome.killer:
            rest.append(outcome)
    for outcome in rest:
        print(f"{'not tried' if outcome.problem else 'survived'}: {outcome.name}")
    untried = sum(bool(outcome.problem) for outcome in rest)
    print(f"{len(chosen) - len(rest)} killed, {len(rest) - untried} survived", end="")
    print(f", {untried} not tried" if untried else "")
    return 1 if rest or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
