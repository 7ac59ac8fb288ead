"""The screen, and tables with a line for each row at any width.

Columns get shorter, and leave, until a table fits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

_WIDE = 120
_NAME_WIDTH = 26  # Longer ones are cut before columns leave.
_NAME_WIDTHS = range(60, 11, -1)
_ELLIPSIS = "…"
_SHORT_OPS = {
    "DEPTHWISE_CONV_2D": "DW_CONV_2D",
    "FULLY_CONNECTED": "FC",
    "TRANSPOSE_CONV": "TR_CONV",
}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
      heading: Above it.
      cells: Its content, row by row.
      shorter: What may stand for that where there is no room; None: nothing.
      left: Whether it holds words, not numbers.
      is_name: Whether its cells may be cut, at their beginning: what differs stands at the end.
      cut_middle: Whether they are cut in the middle instead: the beginning says of what kind each
        is.
      leaves: In which order columns leave where there is no room; 0: it stays.
    """

    heading: str
    cells: Sequence[str]
    shorter: Sequence[str] | None = None
    left: bool = False
    is_name: bool = False
    cut_middle: bool = False
    leaves: int = 0


def console() -> Console:
    """Where results go: as wide as the terminal, or as $COLUMNS says."""
    found = _console()
    # A pipe has no width of its own, and 80 columns would cut the tables.
    has_width = found.is_terminal or os.environ.get("COLUMNS", "").isdecimal()
    return found if has_width else _console(_WIDE)


def _console(width: int | None = None) -> Console:
    # Names of files and layers may hold what Rich takes for its markup: [log], :key:.
    return Console(width=width, highlight=False, markup=False, emoji=False)


def plain_table(title: str | None = None) -> Table:
    """A table without columns and rows, which has no lines but one below its headings."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def show_table(title: str, table: Table) -> None:
    """Prints a table below a title, which may be wider than it, and an empty line."""
    console().print()
    console().print(title, style="italic")
    console().print(table)


def show_columns(title: str, columns: Sequence[Column]) -> None:
    """Prints a table that fits the width of the screen, as far as its columns can."""
    show_table(title, fitted(columns, console().width))


def fitted(columns: Sequence[Column], width: int) -> Table:
    """A table that fits a width.

    First names are cut down to a usual length, then words become shorter ones, then
    columns leave, and at last names are cut as far as can be.

    Args:
      columns: Its columns, all of one length.
      width: In characters.

    Returns:
      The table.
    """
    kept = [column for column in columns if any(column.cells)]
    short = False
    while _width(kept, _NAME_WIDTH, short) > width:
        if not short:
            short = True
            continue
        leaving = [column for column in kept if column.leaves]
        if not leaving:
            break
        kept.remove(min(leaving, key=lambda column: column.leaves))
    name = next((w for w in _NAME_WIDTHS if _width(kept, w, short) <= width), _NAME_WIDTHS[-1])
    table = plain_table()
    for column in kept:
        table.add_column(column.heading, justify="left" if column.left else "right", no_wrap=True)
    for row in zip(*(_cells(column, name, short) for column in kept), strict=True):
        table.add_row(*row)
    return table


def short_op(name: str) -> str:
    """An operator's name where there is little room."""
    return _SHORT_OPS.get(name, name)


def _cells(column: Column, name: int, short: bool) -> list[str]:
    if column.is_name:
        begin = name // 3 if column.cut_middle else 0
        return [
            cell
            if len(cell) <= name
            else cell[:begin] + _ELLIPSIS + cell[len(cell) - name + begin + 1 :]
            for cell in column.cells
        ]
    return list(column.shorter if short and column.shorter is not None else column.cells)


def _width(columns: Sequence[Column], name: int, short: bool) -> int:
    """How wide a table is: two spaces between its columns."""
    widths = [max(map(len, (c.heading, *_cells(c, name, short)))) for c in columns]
    return sum(widths) + 2 * (len(widths) - 1)
