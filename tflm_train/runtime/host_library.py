"""The C++ kernels, built at `pip install`, loaded beside the real TFLM interpreter."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tflm_train.errors import RuntimeFailure

LIBRARY = Path(__file__).resolve().parent.parent / "_host_ops.so"
REGISTERER = "TflmTrainRegister"


@functools.cache
def host_library() -> ctypes.CDLL:
    """Loads the interpreter's library and ours, both with global symbols.

    The interpreter finds our registration function by name, and our ops find the interpreter's
    memory functions by name.

    Raises:
      RuntimeFailure: The library was not built, or the interpreter is not installed.
    """
    try:
        from tflite_micro.python.tflite_micro import _runtime
    except ImportError as error:
        raise RuntimeFailure(
            f"the TFLM interpreter cannot be imported ({error}); pip install the tflite-micro "
            "version that pyproject.toml names"
        ) from error
    if not LIBRARY.exists():
        raise RuntimeFailure(
            f"{LIBRARY.name} was not built; reinstall with a C++ compiler on the path"
        )
    try:
        ctypes.CDLL(_runtime.__file__, mode=ctypes.RTLD_GLOBAL)
        library = ctypes.CDLL(str(LIBRARY), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise RuntimeFailure(f"the kernel library cannot be loaded: {error}") from error
    library.TflmTrainLastError.restype = ctypes.c_char_p
    library.TflmTrainOpNanoseconds.restype = ctypes.c_uint64
    library.TflmTrainStateSize.restype = ctypes.c_size_t
    for transfer in (library.TflmTrainStateSave, library.TflmTrainStateLoad):
        transfer.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return library


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
