"""Sizes of sliding windows, as TFLite computes them."""

from __future__ import annotations


def window_reach(kernel: int, dilation: int) -> int:
    """Input elements from the first to the last tap of a kernel along one axis."""
    return (kernel - 1) * dilation + 1


def window_positions(size: int, kernel: int, stride: int, dilation: int, *, same: bool) -> int:
    """Output size along one axis; below 1 where the kernel does not fit into the input.

    Args:
      size: Input elements.
      kernel: Taps.
      stride: Step in input elements.
      dilation: Distance of the taps.
      same: Padding SAME, else VALID.
    """
    positions = size if same else size - window_reach(kernel, dilation) + 1
    return -(-positions // stride)
