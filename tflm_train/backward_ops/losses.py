"""Which losses a model can be trained with, and what each asks of the model's output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tflm_train import ops
from tflm_train.backward_ops import (
    mean_squared_error,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
)
from tflm_train.backward_ops.kernel import WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.loss import Loss, Smoothing
from tflm_train.backward_ops.numerics import Float32Array, Int8Array, Int32Array
from tflm_train.errors import UnsupportedError
from tflm_train.graph import Op, Tensor
from tflm_train.model import Model
from tflm_train.model.ending import ending_of
from tflm_train.ops.builtin import builtin_of
from tflm_train.ops.constants import LossKind, TargetKind

Condition = Callable[[Tensor], str | None]
"""Why the loss cannot be computed on these logits, None when it can."""


@dataclass(frozen=True)
class LossRule:
    """One loss.

    Attributes:
      name: In the scheme.
      kind: In the kernel.
      targets: What the scheme may say of the target: the first is the default.
      conditions: On the logits.
      summary: One sentence for the support table.
    """

    name: str
    kind: LossKind
    targets: dict[str, TargetKind]
    conditions: tuple[Condition, ...]
    summary: str


def way_to_int8(tensor: Tensor) -> str:
    """What to do about a model whose layers compute in another type than int8."""
    if tensor.type_name == "FLOAT32":
        return "make an int8 model of it: `tflm_train quantize MODEL --data D`"
    if tensor.type_name == "UINT8":
        return (
            "quantize the float model that it was made from: `tflm_train quantize FLOAT --data D`"
        )
    return "convert it with int8 activations"


def output_is_int8(logits: Tensor) -> str | None:
    """The output (before SOFTMAX, LOGISTIC or DEQUANTIZE) is int8 with one scale and zero point."""
    if logits.type_name != "INT8" or logits.quantization is None:
        return f"are {logits.type_name}, not quantized int8; {way_to_int8(logits)}"
    return None


def output_is_class_scores(logits: Tensor) -> str | None:
    """The output is a vector of at least 2 class scores, or a map of such vectors."""
    if not logits.shape or logits.shape[-1] < 2:
        return (
            f"have shape {logits.shape}; softmax_cross_entropy needs at least 2 classes; use "
            "`loss: sigmoid_cross_entropy` for yes or no, or `loss: mean_squared_error` for a value"
        )
    return None


SOFTMAX_CROSS_ENTROPY = LossRule(
    "softmax_cross_entropy",
    LossKind.SOFTMAX_CROSS_ENTROPY,
    {"label": TargetKind.INDEX, "probabilities": TargetKind.VALUES},
    (output_is_int8, output_is_class_scores),
    "One class of several, of the whole sample or at each position of a map (detectors, "
    "segmentation: then the mean over the positions); the target is a class index for each, or a "
    "teacher's probabilities.",
)
SIGMOID_CROSS_ENTROPY = LossRule(
    "sigmoid_cross_entropy",
    LossKind.SIGMOID_CROSS_ENTROPY,
    {"labels": TargetKind.VALUES},
    (output_is_int8,),
    "Any number of yes-or-no labels; the target is 0 to 1 for each. The mean over the labels.",
)
MEAN_SQUARED_ERROR = LossRule(
    "mean_squared_error",
    LossKind.MEAN_SQUARED_ERROR,
    {"values": TargetKind.VALUES, "input": TargetKind.INPUT},
    (output_is_int8,),
    "Regression and autoencoders (not behind SOFTMAX); the target is in real units, or the model's "
    "own input.",
)
LOSS_RULES: dict[str, LossRule] = {
    rule.name: rule for rule in (SOFTMAX_CROSS_ENTROPY, SIGMOID_CROSS_ENTROPY, MEAN_SQUARED_ERROR)
}


def find_logits(model: Model, loss: str = SOFTMAX_CROSS_ENTROPY.name, output: int = 0) -> Tensor:
    """The int8 tensor that a loss is computed on.

    It is the output before the loss's own activation, before DEQUANTIZE or QUANTIZE, which do not
    change real values, and before the choice of the largest; a change of shape behind one of these
    is none of the loss's business either.

    Args:
      model: The model.
      loss: Name of the loss.
      output: Index of the trained output.

    Raises:
      UnsupportedError: The loss cannot be computed on this output.
    """
    rule = LOSS_RULES[loss]
    graph = model.graph
    logits = graph.outputs[output]
    included: LossKind | None = rule.kind  # one activation at most
    for op in ending_of(graph, logits):
        row = builtin_of(op)
        assert row is not None
        if row.keeps_elements:
            continue  # It belongs to the ending only where something before it does.
        if row.loss is not None and row.loss is included:
            _require_plain(model, op)
            included = None
        elif row.loss is LossKind.SOFTMAX_CROSS_ENTROPY and rule is not SOFTMAX_CROSS_ENTROPY:
            raise UnsupportedError(
                f"{model.name}: output {output} ends in {op.name}, which only "
                f"softmax_cross_entropy takes in; use that loss, not {rule.name}"
            )
        elif row.chooses_largest and rule is not SOFTMAX_CROSS_ENTROPY:
            raise UnsupportedError(
                f"{model.name}: output {output} is the number of a class, which only "
                f"softmax_cross_entropy trains; use that loss, not {rule.name}"
            )
        elif row.loss is not None:
            break
        logits = op.input
    for condition in rule.conditions:
        reason = condition(logits)
        if reason is not None:
            raise UnsupportedError(
                f"{model.name}: output {output}'s logits {logits.name!r} {reason}"
            )
    return logits


def _require_plain(model: Model, op: Op) -> None:
    """A SOFTMAX has a beta, which the loss does not know."""
    beta = getattr(op.options, "beta", 1.0)
    if beta != 1.0:
        raise UnsupportedError(
            f"op {model.graph.index(op)} ({op.name}): beta is {beta}; only beta 1 trains; convert "
            "the model with beta 1"
        )


def find_target_input(model: Model, logits: Tensor) -> Tensor:
    """The int8 tensor of the model's first input, as the target of an autoencoder.

    Raises:
      UnsupportedError: The input is not int8 or has another number of elements than the output.
    """
    tensor = model.graph.inputs[0]
    if tensor.type_name == "FLOAT32":
        users = model.graph.consumers(tensor)
        row = builtin_of(users[0]) if len(users) == 1 else None
        if row is not None and row.keeps_real_values:
            tensor = users[0].output
    if tensor.type_name != "INT8" or tensor.quantization is None or tensor.size != logits.size:
        raise UnsupportedError(
            f"loss.target: {model.name}: input {tensor.name!r} ({tensor.type_name} {tensor.shape}) "
            f"cannot be the target of {logits.name!r} {logits.shape}; give the target as values "
            "(leave `target: input` out)"
        )
    return tensor


def smoothing_of(rule: LossRule, amount: float, size: int) -> Smoothing:
    """Label smoothing by `amount`: spread over the classes, or over yes and no."""
    parts = 2 if rule is SIGMOID_CROSS_ENTROPY else size
    return Smoothing(np.float32(1 - amount), np.float32(amount / parts))


def positions_of(rule: LossRule, logits: Tensor) -> int:
    """How many positions of its own a loss classifies one by one; 1 for a whole sample."""
    if rule.kind is not LossKind.SOFTMAX_CROSS_ENTROPY:
        return 1
    return logits.size // logits.shape[-1]


def loss_params(
    rule: LossRule, target: TargetKind, smoothing: float, logits: Tensor, source: Tensor, slot: int
) -> ops.Loss:
    """Parameters of the LOSS op.

    Args:
      rule: Which loss.
      target: What the target is.
      smoothing: Label smoothing, 0 to 1.
      logits: The int8 logits.
      source: The target tensor.
      slot: Of the gradient.
    """
    positions = positions_of(rule, logits)
    classes = logits.size // positions
    smooth = smoothing_of(rule, smoothing, classes)
    from_input = target is TargetKind.INPUT
    return ops.Loss(
        classes=classes,
        zero_point=logits.zero_point,
        scale=logits.scale,
        slot=slot,
        loss_kind=rule.kind,
        target_kind=target,
        keep=float(smooth.keep),
        spread=float(smooth.spread),
        target_scale=source.scale if from_input else 1.0,
        target_zero_point=source.zero_point if from_input else 0,
        positions=positions,
    )


def reference_loss(
    params: ops.Loss,
    logits: Int8Array,
    target: int | Float32Array | Int32Array | Int8Array,
    class_weights: Float32Array | None = None,
) -> Loss:
    """LOSS, whichever it is.

    Args:
      params: Of the op.
      logits: int8.
      target: A class index or int32 ones, float32 values, or the int8 input, as
        `params.target_kind` says.
      class_weights: float32, one per class.

    Raises:
      DataError: The target is out of range.
    """
    smoothing = Smoothing(np.float32(params.keep), np.float32(params.spread))
    scale, zero_point = np.float32(params.scale), params.zero_point
    if params.target_kind == TargetKind.INPUT:
        source = np.asarray(target, np.int8)
        target = mean_squared_error.dequantize(
            source, params.target_scale, params.target_zero_point
        )
    if params.loss_kind == LossKind.SOFTMAX_CROSS_ENTROPY:
        wanted: Float32Array | Int32Array = np.asarray(target, np.float32)
        if params.target_kind == TargetKind.INDEX:
            wanted = np.asarray(target, np.int32)
        return softmax_cross_entropy.loss(
            logits, wanted, scale, smoothing, class_weights, params.positions
        )
    values = np.asarray(target, np.float32)
    if params.loss_kind == LossKind.SIGMOID_CROSS_ENTROPY:
        return sigmoid_cross_entropy.loss(
            logits, values, scale, zero_point, smoothing, class_weights
        )
    return mean_squared_error.loss(logits, values, scale, zero_point)


def _loss(op: Op, params: ops.Loss, step: Step) -> None:
    inputs = ops.Loss.inputs_of(op)
    target = step.value(inputs.target) if step.target is None else step.target
    weights = step.optional(inputs.class_weights)
    result = reference_loss(params, step.value(inputs.logits), target, weights)
    step.loss = result.value
    step.store_gradient(op.output, params.slot, result.gradient)


KERNELS: Kernels = {ops.Loss: Kernel(_loss, lambda params: WORD * params.outputs)}
