"""Accuracy against extra memory: what each kilobyte of a sparse update buys.

    python -m benchmarks.accuracy_memory [--data cifar10_32 clothing10_96] [--seeds 0 1 2] [--quick]
        [--save FILE] [--plot FILE] [--json]

mcunet-5fps.nopad, a fresh head of 10 classes: head only, biases of the last 22 layers, and the
paper's ~49, ~99 and ~148 KB schemes, each with 8, 4 and 0 residual bits, and in float32
(`float_twin`). Each scheme has a rate of its own on each data set, which `train --lr auto` chooses
on the training samples with 8 residual bits; all of its runs take it. Every int8 step runs in the
TFLM interpreter; frozen early layers run once per sample (`trained.cut`), which changes no bit. A
run that is broken off goes on where `--save` left off; runs of other seeds or data sets are kept in
the file and shown too.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.learning import QUICK_SAMPLES, Laboratory
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import MCUNET, SHARED
from tflm_train import Scheme
from tflm_train.memory import memory_report
from tflm_train.model import Model, load
from tflm_train.pages.labels import name_points
from tflm_train.pages.picture import picture
from tflm_train.rewriter import rewrite
from tflm_train.scheme import Head
from tflm_train.scheme.library import find_scheme

DATA = ("cifar10_32", "clothing10_96")
SCHEMES: dict[str, Scheme] = {
    "head only": Scheme(head=Head(10)),
    "biases last 22": Scheme(head=Head(10), biases_last=22),
    "49 KB": find_scheme("mcunet-5fps-49kb"),
    "99 KB": find_scheme("mcunet-5fps-99kb"),
    "148 KB": find_scheme("mcunet-5fps-148kb"),
}
FLOAT = "float32"
WEIGHTS = (FLOAT, "residual 8", "residual 4", "residual 0")
_TITLES = {"cifar10_32": "CIFAR-10 photos", "clothing10_96": "photos of clothing"}
_HEIGHT = 3.4  # Inches.

_Runs = Sequence[Mapping[str, Any]]


def run(
    data: str, name: str, weights: str, limit: int | None, seed: int, rate: float
) -> dict[str, Any]:
    """Trains one scheme on one data set."""
    laboratory = _laboratory(data, name, weights, limit)
    task = laboratory.task
    train = laboratory.train_float if weights == FLOAT else laboratory.train_int8
    record = train(rate, seed=seed)
    return {
        "data": data,
        "scheme": name,
        "weights": weights,
        "seed": seed,
        "epochs": task.epochs,
        "rate": rate,
        "test_samples": laboratory.test_samples,
        "loss": record["epochs"][-1]["loss"],
        "test_accuracy": record["test_accuracy"],
    }


def _laboratory(data: str, name: str, weights: str, limit: int | None) -> Laboratory:
    path = SHARED / "data" / f"{data}.npz"
    scheme = _with_residual(SCHEMES[name], weights)
    return Laboratory(replace(MCUNET, name=name, data_path=path, scheme=scheme), limit)


def _rate_of(runs: _Runs, data: str, name: str, limit: int | None) -> float:
    """That of the runs that there are, else what a choice on the training samples gives."""
    for one in runs:
        if (one["data"], one["scheme"]) == (data, name):
            return float(one["rate"])
    return _laboratory(data, name, WEIGHTS[1], limit).choose_rate()


def _with_residual(scheme: Scheme, weights: str) -> Scheme:
    return scheme if weights == FLOAT else replace(scheme, residual_bits=int(weights.split()[1]))


def extra_memory(scheme: Scheme) -> dict[str, int]:
    """What training adds to the arena beyond the forward activations.

    Returns:
      `extra_bytes`: variables, and everything alive at the fullest moment of the backward pass;
      `analytic_bytes`: the paper's formula, which knows no residual.
    """
    rewritten = rewrite(load(MCUNET.model_path), scheme)
    report = memory_report(Model(rewritten.model_bytes))
    assert report.first_training_op is not None
    backward = max(report.plan.live_bytes()[report.first_training_op + 2 :])
    return {
        "extra_bytes": backward + report.arena().variable_bytes,
        "analytic_bytes": rewritten.report.extra_memory.analytic.total_bytes,
    }


def summarize(runs: _Runs, memory: Mapping[tuple[str, str], Mapping[str, int]]) -> list[Any]:
    """One row for each data set, scheme and kind of weights: means over the seeds.

    Args:
      runs: from `run`.
      memory: of a scheme and a kind of weights, from `extra_memory`.

    Returns:
      Rows with `seeds`, `test_accuracy`, `loss`, and `difference`: the mean of int8 minus float32,
      pair by pair of runs with the same seed (None for float32 itself, and without pairs).
    """
    rows = []
    by_key = {(r["data"], r["scheme"], r["weights"], r["seed"]): r for r in runs}
    for data in DATA:
        for scheme in SCHEMES:
            for weights in WEIGHTS:
                here = [r for k, r in by_key.items() if k[:3] == (data, scheme, weights)]
                if not here:
                    continue
                twins = [(r, by_key.get((data, scheme, FLOAT, r["seed"]))) for r in here]
                pairs = [
                    r["test_accuracy"] - twin["test_accuracy"]
                    for r, twin in twins
                    if twin is not None and weights != FLOAT
                ]
                rows.append(
                    {
                        "data": data,
                        "scheme": scheme,
                        "weights": weights,
                        "seeds": len(here),
                        "rate": here[0]["rate"],
                        "loss": _mean([r["loss"] for r in here]),
                        "test_accuracy": _mean([r["test_accuracy"] for r in here]),
                        "difference": _mean(pairs) if pairs else None,
                        **memory.get((scheme, weights), {}),
                    }
                )
    return rows


def verdicts(rows: _Runs) -> list[dict[str, Any]]:
    """Mean difference from float32 over the schemes, and its standard error, by kind of weights."""
    results = []
    for data in DATA:
        for weights in WEIGHTS[1:]:
            found = [
                float(r["difference"])
                for r in rows
                if (r["data"], r["weights"]) == (data, weights) and r["difference"] is not None
            ]
            if len(found) < 2:
                continue
            mean = _mean(found)
            variance = sum((d - mean) ** 2 for d in found) / (len(found) - 1)
            error = math.sqrt(variance / len(found))
            results.append(
                {"data": data, "weights": weights, "difference": mean, "standard_error": error}
            )
    return results


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def draw(rows: _Runs) -> bytes:
    """Test accuracy over extra memory, one panel a data set, one line a residual width."""
    return picture(_HEIGHT, lambda figure: _draw(figure, rows))


def _draw(figure: Any, rows: _Runs) -> None:
    sets = list(dict.fromkeys(row["data"] for row in rows))
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    for axis, data in zip(axes, sets, strict=True):
        for weights in WEIGHTS[1:]:
            points = [_place(r) for r in rows if (r["data"], r["weights"]) == (data, weights)]
            axis.plot(
                *zip(*points, strict=True), marker="o", label=f"{weights.split()[1]} residual bits"
            )
        axis.set(
            title=_TITLES.get(data, data),
            xlabel="RAM that training adds (KB)",
            ylabel="test accuracy (%)",
        )
        axis.margins(x=0.08, y=0.1)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.draw_without_rendering()  # Only then is known how much room there is for names.
    for axis, data in zip(axes, sets, strict=True):
        named = [r for r in rows if (r["data"], r["weights"]) == (data, WEIGHTS[1])]
        name_points(axis, [(*_place(r), _called(r["scheme"])) for r in named])


def _called(scheme: str) -> str:
    """As README calls the paper's schemes, whose own count of bytes is less than the arena's."""
    return f'"~{scheme}"' if scheme.endswith("KB") else scheme


def _place(row: Mapping[str, Any]) -> tuple[float, float]:
    return row["extra_bytes"] / 1024, 100 * row["test_accuracy"]


def _earlier_runs(save: Path | None) -> list[dict[str, Any]]:
    if save is None or not save.exists():
        return []
    runs: list[dict[str, Any]] = json.loads(save.read_text())["runs"]
    return runs


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--weights", nargs="+", choices=WEIGHTS, default=list(WEIGHTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the order")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SAMPLES} samples")
    parser.add_argument("--plot", type=Path, help="write the picture to this file")
    arguments = parser.parse_args()
    if not MCUNET.is_available:
        raise SystemExit(f"needs {MCUNET.model_path}")
    if arguments.quick and arguments.save:
        parser.error("--quick judges nothing: its runs are not to be saved")
    runs = _earlier_runs(arguments.save)
    done = {(r["data"], r["scheme"], r["weights"], r["seed"]) for r in runs}
    memory = {
        (name, weights): extra_memory(_with_residual(scheme, weights))
        for name, scheme in SCHEMES.items()
        for weights in WEIGHTS[1:]
    }
    limit = QUICK_SAMPLES if arguments.quick else None
    quiet = argparse.Namespace(json=False, save=arguments.save)
    for seed in arguments.seeds:
        for data in arguments.data:
            for weights in arguments.weights:
                for name in SCHEMES:
                    if (data, name, weights, seed) in done:
                        continue
                    rate = _rate_of(runs, data, name, limit)
                    runs.append(run(data, name, weights, limit, seed, rate))
                    print(runs[-1], file=sys.stderr, flush=True)
                    publish("accuracy_memory", {"runs": runs}, quiet)
    rows = summarize(runs, memory)
    judged = verdicts(rows)
    publish("accuracy_memory", {"rows": rows, "verdicts": judged, "runs": runs}, arguments)
    if arguments.plot:
        arguments.plot.parent.mkdir(parents=True, exist_ok=True)
        arguments.plot.write_bytes(draw(rows))
    if not arguments.json:
        _show(rows, judged)
    return 0


def _show(rows: _Runs, judged: _Runs) -> None:
    def scaled(row: Mapping[str, Any], key: str, factor: float) -> float | None:
        value = row.get(key)
        return None if value is None else factor * float(value)

    show(
        "Test accuracy against extra memory, mcunet-5fps.nopad",
        (
            Column("data", "data"),
            Column("scheme", "scheme"),
            Column("weights", "weights"),
            Column("the paper's formula, KB", "analytic", "{:.1f}"),
            Column("extra memory, KB", "extra", "{:.1f}"),
            Column("seeds", "seeds"),
            Column("rate", "rate", "{:g}"),
            Column("loss, last epoch", "loss", "{:.3f}"),
            Column("test accuracy, %", "accuracy", "{:.2f}"),
            Column("against float32, points", "points", "{:+.2f}"),
        ),
        [
            {
                **r,
                "analytic": scaled(r, "analytic_bytes", 1 / 1024),
                "extra": scaled(r, "extra_bytes", 1 / 1024),
                "accuracy": 100 * r["test_accuracy"],
                "points": scaled(r, "difference", 100),
            }
            for r in rows
        ],
    )
    for v in judged:
        print(
            f"{v['data']}, {v['weights']}: {100 * v['difference']:+.2f} points against float32, "
            f"standard error over the schemes {100 * v['standard_error']:.2f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
