"""The picture of the demonstration: loss and accuracy over the training steps."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tflm_train.errors import DataError

# Written into the picture, so that a later run knows its own work.
SIGNATURE = "tflm_train demo"
_WINDOW = 100  # steps
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
        DataError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DataError("the demo's picture needs matplotlib: pip install matplotlib") from error
    steps = len(losses)
    ends = np.linspace(0, steps, len(test_accuracy))
    shown = np.arange(_WINDOW, steps + 1)
    figure = Figure(figsize=(10, 4), dpi=130, layout="constrained")
    left, right_panel = figure.subplots(1, 2)

    left.plot(shown, _running_mean(losses), color=_BLUE, linewidth=1.6)
    left.set(title="Loss", ylabel="cross-entropy")
    left.set_ylim(bottom=0)

    right_panel.plot(
        shown,
        100 * _running_mean(right),
        color=_BLUE,
        linewidth=1.6,
        label=f"training digits (last {_WINDOW} steps)",
    )
    right_panel.plot(
        ends,
        100 * np.asarray(test_accuracy),
        color=_ORANGE,
        marker="o",
        linewidth=1.6,
        clip_on=False,
        label="test digits (turned, never trained on)",
    )
    right_panel.axhline(
        100 * upright_accuracy,
        color=_GREY,
        linestyle="--",
        linewidth=1,
        label="the same test digits before they were turned",
    )
    right_panel.set(title="Accuracy", ylabel="accuracy (%)", ylim=(0, 108))
    right_panel.legend(loc="lower right", frameon=False, fontsize=9)

    for panel in (left, right_panel):
        panel.set_xlabel("training step (one digit each)")
        panel.set_xlim(0, steps)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle("An int8 CNN learns turned digits in the unmodified TFLM interpreter")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": SIGNATURE})
    return stream.getvalue()


def is_picture(data: bytes) -> bool:
    """Whether these bytes are a picture that this module made."""
    return data[:4] == b"\x89PNG" and SIGNATURE.encode() in data[:1024]


def _running_mean(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Mean of each run of `_WINDOW` values."""
    kernel = np.full(_WINDOW, 1.0 / _WINDOW)
    return np.convolve(values.astype(np.float64), kernel, mode="valid")
