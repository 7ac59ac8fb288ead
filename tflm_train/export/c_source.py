"""Values as C++ writes them."""

from __future__ import annotations

from typing import Any

_BYTES_PER_LINE = 16
_ESCAPED = '"\\?'  # The last one so that there are no trigraphs.


def array(data: bytes) -> str:
    """The elements of an array of bytes, in lines."""
    lines = (data[i : i + _BYTES_PER_LINE] for i in range(0, len(data), _BYTES_PER_LINE))
    return "\n".join("    " + ", ".join(f"0x{b:02x}" for b in line) + "," for line in lines)


def c_string(text: str) -> str:
    """A literal."""
    # A lone surrogate has no bytes: it becomes a question mark.
    return f'"{"".join(map(_escaped, text.encode(errors="replace")))}"'


def _escaped(byte: int) -> str:
    character = chr(byte)
    if character in _ESCAPED:
        return f"\\{character}"
    # Octal has three digits at most: it swallows none of what follows.
    return character if character.isascii() and character.isprintable() else f"\\{byte:03o}"


def c_float(value: Any) -> str:
    """A literal."""
    text = repr(float(value))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"
