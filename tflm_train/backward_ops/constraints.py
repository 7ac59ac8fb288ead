"""Conditions that several gradient rules share; each docstring is a line of the support table."""

from __future__ import annotations

from tflm_train.backward_ops.fused_activation import why_not_activation
from tflm_train.graph import Op, Tensor


def has_known_activation(op: Op) -> str | None:
    """The fused activation is none, RELU, RELU6 or RELU_N1_TO_1."""
    return why_not_activation(op)


def has_int8_activations(op: Op) -> str | None:
    """All computed inputs and outputs are int8 with one scale per tensor."""
    for tensor in [*op.inputs, *op.outputs]:
        if tensor is None or (tensor.data is not None and tensor not in op.outputs):
            continue
        reason = why_not_int8(tensor)
        if reason is not None:
            return reason
    return None


def has_int8_operands(op: Op) -> str | None:
    """Both operands and the output are int8 with one scale per tensor."""
    for tensor in [*op.inputs, op.output]:
        reason = "an operand is missing" if tensor is None else why_not_int8(tensor)
        if reason is not None:
            return reason
    return None


def has_image_input(op: Op) -> str | None:
    """The input is one image: [1, height, width, channels]."""
    if len(op.input.shape) != 4 or op.input.shape[0] != 1:
        return f"its input has shape {op.input.shape}; only [1, height, width, channels] works"
    return None


def why_not_int8(tensor: Tensor) -> str | None:
    """Why a tensor is no int8 activation, None when it is."""
    if tensor.type_name != "INT8":
        return f"{tensor.name!r} is {tensor.type_name}; only int8 is differentiated"
    if tensor.quantization is None or not tensor.quantization.per_tensor:
        return f"{tensor.name!r} has no scale of its own (one per tensor is needed)"
    return None


def constant_of(op: Op, index: int) -> Tensor | None:
    """Input `index` if it is a constant."""
    tensor = op.optional_input(index)
    return tensor if tensor is not None and tensor.data is not None else None
