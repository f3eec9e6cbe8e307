"""Opening the files that shops export, of text, Excel, JSON or Parquet, several at once, for DuckDB to read."""

import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile, ZipFile

from common import fail, say
from pulse.json_files import open_json
from pulse.parts import Part, write_rows
from pulse.progress import clock
from pulse.scratch import is_full
from pulse.text_files import open_text, refuse_encoding
from pulse.text_rows import read_copy, read_text, store
from pulse.workbooks import open_workbook, workbook_rows

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

EXCEL, JSON, PARQUET = (".xlsx", ".xlsm"), (".json", ".jsonl", ".ndjson"), (".parquet",)
OTHER_SHEETS = (".xls", ".xlsb", ".ods", ".numbers")
TABLES = (".csv", ".tsv", ".tab", ".txt", *EXCEL, *JSON, *PARQUET, *OTHER_SHEETS)  # in a zip
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, BadZipFile, EOFError)
DAMAGED_INSIDE = (ParseError, zlib.error)


class Opened(NamedTuple):
    """What the files hold, before their rows are read."""

    parts: list[Part]
    header: list[str]  # the columns' names, stripped; the other parts have the same ones, in any order
    typed: bool  # numbers are numbers, whatever the decimal mark: Excel, JSON, Parquet

    @property
    def labels(self) -> list[str]:
        """How messages name each part: orders.csv, or orders.xlsx, sheet Year 2010."""
        return [part.label for part in self.parts]


# --- headers ---


@clock("Opening")
def open_headers(paths: list[Path], encoding: str | None, sheet: str | None, scratch: Path) -> Opened:
    """The files' parts and their header. A file that cannot be read, or has another header, stops the script.

    `encoding` and `sheet` are the user's, None for none. Copies go to `scratch`, and must stay there.
    """
    parts = [part for path in paths for part in open_parts(path, encoding, sheet, scratch)]
    first = parts[0]
    for part in parts:
        check_header(part, first)
        if part.top:
            say("Noted", f"the header of {part.label} is row {part.top + 1}")
    if sheet and not any(part.sheet for part in parts):
        fail(f"--sheet names a sheet of a workbook, and {first.label} is none: leave it out.")
    typed = {part.kind != "text" for part in parts}
    if len(typed) > 1:
        fail(
            "files of text and files whose numbers are numbers (Excel, JSON, Parquet) cannot come together: "
            "save them all as CSV."
        )
    return Opened(parts, first.header, typed == {True})


def open_parts(path: Path, encoding: str | None, sheet: str | None, scratch: Path) -> list[Part]:
    """The parts of one file: sheets of a workbook, else one."""
    label = str(path)
    with sentences(label, encoding):
        if path.suffix.lower() == ".zip":
            path, label = unzip(path, scratch)
        kind = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
        if kind in OTHER_SHEETS:
            fail(f"{label} is a spreadsheet of a kind that is not read here: save it as .xlsx or CSV.")
        if kind in EXCEL:
            return open_workbook(path, label, sheet)
        if kind in JSON:
            return [open_json(path, label, encoding, scratch / f"{uuid4()}.csv")]
        return [open_parquet(path, label) if kind in PARQUET else open_text(path, label, encoding)]


def unzip(path: Path, scratch: Path) -> tuple[Path, str]:
    """A copy of the one table in a zip, and how messages name it."""
    with ZipFile(path) as box:
        names = [PurePosixPath(name) for name in box.namelist() if not name.endswith("/")]
        tables = [
            name
            for name in names
            if not name.name.startswith(".")  # as macOS puts in, besides a folder __MACOSX
            and "__MACOSX" not in name.parts
            and (name.with_suffix("") if name.suffix.lower() == ".gz" else name).suffix.lower() in TABLES
        ]
        if len(tables) != 1:
            what = f"{len(tables)} tables ({', '.join(map(str, tables))})" if tables else "no table"
            fail(f"{path} holds {what}: unpack it, and name the files that you mean.")
        (table,) = tables
        if box.getinfo(str(table)).flag_bits & 1:
            fail(f"{path} asks for a password: unpack it, and name the file that was in it.")
        copy = scratch / f"{uuid4()}{''.join(table.suffixes[-2:])}"
        with box.open(str(table)) as packed, copy.open("wb") as file:
            shutil.copyfileobj(packed, file)
    return copy, f"{path}, file {table.name}"


