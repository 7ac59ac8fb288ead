"""PAD: reference of the gradient.

`y` holds `x` unchanged, so `dL/dx` is the crop of `dL/dy`; the scale stays.
"""

from collections.abc import Sequence

from tflm_train import kernel_abi as abi
from tflm_train.backward_ops.numerics import Mask, QuantizedGradient, apply_mask
from tflm_train.backward_ops.rule import Addend, Clamp, MaskInput, Tape
from tflm_train.backward_ops.rule import Gradient as TapeGradient
from tflm_train.model.graph import Op


def pad_gradient(
    gradient: QuantizedGradient,
    in_shape: tuple[int, int, int, int],
    out_shape: tuple[int, int, int, int],
    pad_before: tuple[int, int, int, int],
    mask: Mask | None = None,
) -> QuantizedGradient:
    """PAD_GRAD: the gradient of the unpadded tensor.

    Args:
      gradient: The padded tensor's gradient, `q` of `out_shape`.
      in_shape: NHWC shape before padding.
      out_shape: NHWC shape after padding.
      pad_before: Elements padded before the first, per axis.
      mask: Clamp mask of the unpadded tensor.

    Returns:
      The gradient, `q` of `in_shape`, with the same scale.
    """
    inside = tuple(slice(p, p + n) for p, n in zip(pad_before, in_shape, strict=True))
    return QuantizedGradient(
        apply_mask(gradient.q.reshape(out_shape)[inside], mask), gradient.scale
    )


class PadRule:
    """PAD and PADV2 with constant paddings."""

    def why_not(self, op: Op) -> str | None:
        paddings = op.optional_input(1)
        if paddings is None or paddings.data is None:
            return "its paddings are computed at run time"
        if len(op.input.shape) > 4:
            return f"its input has {len(op.input.shape)} dimensions; at most 4 work"
        return None

    def clamp(self, op: Op) -> Clamp | None:
        del op
        return None

    def backward(self, op: Op, gradient: TapeGradient, tape: Tape) -> None:
        paddings = op.inputs[1]
        assert paddings is not None and paddings.data is not None
        before = four([int(p) for p in paddings.data[:, 0]], fill=0)
        in_shape = four(op.input.shape, fill=1)
        out_shape = four(op.output.shape, fill=1)

        def produce(made: TapeGradient, mask: MaskInput, addend: Addend) -> None:
            del addend
            params = abi.PadGradParams(
                *in_shape, *out_shape, *before, mask.fields, gradient.slot, made.slot
            )
            tape.emit(
                params, [gradient.tensor, tape.state, tape.scales, mask.tensor], [made.tensor]
            )

        tape.produce(op.input, produce, takes_addend=False)


def four(values: Sequence[int], fill: int) -> tuple[int, int, int, int]:
    """At most four numbers, filled up from the front."""
    a, b, c, d = [fill] * (4 - len(values)) + [int(v) for v in values]
    return a, b, c, d
