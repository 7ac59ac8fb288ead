"""The arena as a page to explore: what lives where and when, who made it, and who needs it."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from tflm_train import ops
from tflm_train.memory.planner import Buffer
from tflm_train.memory.purpose import Purpose, purpose_of
from tflm_train.memory.report import MemoryReport
from tflm_train.memory.ticks import size_words, ticks
from tflm_train.pages.document import document, table

_WHY = {
    Purpose.FORWARD: "an activation of the forward pass",
    Purpose.KEPT: "kept for the backward pass, which needs it to compute gradients",
    Purpose.MASK: "one bit an element: where the activation function was at its limit",
    Purpose.GRADIENT: "a gradient, on its way to the layers before",
    Purpose.SCRATCH: "working memory of one operator",
}


def memory_page(report: MemoryReport) -> str:
    """Draws a report as HTML with inline style and script, which needs nothing else.

    Args:
      report: What to draw.
    """
    folder = importlib.resources.files(__package__)
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    data = json.dumps(_data(report)).replace("<", "\\u003c")
    peak = report.peak_op
    body = (
        f"<style>{style}</style>",
        f"<h1>The arena of {escape(report.model)}</h1>",
        f"<p class='soft'>{report.total_bytes:,} bytes with {report.kernels} kernels on a "
        "Cortex-M. "
        f"{report.plan.bytes:,} of them are planned: activations, gradients and scratch, which "
        f"share addresses over time. The peak is op {peak} ({_op(report, peak)}) with "
        f"{report.peak_bytes:,} bytes alive.</p>",
        "<h2>Over time</h2>",
        "<p class='soft'>Across: operators in execution order. Up: the offset in the arena. Point "
        "at, tap or step to a buffer to see who made it and who needs it, and at a moment to see "
        "what lives then.</p>",
        _timeline(report),
        _key(report),
        "<div class='card' id='told' aria-live='polite'></div>",
        "<h2>The whole arena</h2>",
        _parts(report),
        f"<script type='application/json' id='data'>{data}</script><script>{script}</script>",
    )
    return document(f"The arena of {report.model}", body)


def _data(report: MemoryReport) -> dict[str, Any]:
    """What the script tells of: times are operators, -1 the inputs."""
    return {
        "peak": report.peak_op,
        "ops": [_op(report, index) for index in range(len(report.op_names))],
        "alive": report.plan.live_bytes(),
        "backward": report.first_training_op,
        "buffers": [
            {
                "name": buffer.name,
                "bytes": buffer.size,
                "offset": buffer.offset,
                "first": buffer.first - 1,
                "last": buffer.last - 1,
                "why": _WHY[purpose_of(buffer, report)],
            }
            for buffer in report.plan.buffers
        ],
    }


def _op(report: MemoryReport, index: int) -> str:
    return "inputs" if index < 0 else report.op_names[index].removeprefix(ops.OP_PREFIX)


def _timeline(report: MemoryReport) -> str:
    """Rectangles at places in percent, which any width of the window stretches."""
    count, high = len(report.op_names) + 1, max(1, report.plan.bytes)
    parts = [*_grid(report, count, high)]
    loss = report.first_training_op
    if loss is not None:
        left = 100 * (loss + 1) / count
        parts.append(f"<div class='backward' style='left:{left:.3f}%'><b>backward pass</b></div>")
    parts += [_box(i, b, report, count, high) for i, b in enumerate(report.plan.buffers)]
    alive = report.plan.live_bytes()
    path = " ".join(
        f"{time},{high - total} {time + 1},{high - total}" for time, total in enumerate(alive)
    )
    parts.append(
        f"<svg class='alive' viewBox='0 0 {count} {high}' preserveAspectRatio='none' "
        f"aria-hidden='true'><polyline points='{path}'/></svg>"
    )
    parts.append(f"<div class='moment' id='moment' style='width:{100 / count:.4f}%'></div>")
    scale = "".join(
        f"<span style='bottom:{100 * value / high:.3f}%'>{size_words(value)}</span>"
        for value in ticks(high, 6, binary=True)
    )
    times = "".join(
        f"<span style='left:{100 * (op + 1.5) / count:.3f}%'>{op}</span>"
        for op in ticks(count - 2, 12)
    )
    return (
        "<div class='card arena'><label class='zoom'>wider <input type='range' min='1' max='12' "
        "step='0.5' value='1' id='zoom' aria-label='width of the timeline'></label>"
        f"<div class='frame'><div class='scale'>{scale}</div><div class='scroll' id='scroll'>"
        f"<div class='stretch' id='stretch'><div class='plot' id='plot'>{''.join(parts)}</div>"
        f"<div class='times'>{times}</div></div></div></div></div>"
    )


def _grid(report: MemoryReport, count: int, high: int) -> Iterator[str]:
    for value in ticks(high, 6, binary=True):
        yield f"<div class='rule' style='bottom:{100 * value / high:.3f}%'></div>"
    left = 100 * (report.peak_op + 1) / count
    yield f"<div class='peak' style='left:{left:.3f}%;width:{100 / count:.4f}%'></div>"


def _box(index: int, buffer: Buffer, report: MemoryReport, count: int, high: int) -> str:
    purpose = purpose_of(buffer, report)
    name = buffer.name.split(";")[0]
    short = name.rsplit("/", 2)
    text = escape("/".join(short[-2:]))
    first = max(buffer.first, 0)
    place = (
        f"left:{100 * first / count:.3f}%;width:{100 * (buffer.last - first + 1) / count:.3f}%;"
        f"bottom:{100 * buffer.offset / high:.3f}%;height:{100 * buffer.size / high:.3f}%"
    )
    return (
        f"<button class='{purpose.name.lower()}' style='{place}' data-buffer='{index}' "
        f"aria-label='{escape(name)}, {buffer.size:,} bytes'><span>{text}</span></button>"
    )


def _key(report: MemoryReport) -> str:
    used = {purpose_of(buffer, report) for buffer in report.plan.buffers}
    names = [
        f"<li><i class='box {p.name.lower()}'></i>{escape(p)}</li>" for p in Purpose if p in used
    ]
    return (
        f"<ul class='key'>{''.join(names)}<li><i class='line'></i>bytes alive</li>"
        "<li><i class='box peak'></i>the peak</li></ul>"
    )


def _parts(report: MemoryReport) -> str:
    total = max(1, report.total_bytes)
    rows = [
        (False, (label, f"{size:,}", f"{100 * size / total:.1f} %"))
        for label, size in report.arena().parts().items()
        if size
    ]
    rows.append((True, ("total", f"{report.total_bytes:,}", "")))
    return f"<div class='card scroll'>{table(('part', 'bytes', 'share'), rows)}</div>"
