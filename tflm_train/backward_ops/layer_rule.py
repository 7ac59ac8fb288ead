"""What the layers with weights have in common: their geometry and how their gradient travels."""

from __future__ import annotations

import abc

import numpy as np
import numpy.typing as npt

from tflm_train import kernel_abi as abi
from tflm_train.backward_ops.fused_activation import clamp_of, why_not_activation
from tflm_train.backward_ops.geometry import Geometry, Padding
from tflm_train.backward_ops.rule import Addend, Clamp, Gradient, MaskInput, Tape
from tflm_train.model.graph import Op


class LayerRule(abc.ABC):
    """What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED have in common."""

    @abc.abstractmethod
    def geometry(self, op: Op) -> Geometry:
        """The layer's geometry from its shapes and options."""

    @abc.abstractmethod
    def input_gradient_params(
        self,
        op: Op,
        gradient: Gradient,
        made: Gradient,
        mask: MaskInput,
        addend: Addend,
        kept: int,
    ) -> tuple[abi.OpParams, npt.NDArray[np.generic]]:
        """Parameters and per-channel multipliers of the op that writes the input gradient."""

    def why_not(self, op: Op) -> str | None:
        return why_not_layer(op) or why_not_activation(op)

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        def produce(made: Gradient, mask: MaskInput, addend: Addend) -> None:
            columns = tape.columns(op)
            kept = 0 if columns is None else columns.kept.size
            params, m = self.input_gradient_params(op, gradient, made, mask, addend, kept)
            multipliers = tape.constant(f"{made.tensor.name}/multipliers", m)
            tape.emit(
                params,
                [
                    gradient.tensor,
                    op.inputs[1],
                    multipliers,
                    tape.state,
                    tape.scales,
                    tape.ranges,
                    mask.tensor,
                    addend.tensor,
                    None if columns is None else columns.weights,
                    None if columns is None else columns.listed,
                ],
                [made.tensor],
            )

        tape.produce(op.input, produce, takes_addend=True)
        tape.update(op, gradient, self.geometry(op))


def why_not_layer(op: Op) -> str | None:
    """Why a layer's tensors cannot be differentiated, None when they can."""
    weights = op.inputs[1]
    for activation in (op.input, op.output):
        if activation.type_name != "INT8":
            return (
                f"its activations are {activation.type_name}; only int8 layers are differentiated"
            )
    if weights is None:
        return "it has no weights"
    if weights.type_name != "INT8" or weights.quantization is None:
        return f"its weights are {weights.type_name}, not quantized int8"
    if np.any(weights.quantization.zero_point != 0):
        return "its weights have a zero point; int8 weights must be symmetric"
    if op.input.quantization is None or op.output.quantization is None:
        return "its activations have no quantization parameters"
    if op.name == "CONV_2D" and weights.shape[3] != op.input.shape[3]:
        return f"it is a grouped convolution ({op.input.shape[3] // weights.shape[3]} groups)"
    if op.name != "FULLY_CONNECTED" and op.input.shape[0] != 1:
        return f"its batch is {op.input.shape[0]}; only batch 1 is trained"
    return None


def window_geometry(op: Op, out_c: int, kernel: tuple[int, int]) -> Geometry:
    """Geometry of an op with TFLite's stride, dilation and padding options."""
    options = op.options
    _, height, width, channels = op.input.shape
    padding: Padding = "SAME" if options.padding == 0 else "VALID"
    dilations = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    return Geometry.from_options(
        (height, width, channels),
        out_c,
        kernel,
        (options.strideH, options.strideW),
        (max(1, dilations[0]), max(1, dilations[1])),
        padding,
    )
