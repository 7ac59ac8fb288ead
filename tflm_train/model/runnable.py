"""Which operators of a model TFLM cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tflm_train.errors import UnsupportedError
from tflm_train.graph import Op
from tflm_train.model.model import Model, has_absent_bias
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.npu import ETHOS_U
from tflm_train.ops.reading import is_ours

_FLEX = "Flex"


@dataclass(frozen=True)
class Missing:
    """An operator without a kernel in TFLM.

    Attributes:
      reason: A sentence that names it.
      is_final: Whether nobody can register one: it is none of the firmware's own.
    """

    reason: str
    is_final: bool


def missing_kernels(model: Model) -> list[Missing]:
    """The operators that TFLM has no kernel for, one of each kind in a subgraph."""
    found: dict[tuple[int, str], Missing] = {}
    for subgraph, graph in enumerate([model.graph, *model.other_graphs]):
        for index, op in enumerate(graph.ops):
            for missing in _missing(op):
                where = f"op {index}" if not subgraph else f"subgraph {subgraph}, op {index}"
                label = f" {op.outputs[0].short_name!r}" if op.outputs else ""
                text = f"{where} ({op.name},{label}): {missing.reason}"
                found.setdefault((subgraph, op.name), Missing(text, missing.is_final))
    return list(found.values())


def require_runnable(model: Model, remedy: str = "") -> None:
    """Refuses a model with an operator that TFLM has no kernel for, and nobody can give it one.

    Args:
      model: The model.
      remedy: What else can be done.

    Raises:
      UnsupportedError: There is such an operator.
    """
    for missing in missing_kernels(model):
        if missing.is_final:
            hint = f" ({remedy})" if remedy else ""
            raise UnsupportedError(f"{model.name}: TFLM cannot run it: {missing.reason}{hint}")


def runnable_source(model: Model) -> bytes:
    """The file of a model as it is, or written so that TFLM's kernels can run it."""
    graphs = [model.graph, *model.other_graphs]
    is_changed = model.has_closed_shapes or any(has_absent_bias(o) for g in graphs for o in g.ops)
    if not is_changed:
        return model.source
    return Model(model.source, model.name).to_bytes()


def _missing(op: Op) -> Iterator[Missing]:
    if not op.is_custom:
        reason = _why_no_kernel(op)
        if reason is not None:
            yield Missing(reason, True)
    elif op.name.startswith(_FLEX):
        yield Missing(
            "an operator of TensorFlow (Flex), which TFLM cannot run; convert the model without it",
            True,
        )
    elif not is_ours(op) and not ETHOS_U.is_kind_of(op):
        yield Missing("a custom operator: the firmware has to register its kernel", False)


def _why_no_kernel(op: Op) -> str | None:
    """Why TFLM does not run a builtin operator, None where it does."""
    row = builtin_of(op)
    if row is None or not row.has_kernel:
        return "TFLM has no kernel for it; convert the model without it"
    form = row.layer
    types = {t.type_name for t in op.inputs if t is not None and t.data is None}
    if row.is_float_only and types & {"INT8", "INT16"}:
        return "TFLM computes it in float32 only; convert the model without it"
    if form is not None and "UINT8" in types:
        return (
            "TFLM has no uint8 layers (the quantization of TensorFlow 1); quantize the float model "
            "anew: `tflm_train quantize FLOAT --data D`"
        )
    weights = None if form is None else op.optional_input(form.weights)
    if weights is not None and weights.type_name == "INT8" and "FLOAT32" in types:
        return (
            "TFLM does not run int8 weights on float activations (dynamic range quantization); "
            "make an int8 model of it: `tflm_train quantize MODEL --data D`"
        )
    return None
