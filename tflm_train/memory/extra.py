"""What training keeps in RAM beyond inference: the paper's formula, and what a rewrite keeps.

The formula is that of "On-Device Training Under 256KB Memory" (Lin et al., NeurIPS 2022). It counts
what must outlive the forward pass and the trained parameters themselves, and nothing else: for each
layer whose bias trains, one bit per output element and 32 bits per bias; for each layer whose
weights train, 8 bits per element of the input channels kept and 8 bits per updated weight.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tflm_train.memory.report import MemoryReport
from tflm_train.model import Model, Tensor
from tflm_train.model.layers import Layer
from tflm_train.trained.trainable_model import TrainableModel, Update, VariableKind

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
    trainable = TrainableModel.find(model)
    if trainable is None or report.first_training_op is None:
        return ExtraMemory(0, 0, 0, 0)
    loss = report.first_training_op + 1
    head = [] if trainable.head is None else _tensors(trainable.head)
    elsewhere = {id(t) for t in (*model.graph.outputs, *head)}
    kept = [
        b
        for b in report.plan.buffers
        if b.tensor is not None and 0 < b.first < loss < b.last and id(b.tensor) not in elsewhere
    ]
    mask_bytes = sum(b.size for b in kept if b.name.startswith(MASK_PREFIX))

    def bytes_of(kind: VariableKind) -> int:
        tensors = [v.tensor for v in trainable.variables if v.kind is kind]
        return sum(t.nbytes for t in tensors if id(t) not in elsewhere)

    return ExtraMemory(
        masks_bytes=mask_bytes,
        activations_bytes=sum(b.size for b in kept) - mask_bytes,
        weights_bytes=bytes_of(VariableKind.WEIGHTS),
        biases_bytes=bytes_of(VariableKind.BIAS),
        residuals_bytes=bytes_of(VariableKind.RESIDUAL),
        head_bytes=sum(t.nbytes for t in head),
    )


def _tensors(head: Update) -> list[Tensor]:
    """The classifier's variables and, where its weights train, its input."""
    variables = [variable.tensor for variable in head.variables]
    return variables if head.weights is None else [head.op.input, *variables]
