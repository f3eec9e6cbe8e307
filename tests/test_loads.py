"""pulse/loads.py: a load counts as a whole or not at all, and never takes the place of what others wrote."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import pytest
from conftest import Interruption, read_all
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener

from common import Settings
from pulse.loads import (
    COLLECTIONS,
    RECORDS,
    STAGING,
    SWITCH,
    Block,
    Source,
    active_collection,
    complete,
    consistent_read,
    create_staging,
    describe_source,
    finish_switch,
    insert_blocks,
    load,
    load_record,
    refuse_foreign_collections,
    tidy,
)

MOMENTS = {  # before which command of the first load, the n-th of its name, another load begins and ends
    "create_staging": ("create", 1),
    "insert": ("insert", 1),
    "complete": ("find", 1),
    "finish_switch": ("find", 2),  # inside complete: what another run has just completed
    "its check": ("listCollections", 13),
    "its last finish_switch": ("find", 6),
    "a rename": ("renameCollection", 1),
}
ITS_SWITCH = ("insert", 4)  # after one insert for each collection
AFTER_THE_SWITCH = ("its last finish_switch", "a rename")


class Recorder(CommandListener):
    """Notes the names of a client's commands."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event) -> None:
        self.commands.append(event.command_name)

    def succeeded(self, event) -> None: ...

    def failed(self, event) -> None: ...


@contextmanager
def watched(uri: str, listener: CommandListener) -> Iterator[Database]:
    """The database `test` through a client that tells the listener of its commands."""
    with MongoClient(uri, event_listeners=[listener]) as client:
        yield client["test"]


def source(*blocks: Block, origin: str = "ours") -> Source:
    return Source(origin, iter(blocks), {})


def order(number: int) -> Source:
    """One order, and nothing else."""
    return source({"orders": [{"_id": number, "total": float(number)}]})


def small_load(n: int) -> Block:
    """n documents in each collection, which say n."""
    return {name: [{"_id": i, "n": n} for i in range(n)] for name in COLLECTIONS}


def kill_before_the_renames(db: Database, settings: Settings, block: Block) -> None:
    """A load that counts, and whose run ends before the collections are in their places."""
    staging = {name: f"{STAGING}{name}_killed" for name in COLLECTIONS}
    for name, place in staging.items():
        create_staging(db, name, place)
    counts = insert_blocks(db, settings, staging, iter([block]))
    complete(db, counts, staging, {"origin": "killed", "left_out": {}})


def interrupt_load(
    uri: str, settings: Settings, block: Block, moment: tuple[str, int], action: Callable[[], None]
) -> None:
    """A load that is interrupted, once, at the moment: before the n-th command of a name."""
    happened = []

    def act() -> None:
        action()
        happened.append(moment)

    command, nth = moment
    try:
        with watched(uri, Interruption(command, act, nth)) as first:
            load(first, settings, source(block, origin="first"))
    finally:
        assert happened == [moment]


def read_sorted(db: Database) -> Block:
    """The documents that count."""
    return {name: list(active_collection(db, name).find(sort=[("_id", 1)])) for name in COLLECTIONS}


# --- all or nothing ---


def test_a_load_that_fails_leaves_the_earlier_data(db, settings):
    def broken() -> Iterator[Block]:
        yield {"orders": [{"_id": 2, "total": 2.0}]}
        raise RuntimeError

    load(db, settings, order(1))
    with pytest.raises(RuntimeError):
        load(db, settings, Source("second", broken(), {}))
    assert list(db.orders.find()) == [{"_id": 1, "total": 1.0}]
    refuse_foreign_collections(db)
    load(db, settings, order(3))
    assert list(db.orders.find()) == [{"_id": 3, "total": 3.0}]
    left = db.list_collection_names(filter={"name": {"$regex": STAGING}})
    assert len(left) == 3  # on a server, the second may still be at it: for a day
    tidy(db, settings)
    assert db.list_collection_names(filter={"name": {"$regex": STAGING}}) == left
    db[RECORDS].update_many({"staging": {"$in": left}}, {"$set": {"begun": datetime(2024, 1, 1)}})
    tidy(db, settings)
    assert sorted(db.list_collection_names()) == sorted([*COLLECTIONS, RECORDS])


