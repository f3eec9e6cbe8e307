"""The plumbing: every type of id, amount and time that MongoDB may hold, and files written whole."""

import csv
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from bson import Decimal128, Int64, ObjectId
from conftest import ROOT, make_orders, read_orders, run
from hypothesis import given
from hypothesis import strategies as st

import common

DAY = datetime(2024, 3, 5, 12)


def test_ids_and_amounts_of_every_type_are_read(db):
    oid = ObjectId()
    db.orders.insert_many(
        [
            {"customer_id": 7, "order_date": DAY, "total": 10, "status": "completed"},
            {"customer_id": "0007", "order_date": DAY, "total": 1.5, "status": "Cancelled"},
            {"customer_id": oid, "order_date": DAY, "total": Decimal128("2.25")},
            {"customer_id": Int64(2**40), "order_date": DAY, "total": Int64(-3), "status": "completed"},
        ]
    )
    orders, left_out, as_of, _ = read_orders(db)
    assert list(orders["customer_id"]) == ["7", "0007", str(oid), str(2**40)]
    assert list(orders["amount"]) == [10.0, 1.5, 2.25, -3.0]
    assert list(orders["completed"]) == [True, False, True, False]
    assert as_of == pd.Timestamp("2024-03-06")
    assert left_out["rows"].sum() == 0


def test_fields_of_the_usual_types_are_read_as_when_the_server_converts_them(db):
    line = {"category": "x", "quantity": 2, "unit_price": 1.5}
    values = {
        "text": ["a", "", None, "\u00e9", "a"],
        "day": [DAY, None, datetime(1, 1, 1), datetime(9999, 12, 31)],
        "number": [1, 2.5, True, None, Int64(2**60), float("nan"), float("-inf")],
        "items": [[line, line], [], None, [{}], [{"category": None, "unit_price": 3}]],
    }
    rows = [{name: value} for name, of in values.items() for value in of] + [{}]
    db.t.insert_many([row | {"nested": row} for row in rows])
    kinds = {"text": "label", "day": "date", "number": "double", "items": "items"}
    fields = {name: name for name in (*kinds, *common.ITEM)}
    plain = common.read(db.t, kinds, fields)
    converted = common.read(db.t, kinds, fields | {name: f"nested.{name}" for name in kinds})
    assert len(plain) == len(rows)
    for frame in (plain, converted):
        frame["items"] = [[] if of is pd.NA else of for of in frame["items"]]  # read as is: no items are no list
    pd.testing.assert_frame_equal(plain, converted, check_categorical=False)


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
    orders, left_out, _, _ = read_orders(db, pd.Timestamp("2024-03-06"))
    assert list(orders["amount"]) == [1.0, 2.0, 3.0]
    assert list(orders["customer_id"].isna()) == [False, True, True]  # guests
    assert dict(zip(left_out["check"], left_out["rows"], strict=True)) == {
        "no readable order_date": 1,
        "no readable total": 3,
        "on or after as_of": 1,
    }
    assert list(left_out["amount"]) == [4.0, 0.0, 6.0]  # what is no number adds nothing


def test_as_of_cannot_be_later_than_the_data(db, capsys):
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0})
    with pytest.raises(SystemExit) as stopped:
        read_orders(db, pd.Timestamp("2024-03-07"))
    assert stopped.value.code == 2
    assert "end before 2024-03-06" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"customer_id": None, "order_date": DAY, "total": 1.0}, "No completed order of a customer"),
        ({"customer_id": "a", "order_date": DAY, "total": "one"}, "left out: 1 no readable total"),
        ({"customer_id": "a", "order_date": DAY, "total": 1.0, "status": "wc-Failed"}, "No completed order of a"),
        ({"customer_id": "a", "order_date": "yesterday", "total": 1.0}, "has a date in the field order_date"),
    ],
)
def test_orders_of_which_none_can_be_used_get_a_sentence(db, capsys, order, says):
    db.orders.insert_one(order)
    with pytest.raises(SystemExit) as stopped:
        read_orders(db)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_customers_without_an_id_or_a_sign_up_do_not_move_the_others(db, monkeypatch):
    day = datetime(2024, 1, 1)
    db.customers.insert_many([{"ref": 1, "signup_date": day}, {"ref": "2"}, {"name": "x"}])
    monkeypatch.setenv("CUSTOMER_FIELDS", "customer_id=ref")
    monkeypatch.setattr(common, "REPORT_TIMEZONE", "America/New_York")
    customers = common.read_customers(db)
    assert list(customers["customer_id"]) == ["1", "2"]
    assert customers["signup_date"][0] == pd.Timestamp("2024-01-01")


