"""The order in which a STREAM computes rows, and what follows from it for its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tflm_train import ops
from tflm_train.ops.geometry import Geometry


@dataclass(frozen=True)
class RowPlan:
    """What the schedule asks of the memory.

    Attributes:
      rings: How many rows of its output each stage has to keep; of the last one all that it has.
      lead: How many bytes before the op's input its output must begin at least, to overwrite
        nothing but rows that are not read any more.
    """

    rings: tuple[int, ...]
    lead: int


def plan_rows(
    geometries: Sequence[Geometry],
    sources: Sequence[tuple[int, ...]],
    complete: Sequence[bool],
    row_bytes: int,
) -> RowPlan:
    """Plays the kernel's schedule: a row is computed just before it is needed.

    Args:
      geometries: Of the stages.
      sources: For each stage the stages that it reads, `ops.STREAM_INPUT` for the op's input.
      complete: Whether all rows of a stage are computed even if no stage reads them.
      row_bytes: Of one row of the op's input.

    Returns:
      The rings and the lead.
    """
    last = len(geometries) - 1
    readers = [i for i, read in enumerate(sources) if ops.STREAM_INPUT in read]
    row_size = geometries[last].out_w * geometries[last].out_c
    rings = [0] * len(geometries)
    lead = 0
    for index, top, rows in _play(geometries, sources, complete):
        for source in sources[index]:
            if source != ops.STREAM_INPUT:
                rings[source] = max(rings[source], rows[source] - max(top, 0))
        if index == last:
            unused = _unused_rows(geometries, readers, rows)
            if unused is not None:
                lead = max(lead, (rows[index] + 1) * row_size - unused * row_bytes)
    rings[last] = geometries[last].out_h
    # A stage of which no row is ever needed (all its readers see is padding).
    kept = tuple(max(1, min(r, g.out_h)) for r, g in zip(rings, geometries, strict=True))
    return RowPlan(kept, lead)


def _unused_rows(
    geometries: Sequence[Geometry], readers: Sequence[int], rows: Sequence[int]
) -> int | None:
    """How many of the input's first rows nobody reads any more; None: nobody reads any."""
    # A stage that is complete reads no more; the one at work still reads what it needs now.
    tops = [
        rows[i] * geometries[i].stride_h - geometries[i].pad_t
        for i in readers
        if rows[i] < geometries[i].out_h
    ]
    return max(0, min(tops)) if tops else None


def _play(
    geometries: Sequence[Geometry],
    sources: Sequence[tuple[int, ...]],
    complete: Sequence[bool],
) -> Iterator[tuple[int, int, list[int]]]:
    """The kernel's schedule: for each row a stage computes (stage, first input row, rows so far).

    The last are those of every stage before that row, the same list each time.
    """
    last = len(geometries) - 1
    rows = [0] * len(geometries)
    consumer = [last] * len(geometries)
    inside = [[s for s in read if s != ops.STREAM_INPUT] for read in sources]
    # Read once: this loop runs for every row of every run that is considered.
    steps = [(g.stride_h, g.pad_t, (g.k_h - 1) * g.dil_h, g.in_h - 1) for g in geometries]
    for target in [last, *(i for i, wanted in enumerate(complete[:last]) if wanted)]:
        consumer[target] = index = target
        out_h = geometries[target].out_h
        while rows[target] < out_h:
            stride, before, reach, bottom = steps[index]
            top = rows[index] * stride - before
            needed = top + reach if top + reach < bottom else bottom
            for source in inside[index]:
                if rows[source] <= needed:
                    consumer[source] = index
                    index = source
                    break
            else:
                yield index, top, rows
                rows[index] += 1
                index = consumer[index]
