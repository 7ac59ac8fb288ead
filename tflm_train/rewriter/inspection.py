"""What `tflm_train inspect` shows: each layer, what training it costs, or why it cannot train."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tflm_train.backward_ops.losses import LOSS_RULES
from tflm_train.backward_ops.rules import RULES
from tflm_train.cost.boards import DEFAULT_CLOCK
from tflm_train.cost.cores import Core
from tflm_train.cost.estimate import StepCost, step_cost
from tflm_train.cost.flash import flash_bytes
from tflm_train.cost.report import FlashReport, TimeReport, flash_report, time_report
from tflm_train.errors import UnsupportedError
from tflm_train.memory import KernelSet, memory_report
from tflm_train.memory.report import Arena, Peak
from tflm_train.model import Graph, Model, Tensor
from tflm_train.model.layers import Layer, list_layers
from tflm_train.model.per_channel import channel_layers, channel_notes, drop_channel_layers
from tflm_train.model.prepared import prepared
from tflm_train.model.runnable import missing_kernels
from tflm_train.records import sometimes
from tflm_train.rewriter.default_training import DefaultTraining
from tflm_train.rewriter.layer_costs import LayerCosts
from tflm_train.scheme.gradient_path import GradientPath, gradient_path, why_no_loss

_BIAS_BYTES = 4


@dataclass(frozen=True)
class Interface:
    """An input or output.

    Attributes:
      name: The tensor's name.
      type: `INT8`, `FLOAT32` and so on.
      shape: Elements along each axis, the batch first.
      scale: The real value of one step; left out where the tensor is not quantized.
      zero_point: What stands for 0; left out likewise.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    scale: float | None = sometimes()
    zero_point: int | None = sometimes()


@dataclass(frozen=True)
class LayerInspection:
    """A layer that could train, or why it cannot.

    Attributes:
      index: Its number in schemes.
      name: Its name, which schemes take as well.
      op: Its operator.
      op_index: Its place among all operators.
      input_shape: Elements along each axis of its input.
      output_shape: Of its output.
      weight_shape: Of its weights, as the file has them.
      macs: Multiply-accumulates of one inference.
      weight_bytes: Of its weights in flash.
      bias_bytes: Of its biases in flash.
      cycles: Of one inference, estimated.
      bias_kept_bytes: The layer's own part of what training its biases keeps: them, and its clamp
        mask. No bound of what that adds to the arena, where the layers behind it keep masks as
        well, and gradients need RAM while they pass: that is `added`.
      weight_kept_bytes: Its own part of what training its weights keeps: them, their residual
        (`residual_bits: 8`), the biases, the mask and the input activation; likewise.
      trainable: Whether it can train.
      why_not: The reason; null where it can.
      added: What training it really adds, where that was measured.
    """

    index: int
    name: str
    op: str
    op_index: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    macs: int
    weight_bytes: int
    bias_bytes: int
    cycles: int
    bias_kept_bytes: int
    weight_kept_bytes: int
    trainable: bool
    why_not: str | None
    added: LayerCosts | None = sometimes()


@dataclass(frozen=True)
class Inspection:
    """A model as `tflm_train inspect` describes it.

    Attributes:
      model: The file's name.
      bytes: Its size.
      inputs: Its inputs.
      outputs: Its outputs.
      ops: How many operators there are, by name.
      losses: By loss, why the output cannot be trained with it; null where it can.
      barriers: The operators that no gradient passes; what lies before them stays frozen.
      kernels: What runs the builtin operators, for the arena.
      arena: The arena of one inference on a Cortex-M.
      peak: Where most of it is in use.
      flash: What the model takes in flash.
      time: The estimated time of one inference.
      layers: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV in execution order.
      notes: What is changed of the model when it is rewritten, and what TFLM cannot run of it.
      training: What `rewrite` makes of it without options; null where it makes nothing of it, or
        another output than the first is inspected.
      why_no_training: Why it makes nothing of it; null where it does.
    """

    model: str
    bytes: int
    inputs: tuple[Interface, ...]
    outputs: tuple[Interface, ...]
    ops: dict[str, int]
    losses: dict[str, str | None]
    barriers: tuple[str, ...]
    kernels: str
    arena: Arena
    peak: Peak
    flash: FlashReport
    time: TimeReport
    layers: tuple[LayerInspection, ...]
    notes: tuple[str, ...]
    training: DefaultTraining | None = None
    why_no_training: str | None = None


