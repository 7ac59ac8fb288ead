"""The `loss` of a scheme: a name, or a mapping with options.

loss: softmax_cross_entropy
loss: {name: softmax_cross_entropy, label_smoothing: 0.1, class_weights: [1, 2.5]}
loss: {name: softmax_cross_entropy, target: probabilities}    # distillation
loss: {name: mean_squared_error, target: input}               # an autoencoder
"""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.backward_ops.losses import LOSS_RULES, SOFTMAX_CROSS_ENTROPY, LossRule
from tflm_train.ops.constants import LossKind, TargetKind
from tflm_train.scheme.yaml_reader import MappingReader, ScalarReader

_LARGEST_WEIGHT = 1e3
_MOST_SMOOTHING = 0.9


@dataclass(frozen=True)
class Loss:
    """The training loss.

    Attributes:
      name: One of `LOSS_RULES`.
      target: What the target is; empty for the loss's ordinary one.
      label_smoothing: Share of the target that is spread evenly, in [0, 0.9].
      class_weights: What each class counts, empty for all the same.
    """

    name: str = SOFTMAX_CROSS_ENTROPY.name
    target: str = ""
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()

    @property
    def rule(self) -> LossRule:
        """What the loss asks of a model."""
        return LOSS_RULES[self.name]

    @property
    def target_kind(self) -> TargetKind:
        """What the target tensor holds."""
        targets = self.rule.targets
        return targets[self.target or next(iter(targets))]


def read_loss(reader: ScalarReader) -> Loss:
    """Reads the value of `loss`.

    Raises:
      SchemeError: An unknown loss or option, or one that the loss has no use for.
    """
    names = list(LOSS_RULES)
    if not reader.is_mapping:
        return Loss(reader.choice(names, names[0]))
    mapping = reader.mapping()
    name = mapping.get("name").choice(names, names[0])
    targets = list(LOSS_RULES[name].targets)
    target = mapping.get("target").choice(targets, targets[0])
    smoothing = mapping.get("label_smoothing")
    weights = mapping.get("class_weights")
    if LOSS_RULES[name].kind is LossKind.MEAN_SQUARED_ERROR:
        for option in (smoothing, weights):
            if not option.absent:
                raise option.error(f"{name} has no classes; leave it out")
    loss = Loss(
        name,
        "" if target == targets[0] else target,
        0.0 if smoothing.absent else smoothing.number(0.0, _MOST_SMOOTHING),
        tuple(item.number(0.0, _LARGEST_WEIGHT) for item in weights.items()),
    )
    _finish(mapping, loss)
    return loss


def _finish(mapping: MappingReader, loss: Loss) -> None:
    mapping.finish()
    if loss.class_weights and not any(loss.class_weights):
        raise mapping.error("class_weights are all zero: nothing would train")
