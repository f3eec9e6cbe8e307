"""Files of separated text, as shops export them: how they are encoded, what separates and what quotes."""

import codecs
import csv
import gzip
import re
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from common import fail
from pulse.parts import HEADER_ROWS, LONGEST_ROW, Part, find_header

if TYPE_CHECKING:
    from _csv import Reader

SAMPLE = 1 << 18  # bytes in which header and separator are found
CHUNK = 1 << 20
SEPARATORS = ",;\t|"
OPENING = re.compile(r'(?:^|(?<=[\t\r\n]))"')  # a quotation mark that begins a field between tabs
QUOTED = re.compile(r'"((?:[^"]|"")*)(?:("(?=[\t\r\n]|$))|$)')  # up to one that ends it, or the text's end
LINE_BREAK = re.compile(r"\r\n|\r|\n")
SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)  # Excel writes it, and hides it
NO_TEXT = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1", b"\x1f\x8b")  # zip or xlsx, xls, Parquet, gzip


def open_text(path: Path, label: str, encoding: str | None) -> Part:
    """The part that is this file of separated text. `encoding` is the user's, None for none."""
    with opener(path)(path, "rb") as file:
        start = file.read(SAMPLE)
    if start.startswith(NO_TEXT):
        fail(f"{label} is no text: name it as what it is (.xlsx, .zip, .parquet, .gz ...).")
    encoding = known_encoding(start, encoding)
    text = start.decode(encoding or "utf-8", errors="replace").removeprefix("\ufeff")
    sep_line = SEP_LINE.match(text)
    text = text[sep_line.end() :] if sep_line else text
    separators = sep_line[1] if sep_line else SEPARATORS
    found = [each for separator in separators if (each := header_by(separator, text))]
    if not found:
        fail(f"{label} has no header in its first {HEADER_ROWS} rows: export it again, with the columns' names.")
    _, separator, top, lines, header = max(found)
    if {"\ufffd", "\0"} & set("".join(header)):
        refuse_encoding(label, encoding)
    shown = bool(sep_line)
    quoted = separator != "\t" or tabs_quoted(text, len(header))
    return Part(label, "text", path, header, top, top + shown, lines + shown, separator, quoted, encoding)


def opener(path: Path) -> Callable:
    """What opens the file: gzip.open or open."""
    return gzip.open if path.suffix.lower() == ".gz" else open


def known_encoding(start: bytes, encoding: str | None) -> str:
    """The encoding that the user names, or that a mark at the file's start gives away; "" for none."""
    try:
        name = codecs.lookup(encoding).name if encoding else ""
        b"x".decode(name or "utf-8", "replace")  # some of Python's encodings are none of texts
    except LookupError:
        fail(
            f"--encoding {encoding} is no encoding: use utf-8, cp1252, latin-1, utf-16 or another one of Python's."
        )
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return name or ("utf-16" if start.startswith(marks) else "")


def refuse_encoding(label: str, encoding: str) -> NoReturn:
    """Say that the file is not written in this encoding, "" for UTF-8."""
    fail(f"{label} cannot be read as {encoding or 'UTF-8'}: add --encoding cp1252 (or what it is).")


def header_by(separator: str, text: str) -> tuple | None:
    """The header, if this is the separator, and in front of it what speaks for that; None without a header.

    A separator is the better one where there are several columns, more of the rows below the header have as
    many cells, the header stands higher, and has more names.
    """
    quoted = separator != "\t" or tabs_quoted(text, 0)
    reader = read_fields(StringIO(text, newline=""), separator, quoted)
    rows, lines = [], []
    with suppress(csv.Error):  # of a later row, which read_text names
        for row in islice(reader, HEADER_ROWS):
            rows.append(row)
            lines.append(reader.line_num)
    if (top := find_header(rows)) is None:
        return None
    header = [name.strip() for name in rows[top]]
    below = [len(row) == len(header) for row in rows[top + 1 :] if row]
    alike = sum(below) / len(below) if below else 1
    return (len(header) > 1, alike, -top, len(header)), separator, top, lines[top], header


def read_fields(text: TextIO, separator: str, quoted: bool, strict: bool = False) -> "Reader":
    """Python's csv.reader: a list of texts for each row, [] for a blank line."""
    csv.field_size_limit(LONGEST_ROW if strict else SAMPLE // 2)  # a header is shorter
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return csv.reader(text, delimiter=separator, quoting=quoting, strict=strict)  # type: ignore[arg-type]


def tabs_quoted(text: str, columns: int) -> bool:
    """Whether quotation marks enclose fields of a text with tabs, and are no inches: all that open must close.

    And none may enclose whole rows, where `columns` says how many cells those have.
    """
    position, closed = 0, False
    while opening := OPENING.search(text, position):
        field = QUOTED.match(text, opening.start())
        if not field or swallows(field[1], "\t", columns):
            return False
        closed |= field[2] is not None
        position = field.end()
    return closed


def swallows(field: str, separator: str, columns: int, place: int | None = None) -> bool:
    """Whether this field is several rows, since nobody closed the quotation mark in front of it.

    Then its lines have just as many separators as such rows: of columns before `place`, and after it.
    """
    first, *others = (line.count(separator) for line in LINE_BREAK.split(field))
    if not others or columns < 3:
        return False
    *between, last = others
    whole = first + last == columns - 1 and place in (None, last)
    return whole and all(count == columns - 1 for count in between)