def test_several_currencies_are_refused_or_one_is_chosen(db, monkeypatch, capsys):
    for currency, total in (("EUR", 1.0), ("gbp", 2.0), ("GBP", 3.0)):
        db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": total, "currency": currency})
    with pytest.raises(SystemExit) as stopped:
        read_orders(db)
    assert stopped.value.code == 2
    assert "GBP (2), EUR (1): choose one with REPORT_CURRENCY" in capsys.readouterr().err
    monkeypatch.setattr(common, "REPORT_CURRENCY", "gbp")
    orders, left_out, _, _ = read_orders(db)
    assert list(orders["amount"]) == [2.0, 3.0]
    assert left_out.to_dict("records") == [{"check": "in another currency", "rows": 1, "amount": 1.0}]


def test_fields_can_have_other_names_and_places(db, monkeypatch):
    """A shop's own layout, with an ObjectId, a Decimal128 and nested fields."""
    buyer = ObjectId()
    line = {"group": "Toys", "n": 2, "each": Decimal128("1.50")}
    db.sales.insert_one(
        {
            "buyer": {"id": buyer},
            "at": DAY,
            "paid": {"sum": Decimal128("3.00")},
            "state": "Canceled",
            "lines": [line],
        }
    )
    db.sales.insert_one({"buyer": {"id": buyer}, "at": DAY, "paid": {"sum": 4}, "state": "shipped", "lines": []})
    db.people.insert_one({"ref": buyer, "address": {"land": "Chile"}, "since": datetime(2024, 1, 2)})
    monkeypatch.setattr(common, "ORDERS", "sales")
    monkeypatch.setattr(common, "CUSTOMERS", "people")
    mapping = "customer_id=buyer.id, order_date=at, total=paid.sum, status=state, items=lines"
    monkeypatch.setenv("ORDER_FIELDS", mapping + ", category=group, quantity=n, unit_price=each")
    monkeypatch.setenv("CUSTOMER_FIELDS", "customer_id=ref, country=address.land, signup_date=since")
    orders, _, _, _ = read_orders(db, items=True)
    assert list(orders["customer_id"]) == [str(buyer)] * 2
    assert list(orders["amount"]) == [3.0, 4.0]
    assert list(orders["completed"]) == [False, True]
    assert orders["items"][0] == [{"category": "Toys", "quantity": 2.0, "unit_price": 1.5}]
    customers = common.read_customers(db)
    assert customers[["customer_id", "country"]].to_dict("records") == [
        {"customer_id": str(buyer), "country": "Chile"}
    ]
    assert customers["signup_date"][0] == pd.Timestamp("2024-01-02")


def test_a_field_that_is_none_of_ours_is_refused(db, monkeypatch, capsys):
    monkeypatch.setenv("ORDER_FIELDS", "price=paid")
    with pytest.raises(SystemExit) as stopped:
        read_orders(db)
    assert stopped.value.code == 2
    assert "ORDER_FIELDS has 'price=paid'" in capsys.readouterr().err


def test_report_timezone_decides_the_day(db, monkeypatch):
    db.orders.insert_one({"customer_id": "a", "order_date": datetime(2024, 1, 31, 12), "total": 1.0})
    monkeypatch.setattr(common, "REPORT_TIMEZONE", "Pacific/Auckland")
    orders, _, as_of, _ = read_orders(db)
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
    orders, _, _, _ = read_orders(db, items=True)
    assert list(orders["items"].list.len()) == [2, 0]
    first = orders["items"].list.flatten().iloc[0]
    assert first == {"category": "Toys", "quantity": 2.0, "unit_price": 1.5}


def test_a_csv_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    run = {"script": "t", "as_of": "2024-01-01", "orders": "1", "orders_id": "0"}
    common.save({"t": pd.DataFrame({"a": [1]})}, {}, run)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before["runs.csv"].endswith(b",complete\n")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(SystemExit) as stopped:
        common.save({"t": pd.DataFrame({"a": [2]})}, {}, run)
    assert stopped.value.code == 2
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


hostile = st.one_of(
    st.text(),
    st.sampled_from(
        ["=1+1", "-2", "+3", "@x", "\r=1", "a\nb", "a\r\nb", "\0", '"', "'", ",", "\u202ea", "🎉", "x" * 10_000]
    ),
)


