"""Does int8 training in the TFLM interpreter learn as float32 training does, and what is QAS worth?

    python -m benchmarks.learning [--only mcunet kws] [--quick] [--save FILE] [--json]

Comparison: the same scheme, data, order and schedule in int8 (every step in the interpreter) and in
float32 (`float_twin`). Ablation: quantization-aware scaling on and off, each over a grid of as many
learning rates that brackets its own best: without QAS the steps are smaller by the squared weight
scales, so its useful rates lie orders of magnitude higher. Frozen early layers run once per sample
(`trained.cut`), which changes no bit.

The two best runs of the ablation are compared, each chosen by the same test samples from as many
rates. "Clearly worse" means by more than two standard errors of the difference of two shares.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.cached_latents import latent_dataset
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import KWS, MCUNET, Task, available
from tflm_train import Interpreter, Model
from tflm_train.data import Dataset
from tflm_train.learning.rates import choose_rate
from tflm_train.model.layers import Layer, list_layers
from tflm_train.rewriter import rewrite
from tflm_train.runtime.model_data import model_inputs
from tflm_train.runtime.training import train
from tflm_train.scheme import WeightUpdate
from tflm_train.scheme.resolve import resolve
from tflm_train.scheme.select import select_channels
from tflm_train.trained.cut import cut

QUICK_SAMPLES = 200
TOLERANCE = 0.015
"""How far below float32 the int8 test accuracy may lie."""


@dataclass(frozen=True)
class Study:
    """A task with its ablation: rates with QAS and without, and epochs of each run."""

    task: Task
    rates: tuple[float, ...]
    rates_without_qas: tuple[float, ...]
    epochs: int


STUDIES = (
    Study(KWS, (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1), (1e2, 3e2, 1e3, 2e3, 3e3, 1e4), epochs=3),
    # One epoch, because twelve runs of three take an hour.
    Study(MCUNET, (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), (1e2, 3e2, 1e3, 3e3, 1e4, 3e4), epochs=1),
)


class Laboratory:
    """Runs one task in many ways on the activations at its frozen boundary.

    Args:
        task: what trains.
        limit: use only the first samples of each part.
        data: instead of the task's own.
    """

    def __init__(self, task: Task, limit: int | None = None, data: Dataset | None = None) -> None:
        self.task = task
        self._model = task.model()
        whole = self._rewritten(qas=True)
        parts = cut(whole)
        self._boundary = parts.boundary
        data = task.dataset() if data is None else data
        data.check_classes(Interpreter(whole).classes)
        self._data: Dataset = latent_dataset(whole, data, limit)
        self.test_samples = len(self._data.y_test)

    def train_int8(
        self, rate: float, *, epochs: int | None = None, qas: bool = True, seed: int = 0
    ) -> dict[str, Any]:
        """One run in the TFLM interpreter, by default of the task's number of epochs.

        The dict is that of `tflm_train train --json`.
        """
        tail = cut(self._rewritten(qas=qas), self._boundary).tail
        record = train(
            Interpreter(tail),
            self._data,
            epochs=epochs or self.task.epochs,
            learning_rate=rate,
            seed=seed,
        )
        return {
            "test_accuracy_before": record.test_accuracy_before,
            "epochs": [asdict(epoch) for epoch in record.epochs],
            "test_accuracy": record.test_accuracy,
            "steps_per_second": record.steps_per_second,
        }

    def choose_rate(self, seed: int = 0) -> float:
        """What `train --lr auto` chooses: it looks at the training samples only."""
        tail = Interpreter(cut(self._rewritten(qas=True), self._boundary).tail)
        data = self._data
        steps = self.task.epochs * len(data.y_train)
        x = model_inputs(tail, data.x_train, "x_train")
        return choose_rate(tail, x, data.y_train, steps=steps, seed=seed).rate

    def train_float(self, rate: float, *, seed: int = 0) -> dict[str, Any]:
        """The same run in float32."""
        from benchmarks.float_twin import train_float_twin  # TensorFlow takes seconds to import

        parts = cut(self._model, self._boundary)
        scheme = self.task.scheme
        plan = resolve(scheme, self._model)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tail.tflite"
            path.write_bytes(parts.tail.source)
            return train_float_twin(
                path,
                self._data,
                classes=scheme.head.classes,
                biases_last=scheme.biases_last,
                weights={
                    index - parts.first_layer: _channels(update, plan.layers[index], scheme.seed)
                    for index, update in plan.weights.items()
                    if index != plan.head.index
                },
                epochs=self.task.epochs,
                peak_rate=rate,
                seed=seed,
            )

    def _rewritten(self, *, qas: bool) -> Model:
        scheme = replace(self.task.scheme, qas=qas)
        return Model(rewrite(self._model, scheme).model_bytes, self.task.name)


def _channels(update: WeightUpdate, layer: Layer, seed: int) -> list[int]:
    return [int(channel) for channel in select_channels(update, layer, seed)]


def compare(laboratory: Laboratory, seed: int) -> dict[str, Any]:
    """int8 against float32 at the task's own rate."""
    task = laboratory.task
    int8 = laboratory.train_int8(task.rate, seed=seed)
    _progress(f"{task.name} int8: {int8['test_accuracy']:.4f}")
    twin = laboratory.train_float(task.rate, seed=seed)
    _progress(f"{task.name} float32: {twin['test_accuracy']:.4f}")
    return {
        "task": task.name,
        "model": task.model_path.name,
        "data": "" if task.data_path is None else task.data_path.name,
        "scheme": _describe(task),
        "rate": task.rate,
        "epochs": task.epochs,
        "seed": seed,
        "test_samples": laboratory.test_samples,
        "int8": int8,
        "float32": twin,
        "difference": int8["test_accuracy"] - twin["test_accuracy"],
    }


