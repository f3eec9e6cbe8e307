"""The collection pulse_loads: how the scripts know what script 1 wrote, and tell it from what others did.

It holds a record of each collection that script 1 wrote, under the collection's own id; the switch of a load
that is complete and waits for its renames; and, on a server, the key of the customers' hashes. A document of
any other shape is somebody else's: readers pass over it, and script 1 stops.
"""

from collections.abc import Mapping
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.collection import Collection
from pymongo.database import Database

from common import fail
from pulse.identity import KEY_ID

COLLECTIONS = ("customers", "simulation_truth", "orders")  # what a load replaces, orders last
RECORDS = "pulse_loads"
STAGING = "pulse_staging_"  # before the names of new collections until they are in their places
SWITCH = "switching"  # the _id of the document that makes a load count
# others' documents may hold any date and any bytes
ANYTHING: CodecOptions = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
)


def collection_id(db: Database, name: str) -> Any:
    """What tells this very collection from any other that has, or had, its name."""
    for found in db.list_collections(filter={"name": name}):
        return found["info"].get("uuid", name)
    return name


def load_record(db: Database, name: str) -> dict | None:
    """What script 1 recorded when it wrote this very collection; None for one of another origin."""
    return find_record(db, collection_id(db, name))


def find_switch(db: Database) -> dict | None:
    """The switch of a load that counts and is not in its place yet."""
    return find_record(db, SWITCH)


def find_record(db: Database, its_id: Any) -> dict | None:
    """The document of pulse_loads under this id, if it is ours."""
    found = all_records(db).find_one({"_id": its_id})
    return found if found and is_ours(found) else None


def all_records(db: Database) -> Collection:
    """pulse_loads, readable whatever others have put there."""
    return db[RECORDS].with_options(codec_options=ANYTHING)


def is_ours(document: dict) -> bool:
    """Whether a document of pulse_loads has the shape of a key, of a switch or of a record."""
    kind, staging = document.get("_id"), document.get("staging")
    if kind == KEY_ID:
        return isinstance(document.get("key"), str)
    if kind == SWITCH:
        lists = all(isinstance(document.get(name), list) for name in ("loads", "replaced"))
        places = staging if isinstance(staging, dict) else {}
        return lists and places.keys() == set(COLLECTIONS) and all(map(is_staging, places.values()))
    left_out = document.get("left_out", {})
    counts = [document.get("documents", 0), *(left_out.values() if isinstance(left_out, dict) else [None])]
    ours = document.get("collection") in COLLECTIONS and is_staging(staging)
    return ours and all(isinstance(n, int) for n in counts)


def is_staging(place: Any) -> bool:
    """Whether this is the name of a collection that waits, or waited, for its place."""
    return isinstance(place, str) and place.startswith(STAGING)


# --- what others wrote ---


def refuse_foreign_records(db: Database) -> None:
    """Stop where pulse_loads is another program's, or holds what script 1 did not write."""
    for found in db.list_collections(filter={"name": RECORDS}):
        if not (is_plain(found) and all(map(is_ours, all_records(db).find()))):
            fail(
                f"The collection {RECORDS} of the database {db.name} is not as this script keeps it, so another "
                "program may use it, and it stays as it is: name another database in MONGO_DB."
            )


def refuse_foreign_collections(db: Database) -> None:
    """Stop where a load would replace what script 1 did not write; an empty collection without indexes, as
    Atlas's web page makes them, may be replaced."""
    for found in db.list_collections(filter={"name": {"$in": list(COLLECTIONS)}}):
        name = found["name"]
        record = load_record(db, name)
        ours = record and record.get("documents") == db[name].count_documents({})
        if not ours and (record or not is_unused(db, found)):
            fail(
                f"The collection {name} of the database {db.name} holds documents that this script did not "
                "write, or is no plain collection, and stays as it is: name another database in MONGO_DB."
            )


def is_unused(db: Database, found: Mapping[str, Any]) -> bool:
    """Whether a collection, as list_collections has `found` it, is plain, empty and without indexes of its own."""
    return is_plain(found) and not db[found["name"]].find_one() and len(db[found["name"]].index_information()) == 1


def is_plain(found: Mapping[str, Any]) -> bool:
    """Whether it is no view, time series or capped collection, and has no rules of its own."""
    return found["type"] == "collection" and not found.get("options")
