"""Texts in a picture: cut to the room that there is, and none upon another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

from tflm_train.pages.picture import halo

_ELLIPSIS = "…"
_NAME_SIZE = 8.0
"""Points, of a name beside a point."""
_AWAY = 10.0
"""Pixels from a point to its name."""
_FEWEST = 8
"""Characters of a name that is cut; fewer tell nothing."""
_PLACES = (0.5, 0.25, 0.75)
"""Of a rectangle's length, where the middle of a name may be."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, in pixels."""

    left: float
    low: float
    width: float
    height: float

    def holds(self, other: Box) -> bool:
        """Whether the other one lies within."""
        return (
            self.left <= other.left
            and other.left + other.width <= self.left + self.width
            and self.low <= other.low
            and other.low + other.height <= self.low + self.height
        )

    def meets(self, other: Box) -> bool:
        """Whether they have an area in common."""
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.low < other.low + other.height
            and other.low < self.low + self.height
        )


@dataclass(frozen=True)
class Label:
    """A text that has found its place.

    Attributes:
      text: What is written.
      x: Its middle, in pixels.
      y: Its middle, in pixels.
      is_up: Whether it is turned, to be read from below.
    """

    text: str
    x: float
    y: float
    is_up: bool


@dataclass
class Labels:
    """Finds places for texts of one size.

    Attributes:
      measure: The width and the height of a text, in pixels.
    """

    measure: Callable[[str], tuple[float, float]]
    _taken: list[Box] = field(default_factory=list)

    def place(self, box: Box, texts: Iterable[str]) -> Label | None:
        """Finds room in a rectangle, along it or up it.

        Args:
          box: Where.
          texts: What could be written, the best first; the last one may be cut.

        Returns:
          The label; None where there is no room.
        """
        wanted = list(texts)
        for text in wanted:
            for is_up in (False, True):
                if (label := self._try(box, text, is_up)) is not None:
                    return label
        for is_up in (False, True) if box.width >= box.height else (True, False):
            cut = self.cut(wanted[-1], box.height if is_up else box.width)
            if len(cut) >= _FEWEST and (label := self._try(box, cut, is_up)) is not None:
                return label
        return None

    def keep_free(self, box: Box) -> None:
        """Lets no text lie there."""
        self._taken.append(box)

    def beside(self, x: float, y: float, away: float, text: str, within: Box) -> Label | None:
        """Finds room around a point.

        Args:
          x: The point, in pixels.
          y: The point, in pixels.
          away: How far from it a text begins, in pixels.
          text: What is written.
          within: Beyond this is no room.

        Returns:
          The label; None where there is no room.
        """
        width, height = self.measure(text)
        for low in (y + away, y - away - height, y - height / 2):
            for left in (x + away, x - away - width):
                box = Box(left, low, width, height)
                if within.holds(box) and (label := self._try(box, text, is_up=False)) is not None:
                    return label
        return None

    def has_room(self, text: str, room: float) -> bool:
        """Whether a text is no longer than that, in pixels."""
        return self.measure(text)[0] <= room

    def cut(self, text: str, room: float) -> str:
        """A text without as much of its middle as there is no room for.

        Names of layers begin alike, and end in a number or in what the layer does.
        """
        if self.has_room(text, room):
            return text
        least, most = 0, len(text) - 1
        while least < most:
            middle = (least + most + 1) // 2
            if self.has_room(_without_middle(text, middle), room):
                least = middle
            else:
                most = middle - 1
        return _without_middle(text, least)

    def _try(self, box: Box, text: str, is_up: bool) -> Label | None:
        along, across = self.measure(text)
        width, height = (across, along) if is_up else (along, across)
        if width > box.width or height > box.height:
            return None
        for share in _PLACES:
            x, y = box.left + box.width / 2, box.low + box.height / 2
            if is_up:
                y = _within(box.low, box.height, height, share)
            else:
                x = _within(box.left, box.width, width, share)
            own = Box(x - width / 2, y - height / 2, width, height)
            if not any(own.meets(other) for other in self._taken):
                self._taken.append(own)
                return Label(text, x, y, is_up)
        return None


def measured(figure: Any, size: float) -> Callable[[str], tuple[float, float]]:
    """How large texts of so many points are on a `matplotlib.figure.Figure`, with some air."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.font_manager import FontProperties

    canvas: Any = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    font = FontProperties(size=size)

    @cache
    def measure(text: str) -> tuple[float, float]:
        width, height, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
        return width + 0.5 * height, 1.15 * height

    return measure


def name_points(axis: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Writes names beside points of a `matplotlib.axes.Axes` that is laid out, where there is room.

    They keep off lines where they can.

    Args:
      axis: With all else drawn.
      points: x, y and the name of each.
    """
    measure = measured(axis.figure, _NAME_SIZE)
    labels, off_lines = Labels(measure), Labels(measure)
    own = axis.get_window_extent()
    within = Box(own.x0, own.y0, own.width, own.height)
    places = [axis.transData.transform((x, y)) for x, y, _ in points]
    for x, y in places:
        labels.keep_free(_around(x, y))
    for x, y in _on_lines(axis):
        off_lines.keep_free(_around(x, y))
    for (x, y), (_, _, name) in zip(places, points, strict=True):
        away = [_AWAY * times for times in (1, 2, 3)]
        tries = [(which, a) for which in (off_lines, labels) for a in away]
        found = (which.beside(x, y, a, name, within) for which, a in tries)
        label = next((label for label in found if label is not None), None)
        if label is not None:
            width, height = measure(name)
            for which in (labels, off_lines):
                box = Box(label.x - width / 2, label.y - height / 2, width, height)
                which.keep_free(box)
            axis.text(
                *axis.transData.inverted().transform((label.x, label.y)), label.text,
                ha="center", va="center", fontsize=_NAME_SIZE, in_layout=False, zorder=5,
                path_effects=[halo("white")],
            )  # fmt: skip


def _around(x: float, y: float) -> Box:
    return Box(x - _AWAY / 2, y - _AWAY / 2, _AWAY, _AWAY)


def _on_lines(axis: Any) -> Iterator[tuple[float, float]]:
    """Points on the lines of an axis, in pixels, close enough for no name to pass between them."""
    for line in axis.lines:
        places = [axis.transData.transform(xy) for xy in line.get_xydata()]
        yield from places
        for (x, y), (to_x, to_y) in pairwise(places):
            count = int(max(abs(to_x - x), abs(to_y - y)) / _AWAY) + 1
            for i in range(count):
                yield x + (to_x - x) * i / count, y + (to_y - y) * i / count


def _without_middle(text: str, length: int) -> str:
    return text[: (length + 1) // 2] + _ELLIPSIS + text[len(text) - length // 2 :]


def _within(start: float, room: float, size: float, share: float) -> float:
    """The middle of what is `size` long, at a share of the room but not beyond it."""
    return min(max(start + share * room, start + size / 2), start + room - size / 2)
