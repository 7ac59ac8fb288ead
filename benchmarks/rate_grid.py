"""Does `train` find a good rate where losses are means over many outputs?

    python -m benchmarks.rate_grid [--only NAME ...] [--json] [--save FILE]

Of each task the rate that `train` chooses is set beside rates of half decades around it, with the
same epochs and seed. The test samples choose the best of these, which flatters it. The status is 1
where the chosen rate is more than two points, or 5 % of the error, behind.

- `hum`: ad01, an autoencoder of 640 outputs, hears a machine (`benchmarks.newcomer`); head.
- `cells`: a detector of 144 cells (`benchmarks.cell_detector`); the head, 2 layers and 8 biases.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cell_detector
from benchmarks.by_hand import HALF
from benchmarks.newcomer import machine_sounds
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from benchmarks.use_commands import run_command

_AROUND = range(-3, 4)  # half decades
_POINTS, _SHARE = 2.0, 0.05


@dataclass(frozen=True)
class Case:
    """A model, its data and what trains.

    Attributes:
        make: writes `model.tflite` and `data.npz` into a folder.
        options: of `rewrite`.
        epochs: of each run.
        score: of what `evaluate` says, in points or as an error.
        is_error: whether less is better.
    """

    make: Callable[[Path], None]
    options: str
    epochs: int
    score: Callable[[Any], float]
    is_error: bool = False


def _hum(folder: Path) -> None:
    model = SHARED / "models" / "ad01_int8.tflite"
    (folder / "model.tflite").write_bytes(model.read_bytes())
    train, test = machine_sounds(500, 500), machine_sounds(200, 200)
    none = [np.zeros((len(part), 0), np.float32) for part in (train, test)]
    np.savez(folder / "data.npz", x_train=train, y_train=none[0], x_test=test, y_test=none[1])


def _cells(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(cell_detector.MODEL.read_bytes())
    cell_detector.write_data(folder / "data.npz", 0)
    (folder / "s.yaml").write_text(cell_detector.scheme_text("head, 2 layers, 8 biases"))


def _f1(found: Any) -> float:
    return 100 * float(np.mean([each["f1"] for each in found["classes"][1:]]))


CASES = {
    "hum": Case(_hum, "--preset head", 6, lambda found: float(found["test_accuracy"]), True),
    "cells": Case(_cells, "--scheme s.yaml", 6, _f1),
}


def measure(name: str, case: Case, folder: Path) -> dict[str, Any]:
    """The row of a case."""
    case.make(folder)
    run_command(folder, f"rewrite model.tflite {case.options} -o t.tflite")

    def run(rate: str | float) -> tuple[float, float]:
        done = run_command(
            folder,
            f"train t.tflite --data data.npz --epochs {case.epochs} --lr {rate} "
            "--save-state t.state --force",
        )
        found = run_command(folder, "evaluate t.tflite --load-state t.state --data data.npz")
        return float(done["learning_rate"]), case.score(found)

    rate, score = run("auto")
    tried = dict(run(f"{rate * HALF**step:.3g}") for step in _AROUND if step)
    best = (min if case.is_error else max)(tried, key=lambda r: tried[r])
    behind = score / tried[best] - 1 if case.is_error else tried[best] - score
    limit = _SHARE if case.is_error else _POINTS
    row = {"case": name, "epochs": case.epochs, "rate": rate, "score": score, "best_rate": best}
    return {**row, "best": tried[best], "is_met": behind <= limit, "tried": tried}


def main(arguments: argparse.Namespace) -> int:
    """Measures each case."""
    rows = []
    for name, case in CASES.items():
        if arguments.only is None or name in arguments.only:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(name, case, Path(folder)))
    if not arguments.json:
        columns = (
            Column("case", "case"),
            Column("epochs", "epochs"),
            Column("chosen rate", "rate", "{:.3g}"),
            Column("its score", "score", "{:.2f}"),
            Column("best of the others", "best_rate", "{:.3g}"),
            Column("its score", "best", "{:.2f}"),
            Column("met", "is_met"),
        )
        show("rates that `train` chooses, beside others", columns, rows)
    publish("rate_grid", {"rows": rows}, arguments)
    return 0 if all(row["is_met"] for row in rows) else 1


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="*", choices=CASES, help="these cases (default: all)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
