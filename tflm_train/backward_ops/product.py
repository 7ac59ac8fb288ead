"""PRODUCT_GRAD: reference of the gradient of every operator that multiplies.

    dL/da[kept] = sum over the reduced axes of dL/dy * f(x)

with `f` an activation, a function of one, or a constant: the gradient of MUL, of BATCH_MATMUL, of
an elementwise function, and of an operand that ADD, SUB or MUL broadcast. Axes have names, as in
einsum: those of the gradient `q`, of the factor `x` and of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tflm_train import ops
from tflm_train.backward_ops.kernel import WORD, Kernel, Kernels, Step
from tflm_train.backward_ops.move import dense_strides
from tflm_train.backward_ops.numerics import (
    Int8Array,
    Int32Array,
    Mask,
    QuantizedGradient,
    Requantized,
    max_abs,
    requantize_stream,
)
from tflm_train.backward_ops.rule import Destination, Tape, emit_gradient
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.graph import Op, Tensor
from tflm_train.ops.constants import KEPT_AXES, REDUCED_AXES, FactorKind
from tflm_train.ops.structs import ProductAxis

LARGEST_TABLE_VALUE = 32767
CONSTANT_ONE = 256
"""The factor that stands for 1: its 8 bits keep what an addend's shift would lose."""

_LARGEST_SUM = (2**31 - 1) // 127


@dataclass(frozen=True)
class Product:
    """What PRODUCT_GRAD does.

    Attributes:
      kept: Axes of the result; the last is its pixel.
      reduced: Axes that are summed over.
      kind: What the factor is.
      factor: The constant, the zero point or the threshold of the factor.
      unit_scale: float32, the real value of 1 in the factor.
    """

    kept: tuple[ProductAxis, ...]
    reduced: tuple[ProductAxis, ...]
    kind: FactorKind
    factor: int
    unit_scale: np.float32

    @property
    def terms(self) -> int:
        """How many products one sum has."""
        return int(np.prod([axis.size for axis in self.reduced], dtype=np.int64))


@dataclass(frozen=True)
class Factor:
    """What the gradient is multiplied by.

    Attributes:
      kind: What it is.
      unit_scale: The real value of 1 in it.
      value: The constant, the zero point or the threshold.
      x: The activation it depends on.
      table: int16, see `FactorKind`.
    """

    kind: FactorKind
    unit_scale: float
    value: int = 0
    x: Tensor | None = None
    table: npt.NDArray[np.int16] | None = None

    @staticmethod
    def constant(sign: int) -> Factor:
        """1 or -1."""
        return Factor(FactorKind.CONSTANT, 1 / CONSTANT_ONE, sign * CONSTANT_ONE)

    @staticmethod
    def activation(x: Tensor) -> Factor:
        """The real value of an activation or of a quantised constant."""
        return Factor(FactorKind.ACTIVATION, x.scale, x.zero_point, x)

    @staticmethod
    def derivative(
        function: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], x: Tensor
    ) -> Factor:
        """A function of an activation's real value, tabulated."""
        real = (np.arange(-128, 128) - x.zero_point) * np.float64(x.scale)
        unit, table = tabulate(function(real))
        return Factor(FactorKind.TABLE, unit, 0, x, table)

    @property
    def largest(self) -> int:
        """The largest magnitude it may have."""
        if self.kind == FactorKind.CONSTANT:
            return abs(self.value)
        return 255 if self.kind == FactorKind.ACTIVATION else LARGEST_TABLE_VALUE


