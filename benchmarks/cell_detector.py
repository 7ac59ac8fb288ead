"""A public detector of centroids (Edge Impulse's FOMO) learns other objects from a small made set.

    python -m benchmarks.cell_detector [--model MODEL] [--json] [--save FILE]

The set: gray pictures of 96 x 96 pixels, noise on a slope of light, and on it one to three objects
of two kinds, discs and crosses, among bars that are neither. The target of a picture is a class for
each of the 12 x 12 cells: background, or what has its centre there. All of it goes through the
commands as a user has them: `rewrite` with a scheme that weighs objects more than background,
`train` with the rate and the epochs that it chooses itself, `merge`, `evaluate` of the merged file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from benchmarks.use_commands import run_command

Array = npt.NDArray[Any]
MODEL = SHARED / "cases" / "zoo" / "softmax_map_01.tflite"
_SIZE, _CELLS = 96, 12
_TRAIN, _TEST = 240, 120
_KINDS = ("background", "disc", "cross")
_WEIGHTS = (1, 12, 12)
SCHEMES = {
    "head": "update: {}",
    "head, 2 layers, 8 biases": "update: {biases: {last: 8}, weights: [{layer: 18}, {layer: 19}]}",
    "head, 4 layers, 12 biases": "update: {biases: {last: 12}, weights: "
    "[{layer: 15}, {layer: 16}, {layer: 18}, {layer: 19}]}",
}


def picture(rng: np.random.Generator) -> tuple[Array, Array]:
    """One picture and the classes of its cells."""
    rows, columns = np.mgrid[:_SIZE, :_SIZE].astype(np.float64)
    slope = rng.normal(0, 0.4, 2)
    image = 110 + slope[0] * (rows - 48) + slope[1] * (columns - 48) + rng.normal(0, 8, rows.shape)
    cells = np.zeros((_CELLS, _CELLS), np.int64)
    taken: list[Array] = []
    for kind in [*rng.integers(1, 3, rng.integers(1, 4)), 0, 0]:
        centre = rng.uniform(12, _SIZE - 12, 2)
        if any(np.hypot(*(centre - other)) < 22 for other in taken):
            continue
        taken.append(centre)
        down, right = rows - centre[0], columns - centre[1]
        size, contrast = rng.uniform(6, 9), rng.choice([-1, 1]) * rng.uniform(45, 80)
        if kind == 1:
            shape = np.hypot(down, right) < size
        elif kind == 2:
            thick = size / 3.5
            shape = (np.abs(down) < thick) & (np.abs(right) < size)
            shape |= (np.abs(right) < thick) & (np.abs(down) < size)
        else:
            shape = (np.abs(down) < size / 4) & (np.abs(right) < 1.5 * size)
        image[shape] += contrast
        if kind:
            cells[tuple((centre * _CELLS / _SIZE).astype(int))] = kind
    return np.clip(image, 0, 255).astype(np.uint8)[..., None], cells


def write_data(path: Path, seed: int) -> None:
    """Writes the set."""
    rng = np.random.default_rng(seed)
    x, y = (
        np.array(each) for each in zip(*(picture(rng) for _ in range(_TRAIN + _TEST)), strict=True)
    )
    names = np.array(_KINDS)
    np.savez(
        path,
        x_train=x[:_TRAIN],
        y_train=y[:_TRAIN],
        x_test=x[_TRAIN:],
        y_test=y[_TRAIN:],
        class_names=names,
    )


def scheme_text(name: str) -> str:
    """One of `SCHEMES` as a file."""
    loss = f"{{name: softmax_cross_entropy, class_weights: {list(_WEIGHTS)}}}"
    return f"version: 1\nloss: {loss}\n{SCHEMES[name]}\n"


def main(arguments: argparse.Namespace) -> int:
    """Trains each scheme; the status is 1 where none finds both kinds better than before."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "cells.npz", arguments.seed)
        (folder / "model.tflite").write_bytes(arguments.model.read_bytes())

        def judge(trained: str, file: str, arena: int | None, rate: float | None) -> None:
            found = run_command(folder, f"evaluate {file} --data cells.npz")
            f1 = {
                kind: 100 * score["f1"]
                for kind, score in zip(_KINDS, found["classes"], strict=True)
            }
            row = {"trained": trained, "rate": rate, "cells": 100 * found["test_accuracy"]}
            rows.append(row | f1 | {"arena": arena})

        judge("nothing (the factory's objects)", "model.tflite", None, None)
        for scheme in SCHEMES:
            (folder / "s.yaml").write_text(scheme_text(scheme))
            made = run_command(folder, "rewrite model.tflite --scheme s.yaml -o t.tflite --force")
            done = run_command(
                folder, "train t.tflite --data cells.npz --save-state t.state --force"
            )
            run_command(folder, "merge t.tflite --state t.state -o merged.tflite --force")
            judge(scheme, "merged.tflite", made["arena"]["total_bytes"], done["learning_rate"])
    if not arguments.json:
        columns = (
            Column("trained", "trained"),
            Column("rate", "rate", "{:.3g}"),
            Column("right cells, %", "cells", "{:.1f}"),
            *(Column(f"F1 of {kind}, %", kind, "{:.1f}") for kind in _KINDS[1:]),
            Column("arena, bytes", "arena", "{:,}"),
        )
        show(f"{arguments.model.name}: {_TRAIN} pictures to train, {_TEST} to test", columns, rows)
    publish("cell_detector", {"rows": rows}, arguments)
    return (
        0
        if any(
            min(r["disc"], r["cross"]) > max(rows[0]["disc"], rows[0]["cross"]) for r in rows[1:]
        )
        else 1
    )


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
