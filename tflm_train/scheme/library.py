"""Schemes that come with the package: those of the paper, for its three networks."""

from __future__ import annotations

import os
from pathlib import Path

from tflm_train.errors import SchemeError
from tflm_train.files import ReadyFiles
from tflm_train.scheme.scheme import Scheme

_READY = ReadyFiles(Path(__file__).parent / "library", "ready scheme", SchemeError)
library_names, library_text = _READY.names, _READY.text


def find_scheme(path_or_name: str | os.PathLike[str]) -> Scheme:
    """Reads a scheme file, or a ready scheme by its name when no such file exists.

    Raises:
      SchemeError: Neither a file nor a ready scheme, or it breaks the schema.
    """
    text = os.fspath(path_or_name)
    if _READY.are_meant(text):
        return Scheme.parse(library_text(text), f"{text}.yaml")
    if not Path(text).exists():
        raise SchemeError(
            f"{text}: no such file, and no ready scheme of that name (see `tflm_train scheme list`)"
        )
    return Scheme.load(text)
