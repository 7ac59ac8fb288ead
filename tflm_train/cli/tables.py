"""Tables and lines that people read, for all commands. Nothing here computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tflm_train.cost.boards import show_clock
from tflm_train.cost.report import FlashReport, TimeReport
from tflm_train.memory.report import Arena, Peak
from tflm_train.records import key_of
from tflm_train.runtime.metrics import ACCURACY

_WIDE = 140
_PEAK_ROWS = 6


def console() -> Console:
    """Where results go."""
    found = Console()
    # A pipe has no width of its own, and 80 columns would cut the tables.
    return found if found.is_terminal else Console(width=_WIDE)


def error_console() -> Console:
    """Where progress goes: standard error, so that results can be piped."""
    return Console(stderr=True)


def new_table(title: str, headings: Iterable[str], left: Iterable[str]) -> Table:
    """A table without rows; numbers stand at the right.

    Args:
      title: Above it.
      headings: Of its columns.
      left: Those that hold words.
    """
    table = Table(title=title)
    words = set(left)
    for heading in headings:
        justify: Any = "left" if heading in words else "right"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading == "op")
    return table


def show_lines(lines: Iterable[str]) -> None:
    """Prints plain lines."""
    for line in lines:
        print(line)


def show_warnings(warnings: Iterable[str]) -> None:
    """Prints warnings."""
    for warning in warnings:
        console().print(f"warning: {warning}", style="yellow", soft_wrap=True)


def show_written(output: str, plots: Iterable[str] = ()) -> None:
    """Prints which files were written."""
    for plot in plots:
        console().print(f"plot written: {plot}")
    console().print(f"written: {output}")


def score(metric: str, value: float) -> str:
    """A score with its name: `accuracy 93.1 %`, `mean squared error 0.0123`."""
    shown = f"{100 * value:.1f} %" if metric == ACCURACY else f"{value:.4g}"
    return f"{metric.replace('_', ' ')} {shown}"


def shape(sizes: Sequence[int]) -> str:
    """A shape: `1x8x8x3`."""
    return "x".join(str(size) for size in sizes)


def show_record(record: Any) -> None:
    """Prints a record of single values, one to a line; not those that are left out of the JSON."""
    fields = dataclasses.fields(record)
    values = {key_of(field): getattr(record, field.name) for field in fields}
    show_mapping({key: value for key, value in values.items() if value is not None})


def show_mapping(values: Mapping[str, Any]) -> None:
    """Prints names and values, one to a line."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        console().print(f"{name.replace('_', ' '):{width}}  {text}")


def show_records(title: str, records: Sequence[Any]) -> None:
    """Prints a table with a row for each record; all are of one class."""
    if not records:
        return
    fields = dataclasses.fields(records[0])
    words = [key_of(f) for f in fields if isinstance(getattr(records[0], f.name), str)]
    table = new_table(title, map(key_of, fields), words)
    for record in records:
        table.add_row(*(_cell(getattr(record, field.name)) for field in fields))
    console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return shape(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_macs(now: int, before: int) -> None:
    """Prints the multiply-accumulates of one inference."""
    console().print(f"multiply-accumulates of one inference: {now:,} (was {before:,})")


def show_arena(columns: Mapping[str, Arena], kernels: str) -> None:
    """Prints what arenas are made of, a column each."""
    table = Table(title=f"arena on a Cortex-M, {kernels} kernels (bytes)")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    rows = [
        arena.parts()
        | {"total": arena.total_bytes, "smallest arena to give it": arena.minimum_bytes}
        for arena in columns.values()
    ]
    for label in rows[0]:
        table.add_row(label, *(f"{row[label]:,}" for row in rows))
    console().print(table)


def show_peak(peak: Peak) -> None:
    """Prints where most bytes live, and what lives there."""
    name = "tensor or scratch"
    title = f"peak: op {peak.op} ({peak.name}), {peak.bytes:,} bytes alive"
    table = new_table(title, (name, "bytes", "from op", "to op"), [name])
    for buffer in peak.buffers[:_PEAK_ROWS]:
        times = ["input" if op < 0 else str(op) for op in (buffer.first_op, buffer.last_op)]
        table.add_row(buffer.name.split(";")[0], f"{buffer.bytes:,}", *times)
    rest = peak.buffers[_PEAK_ROWS:]
    if rest:
        table.add_row(f"{len(rest)} more", f"{sum(b.bytes for b in rest):,}", "", "")
    console().print(table)


def show_time(what: str, time: TimeReport) -> None:
    """Prints an estimated time: of `a training step`, of `an inference`."""
    console().print(
        f"{what}: {time.ms:,.1f} ms on {time.core} at {show_clock(time.clock)} (an estimate: "
        f"{time.instructions:,} instructions, {time.cycles:,} cycles, memory without wait states)",
        soft_wrap=True,
    )
    by_kind: dict[str, float] = {}
    for op in time.per_op:
        by_kind[op.op] = by_kind.get(op.op, 0.0) + op.ms
    most = sorted(by_kind.items(), key=lambda item: -item[1])[:_PEAK_ROWS]
    console().print(
        "  of which " + ", ".join(f"{op} {ms:,.1f} ms" for op, ms in most), soft_wrap=True
    )
    show_warnings(f"the time of {op} is not known, and not counted" for op in time.unmeasured_ops)


def show_flash(flash: FlashReport) -> None:
    """Prints what a model takes in flash."""
    console().print(
        f"flash: {flash.total_bytes:,} bytes (model {flash.model_bytes:,}, our kernels "
        f"{flash.kernel_bytes:,} with -Os; TFLM and the C library are not counted)",
        soft_wrap=True,
    )
