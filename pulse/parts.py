"""What a file that a shop exported consists of, before its rows are read: its parts and their headers."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from common import fail

HEADER_ROWS = 20  # among these, the header is looked for
LONGEST_ROW = 2_000_000  # characters; DuckDB's own limit, in bytes


class Part(NamedTuple):
    """A table to read: a file, or a sheet of a workbook."""

    label: str  # how messages name it
    kind: str  # text, excel, json or parquet
    path: Path  # the file, or a copy of it
    header: list[str]  # stripped; "" for a column without a name
    top: int = 0  # rows above the header, as a spreadsheet shows them
    skip: int = 0  # the same, with a line sep=; that no spreadsheet shows
    lines: int = 0  # of the file, to the header's end
    separator: str = ","
    quoted: bool = True  # whether a quotation mark at the start of a field is more than a character
    encoding: str = ""  # as the user or the file itself says; "" for UTF-8, or what the layout says
    sheet: str = ""


def find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """The index of the header: the first row with more than half as many cells filled as the fullest one.

    At least two must be filled, unless no row has more than one. None where all are blank.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    most = max(filled, default=0)
    least = max(most // 2 + 1, min(most, 2))
    return next((n for n, cells in enumerate(filled) if cells >= least), None)


def write_rows(path: Path, rows: Iterable[Sequence[str | None]], label: str, first: int = 1) -> int:
    """Write a CSV that DuckDB reads, without a header; returns how many rows there are.

    A row that is too long stops the script, with its number (`first` is the first one's) and the label.
    """
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for row in rows:
            if writer.writerow(row or [""]) > LONGEST_ROW:  # a line that is blank would be no row
                refuse_long(label, first + count)
            count += 1
    return count


def refuse_long(label: str, row: int) -> NoReturn:
    """Say that this row is too long to be one of an order."""
    fail(
        f"row {row} of {label} has over {LONGEST_ROW:,} characters: is a quotation mark not closed there? "
        "Correct it, or leave the longest column out of the export."
    )
