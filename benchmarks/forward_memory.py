"""What streaming and constants in flash are worth: the arena for inference and for training.

    python -m benchmarks.forward_memory [--save FILE] [--json]

Predicted `arena_used_bytes()` on a 32-bit Cortex-M with CMSIS-NN, the input tensor included.
Inference: `tflm_train optimize` on every convolutional model of ../shared/models. Training: the
paper's schemes on its three networks (128x128, 10 classes), `rewrite` as it is and with
`--stream auto --forward auto`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.report import Column, parser_of, publish, show
from benchmarks.tasks import SHARED
from tflm_train import load
from tflm_train.model.layers import list_layers
from tflm_train.rewriter import rewrite
from tflm_train.rewriter.optimize import Forward, Streaming, optimize
from tflm_train.scheme.library import find_scheme, library_names

RESIDUALS = (8, 0)


def inference_rows() -> list[dict[str, Any]]:
    """One row per model with a convolution."""
    rows = []
    for path in sorted((SHARED / "models").glob("*.tflite")):
        model = load(path)
        if all(layer.op.name == "FULLY_CONNECTED" for layer in list_layers(model.graph)):
            continue
        result = optimize(model)
        rows.append(
            {
                "model": path.stem,
                "before_bytes": result.before.total_bytes,
                "after_bytes": result.after.total_bytes,
                "input_bytes": sum(t.nbytes for t in model.graph.inputs),
                "streams": [len(layers) for layers in result.streams],
                "slowdown": result.slowdown,
            }
        )
    return rows


def training_rows() -> list[dict[str, Any]]:
    """One row per scheme of the paper and residual."""
    rows = []
    for name in library_names():
        network, kilobytes = name.rsplit("-", 1)
        model = load(SHARED / "models" / f"{network}.nopad.tflite")
        for bits in RESIDUALS:
            scheme = replace(find_scheme(name), residual_bits=bits)
            before = rewrite(model, scheme).memory
            after = rewrite(model, scheme, stream=Streaming.AUTO, forward=Forward.AUTO).memory
            rows.append(
                {
                    "network": network,
                    "scheme": kilobytes,
                    "residual_bits": bits,
                    "before_bytes": before.total_bytes,
                    "after_bytes": after.total_bytes,
                    "variable_bytes": after.arena().variable_bytes,
                    "peak": after.op_names[after.peak_op],
                }
            )
    return rows


def main() -> int:
    """The command line."""
    parser = parser_of(__doc__)
    arguments = parser.parse_args()
    if not SHARED.exists():
        raise SystemExit(f"needs the models in {SHARED}")
    inference, training = inference_rows(), training_rows()
    publish("forward_memory", {"inference": inference, "training": training}, arguments)
    if not arguments.json:
        thousands = "{:,}"
        show(
            "Inference: arena in bytes",
            (
                Column("model", "model"),
                Column("input", "input_bytes", thousands),
                Column("before", "before_bytes", thousands),
                Column("after", "after_bytes", thousands),
                Column("layers per stream", "streams"),
                Column("estimated time", "slowdown", "{:.2f}"),
            ),
            inference,
        )
        show(
            "Training: arena in bytes",
            (
                Column("network", "network"),
                Column("scheme", "scheme"),
                Column("residual", "residual_bits"),
                Column("before", "before_bytes", thousands),
                Column("after", "after_bytes", thousands),
                Column("variables", "variable_bytes", thousands),
                Column("peak", "peak"),
            ),
            training,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