@dataclass(frozen=True)
class Names:
    """The axes of the three tensors by name, in raster order.

    Attributes:
      sizes: Of every axis.
      result: Axes of the result.
      q: Axes of the gradient that comes in.
      x: Axes of the factor.
    """

    sizes: Mapping[Hashable, int]
    result: Sequence[Hashable]
    q: Sequence[Hashable]
    x: Sequence[Hashable] = field(default=())

    def axes(self) -> tuple[list[ProductAxis], list[ProductAxis]]:
        """The kept and the reduced axes, neighbours joined where they can be."""
        q = dict(zip(self.q, dense_strides([self.sizes[n] for n in self.q]), strict=True))
        x = dict(zip(self.x, dense_strides([self.sizes[n] for n in self.x]), strict=True))

        def make(name: Hashable) -> ProductAxis:
            return ProductAxis(self.sizes[name], q.get(name, 0), x.get(name, 0))

        reduced = [n for n in (*self.q, *self.x) if n not in self.result]
        kept = [make(name) for name in self.result]
        # The last axis is the pixel, which the kernel keeps in scratch memory: it must not grow.
        outer, pixel = kept[:-1], kept[-1:]
        return _join(outer) + pixel, _join([make(n) for n in dict.fromkeys(reduced)])


def broadcast_names(
    shape: Sequence[int], result: Sequence[int], x: Sequence[int] | None = None
) -> Names:
    """Axes of an elementwise operator whose operands may be broadcast.

    Args:
      shape: Of its output.
      result: Of the operand whose gradient is wanted.
      x: Of the other operand; None when the factor is a constant.
    """
    sizes: dict[Hashable, int] = dict(enumerate(shape))

    def names(operand: Sequence[int]) -> list[Hashable]:
        lead = len(shape) - len(operand)
        return [lead + i for i, n in enumerate(operand) if n != 1 or shape[lead + i] == 1]

    return Names(sizes, names(result), list(sizes), [] if x is None else names(x))


def tabulate(values: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.int16]]:
    """Real values as int16 of one scale: the scale and the integers."""
    largest = float(np.abs(values).max())
    unit = np.float32(largest / LARGEST_TABLE_VALUE) if largest > 0 else np.float32(1)
    table = np.floor(values / np.float64(unit) + 0.5).clip(
        -LARGEST_TABLE_VALUE, LARGEST_TABLE_VALUE
    )
    return float(unit), table.astype(np.int16)


def product_accumulator(
    q: Int8Array,
    x: Int8Array | None,
    table: npt.NDArray[np.int16] | None,
    product: Product,
) -> Int32Array:
    """The result before quantisation: int32 in the shape of the kept axes."""
    axes = (*product.kept, *product.reduced)
    sizes = [axis.size for axis in axes]
    q_seen = _seen(q, sizes, [axis.q_stride for axis in axes])
    factor: npt.NDArray[np.int64] = np.array(product.factor, np.int64)
    if product.kind != FactorKind.CONSTANT:
        assert x is not None
        x_seen = _seen(x, sizes, [axis.x_stride for axis in axes])
        if product.kind == FactorKind.ACTIVATION:
            factor = x_seen - product.factor
        else:
            assert table is not None
            values = table.astype(np.int64)
            if product.kind == FactorKind.TABLE:
                factor = values[x_seen + 128]
            else:
                c = np.arange(product.kept[-1].size).reshape(-1, *[1] * len(product.reduced))
                factor = values.reshape(-1, 2)[c, (x_seen >= product.factor).astype(np.int64)]
    summed = tuple(range(len(product.kept), len(axes)))
    acc: Int32Array = (q_seen * factor).sum(axis=summed).astype(np.int32)
    return acc


def product_gradient(
    gradient: QuantizedGradient,
    x: Int8Array | None,
    table: npt.NDArray[np.int16] | None,
    product: Product,
    range_: np.float32,
    mask: Mask | None = None,
    addend: QuantizedGradient | None = None,
) -> Requantized:
    """PRODUCT_GRAD: the gradient of one operand.

    Args:
      gradient: The output's gradient, masked.
      x: The activation the factor depends on; None for a constant.
      table: int16 `[256]` or `[2 * pixel]`, None where the factor has none.
      product: Axes and factor.
      range_: float32, running range of the result's slot.
      mask: Clamp mask of the operand.
      addend: A second gradient of the operand.

    Returns:
      The gradient in the shape of the kept axes, its scale and the slot's new range.
    """
    acc = product_accumulator(gradient.q, x, table, product)
    unit = np.float32(gradient.scale) * product.unit_scale
    return requantize_stream(acc, mask, unit, range_, max_abs(gradient.q), addend)