def ablate(laboratory: Laboratory, study: Study, seed: int) -> list[dict[str, Any]]:
    """Final loss and test accuracy with and without QAS at each rate of the two grids."""
    rows = []
    for qas, rates in ((True, study.rates), (False, study.rates_without_qas)):
        for rate in rates:
            run = laboratory.train_int8(rate, epochs=study.epochs, qas=qas, seed=seed)
            last = run["epochs"][-1]
            row = {
                "task": laboratory.task.name,
                "qas": qas,
                "rate": rate,
                "epochs": study.epochs,
                "loss": last["loss"],
                "test_accuracy": run["test_accuracy"],
            }
            rows.append(row)
            _progress(f"{row}")
    return rows


def judge(rows: Sequence[Mapping[str, Any]], test_samples: int) -> dict[str, Any]:
    """Compares the best rate without QAS with the best rate with it.

    Args:
        rows: of one task, from `ablate`.
        test_samples: how many samples each accuracy is a share of.

    Returns:
        `task`, `with_qas`, `without_qas` (the two best rows), `difference` (of their test
        accuracies, without minus with), `standard_error` of it, `clearly_worse`.
    """
    best = {
        qas: max((r for r in rows if r["qas"] is qas), key=lambda r: float(r["test_accuracy"]))
        for qas in (True, False)
    }
    shares = [float(row["test_accuracy"]) for row in best.values()]
    standard_error = math.sqrt(sum(p * (1 - p) for p in shares) / test_samples)
    difference = shares[1] - shares[0]
    return {
        "task": rows[0]["task"],
        "with_qas": dict(best[True]),
        "without_qas": dict(best[False]),
        "difference": difference,
        "standard_error": standard_error,
        "clearly_worse": difference < -2 * standard_error,
    }


def _describe(task: Task) -> str:
    scheme, layers = task.scheme, list_layers(task.model().graph)
    weights = " ".join(str(w.layer) for w in scheme.weights)
    head = scheme.head.classes or layers[-1].out_channels
    return f"head {head}, biases last {scheme.biases_last}, weights {weights}"


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_Rows = Sequence[Mapping[str, Any]]


def _show(comparisons: _Rows, rows: _Rows, verdicts: _Rows) -> None:
    show(
        "Test accuracy after int8 and float32 training, %",
        (
            Column("model", "model"),
            Column("data", "data"),
            Column("scheme", "scheme"),
            Column("rate", "rate", "{:g}"),
            Column("epochs", "epochs"),
            Column("before", "before", "{:.2f}"),
            Column("int8", "int8", "{:.2f}"),
            Column("float32", "float32", "{:.2f}"),
            Column("difference", "difference", "{:+.2f}"),
        ),
        [
            {
                **c,
                "before": 100 * c["int8"]["test_accuracy_before"],
                "int8": 100 * c["int8"]["test_accuracy"],
                "float32": 100 * c["float32"]["test_accuracy"],
                "difference": 100 * c["difference"],
            }
            for c in comparisons
        ],
    )
    if not rows:
        return
    show(
        "Quantization-aware scaling on and off",
        (
            Column("task", "task"),
            Column("QAS", "qas"),
            Column("rate", "rate", "{:g}"),
            Column("epochs", "epochs"),
            Column("loss, last epoch", "loss", "{:.3f}"),
            Column("test accuracy, %", "accuracy", "{:.2f}"),
        ),
        [
            {**r, "qas": "on" if r["qas"] else "off", "accuracy": 100 * r["test_accuracy"]}
            for r in rows
        ],
    )
    for verdict in verdicts:
        without, with_qas = verdict["without_qas"], verdict["with_qas"]
        worse = "clearly worse" if verdict["clearly_worse"] else "NOT clearly worse"
        print(
            f"{verdict['task']}: best without QAS {100 * without['test_accuracy']:.2f} % (rate "
            f"{without['rate']:g}), with it {100 * with_qas['test_accuracy']:.2f} % (rate "
            f"{with_qas['rate']:g}): {100 * verdict['difference']:+.2f} points, standard error "
            f"{100 * verdict['standard_error']:.2f}: {worse} without QAS"
        )


def main() -> int:
    """The command line; exit status 1 when int8 falls behind float32 by more than the target."""
    parser = parser_of(__doc__)
    names = [study.task.name for study in STUDIES]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="leave the rest out")
    parser.add_argument("--seed", type=int, default=0, help="of the samples' order (default: 0)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{QUICK_SAMPLES} samples: shows that it runs, judges nothing",
    )
    parser.add_argument("--no-ablation", action="store_true", help="only int8 against float32")
    arguments = parser.parse_args()
    here = available([study.task for study in STUDIES], arguments.only)
    comparisons, rows, verdicts = [], [], []
    for study in (study for study in STUDIES if study.task in here):
        limit = QUICK_SAMPLES if arguments.quick else None
        laboratory = Laboratory(study.task, limit)
        comparisons.append(compare(laboratory, arguments.seed))
        if not arguments.no_ablation:
            ablation = ablate(laboratory, study, arguments.seed)
            rows += ablation
            verdicts.append(judge(ablation, laboratory.test_samples))
    results = {"comparisons": comparisons, "ablation": rows, "verdicts": verdicts}
    publish("learning", results, arguments)
    if not arguments.json:
        _show(comparisons, rows, verdicts)
    missed = any(c["difference"] < -TOLERANCE for c in comparisons)
    return 1 if missed and not arguments.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())
