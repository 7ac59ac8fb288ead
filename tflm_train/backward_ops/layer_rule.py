"""What the layers with weights have in common: their geometry and how their gradient travels."""

from __future__ import annotations

import abc

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.constraints import has_known_activation
from tflm_train.backward_ops.fused_activation import clamp_of
from tflm_train.backward_ops.layer_update import (
    Channels,
    Part,
    WeightUpdate,
    let_wait,
    update_layer,
)
from tflm_train.backward_ops.rule import (
    Clamp,
    Constraint,
    Destination,
    Gradient,
    GradientRule,
    Tape,
    emit_gradient,
)
from tflm_train.graph import Op, Tensor
from tflm_train.ops.builtin import LayerForm, layer_form_of
from tflm_train.ops.builtin.shapes import tensor_of
from tflm_train.ops.geometry import Geometry, Padding

LayerGradient = ops.TrainingOp[ops.LayerGradientInputs, ops.GradientOutputs]


class LayerRule(GradientRule):
    """What CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED have in common.

    Attributes:
      trains_in_part: Whether some of the input channels can train without the others.
    """

    trains_in_part = True

    @abc.abstractmethod
    def geometry(self, op: Op) -> Geometry:
        """The layer's geometry from its shapes and options."""

    @abc.abstractmethod
    def row_channels(self, geometry: Geometry) -> int:
        """The last dimension of its whole weights."""

    @abc.abstractmethod
    def part(self, geometry: Geometry, kept: Channels) -> Part:
        """What is left of the layer where only these channels of its weights' last axis train."""

    @abc.abstractmethod
    def update_params(
        self, geometry: Geometry, fields: ops.UpdateFields, rule: ops.RuleFields
    ) -> WeightUpdate:
        """Parameters of the op that updates its weights."""

    @abc.abstractmethod
    def input_gradient_params(
        self, op: Op, gradient: Gradient, to: Destination, kept: int
    ) -> tuple[LayerGradient, npt.NDArray[np.generic]]:
        """Parameters and per-channel multipliers of the op that writes the input gradient."""

    def constraints(self) -> list[Constraint]:
        return [
            has_int8_layer_activations,
            has_symmetric_int8_weights,
            has_quantized_activations,
            has_batch_one,
            has_known_activation,
        ]

    def clamp(self, op: Op) -> Clamp | None:
        return clamp_of(op)

    def backward(self, op: Op, gradient: Gradient, tape: Tape) -> None:
        update = update_layer(self, op, gradient, tape)

        def produce(to: Destination) -> None:
            trained = tape.trained(op)
            columns = None if trained is None else trained.columns
            kept = 0 if columns is None else columns.kept.size
            params, m = self.input_gradient_params(op, gradient, to, kept)
            emit_gradient(
                tape,
                params,
                gradient,
                to,
                weights=layer_weights(op),
                multipliers=tape.constant(to.constant_name("multipliers"), m),
                columns=None if columns is None else columns.weights,
                channels=None if columns is None else columns.listed,
                # BIAS_UPDATE may join it, see `fuse_bias`.
                bias_factors=None,
                bias=None,
            )
            if update is not None:
                let_wait(update, to.gradient)

        tape.produce(layer_input(op), produce, takes_addend=True)


def layer_input(op: Op) -> Tensor:
    """The activation that a layer reads."""
    return tensor_of(op, _form_of(op).input)


def layer_weights(op: Op) -> Tensor:
    """The filter of a layer."""
    return tensor_of(op, _form_of(op).weights)


def _form_of(op: Op) -> LayerForm:
    form = layer_form_of(op)
    assert form is not None
    return form


def weight_scales(op: Op) -> npt.NDArray[np.float32]:
    """The scales of a layer's filter, one or one for each output channel."""
    quantization = layer_weights(op).quantization
    assert quantization is not None
    return quantization.scale


def has_int8_layer_activations(op: Op) -> str | None:
    """Input and output are int8."""
    for tensor in (layer_input(op), op.output):
        if tensor.type_name != "INT8":
            return f"its activations are {tensor.type_name}; only int8 layers are differentiated"
    return None


def has_symmetric_int8_weights(op: Op) -> str | None:
    """The weights are int8 with zero point 0, with one scale or one per output channel."""
    weights = op.inputs[1]
    if weights is None or weights.type_name != "INT8" or weights.quantization is None:
        kind = "missing" if weights is None else weights.type_name
        return f"its weights are {kind}, not quantized int8"
    if np.any(weights.quantization.zero_point != 0):
        return "its weights have a zero point; int8 weights must be symmetric"
    return None


def has_quantized_activations(op: Op) -> str | None:
    """Input and output have a scale and a zero point."""
    if layer_input(op).quantization is None or op.output.quantization is None:
        return "its activations have no quantization parameters"
    return None


def has_batch_one(op: Op) -> str | None:
    """The batch size is 1."""
    batch = layer_input(op).shape[0]
    return None if batch == 1 else f"its batch is {batch}; only batch 1 is trained"


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
