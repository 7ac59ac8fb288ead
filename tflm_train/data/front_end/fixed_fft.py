"""The FFT of TFLM's micro frontend: 16-bit fixed point, to the bit.

Butterflies of radix 4 (and one of radix 2 where the size is no power of 4), decimation in time;
before each, its inputs are divided by the radix, so that no sum overflows. Factors have 15
fractional bits, products are rounded half up. The result is the transform divided by its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Int32Array = npt.NDArray[np.int32]

_BITS = 15
_ONE = (1 << _BITS) - 1


@dataclass(frozen=True)
class Complex:
    """Complex numbers with parts of 16 bits, held in int32 so that products fit."""

    real: Int32Array
    imag: Int32Array

    def at(self, index: Any) -> Complex:
        """Some of them."""
        return Complex(self.real[index], self.imag[index])


def real_fft(x: npt.NDArray[np.int16]) -> Complex:
    """The spectrum of real signals.

    Args:
      x: [n, size]; the size is a power of 2, at least 4.

    Returns:
      [n, size / 2 + 1].
    """
    half = x.shape[1] // 2
    pairs = x.astype(np.int32).reshape(len(x), half, 2)
    spectrum = _fft(Complex(pairs[:, :, 0], pairs[:, :, 1]), _twiddles(half), 1)
    first = _divided(spectrum.at(np.s_[:, :1]), 2)
    # Even and odd samples were transformed as one: their spectra are taken apart again.
    low = np.arange(1, half // 2 + 1)
    one = _divided(spectrum.at(np.s_[:, low]), 2)
    high = spectrum.at(np.s_[:, half - low])
    other = _divided(Complex(high.real, _wrapped(-high.imag)), 2)
    even, odd = _sum(one, other), _difference(one, other)
    turned = _product(odd, _half_twiddles(half))
    out = Complex(np.zeros((len(x), half + 1), np.int32), np.zeros((len(x), half + 1), np.int32))
    out.real[:, low] = (even.real + turned.real) >> 1
    out.imag[:, low] = (even.imag + turned.imag) >> 1
    out.real[:, half - low] = (even.real - turned.real) >> 1
    out.imag[:, half - low] = (turned.imag - even.imag) >> 1
    out.real[:, 0] = _wrapped(first.real + first.imag)[:, 0]
    out.real[:, half] = _wrapped(first.real - first.imag)[:, 0]
    return out


def _fft(x: Complex, twiddles: Complex, stride: int) -> Complex:
    size = x.real.shape[1]
    if size == 1:
        return x
    radix = 4 if size % 4 == 0 else 2
    parts = [_fft(x.at(np.s_[:, start::radix]), twiddles, stride * radix) for start in range(radix)]
    parts = [_divided(part, radix) for part in parts]
    places = stride * np.arange(size // radix)
    turned = [parts[0]]
    turned += [_product(part, twiddles.at(k * places)) for k, part in enumerate(parts[1:], start=1)]
    if radix == 2:
        found = [_sum(*turned), _difference(*turned)]
    else:
        zeroth, first, second, third = turned
        above, below = _sum(zeroth, second), _difference(zeroth, second)
        odd, across = _sum(first, third), _difference(first, third)
        back = Complex(across.imag, -across.real)
        found = [
            _sum(above, odd),
            _sum(below, back),
            _difference(above, odd),
            _difference(below, back),
        ]
    return Complex(
        np.concatenate([part.real for part in found], axis=1),
        np.concatenate([part.imag for part in found], axis=1),
    )


def twiddles(size: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """What a transform of so many real values multiplies with, as tables of the firmware.

    Returns:
      [size / 2, 2] of the butterflies and [size / 4, 2] of the last step: real and imaginary parts.
    """
    half = size // 2
    whole, last = (
        np.stack([found.real, found.imag], axis=1).astype(np.int16)
        for found in (_twiddles(half), _half_twiddles(half))
    )
    return whole, last


@cache
def _twiddles(size: int) -> Complex:
    return _unit_circle(-2.0 * np.pi * np.arange(size) / size)


@cache
def _half_twiddles(half: int) -> Complex:
    return _unit_circle(-np.pi * (np.arange(1, half // 2 + 1) / half + 0.5))


def _unit_circle(phases: npt.NDArray[np.float64]) -> Complex:
    real, imag = (np.floor(0.5 + _ONE * of(phases)).astype(np.int32) for of in (np.cos, np.sin))
    return Complex(real, imag)


def _wrapped(x: Int32Array) -> Int32Array:
    """What 16 bits hold of it."""
    return x.astype(np.int16).astype(np.int32)


def _rounded(x: Int32Array) -> Int32Array:
    return _wrapped((x + (1 << (_BITS - 1))) >> _BITS)


def _divided(x: Complex, divisor: int) -> Complex:
    factor = np.int32(_ONE // divisor)
    return Complex(_rounded(x.real * factor), _rounded(x.imag * factor))


def _product(a: Complex, b: Complex) -> Complex:
    real = _rounded(a.real * b.real - a.imag * b.imag)
    return Complex(real, _rounded(a.real * b.imag + a.imag * b.real))


def _sum(a: Complex, b: Complex) -> Complex:
    return Complex(_wrapped(a.real + b.real), _wrapped(a.imag + b.imag))


def _difference(a: Complex, b: Complex) -> Complex:
    return Complex(_wrapped(a.real - b.real), _wrapped(a.imag - b.imag))
