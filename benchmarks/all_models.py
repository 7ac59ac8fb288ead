"""Every model of ../shared/models: it trains, or `inspect` says why not and what to do.

    python -m benchmarks.all_models [--only NAME ...] [--json] [--save FILE]

Each is rewritten with the losses and layers of the table, and takes training steps in the TFLM
interpreter on a small fixed batch of random inputs and targets; shown is the batch's mean loss
before and after. hello_world re-learns a sine that is shifted by half a radian, on 64 points.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import Column, parser_of, publish, show
from tflm_train.model import Model, Tensor, load
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.inspection import Inspection, inspect_model
from tflm_train.runtime.interpreter import Interpreter
from tflm_train.scheme import Head, Loss, Scheme, WeightUpdate

MODELS = Path(__file__).resolve().parents[2] / "shared" / "models"
STILL = 1e-30
"""A learning rate that changes no weight: a step then only measures the loss."""

_SHIFT = 0.5
_Sample = tuple[npt.NDArray[Any], Any]


@dataclass(frozen=True)
class Case:
    """How one model is trained.

    Attributes:
      name: Stem of the file.
      loss: The loss.
      weights: How many of the last trainable layers train their weights, the head included.
      biases: How many layers below the head train their biases.
      batch: Samples.
      epochs: How often the batch is trained on.
      rate: Learning rate.
      head: What becomes of the head.
    """

    name: str
    loss: Loss = Loss()  # noqa: RUF009 - frozen
    weights: int = 4
    biases: int = 8
    batch: int = 4
    epochs: int = 10
    rate: float = 0.005
    head: Head = Head()  # noqa: RUF009 - frozen


_AUTOENCODER = Loss("mean_squared_error", "input")
CASES = (
    Case("ad01_int8", _AUTOENCODER, weights=10, biases=0, epochs=40, rate=0.003),
    Case("hello_world_int8", Loss("mean_squared_error"), 3, 0, batch=64, epochs=300, rate=0.005),
    # Scrambled: all inputs look alike to its head, and its biases hold the logits at their ends.
    Case(
        "keyword_scrambled_8bit",
        biases=0,
        weights=1,
        batch=1,
        rate=0.001,
        head=Head(reinitialise=True),
    ),
    Case("kws_ref_model"),
    Case("mbv2-w0.35"),
    Case("mbv2-w0.35.nopad"),
    Case("mcunet-5fps"),
    Case("mcunet-5fps.nopad"),
    # Down to before the squeeze-excite block of the last stage.
    # Quantized without data: its last activations are all zero, only the head's bias has a say.
    Case("mcunetv2_large", weights=7, biases=12, batch=2, epochs=6, rate=0.01),
    Case("micro_speech_quantized", weights=2, biases=0, epochs=40),
    Case("person_detect"),
    Case("pretrainedResnet_quant", rate=0.0003),
    Case("proxyless-w0.3"),
    Case("proxyless-w0.3.nopad"),
    Case("str_ww_ref_model"),
    Case("trained_lstm_int8", biases=0, weights=1, epochs=40, rate=0.05),
    Case("vww", epochs=20, rate=0.001),
    Case("vww_96_int8"),
)


def trainable_layers(described: Inspection) -> list[int]:
    """Layers that can train; the head, which a fresh one may replace, where none can as it is."""
    found = [layer.index for layer in described.layers if layer.trainable]
    return found or [described.layers[-1].index]


def scheme_of(case: Case, model: Model) -> Scheme:
    """The scheme of a case: the last layers that can train."""
    trainable = trainable_layers(inspect_model(model))
    biases = min(case.biases, len(trainable) - 1)
    chosen = trainable[-case.weights :]
    return Scheme(
        loss=case.loss,
        head=case.head,
        biases_last=biases,
        weights=tuple(WeightUpdate(i) for i in chosen),
    )


def run(case: Case, path: Path) -> dict[str, Any]:
    """Trains one model; plain values for the table."""
    model = load(path)
    described = inspect_model(model)
    trainable = trainable_layers(described)
    scheme = scheme_of(case, model)
    result = rewrite(model, scheme)
    interpreter = Interpreter(result.model_bytes)
    batch = make_batch(case, interpreter)
    before = _loss(interpreter, batch)
    for _ in range(case.epochs):
        for x, target in batch:
            interpreter.train_step(x, target, case.rate)
    after = _loss(interpreter, batch)
    added = result.report.ops
    return {
        "model": case.name,
        "layers": len(list_layers(model.graph)),
        "trainable_from": trainable[0],
        "loss": case.loss.name,
        "target": case.loss.target or next(iter(case.loss.rule.targets)),
        "fresh_head": not case.head.is_kept,
        "trained_weights": sum(1 for x in result.report.layers if x.weights),
        "trained_biases": sum(1 for x in result.report.layers if x.biases),
        "ops_added": sum(added.values()),
        "steps": case.epochs * len(batch),
        "rate": case.rate,
        "loss_before": before,
        "loss_after": after,
        "arena_bytes": result.report.arena.total_bytes,
        "why_not_more": described.barriers,
        "warnings": result.report.warnings,
    }


def make_batch(case: Case, interpreter: Interpreter) -> list[_Sample]:
    """The fixed samples and targets of a case."""
    if case.name.startswith("hello_world"):
        return _shifted_sine(case.batch, interpreter.model.graph.inputs[0])
    rng = np.random.default_rng(1)
    tensor = interpreter.model.graph.inputs[0]
    samples = [_random_input(interpreter.model, tensor, rng) for _ in range(case.batch)]
    if interpreter.learns_its_input:
        return [(x, None) for x in samples]
    return [(x, i % interpreter.classes) for i, x in enumerate(samples)]


def _random_input(model: Model, tensor: Tensor, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Smooth noise over the quantised range, of the input's type."""
    quantized = tensor
    if tensor.type_name == "FLOAT32":
        quantized = model.graph.consumers(tensor)[0].output
    assert quantized.dtype is not None
    limits = np.iinfo(quantized.dtype)
    spread = (limits.max - limits.min) / 4
    values = rng.normal(rng.uniform(-spread, spread), spread, tensor.shape)
    q = np.clip(np.round(values), limits.min, limits.max)
    if tensor.type_name != "FLOAT32":
        return q.astype(quantized.dtype)
    return ((q - quantized.zero_point) * quantized.scale).astype(np.float32)


