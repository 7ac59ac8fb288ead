"""What is wrong with a picture that matplotlib drew: texts that are cut, or upon each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

_SLACK = 1.0
"""Pixels: what a text's frame has beyond its letters."""


def figure_of(draw: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The figure that a function makes a file of."""
    seen: list[Figure] = []
    save = Figure.savefig

    def watched(figure: Figure, *arguments: Any, **options: Any) -> None:
        seen.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", watched)
    assert draw().startswith(b"\x89PNG")
    (figure,) = seen
    return figure


def texts_of(figure: Figure) -> Iterator[Text]:
    """All that can be read."""
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    beyond |= {tick.label1, tick.label2}
    for found in figure.findobj(Text):
        if found.get_visible() and found.get_text().strip() and found not in beyond:
            yield found


def faults_of(figure: Figure) -> list[str]:
    """Sentences about texts; none where all is well."""
    faults = []
    frames = [(t.get_text(), t.get_window_extent()) for t in texts_of(figure)]
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in frames:
        if min(box.x0, box.y0) < 0 or box.x1 > width or box.y1 > height:
            faults.append(f"{text!r} is cut")
    for i, (text, a) in enumerate(frames):
        for other, b in frames[:i]:
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            if wide > _SLACK and min(a.y1, b.y1) - max(a.y0, b.y0) > _SLACK:
                faults.append(f"{text!r} lies on {other!r}")
    return faults
