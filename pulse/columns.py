"""Fields of a MongoDB collection as the columns of a table, whatever their names and types.

PyMongoArrow turns documents into Arrow columns without a Python loop.
"""

import csv
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
from pymongo.collection import Collection
from pymongoarrow.api import Schema, find_arrow_all

from common import fail
from pulse.database import read_session
from pulse.dates import date_expression, to

ITEM = {"category": "string", "quantity": "double", "unit_price": "double"}  # of an order's list of items
ARROW = {"string": pa.string(), "label": pa.string(), "double": pa.float64(), "date": pa.timestamp("ms")}
ARROW |= {"flag": pa.bool_(), "text": pa.string()}
ITEMS = pa.list_(pa.struct([(name, ARROW[kind]) for name, kind in ITEM.items()]))
LISTS = tuple(f"{name} of items" for name in ITEM)


def read_columns(
    collection: Collection,
    types: dict[str, str],
    fields: dict[str, str],
    where: dict | None = None,
    dates: str = "",
) -> pd.DataFrame:
    """One row per document that matches `where`, one column per name in `types`, from the field of that
    name in `fields`: a string, a double, a date (as `dates` of pulse.dates.FORMS has them), a flag (true or
    false), a text (what is none is not converted), a label (a string that comes again and again: one of pandas'
    categories) or items (Arrow lists of structs of ITEM). Null where a value cannot be that.

    Fields of just these types are read as they are; else the server converts each, and is slower.
    """
    names = sorted(types, key=lambda name: types[name] == "items")  # items last
    with read_session(collection) as (chosen, session):
        # its threads decode while the server works
        find = partial(find_arrow_all, chosen, where or {}, session=session, parallelism="threads")
        table = None
        if readable_as_they_are(types, fields):
            with suppress(TypeError):  # PyMongoArrow's, for a value of another type
                table = find(**wanted(types, fields))
        if table is None:
            table = find(**wanted(types, fields, partial(convert, dates=dates)))
    if "items" in types:
        table = unite_items(table)
    table = table.rename_columns(names).select(list(types))
    labels = [name for name, kind in types.items() if kind == "label"]
    special = {ITEMS: pd.ArrowDtype(ITEMS), ARROW["flag"]: pd.BooleanDtype()}
    return table.to_pandas(categories=labels, types_mapper=special.get)


def readable_as_they_are(types: dict[str, str], fields: dict[str, str]) -> bool:
    """Whether no field but the items is nested, named for two columns, or named as a list of items would be."""
    sources = [fields[name] for name, kind in types.items() if kind != "items"]
    return len({*sources, *LISTS}) == len(sources) + len(LISTS) and not any("." in field for field in sources)


def wanted(
    types: dict[str, str], fields: dict[str, str], conversion: Callable[..., dict] | None = None
) -> dict[str, Any]:
    """find_arrow_all's projection and schema: the fields as they are, or as MongoDB's expressions that
    `conversion` gives; last, of items, a list for each of theirs (LISTS): decoding lists of subdocuments takes
    twice as long."""
    projection: dict[str, Any] = {"_id": 0}
    schema = {}
    for name, kind in types.items():
        if kind != "items":
            column = name if conversion else fields[name]
            projection[column] = conversion(kind, fields[name]) if conversion else 1
            schema[column] = ARROW[kind]
    if "items" in types:
        lines = f"${fields['items']}"
        array = {"$cond": [{"$isArray": lines}, lines, []]}
        for column, (name, kind) in zip(LISTS, ITEM.items(), strict=True):
            value = conversion(kind, fields[name], prefix="$$this.") if conversion else f"$$this.{fields[name]}"
            projection[column] = {"$map": {"input": array, "in": value}}
            schema[column] = pa.list_(ARROW[kind])
    return {"projection": projection, "schema": Schema(schema)}


def unite_items(table: pa.Table) -> pa.Table:
    """The table with its LISTS as one column, the last, of lists of structs; nothing is copied."""
    parts = []
    for batch in table.to_batches():
        lists = [batch.column(name) for name in LISTS]
        structs = pa.StructArray.from_arrays([each.flatten() for each in lists], list(ITEM))
        parts.append(pa.ListArray.from_arrays(lists[0].offsets, structs))
    return table.drop_columns(list(LISTS)).append_column("items", pa.chunked_array(parts, ITEMS))


def convert(kind: str, field: str, dates: str = "", prefix: str = "$") -> dict:
    """MongoDB's expression for a field as `kind` (not items), null where it cannot be that."""
    value = prefix + field
    if kind == "date":
        return date_expression(value, dates)
    if kind in ("flag", "text"):
        return {"$cond": [{"$eq": [{"$type": value}, {"flag": "bool", "text": "string"}[kind]]}, value, None]}
    return to("string" if kind == "label" else kind, value)


def to_local_time(utc: pd.Series, zone: ZoneInfo) -> pd.Series:
    """UTC timestamps as local times of the zone, both without a zone of their own."""
    return utc.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)


def parse_mapping(text: str, names: tuple[str, ...], source: str) -> dict[str, str]:
    """{name: other} from "name=other, name=other", an other with a comma in quotes, as in a CSV; stops at a
    name that is not one of `names`."""
    mapping = {}
    for pair in filter(None, map(str.strip, next(csv.reader([text], skipinitialspace=True), []))):
        name, _, other = (part.strip() for part in pair.partition("="))
        if name not in names or not other:
            fail(f"{source} has {pair!r}: write name=other, with one of {', '.join(names)} as the name.")
        if name in mapping:
            fail(f"{source} has {name} twice: leave one of them.")
        mapping[name] = other
    return mapping
