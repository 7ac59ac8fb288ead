"""When does quantization-aware scaling matter? One model, trained in two ways, with it and without.

    python -m benchmarks.qas_pairs [--only kws mcunet] [--save FILE] [--json]

For each data set a pair of schemes: one trains pointwise layers only, the other whole blocks, with
their depthwise layers. Each trains with and without QAS over a grid of rates, three decades on
either side, on the first samples of the data; best runs are compared (`benchmarks.learning.judge`).
Beside them stands how far the squared weight scales of the trained layers lie apart: without QAS
one rate has to serve them all.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.learning import Laboratory, Study, ablate, judge
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import KWS, MCUNET, Task
from tflm_train.model.layers import list_layers
from tflm_train.scheme import WeightUpdate

SAMPLES = 1000
EPOCHS = 1
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
RATES_WITHOUT = (1e1, 1e2, 1e3, 3e3, 1e4)
POINTWISE, BLOCKS = "pointwise", "whole blocks"
PAIRS = (
    (KWS, POINTWISE, (6, 8)),
    (KWS, BLOCKS, (5, 6, 7, 8)),
    (MCUNET, POINTWISE, (36, 39)),
    (MCUNET, BLOCKS, (36, 37, 38, 39, 40, 41)),
)


def with_layers(task: Task, layers: Sequence[int]) -> Task:
    """A task that trains the weights and biases of these layers, and its head."""
    weights = tuple(WeightUpdate(layer) for layer in layers)
    return replace(task, scheme=replace(task.scheme, biases_last=0, weights=weights))


def spread(task: Task, layers: Sequence[int]) -> float:
    """The largest median of the squared weight scales of a layer, relative to the smallest."""
    found = {layer.index: layer for layer in list_layers(task.model().graph)}
    medians = []
    for index in layers:
        quantization = found[index].weights.quantization
        assert quantization is not None
        medians.append(float(np.median(np.square(quantization.scale))))
    return max(medians) / min(medians)


def measure(task: Task, trains: str, layers: Sequence[int], seed: int) -> dict[str, Any]:
    """The best runs with and without QAS."""
    laboratory = Laboratory(with_layers(task, layers), limit=SAMPLES)
    study = Study(laboratory.task, RATES, RATES_WITHOUT, EPOCHS)
    rows = ablate(laboratory, study, seed)
    verdict = judge(rows, laboratory.test_samples)
    return {
        "task": task.name,
        "trains": trains,
        "layers": list(layers),
        "spread": spread(task, layers),
        "seed": seed,
        "test_samples": laboratory.test_samples,
        **{key: verdict[key] for key in ("with_qas", "without_qas", "difference")},
        "standard_error": verdict["standard_error"],
        "runs": rows,
    }


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    show(
        "Best runs with and without QAS, test accuracy in %",
        (
            Column("data", "task"),
            Column("trains", "trains"),
            Column("layers", "shown_layers"),
            Column("spread of s_W^2", "spread", "{:.1f}"),
            Column("with", "with", "{:.1f}"),
            Column("rate", "rate_with", "{:g}"),
            Column("without", "without", "{:.1f}"),
            Column("rate", "rate_without", "{:g}"),
            Column("difference", "points", "{:+.1f}"),
            Column("error", "error", "{:.1f}"),
        ),
        [
            {
                **row,
                "shown_layers": " ".join(map(str, row["layers"])),
                "with": 100 * row["with_qas"]["test_accuracy"],
                "rate_with": row["with_qas"]["rate"],
                "without": 100 * row["without_qas"]["test_accuracy"],
                "rate_without": row["without_qas"]["rate"],
                "points": 100 * row["difference"],
                "error": 100 * row["standard_error"],
            }
            for row in rows
        ],
    )


def main() -> int:
    parser = parser_of(__doc__)
    names = sorted({task.name for task, _, _ in PAIRS})
    parser.add_argument("--only", nargs="+", choices=names, help="only these data sets")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chosen = [pair for pair in PAIRS if arguments.only is None or pair[0].name in arguments.only]
    missing = sorted({task.name for task, _, _ in chosen if not task.is_available})
    if missing:
        print(f"models or data of {', '.join(missing)} are not in ../shared", file=sys.stderr)
        return 1
    rows = [measure(*pair, arguments.seed) for pair in chosen]
    if not arguments.json:
        _show(rows)
    publish("qas_pairs", {"rows": rows}, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
