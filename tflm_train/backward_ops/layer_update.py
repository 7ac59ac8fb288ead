"""How a layer with weights updates what trains of it, given the gradient of its output."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.rule import Gradient, Tape
from tflm_train.backward_ops.trained_layer import LayerSize, TrainedLayer
from tflm_train.graph import Op, Tensor
from tflm_train.ops.geometry import Geometry
from tflm_train.ops.structs import RuleFields, UpdateFields

Channels = npt.NDArray[np.int64]
WeightUpdate = ops.TrainingOp[ops.WeightUpdateInputs, ops.UpdateOutputs]


@dataclass(frozen=True)
class Part:
    """The smaller layer that an op sees of one that trains in part.

    Attributes:
      inputs: Its input channels.
      outputs: Its output channels; None for all of them.
    """

    inputs: Channels
    outputs: Channels | None = None


class WeightsRule(Protocol):
    """What the rule of a layer says of its update."""

    def geometry(self, op: Op) -> Geometry:
        """The layer's geometry."""
        ...

    def row_channels(self, geometry: Geometry) -> int:
        """The last dimension of its whole weights."""
        ...

    def part(self, geometry: Geometry, kept: Channels) -> Part:
        """What is left of the layer where only these of its weights' channels train."""
        ...

    def update_params(
        self, geometry: Geometry, fields: UpdateFields, rule: RuleFields
    ) -> WeightUpdate:
        """Parameters of the op that updates its weights."""
        ...


def update_layer(rule: WeightsRule, op: Op, gradient: Gradient, tape: Tape) -> Op | None:
    """Emits the ops that update whatever trains of a layer.

    Args:
      rule: The layer's.
      op: The layer.
      gradient: Of its output, finished.
      tape: Says what trains, and takes the ops.

    Returns:
      The op that updates its weights; None where they do not train.
    """
    trained = tape.trained(op)
    if trained is None:
        return None
    geometry = rule.geometry(op)
    if trained.bias is not None and tape.takes_bias_gradient(op, gradient):
        trained = dataclasses.replace(trained, bias=None)
    if trained.weights is None:
        if trained.bias is not None:
            update_bias(trained, gradient, geometry.positions, tape)
        return None
    name = trained.layer.name
    row_channels = rule.row_channels(geometry)
    x, q, bias, listed = trained.layer.x, gradient.tensor, trained.bias, None
    if trained.columns is not None:
        # The op sees a smaller layer: the kept channels, copied together.
        kept = trained.columns.kept
        part = rule.part(geometry, kept)
        listed = tape.constant(f"update/{name}/channels", kept.astype(np.int16))
        x = _save(f"update/{name}/x", x, geometry.in_c, part.inputs, tape)
        if part.outputs is not None:
            q = _save(f"update/{name}/gradient", q, geometry.out_c, part.outputs, tape)
            if bias is not None:
                # All channels of a bias train.
                update_bias(trained, gradient, geometry.positions, tape)
            geometry, bias = dataclasses.replace(geometry, out_c=part.outputs.size), None
        geometry = dataclasses.replace(geometry, in_c=part.inputs.size)
    y0, y1, x0, x1 = trained.taps
    bias_positions = 0 if bias is None else geometry.positions
    taps = (y1 - y0) * (x1 - x0)
    step = tape.step_of(LayerSize(taps, geometry.positions, bias_positions, trained.layer.x.scale))
    fields = UpdateFields(
        gradient.slot,
        trained.layer.index,
        trained.layer.x.zero_point,
        step.residual_bits,
        step.gain_shift,
        *trained.taps,
        row_channels,
    )
    of_bias = [] if bias is None else [trained.bias_factors]
    factors = np.stack([trained.weight_factors, *of_bias])
    inputs = ops.WeightUpdateInputs(
        x=x,
        gradient=q,
        factors=tape.constant(f"update/{name}/factors", factors),
        weights=trained.weights,
        bias=bias,
        residual=trained.kept.get("residual"),
        gathered=trained.kept.get("gathered"),
        bias_gathered=None if bias is None else trained.kept.get("bias_gathered"),
        channels=listed,
        after=None,  # see `let_wait`
        scales=tape.scales,
        state=tape.state,
    )
    return tape.emit_update(name, rule.update_params(geometry, fields, step.rule), inputs)


def let_wait(update: Op, gradient: Gradient) -> None:
    """An update of weights waits for a gradient that is computed with them as they were."""
    inputs = ops.WeightUpdateInputs.of(update.inputs)
    update.inputs = dataclasses.replace(inputs, after=gradient.tensor).in_order()


def update_bias(trained: TrainedLayer, gradient: Gradient, positions: int, tape: Tape) -> None:
    """Emits the op that updates a layer's bias alone.

    Args:
      trained: The layer; its bias trains.
      gradient: Whose sum over the positions is the bias'.
      positions: How many there are.
      tape: Takes the op.
    """
    assert trained.bias is not None
    step = tape.step_of(LayerSize(0, 0, positions, trained.layer.x.scale))
    params = ops.BiasUpdate(positions, trained.bias.size, gradient.slot, rule=step.rule)
    name = trained.layer.name
    inputs = ops.BiasUpdateInputs(
        gradient=gradient.tensor,
        factors=tape.constant(f"update/{name}/bias_factors", trained.bias_factors),
        bias=trained.bias,
        bias_gathered=trained.kept.get("bias_gathered"),
        scales=tape.scales,
        state=tape.state,
    )
    tape.emit_update(f"{name}/bias", params, inputs)


def _save(name: str, source: Tensor, channels: int, kept: Channels, tape: Tape) -> Tensor:
    """Copies some channels of a tensor together.

    `channels` are the layer's: FULLY_CONNECTED flattens its input, whatever that's shape.
    """
    positions = source.size // channels
    saved = Tensor.make(name, np.int8, (positions, kept.size), quantization=source.quantization)
    listed = tape.constant(f"{name}/channels", kept.astype(np.int16))
    params = ops.ChannelSave(positions, channels, kept.size)
    inputs = ops.ChannelSaveInputs(values=source, channels=listed, state=tape.state)
    tape.emit(params, inputs, ops.ChannelSaveOutputs(saved=tape.add(saved)))
    return saved
