"""Runs the parts of `make test`, each even when an earlier one failed, and adds up the results.

All of them run in two processes side by side, which two cores are kept busy by: the Python tests in
this one, the C++ ones and the rest in another, whose output follows at the end.

`python tools/run_tests.py [--require NAME ...] [part ...]`: all parts by default. The last line is
always `N passed, N failed, N skipped`, above it each reason to skip with its count; the exit status
is 0 if nothing failed. `--require shared` makes failures of the skips for want of that
(tests/requirements.py declares the names); a skip for a reason not declared there is a failure.
"""

import argparse
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path

import boards
import environment
from boards import Outcome
from environment import ROOT
from format_sources import cpp_files

RESULTS = ROOT / "build" / "test"
SKIP_REASON = re.compile(r"needs ([a-z0-9-]+): ")
FIRST = ("lint", "python")
"""The parts that take as long as all others."""
# What this program installs itself: never a reason to skip here.
INSTALLED = ("programs", "metadata", "vela")
BAZEL_CONFIGS = ("cortex_m0plus", "m3", "m4", "m7", "m55")
BAZEL_TARGETS = ("//tests/...", "//tflm_kernels:host_ops")
BAZEL_SOURCES = {"kernels": ("",), "micro": ("micro",), "host_ops": ("host", "micro")}  # by target
BAZEL_TESTS_FAILED = 3  # built, ran, and some test failed: its log is of this run


def call(*command: str) -> int:
    """Runs a command from the root, its output on ours; returns the exit status."""
    sys.stdout.flush()
    try:
        return subprocess.run(command, cwd=ROOT, check=False).returncode
    except OSError as error:
        print(f"{command[0]}: {error}")
        return 127


def checks(*commands: Sequence[str]) -> Outcome:
    """Each command is one test that passes with exit status 0."""
    failed = 0
    for command in commands:
        if call(*command) != 0:
            print(f"FAILED: {' '.join(command[:6])}")
            failed += 1
    return Outcome(len(commands) - failed, failed)


def pytest(python: str, name: str, require: Sequence[str], *arguments: str) -> Outcome:
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "--hypothesis-profile=repeatable", f"--junitxml={report}"]
    options += [f"--require={name}" for name in require]
    status = call(python, "-m", "pytest", *options, *arguments)
    if not report.exists():
        return Outcome(0, 1)
    total = read_junit(report)
    # No test at all, or an error outside of the tests.
    total.failed = total.failed or int(status != 0)
    return total


def read_junit(report: Path) -> Outcome:
    """Adds up a JUnit report; a skip without a declared reason is a failure."""
    total = Outcome(0, 0)
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        tests, failed = (int(suite.get(key, 0)) for key in ("tests", "failures"))
        failed += int(suite.get("errors", 0))
        skipped = list(suite.iter("skipped"))
        total.passed += tests - len(skipped) - failed
        total.failed += failed
        for skip in skipped:
            reason = skip.get("message", "")
            if SKIP_REASON.match(reason):
                total.skipped[reason] += 1
            else:
                print(f"FAILED: a skip that tests/requirements.py does not declare: {reason}")
                total.failed += 1
    return total


def lint() -> Outcome:
    python = environment.python_of(environment.VENV)
    return checks(
        [python, "-m", "ruff", "check", "."],
        [python, "-m", "ruff", "format", "--check", "."],
        [python, "-m", "mypy"],
        [str(Path(python).with_name("lint-imports")), "--no-cache", "--no-logo"],
        ["clang-format", "--dry-run", "-Werror", *cpp_files()],
    )


def python_tests(require: Sequence[str]) -> Outcome:
    environment.prepare_metadata_support()
    environment.prepare_vela()
    return pytest(environment.python_of(environment.VENV), "python", [*require, *INSTALLED])


def golden_cases() -> Outcome:
    """The input of the C++ parts."""
    python = environment.python_of(environment.VENV)
    return checks([python, "tests/cpp/generate_golden.py"])


def bazel_tests() -> Outcome:
    """The C++ tests on the host, as built for release and under the sanitizers."""
    tests = sorted(path.stem for path in ROOT.glob("tests/cpp/*_test.cc"))
    total = bazel_sources()
    for options in ((), ("--config=sanitize",)):
        status = call("bazel", "test", "--noshow_progress", *options, *BAZEL_TARGETS)
        if status not in (0, BAZEL_TESTS_FAILED):
            total.failed += 1
            continue
        for name in tests:
            log = ROOT / "bazel-testlogs" / "tests" / "cpp" / name / "test.log"
            text = log.read_text(errors="replace") if log.exists() else "no log"
            total.add(boards.parse(text, 0))
    return total


def bazel_sources() -> Outcome:
    """Each target's sources are those of its part, new ones included."""
    total = Outcome(0, 0)
    for target, kernel_parts in BAZEL_SOURCES.items():
        command = ["bazel", "query", f"labels(srcs, //tflm_kernels:{target})"]
        answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        found = {line.strip("/").replace(":", "/") for line in answer.stdout.splitlines()}
        expected = {path for part in kernel_parts for path in boards.kernel_sources(part)}
        if found == expected:
            total.passed += 1
        else:
            print(f"FAILED: //tflm_kernels:{target} differs in {sorted(found ^ expected)}")
            total.failed += 1
    return total