def why_not_product(names: Names, factor_largest: int) -> str | None:
    """Why the kernel cannot compute a product, None when it can."""
    kept, reduced = names.axes()
    if len(kept) > KEPT_AXES or len(reduced) > REDUCED_AXES:
        return (
            f"it broadcasts along too many separate axes ({len(kept)} kept, {len(reduced)} summed; "
            f"at most {KEPT_AXES} and {REDUCED_AXES} work)"
        )
    terms = int(np.prod([axis.size for axis in reduced], dtype=np.int64))
    if terms * factor_largest > _LARGEST_SUM:
        return f"it sums {terms} products, which may not fit an int32"
    return None


def plan(names: Names, factor: Factor) -> Product:
    """The kernel's axes of a product that it can compute."""
    kept, reduced = names.axes()
    one = ProductAxis()
    return Product(
        (*[one] * (KEPT_AXES - len(kept)), *kept),
        (*[one] * (REDUCED_AXES - len(reduced)), *reduced),
        factor.kind,
        factor.value,
        np.float32(factor.unit_scale),
    )


def produce_product(
    tape: Tape, tensor: Tensor, gradient: TapeGradient, names: Names, factor: Factor
) -> None:
    """The gradient of `tensor` is a product."""

    def produce(to: Destination) -> None:
        emit_product(tape, gradient, names, factor, to)

    tape.produce(tensor, produce, takes_addend=True)


def emit_product(
    tape: Tape, gradient: TapeGradient, names: Names, factor: Factor, to: Destination
) -> None:
    """Emits the op that writes a product."""
    product = plan(names, factor)
    params = ops.ProductGrad(
        product.kept, product.reduced,
        gradient.tensor.size, 0 if factor.x is None else factor.x.size,
        factor.kind, factor.value, to.mask.fields,
        gradient.slot, to.slot, to.slot_addend, float(product.unit_scale),
    )  # fmt: skip
    table = None
    if factor.table is not None:
        table = tape.constant(to.constant_name("derivative"), factor.table)
    emit_gradient(tape, params, gradient, to, x=factor.x, table=table)


def product_of(params: ops.ProductGrad) -> Product:
    """What the parameters of an op say."""
    return Product(
        params.kept,
        params.reduced,
        FactorKind(params.factor_kind),
        params.factor,
        np.float32(params.unit_scale),
    )


def _join(axes: Sequence[ProductAxis]) -> list[ProductAxis]:
    joined: list[ProductAxis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        n = axis.size
        if joined and (joined[-1].q_stride, joined[-1].x_stride) == (
            n * axis.q_stride,
            n * axis.x_stride,
        ):
            axis = ProductAxis(joined.pop().size * n, axis.q_stride, axis.x_stride)
        joined.append(axis)
    return joined


def _seen(values: Int8Array, sizes: Sequence[int], strides: Sequence[int]) -> npt.NDArray[np.int64]:
    """`values` through axes of these sizes and strides."""
    flat = values.reshape(-1).astype(np.int64)
    seen: npt.NDArray[np.int64] = np.lib.stride_tricks.as_strided(
        flat, sizes, [8 * s for s in strides], writeable=False
    )
    return seen


def _product_grad(op: Op, params: ops.ProductGrad, step: Step) -> None:
    inputs = params.inputs_of(op)
    x, table = step.optional(inputs.x), step.optional(inputs.table)
    step.requantized(op, params, inputs, product_gradient, x, table, product_of(params))


KERNELS: Kernels = {
    ops.ProductGrad: Kernel(_product_grad, lambda params: WORD * params.kept[-1].size)
}
