"""What coarse int8 outputs cost: ties, and what a finer scale of the logits would change.

    python -m benchmarks.output_steps [--only TASK ...] [--save FILE]

A head that trains needs logits of coarse steps, inference does not. Each model is trained (at the
chosen rate, and at 1e-3, which is too small for these data), merged, and scored on its test
samples; then once more with the scale of its logits fitted to the range that the training samples
reach, which is as fine as one int8 tensor can be. The error is that of the paired difference.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import CACHE, DIGITS, KWS, MCUNET, SHARED, Task, available
from tflm_train.data.dataset import TEST, TRAIN
from tflm_train.graph import Quantization
from tflm_train.learning import LatentCache, train
from tflm_train.model import Graph, Model, Tensor
from tflm_train.model.ending import ending_of
from tflm_train.rewriter import rewrite
from tflm_train.runtime.assessment import assess
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.runtime.metrics import Answers
from tflm_train.runtime.model_data import part_for
from tflm_train.runtime.training import answers_of
from tflm_train.scheme import Head
from tflm_train.scheme.presets import Preset, preset_scheme
from tflm_train.trained.merge import merge

TASKS = (
    DIGITS,
    KWS,
    dataclasses.replace(MCUNET, name="clothing", data_path=SHARED / "data" / "clothing10_96.npz"),
)
PRESETS = (Preset.HEAD, Preset.LIGHT)
TOO_SMALL = 1e-3
_COLUMNS = (
    Column("task", "task"),
    Column("preset", "preset"),
    Column("rate", "rate", "{:.3g}"),
    Column("test", "test", "{:.1f} %"),
    Column("ties", "ties", "{:.1f} %"),
    Column("finer logits", "finer", "{:.1f} %"),
    Column("their ties", "finer_ties", "{:.1f} %"),
    Column("gain", "gain", "{:+.2f}"),
    Column("error", "error", "{:.2f}"),
    Column("step", "step", "{:.3f}"),
    Column("finer step", "finer_step", "{:.3f}"),
)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="*", default=(), choices=[task.name for task in TASKS])
    arguments = parser.parse_args()
    rows = [
        measure(task, preset, rate)
        for task in available(TASKS, arguments.only)
        for preset in PRESETS
        for rate in (None, TOO_SMALL)
    ]
    if not arguments.json:
        show("what the int8 steps of the logits cost", _COLUMNS, rows)
    publish("output_steps", {"rows": rows}, arguments)


def measure(task: Task, preset: Preset, rate: float | None) -> dict[str, Any]:
    """One row: a model trained so, with its logits as they are and finer."""
    dataset = task.dataset()
    model = task.model()
    scheme = preset_scheme(preset, model, Head(classes=task.scheme.head.classes))
    trainable = Interpreter(rewrite(model, scheme).model_bytes)
    record = train(trainable, dataset, learning_rate=rate, cache=LatentCache(CACHE / "latents"))
    merged = Model(merge(trainable.model, trainable.state()), task.name)
    plain = Interpreter(merged)
    x, y = part_for(plain, dataset, TEST)
    finer = with_finer_logits(merged, part_for(plain, dataset, TRAIN)[0])
    answers = [answers_of(Interpreter(model), x, y) for model in (merged, finer)]
    (test, ties), (other, other_ties) = (_counted(one) for one in answers)
    difference = 100 * (answers[1].scores - answers[0].scores)
    return {
        "task": task.name,
        "preset": str(preset),
        "rate": record.learning_rate,
        "test": test,
        "ties": ties,
        "finer": other,
        "finer_ties": other_ties,
        "gain": float(difference.mean()),
        "error": float(difference.std() / np.sqrt(len(difference))),
        "step": logits_of(merged.graph).scale,
        "finer_step": logits_of(finer.graph).scale,
    }


def _counted(answers: Answers) -> tuple[float, float]:
    found = assess(answers)
    return 100 * found.test_accuracy, 100 * (found.ties or 0.0)


def logits_of(graph: Graph) -> Tensor:
    """What the model's activation, if it ends in one, takes."""
    logits = graph.outputs[0]
    for op in ending_of(graph, logits):
        logits = op.input
    return logits


def with_finer_logits(model: Model, x: npt.NDArray[Any]) -> Model:
    """The model with a scale of its logits for the range that samples reach."""
    seen = Model(model.source, model.name)
    seen.graph.outputs = [logits_of(seen.graph)]
    interpreter = Interpreter(Model(seen.to_bytes(), model.name))
    found = np.array([interpreter.infer(one) for one in x], np.float64)
    made = Model(model.source, model.name)
    logits = logits_of(made.graph)
    # Each value stands for half a step to either side.
    low, high = found.min() - 0.5, found.max() + 0.5
    ends = [(end - logits.zero_point) * logits.scale for end in (low, high)]
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    logits.quantization = Quantization(
        np.array([scale], np.float32), np.array([zero_point], np.int64)
    )
    return Model(made.to_bytes(), model.name)


if __name__ == "__main__":
    main()
