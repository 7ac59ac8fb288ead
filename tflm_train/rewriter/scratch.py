"""How much scratch our kernels ask for: the twins of the C++ `*ScratchBytes` functions."""

from __future__ import annotations

from tflm_train import kernel_abi as abi
from tflm_train.model import Graph

_WORD = 4


def scratch_bytes(graph: Graph) -> dict[int, list[int]]:
    """Scratch buffers of the training ops of a graph, by op index."""
    sizes: dict[int, list[int]] = {}
    for index, op in enumerate(graph.ops):
        if op.name.startswith(abi.OP_PREFIX) and op.custom_options is not None:
            size = scratch_of(abi.unpack(op.custom_options))
            if size:
                sizes[index] = [size]
    return sizes


def scratch_of(params: abi.OpParams) -> int:
    """Scratch bytes of one op."""
    if isinstance(params, abi.LossParams):
        return _WORD * params.classes
    if isinstance(params, abi.ConvInputGradParams):
        split = params.group < params.geometry.out_c
        return _WORD * params.geometry.in_c * (2 if split else 1)
    if isinstance(params, abi.DepthwiseInputGradParams):
        return _WORD * params.geometry.out_c
    if isinstance(params, abi.PoolGradParams):
        return 0 if params.uniform else _WORD * params.geometry.in_c
    if isinstance(params, abi.ConvUpdateParams):
        return _WORD * params.geometry.in_c
    if isinstance(params, abi.DepthwiseUpdateParams):
        return 2 * _WORD * params.geometry.out_c
    return 0
