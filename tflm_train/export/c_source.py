"""Values as C++ writes them."""

from __future__ import annotations

import json
from typing import Any

_BYTES_PER_LINE = 16


def array(data: bytes) -> str:
    """The elements of an array of bytes, in lines."""
    lines = (data[i : i + _BYTES_PER_LINE] for i in range(0, len(data), _BYTES_PER_LINE))
    return "\n".join("    " + ", ".join(f"0x{b:02x}" for b in line) + "," for line in lines)


def c_string(text: str) -> str:
    """A literal."""
    # JSON's escapes are C++'s, but for what is not ASCII: octal, so that no digit is swallowed.
    escaped = json.dumps(text, ensure_ascii=False)
    escaped = escaped.replace("?", "\\?")  # no trigraphs
    return "".join(
        c if c.isascii() else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in escaped
    )


def c_float(value: Any) -> str:
    """A literal."""
    text = repr(float(value))
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"