def test_a_load_counts_and_records_what_it_brought(db, settings):
    counts = load(db, settings, Source("a file", iter([small_load(2), {"orders": [{"_id": 7}]}]), {"no total": 5}))
    assert counts == {"customers": 2, "simulation_truth": 2, "orders": 3}
    records = {record["collection"]: record for record in db[RECORDS].find()}
    assert {name: record["documents"] for name, record in records.items()} == counts
    assert all(record["origin"] == "a file" for record in records.values())
    assert all(record["left_out"] == {"no total": 5} for record in records.values())


@pytest.mark.parametrize(("limit", "indexed"), [(19, True), (20, False)])
def test_orders_that_may_be_read_in_ranges_get_an_index_by_customer(db, settings, limit, indexed):
    """A range has fewer orders than RANGE_ORDERS where these have many lines."""
    load(db, dataclasses.replace(settings, range_orders=str(limit)), source(small_load(2)))
    assert ("customer_id_1" in db["orders"].index_information()) is indexed


def test_a_document_that_is_missing_in_staging_stops_the_load(db, uri, settings, capsys):
    """Somebody deletes one just before the documents are counted."""
    load(db, settings, source(small_load(1)))

    def delete_one() -> None:
        (place,) = db.list_collection_names(filter={"name": {"$regex": f"^{STAGING}orders"}})
        db[place].delete_one({})

    with pytest.raises(SystemExit):
        interrupt_load(uri, settings, small_load(3), ("aggregate", 1), delete_one)
    assert "2 of 3 new orders are in" in capsys.readouterr().err
    assert read_sorted(db) == small_load(1)


# --- what others wrote ---


def test_a_look_alike_stays_wherever_it_lies(db, settings, capsys):
    """Copies of our own documents and of our own record: what counts is who made the collection."""
    load(db, settings, source({"orders": [{"_id": 1}]}))
    ours = {name: list(db[name].find()) for name in db.list_collection_names()}
    db.drop_collection("orders")
    db["orders"].insert_many(ours["orders"])
    theirs = f"{STAGING}orders_of_theirs"
    db[theirs].insert_many(ours["orders"])
    assert db[RECORDS].count_documents({"collection": "orders", "documents": 1}) == 1
    with pytest.raises(SystemExit):
        refuse_foreign_collections(db)
    assert "The collection orders of the database" in capsys.readouterr().err
    assert list(db["orders"].find()) == ours["orders"]
    db.drop_collection("orders")
    alone = dataclasses.replace(settings, mongo_uri="")  # nobody else is there: drops what was left behind
    tidy(db, alone)
    assert list(db[theirs].find()) == ours["orders"]


def test_alone_on_a_database_the_next_script_drops_what_a_killed_load_left(db, settings):
    """The staging collections with a record, and the empty one that was killed before its record; but not a load
    that counts and still waits for its place."""
    load(db, settings, order(1))
    create_staging(db, "orders", f"{STAGING}orders_left")
    db[f"{STAGING}orders_left"].insert_one({"_id": 1})
    db.create_collection(f"{STAGING}orders_without_record")
    kill_before_the_renames(db, settings, small_load(2))
    alone = dataclasses.replace(settings, mongo_uri="")
    assert consistent_read(db, alone, lambda: read_sorted(db)) == small_load(2)  # as scripts 2 and 3 do
    assert sorted(db.list_collection_names()) == sorted([*COLLECTIONS, RECORDS])
    assert db[RECORDS].count_documents({}) == 3


