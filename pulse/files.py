"""Opening the files that shops export, CSV, Excel or Parquet, for DuckDB to read."""

import csv
import gzip
import shutil
import zlib
from collections.abc import Callable
from glob import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

import pandas as pd

from common import fail

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection

EXCEL = (".xlsx", ".xlsm")
TYPED = (".parquet", *EXCEL)  # numbers in these are numbers, whatever --decimal says
EXCEL_ROWS = 2_000  # copied at a time
SEPARATORS = ",;\t|"
UTF8 = ("utf-8", "utf8", "utf-8-sig")


def open_file(con: "DuckDBPyConnection", path: Path, encoding: str, scratch: Path) -> list[str]:
    """Let the connection know the file as `file`, with columns c0, c1 ...; returns their names in the file.

    A copy, where one is needed, goes into `scratch`. A file that cannot be read stops the script.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return open_parquet(con, path)
        return open_excel(con, path) if kind in EXCEL else open_csv(con, path, encoding, scratch)
    except OSError as error:
        fail(f"{path} cannot be opened ({error.strerror or error}): is it whole, and of the kind it is named?")
    except (ValueError, LookupError, BadZipFile, EOFError, ParseError, zlib.error, csv.Error) as error:
        fail(f"{path} cannot be read ({error}): is it a CSV, Parquet or Excel file, and --encoding right?")


def open_parquet(con: "DuckDBPyConnection", path: Path) -> list[str]:
    """A view `file` of a Parquet file."""
    from duckdb import ColumnExpression

    rows = con.read_parquet(escape(str(path)))
    rows.select(*(ColumnExpression(name).alias(f"c{n}") for n, name in enumerate(rows.columns))).create_view(
        "file"
    )
    return rows.columns


def open_excel(con: "DuckDBPyConnection", path: Path) -> list[str]:
    """A table `file` with the first sheet of a workbook, all cells as text."""
    from openpyxl import load_workbook

    rows = load_workbook(path, read_only=True, data_only=True).worksheets[0].iter_rows(values_only=True)
    header = [str(name).strip() for name in next(rows, ())]
    names = [f"c{n}" for n in range(len(header))]
    if not header:
        return header
    con.execute(f"CREATE TABLE file ({', '.join(f'{name} VARCHAR' for name in names)})")
    while batch := list(islice(rows, EXCEL_ROWS)):
        texts = [[None if cell is None else str(cell) for cell in row] for row in batch]
        full = [[*row, *[None] * len(names)][: len(names)] for row in texts]  # rows of a sheet may be ragged
        con.append("file", pd.DataFrame(full, columns=names))
    return header


def open_csv(con: "DuckDBPyConnection", path: Path, encoding: str, scratch: Path) -> list[str]:
    """A view `file` of a CSV, or of a copy in UTF-8; its first line tells what separates columns."""
    utf8 = encoding.lower().replace("_", "-") in UTF8
    opener: Callable = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig" if utf8 else encoding, newline="") as text:
        first = text.readline()
        if not utf8:
            path = scratch / "file.csv"
            with path.open("w", encoding="utf-8", newline="") as copy:
                copy.write(first)
                shutil.copyfileobj(text, copy)
    headers = {separator: next(csv.reader([first], delimiter=separator), []) for separator in SEPARATORS}
    separator, header = max(headers.items(), key=lambda item: len(item[1]))
    if header:
        columns = {f"c{n}": "VARCHAR" for n in range(len(header))}
        rows = con.read_csv(
            escape(str(path)),
            columns=columns,
            header=True,
            sep=separator,
            quotechar='"',
            escapechar='"',
            auto_detect=False,
        )
        rows.create_view("file")
    return [name.strip() for name in header]