@given(st.lists(hostile, min_size=1))
def test_any_text_comes_back_from_a_csv_and_runs_as_no_formula(texts):
    """Read by pandas and by Python's csv: the same rows, a line each, and different ids stay different."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "DATA_DIR", Path(folder))
        common.save({"t": pd.DataFrame({"a": texts, "n": range(len(texts))})}, {}, {"script": "t"})
        raw = (Path(folder) / "t.csv").read_bytes().decode()
    assert raw.count("\n") == 1 + len(texts)
    frame = pd.read_csv(io.StringIO(raw), dtype=str, keep_default_na=False)
    rows = list(csv.DictReader(io.StringIO(raw, newline="")))
    assert [row["a"] for row in rows] == frame["a"].tolist()
    assert frame["n"].tolist() == [str(n) for n in range(len(texts))]
    for before, after in zip(texts, frame["a"], strict=True):
        assert not after.startswith(("=", "+", "-", "@", "\t", "\r"))
        plain = after.removeprefix("'") if before.startswith(("=", "+", "-", "@")) else after
        assert plain.translate({0x2400 + n: n for n in range(32)} | {0x2421: 127}) == before.translate(
            {0x2400 + n: n for n in range(32)} | {0x2421: 127}
        )


@pytest.mark.parametrize("raw", [b"", b"script;as_of\n2;3\n", b"\xff\xfe", b'a\n"b', b"script,as_of\nx,y\n"])
def test_a_runs_csv_that_is_none_of_ours_is_written_anew(tmp_path, monkeypatch, raw):
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    (tmp_path / "runs.csv").write_bytes(raw)
    assert common.runs() == {}
    run = common.run_of("2", pd.Timestamp("2024-02-01"), {"orders": "1", "orders_id": "0"})
    common.save({}, {}, run)
    assert common.runs() == {"2": run | {"state": "complete"}}


def test_zero_has_no_sign(tmp_path, monkeypatch):
    """115.28 paid and refunded in two parts comes to 0.0 or -0.0, as the parts are added."""
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    common.write_csv("t", pd.DataFrame({"a": [-0.0, 0.0, -1.5, None], "b": ["x", None, "y", "z"]}))
    assert (tmp_path / "t.csv").read_text() == "a,b\n0.0,x\n0.0,\n-1.5,y\n,z\n"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mongodb://u:swordfish@host:1,b:2/db?x=y", "MongoDB at host:1,b:2"),
        ("mongodb://host/?tlsCertificateKeyFilePassword=ab@swordfish", "The MongoDB of MONGO_URI"),
        ("mongodb://u:12?swordfish=1@host/", "The MongoDB of MONGO_URI"),
        ("mongodb+srv://u:p%40@cluster.example.net", "MongoDB at cluster.example.net"),
    ],
)
def test_no_password_is_in_the_servers_name(monkeypatch, uri, said):
    monkeypatch.setattr(common, "MONGO_URI", uri)
    assert common.server() == said


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
        children = list(
            map(int, Path(f"/proc/{started[0].pid}/task/{started[0].pid}/children").read_text().split())
        )
        mongod = next(child for child in children if "mongod" in Path(f"/proc/{child}/comm").read_text())
        assert listens_on(mongod) == [str(socket)]
        raise KeyboardInterrupt
    assert started[0].returncode == 0
    assert not Path(f"/proc/{mongod}").exists()
    assert not socket.parent.exists()


def listens_on(pid: int) -> list[str]:
    """The TCP addresses and the Unix sockets on which the process listens, from /proc."""
    inodes = {p.readlink().name for p in common.Path(f"/proc/{pid}/fd").iterdir() if p.is_symlink()}
    net = common.Path("/proc/net")
    tcp = [line.split() for kind in ("tcp", "tcp6") for line in (net / kind).read_text().splitlines()[1:]]
    local = [line.split() for line in (net / "unix").read_text().splitlines()[1:]]
    listening = [(row[9], row[1]) for row in tcp if row[3] == "0A"]
    listening += [(row[6], row[-1]) for row in local if row[3] == "00010000"]
    return [address for inode, address in listening if f"socket:[{inode}]" in inodes]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_no_mongod_is_left_behind_where_a_script_is_ended(tmp_path, number):
    """Ctrl-C, kill, a closed terminal: the script stops its mongod, and the next one can start."""
    command = [sys.executable, ROOT / "1_data_generation.py", "--customers", "100000"]
    env = os.environ | {"MONGO_URI": "", "DATA_DIR": str(tmp_path)}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as script:
        while not (tmp_path / "mongodb" / "WiredTiger.lock").exists():
            time.sleep(0.05)
        time.sleep(1)
        script.send_signal(number)
        assert script.wait(timeout=30) in (-number, 128 + number)
    assert run("2_data_analysis.py", data_dir=tmp_path).stderr.startswith("Error: The collection orders")


def test_two_scripts_on_one_embedded_database_get_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    with common.embedded_mongod(tmp_path / "mongodb"):
        done = run("2_data_analysis.py", data_dir=tmp_path)
    assert done.returncode == 2
    assert "in use by another script" in done.stderr


def test_make_orders_looks_like_read_orders(db):
    """The hand-written frames of the other tests have the columns of the real ones."""
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0, "status": "completed"})
    orders, _, _, _ = read_orders(db)
    assert sorted(orders) == sorted(make_orders(("a", "2024-01-01", 1.0)))
