"""The rows of files of separated text, through DuckDB: every line of the file is accounted for."""

import codecs
import csv
import gzip
import shutil
from collections.abc import Iterator
from contextlib import suppress
from glob import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from uuid import uuid4

from common import fail
from pulse.parts import LONGEST_ROW, Part, refuse_long, write_rows
from pulse.text_files import CHUNK, known_encoding, opener, read_fields, refuse_encoding, swallows

PADDING = bytes(64)  # disks and copies leave at least 512

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection, DuckDBPyRelation


def read_text(
    con: "DuckDBPyConnection", part: Part, encoding: str, quote: str | None, scratch: Path
) -> "DuckDBPyRelation":
    """The rows, as columns c0, c1 ...; a copy, where DuckDB cannot read the file itself, goes to `scratch`.

    `encoding` is the layout's, "" for none; `quote` as well, None for whatever the file looks like.
    """
    import duckdb

    part = part._replace(quoted=part.quoted if quote is None else quote != "")
    part, lines = as_utf8(part, encoding, scratch)
    try:
        rows = store(con, con.read_csv(escape(str(part.path)), **dialect(part)))
        if all_accounted_for(rows, part, lines):
            return rows
    except (duckdb.InvalidInputException, duckdb.NotImplementedException):
        pass  # Python's csv knows the row
    copy = scratch / f"{uuid4()}.csv"
    count = write_rows(copy, refereed_rows(part), part.label, part.top + 2)
    return read_copy(con, part, copy, count)


def dialect(part: Part) -> dict:
    """How DuckDB reads the part."""
    mark = '"' if part.quoted else ""
    return {
        "columns": {f"c{n}": "VARCHAR" for n in range(len(part.header))},
        "header": True,
        "skiprows": part.skip,
        "sep": part.separator,
        "quotechar": mark,
        "escapechar": mark,
        "compression": "gzip" if opener(part.path) is gzip.open else "none",
        "auto_detect": False,
    }


def read_copy(con: "DuckDBPyConnection", part: Part, copy: Path, count: int) -> "DuckDBPyRelation":
    """The rows of a copy that write_rows made: so many. Documents may end early."""
    plain = dialect(Part("", "text", copy, part.header)) | {"header": False, "lineterminator": r"\r\n"}
    plain["max_line_size"] = 4 * LONGEST_ROW  # bytes
    if part.kind == "json":
        plain |= {"null_padding": True, "parallel": False}
    rows = store(con, con.read_csv(str(copy), **plain))
    if len(rows) != count:
        fail(f"{part.label} cannot be read whole: save it as CSV anew, with quotation marks around every text.")
    return rows


def store(con: "DuckDBPyConnection", rows: "DuckDBPyRelation") -> "DuckDBPyRelation":
    """The rows as a table of DuckDB's: the file is read once, and a row's place is its rowid."""
    name = f"rows_{uuid4().hex}"
    rows.create(name)
    return con.table(name)


def as_utf8(part: Part, encoding: str, scratch: Path) -> tuple[Part, int]:
    """The part in UTF-8, copied where it is not, and the number of its lines."""
    known = part.encoding
    if known in ("", "utf-8", "utf-8-sig"):
        with suppress(UnicodeDecodeError):
            return part, count_lines(part.path, part.label)
        known = "" if known else known_encoding(b"", encoding)
    if not known:
        refuse_encoding(part.label, part.encoding)
    copy = scratch / f"{uuid4()}.csv"
    try:
        with (
            opener(part.path)(part.path, "rt", encoding=known, newline="") as text,
            copy.open("w", encoding="utf-8", newline="") as out,
        ):
            shutil.copyfileobj(text, out, CHUNK)
    except UnicodeError:
        refuse_encoding(part.label, known)
    return part._replace(path=copy), count_lines(copy, part.label)


def count_lines(path: Path, label: str) -> int:
    """The number of lines, without blank ones at the end; a file that is not UTF-8 raises UnicodeDecodeError.

    Bytes of 0 in place of text, which a crash or a copy that broke off leaves, stop the script.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = pending = 0
    with opener(path)(path, "rb") as file:
        while chunk := file.read(CHUNK):
            decoder.decode(chunk)
            if PADDING in chunk:
                line = lines + pending + chunk[: chunk.index(PADDING)].count(b"\n") + 1
                fail(f"{label} has bytes of 0 in place of text in line {line}: it is damaged, export it again.")
            if body := chunk.rstrip(b"\r\n"):
                lines += pending + body.count(b"\n")
                pending = 0
            pending += chunk.count(b"\n", len(body))
    decoder.decode(b"", final=True)
    return lines + 1


def all_accounted_for(rows: "DuckDBPyRelation", part: Part, lines: int) -> bool:
    """Whether the rows read, and the line breaks in their fields, are all the lines below the header.

    And none of these fields is so full of separators that it could be rows.
    """
    missing = lines - part.lines - len(rows)
    if not missing:
        return True
    breaks, full = (
        rows.project(f"concat({', '.join(rows.columns)}) AS texts")
        .project("texts, strlen(texts) - strlen(replace(texts, chr(10), '')) AS breaks")
        .filter("breaks > 0")
        .project(f"breaks, strlen(texts) - strlen(replace(texts, '{part.separator}', '')) AS separators")
        .aggregate(
            f"coalesce(sum(breaks), 0), coalesce(bool_or(separators >= breaks * {len(part.header) - 1}), false)"
        )
        .fetchall()[0]
    )
    return breaks == missing and not full


def refereed_rows(part: Part) -> Iterator[list[str]]:
    """The rows below the header as Python's csv reads them, the blank ones too; a bad one stops the script."""
    columns, row = len(part.header), part.top + 2
    with opener(part.path)(part.path, "rt", encoding="utf-8-sig", newline="") as file:
        reader = read_fields(file, part.separator, part.quoted, strict=True)
        try:
            for fields in islice(reader, part.skip + 1, None):
                text = "".join(fields)
                if not text.strip():
                    fields = [""] * columns  # noqa: PLW2901
                if len(fields) < columns or any(fields[columns:]):
                    fail(
                        f"row {row} of {part.label} has {len(fields)} fields, the header {columns}: put quotation "
                        "marks around a field that holds a separator or a line break, or export the file again."
                    )
                places = enumerate(fields) if "\n" in text else ()
                if any(swallows(field, part.separator, columns, place) for place, field in places):
                    refuse_quotes(part.label, row)
                yield fields[:columns]
                row += 1
        except csv.Error as error:
            if "limit" in str(error):
                refuse_long(part.label, row)
            refuse_quotes(part.label, row)


def refuse_quotes(label: str, row: int) -> NoReturn:
    """Say that a quotation mark in this row is not closed, or stands where none may."""
    fail(
        f"row {row} of {label} has a quotation mark that does not end its field, so that rows would be lost: "
        "correct that row, or export the file again."
    )
