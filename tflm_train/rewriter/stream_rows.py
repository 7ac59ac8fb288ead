"""The order in which a STREAM computes rows, and what follows from it for its memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tflm_train import kernel_abi as abi
from tflm_train.backward_ops.geometry import Geometry


def ring_rows(
    geometries: Sequence[Geometry],
    sources: Sequence[tuple[int, ...]],
    complete: Sequence[bool] = (),
) -> tuple[int, ...]:
    """How many rows of its output each stage has to keep.

    Plays the kernel's schedule: a row is computed just before it is needed.

    Args:
      geometries: Of the stages.
      sources: For each stage the stages that it reads, `abi.STREAM_INPUT` for the op's input.
      complete: Whether all rows of a stage are computed even if no stage reads them.

    Returns:
      Rows; of the last stage all that it has.
    """
    rings = [0] * len(geometries)
    for index, top, rows in _play(geometries, sources, complete):
        for source in sources[index]:
            if source != abi.STREAM_INPUT:
                rings[source] = max(rings[source], rows[source] - max(top, 0))
    rings[-1] = geometries[-1].out_h
    # A stage of which no row is ever needed (all its readers see is padding).
    return tuple(max(1, min(r, g.out_h)) for r, g in zip(rings, geometries, strict=True))


def overwriting_lead(
    geometries: Sequence[Geometry], sources: Sequence[tuple[int, ...]], row_bytes: int
) -> int:
    """How far before the input the output must begin to overwrite only rows that are used up.

    Args:
      geometries: Of the stages.
      sources: As for `ring_rows`.
      row_bytes: Of one row of the op's input.

    Returns:
      Bytes.
    """
    last = geometries[-1]
    readers = [i for i, read in enumerate(sources) if abi.STREAM_INPUT in read]
    lead = 0
    for index, _, rows in _play(geometries, sources):
        if index != len(geometries) - 1:
            continue
        # A stage that is complete reads no more; the last one still reads what it needs now.
        tops = [
            rows[i] * geometries[i].stride_h - geometries[i].pad_t
            for i in readers
            if rows[i] < geometries[i].out_h
        ]
        if tops:
            used_up = max(0, min(tops)) * row_bytes
            written = (rows[index] + 1) * last.out_w * last.out_c
            lead = max(lead, written - used_up)
    return lead


def _play(
    geometries: Sequence[Geometry],
    sources: Sequence[tuple[int, ...]],
    complete: Sequence[bool] = (),
) -> Iterator[tuple[int, int, list[int]]]:
    """The kernel's schedule: for each row a stage computes (stage, first input row, rows so far).

    The last are those of every stage before that row, the same list each time.
    """
    last = len(geometries) - 1
    rows = [0] * len(geometries)
    consumer = [last] * len(geometries)
    inside = [[s for s in read if s != abi.STREAM_INPUT] for read in sources]
    for target in [last, *(i for i, wanted in enumerate(complete[:last]) if wanted)]:
        consumer[target] = index = target
        while rows[target] < geometries[target].out_h:
            g = geometries[index]
            top = rows[index] * g.stride_h - g.pad_t
            needed = min(top + (g.k_h - 1) * g.dil_h, g.in_h - 1)
            missing = next((s for s in inside[index] if rows[s] <= needed), None)
            if missing is not None:
                consumer[missing] = index
                index = missing
                continue
            yield index, top, rows
            rows[index] += 1
            index = consumer[index]
