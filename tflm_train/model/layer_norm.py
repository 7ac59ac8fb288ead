"""Layer normalizations, which stand in a graph as a chain of operators.

    y = x * m + (beta - mean * m),   m = gamma / sqrt(variance + epsilon)

Mean and variance are of a row's channels, so that m is a product of [..., 1] (RSQRT) and [channels]
(gamma): no operator multiplies an activation of all channels by gamma alone. A beta of zeros is not
there; nor is the mean in the brackets, where the converter found `(x - mean) * m + beta`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tflm_train.graph import Graph, Op, Tensor


@dataclass(frozen=True)
class LayerNorm:
    """One of them.

    Attributes:
      last: The operator that makes y, without a clamp; of the shorter form the MUL by m, behind
        which beta may be added.
      inner: The operators before it that add a constant to some of the channels' terms.
    """

    last: Op
    inner: tuple[Op, ...]


def layer_norms(graph: Graph) -> Iterator[LayerNorm]:
    """Finds the layer normalizations of a graph that have a gamma."""
    for op in graph.ops:
        if not _is_row_scale(graph, op):
            continue
        products = [x for x in graph.consumers(op.output) if _is_plain(x, "MUL")]
        if len(products) != len(graph.consumers(op.output)):
            continue
        if len(products) == 1:
            yield LayerNorm(products[0], ())
        elif len(products) == 2:
            yield from _sum_of(graph, products)


def _sum_of(graph: Graph, products: list[Op]) -> Iterator[LayerNorm]:
    """What adds `x * m` and `beta - mean * m`, if anything does."""
    shape = products[0].output.shape
    inner: list[Op] = []
    ends: list[Op | None] = []
    for product in products:
        reader = _only_reader(graph, product.output)
        if reader is not None and _constants(reader) and _is_sum(reader):
            inner.append(reader)
            reader = _only_reader(graph, reader.output)
        ends.append(reader)
    last = ends[0]
    if last is None or last is not ends[1] or last.output.shape != shape:
        return
    if len(inner) < 2 and _is_sum(last):
        yield LayerNorm(last, tuple(inner))


def _is_row_scale(graph: Graph, op: Op) -> bool:
    """Whether an operator multiplies what RSQRT gives for each row by a constant for channels."""
    if not _is_plain(op, "MUL") or len(_constants(op)) != 1:
        return False
    (gamma,) = _constants(op)
    (rows,) = (t for t in op.inputs if t is not gamma and t is not None)
    maker, channels = graph.producer(rows), op.output.shape[-1]
    return (
        maker is not None
        and maker.name == "RSQRT"
        and rows.shape[-1:] == (1,)
        and channels > 1
        and gamma.shape[-1:] == (channels,)
        and gamma.size == channels
    )


def _is_plain(op: Op, name: str) -> bool:
    """Whether an operator of two int8 tensors is of this kind, and does not clamp."""
    return (
        op.name == name
        and not op.is_custom
        and len(op.inputs) == 2
        and op.output.type_name == "INT8"
        and not op.options.fusedActivationFunction
    )


def _is_sum(op: Op) -> bool:
    return _is_plain(op, "ADD") or _is_plain(op, "SUB")


def _constants(op: Op) -> list[Tensor]:
    return [t for t in op.inputs if t is not None and t.data is not None]


def _only_reader(graph: Graph, tensor: Tensor) -> Op | None:
    readers = graph.consumers(tensor)
    is_inside = len(readers) == 1 and tensor not in graph.outputs
    return readers[0] if is_inside else None
