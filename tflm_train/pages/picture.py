"""Pictures as PNG files: of one width, with type that is still read when it shrinks to a phone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from tflm_train.errors import RuntimeFailure

WIDTH = 8.0
"""Inches. At 640 pixels' width a point is 1.1 pixels then."""
_DPI = 200
_STYLE = {
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "text.parse_math": False,  # A name may hold dollar signs.
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    # A picture is shown on pages of any colour.
    "figure.facecolor": "white",
}


def require_matplotlib(wanted_by: str) -> None:
    """Refuses before the work begins.

    Args:
      wanted_by: What cannot be done without it.

    Raises:
      RuntimeFailure: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RuntimeFailure(
            f"{wanted_by} needs matplotlib: pip install 'tflm_train[plot]'"
        ) from error


def halo(colour: str) -> Any:
    """A path effect that keeps a text legible where lines cross it; `colour` is that behind it."""
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=2, foreground=colour)


def whole_numbers() -> Any:
    """A locator of ticks for axes on which there is nothing between 1 and 2."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=8, integer=True, min_n_ticks=1)


def picture(height: float, draw: Callable[[Any], None], **metadata: str) -> bytes:
    """Makes a picture.

    Args:
      height: Inches.
      draw: Draws on a `matplotlib.figure.Figure`.
      **metadata: What the file says of itself.

    Returns:
      A PNG file.

    Raises:
      RuntimeFailure: matplotlib is not installed.
    """
    require_matplotlib("a picture")
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(WIDTH, height), dpi=_DPI, layout="constrained")
        draw(figure)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata=metadata)
        return stream.getvalue()