def open_parquet(path: Path, label: str) -> Part:
    """The part that is this Parquet file."""
    import duckdb

    with duckdb.connect() as con:
        header = con.read_parquet(escape(str(path))).columns
    return Part(label, "parquet", path, [name.strip() for name in header])


def check_header(part: Part, first: Part) -> None:
    """Stop where a name stands twice, or where it is not in both parts."""
    twice = [name for name, n in Counter(part.header).items() if name and n > 1]
    if twice:
        fail(f"{part.label} has two columns {twice[0]}: rename one of them.")
    for names, others, says in (
        (first.header, part.header, "lacks a column"),
        (part.header, first.header, "has a column"),
    ):
        odd = [name for name in names if name and name not in others]
        if odd:
            fail(f"{part.label} {says} {odd[0]}, unlike {first.label}: import it by itself.")


@contextmanager
def sentences(label: str, encoding: str | None = None) -> Iterator[None]:
    """A file that cannot be read stops the script with a sentence: ours, as a library's may hold a row."""
    import duckdb

    try:
        yield
    except UnicodeError:
        refuse_encoding(label, encoding or "")
    except (OSError, *DAMAGED, *DAMAGED_INSIDE, duckdb.Error) as error:
        if is_full(error):  # the disk of the copies
            raise
        reason = getattr(error, "strerror", None) or type(error).__name__
        fail(f"{label} cannot be read ({reason}): is it whole, and of the kind it is named? Export it again.")


@contextmanager
def unchanged(paths: list[Path]) -> Iterator[None]:
    """Stop where a file was written to while the block read it: a part of it may be old, or missing."""

    def stamps() -> list:
        return [(path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None for path in paths]

    before = stamps()
    yield
    for path, then, now in zip(paths, before, stamps(), strict=True):
        if now != then:
            fail(f"{path} changed while it was read: run this again when it is written whole.")


# --- rows ---


@clock("Opening")
def create_file_table(
    con: "DuckDBPyConnection", opened: Opened, encoding: str, quote: str | None, scratch: Path
) -> None:
    """A view `file` of all rows: part and row tell where each stands, c0, c1 ... are its texts.

    part counts from 0; row as a spreadsheet does, from the header on (documents from 1). `encoding` and
    `quote` are the layout's for text: "" for none; a quote of None for whatever the file looks like.
    """
    selects = []
    for number, part in enumerate(opened.parts):
        with sentences(part.label, part.encoding):
            read_part(con, part, encoding, quote, scratch).project("rowid, *").create_view(f"part{number}")
        places = {name: place for place, name in enumerate(part.header)}
        ordered = (
            range(len(part.header)) if part.header == opened.header else (places.get(n) for n in opened.header)
        )
        columns = (f"{'NULL' if n is None else f'c{n}'}::VARCHAR AS c{k}" for k, n in enumerate(ordered))
        before = 0 if part.kind == "json" else part.top + 1
        selects.append(
            f"SELECT {number}::INTEGER AS part, rowid + {before + 1} AS row, {', '.join(columns)} "
            f"FROM part{number}"
        )
    con.execute(f"CREATE VIEW file AS {' UNION ALL '.join(selects)}")


def read_part(
    con: "DuckDBPyConnection", part: Part, encoding: str, quote: str | None, scratch: Path
) -> "DuckDBPyRelation":
    """The part's rows, as columns c0, c1 ..."""
    if part.kind == "parquet":
        from duckdb import ColumnExpression

        rows = con.read_parquet(escape(str(part.path)))
        return store(
            con, rows.select(*(ColumnExpression(name).alias(f"c{n}") for n, name in enumerate(rows.columns)))
        )
    if part.kind == "json":
        return read_copy(con, part, part.path, part.lines)
    if part.kind == "excel":
        copy = scratch / f"{uuid4()}.csv"
        return read_copy(con, part, copy, write_rows(copy, workbook_rows(part), part.label, part.top + 2))
    return read_text(con, part, encoding, quote, scratch)
