"""The fuzz targets: what they are, how they are built, and one campaign of one of them.

`tools/fuzz.py` runs campaigns of all, tests/fuzz/test_targets.py a short one of each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "tests" / "fuzz"
SEEDS = FUZZ / "seeds"
STORES = ("state", "journal", "latent_store", "latent_store_long")
READERS = (
    "model", "npz", "scheme", "state", "checkpoint", "contributions", "picture", "recording",
    "table", "front_end",
)  # fmt: skip
"""Of tests/fuzz/readers.py."""
SLOWER = {"reader": 100, "reader/model": 1000}
"""How many times fewer runs are asked of these: Python readers, and whatever commands do with a
model."""
FLAGS = (
    "-std=c++17 -g -O2 -fno-omit-frame-pointer -Wall -Wextra -Werror -DTFLM_TRAIN_HOST"
).split()
SANITIZERS = (
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
)
BARE = ("campaign", "node")
"""Of the harness what runs without sanitizers: it reads and writes inputs only."""
# The portable inner loops: of intrinsics a sanitizer knows nothing.
PORTABLE = ("-U__OPTIMIZE__", "-U__SSE2__")
QUICK = "quarantine_size_mb=1:malloc_context_size=0"
"""For AddressSanitizer in a campaign: who allocated a block is told when the input is replayed."""
_STATE_OF_OPS = ("crc32", "state")
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
RESULT = re.compile(
    r"(?P<runs>\d+) runs, no finding; (?P<deep>\d+) deep, (?P<cpu_seconds>[\d.]+) s of CPU, "
    r"(?P<kept>\d+) inputs kept, (?P<edges>\d+) edges"
)
"""What a campaign prints."""


class BrokenHarness(Exception):
    """A campaign ended in a way that is no finding: what it said."""


@dataclass(frozen=True)
class Outcome:
    """Of a campaign.

    Attributes:
      runs: Executions of the target.
      deep: Those that got beyond the first checks: of an op, Prepare took the node and it ran.
      kept: Inputs that reached new code.
      edges: Of the code, that were reached in all.
      cpu_seconds: That it took.
      finding: What the sanitizers say of a finding; nothing else is known then.
    """

    runs: int = 0
    deep: int = 0
    kept: int = 0
    edges: int = 0
    cpu_seconds: float = 0
    finding: str = ""


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
      name: Its name; `op/NAME` of an op, `reader/NAME` of a reader in Python.
    """

    name: str

    @property
    def program(self) -> str:
        """The name of its program, without `_fuzz`."""
        return self.name.partition("/")[0]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What its program has to be told."""
        return (self.name.partition("/")[2],) if self.program == "reader" else ()

    def share_of(self, runs: int) -> int:
        """How many runs it does where others do so many."""
        return -(-runs // SLOWER.get(self.name, SLOWER.get(self.program, 1)))

    @property
    def seeds(self) -> Path:
        """Where its seeds are."""
        return SEEDS / self.name


def targets() -> list[Target]:
    """All of them: those of what is stored, one for each op, and the readers."""
    ops = sorted(f"op/{folder.name}" for folder in (SEEDS / "op").iterdir())
    return [Target(name) for name in (*STORES, *ops, *(f"reader/{name}" for name in READERS))]


def kernels(program: str) -> list[Path]:
    """The kernels' sources that a program is made of: the ops', or those of what is stored."""
    folder = ROOT / "tflm_kernels"
    if program in STORES:
        return sorted((folder / "state").glob("*.cc"))
    sources = (path for path in folder.rglob("*.cc") if "host" not in path.parts)
    return sorted(p for p in sources if p.parent.name != "state" or p.stem in _STATE_OF_OPS)


def included(paths: Iterable[Path]) -> list[Path]:
    """Files and all of the project's that they include, in whatever depth."""
    waiting, found = list(paths), set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in found and path.exists():
            found.add(path)
            waiting += [ROOT / name for name in _INCLUDE.findall(path.read_text())]
    return sorted(found)


