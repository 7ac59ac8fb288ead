"""A real browser, without a window."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import requirements

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-extensions",
    "--disable-background-networking", "--no-first-run", "--enable-logging=stderr", "--v=0",
    "--virtual-time-budget=2000", "--allow-file-access-from-files",
)  # fmt: skip
_PROBE = """<script>
const wide = [...document.querySelectorAll("main *")].filter(e => {
  const box = e.getBoundingClientRect();
  return box.right > innerWidth + 1 && !e.closest(".scroll, pre");
}).map(e => e.tagName + "." + e.getAttribute("class"));
const cut = [...document.querySelectorAll("svg text")].filter(e => {
  const box = e.getBoundingClientRect(), own = e.closest("svg").getBoundingClientRect();
  return box.left < own.left - 1 || box.right > own.right + 1 || box.bottom > own.bottom + 1;
}).map(e => e.textContent);
const names = [...document.querySelectorAll("svg")].flatMap(svg => {
  const boxes = [...svg.querySelectorAll("text.name")].map(e => e.getBoundingClientRect());
  return boxes.filter((a, i) => boxes.some((b, j) => i < j && a.left < b.right && b.left < a.right
    && a.top + 2 < b.bottom && b.top + 2 < a.bottom)).map(() => "overlap");
});
const style = getComputedStyle(document.body);
parent.postMessage(JSON.stringify({width: innerWidth, height: document.documentElement.scrollHeight,
  scrolls: document.documentElement.scrollWidth > innerWidth, wide, cut, names,
  back: style.backgroundColor, text: style.color}), "*");
</script>"""
# A window is never narrower than 500 pixels: the page is seen through a frame.
_FRAME = """<!doctype html><html style="color-scheme: {scheme}"><head>
<link rel="icon" href="data:,"><style>
body {{ margin: 0; background: #888 }} iframe {{ border: 0; display: block }}
</style></head><body><iframe src="{page}" width="{width}" height="{height}"></iframe><script>
addEventListener("message", event => {{ document.title = event.data; }});
</script></body></html>"""


@dataclass(frozen=True)
class Seen:
    """What a browser says of a page.

    Attributes:
      height: Of the whole page.
      scrolls: Whether it can be scrolled sideways.
      wide: Elements that reach beyond the window.
      cut: Texts that reach beyond their chart.
      names: Labels of a chart that lie on each other.
      back: Its background.
      text: Its text's colour.
      console: What was written to the console.
    """

    height: int
    scrolls: bool
    wide: list[str]
    cut: list[str]
    names: list[str]
    back: str
    text: str
    console: list[str]


def look_at(page: Path, width: int, dark: bool, picture: Path) -> Seen:
    """Opens a page and takes a picture of all of it."""
    requirements.programs("chromium")
    probed = page.with_name(f"{page.stem}_probed.html")
    probed.write_text(page.read_text().replace("</body>", f"{_PROBE}</body>"))
    scheme = "dark" if dark else "light"
    mode = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    frame = page.with_name(f"{page.stem}_frame.html")

    def fill(inner: Path, height: int) -> None:
        text = _FRAME.format(page=inner.name, width=width, height=height, scheme=scheme)
        frame.write_text(text)

    fill(probed, 800)
    dom = _run(mode, "--dump-dom", frame)
    found = re.search(r"<title>(\{.*?\})</title>", dom.stdout)
    assert found is not None, dom.stdout[:500] + dom.stderr
    seen = json.loads(found[1].replace("&quot;", '"').replace("&gt;", ">").replace("&amp;", "&"))
    assert seen.pop("width") == width
    fill(page, seen["height"])
    size = f"--window-size={max(500, width)},{seen['height']}"
    shot = _run(mode, size, f"--screenshot={picture}", frame)
    probed.unlink()
    frame.unlink()
    console = [x for x in (dom.stderr + shot.stderr).splitlines() if "CONSOLE" in x]
    return Seen(console=console, **seen)


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [str(x) if not isinstance(x, Path) else f"file://{x}" for x in arguments]
    return subprocess.run(
        ["chromium", *_FLAGS, *words], capture_output=True, text=True, timeout=120, check=True
    )
