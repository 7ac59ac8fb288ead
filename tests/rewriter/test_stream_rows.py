"""An output may overwrite as much of a STREAM's input as nobody reads any more, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tflm_train.ops import STREAM_INPUT
from tflm_train.ops.geometry import Geometry
from tflm_train.rewriter.stream_rows import plan_rows

Sources = Sequence[tuple[int, ...]]


def layer(height: int, channels: tuple[int, int], kernel: int, padding: str = "SAME") -> Geometry:
    """A square layer with stride 1 of some input and output channels."""
    size = (height, height, channels[0])
    return Geometry.from_options(size, channels[1], (kernel, kernel), padding=padding)


def rows_made(geometries: Sequence[Geometry], sources: Sources) -> Iterator[tuple[int, int]]:
    """Stage and row, in the order in which the last stage makes the others make them."""
    done = [0] * len(geometries)

    def make(stage: int) -> Iterator[tuple[int, int]]:
        g = geometries[stage]
        bottom = min(done[stage] * g.stride_h - g.pad_t + g.k_h - 1, g.in_h - 1)
        for source in sources[stage]:
            while source != STREAM_INPUT and done[source] <= bottom:
                yield from make(source)
        yield stage, done[stage]
        done[stage] += 1

    for _ in range(geometries[-1].out_h):
        yield from make(len(geometries) - 1)


def overwrites(geometries: Sequence[Geometry], sources: Sources, lead: int) -> bool:
    """Whether a row of the input is read that the output, `lead` bytes before it, has reached."""
    first, last = geometries[0], geometries[-1]
    input_row, output_row = first.in_w * first.in_c, last.out_w * last.out_c
    written = 0
    for stage, row in rows_made(geometries, sources):
        if stage == len(geometries) - 1:
            written = (row + 1) * output_row
        if STREAM_INPUT in sources[stage]:
            g = geometries[stage]
            top = max(0, row * g.stride_h - g.pad_t)
            if written > lead + top * input_row:
                return True
    return False


@pytest.mark.parametrize(
    ("geometries", "sources"),
    [
        ([layer(6, (3, 4), 3)], [(STREAM_INPUT,)]),
        ([layer(6, (3, 3), 3), layer(6, (3, 3), 3)], [(STREAM_INPUT,), (0,)]),
        ([layer(6, (3, 3), 3), layer(6, (3, 5), 3)], [(STREAM_INPUT,), (0,)]),
        ([layer(6, (3, 8), 1), layer(6, (8, 5), 5)], [(STREAM_INPUT,), (0,)]),
        # The last stage adds the input itself to what was made of it.
        (
            [layer(6, (3, 8), 1), layer(6, (8, 3), 3), layer(6, (3, 3), 1)],
            [(STREAM_INPUT,), (0,), (1, STREAM_INPUT)],
        ),
        (
            [layer(6, (3, 2), 3, "VALID"), layer(6, (3, 2), 3, "VALID"), layer(4, (2, 5), 1)],
            [(STREAM_INPUT,), (STREAM_INPUT,), (0, 1)],
        ),
    ],
    ids=["one", "same", "wider", "lagging", "skip", "two readers"],
)
def test_the_lead_is_the_least(geometries: list[Geometry], sources: Sources) -> None:
    row_bytes = geometries[0].in_w * geometries[0].in_c
    lead = plan_rows(geometries, sources, [False] * len(geometries), row_bytes).lead
    assert not overwrites(geometries, sources, lead)
    assert lead == 0 or overwrites(geometries, sources, lead - 1)
