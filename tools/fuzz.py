"""Campaigns of the fuzz targets: `python tools/fuzz.py [--minutes M] [--runs N] [TARGET ...]`.

The targets take turns. A quarter of the runs looks for inputs that reach new code, which are kept
in build/fuzz/kept; the others change what is kept, and are faster. What a finding was made by goes
to tests/fuzz/seeds, where `make test` replays it until it is mended and ever after.
build/fuzz/counts.json adds up what each target has run without a finding since its sources last
changed, and what the file of `--save` says of the same sources counts too. With `--runs` a target
goes on until its sum is that large, a reader in Python until it is a hundredth of that, or a
thousandth of models. The exit status is the number of targets with a finding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzz_targets import ROOT, Outcome, Target, build, campaign, sources, targets

FOLDER = ROOT / "build" / "fuzz"
ROUND_SECONDS = 60.0
ENDLESS = 10**18
_EXPLORED = 4
"""One of so many runs looks for new code."""


@dataclass
class Count:
    """What a target has run without a finding.

    Attributes:
      digest: Of its sources; other sources begin anew.
      runs: Executions.
      explored: Those that looked for new code.
      deep: Those that got beyond the first checks.
      cpu_seconds: That they took.
      edges: Of the code, that were reached.
    """

    digest: str
    runs: int = 0
    explored: int = 0
    deep: int = 0
    cpu_seconds: float = 0
    edges: int = 0

    def add(self, outcome: Outcome) -> None:
        """Adds a campaign."""
        self.runs += outcome.runs
        self.deep += outcome.deep
        self.cpu_seconds = round(self.cpu_seconds + outcome.cpu_seconds, 2)
        self.edges = max(self.edges, outcome.edges)


@dataclass
class Campaigns:
    """Campaigns of several targets.

    Attributes:
      programs: Of the targets, by name and by whether it looks for new code.
      counts: What each has run, by name; kept in a file.
      runs: What each shall have run in the end.
      end: When no other round begins, of time.monotonic().
      round_seconds: Of one turn.
      findings: What was found, by name.
    """

    programs: dict[tuple[str, bool], list[str]]
    counts: dict[str, Count]
    runs: int
    end: float
    round_seconds: float
    findings: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, waiting: queue.SimpleQueue[Target]) -> None:
        """Takes turns until none is due."""
        while True:
            try:
                target = waiting.get_nowait()
            except queue.Empty:
                return
            if self._turn(target):
                waiting.put(target)

    def _turn(self, target: Target) -> bool:
        """Runs a target for a while; returns whether it is due again."""
        count = self.counts[target.name]
        runs = target.share_of(self.runs) - count.runs
        seconds = min(self.round_seconds, self.end - time.monotonic())
        if runs <= 0 or seconds <= 0:
            return False
        explores = count.explored * _EXPLORED <= count.runs
        found = FOLDER / f"found_{target.name.replace('/', '_')}"
        outcome = campaign(
            self.programs[target.program, explores],
            target,
            runs,
            seconds,
            time.time_ns(),
            FOLDER / "kept" / target.name,
            found,
        )
        if outcome.finding:
            self.findings[target.name] = outcome.finding
            print(f"{target.name}: FINDING\n{outcome.finding[:4000]}", file=sys.stderr, flush=True)
            print(f"kept as {_keep(target, found)}", file=sys.stderr, flush=True)
            return False
        with self._lock:
            count.add(outcome)
            count.explored += outcome.runs * explores
            _write_counts(self.counts)
        return True


def _keep(target: Target, found: Path) -> str:
    """Puts what a finding was made by among the seeds."""
    target.seeds.mkdir(parents=True, exist_ok=True)
    name = f"found_{hashlib.sha256(found.read_bytes()).hexdigest()[:12]}"
    shutil.copy(found, target.seeds / name)
    return str((target.seeds / name).relative_to(ROOT))


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _read_counts(chosen: Iterable[Target], saved: Path | None) -> dict[str, Count]:
    path = FOLDER / "counts.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    counts = {name: Count(**count) for name, count in known.items()}
    earlier = json.loads(saved.read_text())["targets"] if saved and saved.exists() else {}
    for target in chosen:
        digest = _digest(sources(target.program))
        rows = [counts.get(target.name), Count(**earlier.get(target.name, {"digest": ""}))]
        of_same = [row for row in rows if row is not None and row.digest == digest]
        counts[target.name] = max(of_same, key=lambda row: row.runs, default=Count(digest))
    return counts


def _write_counts(counts: dict[str, Count]) -> None:
    path = FOLDER / "counts.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps({name: asdict(count) for name, count in counts.items()}, indent=1))
    new.replace(path)


def _report(chosen: Iterable[Target], campaigns: Campaigns) -> dict[str, object]:
    compiler = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True)
    rows = {t.name: asdict(campaigns.counts[t.name]) for t in chosen}
    seconds = sum(campaigns.counts[t.name].cpu_seconds for t in chosen)
    return {
        "command": " ".join(["python", "tools/fuzz.py", *sys.argv[1:]]),
        "compiler": compiler.stdout.splitlines()[0],
        "machine": platform.machine(),
        "cpu_hours": round(seconds / 3600, 2),
        "targets": rows,
        "findings": campaigns.findings,
    }


def _show(chosen: Iterable[Target], campaigns: Campaigns) -> None:
    print(f"{'target':<26}{'executions':>14}{'deep':>14}{'CPU s':>10}{'per s':>9}{'edges':>7}")
    for target in chosen:
        count = campaigns.counts[target.name]
        speed = count.runs / count.cpu_seconds if count.cpu_seconds else 0
        numbers = f"{count.runs:>14,}{count.deep:>14,}{count.cpu_seconds:>10.0f}{speed:>9,.0f}"
        finding = "  FINDING" if target.name in campaigns.findings else ""
        print(f"{target.name:<26}{numbers}{count.edges:>7}{finding}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--minutes", type=float, help="for all together (default: 60, or no limit)")
    parser.add_argument(
        "--runs", type=int, help="until each has run that often, all told (readers: a part)"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    parser.add_argument(
        "--save", type=Path, help="also write the JSON object to this file, and go on from it"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - {target.name for target in targets()}
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    if arguments.minutes is None:
        arguments.minutes = 60.0 if arguments.runs is None else float("inf")
    return arguments


def main() -> int:
    arguments = _arguments()
    chosen = [t for t in targets() if not arguments.targets or t.name in arguments.targets]
    names = sorted({target.program for target in chosen})
    programs = {
        (name, explores): build(FOLDER / f"programs_{explores:d}", name, explores=explores)
        for name in names
        for explores in (True, False)
    }
    seconds = 60 * arguments.minutes
    campaigns = Campaigns(
        programs,
        _read_counts(chosen, arguments.save),
        arguments.runs or ENDLESS,
        time.monotonic() + seconds,
        min(ROUND_SECONDS, seconds * min(arguments.workers, len(chosen)) / len(chosen)),
    )
    waiting: queue.SimpleQueue[Target] = queue.SimpleQueue()
    for target in chosen:
        waiting.put(target)
    with ThreadPoolExecutor(arguments.workers) as pool:
        for worker in [pool.submit(campaigns.work, waiting) for _ in range(arguments.workers)]:
            worker.result()
    report = _report(chosen, campaigns)
    if arguments.save is not None:
        arguments.save.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(report))
    else:
        _show(chosen, campaigns)
    return len(campaigns.findings)


if __name__ == "__main__":
    sys.exit(main())
