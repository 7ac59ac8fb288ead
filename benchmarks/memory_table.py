"""The arena of the paper's networks under its schemes: what sparsity and order are worth.

    python -m benchmarks.memory_table [--save FILE] [--json]

Predicted `arena_used_bytes()` on a 32-bit Cortex-M with CMSIS-NN, 128x128, batch 1, 10 classes.
"Full update" trains every layer: once as training frameworks do it (every weight gradient stored
as int32 until all are known, then all updates), once with our fused updates in naive order.
"Sparse" is the paper's scheme in naive order, "sparse + order" what `rewrite` makes, "streamed"
the same with `--stream auto --forward auto`. Beside them the paper's analytic extra memory (1 bit
per output element and 4 bytes per trained bias, 1 byte per kept input activation and per trained
weight) and ours, read off the plan.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tflm_train import Model, Scheme, load
from tflm_train.memory.report import Arena
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming
from tflm_train.rewriter.report import RewriteReport
from tflm_train.rewriter.schedule import Order
from tflm_train.scheme import Head, WeightUpdate
from tflm_train.scheme.library import find_scheme, library_names

NETWORKS = ("mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3")
RESIDUALS = (0, 4, 8)
_GRADIENT_BYTES = 4


def full_update(model: Model, residual_bits: int) -> Scheme:
    """Trains every layer of a model."""
    count = len(list_layers(model.graph))
    weights = tuple(WeightUpdate(index) for index in range(count))
    return Scheme(head=Head(10), weights=weights, residual_bits=residual_bits)


def report_of(model: Model, scheme: Scheme, order: Order, stream: bool = False) -> RewriteReport:
    """The report of one rewrite."""
    streaming = Streaming.AUTO if stream else Streaming.OFF
    forward = Forward.AUTO if stream else Forward.BUILTIN
    return rewrite(model, scheme, order=order, stream=streaming, forward=forward).report


def study(network: str, residual_bits: int) -> list[dict[str, Any]]:
    """All rows of one network."""
    model = load(SHARED / "models" / f"{network}.nopad.tflite")
    full = full_update(model, residual_bits)
    fused = report_of(model, full, Order.NAIVE).arena
    gradients = _GRADIENT_BYTES * sum(layer.weights.size for layer in list_layers(model.graph)[:-1])
    stored = replace(fused, total_bytes=fused.total_bytes + gradients)
    rows = [
        _row(network, residual_bits, "full, gradients stored", stored, stored),
        _row(network, residual_bits, "full, fused updates", fused, stored),
        _row(
            network,
            residual_bits,
            "full, fused + order",
            report_of(model, full, Order.BEST).arena,
            stored,
        ),
    ]
    for name in library_names():
        if not name.startswith(network) or name.endswith("74kb"):
            continue
        scheme = replace(find_scheme(name), residual_bits=residual_bits)
        kilobytes = name.rsplit("-", 1)[1]
        for order, stream, label in (
            (Order.NAIVE, False, "sparse"),
            (Order.BEST, False, "sparse + order"),
            (Order.BEST, True, "streamed"),
        ):
            report = report_of(model, scheme, order, stream)
            row = _row(network, residual_bits, f"{kilobytes}, {label}", report.arena, stored)
            if order is Order.BEST:
                extra = report.extra_memory
                row["analytic_bytes"] = extra.analytic.total_bytes
                row["ours_bytes"] = extra.kept.total_bytes
            rows.append(row)
    return rows


def _row(network: str, residual_bits: int, what: str, arena: Arena, full: Arena) -> dict[str, Any]:
    structures = arena.interpreter_bytes + arena.kernel_bytes
    return {
        "network": network,
        "residual_bits": residual_bits,
        "update": what,
        "activation_bytes": arena.activation_bytes + arena.scratch_bytes,
        "variable_bytes": arena.variable_bytes,
        "channel_bytes": arena.channel_bytes,
        "structure_bytes": structures,
        "training_op_bytes": arena.training_op_bytes,
        "total_bytes": arena.total_bytes,
        "times_smaller": full.total_bytes / arena.total_bytes,
        "analytic_bytes": None,
        "ours_bytes": None,
    }


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--residual-bits", nargs="+", type=int, choices=RESIDUALS)
    arguments = parser.parse_args()
    if not SHARED.exists():
        raise SystemExit(f"needs the models in {SHARED}")
    rows = [
        row
        for network in NETWORKS
        for bits in arguments.residual_bits or RESIDUALS
        for row in study(network, bits)
    ]
    publish("memory_table", {"rows": rows}, arguments)
    if not arguments.json:
        kb = "{:.1f}"
        keys = [k for k in rows[0] if k.endswith("_bytes")]
        show(
            "Arena on a 32-bit Cortex-M (KB of 1024 bytes)",
            (
                Column("network", "network"),
                Column("residual", "residual_bits"),
                Column("update", "update"),
                Column("activations", "activation_bytes", kb),
                Column("variables", "variable_bytes", kb),
                Column("per channel", "channel_bytes", kb),
                Column("structures", "structure_bytes", kb),
                Column("our ops", "training_op_bytes", kb),
                Column("total", "total_bytes", kb),
                Column("x smaller", "times_smaller", kb),
                Column("paper's extra", "analytic_bytes", kb),
                Column("our extra", "ours_bytes", kb),
            ),
            [r | {k: r[k] and r[k] / 1024 for k in keys} for r in rows],
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
