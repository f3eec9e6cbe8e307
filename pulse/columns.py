"""Fields of a MongoDB collection as the columns of a table, whatever their names and types.

PyMongoArrow turns documents into Arrow columns without a Python loop.
"""

import csv
from contextlib import suppress
from functools import partial
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
ARROW["flag"] = pa.bool_()
ARROW["items"] = pa.list_(pa.struct([(name, ARROW[kind]) for name, kind in ITEM.items()]))


def read_columns(
    collection: Collection,
    types: dict[str, str],
    fields: dict[str, str],
    where: dict | None = None,
    dates: str = "",
) -> pd.DataFrame:
    """One row per document that matches `where`, one column per name in `types`, from the field of that
    name in `fields`: a string, a double, a date (as `dates` of pulse.dates.FORMS has them), a flag (true or
    false), a label (a text that comes again and again: one of pandas' categories) or items (Arrow lists of
    structs of ITEM). Null where a value cannot be that.

    Fields of just these types are read as they are; else the server converts each, and is slower.
    """
    with read_session(collection) as (chosen, session):
        # its threads decode while the server works
        find = partial(find_arrow_all, chosen, where or {}, session=session, parallelism="threads")
        table = None
        if readable_as_they_are(types, fields):
            schema = Schema({fields[name]: ARROW[kind] for name, kind in types.items()})
            with suppress(TypeError):  # PyMongoArrow's, for a value of another type
                table = find(schema=schema)
        if table is None:
            columns = {name: convert(kind, fields[name], fields, dates) for name, kind in types.items()}
            schema = Schema({name: ARROW[kind] for name, kind in types.items()})
            table = find(schema=schema, projection={"_id": 0} | columns)
    special = {ARROW["items"]: pd.ArrowDtype(ARROW["items"]), ARROW["flag"]: pd.BooleanDtype()}
    labels = [name for name, kind in types.items() if kind == "label"]
    return table.rename_columns(list(types)).to_pandas(categories=labels, types_mapper=special.get)


def readable_as_they_are(types: dict[str, str], fields: dict[str, str]) -> bool:
    """Whether no field is nested or named for two columns, and items have our own names."""
    sources = [fields[name] for name in (*types, *(ITEM if "items" in types else ()))]
    renamed = "items" in types and any(fields[name] != name for name in ITEM)
    return len(set(sources)) == len(sources) and not renamed and not any("." in field for field in sources)


def convert(
    kind: str, field: str, fields: dict[str, str] | None = None, dates: str = "", prefix: str = "$"
) -> dict:
    """MongoDB's expression for a field as `kind`, null where it cannot be that; items need all `fields`."""
    value = prefix + field
    if kind == "items" and fields:
        item = {name: convert(part, fields[name], prefix="$$this.") for name, part in ITEM.items()}
        return {"$map": {"input": {"$ifNull": [value, []]}, "in": item}}
    if kind == "date":
        return date_expression(value, dates)
    if kind == "flag":
        return {"$cond": [{"$eq": [{"$type": value}, "bool"]}, value, None]}
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
