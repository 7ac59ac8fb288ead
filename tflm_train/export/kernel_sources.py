"""Where the C++ kernels' sources are: in the wheel as data, beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

from tflm_train.errors import RuntimeFailure

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "_kernels", _PACKAGE.parent)
_FOLDER = "tflm_kernels"
_SUFFIXES = (".h", ".cc")
_HOST_ONLY = "host"  # the folder of the host library's own parts
_AUDIO = "audio"


def kernel_sources(front_end: str) -> dict[str, bytes]:
    """The files that firmware needs, by path (`tflm_kernels/...`, as they include each other).

    Args:
      front_end: Of which kind the front end is; empty: none.

    Raises:
      RuntimeFailure: They were not installed.
    """
    for place in _PLACES:
        root = place / _FOLDER
        files = {
            path.relative_to(place).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.suffix in _SUFFIXES and _is_needed(path.relative_to(root), front_end)
        }
        if files:
            return files
    raise RuntimeFailure("the kernels' C++ sources were not installed; reinstall tflm_train")


def _is_needed(path: Path, front_end: str) -> bool:
    if path.parts[0] == _AUDIO:
        return path.stem == f"{front_end}_features"
    return path.parts[0] != _HOST_ONLY


def license_text() -> bytes:
    """The license that the kernels come with."""
    for place in _PLACES:
        if (place / "LICENSE").exists():
            return (place / "LICENSE").read_bytes()
    raise RuntimeFailure("the license file was not installed; reinstall tflm_train")
