"""What training keeps in RAM beyond inference: the paper's formula, and what a rewrite keeps.

The formula is that of "On-Device Training Under 256KB Memory" (Lin et al., NeurIPS 2022). It counts
what must outlive the forward pass and the trained parameters themselves, and nothing else: for each
layer whose bias trains, one bit per output element and 32 bits per bias; for each layer whose
weights train, 8 bits per element of the input channels kept and 8 bits per updated weight.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tflm_train import kernel_abi as abi
from tflm_train.memory.planner import BufferKind
from tflm_train.memory.report import MemoryReport
from tflm_train.model import Model, Tensor
from tflm_train.model.layers import Layer

_BIAS_BYTES = 4
MASK_PREFIX = "train/mask/"  # of the names of clamp mask bits


@dataclass(frozen=True)
class ExtraMemory:
    """Bytes that training keeps beyond inference, by purpose.

    Attributes:
      masks_bytes: One bit per element of an output.
      activations_bytes: Inputs of layers whose weights train.
      weights_bytes: Trained weights.
      biases_bytes: Trained biases.
      residuals_bytes: Low bits of the weights (the paper has none).
      head_bytes: All that the classifier needs, which the paper does not count.
      total_bytes: All of it but the head's part, as the paper counts.
    """

    masks_bytes: int
    activations_bytes: int
    weights_bytes: int
    biases_bytes: int
    residuals_bytes: int = 0
    head_bytes: int = 0
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        kept = self.masks_bytes + self.activations_bytes + self.residuals_bytes
        object.__setattr__(self, "total_bytes", kept + self.weights_bytes + self.biases_bytes)


def analytic_extra_memory(
    layers: Collection[Layer], biases: Collection[int], weights: Mapping[int, int]
) -> ExtraMemory:
    """The paper's formula.

    Args:
      layers: All layers of the model; the paper does not count its classifier.
      biases: Indices of the layers whose bias trains.
      weights: For each layer whose weights train, by index, how many input channels do.

    Returns:
      The bytes.
    """
    masks = activations = updated = bias_bytes = 0
    for layer in layers:
        if layer.index in biases:
            masks += -(-layer.op.output.size // 8)
            bias_bytes += _BIAS_BYTES * layer.out_channels
        if layer.index in weights:
            channels = layer.x.shape[-1]
            kept = weights[layer.index]
            activations += layer.x.size // channels * kept
            updated += layer.weights.size // channels * kept
    return ExtraMemory(masks, activations, updated, bias_bytes)


def kept_memory(model: Model, report: MemoryReport) -> ExtraMemory:
    """The same account of a rewritten model, read off its plan and its variables.

    Args:
      model: The rewritten model.
      report: Its memory report.

    Returns:
      The bytes, all zero for a model that does not train. Activations count where they live from
      the forward into the backward pass.
    """
    if report.first_training_op is None:
        return ExtraMemory(0, 0, 0, 0)
    graph = model.graph
    loss = report.first_training_op + 1
    head = _head_tensors(model, report.first_training_op)
    of_head = {t.name for t in head}
    outputs = {t.name for t in graph.outputs}
    kept = [
        b
        for b in report.plan.buffers
        if b.kind is BufferKind.TENSOR
        and 0 < b.first < loss < b.last
        and b.name not in outputs | of_head
    ]
    mask_bytes = sum(b.size for b in kept if b.name.startswith(MASK_PREFIX))
    variables = [v for v in _restored(model) if v not in head]
    residuals = [v for v in variables if v.name.endswith("/residual")]
    weights = [v for v in variables if v.type_name == "INT8" and v not in residuals]
    biases = [v for v in variables if v.type_name == "INT32"]
    return ExtraMemory(
        masks_bytes=mask_bytes,
        activations_bytes=sum(b.size for b in kept) - mask_bytes,
        weights_bytes=sum(v.nbytes for v in weights),
        biases_bytes=sum(v.nbytes for v in biases),
        residuals_bytes=sum(v.nbytes for v in residuals),
        head_bytes=sum(t.nbytes for t in head),
    )


def _head_tensors(model: Model, loss: int) -> list[Tensor]:
    """The classifier's input and variables: those of the update that reads the loss's gradient."""
    gradient = model.graph.ops[loss].output
    for op in model.graph.ops[loss + 1 :]:
        if op.name in _UPDATES and gradient in op.inputs:
            shared = {id(t) for t in op.inputs[-2:]}  # scales, state
            trained = [
                t for t in op.inputs if t is not None and t.is_variable and id(t) not in shared
            ]
            return [op.input, *trained] if op.input is not gradient else trained
    return []


def _restored(model: Model) -> list[Tensor]:
    """What the restore op fills: weights, biases, residuals, scales, ranges."""
    ops = model.graph.ops
    return next((op.outputs[1:] for op in ops if op.name == _name(abi.RestoreParams)), [])


def _name(params: type[abi.OpParams]) -> str:
    return abi.OP_PREFIX + params.OP


_UPDATES = {
    _name(abi.ConvUpdateParams),
    _name(abi.DepthwiseUpdateParams),
    _name(abi.BiasUpdateParams),
}
