"""How far a user gets who knows nothing, against one who tries presets and rates by hand.

    python -m benchmarks.newcomer [--only TASK ...] [--presets P ...] [--workers N] [--save FILE]

The newcomer runs `rewrite MODEL --data DATA` (with `--classes` where the data has other classes)
and `train --data DATA`, and gives no other option. The expert tries all presets that fit the same
256 KB at many rates, trains as long as the newcomer does, and takes what the test samples like
best (`by_hand`). "Within" is that the newcomer's accuracy is at most two points lower, an
autoencoder's error at most 2 % higher. Both are means over seeds (of the samples' order; the
newcomer's rate is chosen anew for each), the same ones for both: they chose nothing by hand.
A task that FILE has is not run again: a command that was killed goes on where it was. What was
tried by hand counts for one version of the numerics, the newcomer's part also for one version of
what chooses presets and rates; FILE names both.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_hand import FRESH_SEED, ByHand
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.story_models import factory_model, story
from benchmarks.tasks import CACHE, SHARED
from tests.networks import FOLDER, NETWORKS
from tflm_train.cli.main import execute, parse
from tflm_train.data import Dataset, overlaps
from tflm_train.errors import UnsupportedError
from tflm_train.learning import folds, judge_preset, rates
from tflm_train.learning.latent_cache import CACHE_VARIABLE
from tflm_train.model import load
from tflm_train.ops import VERSION
from tflm_train.rewriter import choose_preset
from tflm_train.rewriter.budget import parse_bytes
from tflm_train.rewriter.rewrite import original_of
from tflm_train.rewriter.trials import Trials, Way
from tflm_train.scheme.head import KEPT_HEAD, Head
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.search.contenders import RESIDUALS

POINTS = 0.02
BUDGET = "256KB"
STORIES = ("phone_to_watch", "shoulder_left_arm")
SEEDS = {"resnet": 4, "phone_to_watch": 16, "shoulder_left_arm": 16, "autoencoder": 16}
"""Runs of one rate differ most there (2 points from run to run): small test sets, few samples."""
USUAL_SEEDS = 2
_ALL_DIGITS = 597
"""That no network was made with and that do not train."""
_MELS, _FRAMES, _NOISE_FLOOR = 128, 5, -45.0


@dataclass(frozen=True)
class Start:
    """What a newcomer has.

    Attributes:
        model: writes or finds the .tflite; takes a folder for it.
        data: likewise the .npz.
        classes: of the data, where the model's are others.
        seeds: how many runs are averaged.
    """

    model: Callable[[Path], Path]
    data: Callable[[Path], Path]
    classes: int | None = None
    seeds: int = USUAL_SEEDS


def _shared(kind: str, name: str) -> Callable[[Path], Path]:
    return lambda folder: SHARED / kind / name


def _saved(folder: Path, data: Dataset) -> Path:
    path = folder / "data.npz"
    arrays = {"x_train": data.x_train, "x_test": data.x_test}
    if data.y_train.size:
        arrays |= {"y_train": data.y_train, "y_test": data.y_test}
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _network(name: str) -> Start:
    return Start(
        lambda folder: FOLDER / f"{name}.tflite",
        lambda folder: _saved(folder, NETWORKS[name].dataset(_ALL_DIGITS)),
        seeds=SEEDS.get(name, USUAL_SEEDS),
    )


def _story(name: str) -> Start:
    def model(folder: Path) -> Path:
        path = folder / f"{name}.tflite"
        path.write_bytes(factory_model(name).source)
        return path

    def data(folder: Path) -> Path:
        d = story(name)
        parts = (d["x_field_train"], d["y_field_train"], d["x_field_test"], d["y_field_test"])
        return _saved(folder, Dataset(*parts))

    return Start(model, data, seeds=SEEDS.get(name, USUAL_SEEDS))


def machine_sounds(count: int, seed: int) -> np.ndarray[Any, Any]:
    """Log-mel windows of a machine that hums: [count, 640], in decibels as ad01 takes them."""
    rng = np.random.default_rng(seed)
    mels = np.arange(_MELS)
    windows = np.full((count, _FRAMES, _MELS), _NOISE_FLOOR)
    for harmonic in range(1, 7):
        place = 14 * harmonic + rng.normal(0, 1, (count, 1, 1))
        height = 30 / harmonic**0.5 * rng.uniform(0.6, 1, (count, 1, 1))
        swing = 1 + 0.2 * np.sin(rng.uniform(0, 6, (count, 1, 1)) + np.arange(_FRAMES)[:, None])
        windows += height * swing * np.exp(-(((mels - place) / 3) ** 2))
    windows += rng.normal(0, 1.5, windows.shape) - 10 * mels / _MELS
    return windows.reshape(count, -1).astype(np.float32)


def _machine(folder: Path) -> Path:
    parts = [(machine_sounds(n, n), np.zeros((n, 0), np.float32)) for n in (500, 200)]
    return _saved(folder, Dataset(*parts[0], *parts[1]))


TASKS = {
    "mcunet": Start(
        _shared("models", "mcunet-5fps.nopad.tflite"), _shared("data", "cifar10_32.npz"), 10
    ),
    "kws": Start(
        _shared("models", "kws_ref_model.tflite"), _shared("data", "fsdd_mfcc_49x10.npz"), 10
    ),
    "ad01": Start(_shared("models", "ad01_int8.tflite"), _machine),
    **{name: _story(name) for name in STORIES},
    **{name: _network(name) for name in NETWORKS},
    "person_detect": Start(
        _shared("models", "person_detect.tflite"), _shared("data", "clothing10_96.npz"), 10
    ),
}


class User:
    """Someone with a model and data, at a command line."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.folder = folder
        self.model, self.data = start.model(folder), start.data(folder)
        self.classes = [] if start.classes is None else ["--classes", str(start.classes)]

    def rewrite(self, *options: str, name: str = "train") -> dict[str, Any]:
        """The report."""
        output = self.folder / f"{name}.tflite"
        return _run(
            "rewrite", str(self.model), *self.classes, *options, "-o", str(output), "--force"
        )

    def train(
        self, seeds: Iterable[int], *options: str, name: str = "train"
    ) -> list[dict[str, Any]]:
        """A run for each seed."""
        model = self.folder / f"{name}.tflite"
        words = ["train", str(model), "--data", str(self.data), *options]
        return [_run(*words, "--seed", str(seed)) for seed in seeds]

    def fitting(self, presets: Sequence[str]) -> list[str]:
        """Those that fit and differ, rewritten under their names, as many residual bits as fit."""
        model = original_of(load(self.model))
        head = Head(int(self.classes[1])) if self.classes else KEPT_HEAD
        trials, found = Trials(model), dict[bytes, str]()
        for preset in presets:
            try:
                scheme = preset_scheme(preset, model, head)
            except UnsupportedError:
                continue
            for bits in RESIDUALS:
                fewer = dataclasses.replace(scheme, residual_bits=bits)
                costs = [trials.costs(fewer, way) for way in (Way(), Way().smallest())]
                if min(cost.arena_bytes for cost in costs) <= parse_bytes(BUDGET):
                    options = ["--preset", preset, "--residual-bits", str(bits)]
                    self.rewrite(*options, "--budget", BUDGET, name=preset)
                    found.setdefault((self.folder / f"{preset}.tflite").read_bytes(), preset)
                    break
        return list(found.values())


