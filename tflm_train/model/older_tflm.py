"""What trees of TFLM that people still ship compute otherwise than today's.

Found in its history, and by running models in trees of five dates (docs/TRAIN_ON_YOUR_BOARD.md).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from tflm_train.errors import UnsupportedError
from tflm_train.graph import Op
from tflm_train.model.model import Model


class Tflm(enum.StrEnum):
    """Of which year the firmware's TFLM is, or newer."""

    ANY = "any"
    SINCE_2023 = "2023"
    SINCE_2024 = "2024"
    SINCE_2026 = "2026"


def require_same_answers(model: Model, tflm: Tflm) -> tuple[str, ...]:
    """Refuses a model that an older TFLM refuses or computes wrong, trained or not.

    Args:
      model: The model, as it comes from the factory.
      tflm: What the firmware may be built with; ANY asks for nothing, since a file that holds such
        an operator is wrong there before it trains.

    Returns:
      What is right there but rounds otherwise, so that states differ; sentences.

    Raises:
      UnsupportedError: An operator is computed wrong, or refused.
    """
    if tflm not in (Tflm.SINCE_2023, Tflm.SINCE_2024):
        return ()
    ops = list(enumerate(model.graph.ops))
    wrong = [f"op {index} ({op.outputs[0].short_name!r})" for index, op in ops if _is_wrong(op)]
    if wrong:
        raise UnsupportedError(
            f"{model.name}: FULLY_CONNECTED with a scale for each output channel, {wrong[0]}"
            f"{f' and {len(wrong) - 1} more' if wrong[1:] else ''}: TFLM takes the first channel's "
            "for all until 29 May 2024 and refuses it until 27 September 2024; ship a newer TFLM, "
            "or convert with per-tensor weights for dense layers"
        )
    return tuple(_rounded_otherwise(model, tflm))


def _is_wrong(op: Op) -> bool:
    weights = op.optional_input(1) if op.name == "FULLY_CONNECTED" else None
    return (
        weights is not None
        and weights.quantization is not None
        and not weights.quantization.per_tensor
    )


def _rounded_otherwise(model: Model, tflm: Tflm) -> Iterator[str]:
    means = [str(index) for index, op in enumerate(model.graph.ops) if op.name == "MEAN"]
    if means and tflm is Tflm.SINCE_2023:
        yield (
            f"TFLM until 18 April 2023 rounds MEAN (op {', '.join(means)}) otherwise: what is "
            "learnt there differs in bits from what is learnt here"
        )