def test_what_others_write_during_a_load_is_not_replaced(db, settings, capsys):
    load(db, settings, source({"orders": [{"_id": 1}]}))

    def blocks() -> Iterator[Block]:
        yield {"orders": [{"_id": 2}]}
        db.orders.insert_one({"_id": "theirs"})

    with pytest.raises(SystemExit):
        load(db, settings, Source("ours", blocks(), {}))
    assert "The collection orders" in capsys.readouterr().err
    assert {each["_id"] for each in db.orders.find()} == {1, "theirs"}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_collections_of_another_origin_are_refused(db, settings, name, capsys):
    load(db, settings, source({"orders": [{"_id": 1}]}))
    db.drop_collection(name)
    db[name].insert_one({"_id": "theirs"})
    with pytest.raises(SystemExit) as stopped:
        refuse_foreign_collections(db)
    assert stopped.value.code == 2
    assert f"The collection {name} " in capsys.readouterr().err
    assert db[name].count_documents({}) == 1


def test_documents_added_to_our_collection_are_of_another_origin(db, settings):
    load(db, settings, source({"orders": [{"_id": 1}]}))
    db.orders.insert_one({"_id": "theirs"})
    with pytest.raises(SystemExit):
        refuse_foreign_collections(db)


# --- two loads at once ---


@pytest.mark.parametrize("moment", MOMENTS)
def test_loads_beside_each_other_do_not_mix(db, uri, settings, moment):
    """Another load begins and ends just before a step of the first, or in the middle of its last ones."""
    load(db, settings, source(small_load(1), origin="old"))
    another = partial(load, db, settings, source(small_load(2), origin="another"))
    interrupt_load(uri, settings, small_load(3), MOMENTS[moment], another)
    last = 2 if moment in AFTER_THE_SWITCH else 3  # the other one ended after what made the first count
    assert {name: list(db[name].find(sort=[("_id", 1)])) for name in COLLECTIONS} == small_load(last)
    refuse_foreign_collections(db)
    assert db[RECORDS].count_documents({}) == 3


def test_of_two_loads_that_end_at_once_one_stops(db, uri, settings, capsys):
    """Both have found the other gone before either has said that it counts."""
    load(db, settings, source(small_load(1), origin="old"))
    another = partial(kill_before_the_renames, db, settings, small_load(2))
    with pytest.raises(SystemExit):
        interrupt_load(uri, settings, small_load(3), ITS_SWITCH, another)
    assert "Another run has loaded" in capsys.readouterr().err
    assert db[RECORDS].find_one({"_id": SWITCH})
    assert read_sorted(db) == small_load(2)


def test_a_load_that_counts_while_another_cleans_up_stays(db, uri, settings):
    """It is killed once it counts; the first one is about to forget its own switch."""
    another = partial(kill_before_the_renames, db, settings, small_load(2))
    interrupt_load(uri, settings, small_load(3), ("delete", 2), another)
    assert read_sorted(db) == small_load(2)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_another_load_before_any_command_of_the_first_does_not_mix(db, uri, settings, capsys, killed):
    """Before each command in turn the other load ends, or is killed once it counts. The one that counts
    last stays; the first one may also stop with a sentence."""
    recorder = Recorder()
    load(db, settings, source(small_load(1), origin="old"))
    with watched(uri, recorder) as first:
        load(first, settings, source(small_load(3), origin="first"))
    commands = [name for name in recorder.commands if name != "endSessions"]
    assert len(commands) > 50
    switched = [position for position, name in enumerate(commands) if name == "insert"][ITS_SWITCH[1] - 1]
    for position, command in enumerate(commands):
        db.client.drop_database(db)
        load(db, settings, source(small_load(1), origin="old"))
        another = partial(load, db, settings, source(small_load(2), origin="another"))
        if killed:
            another = partial(kill_before_the_renames, db, settings, small_load(2))
        moment = command, commands[: position + 1].count(command)
        stopped = False
        try:
            interrupt_load(uri, settings, small_load(3), moment, another)
        except SystemExit:
            stopped = True
        assert capsys.readouterr().err.count("\n") == stopped, moment
        last = 2 if stopped or position > switched else 3
        assert read_sorted(db) == small_load(last), moment
        finish_switch(db)
        assert {name: list(db[name].find(sort=[("_id", 1)])) for name in COLLECTIONS} == small_load(last), moment
        refuse_foreign_collections(db)


