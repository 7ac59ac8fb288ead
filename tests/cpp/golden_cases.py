"""Golden cases of the operators that have weights, made of given inputs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from golden_inputs import (
    SLOT_ADDEND,
    SLOT_IN,
    SLOT_OUT,
    Array,
    Suite,
    bits,
    mask_bytes,
    mask_fields,
    slots,
)

from tests.qas.whole_layer import Parameters, update_layer
from tflm_train import ops
from tflm_train.backward_ops import conv_2d, depthwise_conv_2d, numerics, split_forward
from tflm_train.backward_ops.accumulate import accumulate
from tflm_train.backward_ops.numerics import Mask, Requantized
from tflm_train.backward_ops.numerics import QuantizedGradient as Gradient
from tflm_train.ops.geometry import Geometry, TapWindow, TransposedGeometry
from tflm_train.qas import update

LAYER = 5  # whose random numbers the updates use


def weight_shape(geometry: Geometry, depthwise: bool) -> tuple[int, ...]:
    """The shape of a layer's weights."""
    g = geometry
    return (g.k_h, g.k_w, g.out_c) if depthwise else (g.out_c, g.k_h, g.k_w, g.in_c)


@dataclasses.dataclass(frozen=True)
class Split:
    """Weights as the operators of a layer that trains in part get them; see `split_weights`."""

    constant: Array
    columns: Array | None = None
    listed: Array | None = None

    @property
    def kept(self) -> int:
        """How many channels have weights of their own."""
        return 0 if self.columns is None else int(self.columns.shape[-1])


@dataclasses.dataclass(frozen=True)
class InputGradient:
    """What one CONV_INPUT_GRAD or DEPTHWISE_INPUT_GRAD works on.

    Attributes:
      geometry: The layer's.
      depthwise: Which of the two.
      gradient: Of the layer's output.
      weights: int8, see `weight_shape`.
      scales: float32 `[out_c]`, of the weights.
      range_: Of the slot that is written.
      mask: Of the layer's input.
      addend: A second gradient of the layer's input.
      split: Of a layer that trains in part.
      steady: Whether the range is instead what such a step leaves: the predicted exponent holds.
    """

    geometry: Geometry
    depthwise: bool
    gradient: Gradient
    weights: Array
    scales: Array
    range_: np.float32
    mask: Mask | None = None
    addend: Gradient | None = None
    split: Split | None = None
    steady: bool = False

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the operator's suite."""
        split = self.split or Split(self.weights)
        range_, params, m, result = self.computed()
        scales = {"in_": self.gradient.scale}
        if self.addend is not None:
            scales["addend"] = self.addend.scale
        suite.case(
            name,
            params.pack(),
            self.gradient.q,
            split.constant,
            split.columns,
            split.listed,
            m,
            mask_bytes(self.mask),
            None if self.addend is None else self.addend.q,
            slots(**scales),
            slots(out=range_),
            result.q.size,
            result.q,
            slots(out=result.scale, **scales),
            slots(out=result.range_),
            small=small,
        )

    def computed(self) -> tuple[np.float32, ops.Params, Array, Requantized]:
        """The range before the step, the operator's parameters, its multipliers, its results."""
        kept = 0 if self.split is None else self.split.kept
        slot_addend = -1 if self.addend is None else SLOT_ADDEND
        common = (self.geometry, mask_fields(self.mask), SLOT_IN, SLOT_OUT, slot_addend)
        params, m = self._parameters(common, kept)
        range_ = self._step(self.range_).range_ if self.steady else self.range_
        return range_, params, m, self._step(range_)

    def _parameters(self, common: tuple[Any, ...], kept: int) -> tuple[ops.Params, Array]:
        """The operator's parameters, and its constant beside the weights."""
        g = self.geometry
        if self.depthwise:
            d = depthwise_conv_2d.depthwise_multipliers(self.scales, g)
            multiplier = g.out_c // g.in_c
            return ops.DepthwiseInputGrad(*common, float(d.unit_scale), multiplier, kept), d.m
        c = conv_2d.conv_multipliers(self.scales, g)
        transposed = int(isinstance(g, TransposedGeometry))
        return ops.ConvInputGrad(
            *common, float(c.unit_scale), c.group, c.group_shift, kept, transposed
        ), c.m

    def _step(self, range_: np.float32) -> Requantized:
        g, rest = self.geometry, (range_, self.mask, self.addend)
        if self.depthwise:
            d = depthwise_conv_2d.depthwise_multipliers(self.scales, g)
            return depthwise_conv_2d.input_gradient(self.gradient, self.weights, d, g, *rest)
        c = conv_2d.conv_multipliers(self.scales, g)
        return conv_2d.input_gradient(self.gradient, self.weights, c, g, *rest)


