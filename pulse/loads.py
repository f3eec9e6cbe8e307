"""How a load takes the place of another, all or nothing: the writer's side and the reader's.

A load goes into staging collections, whose names no other load has. `pulse_loads` holds a record of each
collection that script 1 wrote, under the collection's own id: that is how the scripts know their own.
Once a load is complete and on disk, one more document there, the switch, makes it count. From then on
readers look for each collection under its staging name first, while the writer renames them over the
old ones. Each step can be done twice with the same result, so a lost connection or a killed script
leaves the old load or the new one, and the next run of script 1 finishes the renames.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.write_concern import WriteConcern

from common import Settings, fail
from pulse.database import ReplacedError, Result, retry
from pulse.identity import hide_addresses
from pulse.origin import IMPORTED, SIMULATED, holds_more, write_origin
from pulse.progress import clock
from pulse.records import (
    COLLECTIONS,
    RECORDS,
    STAGING,
    SWITCH,
    collection_id,
    find_switch,
    load_record,
    refuse_foreign_collections,
    refuse_foreign_records,
)

NO_SUCH_COLLECTION = 26  # MongoDB's code
ABANDONED = timedelta(days=1)  # on a server, another run may still be filling a younger staging collection

Block = dict[str, list[dict]]  # {collection: documents}


class Source(NamedTuple):
    """What is loaded: where it came from, its documents, and {remark: rows of a file left out or noted}."""

    origin: str
    blocks: Iterator[Block]
    rejects: dict[str, int]


# --- the reader's side ---


def active_collection(db: Database, name: str) -> Collection:
    """The collection of this name that counts: the one that waits for its rename, if there is one."""
    switch = find_switch(db) or {"staging": {}}
    waiting = switch["staging"].get(name)
    return db[waiting if waiting in db.list_collection_names() else name]


def consistent_read(db: Database, settings: Settings, read: Callable[[], Result]) -> Result:
    """What `read` returns, all of it from one load; it is read again where a load ended in between."""
    if settings.embedded:  # nobody else is there
        tidy(db, settings)
    names = {settings.orders_collection, settings.customers_collection, *COLLECTIONS}

    def read_between_loads() -> Result:
        before = load_version(db, names)
        result = read()
        if load_version(db, names) != before:
            raise ReplacedError
        return result

    with clock("Reading"):
        return retry(read_between_loads, settings)


def load_version(db: Database, names: set[str]) -> tuple[dict[str, str], dict | None]:
    """What changes when one of these collections takes the place of another."""
    found = db.list_collections(filter={"name": {"$in": sorted(names)}})
    return {each["name"]: str(each["info"].get("uuid")) for each in found}, find_switch(db)


def describe_source(orders: Collection, settings: Settings, currency: str) -> dict[str, str]:
    """What runs.csv says of the orders besides which they are: currency, time_zone, and shop, where they came
    from: what script 1 recorded, else the database and the collection; addresses in it are hidden."""
    record = load_record(orders.database, orders.name) or {}
    shop = record.get("origin", f"{settings.mongo_db}.{settings.orders_collection}")
    return {"currency": currency, "time_zone": settings.time_zone.key, "shop": hide_addresses(str(shop))}


# --- the writer's side ---


def prepare(db: Database, settings: Settings) -> None:
    """Before anything is loaded: stop at what others wrote, and end what a run that was killed has left."""
    refuse_foreign_records(db)
    refuse_foreign_collections(db)
    tidy(db, settings)


def tidy(db: Database, settings: Settings) -> None:
    """Move a complete load that still waits into its place, and drop what killed runs have left."""
    retry(partial(finish_switch, db), settings)
    retry(partial(drop_abandoned, db, settings), settings)


def load(db: Database, settings: Settings, source: Source) -> dict[str, int]:
    """Put the source's documents in place of the earlier ones; returns {collection: documents}."""
    staging = {name: f"{STAGING}{name}_{uuid4().hex[:12]}" for name in COLLECTIONS}
    for name, place in staging.items():
        retry(partial(create_staging, db, name, place), settings)
    counts = insert_blocks(db, settings, staging, source.blocks)
    with clock("Finishing"):
        finish(db, settings, source, staging, counts)
    return counts


