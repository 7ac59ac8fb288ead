"""The C++ kernels, built at `pip install`, loaded beside the real TFLM interpreter."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tflm_train.errors import RuntimeFailure

LIBRARY = Path(__file__).resolve().parent.parent / "_host_ops.so"
REGISTERER = "TflmTrainRegister"


def tflm_runtime() -> Any:
    """The module `runtime` of the package `tflite-micro`.

    Raises:
      RuntimeFailure: It is not installed, or there is none for this platform.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            needed = "which there is for Linux on x86-64 only; `export` the model, or train there"
        else:
            needed = f"and importing it failed ({error}); pip install '{_tflm_requirement()}'"
        raise RuntimeFailure(f"this needs the TFLM interpreter, {needed}") from error
    return runtime


def _tflm_requirement() -> str:
    """The versions of `tflite-micro` that are tested."""
    try:
        requirements = importlib.metadata.requires("tflm_train") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    found = (r.partition(";")[0].strip() for r in requirements if r.startswith("tflite-micro"))
    return next(found, "tflite-micro")


@functools.cache
def host_library() -> ctypes.CDLL:
    """Loads the interpreter's library and ours, both with global symbols.

    The interpreter finds our registration function by name, and our ops find the interpreter's
    memory functions by name.

    Raises:
      RuntimeFailure: The library was not built, or the interpreter is not installed.
    """
    extension = tflm_runtime()._runtime.__file__
    if not LIBRARY.exists():
        raise RuntimeFailure(
            "this needs the training kernels as a library, which was left out because there was no "
            "C++ compiler; install one (Debian, Ubuntu: apt-get install g++), then tflm_train again"
        )
    try:
        ctypes.CDLL(extension, mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise RuntimeFailure(f"the kernel library cannot be loaded: {error}") from error
    library.TflmTrainLastError.restype = ctypes.c_char_p
    library.TflmTrainOpNanoseconds.restype = ctypes.c_uint64
    library.TflmTrainStateSize.restype = ctypes.c_size_t
    transfers = library.TflmTrainStateSave, library.TflmTrainStateLoad, library.TflmTrainLatentSet
    for transfer in transfers:
        transfer.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return library


def take_step_counts() -> tuple[int, int, int]:
    """Steps of single weights since the last call: all, those limited, those rounded to nothing."""
    counts = (ctypes.c_uint64 * 3)()
    host_library().TflmTrainTakeStepCounts(counts)
    steps, limited, vanished = (int(count) for count in counts)
    return steps, limited, vanished


def last_error() -> str:
    """The last message of the kernels or of the interpreter, in one line."""
    text = host_library().TflmTrainLastError()
    return " ".join(text.decode(errors="replace").split()) if text else ""


@contextlib.contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collects what C++ writes to standard error; lines appear in the list at the end."""
    lines: list[str] = []
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            lines += sink.read().decode(errors="replace").splitlines()