def _harness(program: str) -> list[Path]:
    more = ("fake_tflm.cc", "node.cc") if program == "op" else ()
    return [FUZZ / name for name in (f"{program}_fuzz.cc", "campaign.cc", *more)]


def sources(program: str) -> list[Path]:
    """The files that a program is made of, headers too."""
    if program == "reader":
        return sorted([*(ROOT / "tflm_train").rglob("*.py"), *FUZZ.glob("*.py")])
    return included([*kernels(program), *_harness(program)])


def build(
    folder: Path, program: str, source: Path | None = None, explores: bool = True
) -> list[str]:
    """Compiles the program of a target, where it is to be compiled.

    Args:
      folder: Where it goes.
      program: Its name.
      source: Of the target, if it is not the one in tests/fuzz.
      explores: Whether it sees which inputs reach new code, which takes up to half of the time.

    Returns:
      The command that runs it, but for the target's arguments.

    Raises:
      subprocess.CalledProcessError: It does not compile.
    """
    if program == "reader":
        return [sys.executable, "-m", "tests.fuzz.reader_fuzz"]
    folder.mkdir(parents=True, exist_ok=True)
    own, harness = kernels(program), _harness(program)
    if source is not None:
        harness[0] = source
    coverage = {
        path: ["-fsanitize-coverage=trace-pc"] * (explores and path.stem != "crc32") for path in own
    }
    jobs = [(path, [*SANITIZERS, *coverage[path]]) for path in own]
    jobs += [(path, [] if path.stem in BARE else [*SANITIZERS]) for path in harness]

    def compile_one(job: tuple[Path, list[str]]) -> str:
        path, more = job
        name = f"{program}_{path.parent.name}_{path.stem}.o"
        flags = [*FLAGS, *PORTABLE, *more, f"-I{ROOT}"]
        subprocess.run(["c++", *flags, "-c", str(path), "-o", str(folder / name)], check=True)
        return str(folder / name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, jobs))
    result = folder / f"{program}_fuzz"
    subprocess.run(["c++", *FLAGS, *SANITIZERS, *objects, "-o", str(result)], check=True)
    return [str(result)]


def campaign(
    program: Sequence[str],
    target: Target,
    runs: int,
    seconds: float,
    random: int,
    kept: Path,
    found: Path,
) -> Outcome:
    """Runs new inputs, made from the seeds and from what is kept.

    Args:
      program: The target's, from `build`.
      target: The target.
      runs: At most.
      seconds: At most.
      random: Begins the random numbers.
      kept: The folder of inputs that reach new code, read and written.
      found: Where the input of a finding goes.

    Raises:
      BrokenHarness: It ended without a finding and without its last line.
    """
    kept.mkdir(parents=True, exist_ok=True)
    found.unlink(missing_ok=True)
    arguments = (runs, seconds, random, target.seeds, kept, found)
    ended = _run(program, target, map(str, arguments), {"ASAN_OPTIONS": QUICK})
    if found.exists():
        return Outcome(finding=replay(program, target, [found]) or ended.stderr)
    result = RESULT.match(ended.stdout)
    if ended.returncode != 0 or result is None:
        raise BrokenHarness(f"{target.name}: exit status {ended.returncode}: {ended.stderr}")
    return Outcome(
        runs=int(result["runs"]),
        deep=int(result["deep"]),
        kept=int(result["kept"]),
        edges=int(result["edges"]),
        cpu_seconds=float(result["cpu_seconds"]),
    )


def replay(program: Sequence[str], target: Target, inputs: Sequence[Path]) -> str:
    """Runs inputs of a target; returns what is found in one, or nothing."""
    ended = _run(program, target, map(str, inputs), {})
    return ended.stderr if ended.returncode != 0 else ""


def _run(
    program: Sequence[str], target: Target, arguments: Iterable[str], more: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *target.arguments, *arguments],
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
        cwd=ROOT,
        env={**os.environ, **more},
    )
