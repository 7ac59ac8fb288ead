"""Training on the host: the whole model in each step, its latents, and TensorFlow in float32.

    python -m benchmarks.host_training [--only mcunet kws] [--samples 1000] [--json] [--save FILE]

The same scheme, samples and order, 3 epochs at batch size 1, one thread. `whole` runs every layer
of the model as it was rewritten in every step; `latents` is what `tflm_train train` does: frozen
layers once for each sample, the rest in its fastest form, to the same state; `float32` is
TensorFlow's compiled step of the same tail (`float_twin`). Each way runs in a process of its own,
whose largest resident memory is what the system says. Seconds are of processor time, so that other
programs on the machine do not count; of the first two they hold all there is to do (setting up,
latents with nothing cached, steps, four evaluations of 50 test samples), of float32 the steps only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.learning import Laboratory
from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import KWS, MCUNET, Task, available
from tflm_train import Interpreter, learning
from tflm_train.data import Dataset
from tflm_train.rewriter import rewrite
from tflm_train.runtime import training

TASKS = (MCUNET, KWS)
GOALS = {"mcunet": 8.0, "kws": 3.0}
"""How many times as many steps per second as with the whole model."""
_EPOCHS = 3
_TESTED = 50


def whole(task: Task, data: Dataset) -> tuple[int, float, str]:
    """Every layer in every step."""
    return _train(task, data, training.train)


def latents(task: Task, data: Dataset) -> tuple[int, float, str]:
    """Frozen layers once."""
    return _train(task, data, learning.train)


def float32(task: Task, data: Dataset) -> tuple[int, float, str]:
    """TensorFlow on the same latents; its steps alone."""
    laboratory = Laboratory(replace(task, epochs=_EPOCHS), data=data)
    steps = _EPOCHS * len(data.y_train)
    started = time.process_time()
    run = laboratory.train_float(task.rate)
    # Whichever is shorter: threads of TensorFlow add to the one, other programs to the other.
    return steps, min(time.process_time() - started, steps / run["steps_per_second"]), ""


def _train(task: Task, data: Dataset, train: Callable[..., Any]) -> tuple[int, float, str]:
    interpreter = Interpreter(rewrite(task.model(), task.scheme).model_bytes)
    started = time.process_time()
    record = train(interpreter, data, epochs=_EPOCHS, learning_rate=task.rate)
    return len(record.losses), time.process_time() - started, interpreter.state().hex()


WAYS: dict[str, Callable[[Task, Dataset], tuple[int, float, str]]] = {
    "whole": whole,
    "latents": latents,
    "float32": float32,
}


def measure(task: Task, samples: int) -> list[dict[str, Any]]:
    """Runs a task in all ways, each in its own process.

    Args:
        task: what trains.
        samples: how many training samples.

    Returns:
        Rows: `task`, `way`, `steps`, `seconds`, `steps_per_second`, `times` (as many steps per
        second as `whole`), `peak_mb`, `same_state` (as `whole`; None for float32).
    """
    rows: list[dict[str, Any]] = []
    states: dict[str, str] = {}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.host_training", "--only", task.name]
        command += ["--samples", str(samples), "--way", way]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        state = row.pop("state")
        first = rows[0] if rows else row
        row |= {
            "task": task.name,
            "way": way,
            "times": row["steps_per_second"] / first["steps_per_second"],
            "same_state": None
            if way == "float32"
            else state == states.setdefault(task.name, state),
        }
        rows.append(row)
        print(f"{task.name} {way}: {row['steps_per_second']:.1f} steps/s", file=sys.stderr)
    return rows


def _run_one(task: Task, way: str, samples: int) -> None:
    """What a process of its own does: one way; prints a JSON object."""
    data = task.dataset()
    data = Dataset(
        data.x_train[:samples],
        data.y_train[:samples],
        data.x_test[:_TESTED],
        data.y_test[:_TESTED],
        data.class_names,
    )
    steps, seconds, state = WAYS[way](task, data)
    found = {"steps": steps, "seconds": seconds, "steps_per_second": steps / seconds}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**found, "peak_mb": peak_mb, "state": state}))


def _passes(rows: list[dict[str, Any]]) -> bool:
    by_way = {row["way"]: row for row in rows}
    fast = by_way["latents"]
    is_faster = fast["steps_per_second"] > by_way["float32"]["steps_per_second"]
    return bool(fast["times"] >= GOALS[fast["task"]] and is_faster and fast["same_state"])


def main() -> int:
    """The command line; exit status 1 where a goal is missed or a state differs."""
    parser = parser_of(__doc__)
    names = [task.name for task in TASKS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="leave the rest out")
    parser.add_argument("--samples", type=int, default=1000, help="to train on (default: 1000)")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    tasks = available(TASKS, arguments.only)
    if arguments.way:
        _run_one(tasks[0], arguments.way, arguments.samples)
        return 0
    found = [measure(task, arguments.samples) for task in tasks]
    publish("host_training", {"rows": [row for rows in found for row in rows]}, arguments)
    if not arguments.json:
        show(
            f"Training on the host, {_EPOCHS} epochs, batch size 1, one thread",
            (
                Column("task", "task"),
                Column("way", "way"),
                Column("steps", "steps"),
                Column("s", "seconds", "{:.1f}"),
                Column("steps/s", "steps_per_second", "{:.1f}"),
                Column("times", "times", "{:.1f}"),
                Column("peak MB", "peak_mb", "{:.0f}"),
                Column("same state", "same_state"),
            ),
            [row for rows in found for row in rows],
        )
    return 0 if all(_passes(rows) for rows in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
