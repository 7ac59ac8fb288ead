"""Crashes of native code end a command with a line of words, like every other error.

TFLM's kernels trust what a model says, so that some files crash them, where a signal would end the
whole process. Programs that use the package keep their own way of dying.
"""

from __future__ import annotations

import ctypes
import functools

from tflm_train.runtime.host_library import LIBRARY

_armed = False


def end_crashes_in_a_line() -> None:
    """From now on a crash prints one line and exits with status 1, where the kernels are built."""
    global _armed
    _armed = _library() is not None
    name_crashes("")


def name_crashes(model: str) -> None:
    """Names the model that a crash is to be blamed on.

    Args:
      model: Its name, empty while there is none.
    """
    library = _library() if _armed else None
    if library is None:
        return
    blamed = f"{model}: TFLM" if model else "native code"
    advice = "; its kernels trust what the file says: convert the model again" if model else ""
    line = f"tflm_train: error: {blamed} crashed{advice}\n"
    library.TflmTrainExitOnCrash(line.encode(errors="replace"))


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
