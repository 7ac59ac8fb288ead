"""Schemes that come with the package: those of the paper, for its three networks."""

from __future__ import annotations

import os
from pathlib import Path

from tflm_train.errors import SchemeError
from tflm_train.scheme.scheme import Scheme

_FOLDER = Path(__file__).parent / "library"


def library_names() -> list[str]:
    """The names of all ready schemes."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def library_text(name: str) -> str:
    """The YAML of a ready scheme.

    Raises:
      SchemeError: There is none of that name.
    """
    if name not in library_names():
        raise SchemeError(f"no ready scheme {name!r}; there are {', '.join(library_names())}")
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def find_scheme(path_or_name: str | os.PathLike[str]) -> Scheme:
    """Reads a scheme file, or a ready scheme by its name when no such file exists.

    Raises:
      SchemeError: Neither a file nor a ready scheme, or it breaks the schema.
    """
    text = os.fspath(path_or_name)
    if text in library_names() and not Path(text).exists():
        return Scheme.parse(library_text(text), f"{text}.yaml")
    if not Path(text).exists():
        raise SchemeError(
            f"{text}: no such file, and no ready scheme of that name (see `tflm_train scheme list`)"
        )
    return Scheme.load(text)
