"""A scheme in words: its YAML with what each layer is and what it keeps in RAM."""

from __future__ import annotations

from collections.abc import Iterator

from tflm_train.model import Model
from tflm_train.rewriter.inspection import LayerInspection, inspect_model
from tflm_train.rewriter.rewrite import RewriteResult
from tflm_train.rewriter.trials import Way
from tflm_train.scheme import Scheme
from tflm_train.scheme.resolve import find_output
from tflm_train.scheme.scheme import LayerRef
from tflm_train.scheme.written import scheme_text

_KEEPS = (
    "keeps: RAM for its variables and for what its backward pass needs of the forward pass; "
    "the arena also holds gradients"
)


def explain_scheme(scheme: Scheme, model: Model, title: str, way: Way) -> str:
    """Writes a scheme that names layers by numbers, as YAML with comments.

    Args:
      scheme: The scheme.
      model: The model it is for.
      title: What to call it.
      way: How the forward layers run.

    Returns:
      YAML, from which `Scheme.parse` reads the same scheme.

    Raises:
      SchemeError, UnsupportedError: The scheme does not fit the model.
    """
    result = way.rewrite(model, scheme)
    inspection = inspect_model(model, way.kernels, find_output(scheme.output, model))
    layers = {layer.index: layer for layer in inspection.layers}

    def of_bias(ref: LayerRef) -> str:
        layer = layers[int(ref)]
        return f"{layer.op} {layer.name}: keeps {layer.bias_kept_bytes:,} bytes"

    def of_weights(ref: LayerRef) -> str:
        layer = layers[int(ref)]
        with_bias = ref in scheme.bias_layers
        size = layer.weight_kept_bytes - (layer.bias_kept_bytes if with_bias else 0)
        return f"{layer.op} {layer.name}: keeps {size:,} bytes{' more' if with_bias else ''}"

    lines = [title, *_facts(model, result, inspection.layers), _KEEPS]
    return scheme_text(scheme, "\n".join(lines), of_bias, of_weights)


def _facts(
    model: Model, result: RewriteResult, layers: tuple[LayerInspection, ...]
) -> Iterator[str]:
    """The arena, the head, and the layers that cannot train."""
    before = result.report.arena_before.minimum_bytes
    yield (
        f"for {model.name}: an arena of {result.memory.minimum_bytes:,} bytes (inference of the "
        f"model as it is: {before:,}; {result.memory.kernels} kernels)"
    )
    for head in result.report.layers:
        if head.head:
            yield f"the head is layer {head.index}: {head.op} {head.name}"
    for layer in layers:
        if layer.why_not is not None:
            yield f"layer {layer.index} ({layer.op} {layer.name}) cannot train: {layer.why_not}"
