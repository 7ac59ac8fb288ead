"""Charts as inline SVG: axes, lines, points with error bars; colours are those of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

_WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34
_TICKS = 5


@dataclass(frozen=True)
class Point:
    """A measured value.

    Attributes:
      x: Where.
      y: Its value.
      error: Its standard error; 0: none is drawn.
      title: What a pointer that rests on it is told.
      style: The CSS class.
      label: Text beside it.
    """

    x: float
    y: float
    error: float = 0.0
    title: str = ""
    style: str = "c1"
    label: str = ""


@dataclass
class Chart:
    """A chart of 360 units width, which text of 11 units can be read in on a phone.

    Attributes:
      x_title: What x is.
      y_title: What y is.
      height: Units.
      zero: Whether y reaches to zero.
      counts: Whether x counts something, and has no value between 1 and 2 to be named.
      y_range: Values that y reaches to in any case, so that charts can be compared.
    """

    x_title: str
    y_title: str
    height: int = 230
    zero: bool = False
    counts: bool = False
    y_range: Sequence[float] = ()
    _lines: list[tuple[list[tuple[float, float]], str]] = field(default_factory=list)
    _points: list[Point] = field(default_factory=list)

    def line(self, points: Iterable[tuple[float, float]], style: str = "c1") -> None:
        """Adds a line."""
        self._lines.append((list(points), style))

    def steps(self, points: Sequence[tuple[float, float]], end: float, style: str = "c1") -> None:
        """Adds a line that stays at a value until the next x."""
        made: list[tuple[float, float]] = []
        for place, (x, y) in enumerate(points):
            made += [(x, y), (points[place + 1][0] if place + 1 < len(points) else end, y)]
        self.line(made, style)

    def points(self, points: Iterable[Point]) -> None:
        """Adds points."""
        self._points += points

    def svg(self, name: str) -> str:
        """The chart; `name` says to those who cannot see it what it shows."""
        xs = [x for line, _ in self._lines for x, _ in line] + [p.x for p in self._points]
        ys = [y for line, _ in self._lines for _, y in line]
        ys += [p.y + sign * p.error for p in self._points for sign in (-1, 1)]
        if not xs:
            return "<p>Nothing was measured.</p>"
        x_axis = _Axis.over(xs, _LEFT, _WIDTH - _RIGHT, pad=0.04)
        ys += [*self.y_range, *([0.0] if self.zero else [])]
        y_axis = _Axis.over(ys, self.height - _BOTTOM, _TOP, pad=0.06)
        parts = [*self._grid(x_axis, y_axis)]
        for line, style in self._lines:
            path = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in line)
            parts.append(f'<polyline class="line {style}" points="{path}"/>')
        parts += [_point(p, x_axis, y_axis) for p in self._points]
        parts += self._labels(x_axis, y_axis)
        return (
            f'<svg viewBox="0 0 {_WIDTH} {self.height}" role="img" aria-label="{escape(name)}">'
            + "".join(parts)
            + "</svg>"
        )

    def _grid(self, x_axis: _Axis, y_axis: _Axis) -> Iterable[str]:
        right, bottom = _WIDTH - _RIGHT, self.height - _BOTTOM
        for value in y_axis.ticks():
            y = y_axis.at(value)
            style = "axis" if value == 0 else "grid"
            yield f'<line class="{style}" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            yield f'<text class="end" x="{_LEFT - 5}" y="{y + 3.5:.1f}">{_number(value)}</text>'
        for value in x_axis.ticks(whole=self.counts):
            x = x_axis.at(value)
            yield f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>'
            yield f'<text class="mid" x="{x:.1f}" y="{bottom + 13}">{_number(value)}</text>'
        middle = (_LEFT + right) / 2
        below = self.height - 6
        yield f'<text class="mid soft" x="{middle}" y="{below}">{escape(self.x_title)}</text>'
        place = f"transform='translate(13 {(bottom + _TOP) / 2}) rotate(-90)'"
        yield f'<text class="mid soft" {place}>{escape(self.y_title)}</text>'

    def _labels(self, x_axis: _Axis, y_axis: _Axis) -> Iterable[str]:
        """Texts beside points, moved down where they would lie on each other."""
        taken: list[tuple[float, float, float]] = []
        for p in sorted((p for p in self._points if p.label), key=lambda p: -p.y):
            x, y = x_axis.at(p.x), y_axis.at(p.y) - 7
            width = 5.6 * len(p.label)
            left = x - width - 6 > _LEFT and x + width + 8 > _WIDTH - _RIGHT
            start = x - width - 6 if left else x + 6
            while any(abs(y - b) < 11 and start < a + w and a < start + width for a, b, w in taken):
                y += 11
            taken.append((start, y, width))
            style, at = ("end", x - 6) if left else ("", x + 6)
            yield f'<text class="name {style}" x="{at:.1f}" y="{y:.1f}">{escape(p.label)}</text>'


@dataclass(frozen=True)
class _Axis:
    """Values from `low` to `high` at places from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    @staticmethod
    def over(values: Sequence[float], start: float, stop: float, pad: float) -> _Axis:
        low, high = min(values), max(values)
        room = pad * (high - low) or abs(high) * pad or 1.0
        return _Axis(low - room, high + room, start, stop)

    def at(self, value: float) -> float:
        """Where a value is."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self, *, whole: bool = False) -> list[float]:
        """Round values; where `whole`, none with a fraction."""
        rough = (self.high - self.low) / _TICKS
        size: float = 10 ** math.floor(math.log10(rough))
        step = next(size * x for x in (1, 2, 5, 10) if size * x >= rough)
        if whole:
            step = max(1.0, step)
        first = math.ceil(self.low / step)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step) + 1)]


def _point(p: Point, x_axis: _Axis, y_axis: _Axis) -> str:
    x, y = x_axis.at(p.x), y_axis.at(p.y)
    bar = ""
    if p.error:
        high, low = y_axis.at(p.y + p.error), y_axis.at(p.y - p.error)
        bar = f'<line class="bar" x1="{x:.1f}" y1="{high:.1f}" x2="{x:.1f}" y2="{low:.1f}"/>'
    dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
    return f'<g class="{p.style}"><title>{escape(p.title)}</title>{bar}{dot}</g>'


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