def inspect_model(
    model: Model,
    kernels: KernelSet | str = KernelSet.CMSIS_NN,
    output: int = 0,
    *,
    core: Core | None = None,
    clock: int = DEFAULT_CLOCK,
    added: Mapping[int, LayerCosts] | None = None,
) -> Inspection:
    """Describes a model's layers.

    Args:
      model: Any .tflite model.
      kernels: What runs the builtin operators; only the arena's numbers depend on it.
      output: Index of the output that is to train.
      core: What the time is estimated for; None: a core on which these kernels run.
      clock: Its clock, in Hz.
      added: What training each layer adds, of `measure_layers`; None: it was not measured.

    Returns:
      The description.
    """
    source = len(model.source)
    model, notes = _as_rewritten(model)
    plain = Model(model.source, model.name)
    drop_channel_layers(plain.graph)
    losses = {name: why_no_loss(model, name, output) for name in LOSS_RULES}
    path = gradient_path(model, output)
    memory = memory_report(plain, kernels)
    core = Core.of(memory.kernels) if core is None else core
    step = step_cost(model.graph.ops, core, memory.kernels)
    measured = {} if added is None else added
    return Inspection(
        model=model.name,
        bytes=source,
        inputs=tuple(_interface(t) for t in model.graph.inputs),
        outputs=tuple(_interface(t) for t in model.graph.outputs),
        ops=dict(Counter(op.name for op in plain.graph.ops)),
        losses=losses,
        barriers=path.barriers,
        kernels=str(memory.kernels),
        arena=memory.arena(),
        peak=memory.peak(),
        flash=flash_report(flash_bytes(source, plain.graph.ops, core)),
        time=time_report(step_cost(plain.graph.ops, core, memory.kernels), clock),
        layers=tuple(
            _describe(model.graph, layer, path, step, measured.get(layer.index))
            for layer in list_layers(model.graph)
        ),
        notes=notes,
    )


def _as_rewritten(model: Model) -> tuple[Model, tuple[str, ...]]:
    """The model for one sample, where that can be, and what there is to say."""
    missing = tuple(f"TFLM cannot run {m.reason}" for m in missing_kernels(model))
    try:
        model = prepared(model)
    except UnsupportedError as error:
        return model, (str(error), *missing)
    return model, (*model.notes, *channel_notes(channel_layers(model.graph)), *missing)


def _interface(tensor: Tensor) -> Interface:
    is_quantized = tensor.quantization is not None
    return Interface(
        name=tensor.name,
        type=tensor.type_name,
        shape=tuple(tensor.shape),
        scale=tensor.scale if is_quantized else None,
        zero_point=tensor.zero_point if is_quantized else None,
    )


def _describe(
    graph: Graph, layer: Layer, path: GradientPath, step: StepCost, added: LayerCosts | None
) -> LayerInspection:
    reason = path.why_not_weights(graph, layer)
    output = layer.op.output
    bias_count = 0 if layer.bias is None else layer.bias.size
    rule = RULES.get(layer.op.name)
    mask = 0
    if reason is None and rule is not None and rule.clamp(layer.op) is not None:
        mask = -(-output.size // 8)
    bias_ram = _BIAS_BYTES * bias_count + mask
    return LayerInspection(
        index=layer.index,
        name=layer.name,
        op=layer.op.name,
        op_index=layer.op_index,
        input_shape=tuple(layer.x.shape),
        output_shape=tuple(output.shape),
        weight_shape=tuple(layer.weights.shape),
        macs=layer.macs,
        weight_bytes=layer.weights.nbytes,
        bias_bytes=_BIAS_BYTES * bias_count,
        cycles=round(step.per_op[layer.op_index].cycles),
        bias_kept_bytes=bias_ram,
        # Weights and their 8-bit residual, the bias, and the input activation that must stay alive.
        weight_kept_bytes=2 * layer.weights.size + bias_ram + layer.x.nbytes,
        trainable=reason is None,
        why_not=reason,
        added=added,
    )
