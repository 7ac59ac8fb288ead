"""What Arm's Vela makes of rewritten models: which part of a training step the NPU computes.

    python -m benchmarks.vela [--only NAME ...] [--streamed] [--save FILE] [--json]

Each model under each scheme is rewritten, compiled for two Ethos-U, read back and compared with
what went in (tests/ethos_u/checks.py); the status is 1 where something is wrong. `--streamed`
shows why `--stream` and Vela do not go together. Needs Vela: `python tools/environment.py vela`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import DIGITS, SHARED
from tests.ethos_u.checks import Report, check
from tests.ethos_u.vela import ACCELERATORS, VelaError, compile_model, place
from tests.requirements import VELA
from tflm_train import Model, Scheme, load
from tflm_train.cost.macs import forward_macs
from tflm_train.graph import Graph
from tflm_train.memory import memory_report
from tflm_train.model.layers import list_layers
from tflm_train.ops.npu import ETHOS_U
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.scheme import Head, WeightUpdate

MODELS = ("digits", "kws_ref_model", "person_detect", "vww_96_int8")
HEAD = Head(10)
ARENAS = ("arena", "arena_before")


def head_only(model: Model) -> Scheme:
    """A fresh classifier."""
    del model
    return Scheme(head=HEAD)


def biases(model: Model) -> Scheme:
    """And the biases of the four layers below it."""
    del model
    return Scheme(head=HEAD, biases_last=4)


def biases_and_weights(model: Model) -> Scheme:
    """And the weights of one of these layers, and of a quarter of another."""
    head = len(list_layers(model.graph)) - 1
    weights = (WeightUpdate(head - 4, ratio=0.25), WeightUpdate(head - 2))
    return Scheme(head=HEAD, biases_last=4, weights=weights)


SCHEMES: dict[str, Callable[[Model], Scheme]] = {
    "head only": head_only,
    "biases of 4 layers": biases,
    "biases and weights": biases_and_weights,
}


def study(name: str, scheme: str, accelerator: str, *, stream: bool = False) -> dict[str, Any]:
    """One row.

    Args:
      name: Of `MODELS`.
      scheme: Of `SCHEMES`.
      accelerator: As Vela calls it.
      stream: Rewritten with `--stream auto --forward auto`.
    """
    path = DIGITS.model_path if name == "digits" else SHARED / "models" / f"{name}.tflite"
    model = load(path)
    streaming = Streaming.AUTO if stream else Streaming.OFF
    forward = Forward.AUTO if stream else Forward.BUILTIN
    result = rewrite(model, SCHEMES[scheme](model), stream=streaming, forward=forward)
    before = Model(result.model_bytes, name)
    row = {
        "model": name,
        "scheme": f"{scheme}, streamed" if stream else scheme,
        "accelerator": accelerator,
        "npu_ops": None,
        "cpu_ops": None,
        "npu_calls": None,
        "npu_macs_percent": None,
        "arena_bytes": None,
        "arena_before_bytes": memory_report(before).total_bytes,
        "order": None,
        "interface": None,
        "our_ops": None,
        "variables": None,
        "problems": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        try:
            after = compile_model(VELA, before, accelerator, Path(folder))
        except VelaError as error:
            return row | {"problems": [str(error)]}
    return row | _placement(before, after) | _verdicts(check(before, after))


def _placement(before: Model, after: Model) -> dict[str, Any]:
    on_npu = place(before, after).on_npu
    moved = [op for op in before.graph.ops if id(op) in on_npu]
    macs = forward_macs(Graph([], moved, [], []))
    return {
        "npu_ops": len(moved),
        "cpu_ops": len(before.graph.ops) - len(moved),
        "npu_calls": sum(ETHOS_U.is_kind_of(op) for op in after.graph.ops),
        "npu_macs_percent": 100 * macs / forward_macs(before.graph),
        "arena_bytes": memory_report(after).total_bytes,
    }


def _verdicts(report: Report) -> dict[str, Any]:
    def verdict(problems: list[str]) -> str:
        return f"{len(problems)} wrong" if problems else "right"

    return {
        "order": verdict(report.order),
        "interface": verdict(report.interface),
        "our_ops": verdict(report.ops),
        "variables": verdict(report.memory),
        "problems": report.problems,
    }


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--streamed", action="store_true", help="with --stream and --forward auto")
    arguments = parser.parse_args()
    if not VELA.exists():
        raise SystemExit("needs Vela: `python tools/environment.py vela`")
    if not SHARED.exists() and tuple(arguments.only) != ("digits",):
        raise SystemExit(f"needs the models in {SHARED}; or `--only digits`")
    rows = [
        study(name, scheme, accelerator, stream=arguments.streamed)
        for name in arguments.only
        for scheme in SCHEMES
        for accelerator in ACCELERATORS
    ]
    publish("vela", {"rows": rows}, arguments)
    if not arguments.json:
        _show(rows)
    return 1 if any(row["problems"] for row in rows) else 0


def _show(rows: list[dict[str, Any]]) -> None:
    show(
        "Rewritten models after Vela",
        (
            Column("model", "model"),
            Column("scheme", "scheme"),
            Column("accelerator", "accelerator"),
            Column("ops on NPU", "npu_ops"),
            Column("on CPU", "cpu_ops"),
            Column("NPU calls", "npu_calls"),
            Column("inference's MACs on NPU, %", "npu_macs_percent", "{:.1f}"),
            Column("arena, KB", "arena_kb", "{:.1f}"),
            Column("without Vela", "arena_before_kb", "{:.1f}"),
            Column("order", "order"),
            Column("inputs, outputs", "interface"),
            Column("our ops", "our_ops"),
            Column("variables", "variables"),
        ),
        [
            row
            | {
                f"{name}_kb": row[f"{name}_bytes"] and row[f"{name}_bytes"] / 1024
                for name in ARENAS
            }
            for row in rows
        ],
    )
    for row in rows:
        for problem in row["problems"]:
            print(f"{row['model']}, {row['scheme']}, {row['accelerator']}: {problem}")


if __name__ == "__main__":
    raise SystemExit(main())
