"""How far a user gets who knows nothing, against one who tries presets and rates by hand.

    python -m benchmarks.newcomer [--only TASK ...] [--presets P ...] [--quick] [--save FILE]

The newcomer runs `rewrite MODEL` (with `--classes` where the data has other classes) and
`train --data DATA`, and gives no other option. The expert trains presets that fit the same 256 KB,
as long as the newcomer does, at a rate that the network is known to like and from there half a
decade higher, then lower, as long as it gets no more than a point worse; the best of all these
counts, which the test samples choose.
"Within" is that the newcomer's accuracy is at most two points lower, an autoencoder's error at most
2 % higher. Where a run takes seconds both are means over seeds (of the samples' order; the
newcomer's rate is chosen anew for each): one run is luck, the best of ten runs the luckiest.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.story_models import factory_model, story
from benchmarks.tasks import CACHE, MCUNET, SHARED
from tests.networks import FOLDER, NETWORKS
from tflm_train.cli.main import execute, parse
from tflm_train.learning.latent_cache import CACHE_VARIABLE
from tflm_train.runtime.data import Dataset
from tflm_train.scheme.presets import Preset

POINTS = 0.02
BUDGET = "256KB"
LOWEST, HIGHEST, HALF = 1e-5, 1e2, math.sqrt(10.0)
STORIES = ("phone_to_watch", "shoulder_left_arm")
SEEDS = 2
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
        rate: where the expert begins.
    """

    model: Callable[[Path], Path]
    data: Callable[[Path], Path]
    classes: int | None = None
    seeds: int = 1
    rate: float = 1e-2


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
        seeds=SEEDS,
        rate=NETWORKS[name].rate,
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

    return Start(model, data, seeds=SEEDS)


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
    **{name: _network(name) for name in NETWORKS},
    **{name: _story(name) for name in STORIES},
    "ad01": Start(_shared("models", "ad01_int8.tflite"), _machine),
    "kws": Start(
        _shared("models", "kws_ref_model.tflite"), _shared("data", "fsdd_mfcc_49x10.npz"), 10
    ),
    "person_detect": Start(
        _shared("models", "person_detect.tflite"), _shared("data", "clothing10_96.npz"), 10
    ),
    "mcunet": Start(
        _shared("models", "mcunet-5fps.nopad.tflite"),
        _shared("data", "cifar10_32.npz"),
        10,
        rate=MCUNET.rate,
    ),
}


class User:
    """Someone with a model and data, at a command line."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.folder = folder
        self.model, self.data = start.model(folder), start.data(folder)
        self.classes = [] if start.classes is None else ["--classes", str(start.classes)]

    def rewrite(self, *options: str) -> dict[str, Any] | None:
        """The report; None where nothing of it fits or trains."""
        output = self.folder / "train.tflite"
        return _run(
            "rewrite", str(self.model), *self.classes, *options, "-o", str(output), "--force"
        )

    def train(self, seeds: int, *options: str) -> list[dict[str, Any]]:
        """A run for each seed."""
        words = ["train", str(self.folder / "train.tflite"), "--data", str(self.data), *options]
        runs = [_run(*words, "--seed", str(seed)) for seed in range(seeds)]
        return [run for run in runs if run is not None]


def _run(*arguments: str) -> dict[str, Any] | None:
    """What a command prints; of this process, for loading TFLM takes longer than a short run."""
    os.environ.setdefault(CACHE_VARIABLE, str(CACHE))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = execute(parse(["tflm_train", *arguments, "--json"]))
    if status:
        if arguments[0] == "rewrite":
            return None
        raise SystemExit(err.getvalue())
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def _mean(runs: Sequence[dict[str, Any]]) -> float:
    return statistics.fmean(run["test_accuracy"] for run in runs)


def measure(name: str, presets: Sequence[str], quick: bool) -> dict[str, Any]:
    """One task: the newcomer's run and the expert's.

    Args:
        name: of one of `TASKS`.
        presets: that the expert tries.
        quick: whether the expert tries one rate of each only.

    Returns:
        A row.
    """
    with tempfile.TemporaryDirectory() as folder:
        user = User(TASKS[name], Path(folder))
        rewritten = user.rewrite()
        assert rewritten is not None
        runs = user.train(TASKS[name].seeds)
        newcomer = runs[0]
        chosen = rewritten["chosen"]
        row = {
            "task": name,
            "metric": newcomer["metric"],
            "before": newcomer["test_accuracy_before"],
            "epochs": len(newcomer["epochs"]),
            "preset": f"{chosen['preset']}, residual {chosen['residual_bits']}",
            "rates": [run["learning_rate"] for run in runs],
            "trials": newcomer["rate_choice"]["steps"],
            "newcomer": _mean(runs),
            "spread": [run["test_accuracy"] for run in runs],
            "warnings": newcomer.get("warnings", []),
        }
        print(row, file=sys.stderr, flush=True)
        tried = list(_by_hand(user, row, presets, quick))
    is_error = row["metric"] != "accuracy"
    best = (min if is_error else max)(tried, key=lambda run: run["score"])
    is_within = (
        row["newcomer"] <= (1 + POINTS) * best["score"]
        if is_error
        else row["newcomer"] >= best["score"] - POINTS
    )
    return row | {"best": best, "runs": tried, "within": bool(is_within)}


def _by_hand(
    user: User, row: dict[str, Any], presets: Sequence[str], quick: bool
) -> Iterator[dict[str, Any]]:
    start, is_error = TASKS[row["task"]], row["metric"] != "accuracy"
    for preset in presets:
        fitting = (["--preset", preset, "--budget", BUDGET, "--residual-bits", b] for b in "840")
        if all(user.rewrite(*options) is None for options in fitting):
            continue
        scores: dict[float, float] = {}

        def tried(rate: float, preset: str = preset, scores: Any = scores) -> dict[str, Any]:
            options = ("--lr", f"{rate:.2g}", "--epochs", str(row["epochs"]))
            scores[rate] = _mean(user.train(start.seeds, *options))
            found = {"preset": preset, "rate": rate, "score": scores[rate]}
            print(row["task"], found, file=sys.stderr, flush=True)
            return found

        yield tried(start.rate)
        for factor in () if quick else (HALF, 1 / HALF):
            if factor < 1 and _best(scores, is_error) > start.rate:
                break  # It was better upwards.
            rate = start.rate * factor
            while LOWEST < rate < HIGHEST:
                yield tried(rate)
                if _is_clearly_worse(scores[rate], scores[_best(scores, is_error)], is_error):
                    break
                rate *= factor


def _best(scores: dict[float, float], is_error: bool) -> float:
    """The rate of the best score."""
    return (min if is_error else max)(scores, key=lambda rate: scores[rate])


def _is_clearly_worse(score: float, best: float, is_error: bool) -> bool:
    return score > (1 + POINTS / 2) * best if is_error else score < best - POINTS / 2


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
    arguments = parser.parse_args()
    rows = [measure(name, arguments.presets, arguments.quick) for name in arguments.only]
    if not arguments.json:
        show("A newcomer against presets and rates by hand", COLUMNS, [_shown(r) for r in rows])
    publish("newcomer", {"rows": rows}, arguments)
    return 0 if arguments.quick or all(row["within"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