def _shifted_sine(count: int, tensor: Tensor) -> list[_Sample]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    q = np.clip(np.round(angles / tensor.scale) + tensor.zero_point, -128, 127).astype(np.int8)
    wanted = np.sin(angles + _SHIFT).astype(np.float32)
    order = np.random.default_rng(0).permutation(count)
    return [(q[i].reshape(tensor.shape), wanted[i : i + 1]) for i in order]


def _loss(interpreter: Interpreter, batch: Sequence[_Sample]) -> float:
    return float(np.mean([interpreter.train_step(x, target, STILL) for x, target in batch]))


def chosen_cases(only: Sequence[str]) -> list[Case]:
    """The cases whose name has one of some words in it; all of them without words."""
    return [case for case in CASES if not only or any(word in case.name for word in only)]


def main(arguments: argparse.Namespace) -> int:
    """Runs the chosen cases; the status is 1 when a loss did not fall."""
    rows = []
    for case in chosen_cases(arguments.only):
        rows.append(run(case, MODELS / f"{case.name}.tflite"))
        if not arguments.json:
            print(f"{case.name}: {rows[-1]['loss_before']:.4g} -> {rows[-1]['loss_after']:.4g}")
    if not arguments.json:
        columns = [
            Column("model", "model"),
            Column("layers", "layers"),
            Column("trainable from", "trainable_from"),
            Column("target", "target"),
            Column("weights of", "trained_weights"),
            Column("biases of", "trained_biases"),
            Column("steps", "steps"),
            Column("batch loss before", "loss_before", "{:.4g}"),
            Column("after", "loss_after", "{:.4g}"),
            Column("arena, bytes", "arena_bytes", "{:,}"),
        ]
        show("all models", columns, rows)
        for row in rows:
            for barrier in row["why_not_more"]:
                print(f"{row['model']}: no gradient passes {barrier}")
            for warning in row["warnings"]:
                print(f"{row['model']}: {warning}")
    publish(
        "all_models", {"cases": [dataclasses.asdict(c) for c in CASES], "rows": rows}, arguments
    )
    return 0 if all(row["loss_after"] < row["loss_before"] for row in rows) else 1


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.description = __doc__
    parser.add_argument("--only", nargs="+", help="models whose name contains one of these")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
