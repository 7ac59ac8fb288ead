"""Tables and lines that people read, for all commands. Nothing here computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tflm_train.cli import columns
from tflm_train.cli.columns import Column, plain_table, show_columns, show_table
from tflm_train.cost.boards import show_clock
from tflm_train.cost.report import FlashReport, TimeReport
from tflm_train.memory.report import Arena, Peak
from tflm_train.records import key_of
from tflm_train.runtime.metrics import ACCURACY

_PEAK_ROWS = 6

console = columns.console


def error_console() -> Console:
    """Where progress goes: standard error, so that results can be piped."""
    return Console(stderr=True, markup=False, emoji=False)


def new_table(title: str | None, headings: Iterable[str], left: Iterable[str]) -> Table:
    """A table without rows; numbers stand at the right.

    Args:
      title: Above it.
      headings: Of its columns.
      left: Those that hold words.
    """
    table = plain_table(title)
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


def show_pins(pinned: int) -> None:
    """Says for which interpreters a file with fixed places is not."""
    if pinned:
        console().print(
            f"{pinned} tensors have fixed places in the arena; for TFLM with preserve_all_tensors "
            "or a memory planner of your own: --no-pins",
            soft_wrap=True,
        )


def show_written(output: str, plots: Iterable[str] = ()) -> None:
    """Prints which files were written."""
    for plot in plots:
        console().print(f"plot written: {plot}")
    console().print(f"written: {output}")


def score(metric: str, value: float) -> str:
    """A score with its name: `accuracy 93.1 %`, `mean squared error 0.0123`."""
    shown = f"{100 * value:.1f} %" if metric == ACCURACY else f"{value:.4g}"
    return f"{metric.replace('_', ' ')} {shown}"


def kilobytes(size: int) -> str:
    """A number of bytes in words: `82.1 KB`, `840 bytes`, `256 KB`."""
    if abs(size) < 1024:
        return f"{size:,} bytes"
    return f"{size / 1024:,.1f}".removesuffix(".0") + " KB"


def coins(ram: int, flash: int, time: TimeReport) -> str:
    """RAM, flash and time in words: `82.1 KB of RAM, 51 KB of flash, 40.2 ms`."""
    return f"{kilobytes(ram)} of RAM, {kilobytes(flash)} of flash, {milliseconds(time)}"


def added(ram: int, flash: int) -> str:
    """What training adds to RAM and flash, as a sentence.

    Args:
      ram: Bytes of the arena; below 0 where the forward layers are rewritten and take less.
      flash: Bytes of the model and the kernels.
    """
    more = f"{kilobytes(flash)} of flash"
    if ram >= 0:
        return f"training adds {kilobytes(ram)} of RAM, {more}"
    return (
        f"training adds no RAM: the arena is {kilobytes(-ram)} smaller than that of the model as "
        f"it is, since the forward layers run as `optimize` makes them; it adds {more}"
    )


def counted(count: int, what: str) -> str:
    """So many of something: `1 layer`, `1,521 training steps`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


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
    show_columns(
        title,
        [
            Column(
                key_of(field),
                [_cell(getattr(record, field.name)) for record in records],
                left=isinstance(getattr(records[0], field.name), str),
                is_name=field.name == "name",
                cut_middle=True,
            )
            for field in dataclasses.fields(records[0])
        ],
    )


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
    table = plain_table()
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
    show_table(f"arena on a Cortex-M, {kernels} kernels (bytes)", table)


def show_peak(peak: Peak) -> None:
    """Prints where most bytes live, and what lives there."""
    shown, rest = peak.buffers[:_PEAK_ROWS], peak.buffers[_PEAK_ROWS:]
    rows = [
        (buffer.name.split(";")[0], buffer.bytes, _op(buffer.first_op), _op(buffer.last_op))
        for buffer in shown
    ]
    if rest:
        rows.append((f"{len(rest)} more", sum(b.bytes for b in rest), "", ""))
    names, sizes, first, last = zip(*rows, strict=True) if rows else ((), (), (), ())
    show_columns(
        f"peak: op {peak.op} ({peak.name}), {peak.bytes:,} bytes alive",
        (
            Column("tensor or scratch", names, left=True, is_name=True),
            Column("bytes", [f"{size:,}" for size in sizes]),
            Column("from op", first),
            Column("to op", last),
        ),
    )


def _op(index: int) -> str:
    return "input" if index < 0 else str(index)


def show_time(what: str, time: TimeReport) -> None:
    """Prints an estimated time: of `a training step`, of `an inference`."""
    console().print(
        f"{what}: {milliseconds(time)} on {time.core} at {show_clock(time.clock)} (an estimate: "
        f"{time.instructions:,} instructions, {time.cycles:,} cycles, memory without wait states)",
        soft_wrap=True,
    )
    by_kind: dict[str, float] = {}
    for op in time.per_op:
        if op.op not in time.unmeasured_ops:
            by_kind[op.op] = by_kind.get(op.op, 0.0) + op.ms
    most = sorted(by_kind.items(), key=lambda item: -item[1])[:_PEAK_ROWS]
    console().print(
        "  of which " + ", ".join(f"{op} {ms:,.1f} ms" for op, ms in most), soft_wrap=True
    )
    longest = time.longest_op
    if longest is not None:
        console().print(
            f"  longest op: op {longest.index} ({longest.op}), {longest.ms:,.1f} ms: what a "
            "watchdog that is fed between ops has to wait",
            soft_wrap=True,
        )
    show_unmeasured(time)


def milliseconds(time: TimeReport) -> str:
    """An estimated time in words; `at least` where some operators are not counted."""
    return f"{'at least ' * bool(time.unmeasured_ops)}{time.ms:,.1f} ms"


def show_unmeasured(time: TimeReport) -> None:
    """Warns of the operators whose time is not in the sum."""
    if time.unmeasured_ops:
        show_warnings(
            [f"the time of {', '.join(time.unmeasured_ops)} is not known, and not counted"]
        )


def show_flash(flash: FlashReport) -> None:
    """Prints what a model takes in flash."""
    console().print(
        f"flash: {flash.total_bytes:,} bytes (model {flash.model_bytes:,}, our kernels "
        f"{flash.kernel_bytes:,} with -Os; TFLM and the C library are not counted)",
        soft_wrap=True,
    )
