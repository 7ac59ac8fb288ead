"""Where the C++ kernels' sources are: in the wheel as data, beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

from tflm_train.errors import RuntimeFailure

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "_kernels", _PACKAGE.parent)
_FOLDER = "tflm_kernels"
# What firmware compiles; the host library's own parts stay out.
_PATTERNS = ("*.h", "*.cc", "micro/*.h", "micro/*.cc")


def kernel_sources() -> dict[str, bytes]:
    """The files that firmware needs, by path (`tflm_kernels/...`, as they include each other).

    Raises:
      RuntimeFailure: They were not installed.
    """
    for place in _PLACES:
        files = sorted(f for pattern in _PATTERNS for f in (place / _FOLDER).glob(pattern))
        if files:
            return {file.relative_to(place).as_posix(): file.read_bytes() for file in files}
    raise RuntimeFailure("the kernels' C++ sources were not installed; reinstall tflm_train")


def license_text() -> bytes:
    """The license that the kernels come with."""
    for place in _PLACES:
        if (place / "LICENSE").exists():
            return (place / "LICENSE").read_bytes()
    raise RuntimeFailure("the license file was not installed; reinstall tflm_train")
