"""The arena as a picture: which buffer lives where and when, and where the peak is."""

from __future__ import annotations

import io
import textwrap
from typing import Any

from tflm_train import ops
from tflm_train.errors import RuntimeFailure
from tflm_train.memory.extra import MASK_PREFIX
from tflm_train.memory.planner import Buffer, BufferKind
from tflm_train.memory.report import MemoryReport

_KB = 1024
_COLOURS = {
    "forward": "#9ecae1",
    "kept for backward": "#fd8d3c",
    "clamp masks": "#9e6ab8",
    "gradients": "#74c476",
    "scratch": "#969696",
}
_PART_COLOURS = ("#9ecae1", "#969696", "#e6550d", "#bcbddc", "#c7c7c7", "#dddddd", "#74c476")
# Room that a name needs: a line's height and a character's width, as shares of the timeline.
_LINE, _CHARACTER = 0.015, 0.0055
_LONGEST_NAME = 24


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
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _draw_timeline(axis: Any, report: MemoryReport) -> None:
    count, height = len(report.op_names), report.plan.bytes / _KB
    loss = report.first_training_op
    if loss is not None:
        axis.axvspan(loss - 0.5, count - 0.5, color="#fff3e0", zorder=0)
        axis.text(loss - 0.3, height * 1.025, "backward pass", fontsize=9, color="#b35806")
    used = set()
    for buffer in report.plan.buffers:
        group = _group(buffer, report)
        left, width = buffer.first - 1.5, buffer.last - buffer.first + 1
        bottom, tall = buffer.offset / _KB, buffer.size / _KB
        axis.bar(
            left, tall, width, bottom, align="edge", color=_COLOURS[group], edgecolor="white",
            linewidth=0.4, label=None if group in used else group, zorder=2,
        )  # fmt: skip
        used.add(group)
        _label(axis, buffer, left + width / 2, bottom + tall / 2, width / count, tall / height)
    live = [total / _KB for total in report.plan.live_bytes()]
    axis.step(range(-1, len(live) - 1), live, where="mid", color="black", linewidth=0.9, zorder=3,
              label="bytes alive")  # fmt: skip
    _mark_peak(axis, report, height)
    title = f"{report.model}: {report.total_bytes / _KB:.1f} KB of arena, {report.kernels} kernels"
    axis.set(
        xlim=(-1.5, count - 0.5), ylim=(0, height * 1.13), title=title,
        xlabel="operator", ylabel="offset in the arena (KB)",
    )  # fmt: skip
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=6, fontsize=9, frameon=False)


def _mark_peak(axis: Any, report: MemoryReport, height: float) -> None:
    op = report.peak_op
    name = report.op_names[op].removeprefix(ops.OP_PREFIX) if op >= 0 else "inputs"
    axis.axvline(op, color="#cb181d", linestyle="--", linewidth=1.2, zorder=4)
    blamed = ", ".join(_short(b) for b in report.peak_buffers()[:3])
    text = f"peak: op {op} ({name}), {report.peak_bytes / _KB:.1f} KB alive: {blamed}"
    right = op > 0.6 * len(report.op_names)
    axis.text(
        op, height * 1.075, f"{text} " if right else f" {text}", color="#cb181d", fontsize=9,
        ha="right" if right else "left",
    )  # fmt: skip


def _label(axis: Any, buffer: Buffer, x: float, y: float, width: float, height: float) -> None:
    """Writes a name where there is room: along the rectangle, or up it."""
    text = _short(buffer)
    style = {"ha": "center", "va": "center", "fontsize": 6.5, "zorder": 5}
    if height >= _LINE and width >= _CHARACTER * len(text):
        axis.text(x, y, text, **style)
    elif height >= 2 * _CHARACTER * len(text) and width >= _LINE / 2:
        axis.text(x, y, text, rotation=90, **style)


def _short(buffer: Buffer) -> str:
    """The end of the name, which is what tells tensors apart, and the size."""
    name = buffer.name.split(";")[0]
    if len(name) > _LONGEST_NAME:
        name = "…" + name[-_LONGEST_NAME:]
    return f"{name} {buffer.size / _KB:.0f}K"


def _draw_parts(axis: Any, report: MemoryReport) -> None:
    total = report.total_bytes / _KB
    bottom, free = 0.0, 0.0
    parts = report.arena().parts()
    for (label, part), colour in zip(parts.items(), _PART_COLOURS, strict=True):
        size = part / _KB
        if size <= 0:
            continue
        axis.bar(0, size, 1, bottom, align="edge", color=colour, edgecolor="white", linewidth=0.5)
        text = f"{size:.1f} {textwrap.fill(label, 14)}"
        height = 0.025 * total * (1 + text.count("\n"))
        y = max(bottom + size / 2, free + height / 2)
        axis.text(1.1, y, text, va="center", fontsize=8)
        free = y + height / 2
        bottom += size
    axis.set(xlim=(0, 3.2), ylim=(0, total * 1.05), title="whole arena (KB)", xticks=[])
    axis.spines[["top", "right", "bottom"]].set_visible(False)


def _group(buffer: Buffer, report: MemoryReport) -> str:
    if buffer.kind is BufferKind.SCRATCH:
        return "scratch"
    loss = report.first_training_op
    if loss is None or buffer.last - 1 <= loss:
        return "forward"
    if buffer.first - 1 >= loss:
        return "gradients"
    return "clamp masks" if buffer.name.startswith(MASK_PREFIX) else "kept for backward"