def _run(*arguments: str) -> dict[str, Any]:
    """What a command prints; of this process, for loading TFLM takes longer than a short run."""
    os.environ.setdefault(CACHE_VARIABLE, str(CACHE))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = execute(parse(["tflm_train", *arguments, "--json"]))
    if status:
        raise SystemExit(err.getvalue())
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def _mean(runs: Sequence[dict[str, Any]]) -> float:
    return statistics.fmean(run["test_accuracy"] for run in runs)


def measure(
    name: str, presets: Sequence[str], quick: bool, known: dict[str, Any] | None
) -> dict[str, Any]:
    """One task: the newcomer's run and the expert's.

    Args:
        name: of one of `TASKS`.
        presets: that the expert tries.
        quick: whether the expert tries one rate of one preset only.
        known: a row with what was tried by hand.

    Returns:
        A row.
    """
    start = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        user = User(start, Path(folder))
        row = _newcomer(name, user)
        print(row, file=sys.stderr, flush=True)
        if known is None or known["epochs"] != row["epochs"]:
            known = _by_hand(name, user, row, presets, quick)
    best = known["best"]
    is_within = (
        row["newcomer"] >= best["score"] - POINTS
        if row["metric"] == "accuracy"
        else row["newcomer"] <= (1 + POINTS) * best["score"]
    )
    kept = {key: known[key] for key in ("best", "runs", "seconds", "numerics")}
    return row | kept | {"within": bool(is_within)}


