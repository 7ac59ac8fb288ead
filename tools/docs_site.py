"""Builds the documents as a site: pages from README.md, docs/ and the sources, then MkDocs.

    python -m tools.docs_site pages [FOLDER]    the pages alone, into build/site_pages
    make docs                                   and from them the site, into build/site

Reference pages are made here: the command line from its parsers, Python from its docstrings, C++
from its headers.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "site_pages"
_DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "benchmarks/README.md")
_HEADERS = (
    "micro/train_ops.h",
    "state/interpreter_state.h",
    "state/state.h",
    "state/journal.h",
    "state/storage.h",
    "state/latent_store.h",
    "state/replay.h",
)
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?(\))")
_CODE_COLUMNS = 80
"""What a block of code shows without being scrolled, on a screen of 1280 pixels."""
_STYLE = """/* A key or an option is one word. */
.md-typeset td:first-child code { white-space: nowrap; }
"""


def write_pages(folder: Path) -> None:
    """Writes all pages.

    Args:
      folder: Where to; what is there is replaced.
    """
    if folder.exists():
        shutil.rmtree(folder)
    documents = [*_DOCUMENTS, *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))]
    for document in documents:
        target = folder / page_of(document)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / document).read_text(encoding="utf-8")
        target.write_text(_relinked(text, document, documents, folder), encoding="utf-8")
    (folder / "style.css").write_text(_STYLE, encoding="utf-8")
    reference = folder / "reference"
    reference.mkdir()
    for name, lines in (("CLI", cli_page()), ("PYTHON", python_page()), ("CPP", cpp_page())):
        (reference / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def page_of(document: str) -> str:
    """The page that a document becomes."""
    return "index.md" if document == "README.md" else document


def links_of(document: str) -> Iterator[tuple[Path, str]]:
    """The files that a document links, and the parts of them (without `#`; may be empty)."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for _, target, part, _ in _LINK.findall(_without_code(text)):
        if "://" not in target:
            yield (ROOT / document).parent / target, part.removeprefix("#")
    for part in re.findall(r"\]\(#([^)\s]+)\)", _without_code(text)):
        yield ROOT / document, part


def anchors_of(document: Path) -> set[str]:
    """The headings of a document, as links name them."""
    text = _without_code(document.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def cli_page() -> Iterator[str]:
    """The help of every command."""
    from absl.flags import argparse_flags

    from tflm_train.cli.command import Group, add_to
    from tflm_train.cli.commands import COMMANDS

    os.environ["COLUMNS"] = str(_CODE_COLUMNS + 2)  # argparse leaves two free.
    make: Any = argparse_flags.ArgumentParser
    parser = make(prog="tflm_train")
    subparsers = parser.add_subparsers()
    yield "# Command line\n"
    for entry in COMMANDS:
        add_to(subparsers, entry)
        own = subparsers.choices[entry.name]
        yield f"## {entry.name}\n\n{_help(own)}\n"
        if isinstance(entry, Group):
            actions = next(a.choices for a in own._actions if getattr(a, "choices", None))
            for name, action in actions.items():
                yield f"### {entry.name} {name}\n\n{_help(action)}\n"


def _help(parser: Any) -> str:
    """What a command is for, and its options as the terminal shows them."""
    said, parser.description = parser.description or "", None
    return f"{said.strip()}\n\n```text\n{parser.format_help().strip()}\n```"


def python_page() -> Iterator[str]:
    """What `import tflm_train` gives, from its docstrings."""
    import tflm_train

    yield f"# Python\n\n{_docstring(tflm_train)}\n"
    for name in sorted(tflm_train.__all__):
        found = getattr(tflm_train, name)
        yield f"## {name}\n\n{_signature(name, found)}{_docstring(found)}\n"
        if inspect.isclass(found):
            for member, value in vars(found).items():
                if member.startswith("_") or not getattr(value, "__doc__", None):
                    continue
                function = value.fget if isinstance(value, property) else value
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function):
                    shown = "" if isinstance(value, property) else _signature(member, function)
                    yield f"### {name}.{member}\n\n{shown}{_docstring(function)}\n"


def cpp_page() -> Iterator[str]:
    """The headers that firmware includes."""
    yield "# C++\n\nFirmware includes `tflm_kernels/micro/train_ops.h`; it includes the others.\n"
    for header in _HEADERS:
        text = (ROOT / "tflm_kernels" / header).read_text(encoding="utf-8").strip()
        yield f"## tflm_kernels/{header}\n\n```cpp\n{text}\n```\n"


def _signature(name: str, found: Any) -> str:
    try:
        signature = inspect.signature(found)
    except ValueError:  # An exception's is not written in Python.
        return ""
    parameters = [
        p.replace(annotation=_Plain(p.annotation)) if isinstance(p.annotation, str) else p
        for p in signature.parameters.values()
    ]
    result = signature.return_annotation
    if inspect.isclass(found):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    elif isinstance(result, str):
        signature = signature.replace(return_annotation=_Plain(result))
    shown = f"{name}{signature.replace(parameters=parameters)}"
    if len(shown) > _CODE_COLUMNS:
        head, _, end = shown.rpartition(")")
        lines = _one_to_a_line(head.removeprefix(f"{name}("))
        shown = f"{name}(\n{lines}\n){end}"
    return f"```python\n{shown}\n```\n\n"


class _Plain:
    """An annotation as it is written in the source, without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _one_to_a_line(parameters: str) -> str:
    """Breaks at the commas that are in no brackets."""
    depth, text = 0, "    "
    for letter in parameters:
        depth += (letter in "[({") - (letter in "])}")
        text += letter
        if letter == "," and depth == 0:
            text += "\n   "
    return f"{text},"


def _docstring(found: Any) -> str:
    """A docstring in Google style as Markdown."""
    lines: list[str] = []
    is_code = False
    indent: str | None = None  # Of a section's entries, which lines that go on exceed.
    for line in (inspect.getdoc(found) or "").splitlines():
        entry = re.match(r"( +)(\*{0,2}\w[\w, *]*): (.*)$", line)
        if re.fullmatch(r"(Args|Returns|Raises|Attributes|Yields):", line):
            lines += ["", f"**{line[:-1]}**", ""]
            indent = ""
        elif entry and indent is not None and entry[1] == (indent or entry[1]):
            lines.append(f"- `{entry[2]}`: {entry[3]}")
            indent = entry[1]
        elif indent is not None:
            lines.append(f"  {line.strip()}".rstrip() if indent else line.strip())
        elif line.startswith("import ") and not is_code:
            is_code = True
            lines += ["```python", line]
        else:
            lines.append(line)
    return "\n".join([*lines, "```"] if is_code else lines)


def _relinked(text: str, document: str, documents: list[str], folder: Path) -> str:
    """Links to README.md lead to the first page; files that are no pages come along."""

    def change(match: re.Match[str]) -> str:
        before, target, part, after = match.groups()
        if "://" in target:
            return match[0]
        found = ((ROOT / document).parent / target).resolve().relative_to(ROOT).as_posix()
        if found == "README.md":
            depth = document.count("/")
            target = "../" * depth + "index.md"
        elif found not in documents and (ROOT / found).is_file():
            copy = folder / found
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / found, copy)
        return f"{before}{target}{part or ''}{after}"

    return _LINK.sub(change, text)


def _without_code(text: str) -> str:
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda m: m[0].strip("`").replace("[", "").replace("]", ""), text)


def main() -> int:
    """Writes the pages; returns the exit status."""
    words = sys.argv[1:]
    if not words or words[0] != "pages":
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    write_pages(Path(words[1]) if len(words) > 1 else PAGES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
