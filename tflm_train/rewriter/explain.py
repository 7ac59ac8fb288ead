"""A scheme in words: its YAML with what each layer is and what it keeps in RAM."""

from __future__ import annotations

from tflm_train.memory import KernelSet
from tflm_train.model import Model
from tflm_train.rewriter.inspection import LayerInspection, inspect_model
from tflm_train.rewriter.rewrite import rewrite
from tflm_train.scheme import Scheme
from tflm_train.scheme.resolve import find_output
from tflm_train.scheme.scheme import LayerRef
from tflm_train.scheme.written import scheme_text


def explain_scheme(
    scheme: Scheme, model: Model, title: str, kernels: KernelSet | str = KernelSet.CMSIS_NN
) -> str:
    """Writes a scheme that names layers by numbers, as YAML with comments.

    Args:
      scheme: The scheme.
      model: The model it is for.
      title: What to call it.
      kernels: What runs the builtin operators.

    Returns:
      YAML.

    Raises:
      SchemeError, UnsupportedError: The scheme does not fit the model.
    """
    result = rewrite(model, scheme, kernels)
    inspection = inspect_model(model, kernels, find_output(scheme.output, model))
    layers = {layer.index: layer for layer in inspection.layers}
    head = next(x for x in result.report.layers if x.head) if scheme.head.train else None
    lines = [
        f"{title}",
        f"for {model.name}: an arena of {result.memory.minimum_bytes:,} bytes with "
        f"{result.memory.kernels} kernels ({result.report.arena_before.total_bytes:,} without "
        "training)",
    ]
    if head is not None:
        lines.append(
            f"the head is layer {head.index} ({head.op}, {head.name}): {head.variable_bytes:,} "
            "bytes of variables"
        )

    lines.append(
        "keeps: variables and what the backward pass needs of the forward pass; an arena also "
        "holds gradients"
    )

    def kept(ref: LayerRef, layer_bytes: str) -> str:
        layer = layers[int(ref)]
        size: int = getattr(layer, layer_bytes)
        return f"{_name(layer)}: keeps {size:,} bytes"

    return scheme_text(
        scheme,
        "\n".join(lines),
        lambda ref: kept(ref, "bias_kept_bytes"),
        lambda ref: kept(ref, "weight_kept_bytes"),
    )


def _name(layer: LayerInspection) -> str:
    return f"{layer.op} {layer.name}"
