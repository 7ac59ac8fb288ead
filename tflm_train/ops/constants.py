"""Numbers that the declarations, the kernels and the numpy reference share."""

from __future__ import annotations

from enum import IntEnum

from tflm_train.ops.expression import LARGEST


class MaskKind(IntEnum):
    """How an operator learns where a fused activation clamped."""

    NONE = 0
    ACTIVATION = 1
    """The int8 forward output itself."""
    BITS = 2
    """Bit i & 7 of byte i >> 3, 1 = the gradient passes."""


class LossKind(IntEnum):
    """Which loss."""

    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2


class TargetKind(IntEnum):
    """What the target tensor holds."""

    INDEX = 0
    """int32 [1]: the class."""
    VALUES = 1
    """float [classes]."""
    INPUT = 2
    """int8 [classes]: the model's own input."""


class StageKind(IntEnum):
    """What a stage of a STREAM computes."""

    CONV = 0
    DEPTHWISE = 1
    ADD = 2


class FactorKind(IntEnum):
    """What PRODUCT_GRAD multiplies the incoming gradient by."""

    CONSTANT = 0
    """factor."""
    ACTIVATION = 1
    """x - factor, an int8 activation and its zero point."""
    TABLE = 2
    """table[x + 128]."""
    SIGN = 3
    """table[2 * c + (x >= factor)], c = index in the pixel."""


ENUMS: dict[type[IntEnum], str] = {
    MaskKind: "Mask",
    LossKind: "",
    TargetKind: "Target",
    StageKind: "Stage",
    FactorKind: "Factor",
}
"""The enums, each with what its members' names begin with in C++."""

FINITE = 0x7F7FFFFF
"""The bits of the largest float: those of finite floats from 0 on are the integers 0 to this."""
MAX_SCALE = 0x5F800000
"""The bits of 2^64, the largest scale of an activation: a few hundred times it is finite, too."""
MAX_SIDE = 1 << 20
"""Longest side of an image or a kernel: products of two fit the kernels' int32."""
MAX_WINDOW = 32767
MAX_GAIN_SHIFT = 12
"""The step of a layer of few positions, a head above all, has no lower limit for want of bits; what
is shifted further has nothing to gain."""
MAX_SUM_LENGTH = 1048
"""Longest sum of int8 * int8 * int8 products that is sure to fit int32."""
MAX_ACCUMULATE_INPUTS = 4
KEPT_AXES = 4
REDUCED_AXES = 3
MOVE_AXES = 5
NO_MARK = -1
"""Each tensor that a training step makes has a mark: a bit that says whether it has been written
in this step. A gradient's is its slot. What has none (activations), or is absent, has this one."""
MARKS_PER_WORD = 32
STREAM_INPUT = -1
"""As a stage's source or addend: the op's input."""
MAX_STREAM_STAGES = 64
MAX_L2_NORM_SIZE = 4096

LIMITS = {
    "NO_MARK": NO_MARK,
    "MAX_GAIN_SHIFT": MAX_GAIN_SHIFT,
    "MAX_ACCUMULATE_INPUTS": MAX_ACCUMULATE_INPUTS,
    "KEPT_AXES": KEPT_AXES,
    "REDUCED_AXES": REDUCED_AXES,
    "MOVE_AXES": MOVE_AXES,
}
"""Those that the C++ header has too."""

NUMBERS: dict[str, int] = {
    **{f"{enum.__name__}.{member.name}": member.value for enum in ENUMS for member in enum},
    **LIMITS,
    "FINITE": FINITE,
    "MAX_SCALE": MAX_SCALE,
    "MAX_SIDE": MAX_SIDE,
    "MAX_WINDOW": MAX_WINDOW,
    "MAX_SUM_LENGTH": MAX_SUM_LENGTH,
    "MAX_L2_NORM_SIZE": MAX_L2_NORM_SIZE,
    "LARGEST": LARGEST,
}
"""Those that an expression may name."""
