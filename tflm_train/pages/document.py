"""A page and what it is made of: inline style, inline SVG, no font, no request."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import platform
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from tflm_train.version import VERSION

_START = '<!doctype html><html lang="en"><head><meta charset="utf-8">'
_MADE_BY = '<meta name="generator" content="tflm_train'


def document(title: str, body: Iterable[str]) -> str:
    """A whole page, light or dark as the reader prefers.

    Args:
      title: Of the window.
      body: HTML, put together.
    """
    style = importlib.resources.files(__package__).joinpath("style.css").read_text("utf-8")
    return (
        f'{_START}{_MADE_BY} {VERSION}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def is_document(data: bytes) -> bool:
    """Whether these bytes are such a page."""
    return data.startswith(f"{_START}{_MADE_BY}".encode())


def card(title: str, content: str) -> str:
    """A framed part with a heading of its own."""
    return f"<div class='card'><h3>{escape(title)}</h3>{content}</div>"


def table(headings: Iterable[str], rows: Iterable[tuple[bool, Sequence[str]]]) -> str:
    """A table of plain texts.

    Args:
      headings: Of the columns.
      rows: Whether a row stands out, and its cells.
    """
    head = "".join(f"<th>{escape(x)}</th>" for x in headings)
    body = "".join(
        f"<tr class='{'best' if best else ''}'>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for best, cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(values: Mapping[str, str]) -> str:
    """Names and values, one to a line."""
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
        for key, value in values.items()
    )
    return f"<dl class='facts'>{rows}</dl>"


def how_it_was_measured(values: Mapping[str, str], command: str) -> str:
    """The last part of a page.

    Args:
      values: What there is to know.
      command: What was typed.
    """
    return (
        f"<h2>How it was measured</h2><div class='card wide'>{facts(values)}"
        f"<pre><code>{escape(command)}</code></pre></div>"
    )


def versions(packages: Iterable[str]) -> str:
    """Of Python, of us, and of packages."""
    found = {"Python": platform.python_version(), "tflm_train": VERSION}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return ", ".join(f"{key} {value}" for key, value in found.items())
