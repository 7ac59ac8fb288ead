"""Cases at bounds that only large layers come to, whose inputs are made where they are tested.

Flash has no room for them: a case has the limits of its inputs and the checksum of its results.
"""

import dataclasses
import zlib

import numpy as np
from golden_cases import InputGradient, Update, weight_shape
from golden_inputs import Array, Suite, bits, slots

from tests.qas.whole_layer import Parameters
from tflm_train import ops
from tflm_train.backward_ops import numerics
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.ops.geometry import Geometry
from tflm_train.qas import update

_ONE = np.float32(1)
# Seeds of what is drawn.
_GRADIENT, _WEIGHTS, _INPUT, _RESIDUAL = (number << 28 for number in range(4))


def drawn(seed: int, count: int, most: int) -> Array:
    """int8 `[count]` in +-most, as `Draw` of bounds_test.cc makes them."""
    words = numerics.hash32(np.arange(count, dtype=np.int64) + seed).astype(np.int64)
    return (words % (2 * most + 1) - most).astype(np.int8)


@dataclasses.dataclass(frozen=True)
class Reach:
    """A step of a large layer with equal scales of all channels.

    Attributes:
      geometry: The layer's.
      depthwise: Whether it is one.
      factor: `kw` of an update; None: an input gradient.
      most: The largest gradient.
    """

    geometry: Geometry
    depthwise: bool
    factor: float | None = None
    most: int = 127

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the suite."""
        g = self.geometry
        q = drawn(_GRADIENT, g.out_h * g.out_w * g.out_c, self.most)
        gradient = Gradient(q.reshape(g.out_h, g.out_w, g.out_c), _ONE)
        shape = weight_shape(g, self.depthwise)
        weights = drawn(_WEIGHTS, int(np.prod(shape)), 127).reshape(shape)
        if self.factor is None:
            number, params, result = self._input_gradient(gradient, weights)
        else:
            number, params, result = self._update(gradient, weights)
        want = zlib.crc32(b"".join(part.tobytes() for part in result))
        suite.case(name, params.pack(), self.most, int(bits(number)), want, small=small)

    def _input_gradient(
        self, gradient: Gradient, weights: Array
    ) -> tuple[np.float32, ops.Params, list[Array]]:
        scales = np.ones(self.geometry.out_c, np.float32)
        case = InputGradient(
            self.geometry, self.depthwise, gradient, weights, scales, np.float32(0), steady=True
        )
        range_, params, _, result = case.computed()
        scales_after = slots(in_=_ONE, out=result.scale)
        return range_, params, [result.q, scales_after, slots(out=result.range_)]

    def _update(
        self, gradient: Gradient, weights: Array
    ) -> tuple[np.float32, ops.Params, list[Array]]:
        g = self.geometry
        x = drawn(_INPUT, g.in_h * g.in_w * g.in_c, 127).reshape(g.in_h, g.in_w, g.in_c)
        residual = drawn(_RESIDUAL, weights.size, 127).reshape(weights.shape)
        kw = np.full(g.out_c, self.factor, np.float32)
        case = Update(
            g, self.depthwise, gradient, x, 0, Parameters(weights, None, residual),
            update.Factors(kw, kw, kw == 0), 1.0, 8,
        )  # fmt: skip
        result = case.result()
        assert result.residual is not None
        return kw[0], case.params(), [result.weights, result.residual]


def _factor_that_shows_a_bit(geometry: Geometry) -> float:
    """A factor with which a sum's lowest bit decides how a step is rounded.

    Its integer multiplier m must be as small as the fast path wants them: such are few.
    """
    g = geometry
    q = drawn(_GRADIENT, g.positions, 127).astype(np.int64).reshape(g.out_h, g.out_w)
    x = drawn(_INPUT, g.in_h * g.in_w, 127).astype(np.int64).reshape(g.in_h, g.in_w)
    largest = (32511 << 32) // (127 * 255 * g.positions << update.gain_shift(g.positions))
    m = np.arange(1, largest, dtype=np.int64)
    for tap in g.taps():
        total = int((q[tap.out_rows, tap.out_cols] * x[tap.in_rows, tap.in_cols]).sum())
        steps = numerics.high_mul(np.full(m.size, total), -m)
        others = numerics.high_mul(np.full(m.size, total & ~1), -m)
        found = m[steps != others]
        if found.size:
            return float(found[-1]) * 2.0**-40
    raise ValueError("no factor shows the lowest bit of a sum")


def cases() -> dict[str, Reach]:
    """All of them by name."""
    gain = Geometry.from_options((183, 192, 1), 1, (1, 6), (1, 1), (1, 2))
    more_gain = Geometry.from_options((183, 190, 1), 1, (1, 6), (1, 1), (1, 2))
    found = {
        "reach_gain_below": Reach(more_gain, True, 1e-7),
        "reach_gain_above": Reach(gain, True, _factor_that_shows_a_bit(gain)),
    }
    for side, channels in (("below", 8188), ("above", 9400)):
        g = Geometry.from_options((1, 2, channels), 8, (1, 1))
        found[f"reach_panel_{side}"] = Reach(g, False)
    for side, channels in (("below", 4300), ("above", 4400)):
        g = Geometry.from_options((4, 4, channels), 2, (1, 1))
        found[f"reach_chunk_{side}"] = Reach(g, False, 3e-5)
        g = Geometry.from_options((2, 8, channels), channels, (3, 3), (2, 2), padding="SAME")
        found[f"reach_stride2_{side}"] = Reach(g, True)
    for side, channels in (("below", 9300), ("above", 9400)):
        g = Geometry.from_options((2, 4, channels), channels, (1, 1))
        found[f"reach_phase_{side}"] = Reach(g, True)
        g = Geometry.from_options((7, 8, channels), channels, (1, 1))
        found[f"reach_plane_{side}"] = Reach(g, True, 3e-5)
    return found