def bazel_cross_builds() -> Outcome:
    return checks(
        *(
            ["bazel", "build", "--noshow_progress", f"--config={config}", "//tflm_kernels"]
            for config in BAZEL_CONFIGS
        )
    )


def emulated_boards() -> Outcome:
    return boards.run_all(boards.MACHINES)


def instruction_counts() -> Outcome:
    """The kernels' instructions on the emulated cores, against the committed baseline."""
    command = [environment.python_of(environment.VENV), "-m", "benchmarks.kernels", "--check"]
    finished = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    outcome = boards.parse(finished.stdout, finished.returncode)
    print(outcome.output.rstrip())
    return outcome


def old_generation(require: Sequence[str]) -> Outcome:
    """The tests of the interpreter itself, with the oldest versions: an older TFLM generation."""
    # Only these files are collected: the others may import what this environment does not have.
    files = [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.glob("tests/**/test_*.py"))
        if "mark.interpreter" in path.read_text()
    ]
    if not files:
        print("no test is marked with @pytest.mark.interpreter")
        return Outcome(0, 1)
    environment.prepare_oldest()
    environment.prepare_vela()
    python = environment.python_of(environment.OLDEST_VENV)
    require = [*require, *INSTALLED]
    return pytest(python, "old_generation", require, "-m", "interpreter", *files)


def parts(require: Sequence[str]) -> dict[str, Callable[[], Outcome]]:
    """All parts by name; none of those that skip does so for want of what `require` names."""
    return {
        "lint": lint,
        "python": lambda: python_tests(require),
        "golden": golden_cases,
        "bazel": bazel_tests,
        "cross": bazel_cross_builds,
        "boards": emulated_boards,
        "instructions": instruction_counts,
        "old-tflm": lambda: old_generation(require),
    }


PACKAGES: dict[str, tuple[str, ...]] = {
    "lint": environment.FORMATTER,
    "python": environment.CROSS_COMPILER
    + environment.EMULATOR
    + environment.CMAKE
    + environment.BROWSER,
    "bazel": environment.BAZEL,
    "cross": environment.BAZEL + environment.CROSS_COMPILER,
    "boards": environment.CROSS_COMPILER
    + environment.EMULATOR
    + environment.RISCV
    + environment.AARCH64,
    "instructions": environment.CROSS_COMPILER + environment.EMULATOR,
}


def run_parts(chosen: dict[str, Callable[[], Outcome]]) -> Outcome:
    total = Outcome(0, 0)
    summary = []
    for name, part in chosen.items():
        print(f"\n=== {name}", flush=True)
        started = time.monotonic()
        try:
            outcome = part()
        except environment.MissingPrerequisite as error:
            print(f"error: {error}")
            outcome = Outcome(0, 1)
        seconds = time.monotonic() - started
        summary.append(f"{name}: {counts(outcome)} ({seconds:.0f} s)")
        total.add(outcome)
    print("\n" + "\n".join(summary))
    return total


class Beside:
    """Parts that run in another process of this program meanwhile."""

    def __init__(self, names: Sequence[str], require: Sequence[str]) -> None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        self._output = RESULTS / "beside.txt"
        required = [f"--require={name}" for name in require]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, __file__, *required, *names],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def finish(self) -> Outcome:
        """Waits for it and prints what it has printed."""
        status = self._process.wait()
        text = self._output.read_text(errors="replace")
        print(text, flush=True)
        return read_output(text, status)


def read_output(text: str, status: int) -> Outcome:
    """Adds up what this program has printed: a failure where it did not come to its last line."""
    *_, last = text.strip().splitlines() or [""]
    found = re.fullmatch(r"(\d+) passed, (\d+) failed, \d+ skipped", last)
    if found is None:
        return Outcome(0, 1)
    total = Outcome(int(found[1]), int(found[2]))
    for count, reason in re.findall(r"^skipped (\d+): (.*)$", text, re.MULTILINE):
        total.skipped[reason] += int(count)
    total.failed = total.failed or int(status != 0)
    return total


def counts(outcome: Outcome) -> str:
    skipped = outcome.skipped.total()
    return f"{outcome.passed} passed, {outcome.failed} failed, {skipped} skipped"


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the tests of this repository.")
    names = ", ".join(parts(()))
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {names}")
    parser.add_argument("--require", action="append", default=[], metavar="NAME")
    arguments = parser.parse_args()
    chosen = parts(arguments.require)
    for name in arguments.parts:
        if name not in chosen:
            parser.error(f"no part {name!r}; there are {names}")
    if arguments.parts:
        chosen = {name: chosen[name] for name in arguments.parts}
    try:
        packages = [package for name in chosen for package in PACKAGES.get(name, ())]
        environment.install_debian_packages(environment.HOST_COMPILER + tuple(packages))
        environment.prepare("test")
        if arguments.parts:
            total = run_parts(chosen)
        else:
            # Both processes need this, and only one may make it.
            environment.prepare_vela()
            others = Beside([name for name in chosen if name not in FIRST], arguments.require)
            total = run_parts({name: chosen[name] for name in FIRST})
            total.add(others.finish())
    except environment.MissingPrerequisite as error:
        print(f"error: {error}")
        total = Outcome(0, 1)
    for reason, count in total.skipped.most_common():
        print(f"skipped {count}: {reason}")
    print(counts(total))
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
