"""`tflm_train doctor`."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.text import Text

from tflm_train import ops
from tflm_train.cli import tables
from tflm_train.cli.command import Command, Parser
from tflm_train.learning import LatentCache
from tflm_train.records import sometimes
from tflm_train.runtime.host_library import host_library, tflm_runtime
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.version import VERSION

OK, MISSING, BROKEN = "ok", "missing", "broken"
_STYLES = {OK: "green", MISSING: "yellow", BROKEN: "red"}
_EXTRAS = {
    "audio": "folders of recordings",
    "log": "event files of train --log",
    "parquet": "Parquet tables",
    "plot": "--plot",
    "quantize": "quantize",
    "ray": "search and analyze on a cluster",
    "search": "search",
}
_NOT_FOR_USERS = ("demo", "test", "interpreter-test")
_PROGRAMS = {
    "c++": "building this package from source",
    "arm-none-eabi-g++": "compiling exports for Cortex-M",
    "cmake": "export --format cmake",
    "arduino-cli": "export --format arduino",
    "pio": "export --format platformio",
    "idf.py": "export --format esp-idf",
    "west": "export --format zephyr",
    "qemu-system-arm": "running firmware without a board",
}
_SECONDS = 10


@dataclass(frozen=True)
class Check:
    """One thing that may be there.

    Attributes:
      name: What.
      state: `ok`, `missing`, or `broken`: there, but of no use.
      found: Its version or place, or what is wrong with it.
      needed_for: What does without it not work.
      advice: What to do about it, where that is known.
    """

    name: str
    state: str
    found: str
    needed_for: str
    advice: str | None = sometimes()


@dataclass(frozen=True)
class Diagnosis:
    """What is installed here.

    Attributes:
      version: Of this package.
      operators_version: Of the operators in the files that it writes.
      python: The version of Python, and the file that runs.
      platform: The system and the processor.
      healthy: Whether models can be run and trained; all else is for single commands.
      checks: One by one.
    """

    version: str
    operators_version: int
    python: str
    platform: str
    healthy: bool
    checks: tuple[Check, ...]


def _arguments(parser: Parser) -> None:
    del parser  # There are none.


def _run(arguments: argparse.Namespace) -> Diagnosis:
    del arguments
    checks = (*_core(), *_extras(), *_programs(), _cache())
    return Diagnosis(
        version=VERSION,
        operators_version=ops.VERSION,
        python=f"{platform.python_version()} ({sys.executable})",
        platform=f"{platform.system()} {platform.release()} on {platform.machine()}",
        healthy=all(check.state != BROKEN for check in checks),
        checks=checks,
    )


def _core() -> Iterator[Check]:
    """Without these no model runs."""
    yield _tried("TFLM interpreter", "train, evaluate, optimize, search", _interpreter)
    yield _tried("host kernels", "train, evaluate of rewritten models", _kernels)
    yield _tried("a model in it", "train, evaluate", _one_inference)


def _tried(name: str, needed_for: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, OK, look(), needed_for)
    except Exception as error:  # Whatever is wrong with an installation is what is asked for.
        return Check(name, BROKEN, " ".join(str(error).split()), needed_for)


def _interpreter() -> str:
    runtime = tflm_runtime()
    return f"tflite-micro {importlib.metadata.version('tflite-micro')} ({_folder(runtime)})"


def _kernels() -> str:
    host_library()
    return f"operators of version {ops.VERSION}"


def _one_inference() -> str:
    model = Path(__file__).parents[1] / "demo" / "digits.tflite"
    interpreter = Interpreter(model)
    shape = interpreter.model.graph.inputs[0].shape
    return f"{model.name} answers {int(np.argmax(interpreter.infer(np.zeros(shape, np.int8))))}"


def _folder(module: object) -> str:
    return str(Path(getattr(module, "__file__", "?")).parent)


def _extras() -> Iterator[Check]:
    """What `pip install tflm_train[...]` adds."""
    for extra, packages in sorted(_packages_of_extras().items()):
        versions, missing = [], []
        for package in packages:
            try:
                versions.append(f"{package} {importlib.metadata.version(package)}")
            except importlib.metadata.PackageNotFoundError:
                missing.append(package)
        yield Check(
            f"extra {extra}",
            MISSING if missing else OK,
            ", ".join(versions + [f"no {name}" for name in missing]),
            _EXTRAS.get(extra, extra),
            f"pip install 'tflm_train[{extra}]'" if missing else None,
        )


def _packages_of_extras() -> dict[str, list[str]]:
    """As the installed package declares them."""
    found: dict[str, list[str]] = {}
    try:
        requirements = importlib.metadata.requires("tflm_train") or []
    except importlib.metadata.PackageNotFoundError:
        return found
    for requirement in requirements:
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        name = re.match(r"[\w.-]+", requirement)
        if extra is not None and name is not None and extra[1] not in _NOT_FOR_USERS:
            found.setdefault(extra[1], []).append(name[0])
    return found


def _programs() -> Iterator[Check]:
    """Compilers, and the tools of boards."""
    for name, needed_for in _PROGRAMS.items():
        path = shutil.which(name)
        if path is None:
            yield Check(name, MISSING, "not on the PATH", needed_for)
        else:
            yield Check(name, OK, _first_line(path), needed_for)


def _first_line(program: str) -> str:
    """Of what it says of its version; its place, where it says none."""
    word = "version" if Path(program).name == "arduino-cli" else "--version"
    try:
        done = subprocess.run(
            [program, word],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return program
    lines = done.stdout.strip().splitlines()
    return lines[0] if lines and done.returncode == 0 else program


def _cache() -> Check:
    """Where latents are kept."""
    name, needed_for = "cache of latents", "training again without the frozen layers"
    cache = LatentCache.of_user(None)
    if cache is None:
        return Check(name, MISSING, "turned off", needed_for)
    place = cache.folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK):
        return Check(name, MISSING, f"{cache.folder} cannot be written", needed_for, "--cache DIR")
    free = shutil.disk_usage(place).free / 1e9
    return Check(name, OK, f"{cache.folder}, {free:.0f} GB free", needed_for)


def _show(result: Diagnosis) -> None:
    console = tables.console()
    for line in (
        f"tflm_train {result.version}, operators version {result.operators_version}",
        f"Python {result.python}",
        result.platform,
    ):
        console.print(line, highlight=False, soft_wrap=True)
    for check in result.checks:
        shown = Text(f"{check.state:8}", style=_STYLES[check.state])
        said = f"{check.name:18} {check.found}"
        if check.state != OK:
            said += f" (for {check.needed_for})"
        if check.advice is not None:
            said += f": {check.advice}"
        shown.append(said, style="default")
        console.print(shown, highlight=False, soft_wrap=True)
    if not result.healthy:
        console.print(
            "no model runs here; inspect, rewrite, memory, merge and export work all the same",
            soft_wrap=True,
        )


COMMAND = Command(
    "doctor",
    "Say what is installed: interpreter, extras, compilers, the tools of boards.",
    "What is broken keeps models from running; what is missing, only what stands beside it.",
    _arguments,
    _run,
    _show,
)
