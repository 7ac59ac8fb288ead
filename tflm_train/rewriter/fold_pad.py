"""Folds PAD into the convolution that reads it.

A PAD with the zero point pads with real zeros, just as a convolution does at its own edges, so the
sums are the same. TFLite's convolutions know no padding but SAME and VALID: where SAME gives the
same positions the builtin op takes the padding over, otherwise a STREAM of our own does (`stream`),
which has padding as a number.
"""

from __future__ import annotations

import copy
import dataclasses

from ai_edge_litert import schema_py_generated as schema

from tflm_train.backward_ops.rules import RULES, layer_rule_of
from tflm_train.errors import ModelError
from tflm_train.graph import Graph, Op, Tensor
from tflm_train.ops.builtin import builtin_of, layer_form_of
from tflm_train.ops.geometry import Geometry


def fold_pads(graph: Graph) -> int:
    """Gives each PAD to the builtin convolutions that can take it over.

    Args:
      graph: Changed in place; a PAD that nothing reads any more is removed.

    Returns:
      How many PADs were removed.
    """
    pads = {id(op.output): op for op in graph.ops if is_spatial_pad(op)}
    for op in graph.ops:
        pad = pads.get(id(op.input)) if is_windowed(op) else None
        if pad is None or RULES[op.name].why_not(op) is not None:
            continue
        options = copy.copy(op.options)
        options.padding = schema.Padding.SAME
        same = Op(op.name, [pad.input, *op.inputs[1:]], op.outputs, options)
        if _geometry_or_none(same) == padded_geometry(op, pad):
            op.inputs[0] = pad.input
            op.options = options
    return _remove_unread(graph, list(pads.values()))


def is_pad(op: Op) -> bool:
    """Whether `op` surrounds its input with zeros."""
    row = builtin_of(op)
    return row is not None and row.pads_with_zero


def is_spatial_pad(op: Op) -> bool:
    """Whether `op` pads rows and columns of an int8 image with zeros and nothing else."""
    if not is_pad(op) or op.input.type_name != "INT8" or len(op.input.shape) != 4:
        return False
    amounts = op.optional_input(1)
    before, after = op.input.quantization, op.output.quantization
    if amounts is None or amounts.data is None or before is None or after is None:
        return False
    return (
        op.input.zero_point == op.output.zero_point
        and op.input.scale == op.output.scale
        and not amounts.data[[0, 3]].any()
    )


def is_windowed(op: Op) -> bool:
    """Whether `op` is a builtin convolution, whose window may begin outside of its input."""
    form = layer_form_of(op)
    return form is not None and form.is_window


def padded_geometry(op: Op, pad: Op | None) -> Geometry:
    """Geometry of a convolution that reads the input of `pad` itself; None: it reads its own."""
    geometry = layer_rule_of(op).geometry(op)
    if pad is None:
        return geometry
    amounts = pad.inputs[1]
    assert amounts is not None and amounts.data is not None
    _, in_h, in_w, _ = pad.input.shape
    return dataclasses.replace(
        geometry,
        in_h=in_h,
        in_w=in_w,
        pad_t=geometry.pad_t + int(amounts.data[1, 0]),
        pad_l=geometry.pad_l + int(amounts.data[2, 0]),
    )


def _geometry_or_none(op: Op) -> Geometry | None:
    try:
        return padded_geometry(op, None)
    except ModelError:
        return None


def _remove_unread(graph: Graph, pads: list[Op]) -> int:
    read: set[int] = {id(t) for op in graph.ops for t in op.inputs if isinstance(t, Tensor)}
    read |= {id(t) for t in graph.outputs}
    dead = {id(pad) for pad in pads if id(pad.output) not in read}
    graph.ops = [op for op in graph.ops if id(op) not in dead]
    return len(dead)
