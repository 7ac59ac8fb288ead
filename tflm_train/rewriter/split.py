"""Two models instead of one: the trunk gives a sample's latent, the tail trains on it."""

from __future__ import annotations

from dataclasses import dataclass

from tflm_train.data.preparation import METADATA_NAME as PREPARATION
from tflm_train.errors import BudgetError, UnsupportedError
from tflm_train.memory import KernelSet, memory_report
from tflm_train.memory.report import Arena
from tflm_train.model import Model
from tflm_train.model.kinds import is_model
from tflm_train.trained.cut import cut, target_of_input

METADATA_NAME = "tflm_train.trunk"


@dataclass(frozen=True)
class PartReport:
    """One of the two models.

    Attributes:
      output: Its file.
      bytes: The file's size.
      arena: Its arena on a Cortex-M.
    """

    output: str
    bytes: int
    arena: Arena


@dataclass(frozen=True)
class SplitReport:
    """The two models that `--split` writes.

    Attributes:
      latent_shape: What goes from one to the other; int8.
      latent_bytes: What one latent takes.
      trunk: An ordinary model for inference: from the sample to the latent.
      tail: From the latent on; it trains. Its fingerprint and states are those of a model in one
        piece.
    """

    latent_shape: tuple[int, ...]
    latent_bytes: int
    trunk: PartReport
    tail: PartReport

    def require_fit(self, budget: float) -> None:
        """Keeps both within a budget, as the model in one piece is.

        Args:
          budget: Bytes of RAM for an arena, or infinite.

        Raises:
          BudgetError: One of the arenas is larger.
        """
        for part in (self.trunk, self.tail):
            needed = part.arena.minimum_bytes
            if needed > budget:
                raise BudgetError(
                    f"{part.output} would need {needed:,} bytes of arena, {needed - budget:,} more "
                    f"than the budget of {budget:,}; leave out --split, take a smaller --preset or "
                    "scheme, or a larger --budget"
                )


@dataclass(frozen=True)
class Split:
    """Both models, not yet written.

    Attributes:
      trunk: The first's file.
      tail: The second's.
      latent_shape: What goes from one to the other.
    """

    trunk: bytes
    tail: bytes
    latent_shape: tuple[int, ...]

    def report(self, trunk: str, tail: str, kernels: KernelSet) -> SplitReport:
        """Describes both, given the names of their files."""
        parts = [
            PartReport(name, len(data), memory_report(Model(data, name), kernels).arena())
            for name, data in ((trunk, self.trunk), (tail, self.tail))
        ]
        latent = Model(self.tail).graph.inputs[0]
        return SplitReport(self.latent_shape, latent.nbytes, *parts)


def is_trunk(data: bytes) -> bool:
    """Whether these bytes are a trunk that was split off."""
    return is_model(data) and METADATA_NAME.encode() in data


def split_model(rewritten: bytes, name: str) -> Split:
    """Cuts a rewritten model before its trained part.

    Args:
      rewritten: A model whose frozen part is `apart` (see `rewrite`).
      name: What to call it in messages.

    Returns:
      Both parts.

    Raises:
      UnsupportedError: Nothing is frozen before what trains, or it cannot be cut there.
    """
    model = Model(rewritten, name)
    parts = cut(model, sample_beside=False)
    if parts.trunk is None and target_of_input(model.graph) is not None:
        raise UnsupportedError(
            f"{name}: it learns its own input, so that the trained part needs the sample itself "
            "and no latent will do; leave out --split"
        )
    if parts.trunk is None:
        raise UnsupportedError(
            f"{name}: nothing is frozen before what trains, so that there is nothing to split off; "
            "leave out --split, or train fewer of the first layers"
        )
    latent = parts.tail.graph.inputs[0]
    trunk = Model(parts.trunk.source, name)
    trunk.set_metadata(METADATA_NAME, b"{}")
    # What is said of samples is not true of latents.
    tail = Model(parts.tail.source, name)
    if tail.drop_metadata(PREPARATION):
        return Split(trunk.to_bytes(), tail.to_bytes(), latent.shape)
    return Split(trunk.to_bytes(), parts.tail.source, latent.shape)
