"""Accuracy against extra memory: what each kilobyte of a sparse update buys.

    python -m benchmarks.accuracy_memory [--data cifar10_32 clothing10_96] [--quick] [--save FILE]
        [--plot FILE] [--json]

mcunet-5fps.nopad, a fresh head of 10 classes: head only, biases of the last 22 layers, and the
paper's ~49, ~99 and ~148 KB schemes, each with 8, 4 and 0 residual bits. Every step runs in the
TFLM interpreter; frozen early layers run once per sample (`tail`), which changes no bit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.learning import QUICK_SAMPLES, Laboratory
from benchmarks.report import Column, add_report_options, publish, show
from benchmarks.tail import CACHE
from benchmarks.tasks import MCUNET, SHARED, Task
from tflm_train import Scheme, rewrite
from tflm_train.memory import memory_report
from tflm_train.model import Model, load
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
RESIDUALS = (8, 4, 0)


def run(data: str, name: str, residual_bits: int, limit: int | None, seed: int) -> dict[str, Any]:
    """Trains one scheme on one data set."""
    scheme = replace(SCHEMES[name], residual_bits=residual_bits)
    task: Task = replace(
        MCUNET, name=name, data_path=SHARED / "data" / f"{data}.npz", scheme=scheme
    )
    record = Laboratory(task, limit, CACHE).train_int8(task.rate, seed=seed)
    return {
        "data": data,
        "scheme": name,
        "residual_bits": residual_bits,
        "extra_bytes": extra_bytes(scheme),
        "epochs": task.epochs,
        "rate": task.rate,
        "test_accuracy": record["test_accuracy"],
        "loss": record["epochs"][-1]["loss"],
    }


def extra_bytes(scheme: Scheme) -> int:
    """What training adds to the arena beyond the forward activations.

    Variables, and everything alive at the fullest moment of the backward pass.
    """
    model = Model(rewrite(load(MCUNET.model_path), scheme).model_bytes)
    report = memory_report(model)
    assert report.first_training_op is not None
    backward = max(report.plan.live_bytes()[report.first_training_op + 2 :])
    return backward + report.arena()["variable_bytes"]


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Test accuracy over extra memory, one panel a data set, one line a residual width."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sets = list(dict.fromkeys(row["data"] for row in rows))
    figure, axes = pyplot.subplots(
        1, len(sets), figsize=(5.5 * len(sets), 4), squeeze=False, layout="constrained"
    )
    for axis, data in zip(axes[0], sets, strict=True):
        for bits in RESIDUALS:
            points = [r for r in rows if r["data"] == data and r["residual_bits"] == bits]
            axis.plot(
                [p["extra_bytes"] / 1024 for p in points],
                [100 * p["test_accuracy"] for p in points],
                marker="o",
                label=f"residual {bits} bits",
            )
            if bits == RESIDUALS[0]:
                for p in points:
                    at = (p["extra_bytes"] / 1024, 100 * p["test_accuracy"])
                    axis.annotate(
                        p["scheme"], at, xytext=(4, -12), textcoords="offset points", fontsize=8
                    )
        axis.set(title=data, xlabel="extra memory (KB)", ylabel="test accuracy (%)")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--residual-bits", nargs="+", type=int, choices=RESIDUALS)
    parser.add_argument("--seed", type=int, default=0, help="of the samples' order")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SAMPLES} samples")
    parser.add_argument("--plot", type=Path, help="write the picture to this file")
    add_report_options(parser)
    arguments = parser.parse_args()
    if not MCUNET.is_available:
        raise SystemExit(f"needs {MCUNET.model_path}")
    rows = []
    for data in arguments.data:
        for bits in arguments.residual_bits or RESIDUALS:
            for name in SCHEMES:
                limit = QUICK_SAMPLES if arguments.quick else None
                rows.append(run(data, name, bits, limit, arguments.seed))
                print(rows[-1], file=sys.stderr, flush=True)
    publish("accuracy_memory", {"rows": rows}, arguments)
    if arguments.plot:
        plot(rows, arguments.plot)
    if not arguments.json:
        show(
            "Test accuracy against extra memory, mcunet-5fps.nopad",
            (
                Column("data", "data"),
                Column("scheme", "scheme"),
                Column("residual bits", "residual_bits"),
                Column("extra memory, KB", "kb", "{:.1f}"),
                Column("loss, last epoch", "loss", "{:.3f}"),
                Column("test accuracy, %", "accuracy", "{:.2f}"),
            ),
            [
                {**r, "kb": r["extra_bytes"] / 1024, "accuracy": 100 * r["test_accuracy"]}
                for r in rows
            ],
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
