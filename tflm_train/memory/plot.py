"""The arena as a picture: which buffer lives where and when, and where the peak is."""

from __future__ import annotations

import textwrap
from typing import Any

from tflm_train import ops
from tflm_train.graph.names import without_common_folder
from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.memory.planner import Buffer, BufferKind
from tflm_train.memory.purpose import Purpose, purpose_of
from tflm_train.memory.report import MemoryReport
from tflm_train.memory.ticks import size_words, ticks
from tflm_train.pages.labels import Box, Labels, measured
from tflm_train.pages.picture import halo, picture

_COLOURS = {
    Purpose.FORWARD: "#9ecae1",
    Purpose.KEPT: "#fd8d3c",
    Purpose.MASK: "#bc9ad0",
    Purpose.GRADIENT: "#74c476",
    Purpose.SCRATCH: "#b3b3b3",
}
_PART_COLOURS = ("#9ecae1", "#b3b3b3", "#e6550d", "#bcbddc", "#c7c7c7", "#dddddd", "#74c476")
_PEAK = "#cb181d"
_BACKWARD = "#fff3e0"
_HEIGHT = 4.9  # Inches.
_NAME_SIZE = 6.5  # Points.
_WIDEST_PART = 3.6
"""Of the whole arena, bars are 1 wide and what is said of them takes the rest."""


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
    return picture(_HEIGHT, lambda figure: _draw(figure, report))


def _draw(figure: Any, report: MemoryReport) -> None:
    timeline, parts = figure.subplots(1, 2, width_ratios=(5.6, 1.5))
    _draw_timeline(timeline, report)
    _draw_parts(parts, report)
    figure.legend(*timeline.get_legend_handles_labels(), loc="outside lower center", ncols=7,
                  columnspacing=1.2, handlelength=1.4)  # fmt: skip
    figure.draw_without_rendering()  # Only then is known how much room there is for names.
    _title(timeline, report)
    _name_buffers(timeline, report)


def _draw_timeline(axis: Any, report: MemoryReport) -> None:
    count, height = len(report.op_names), max(1, report.plan.bytes)
    loss = report.first_training_op
    if loss is not None:
        axis.axvspan(loss - 0.5, count - 0.5, color=_BACKWARD, zorder=0)
        axis.text(count - 0.7, height * 1.02, "backward pass", ha="right", color="#b35806",
                  zorder=5, path_effects=[halo(_BACKWARD)])  # fmt: skip
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
    axis.step(range(-1, len(live) - 1), live, where="mid", color="black", linewidth=0.8, zorder=3,
              label="bytes alive")  # fmt: skip
    axis.axvline(report.peak_op, color=_PEAK, linestyle="--", linewidth=1, zorder=4, label="peak")
    at = ticks(height, 8, binary=True)
    axis.set(
        title="\n", xlim=(-1.5, count - 0.5), ylim=(0, height * 1.07), xlabel="operator",
        ylabel="offset in the arena", xticks=ticks(count - 1, 12), yticks=at,
        yticklabels=[size_words(value) for value in at],
    )  # fmt: skip
    axis.grid(visible=False)


def _span(buffer: Buffer) -> tuple[float, int]:
    """Where a buffer begins on the axis of operators, and over how many it reaches."""
    return buffer.first - 1.5, buffer.last - buffer.first + 1


def _title(axis: Any, report: MemoryReport) -> None:
    """Of which model it is, and what is to blame for the peak: as much as there is room for."""
    op = report.peak_op
    name = report.op_names[op].removeprefix(ops.OP_PREFIX) if op >= 0 else "inputs"
    blamed = [
        f"{'scratch' if b.kind is BufferKind.SCRATCH else _layer_of(_short_name(b))} "
        f"{size_words(b.size)}"
        for b in report.peak_buffers()
    ]
    total = f": {size_words(report.total_bytes)} of arena, {report.kernels} kernels"
    labels = Labels(measured(axis.figure, 8.5))
    room = axis.get_window_extent().width
    model = labels.cut(report.model, room - labels.measure(total)[0])
    peak = f"peak {size_words(report.peak_bytes)} at op {op} ({name}): "
    lines = [peak + ", ".join(blamed[:count]) for count in (3, 2, 1)]
    shown = next((line for line in lines if labels.has_room(line, room)), peak.removesuffix(": "))
    axis.set_title(f"{model}{total}\n{shown}", fontsize=8.5)


def _name_buffers(axis: Any, report: MemoryReport) -> None:
    """Writes names where there is room, into the largest rectangles first."""
    buffers = report.plan.buffers
    labels = Labels(measured(axis.figure, _NAME_SIZE))
    names = without_common_folder([_short_name(buffer) for buffer in buffers])
    to_pixels, to_data = axis.transData, axis.transData.inverted()
    for name, buffer in sorted(zip(names, buffers, strict=True), key=lambda x: -_area(x[1])):
        begin, span = _span(buffer)
        left, low = to_pixels.transform((begin, buffer.offset))
        right, high = to_pixels.transform((begin + span, buffer.end))
        sized = f"{name} {size_words(buffer.size)}"
        texts = (sized, name, "/".join(name.split("/")[-2:]), _layer_of(name))
        label = labels.place(Box(left, low, right - left, high - low), texts)
        if label is not None:
            colour = _COLOURS[purpose_of(buffer, report)]
            axis.text(
                *to_data.transform((label.x, label.y)), label.text,
                rotation=90 if label.is_up else 0, ha="center", va="center_baseline",
                rotation_mode="anchor", fontsize=_NAME_SIZE, zorder=5, in_layout=False,
                # The lines of the peak and of the bytes alive cross it.
                path_effects=[halo(colour)],
            )  # fmt: skip


def _area(buffer: Buffer) -> int:
    return buffer.size * (buffer.last - buffer.first + 1)


def _short_name(buffer: Buffer) -> str:
    """Without what the colour says."""
    name = buffer.name.split(";")[0]
    for prefix in (MASK_PREFIX, "grad/", "scratch of "):
        name = name.removeprefix(prefix)
    return name


def _layer_of(name: str) -> str:
    """Of `folders/layer/operator` the layer."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 2 else name


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
            shown.append((bottom + size / 2, 0.032 * total * (1 + text.count("\n")), text))
            bottom += size
    places = _apart([(y, height) for y, height, _ in shown], total)
    for y, (middle, _, words) in zip(places, shown, strict=True):
        axis.plot((1, 1.2), (middle, y), color="gray", linewidth=0.5)
        axis.text(1.28, y, words, va="center", fontsize=7)
    at = ticks(total, 6, binary=True)
    axis.set(
        xlim=(0, _WIDEST_PART), ylim=(0, total * 1.04), xticks=[], yticks=at,
        yticklabels=[size_words(value) for value in at],
    )  # fmt: skip
    axis.set_title("whole arena", fontsize=8.5)
    axis.grid(visible=False)
    axis.spines["bottom"].set_visible(False)


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
