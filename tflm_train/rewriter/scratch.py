"""How much scratch the kernels ask for: ours (twins of the C++ `*ScratchBytes`) and TFLM's MEAN."""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.model import Graph, Op

_WORD = 4
_HALF_WORD = 2


def scratch_bytes(graph: Graph) -> dict[int, list[int]]:
    """Scratch buffers of the ops of a graph, by op index."""
    sizes: dict[int, list[int]] = {}
    for index, op in enumerate(graph.ops):
        if op.name == "MEAN" and op.input.type_name in ("INT8", "INT16"):
            sizes[index] = _mean_scratch(op)
        if op.name.startswith(abi.OP_PREFIX) and op.custom_options is not None:
            size = scratch_of(abi.unpack(op.custom_options))
            if size:
                sizes[index] = [size]
    return sizes


def _mean_scratch(op: Op) -> list[int]:
    """TFLM's kernel keeps an index, the resolved axes and an int32 sum per output element."""
    axes = op.optional_input(1)
    counts = (len(op.input.shape), 0 if axes is None else axes.size, op.output.size)
    return [_WORD * count for count in counts]


def scratch_of(params: abi.OpParams) -> int:
    """Scratch bytes of one op."""
    if isinstance(params, abi.LossParams):
        return _WORD * params.classes
    if isinstance(params, abi.ConvInputGradParams):
        pixels = 1 + (params.group < params.geometry.out_c) + (params.kept > 0)
        return _WORD * params.geometry.in_c * pixels
    if isinstance(params, abi.DepthwiseInputGradParams):
        return _WORD * params.geometry.out_c
    if isinstance(params, abi.PoolGradParams):
        return 0 if params.uniform else _WORD * params.geometry.in_c
    if isinstance(params, abi.ConvUpdateParams):
        return _WORD * params.geometry.in_c
    if isinstance(params, abi.DepthwiseUpdateParams):
        return 2 * _WORD * params.geometry.out_c
    if isinstance(params, abi.SplitConvParams):
        g = params.geometry
        return _HALF_WORD * g.k_h * g.k_w * g.in_c
    if isinstance(params, abi.SplitDepthwiseParams):
        return _WORD * params.geometry.out_c
    return 0
