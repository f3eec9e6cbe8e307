"""The plumbing: every type of id, amount and time that MongoDB may hold, and files written whole."""

from datetime import datetime

import pandas as pd
import pytest
from bson import Decimal128, Int64, ObjectId
from conftest import make_orders, run

import common

DAY = datetime(2024, 3, 5, 12)


def test_ids_and_amounts_of_every_type_are_read(db):
    oid = ObjectId()
    db.orders.insert_many(
        [
            {"customer_id": 7, "order_date": DAY, "total": 10, "status": "completed"},
            {"customer_id": "0007", "order_date": DAY, "total": 1.5, "status": "Cancelled"},
            {"customer_id": oid, "order_date": DAY, "total": Decimal128("2.25")},
            {"customer_id": Int64(2**40), "order_date": DAY, "total": Int64(-3), "status": "refunded"},
        ]
    )
    orders, left_out, as_of = common.read_orders(db)
    assert list(orders["customer_id"]) == ["7", "0007", str(oid), str(2**40)]
    assert list(orders["amount"]) == [10.0, 1.5, 2.25, -3.0]
    assert list(orders["completed"]) == [True, False, True, False]
    assert as_of == pd.Timestamp("2024-03-06")
    assert left_out["rows"].sum() == 0


def test_every_order_is_analysed_or_counted_as_left_out(db):
    db.orders.insert_many(
        [
            {"customer_id": "a", "order_date": DAY, "total": 1.0},
            {"order_date": DAY, "total": 2.0},
            {"customer_id": "", "order_date": DAY, "total": 3.0},
            {"customer_id": "a", "order_date": "no date", "total": 4.0},
            {"customer_id": "a", "order_date": DAY, "total": "five"},
            {"customer_id": "a", "order_date": DAY, "total": float("inf")},
            {"customer_id": "a", "order_date": DAY, "total": float("nan")},
            {"customer_id": "a", "order_date": datetime(2024, 3, 6), "total": 6.0},
        ]
    )
    orders, left_out, _ = common.read_orders(db, pd.Timestamp("2024-03-06"))
    assert list(orders["amount"]) == [1.0]
    assert dict(zip(left_out["check"], left_out["rows"], strict=True)) == {
        "no customer_id": 2,
        "no readable order_date": 1,
        "no readable total": 3,
        "on or after as_of": 1,
    }


def test_report_timezone_decides_the_day(db, monkeypatch):
    db.orders.insert_one({"customer_id": "a", "order_date": datetime(2024, 1, 31, 12), "total": 1.0})
    monkeypatch.setattr(common, "REPORT_TIMEZONE", "Pacific/Auckland")
    orders, _, as_of = common.read_orders(db)
    assert orders["order_date"][0] == pd.Timestamp("2024-02-01 01:00")
    assert as_of == pd.Timestamp("2024-02-02")


def test_items_come_as_lists(db):
    line = {"product_id": "P1", "category": "Toys", "quantity": 2, "unit_price": Decimal128("1.50")}
    db.orders.insert_many(
        [
            {"customer_id": "a", "order_date": DAY, "total": 3.0, "channel": "web", "items": [line, {}]},
            {"customer_id": "a", "order_date": DAY, "total": 3.0},
        ]
    )
    orders, _, _ = common.read_orders(db, items=True)
    assert list(orders["items"].list.len()) == [2, 0]
    first = orders["items"].list.flatten().iloc[0]
    assert first == {"category": "Toys", "quantity": 2.0, "value": 3.0}


def test_a_csv_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    common.write_csv(pd.DataFrame({"a": [1]}), "t.csv")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(SystemExit) as stopped:
        common.write_csv(pd.DataFrame({"a": [2]}), "t.csv")
    assert stopped.value.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    assert (tmp_path / "t.csv").read_bytes() == b"a\n1\n"


def test_the_embedded_mongod_is_private_and_ends_with_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    started = []
    popen = common.subprocess.Popen
    monkeypatch.setattr(
        common.subprocess, "Popen", lambda *args, **kw: started.append(popen(*args, **kw)) or started[0]
    )
    with pytest.raises(KeyboardInterrupt), common.embedded_mongod(tmp_path / "mongodb") as address:
        socket = common.Path(address.removeprefix("mongodb://").replace("%2F", "/"))
        assert socket.is_socket()
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        assert listening_ports(started[0].pid) == []
        raise KeyboardInterrupt
    assert started[0].returncode == 0
    assert not socket.parent.exists()


def listening_ports(pid: int) -> list[str]:
    """The TCP sockets on which the process listens, from /proc."""
    inodes = {p.readlink().name for p in common.Path(f"/proc/{pid}/fd").iterdir() if p.is_symlink()}
    rows = [
        line.split()
        for kind in ("tcp", "tcp6")
        for line in common.Path(f"/proc/net/{kind}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]


def test_two_scripts_on_one_embedded_database_get_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    with common.embedded_mongod(tmp_path / "mongodb"):
        done = run("2_data_analysis.py", data_dir=tmp_path)
    assert done.returncode == 2
    assert "in use by another script" in done.stderr


def test_make_orders_looks_like_read_orders(db):
    """The hand-written frames of the other tests have the columns of the real ones."""
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0, "status": "completed"})
    orders, _, _ = common.read_orders(db)
    assert list(orders) == list(make_orders(("a", "2024-01-01", 1.0)))
