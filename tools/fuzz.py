"""Campaigns of the fuzz targets: `python tools/fuzz.py [MINUTES [TARGET ...]]`.

Each target, and each op of the ops' target, gets its share of the minutes. Inputs that reach new
code are kept in build/fuzz/kept for the next campaign; what a finding was made by goes to
tests/fuzz/seeds, where `make test` replays it until it is mended and ever after. The exit status is
the number of targets with a finding.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "tests" / "fuzz"
SEEDS = FUZZ / "seeds"
KEPT = ROOT / "build" / "fuzz" / "kept"
STORES = ("state", "journal", "latent_store", "latent_store_long")
FLAGS = (
    "-std=c++17 -g -O1 -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all "
    "-fno-omit-frame-pointer -Wall -Wextra -Werror -DTFLM_TRAIN_HOST"
).split()
# The portable inner loops: of intrinsics a sanitizer knows nothing.
PORTABLE = ("-U__OPTIMIZE__", "-U__SSE2__")
ENDLESS = 10**18


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
      name: Its name; `op/NAME` of an op.
    """

    name: str

    @property
    def program(self) -> str:
        """The name of its program, without `_fuzz`."""
        return self.name.partition("/")[0]

    @property
    def seeds(self) -> Path:
        """Where its seeds are."""
        return SEEDS / self.name


def targets() -> list[Target]:
    """All of them: those of what is stored, and one for each op."""
    ops = sorted(f"op/{folder.name}" for folder in (SEEDS / "op").iterdir())
    return [Target(name) for name in (*STORES, *ops)]


def build(folder: Path, program: str, source: Path | None = None) -> Path:
    """Compiles the program of a target.

    Args:
      folder: Where it goes.
      program: Its name.
      source: Of the target, if it is not the one in tests/fuzz.

    Raises:
      subprocess.CalledProcessError: It does not compile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kernels = sorted((ROOT / "tflm_kernels").rglob("*.cc"))
    kernels = [path for path in kernels if "host" not in path.parts]
    if program in STORES:
        kernels = [path for path in kernels if path.parent.name == "state"]
    harness = [source or FUZZ / f"{program}_fuzz.cc", FUZZ / "campaign.cc"]
    harness += [FUZZ / "fake_tflm.cc", FUZZ / "node.cc"] * (program == "op")
    jobs = [(path, ["-fsanitize-coverage=trace-pc"]) for path in kernels]
    jobs += [(path, []) for path in harness]

    def compile_one(job: tuple[Path, list[str]]) -> str:
        path, more = job
        name = f"{program}_{path.parent.name}_{path.stem}.o"
        flags = [*FLAGS, *PORTABLE, *more, f"-I{ROOT}"]
        subprocess.run(["c++", *flags, "-c", str(path), "-o", str(folder / name)], check=True)
        return str(folder / name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, jobs))
    result = folder / f"{program}_fuzz"
    subprocess.run(["c++", *FLAGS, *objects, "-o", str(result)], check=True)
    return result


def campaign(
    program: Path, target: Target, runs: int, seconds: float, random: int, kept: Path, found: Path
) -> subprocess.CompletedProcess[str]:
    """Runs new inputs, made from the seeds and from what is kept.

    Args:
      program: The target's, from `build`.
      target: The target.
      runs: At most.
      seconds: At most.
      random: Begins the random numbers.
      kept: The folder of inputs that reach new code, read and written.
      found: Where the input of a finding goes.
    """
    kept.mkdir(parents=True, exist_ok=True)
    arguments = map(str, (runs, seconds, random, target.seeds, kept, found))
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, errors="replace"
    )


def _run(target: Target, program: Path, seconds: float) -> int:
    """A target's share; returns whether there was a finding."""
    found = ROOT / "build" / "fuzz" / f"found_{target.name.replace('/', '_')}"
    found.unlink(missing_ok=True)
    random = time.time_ns()
    ended = campaign(program, target, ENDLESS, seconds, random, KEPT / target.name, found)
    if ended.returncode == 0:
        print(f"{target.name}: {ended.stdout.strip()}", flush=True)
        return 0
    print(f"{target.name}: FINDING\n{ended.stderr[:4000]}", flush=True)
    if found.exists():
        target.seeds.mkdir(parents=True, exist_ok=True)
        name = f"found_{hashlib.sha256(found.read_bytes()).hexdigest()[:12]}"
        shutil.copy(found, target.seeds / name)
        print(f"kept as {(target.seeds / name).relative_to(ROOT)}", flush=True)
    return 1


def main(arguments: list[str]) -> int:
    minutes = float(arguments[0]) if arguments else 60.0
    chosen = [t for t in targets() if len(arguments) < 2 or t.name in arguments[1:]]
    folder = ROOT / "build" / "fuzz" / "programs"
    programs = {name: build(folder, name) for name in {t.program for t in chosen}}
    workers = os.cpu_count() or 1
    seconds = 60 * minutes * min(workers, len(chosen)) / len(chosen)
    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(lambda t: _run(t, programs[t.program], seconds), chosen))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