@dataclasses.dataclass(frozen=True)
class Update:
    """What one CONV_UPDATE or DEPTHWISE_UPDATE works on.

    Attributes:
      geometry: The layer's.
      depthwise: Which of the two.
      gradient: Of the layer's output.
      x: int8 `[in_h, in_w, in_c]`.
      zero_point: Of x.
      parameters: What is updated, of the whole layer.
      factors: `kw` and `kb`.
      learning_rate: In real units.
      residual_bits: 8, 4 or 0.
      seed: Of the random numbers.
      step: Likewise.
      taps: Those that train; None: all.
      kept: Of a layer that trains in part, its channels. The result is the whole layer's, cut out.
    """

    geometry: Geometry
    depthwise: bool
    gradient: Gradient
    x: Array
    zero_point: int
    parameters: Parameters
    factors: update.Factors
    learning_rate: float
    residual_bits: int
    seed: int = 1
    step: int = 1
    taps: TapWindow | None = None
    kept: Array | None = None

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the operator's suite."""
        before, result = self.parameters, self.result()
        g, q, x = self.kept_geometry, self.gradient.q, self.x
        kw, kb = self.factors.kw, self.factors.kb
        if self.kept is not None:
            kept, multiplier = self.kept, g.out_c // g.in_c
            x = x[..., kept[::multiplier] // multiplier if self.depthwise else kept]
            before, result = (_columns(p, kept) for p in (before, result))
            if self.depthwise:
                q, kw, kb = q[..., kept], kw[kept], kb[kept]
        residuals = [_residual_bytes(p, self.residual_bits) for p in (before, result)]
        suite.case(
            name,
            self.params().pack(),
            self._state(),
            slots(in_=self.gradient.scale),
            x,
            q,
            bits(kw),
            bits(kb),
            before.weights.size,
            g.out_c,
            before.weights,
            before.bias,
            0 if residuals[0] is None else residuals[0].size,
            residuals[0],
            None if self.kept is None else self.kept.astype(np.int16),
            result.weights,
            result.bias,
            residuals[1],
            small=small,
        )

    @property
    def kept_geometry(self) -> Geometry:
        """The geometry of what is updated."""
        g = self.geometry
        if self.kept is None:
            return g
        if not self.depthwise:
            return dataclasses.replace(g, in_c=self.kept.size)
        in_c = self.kept.size * g.in_c // g.out_c
        return dataclasses.replace(g, in_c=in_c, out_c=self.kept.size)

    def params(self) -> ops.Params:
        """The operator's parameters."""
        g, fields = self.kept_geometry, self._fields()
        if self.depthwise:
            return ops.DepthwiseUpdate(g, fields, g.out_c // g.in_c)
        return ops.ConvUpdate(g, fields, int(isinstance(g, TransposedGeometry)))

    def result(self) -> Parameters:
        """The whole layer after the step."""
        module = depthwise_conv_2d if self.depthwise else conv_2d
        gradients = module.weight_gradient(self.gradient.q, self.x, self.zero_point, self.geometry)
        return update_layer(
            self.parameters,
            *gradients,
            self.factors,
            self.geometry,
            learning_rate=self.learning_rate,
            grad_scale=self.gradient.scale,
            depthwise=self.depthwise,
            residual_bits=self.residual_bits,
            key=update.stochastic_key(self.seed, self.step, LAYER),
            taps=self.taps,
        )

    def _fields(self) -> ops.UpdateFields:
        g = self.geometry
        window = self.taps or TapWindow(0, g.k_h, 0, g.k_w)
        return ops.UpdateFields(
            SLOT_IN,
            LAYER,
            self.zero_point,
            self.residual_bits,
            update.gain_shift(g.positions),
            window.y0,
            window.y1,
            window.x0,
            window.x1,
            g.out_c if self.depthwise else g.in_c,
        )

    def _state(self) -> Array:
        state = np.zeros(ops.STATE_WORDS, np.uint32)
        state[ops.StateWord.MAGIC] = ops.STATE_MAGIC
        state[ops.StateWord.VERSION] = ops.VERSION
        state[ops.StateWord.TRAINING] = 1
        state[ops.StateWord.STEP] = self.step
        state[ops.StateWord.SEED] = self.seed
        state[ops.StateWord.LEARNING_RATE] = bits(self.learning_rate)
        return state


def _columns(parameters: Parameters, kept: Array) -> Parameters:
    weights, bias, residual = parameters
    return Parameters(weights[..., kept], bias, None if residual is None else residual[..., kept])


def _residual_bytes(parameters: Parameters, residual_bits: int) -> Array | None:
    residual = parameters.residual
    if residual is None or residual_bits == 8:
        return residual
    return update.pack_nibbles(residual).view(np.int8)


@dataclasses.dataclass(frozen=True)
class Forward:
    """What one SPLIT_CONV or SPLIT_DEPTHWISE works on.

    Attributes:
      geometry: The layer's.
      depthwise: Which of the two.
      x: int8 `[in_h, in_w, in_c]`.
      weights: int8, see `weight_shape`.
      output: Zero points and clamp range.
      multiplier: int32 `[out_c]`.
      shift: int32 `[out_c]`.
      bias: int32 `[out_c]`, or None.
      split: Of a layer that trains in part.
    """

    geometry: Geometry
    depthwise: bool
    x: Array
    weights: Array
    output: ops.OutputFields
    multiplier: Array
    shift: Array
    bias: Array | None = None
    split: Split | None = None

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the operator's suite."""
        g, split = self.geometry, self.split or Split(self.weights)
        y = split_forward.forward(
            self.x,
            self.weights,
            self.bias,
            self.multiplier,
            self.shift,
            g,
            self.output,
            self.depthwise,
        )
        params: ops.Params = (
            ops.SplitDepthwise(g, self.output, split.kept, g.out_c // g.in_c)
            if self.depthwise
            else ops.SplitConv(g, self.output, split.kept)
        )
        suite.case(
            name,
            params.pack(),
            self.x,
            split.constant,
            split.columns,
            split.listed,
            self.multiplier,
            self.shift,
            self.bias,
            y.size,
            y,
            small=small,
        )


@dataclasses.dataclass(frozen=True)
class BiasUpdate:
    """What one BIAS_UPDATE works on.

    Attributes:
      gradient: Of the layer's output, `[positions, out_c]`.
      kb: float32 `[out_c]`.
      bias: int32 `[out_c]`.
      learning_rate: In real units.
    """

    gradient: Gradient
    kb: Array
    bias: Array
    learning_rate: float

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the operator's suite."""
        positions, channels = self.gradient.q.shape
        result = update.update_bias(
            self.bias,
            numerics.bias_gradient(self.gradient.q),
            self.kb,
            self.learning_rate,
            self.gradient.scale,
        )
        suite.case(
            name,
            ops.BiasUpdate(positions, channels, SLOT_IN).pack(),
            int(bits(self.learning_rate)),
            slots(in_=self.gradient.scale),
            self.gradient.q,
            bits(self.kb),
            channels,
            self.bias,
            result,
            small=small,
        )


@dataclasses.dataclass(frozen=True)
class ClampMask:
    """What one CLAMP_MASK works on: int8 `[n]` and its clamp range."""

    activation: Array
    act_min: int
    act_max: int

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the operator's suite."""
        want = numerics.clamp_mask(self.activation, self.act_min, self.act_max)
        params = ops.ClampMask(self.activation.size, self.act_min, self.act_max)
        suite.case(name, params.pack(), self.activation, want.size, want, small=small)


@dataclasses.dataclass(frozen=True)
class Accumulation:
    """What one ACCUMULATE works on: 1 to 4 gradients `[n]`, and the mask of their sum."""

    gradients: Sequence[Gradient]
    mask: Mask | None = None

    def add_to(self, suite: Suite, name: str, small: bool = False) -> None:
        """Adds a case to the operator's suite."""
        count, size = len(self.gradients), self.gradients[0].q.size
        result = accumulate(self.gradients, self.mask)
        scales = np.full(6, 0.625, np.float32)
        scales[:count] = [g.scale for g in self.gradients]
        want_scales = scales.copy()
        want_scales[4] = result.scale
        slots_in = tuple(i if i < count else -1 for i in range(4))
        params = ops.Accumulate(size, mask_fields(self.mask), count, slots_in, 4)
        quantized = [g.q for g in self.gradients] + [None] * (4 - count)
        suite.case(
            name,
            params.pack(),
            *quantized,
            mask_bytes(self.mask),
            bits(scales),
            size,
            result.q,
            bits(want_scales),
            small=small,
        )