def test_runs_csv_says_where_the_orders_came_from_without_addresses(db, settings):
    db.sales.insert_one({"_id": 1})
    own = dataclasses.replace(settings, orders_collection="sales", report_timezone="europe/paris")
    assert describe_source(db.sales, own, "EUR") == {
        "currency": "EUR",
        "time_zone": "Europe/Paris",
        "shop": "test.sales",
    }
    load(db, settings, source(small_load(1), origin="imported from a.csv, ann@example.com.csv"))
    shop = describe_source(active_collection(db, "orders"), settings, "")["shop"]
    assert shop == "imported from a.csv, (an address)"


def write_first_version(db, staging: dict[str, str]) -> dict[str, list[dict]]:
    """The collections and records of a load, just as the first version of this project left them; with
    `staging`, one that was stopped before its renames."""
    day = datetime(2024, 1, 31)
    line = {"product_id": "P00000001", "category": "Toys", "quantity": 1, "unit_price": 9.99}
    customer = {"_id": "C00000001", "name": "A Buyer", "email": "c00000001@example.com", "country": "Spain"}
    customer |= {"city": "Soria", "signup_date": day, "acquisition_channel": "email"}
    order = {"_id": "O00000001", "customer_id": "C00000001", "order_date": day, "status": "completed"}
    order |= {"channel": "web", "discount": 0.0, "shipping": 4.95, "total": 14.94, "items": [line]}
    truth = {"_id": "C00000001", "persona": "loyal", "lapsed_on": None}
    written = {"customers": [customer], "simulation_truth": [truth], "orders": [order]}
    notes = {"begun": datetime(2024, 2, 1), "origin": "simulated, seed 42", "left_out": {}}
    for name, documents in written.items():
        place = staging.get(name, name)
        db[place].insert_many(documents)
        found = next(db.list_collections(filter={"name": place}))
        record = {"collection": name, "staging": f"pulse_staging_{name}_0123456789ab", "documents": 1}
        db.pulse_loads.insert_one({"_id": found["info"]["uuid"]} | record | notes)
    if staging:
        loads = [next(db.list_collections(filter={"name": place}))["info"]["uuid"] for place in staging.values()]
        replaced = list(written)  # there was nothing yet, so their names stand for them
        db.pulse_loads.insert_one({"_id": "switching", "staging": staging, "loads": loads, "replaced": replaced})
    return written


@pytest.mark.parametrize("stopped", [False, True])
def test_a_load_of_the_first_version_is_read_and_replaced(db, settings, stopped):
    staging = {name: f"pulse_staging_{name}_0123456789ab" for name in COLLECTIONS} if stopped else {}
    written = write_first_version(db, staging)
    for name, documents in written.items():
        assert list(active_collection(db, name).find()) == documents
    orders, _, _ = read_all(db)
    assert orders[["customer_id", "amount", "completed"]].to_dict("records") == [
        {"customer_id": "C00000001", "amount": 14.94, "completed": True}
    ]
    assert load_record(db, active_collection(db, "orders").name)["origin"] == "simulated, seed 42"
    refuse_foreign_collections(db)
    finish_switch(db)
    load(db, settings, Source("new", iter([{"orders": [{"_id": 2}]}]), {}))
    assert list(db.orders.find()) == [{"_id": 2}]
    assert sorted(db.list_collection_names()) == sorted([*COLLECTIONS, "pulse_loads"])
    assert db.pulse_loads.count_documents({}) == 3


def test_a_collection_of_another_name_that_comes_during_a_reading_is_no_load(db, settings, capsys):
    load(db, settings, Source("ours", iter([{"orders": [{"_id": 1}]}]), {}))

    def read() -> int:
        db.drop_collection("elsewhere")
        db.create_collection("elsewhere")
        return db.orders.count_documents({})

    assert consistent_read(db, settings, read) == 1
    assert capsys.readouterr().out == ""
