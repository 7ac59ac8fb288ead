"""The picture of the demonstration: loss and accuracy over the training steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tflm_train.pages.picture import picture

# Written into the picture, so that a later run knows its own work.
SIGNATURE = "tflm_train demo"
_WINDOW = 100  # steps
_HEIGHT = 3.3  # inches
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d9730d", "#6b7280"


def learning_curve(
    losses: npt.NDArray[np.float32],
    right: npt.NDArray[np.bool_],
    test_accuracy: Sequence[float],
    upright_accuracy: float,
) -> bytes:
    """Draws two panels, loss and accuracy over the steps, as a PNG.

    Args:
        losses: [steps], of each step before its update.
        right: [steps], whether the step's sample was recognised before its update.
        test_accuracy: [epochs + 1], before training and after each epoch, in [0, 1].
        upright_accuracy: of the factory model before the field changed, in [0, 1].

    Raises:
        RuntimeFailure: matplotlib is not installed.
    """

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, 2)
        _draw_loss(panels[0], losses)
        _draw_accuracy(panels[1], right, test_accuracy, upright_accuracy)
        for panel in panels:
            panel.set_xlabel("training step (one digit each)")
            panel.set_xlim(0, len(losses))
        figure.suptitle("An int8 CNN learns turned digits in the unmodified TFLM interpreter")

    return picture(_HEIGHT, draw, Software=SIGNATURE)


def _draw_loss(panel: Any, losses: npt.NDArray[np.float32]) -> None:
    panel.plot(np.arange(_WINDOW, len(losses) + 1), _running_mean(losses), color=_BLUE)
    panel.set(title="Loss", ylabel="cross-entropy")
    panel.set_ylim(bottom=0)


def _draw_accuracy(
    panel: Any,
    right: npt.NDArray[np.bool_],
    test_accuracy: Sequence[float],
    upright_accuracy: float,
) -> None:
    panel.plot(
        np.arange(_WINDOW, len(right) + 1),
        100 * _running_mean(right),
        color=_BLUE,
        label=f"training digits (last {_WINDOW} steps)",
    )
    panel.plot(
        np.linspace(0, len(right), len(test_accuracy)),
        100 * np.asarray(test_accuracy),
        color=_ORANGE,
        marker="o",
        clip_on=False,
        label="test digits (turned, never trained on)",
    )
    panel.axhline(
        100 * upright_accuracy,
        color=_GREY,
        linestyle="--",
        linewidth=1,
        label="the same test digits before they were turned",
    )
    panel.set(title="Accuracy", ylabel="accuracy (%)", ylim=(0, 108))
    panel.legend(loc="lower right")


def is_picture(data: bytes) -> bool:
    """Whether these bytes are a picture that this module made."""
    return data[:4] == b"\x89PNG" and SIGNATURE.encode() in data[:1024]


def _running_mean(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Mean of each run of `_WINDOW` values."""
    kernel = np.full(_WINDOW, 1.0 / _WINDOW)
    return np.convolve(values.astype(np.float64), kernel, mode="valid")
