"""How long a training step takes on the host, and how much of it our ops take.

    python -m benchmarks.host_speed [--only mcunet kws digits] [--steps 40] [--json] [--save FILE]

One step is one `Invoke()` of the whole rewritten model, frozen layers included, in the TFLM
interpreter of the PyPI wheel (its reference kernels) with our portable kernels. The kernels time
themselves; forward is the rest of the step. Inference is that of the original model, and of what
`tflm_train optimize` makes of it. Each step is repeated from the same state and its best
time taken, since other programs only ever add to it; then medians over the steps are shown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import DIGITS, KWS, MCUNET, Task, available
from tflm_train import Interpreter
from tflm_train.data.model_input import Int8Array
from tflm_train.ops import ALL
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import optimize
from tflm_train.runtime.host_library import host_library
from tflm_train.runtime.model_data import model_inputs

TASKS = (MCUNET, KWS, DIGITS)
_WARM_UP = 3
_REPEATS = 3
_KINDS = {int(params.KIND): params.OP for params in ALL}


def measure(task: Task, steps: int) -> dict[str, Any]:
    """Times training steps on real samples.

    Args:
        task: what trains.
        steps: how many are timed.

    Returns:
        `task`, `model`, `steps`, `steps_per_second`, and medians in milliseconds: `step_ms`,
        `our_ops_ms`, `forward_ms`, `inference_ms` (the original model), `optimized_ms` (its
        STREAMs), `ops_ms` by kind; `share` of our ops in a step.
    """
    original = task.model()
    interpreter = Interpreter(rewrite(original, task.scheme).model_bytes)
    plain, optimized = Interpreter(original), Interpreter(optimize(original).model_bytes)
    data = task.dataset()
    count = min(_WARM_UP + steps, len(data.y_train))
    inputs = model_inputs(interpreter, data.x_train[:count], "x_train")
    kinds = list(_KINDS)
    rows = []
    for x, label in zip(inputs, data.y_train, strict=False):
        state = interpreter.state()
        tries = []
        for _ in range(_REPEATS):
            interpreter.load_state(state)
            step, ours = _time_step(interpreter, x, int(label), task.rate, kinds)
            inferences = [_time_inference(model, x) for model in (plain, optimized)]
            tries.append([step, sum(ours), step - sum(ours), *inferences, *ours])
        rows.append(np.min(tries, axis=0))
    medians = np.median(np.array(rows[_WARM_UP:], np.float64), axis=0) / 1e6
    step_ms, our_ops_ms, forward_ms, inference_ms, optimized_ms = map(float, medians[:5])
    by_kind = {_KINDS[k]: float(v) for k, v in zip(kinds, medians[5:], strict=True) if v > 0}
    return {
        "task": task.name,
        "model": task.model_path.name,
        "steps": count - _WARM_UP,
        "steps_per_second": 1e3 / step_ms,
        "step_ms": step_ms,
        "our_ops_ms": our_ops_ms,
        "forward_ms": forward_ms,
        "inference_ms": inference_ms,
        "optimized_ms": optimized_ms,
        "share": our_ops_ms / step_ms,
        "ops_ms": by_kind,
    }


def _time_inference(interpreter: Interpreter, x: Int8Array) -> int:
    started = time.perf_counter_ns()
    interpreter.infer(x)
    return time.perf_counter_ns() - started


def _time_step(
    interpreter: Interpreter, x: Int8Array, label: int, rate: float, kinds: Sequence[int]
) -> tuple[int, list[int]]:
    """Nanoseconds of one training step, and of our ops in it by kind."""
    library = host_library()
    library.TflmTrainOpReset()
    started = time.perf_counter_ns()
    interpreter.train_step(x, label, rate)
    step = time.perf_counter_ns() - started
    return step, [library.TflmTrainOpNanoseconds(kind) for kind in kinds]


def _show(reports: list[dict[str, Any]]) -> None:
    show(
        "Training steps on the host, one core (times: ms per step, median)",
        (
            Column("model", "model"),
            Column("steps/s", "steps_per_second", "{:.1f}"),
            Column("step", "step_ms", "{:.2f}"),
            Column("our ops", "our_ops_ms", "{:.2f}"),
            Column("forward", "forward_ms", "{:.2f}"),
            Column("original's inference", "inference_ms", "{:.2f}"),
            Column("optimized", "optimized_ms", "{:.2f}"),
            Column("share of our ops", "share", "{:.1%}"),
        ),
        reports,
    )
    rows = [
        {"op": kind.lower(), **{r["model"]: r["ops_ms"].get(kind) for r in reports}}
        for kind in _KINDS.values()
        if any(kind in r["ops_ms"] for r in reports)
    ]
    columns = [Column("op", "op"), *(Column(r["model"], r["model"], "{:.3f}") for r in reports)]
    show("Our ops, ms per step", columns, rows)


def main() -> int:
    """The command line; exit status 1 where our ops take longer than the forward pass."""
    parser = parser_of(__doc__)
    names = [task.name for task in TASKS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="leave the rest out")
    parser.add_argument("--steps", type=int, default=40, help="steps to time (default: 40)")
    arguments = parser.parse_args()
    reports = [measure(task, arguments.steps) for task in available(TASKS, arguments.only)]
    publish("host_speed", {"models": reports}, arguments)
    if not arguments.json:
        _show(reports)
    return 0 if all(report["our_ops_ms"] < report["forward_ms"] for report in reports) else 1


if __name__ == "__main__":
    raise SystemExit(main())
