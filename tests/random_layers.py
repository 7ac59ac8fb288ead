"""Random layers: their shapes, and stacks of them.

Everything is drawn by one function, so that hypothesis or a generator may decide.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.stacks import ACTIVATIONS, Stack
from tflm_train.ops.geometry import Geometry

Draw = Callable[[int, int], int]
"""A random number between two, both included."""


def size(draw: Draw, most: int = 512) -> int:
    """As often small as large."""
    return draw(1, max(1, most >> draw(0, most.bit_length() - 1)))


def geometry(draw: Draw, depthwise: bool = False) -> Geometry:
    """A window of any shape with any padding, that of a folded PAD as well."""
    kernel, stride, dilation = ([draw(1, most) for _ in range(2)] for most in (9, 3, 2))
    if draw(0, 1):
        kernel = [3, 3]  # the usual one has loops of its own
    if draw(0, 2):
        stride, dilation = [stride[0]] * 2, [1, 1]
    if not depthwise and draw(0, 1):
        kernel, stride = [1, 1], [1, 1]
    pads = [draw(0, min(3, k - 1)) for k in kernel]
    out = [size(draw, 64) for _ in range(2)]
    # What the last window reads, with up to a stride more.
    in_size = [
        max(1, (o - 1) * s + (k - 1) * d + 1 - p - draw(0, p) + draw(0, s - 1))
        for o, s, k, d, p in zip(out, stride, kernel, dilation, pads, strict=True)
    ]
    in_c = size(draw)
    out_c = in_c * (draw(1, 3) if draw(0, 3) == 0 else 1) if depthwise else size(draw)
    return Geometry(*in_size, in_c, *out, out_c, *kernel, *stride, *dilation, *pads)


def random_stack(draw: Draw, limit: int) -> Stack:
    """One to four blocks: convolutions of every kind, inverted bottlenecks, residuals.

    Args:
      draw: Decides.
      limit: Largest activation, in elements.
    """
    height, width = draw(3, 19), draw(3, 19)
    first = min(draw(1, 64), max(1, limit // (height * width)))
    stack = Stack.start(height, width, first, draw(0, 2**31))

    def activation() -> int:
        return ACTIVATIONS[draw(0, len(ACTIVATIONS) - 1)]

    def window() -> tuple[int, int, bool, int, int]:
        """Kernel, stride, SAME, activation, dilation; with a PAD before it now and then."""
        kernel, stride = draw(1, 7), draw(1, 2)
        padding = ("SAME", "VALID", "PAD")[draw(0, 2)]
        if padding == "PAD":
            stack.pad((draw(0, 3), draw(0, 3), draw(0, 3), draw(0, 3)))
        dilation = 2 if draw(0, 3) == 3 else 1
        smallest = min(stack.top.shape[1:3])
        if padding != "SAME":
            kernel = min(kernel, smallest)
            dilation = 1 if (kernel - 1) * dilation + 1 > smallest else dilation
        # TFLite has no kernel for strides and dilations together.
        return kernel, 1 if dilation > 1 else stride, padding == "SAME", activation(), dilation

    def fitting() -> int:
        area = stack.top.shape[1] * stack.top.shape[2]
        return max(1, min(draw(1, 64), limit // area))

    for _ in range(draw(1, 4)):
        kind = ("conv", "depthwise", "bottleneck", "residual")[draw(0, 3)]
        if kind == "conv":
            stack.conv(fitting(), *window())
        elif kind == "depthwise":
            stack.depthwise(draw(1, 2), *window())
        else:
            skip = stack.top
            stack.conv(fitting(), 1, 1, True, activation())
            if kind == "bottleneck":
                stack.depthwise(1, *window())
                stack.conv(fitting(), 1, 1, True, 0)
            else:
                stack.depthwise(1, draw(1, 7), 1, True, activation())
                stack.conv(skip.shape[3], 1, 1, True, 0)
                stack.add(skip, activation())
    return stack
