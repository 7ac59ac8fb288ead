"""Makes everything that people look at, into one folder: screens, pictures, pages.

    python -m tools.gallery OUT [MODEL ...]

Without MODEL it takes the demonstration's digit classifier and, where they are, the shared models
of 3 to 150 tensors. Each command's output is there as it looks at 60, 80 and 120 columns; each page
as a browser shows it on a phone, a tablet and a desk, light and dark (where Chromium is installed),
each picture small and large, on a light page and a dark one.
`OUT/index.html` shows all of it. The exit status is 1 where a command fails, a line of a table is
wider than its screen, or a page writes to the browser's console.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from tests.search.browser import look_at
from tests.search.made_up_search import made_up_search
from tflm_train.model import load
from tflm_train.search.report.page import About, html_page
from tflm_train.search.report.picture import draw_search

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = (60, 80, 120)
PAGE_WIDTHS = (360, 800, 1280)
SMALL = 640
"""Pixels; so wide is a picture in a document on a small screen."""
_SHARED = ("hello_world_int8", "kws_ref_model", "person_detect", "mcunet-5fps")
_DIGITS = ROOT / "tflm_train" / "demo" / "digits.tflite"
_HEAD = (
    '<!doctype html><html><head><meta charset="utf-8"><title>Gallery</title><style>'
    ":root{color-scheme:light dark} body{font:15px sans-serif;margin:2em}"
    "pre{border:1px solid gray;padding:8px;overflow:auto} img{max-width:100%;border:1px solid gray}"
    ".light{background:white;padding:12px} .dark{background:#14181c;padding:12px}"
    "</style></head><body>"
)


@dataclass
class Gallery:
    """A folder of what people look at.

    Attributes:
      out: The folder.
      faults: What is wrong; sentences.
    """

    out: Path
    faults: list[str] = field(default_factory=list)
    _index: list[str] = field(default_factory=list)

    def screens(self, name: str, *arguments: object) -> None:
        """Runs a command at every width."""
        for width in WIDTHS:
            done = self._run(width, arguments)
            text = done.stdout + done.stderr
            path = self.out / f"{name}.{width}.txt"
            path.write_text(text)
            self._index.append(f"<h3>{escape(path.name)}</h3><pre>{escape(text)}</pre>")
            if done.returncode:
                self.faults.append(f"{path.name}: exit status {done.returncode}")
            self.faults += [f"{path.name}: {line}" for line in too_wide(text, width)]

    def picture(self, name: str) -> None:
        """Shows a picture that a command has written, small and large, on light and dark."""
        small = f"<img src='{name}' width='{SMALL}'>"
        self._index.append(
            f"<h3>{name}</h3><p class='light'>{small}</p><p class='dark'>{small}</p>"
        )
        self._index.append(f"<img src='{name}'>")

    def page(self, name: str) -> None:
        """Looks at a page that a command has written, in a browser."""
        has_browser = shutil.which("chromium") is not None
        self._index.append(f"<h3><a href='{name}'>{name}</a></h3>")
        for width in PAGE_WIDTHS if has_browser else ():
            for is_dark in (False, True):
                picture = f"{name}.{width}.{'dark' if is_dark else 'light'}.png"
                seen = look_at(self.out / name, width, is_dark, self.out / picture)
                self.faults += [f"{picture}: {line}" for line in seen.console]
                self._index.append(f"<h3>{picture}</h3><img src='{picture}'>")

    def finish(self) -> None:
        """Writes the page that shows all."""
        text = "".join(self._index)
        (self.out / "index.html").write_text(f"{_HEAD}{text}</body></html>\n")

    def _run(self, width: int, arguments: Sequence[object]) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"COLUMNS": str(width), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tflm_train", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.out, env=environment
        )


def too_wide(text: str, width: int) -> Iterator[str]:
    """The lines of tables that reach beyond a screen; sentences may be broken by the terminal."""
    is_table = False
    for line in text.splitlines():
        is_rule = bool(re.fullmatch(r"\s*─+\s*", line))
        is_table = is_rule or (is_table and "  " in line.strip())
        if is_table and len(line.rstrip()) > width:
            yield f"{len(line.rstrip())} columns wide: {line.strip()[:40]}"


def show_model(gallery: Gallery, model: Path) -> None:
    """What the commands say and draw of a model, as it is and rewritten."""
    name, trained = model.stem, f"{model.stem}_train.tflite"
    gallery.screens(f"{name}.inspect", "inspect", model)
    gallery.screens(
        f"{name}.rewrite", "rewrite", model, "-o", trained, "--force", "--plot", f"{name}.rewrite"
    )
    gallery.screens(
        f"{name}.memory", "memory", trained, "--force",
        "--plot", f"{name}.memory.png", "--html", f"{name}.memory.html",
    )  # fmt: skip
    gallery.screens(
        f"{name}.optimize", "optimize", model, "-o", f"{name}_optimized.tflite", "--force",
        "--plot", f"{name}.optimize",
    )  # fmt: skip
    gallery.screens(f"{name}.scheme", "scheme", "show", "light", "--model", model)
    for what in ("rewrite", "optimize"):
        for when in ("before", "after"):
            gallery.picture(f"{name}.{what}_{when}.png")
    gallery.picture(f"{name}.memory.png")
    gallery.page(f"{name}.memory.html")


def show_training(gallery: Gallery) -> None:
    """What the commands say of a model that learns."""
    from tflm_train.demo.data import field_data

    data = field_data()
    np.savez(
        gallery.out / "digits.npz",
        x_train=np.asarray(data.x_train),
        y_train=np.asarray(data.y_train),
        x_test=np.asarray(data.x_test),
        y_test=np.asarray(data.y_test),
    )
    gallery.screens(
        "train", "train", "digits_train.tflite", "--data", "digits.npz", "--epochs", 2,
        "--save-state", "digits.state", "--force", "--plot", "train.png", "--report", "train.html",
    )  # fmt: skip
    loaded = ("digits_train.tflite", "--data", "digits.npz", "--load-state", "digits.state")
    gallery.screens("evaluate", "evaluate", *loaded)
    gallery.screens(
        "state_info", "state", "info", "digits.state", "--model", loaded[0], "--tensors"
    )
    gallery.screens("inspect_measure", "inspect", _DIGITS, "--measure")
    gallery.screens("scheme_list", "scheme", "list")
    gallery.screens("help", "--help")
    gallery.screens("help_rewrite", "rewrite", "--help")
    gallery.picture("train.png")
    gallery.page("train.html")


def show_search(gallery: Gallery) -> None:
    """The report of a search that nobody ran."""
    searched = made_up_search(load(_DIGITS), budgets=3)
    about = About("digits.tflite", "digits.npz", "tflm_train search …", (600, 200, 300), 125.0)
    (gallery.out / "search.html").write_text(html_page(searched, about), encoding="utf-8")
    (gallery.out / "search.png").write_bytes(draw_search(searched))
    gallery.picture("search.png")
    gallery.page("search.html")


def main() -> int:
    """Makes the gallery; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="a folder; what is in it is written over")
    parser.add_argument("models", type=Path, nargs="*", help="instead of the usual ones")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    gallery = Gallery(out)
    shared = [ROOT.parent / "shared" / "models" / f"{name}.tflite" for name in _SHARED]
    for model in arguments.models or [_DIGITS, *(path for path in shared if path.exists())]:
        print(f"{model.name} ...", flush=True)
        show_model(gallery, model.resolve())
    if not arguments.models:
        print("training ...", flush=True)
        show_training(gallery)
        show_search(gallery)
    gallery.finish()
    for fault in gallery.faults:
        print(f"fault: {fault}")
    print(f"written: {out / 'index.html'}, {len(gallery.faults)} faults")
    return 1 if gallery.faults else 0


if __name__ == "__main__":
    sys.exit(main())
