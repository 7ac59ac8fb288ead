"""Any order of the operators that the tensors allow trains alike, bit for bit.

    python -m benchmarks.orders [--only NAME ...] [--orders N] [--json] [--save FILE]

Every model of ../shared/models is rewritten as `benchmarks.all_models` does it, with its builtin
forward operators and streamed, and run in random topological orders of all of its operators:
losses, outputs and the saved state after a few steps must be those of the order that `rewrite`
chose.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.all_models import MODELS, chosen_cases, make_batch, scheme_of
from benchmarks.report import Column, parser_of, publish, show
from tflm_train.model import Graph, Model, Op, load, offline_plan
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.runtime.interpreter import Interpreter

STEPS = 2
_Samples = Sequence[tuple[npt.NDArray[Any], Any]]


def random_order(graph: Graph, rng: np.random.Generator) -> list[Op]:
    """The operators of a graph in a random order that its tensors allow."""
    waiting = list(graph.ops)
    unwritten = {id(t) for op in waiting for t in op.outputs}
    order: list[Op] = []
    while waiting:
        ready = [op for op in waiting if not any(id(t) in unwritten for t in op.inputs)]
        op = ready[rng.integers(len(ready))]
        waiting.remove(op)
        unwritten.difference_update(id(t) for t in op.outputs)
        order.append(op)
    return order


class Orders:
    """A model's file with its operators in other orders, without having to read it each time.

    The files have no offsets of tensors: those hold for one order only.

    Attributes:
      graph: The model's.
    """

    def __init__(self, data: bytes) -> None:
        self._model = Model(data)
        self._model.drop_metadata(offline_plan.METADATA_NAME)
        self.graph = self._model.graph

    def file(self, order: Sequence[int]) -> bytes:
        """The file with the operators of these indices, in this order."""
        ops = self.graph.ops
        self.graph.ops = [ops[i] for i in order]
        data = self._model.to_bytes()
        self.graph.ops = ops
        return data


def trace(data: bytes, samples: _Samples, rate: float) -> tuple[list[float], bytes, bytes]:
    """Losses, output and state of some training steps and an inference.

    A model that trains from latents also takes the first step again, from its latent.
    """
    interpreter = Interpreter(data)
    losses = [interpreter.train_step(x, target, rate) for x, target in samples]
    output = interpreter.infer(samples[0][0])
    if interpreter.trains_from_latents:
        latent = interpreter.latent()
        interpreter.infer(samples[-1][0])
        losses.append(interpreter.train_from_latent(latent, samples[0][1], rate))
    return losses, output.tobytes(), interpreter.state()


def differing_orders(
    data: bytes, samples: _Samples, rate: float, count: int, rng: np.random.Generator
) -> int:
    """How many of `count` random orders do not train as the given one.

    Args:
      data: A rewritten model.
      samples: One step each.
      rate: The learning rate.
      count: How many orders.
      rng: Chooses them.

    Returns:
      The number of those that gave other bits; 0 unless something is wrong.
    """
    expected = trace(data, samples, rate)
    orders = Orders(data)
    wrong = 0
    for _ in range(count):
        order = [orders.graph.index(op) for op in random_order(orders.graph, rng)]
        wrong += trace(orders.file(order), samples, rate) != expected
    return wrong


def main(arguments: argparse.Namespace) -> int:
    """Tries all models; the status is 1 when an order gave other bits."""
    rows = []
    for case in chosen_cases(arguments.only):
        model = load(MODELS / f"{case.name}.tflite")
        scheme = scheme_of(case, model)
        for streamed in (False, True):
            forward = {"stream": Streaming.AUTO, "forward": Forward.AUTO} if streamed else {}
            result = rewrite(model, scheme, **forward)  # type: ignore[arg-type]
            samples = make_batch(case, Interpreter(result.model_bytes))[:STEPS]
            rng = np.random.default_rng(len(rows))
            wrong = differing_orders(result.model_bytes, samples, case.rate, arguments.orders, rng)
            rows.append(
                {
                    "model": case.name,
                    "forward": "streamed" if streamed else "builtin",
                    "operators": len(Model(result.model_bytes).graph.ops),
                    "orders": arguments.orders,
                    "differ": wrong,
                }
            )
            if not arguments.json:
                print(f"{case.name}, {rows[-1]['forward']}: {wrong} of {arguments.orders} differ")
    if not arguments.json:
        columns = [
            Column("model", "model"),
            Column("forward", "forward"),
            Column("operators", "operators"),
            Column("orders", "orders"),
            Column("other bits", "differ"),
        ]
        show("random orders", columns, rows)
    publish("orders", {"rows": rows}, arguments)
    return 1 if any(row["differ"] for row in rows) else 0


def _parse() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.description = __doc__
    parser.add_argument("--only", nargs="+", help="models whose name contains one of these")
    parser.add_argument("--orders", type=int, default=20, help="of each model, default 20")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_parse()))