def _by_hand(
    name: str, user: User, row: dict[str, Any], presets: Sequence[str], quick: bool
) -> dict[str, Any]:
    started = time.monotonic()

    def train(preset: str, rate: float, epochs: int, seeds: Sequence[int]) -> float:
        options = ("--lr", f"{rate:.2g}", "--epochs", str(epochs))
        return _mean(user.train(seeds, *options, name=preset))

    def say(run: dict[str, Any]) -> None:
        print(f"{time.monotonic() - started:.0f} s", name, run, file=sys.stderr, flush=True)

    search = ByHand(train, row["epochs"], TASKS[name].seeds, row["metric"] != "accuracy", say)
    best = search.best(user.fitting(presets), quick)
    seconds = time.monotonic() - started
    return {"best": best, "runs": search.tried, "seconds": seconds, "numerics": VERSION}


def _newcomer(name: str, user: User) -> dict[str, Any]:
    rewritten = user.rewrite("--data", str(user.data))
    runs = user.train(range(FRESH_SEED, FRESH_SEED + TASKS[name].seeds))
    first, chosen = runs[0], rewritten["chosen"]
    return {
        "task": name,
        "metric": first["metric"],
        "before": first["test_accuracy_before"],
        "epochs": len(first["epochs"]),
        "preset": f"{chosen['preset']}, residual {chosen['residual_bits']}",
        "judged": {each["preset"]: each["error"] for each in chosen["judged"]},
        "version": version(),
        "rates": [run["learning_rate"] for run in runs],
        "trials": first["rate_choice"]["steps"],
        "newcomer": _mean(runs),
        "spread": [run["test_accuracy"] for run in runs],
        "warnings": first.get("warnings", []),
    }


def version() -> str:
    """Names the numerics, and what chooses presets and rates."""
    files = (rates, folds, judge_preset, choose_preset, overlaps)
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in files)
    return f"{VERSION}-{hashlib.sha256(sources).hexdigest()[:16]}"


def _earlier_rows(save: Path | None, quick: bool) -> dict[str, dict[str, Any]]:
    if save is None or quick or not save.exists():
        return {}
    earlier = json.loads(save.read_text())["rows"]
    return {row["task"]: row for row in earlier if row["numerics"] == VERSION}


COLUMNS = (
    Column("task", "task"),
    Column("epochs", "epochs"),
    Column("before", "before", "{:.4g}"),
    Column("newcomer's preset", "preset"),
    Column("rates", "shown_rates"),
    Column("newcomer", "newcomer", "{:.4g}"),
    Column("best by hand", "score", "{:.4g}"),
    Column("at", "at"),
    Column("runs", "count"),
    Column("within", "is_within"),
)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    best = row["best"]
    return row | {
        "score": best["score"],
        "shown_rates": ", ".join(f"{rate:g}" for rate in row["rates"]),
        "at": f"{best['preset']}, {best['rate']:.2g}",
        "count": len(row["runs"]),
        "is_within": "yes" if row["within"] else "no",
    }


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    names = [str(preset) for preset in Preset]
    parser.add_argument("--presets", nargs="+", choices=names, default=names, help="tried by hand")
    parser.add_argument(
        "--quick", action="store_true", help="one rate by hand: shows that it works, judges nothing"
    )
    parser.add_argument("--workers", type=int, default=1, help="tasks that run at a time")
    arguments = parser.parse_args()
    by_task = _earlier_rows(arguments.save, arguments.quick)
    quiet = argparse.Namespace(json=False, save=None if arguments.quick else arguments.save)
    missing = [x for x in arguments.only if by_task.get(x, {}).get("version") != version()]
    with ProcessPoolExecutor(arguments.workers, get_context("spawn")) as pool:
        running = [
            pool.submit(measure, x, arguments.presets, arguments.quick, by_task.get(x))
            for x in missing
        ]
        for done in as_completed(running):
            by_task[done.result()["task"]] = done.result()
            publish("newcomer", {"rows": list(by_task.values())}, quiet)
    rows = [by_task[name] for name in arguments.only]
    if not arguments.json:
        show("A newcomer against presets and rates by hand", COLUMNS, [_shown(r) for r in rows])
    publish("newcomer", {"rows": list(by_task.values())}, arguments)
    return 0 if arguments.quick or all(row["within"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
