"""Documents as mongoexport writes them, one after the other or in an array, as rows of plain texts."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from common import fail, say
from pulse.parts import Part, write_rows
from pulse.text_files import CHUNK, known_encoding, opener

LONGEST = 64 * CHUNK  # characters of a document; MongoDB's own limit is 16 MB
BETWEEN = re.compile(r"[\s,]*")
PLAIN = {"$oid", "$uuid", "$symbol", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_json(path: Path, label: str, encoding: str | None, copy: Path) -> Part:
    """The part that is this file, as a `copy`: a row for each document, a column for each field of any.

    Nested fields have dots in their names; lists are left out, and named on the console.
    """
    with opener(path)(path, "rb") as file:
        encoding = known_encoding(file.read(4), encoding) or "utf-8-sig"
    header: dict[str, int] = {}  # {name: its place}
    others: set[str] = set()
    with opener(path)(path, "rt", encoding=encoding) as text:
        count = write_rows(copy, (as_row(document, header, others) for document in documents(text, label)), label)
    if not header:
        fail(f"{label} holds no document: export it again.")
    if others:
        say("Noted", f"{label}: lists and the like are left out ({', '.join(sorted(others))})")
    return Part(label, "json", copy, [name.strip() for name in header], lines=count)


def documents(text: TextIO, label: str) -> Iterator[dict]:
    """The documents, one at a time; numbers are texts, as they are written."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
    buffer, count = text.read(CHUNK), 0
    array = buffer.lstrip().startswith("[")
    start = buffer.index("[") + 1 if array else 0
    while True:
        start = BETWEEN.match(buffer, start).end()  # type: ignore[union-attr]  # it always matches
        try:
            document, end = decoder.raw_decode(buffer, start)
            if not isinstance(document, dict):
                break
            yield document
            start, count = end, count + 1
        except (ValueError, RecursionError):  # perhaps cut off by the buffer's end
            more = text.read(CHUNK) if len(buffer) - start < LONGEST else ""
            if not more:
                break
            buffer, start = buffer[start:] + more, 0
    if buffer[start:].strip() != ("]" if array else ""):
        fail(f"document {count + 1} of {label} cannot be read, or the file ends within it: export it again.")


def as_row(document: dict, header: dict[str, int], others: set[str]) -> list[str | None]:
    """The document's fields in the order of the header, to which new names are added."""
    fields = dict(flatten(document, "", others))
    for name in fields:
        header.setdefault(name, len(header))
    return [fields.get(name) for name in header]


def flatten(document: dict, prefix: str, others: set[str]) -> Iterator[tuple[str, str | None]]:
    """The name and text of each field, however deep; the names of lists and the like go to `others`."""
    for key, value in document.items():
        name = prefix + key
        if isinstance(value, dict):
            kind, inner = next(iter(value.items()), ("", None))
            if kind in PLAIN:
                yield name, str(inner)
            elif kind == "$date":
                yield name, date_text(inner)
            elif kind.startswith("$"):  # binary data and the like
                others.add(name)
            else:
                yield from flatten(value, name + ".", others)
        elif isinstance(value, list):
            others.add(name)
        elif isinstance(value, bool):
            yield name, str(value).lower()
        else:
            yield name, value


def date_text(value: Any) -> str:
    """ISO 8601 in UTC, of what stands beside $date: milliseconds since 1970, or ISO 8601."""
    try:
        if isinstance(value, dict):  # {"$numberLong": ...}
            (value,) = value.values()
        whole = re.fullmatch(r"-?\d+", value)
        time = EPOCH + timedelta(milliseconds=int(value)) if whole else datetime.fromisoformat(value)
    except (ValueError, TypeError, OverflowError):  # as MongoDB's years beyond 9999: no date that counts
        return f"$date {value}"
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
