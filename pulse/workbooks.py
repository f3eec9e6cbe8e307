"""Excel workbooks: their sheets of orders, all cells as text."""

import warnings
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from common import fail, say
from pulse.parts import HEADER_ROWS, Part, find_header

if TYPE_CHECKING:  # slow to import, and most files are none
    from openpyxl import Workbook


def open_workbook(path: Path, label: str, sheet: str | None) -> list[Part]:
    """A part for each sheet whose header is that of the first one; of one sheet, where it is named."""
    with closing(load(path)) as book:
        sheets = {each.title: each for each in book.worksheets}
        if sheet and sheet not in sheets:
            fail(f"{label} has no sheet {sheet}: choose --sheet among {', '.join(sheets)}.")
        found = [
            part for title in ([sheet] if sheet else sheets) if (part := open_sheet(book, path, label, title))
        ]
    if not found:
        fail(f"{label} holds no table in the first {HEADER_ROWS} rows of a sheet: export it again.")
    for part in found:
        if set(part.header) != set(found[0].header):
            say("Noted", f"sheet {part.sheet} of {label} has other columns and is left out")
    return [part for part in found if set(part.header) == set(found[0].header)]


def load(path: Path) -> "Workbook":
    """The workbook, to be read from top to bottom."""
    from openpyxl import load_workbook

    with warnings.catch_warnings(action="ignore"):  # of styles that it lacks
        return load_workbook(path, read_only=True, data_only=True)


def open_sheet(book: "Workbook", path: Path, label: str, title: str) -> Part | None:
    """The part that is this sheet; None where it has no header."""
    rows = list(islice(sheet_rows(book, title), HEADER_ROWS))
    if (top := find_header(rows)) is None:
        return None
    header = [name.strip() for name in rows[top]]
    while not header[-1]:
        header.pop()
    return Part(f"{label}, sheet {title}", "excel", path, header, top, sheet=title)


def sheet_rows(book: "Workbook", title: str) -> Iterator[list[str]]:
    """The rows of a sheet from the first one on, as texts; they may be ragged."""
    sheet = book[title]
    sheet.reset_dimensions()  # what other programs write there is not always so
    for row in sheet.iter_rows(values_only=True):
        yield ["" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in row]


def workbook_rows(part: Part) -> Iterator[list[str]]:
    """The rows below the header, as wide as it."""
    width = len(part.header)
    with closing(load(part.path)) as book:
        for row in islice(sheet_rows(book, part.sheet), part.top + 1, None):
            yield [*row, *[""] * width][:width]