def finish(
    db: Database, settings: Settings, source: Source, staging: dict[str, str], counts: dict[str, int]
) -> None:
    """Make a load count whose documents are all there, and move it into its place."""
    if counts["orders"] * 10 > settings.orders_per_range:  # scripts 2 and 3 may read ranges of customers
        retry(partial(db[staging["orders"]].create_index, "customer_id"), settings)
    notes = {"origin": source.origin, "left_out": source.rejects}
    simulated, ours = source.origin.startswith(SIMULATED), {*COLLECTIONS, RECORDS, *staging.values()}
    again = settings.embedded and simulated and not holds_more(db, ours)
    if settings.embedded and not again:  # before this load counts: killed from here on, it is not called simulated
        write_origin(settings, IMPORTED)
    retry(partial(complete, db, counts, staging, notes), settings)
    retry(partial(finish_switch, db), settings)
    if again:  # after what was there before has gone
        write_origin(settings, SIMULATED)


def drop_abandoned(db: Database, settings: Settings) -> None:
    """Drop the staging collections that a killed run has left."""
    age = timedelta(0) if settings.embedded else ABANDONED
    for place in db.list_collection_names(filter={"name": {"$regex": f"^{STAGING}"}}):
        record = load_record(db, place)
        old = {"_id": collection_id(db, place), "begun": {"$lt": datetime.now(UTC) - age}}
        without_record = settings.embedded and not record and not db[place].find_one()  # killed before it
        if db[RECORDS].delete_one(old).deleted_count or without_record:
            db.drop_collection(place)


def create_staging(db: Database, name: str, place: str) -> None:
    """Create an empty collection and record that it is ours."""
    if place not in db.list_collection_names():
        db.create_collection(place)
    record = {"collection": name, "staging": place, "begun": datetime.now(UTC)}
    db[RECORDS].update_one({"_id": collection_id(db, place)}, {"$set": record}, upsert=True)


def insert_blocks(db: Database, settings: Settings, staging: dict[str, str], blocks: Iterator[Block]) -> dict:
    """Insert each block while the next one is made; returns {collection: documents}."""
    counts = dict.fromkeys(COLLECTIONS, 0)
    with ThreadPoolExecutor(1) as writer:
        running: Future | None = None
        for block in blocks:
            for name, documents in block.items():
                counts[name] += len(documents)
            if running:
                running.result()
            running = writer.submit(insert_block, db, settings, staging, block)
        if running:
            running.result()
    return counts


def insert_block(db: Database, settings: Settings, staging: dict[str, str], block: Block) -> None:
    """Insert the documents of each collection into its staging one."""
    for name, documents in block.items():
        if documents:
            insert(db[staging[name]], documents, settings)


def insert(into: Collection, documents: list[dict], settings: Settings) -> None:
    """Insert the documents, each once, however often the connection is lost."""
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 1:  # some may have come in before the connection was lost
            into.delete_many({"_id": {"$in": [document["_id"] for document in documents]}})
        into.insert_many(documents, ordered=False)

    retry(attempt, settings)


def complete(db: Database, counts: dict[str, int], staging: dict[str, str], notes: dict[str, Any]) -> None:
    """Once every document is there, write the switch, onto the disk: from it on, this load counts."""
    ids = [collection_id(db, place) for place in staging.values()]
    if db[RECORDS].find_one({"_id": SWITCH, "loads": ids}):
        return  # an earlier try did it
    for load_id, (name, place) in zip(ids, staging.items(), strict=True):
        found = db[place].count_documents({})
        if found != counts[name]:
            fail(f"{found:,} of {counts[name]:,} new {name} are in {place}: who changed it? Run this again.")
        db[RECORDS].update_one({"_id": load_id}, {"$set": {"documents": found, **notes}})
    finish_switch(db)  # what another run has just completed
    refuse_foreign_collections(db)  # somebody may have written there since
    replaced = [collection_id(db, name) for name in COLLECTIONS]
    on_disk = db[RECORDS].with_options(write_concern=WriteConcern("majority", j=True))
    try:
        on_disk.insert_one({"_id": SWITCH, "staging": staging, "loads": ids, "replaced": replaced})
    except DuplicateKeyError:
        fail(f"Another run has loaded {db.name} at the same moment: run this again, if it is still wanted.")


def finish_switch(db: Database) -> None:
    """Move a complete load that still waits into its place, and forget the one before."""
    switch = find_switch(db)
    if not switch:
        return
    for name, place in switch["staging"].items():
        if place in db.list_collection_names():
            try:
                db[place].rename(name, dropTarget=True)
            except OperationFailure as error:
                if error.code != NO_SUCH_COLLECTION:  # else another run has moved it since
                    raise
    db[RECORDS].delete_many({"_id": {"$in": switch["replaced"]}})
    db[RECORDS].delete_one({"_id": SWITCH, "loads": switch["loads"]})
