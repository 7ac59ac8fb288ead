"""Where the taps of a sliding window fall: the one description shared by convolutions and pools.

Tap `(ky, kx)` of output position `(oy, ox)` reads input row `oy * stride_h + ky * dil_h - pad_t`,
and its column likewise. For one tap the positions that lie inside the input form a strided
rectangle, so that a whole convolution, forward or backward, is a sum over taps of products of
slices.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

from tflm_train.errors import ModelError
from tflm_train.graph.window import window_positions, window_reach
from tflm_train.ops.fields import Number, Rule, Struct

Padding = Literal["SAME", "VALID"]
Side = Annotated[int, Number("", "1", "MAX_SIDE")]
Window = Annotated[int, Number("", "1", "MAX_WINDOW")]
Offset = Annotated[int, Number("", "0", "MAX_WINDOW")]


class Tap(NamedTuple):
    """One kernel tap and the positions it joins; slices of equal length, none empty.

    Attributes:
      ky: Kernel row.
      kx: Kernel column.
      out_rows: Output rows whose tap lies inside the input.
      out_cols: Output columns whose tap lies inside the input.
      in_rows: The input rows read by `out_rows`, in the same order.
      in_cols: The input columns read by `out_cols`, in the same order.
    """

    ky: int
    kx: int
    out_rows: slice
    out_cols: slice
    in_rows: slice
    in_cols: slice


class TapWindow(NamedTuple):
    """The kernel taps that are trained: `[y0, y1) x [x0, x1)`."""

    y0: int
    y1: int
    x0: int
    x1: int


@dataclass(frozen=True)
class Geometry(Struct):
    """Shape of a windowed layer, NHWC, batch 1.

    `in_*` is the forward input, `out_*` the forward output. FULLY_CONNECTED is a 1x1 convolution
    with in_h = rows.
    """

    CPP: ClassVar[str] = "Geometry"
    RULES = (
        Rule("elements of the input", "in_h * in_w * in_c", "", "LARGEST - 1"),
        Rule("elements of the output", "out_h * out_w * out_c", "", "LARGEST - 1"),
    )

    in_h: Side
    in_w: Side
    in_c: Side
    out_h: Side
    out_w: Side
    out_c: Side
    k_h: Window
    k_w: Window
    stride_h: Window
    stride_w: Window
    dil_h: Window
    dil_w: Window
    pad_t: Offset
    pad_l: Offset

    @classmethod
    def from_options(
        cls,
        in_shape: tuple[int, int, int],
        out_c: int,
        kernel: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        dilations: tuple[int, int] = (1, 1),
        padding: Padding = "VALID",
    ) -> "Geometry":
        """Geometry of a TFLite operator from its options.

        Args:
          in_shape: Input height, width, channels.
          out_c: Output channels.
          kernel: Kernel height, width.
          strides: Vertical, horizontal stride.
          dilations: Vertical, horizontal dilation.
          padding: TFLite's padding scheme.

        Raises:
          ModelError: the kernel does not fit into the unpadded input.
        """
        in_h, in_w, in_c = in_shape
        out_h, pad_t = _output_and_padding(in_h, kernel[0], strides[0], dilations[0], padding)
        out_w, pad_l = _output_and_padding(in_w, kernel[1], strides[1], dilations[1], padding)
        return cls(
            in_h, in_w, in_c, out_h, out_w, out_c, *kernel, *strides, *dilations, pad_t, pad_l
        )

    @classmethod
    def dense(cls, rows: int, in_c: int, out_c: int) -> "Geometry":
        """Geometry of FULLY_CONNECTED: a 1x1 convolution of `rows` pixels in one column."""
        return cls.from_options((rows, 1, in_c), out_c, (1, 1))

    @property
    def positions(self) -> int:
        """Number of output positions."""
        return self.out_h * self.out_w

    @property
    def summed_positions(self) -> int:
        """Number of positions that a weight's gradient is summed over."""
        return self.positions

    def taps(self) -> Iterator[Tap]:
        """Yields the taps in raster order, without those that only ever read padding."""
        for ky in range(self.k_h):
            rows = _valid_span(ky * self.dil_h - self.pad_t, self.stride_h, self.in_h, self.out_h)
            for kx in range(self.k_w):
                cols = _valid_span(
                    kx * self.dil_w - self.pad_l, self.stride_w, self.in_w, self.out_w
                )
                if rows is not None and cols is not None:
                    yield Tap(ky, kx, rows[0], cols[0], rows[1], cols[1])


class TransposedGeometry(Geometry):
    """A transposed convolution: its input steps by one position, its output by the stride.

    Tap `(ky, kx)` carries input position `(iy, ix)` to output row `iy * stride_h + ky * dil_h -
    pad_t`, and its column likewise.
    """

    @property
    def summed_positions(self) -> int:
        """Number of input positions."""
        return self.in_h * self.in_w

    def taps(self) -> Iterator[Tap]:
        """Yields the taps in raster order, without those that never reach the output."""
        swapped = Geometry(
            self.out_h, self.out_w, self.out_c, self.in_h, self.in_w, self.in_c,
            *astuple(self)[6:],
        )  # fmt: skip
        for tap in swapped.taps():
            yield Tap(tap.ky, tap.kx, tap.in_rows, tap.in_cols, tap.out_rows, tap.out_cols)


def layer_geometry(geometry: Geometry, transposed: int) -> Geometry:
    """The geometry of a layer by its op's parameters, which say whether it is transposed."""
    return TransposedGeometry(*astuple(geometry)) if transposed else geometry


def _output_and_padding(
    size: int, kernel: int, stride: int, dilation: int, padding: Padding
) -> tuple[int, int]:
    """Output size and padding before the first element along one axis, as TFLite computes them."""
    reach = window_reach(kernel, dilation)
    out = window_positions(size, kernel, stride, dilation, same=padding == "SAME")
    if out <= 0:
        raise ModelError(f"a kernel of reach {reach} does not fit into {size} input elements")
    return out, max(0, (out - 1) * stride + reach - size) // 2


def _valid_span(
    offset: int, stride: int, in_size: int, out_size: int
) -> tuple[slice, slice] | None:
    """Output and input slices on one axis where `0 <= o * stride + offset < in_size`, or None."""
    first = max(0, -(offset // stride))
    last = min(out_size - 1, (in_size - 1 - offset) // stride)
    if last < first:
        return None
    start = first * stride + offset
    count = last - first + 1
    return slice(first, last + 1), slice(start, start + (count - 1) * stride + 1, stride)
