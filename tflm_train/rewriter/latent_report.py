"""What it costs and what it saves that a model trains from latents."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tflm_train.cost.estimate import op_cost
from tflm_train.rewriter.optimize import Choice
from tflm_train.rewriter.training_graph import FrozenPart, TrainingGraph

_KILOBYTE = 1024


@dataclass(frozen=True)
class LatentReport:
    """The latent of a model with `latent: true`.

    Attributes:
      shape: Its dimensions; int8.
      bytes: What one takes.
      per_kilobyte: How many a KB holds.
      ram_bytes: How much larger the arena is than without latents; negative where the STREAMs that
        the frozen layers become make it smaller.
      saved: The share of a training step's instructions that a step from a latent leaves out;
        estimated.
      always_run: The frozen operators that run in every step, by name: they have no form that can
        be left out, and cost little.
    """

    shape: tuple[int, ...]
    bytes: int
    per_kilobyte: float
    ram_bytes: int
    saved: float
    always_run: tuple[str, ...]


def describe_latent(
    graph: TrainingGraph, frozen: FrozenPart, choice: Choice, ram_bytes: int
) -> LatentReport:
    """Describes the latent of a finished rewrite.

    Args:
      graph: Its model's ops are final.
      frozen: What a step from a latent leaves out.
      choice: How the forward layers run, and what the time is estimated for.
      ram_bytes: By how much the arena has grown.

    Returns:
      The description.
    """
    ops = graph.model.graph.ops
    costs = [op_cost(op, choice.timed_core, choice.kernels).instructions for op in ops]
    gated = [op.inputs[-1] is frozen.source for op in ops]
    whole, left_out = sum(costs), sum(itertools.compress(costs, gated))
    return LatentReport(
        shape=frozen.latent.shape,
        bytes=frozen.latent.nbytes,
        per_kilobyte=round(_KILOBYTE / frozen.latent.nbytes, 2),
        ram_bytes=ram_bytes,
        saved=left_out / whole if whole else 0.0,
        always_run=tuple(op.name for op in ops if id(op) in frozen.ops),
    )
