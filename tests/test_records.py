"""pulse/records.py: what in pulse_loads is ours, and what others wrote there or under the names of a load."""

from datetime import datetime

import pytest
from conftest import read_all

from common import read_settings
from pulse.loads import Source, active_collection, consistent_read, load, prepare
from pulse.planning import plan_reading
from pulse.records import COLLECTIONS, RECORDS, STAGING, SWITCH, load_record

PLACES = {name: f"{STAGING}{name}_x" for name in COLLECTIONS}
FOREIGN = {  # documents of pulse_loads that are not ours
    "a switch without a word": {"_id": SWITCH},
    "a switch that is a text": {"_id": SWITCH, "staging": "orders", "loads": [], "replaced": []},
    "a switch of lists": {"_id": SWITCH, "staging": [PLACES], "loads": [], "replaced": []},
    "a switch to a collection of theirs": {
        "_id": SWITCH, "staging": PLACES | {"orders": "invoices"}, "loads": [], "replaced": [],
    },
    "a switch of one more collection": {
        "_id": SWITCH, "staging": PLACES | {"invoices": f"{STAGING}x"}, "loads": [], "replaced": [],
    },
    "a switch of numbers": {"_id": SWITCH, "staging": dict.fromkeys(PLACES, 1), "loads": [], "replaced": []},
    "a switch without lists": {"_id": SWITCH, "staging": PLACES, "loads": "all", "replaced": None},
    "a switch that is no number": {"_id": SWITCH, "staging": float("nan")},
    "a key that is a number": {"_id": "customer_key", "key": 7},
    "a document of theirs": {"_id": 1, "load": "heavy"},
    "a document without end": {"_id": 1, "when": float("inf"), "collection": ["orders"]},
}  # fmt: skip


def load_one(db, n: int) -> None:
    load(db, read_settings(), Source("ours", iter([{"orders": [{"_id": n, "total": 1.0}]}]), {}))


def stops(db, capsys) -> str:
    """The sentence with which script 1 stops before it writes anything."""
    before = sorted(db.list_collection_names())
    with pytest.raises(SystemExit) as stopped:
        prepare(db, read_settings())
    assert stopped.value.code == 2
    assert sorted(db.list_collection_names()) == before
    return capsys.readouterr().err


# --- pulse_loads ---


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_document_is_passed_over_by_readers_and_stops_the_writer(db, capsys, what):
    db.invoices.insert_one({"_id": 1})
    db.orders.insert_one({"_id": 1, "customer_id": "a@b", "order_date": datetime(2024, 1, 1), "total": 1.0})
    db[RECORDS].insert_one(FOREIGN[what])
    assert active_collection(db, "orders").name == "orders"
    assert consistent_read(db, read_settings(), lambda: 1) == 1  # equal before and after
    assert load_record(db, "orders") is None
    with pytest.raises(SystemExit):
        plan_reading(db, read_settings(), None)
    assert "set CUSTOMER_KEY in .env" in capsys.readouterr().err
    db.orders.drop()
    assert "The collection pulse_loads of the database test is not as this script keeps it" in stops(db, capsys)
    assert db.invoices.count_documents({}) == db[RECORDS].count_documents({}) == 1


def test_a_foreign_document_that_python_cannot_hold_is_passed_over_too(db, capsys):
    """A date of the year 10000, in the switch and in the key."""
    db.command("insert", RECORDS, documents=[{"_id": SWITCH}, {"_id": "customer_key"}])
    db[RECORDS].update_many({}, [{"$set": {"when": {"$toDate": 253402300800000}}}])
    db.orders.insert_one({"_id": 1, "customer_id": "a", "order_date": datetime(2024, 1, 1), "total": 1.0})
    assert len(read_all(db)[0]) == 1
    assert "name another database in MONGO_DB" in stops(db, capsys)


@pytest.mark.parametrize("kind", ["view", "capped", "time series", "with rules"])
def test_pulse_loads_of_another_kind_stops_the_writer(db, capsys, kind):
    make(db, RECORDS, kind)
    assert "The collection pulse_loads of the database test" in stops(db, capsys)
    assert active_collection(db, "orders").name == "orders"


def test_a_view_is_not_taken_for_ours_by_its_name(db):
    """It has no id of its own, so a document under its name is looked at."""
    make(db, "orders", "view")
    db[RECORDS].insert_one({"_id": "orders", "collection": "orders", "staging": f"{STAGING}x", "left_out": "much"})
    assert load_record(db, "orders") is None


# --- the collections of a load ---


def make(db, name: str, kind: str) -> None:
    """An empty collection of this kind."""
    options = {
        "plain": {},
        "view": {"viewOn": "elsewhere", "pipeline": []},
        "capped": {"capped": True, "size": 4096},
        "time series": {"timeseries": {"timeField": "at"}},
        "with rules": {"validator": {"total": {"$gt": 0}}},
    }
    db.create_collection(name, **options[kind])


@pytest.mark.parametrize("name", COLLECTIONS)
def test_an_empty_plain_collection_may_be_used(db, name):
    """As Atlas's web page makes one with a new database."""
    make(db, name, "plain")
    prepare(db, read_settings())
    load_one(db, 1)
    assert list(db.orders.find()) == [{"_id": 1, "total": 1.0}]
    assert sorted(db.list_collection_names()) == sorted([*COLLECTIONS, RECORDS])
    prepare(db, read_settings())


@pytest.mark.parametrize("kind", ["view", "capped", "time series", "with rules", "with an index"])
def test_an_empty_collection_of_another_kind_stays(db, capsys, kind):
    make(db, "orders", "plain" if kind == "with an index" else kind)
    if kind == "with an index":
        db.orders.create_index("total")
    assert "The collection orders of the database test" in stops(db, capsys)


def test_a_collection_of_ours_that_somebody_emptied_is_not_ours(db, capsys):
    load_one(db, 1)
    db.orders.delete_many({})
    assert "The collection orders of the database test" in stops(db, capsys)
