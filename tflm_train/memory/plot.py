"""The arena as a picture: which buffer lives where and when, and where the peak is."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from tflm_train import ops
from tflm_train.errors import RuntimeFailure
from tflm_train.graph.names import without_common_folder
from tflm_train.memory.planner import Buffer
from tflm_train.memory.purpose import Purpose, purpose_of
from tflm_train.memory.report import MemoryReport
from tflm_train.memory.ticks import size_words, ticks

_COLOURS = {
    Purpose.FORWARD: "#9ecae1",
    Purpose.KEPT: "#fd8d3c",
    Purpose.MASK: "#9e6ab8",
    Purpose.GRADIENT: "#74c476",
    Purpose.SCRATCH: "#969696",
}
_PART_COLOURS = ("#9ecae1", "#969696", "#e6550d", "#bcbddc", "#c7c7c7", "#dddddd", "#74c476")
_PEAK = "#cb181d"
_NAME_SIZE = 6.5  # Points.
_SHORTEST_NAME = 8  # Characters; fewer tell nothing.
_TITLE_WIDTH = 130


def draw_memory(report: MemoryReport) -> bytes:
    """Draws a report.

    Args:
      report: What to draw.

    Returns:
      A PNG file: x is the operator, y the offset in the arena, one rectangle per buffer; beside it
      the whole arena by purpose.

    Raises:
      RuntimeFailure: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RuntimeFailure("plots need matplotlib: pip install tflm_train[plot]") from error
    figure = Figure(figsize=(15, 7.5), layout="constrained")
    timeline, parts = figure.subplots(1, 2, width_ratios=(8, 1.6))
    _draw_timeline(timeline, report)
    _draw_parts(parts, report)
    figure.draw_without_rendering()  # Only then is known how much room there is for names.
    _name_buffers(timeline, report)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _draw_timeline(axis: Any, report: MemoryReport) -> None:
    count, height = len(report.op_names), max(1, report.plan.bytes)
    loss = report.first_training_op
    if loss is not None:
        axis.axvspan(loss - 0.5, count - 0.5, color="#fff3e0", zorder=0)
        axis.text(loss - 0.4, height * 1.02, "backward pass", fontsize=9, color="#b35806")
    used = set()
    for buffer in report.plan.buffers:
        purpose = purpose_of(buffer, report)
        left, width = _span(buffer)
        axis.bar(
            left, buffer.size, width, buffer.offset, align="edge", color=_COLOURS[purpose],
            edgecolor="white", linewidth=0.4, label=None if purpose in used else str(purpose),
            zorder=2,
        )  # fmt: skip
        used.add(purpose)
    live = report.plan.live_bytes()
    axis.step(range(-1, len(live) - 1), live, where="mid", color="black", linewidth=0.9, zorder=3,
              label="bytes alive")  # fmt: skip
    op = report.peak_op
    axis.axvline(op, color=_PEAK, linestyle="--", linewidth=1.2, zorder=4, label="peak")
    name = report.op_names[op].removeprefix(ops.OP_PREFIX) if op >= 0 else "inputs"
    blamed = ", ".join(f"{_short_name(b)} {size_words(b.size)}" for b in report.peak_buffers()[:3])
    peak = f"peak: op {op} ({name}), {size_words(report.peak_bytes)} alive: {blamed}"
    title = f"{report.model}: {size_words(report.total_bytes)} of arena, {report.kernels} kernels"
    axis.set_title(
        f"{title}\n{textwrap.shorten(peak, _TITLE_WIDTH, placeholder=' …')}", fontsize=11
    )
    at = ticks(height, 8, binary=True)
    axis.set(
        xlim=(-1.5, count - 0.5), ylim=(0, height * 1.07), xlabel="operator",
        ylabel="offset in the arena", xticks=ticks(count - 1, 12), yticks=at,
        yticklabels=[size_words(value) for value in at],
    )  # fmt: skip
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=7, fontsize=9, frameon=False)


def _span(buffer: Buffer) -> tuple[float, int]:
    """Where a buffer begins on the axis of operators, and over how many it reaches."""
    return buffer.first - 1.5, buffer.last - buffer.first + 1


def _name_buffers(axis: Any, report: MemoryReport) -> None:
    """Writes names where there is room: along a rectangle, or up it."""
    buffers = report.plan.buffers
    names = without_common_folder([_short_name(buffer) for buffer in buffers])
    box = axis.get_window_extent()
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    # Of DejaVu Sans, matplotlib's own font, a character is 0.6 of its size wide on average.
    line = _NAME_SIZE * axis.figure.dpi / 72
    character = 0.6 * line
    for name, buffer in zip(names, buffers, strict=True):
        begin, span = _span(buffer)
        width = box.width * span / (right - left)
        height = box.height * buffer.size / (high - low)
        rotation = 0 if width >= height or width >= character * len(name) else 90
        along, across = (height, width) if rotation else (width, height)
        room = int(along / character) - 2
        if across < 1.25 * line or room < _SHORTEST_NAME:
            continue
        sized = f"{name} {size_words(buffer.size)}"
        text = sized if len(sized) <= room else name
        if len(text) > room:
            text = "…" + text[len(text) - room + 1 :]
        axis.text(
            begin + span / 2, buffer.offset + buffer.size / 2, text, rotation=rotation,
            ha="center", va="center", fontsize=_NAME_SIZE, zorder=5,
        )  # fmt: skip


def _short_name(buffer: Buffer) -> str:
    return buffer.name.split(";")[0]


def _draw_parts(axis: Any, report: MemoryReport) -> None:
    total = max(1, report.total_bytes)
    bottom = 0
    shown: list[tuple[float, float, str]] = []
    for (label, size), colour in zip(report.arena().parts().items(), _PART_COLOURS, strict=True):
        if size > 0:
            axis.bar(
                0, size, 1, bottom, align="edge", color=colour, edgecolor="white", linewidth=0.5
            )
            text = f"{size_words(size)} {textwrap.fill(label, 14)}"
            shown.append((bottom + size / 2, 0.026 * total * (1 + text.count("\n")), text))
            bottom += size
    places = _apart([(y, height) for y, height, _ in shown], total)
    for y, (_, _, words) in zip(places, shown, strict=True):
        axis.text(1.1, y, words, va="center", fontsize=8)
    at = ticks(total, 6, binary=True)
    axis.set(xlim=(0, 3.2), ylim=(0, total * 1.04), title="whole arena", xticks=[], yticks=at,
             yticklabels=[size_words(value) for value in at])  # fmt: skip
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _apart(wanted: list[tuple[float, float]], most: float) -> list[float]:
    """Where labels stand, from below: where they are wanted, or as near as there is room.

    Args:
      wanted: The middle and the height of each.
      most: The end of the axis.
    """
    places: list[float] = []
    end = 0.0
    for middle, height in wanted:
        places.append(max(middle, end + height / 2))
        end = places[-1] + height / 2
    end = most * 1.03
    for i in reversed(range(len(wanted))):
        places[i] = min(places[i], end - wanted[i][1] / 2)
        end = places[i] - wanted[i][1] / 2
    return places
