"""Multiply-accumulates of one inference, whichever ops compute the layers."""

from __future__ import annotations

from tflm_train import ops
from tflm_train.graph import Graph, Op
from tflm_train.ops.builtin import layer_form_of
from tflm_train.ops.geometry import Geometry


def forward_macs(graph: Graph) -> int:
    """Counts a graph's forward multiply-accumulates, taps in the padding included.

    Args:
      graph: Of an original, an optimized or a rewritten model; backward ops do not count.

    Returns:
      How many.
    """
    return sum(map(_op_macs, graph.ops))


def _op_macs(op: Op) -> int:
    form = layer_form_of(op)
    if form is not None:
        return form.macs(op)
    if not op.name.startswith(ops.OP_PREFIX) or op.custom_options is None:
        return 0
    params = ops.unpack(op.custom_options)
    if isinstance(params, ops.SplitConv):
        return _conv_macs(params.geometry)
    if isinstance(params, ops.SplitDepthwise):
        return _depthwise_macs(params.geometry)
    if isinstance(params, ops.Stream):
        return sum(map(_stage_macs, params.stages))
    return 0


def _stage_macs(stage: ops.StageFields) -> int:
    if stage.stage_kind == ops.StageKind.CONV:
        return _conv_macs(stage.geometry)
    if stage.stage_kind == ops.StageKind.DEPTHWISE:
        return _depthwise_macs(stage.geometry)
    return 0


def _conv_macs(geometry: Geometry) -> int:
    return _depthwise_macs(geometry) * geometry.in_c


def _depthwise_macs(geometry: Geometry) -> int:
    return geometry.positions * geometry.k_h * geometry.k_w * geometry.out_c
