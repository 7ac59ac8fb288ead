"""The `optimizer` of a scheme: how a gradient becomes a step. Names and options are Keras'.

optimizer: sgd                                             # the default
optimizer: {name: sgd, gradient_accumulation_steps: 8}     # the weights move every 8 samples
optimizer: {name: sgd, weight_decay: 1e-4, clip_norm: 10}  # no extra memory
"""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.scheme.yaml_reader import ScalarReader

NAMES = ("sgd",)
MOST_ACCUMULATED = 1 << 15
_LARGEST_DECAY = 1e3
_LARGEST_NORM = 1e30


@dataclass(frozen=True)
class Optimizer:
    """How a gradient becomes a step.

    Attributes:
      name: The update rule; plain SGD, made to fit int8 weights by quantization-aware scaling.
      gradient_accumulation_steps: Samples whose mean gradient makes one step of the weights.
      weight_decay: Decoupled: each step takes `learning_rate * weight_decay` off a weight.
      clip_norm: The largest L2 norm of a layer's gradient, in real units; 0 for no limit.
    """

    name: str = NAMES[0]
    gradient_accumulation_steps: int = 1
    weight_decay: float = 0.0
    clip_norm: float = 0.0


def read_optimizer(reader: ScalarReader) -> Optimizer:
    """Reads the value of `optimizer`.

    Raises:
      SchemeError: An unknown optimizer or option, or a value out of range.
    """
    if not reader.is_mapping:
        return Optimizer(reader.choice(NAMES, NAMES[0]))
    mapping = reader.mapping()
    decay, norm = mapping.get("weight_decay"), mapping.get("clip_norm")
    optimizer = Optimizer(
        mapping.get("name").choice(NAMES, NAMES[0]),
        mapping.get("gradient_accumulation_steps").integer(1, 1, MOST_ACCUMULATED).value,
        0.0 if decay.absent else decay.number(0.0, _LARGEST_DECAY),
        0.0 if norm.absent else norm.number(0.0, _LARGEST_NORM),
    )
    mapping.finish()
    return optimizer
