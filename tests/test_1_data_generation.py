"""Step 1: the simulated shop is what its docstring says, a file comes in whole, a load is all or nothing."""

import csv
import gzip
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

import common

START, END = pd.Timestamp("2023-01-01"), pd.Timestamp("2025-12-31")


def simulate(generation, n_customers: int, seed: int) -> dict[str, list[dict]]:
    """The whole shop: {collection: documents}."""
    blocks = list(generation.simulate(n_customers, START, END, seed))
    return {name: [doc for block in blocks for doc in block[name]] for name in generation.COLLECTIONS}


@pytest.fixture(scope="module")
def docs(generation):
    return simulate(generation, 3_000, seed=7)


@pytest.fixture(scope="module")
def orders(docs):
    return pd.DataFrame(docs["orders"])


def test_every_order_adds_up(docs):
    for order in docs["orders"]:
        goods = sum(item["quantity"] * item["unit_price"] for item in order["items"])
        assert order["items"]
        assert order["total"] == pytest.approx(goods - order["discount"] + order["shipping"], abs=0.0051)


def test_orders_lie_in_the_period_and_after_the_sign_up(docs, orders):
    assert orders["order_date"].min() >= START
    assert orders["order_date"].max() < END + pd.Timedelta(days=1)
    signup = pd.DataFrame(docs["customers"]).set_index("_id")["signup_date"]
    assert (orders["order_date"] >= orders["customer_id"].map(signup)).all()
    assert orders["_id"].is_unique


def test_nobody_orders_after_the_lapse(docs, orders):
    bought = orders[orders["total"] >= 0]  # a credit note may come later
    lapse = pd.DataFrame(docs["simulation_truth"]).set_index("_id")["lapsed_on"]
    last = bought.groupby("customer_id")["order_date"].max().dt.normalize()
    lapsed = lapse.dropna()
    assert len(lapsed) > 500
    assert (last.loc[lapsed.index] == lapsed).all()


def test_the_mess_of_a_shop_is_there(orders):
    share = orders["status"].value_counts(normalize=True)
    assert 0.015 < share["cancelled"] < 0.025
    assert 0.02 < share["refunded"] < 0.05
    credit = orders[orders["total"] < 0]
    assert set(credit["status"]) == {"refunded"}
    assert 0.01 < len(credit) / len(orders) < 0.03
    assert set(orders["channel"]) == {"web", "app", "marketplace"}


def test_seasons_growth_and_hours_show(orders):
    done = orders[orders["status"] == "completed"]
    by_year = done.groupby(done["order_date"].dt.year).size()
    assert by_year.is_monotonic_increasing
    last = done[done["order_date"].dt.year == 2025].groupby(done["order_date"].dt.month).size()
    assert last[11] > 1.15 * last[9]
    hours = done["order_date"].dt.hour.value_counts()
    assert hours[20] > 5 * hours[3]
    days = done["order_date"].dt.day_of_week.value_counts()
    assert days[6] > days[4]


def test_gaps_follow_their_persona(generation, docs, orders):
    """The typical days between orders of the loyal and the regular are the documented ones."""
    persona = pd.DataFrame(docs["simulation_truth"]).set_index("_id")["persona"]
    bought = orders[orders["total"] >= 0].sort_values(["customer_id", "order_date"])
    gaps = bought.groupby("customer_id")["order_date"].diff() / pd.Timedelta(days=1)
    mean = gaps.groupby(bought["customer_id"].map(persona)).mean()
    for name in ("regular", "loyal"):
        assert mean[name] == pytest.approx(generation.PERSONAS[name]["gap"], rel=0.05)


def test_a_seed_gives_one_shop_and_another_seed_another(generation):
    assert simulate(generation, 300, 1) == simulate(generation, 300, 1)
    assert simulate(generation, 300, 1)["orders"] != simulate(generation, 300, 2)["orders"]


def test_a_block_does_not_depend_on_how_many_follow(generation, docs):
    first = simulate(generation, generation.BLOCK, 7)
    assert docs["customers"][: generation.BLOCK] == first["customers"]
    assert docs["orders"][: len(first["orders"])] == first["orders"]


def test_no_email_can_reach_anybody(docs):
    assert all(doc["email"].endswith("@example.com") for doc in docs["customers"])


def test_the_demand_clock_keeps_the_years_length(generation):
    clock = generation.demand_clock(START, END)
    assert clock[0] == 0
    assert clock[-1] == pytest.approx(3 * 365 + 1)
    assert (np.diff(clock) > 0).all()


def test_a_load_that_fails_leaves_the_earlier_data(generation, db, monkeypatch):
    def broken():
        yield {"orders": [{"_id": 2, "total": 2.0}]}
        raise RuntimeError

    monkeypatch.setattr(generation, "MONGO_URI", common.MONGO_URI)
    generation.load(db, [{"orders": [{"_id": 1, "total": 1.0}]}], "first", {})
    with pytest.raises(RuntimeError):
        generation.load(db, broken(), "second", {})
    assert list(db.orders.find()) == [{"_id": 1, "total": 1.0}]
    generation.refuse_foreign_collections(db)
    generation.load(db, [{"orders": [{"_id": 3, "total": 3.0}]}], "third", {})
    assert list(db.orders.find()) == [{"_id": 3, "total": 3.0}]
    left = db.list_collection_names(filter={"name": {"$regex": common.STAGING}})
    assert len(left) == 3  # on a server, the second may still be at it: for a day
    db[common.LOADS].update_many({"staging": {"$in": left}}, {"$set": {"begun": datetime(2024, 1, 1)}})
    generation.load(db, [{"orders": [{"_id": 4, "total": 4.0}]}], "fourth", {})
    assert sorted(db.list_collection_names()) == sorted([*generation.COLLECTIONS, common.LOADS])


def test_a_look_alike_stays_wherever_it_lies(generation, db, capsys, monkeypatch):
    """Copies of our own documents and of our own note: what counts is who made the collection."""
    generation.load(db, [{"orders": [{"_id": 1}]}], "ours", {})
    ours = {name: list(db[name].find()) for name in db.list_collection_names()}
    db.drop_collection("orders")
    db["orders"].insert_many(ours["orders"])
    theirs = f"{common.STAGING}orders_of_theirs"
    db[theirs].insert_many(ours["orders"])
    assert db[common.LOADS].count_documents({"collection": "orders", "documents": 1}) == 1
    with pytest.raises(SystemExit):
        generation.refuse_foreign_collections(db)
    assert "The collection orders of the database" in capsys.readouterr().err
    assert list(db["orders"].find()) == ours["orders"]
    db.drop_collection("orders")
    monkeypatch.setattr(generation, "MONGO_URI", "")  # nobody else is there: drops what was left behind
    generation.load(db, [{"orders": [{"_id": 1}]}], "ours", {})
    assert list(db[theirs].find()) == ours["orders"]


def test_what_others_write_during_a_load_is_not_replaced(generation, db, capsys):
    generation.load(db, [{"orders": [{"_id": 1}]}], "ours", {})

    def blocks():
        yield {"orders": [{"_id": 2}]}
        db.orders.insert_one({"_id": "theirs"})

    with pytest.raises(SystemExit):
        generation.load(db, blocks(), "ours", {})
    assert "The collection orders" in capsys.readouterr().err
    assert {each["_id"] for each in db.orders.find()} == {1, "theirs"}


def small_load(n: int) -> dict[str, list[dict]]:
    return {name: [{"_id": i, "n": n} for i in range(n)] for name in ("customers", "simulation_truth", "orders")}


@pytest.mark.parametrize(
    "moment", ["drop_left_behind", "make_staging", "insert", "complete", "switch", "its check", "its note"]
)
def test_loads_beside_each_other_do_not_mix(generation, db, moment, monkeypatch, capsys):
    """Another load begins and ends just before a step of the first, or in the middle of its last ones."""
    monkeypatch.setattr(generation, "MONGO_URI", common.MONGO_URI)
    generation.load(db, iter([small_load(1)]), "old", {})
    step = {"its check": "refuse_foreign_collections", "its note": "complete"}.get(moment, moment)
    original = getattr(generation, step)

    def after_another(*args):
        monkeypatch.setattr(generation, step, original)
        if moment == "its note":
            original(*args)
        generation.load(db, iter([small_load(2)]), "another", {})
        return original(*args) if moment != "its note" else None

    monkeypatch.setattr(generation, step, after_another)
    generation.load(db, iter([small_load(3)]), "first", {})
    last = 2 if moment == "its note" else 3  # the other one ended after what made the first count
    for name in generation.COLLECTIONS:
        assert list(db[name].find(sort=[("_id", 1)])) == small_load(last)[name]
    generation.refuse_foreign_collections(db)
    assert db[common.LOADS].count_documents({}) == 3


def test_of_two_loads_that_end_at_once_one_stops(generation, db, monkeypatch, capsys):
    """Both have found the other gone before either has said that it counts."""
    monkeypatch.setattr(generation, "MONGO_URI", common.MONGO_URI)
    generation.load(db, iter([small_load(1)]), "old", {})
    original = generation.refuse_foreign_collections

    def stay(*args):
        monkeypatch.setattr(generation, "refuse_foreign_collections", original)
        with monkeypatch.context() as patch:
            patch.setattr(generation, "switch", lambda _: None)  # killed there
            generation.load(db, iter([small_load(2)]), "another", {})
        return original(*args)

    monkeypatch.setattr(generation, "refuse_foreign_collections", stay)
    with pytest.raises(SystemExit):
        generation.load(db, iter([small_load(3)]), "first", {})
    assert "Another run has loaded" in capsys.readouterr().err
    assert list(db[common.current(db, "orders")].find()) == small_load(2)["orders"]


@pytest.mark.parametrize("name", ["customers", "orders", "simulation_truth"])
def test_collections_of_another_origin_are_refused(generation, db, name, capsys):
    generation.load(db, [{"orders": [{"_id": 1}]}], "ours", {})
    db.drop_collection(name)
    db[name].insert_one({"_id": "theirs"})
    with pytest.raises(SystemExit) as stopped:
        generation.refuse_foreign_collections(db)
    assert stopped.value.code == 2
    assert f"The collection {name} " in capsys.readouterr().err
    assert db[name].count_documents({}) == 1


def test_documents_added_to_our_collection_are_of_another_origin(generation, db):
    generation.load(db, [{"orders": [{"_id": 1}]}], "ours", {})
    db.orders.insert_one({"_id": "theirs"})
    with pytest.raises(SystemExit):
        generation.refuse_foreign_collections(db)


def read_file(generation, monkeypatch, file, *options: str) -> tuple[list[dict], list[dict], dict[str, int]]:
    """What an import makes of the file: orders, customers, {reason: rows}."""
    monkeypatch.setattr("sys.argv", ["1_data_generation.py", "--import", str(file), *options])
    left_out = {}
    blocks = list(generation.import_orders(generation.arguments(), left_out))
    orders, customers = (
        [doc for block in blocks for doc in block.get(name, [])] for name in ("orders", "customers")
    )
    return orders, customers, left_out


def test_a_file_of_orders_becomes_documents(generation, tmp_path, monkeypatch):
    file = tmp_path / "orders.csv"
    file.write_text(
        "order_id,customer_id,order_date,amount,status,category,country,channel\n"
        "1,0007,2024-01-31,10.50,completed,Toys,France,web\n"
        "2,0007,2024-02-29T23:30:00+01:00,-3,refunded,Books,Spain,app\n"
        '3,"a, b",2024-02-29 08:15,0,Cancelled,,Spain,\n'
        "4,,2024-02-29 08:15,7,,,,\n"
    )
    orders, customers, left_out = read_file(generation, monkeypatch, file)
    assert orders[0] == {
        "_id": "1",
        "customer_id": "0007",
        "order_date": datetime(2024, 1, 31),
        "status": "completed",
        "channel": "web",
        "country": "France",
        "items": [{"product_id": None, "category": "Toys", "quantity": 1, "unit_price": 10.5}],
        "total": 10.5,
    }
    times = [doc["order_date"].isoformat() for doc in orders[1:3]]
    assert times == ["2024-02-29T22:30:00", "2024-02-29T08:15:00"]
    assert orders[3]["customer_id"] is None
    assert customers == [{"_id": "0007", "country": "Spain"}, {"_id": "a, b", "country": "Spain"}]
    assert left_out == {}


def test_a_time_without_an_offset_is_local(generation, tmp_path, monkeypatch):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,a,2024-01-31,5\n2,a,2024-07-31 01:00,5\n3,a,2024-07-31T01:00:00Z,5\n")
    monkeypatch.setattr(common, "REPORT_TIMEZONE", "America/New_York")
    orders, _, _ = read_file(generation, monkeypatch, file)
    times = [datetime(2024, 1, 31, 5), datetime(2024, 7, 31, 5), datetime(2024, 7, 31, 1)]
    assert [order["order_date"] for order in orders] == times


HEADER = "order_id,customer_id,order_date,amount\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("order_id,customer_id,order_date\n1,a,2024-01-01\n", "has no column amount"),
        (HEADER + "1,a,2024-01-01,5\n2,a,soon,5\n", "row 3 (unreadable order_date)"),
        (HEADER + "1,a,31/12/2024,5\n", "row 2 (order_date reads in two ways: add --dates day-first"),
        (HEADER + "1,a,2024-02-30,5\n", "row 2 (unreadable order_date)"),
        (HEADER + "1,a,9999-12-31,5\n", "row 2 (unreadable order_date)"),
        (HEADER + '1,a,2024-01-01,"1,234.5"\n', "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,nan\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,inf\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,1.2.3\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,5\n2,a,2024-01-01,5\n1,b,2024-01-02,6\n", "row 4 (order_id of another order"),
        (HEADER + "1,a,2024-01-01,5\n1,a,2024-01-01,5\n", "row 3 (exact duplicate of an order)"),
        (HEADER + ",a,2024-01-01,5\n", "row 2 (no order_id)"),
        (HEADER, "holds no order"),
        (HEADER + "1,b,2025-01-02,1,020.00\n2,a,2025-01-01,1,234.50\n", "cannot be read"),
        (HEADER + "2,a,2025-01-01,5\n1,b,2025-01-02,1,020.00\n", "cannot be read"),
        (HEADER + "2,a,2025-01-01,5\n1,b,2025-01-02\n", "cannot be read"),
        ("", "has no column order_id"),
        ("\xff\xfe\x00", "has no column order_id"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_its_row(generation, tmp_path, monkeypatch, capsys, text, says):
    file = tmp_path / "orders.csv"
    file.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        read_file(generation, monkeypatch, file)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert says in message
    assert str(file) in message
    assert message.count("\n") == 1


def test_a_few_unusable_rows_are_counted_and_many_need_a_word(generation, tmp_path, monkeypatch, capsys):
    file = tmp_path / "orders.csv"
    good = [f"{n},a,2024-01-01,5" for n in range(57)]
    file.write_text(HEADER + "\n".join([*good, "a,b,soon,5", "b,b,soon,5", "c,b,2024-01-01,five"]))
    orders, _, left_out = read_file(generation, monkeypatch, file)
    assert len(orders) == 57
    assert left_out == {"unreadable order_date": 2, "unreadable amount": 1}
    printed = capsys.readouterr().out
    assert "2 of 60 rows: unreadable order_date (row 59, 60)" in printed
    assert "1 of 60 rows: unreadable amount (row 61)" in printed

    file.write_text(HEADER + "\n".join([*good[:-1], "a,b,soon,5", "b,b,soon,5", "c,b,2024-01-01,five"]))
    with pytest.raises(SystemExit):
        read_file(generation, monkeypatch, file)
    assert "3 of 59 rows" in capsys.readouterr().err
    orders, _, left_out = read_file(generation, monkeypatch, file, "--accept-rejects")
    assert (len(orders), sum(left_out.values())) == (56, 3)


hostile = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(
        [
            "=1+1",
            "-2",
            "@x",
            "a\nb",
            "a\r\nb",
            "\r",
            '"',
            '""',
            "'; --",
            ",",
            "\\",
            "\u202ea",
            "🎉",
            "\0",
            "x" * 10_000,
        ]
    ),
)
row = st.tuples(hostile, hostile, hostile, st.datetimes(), st.floats())


@settings(max_examples=60)
@given(st.lists(row, max_size=20), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(",;\t|"))
def test_any_text_in_a_file_becomes_the_same_text_in_a_document(generation, rows, quoting, separator):
    """And what is no amount, or no date of our time, is counted; nothing else is lost, nothing is read twice."""
    rows = [("a", "b", "c", datetime(2024, 1, 1), 1.0), *rows]
    names = ["order_id", "customer_id", "channel", "country", "order_date", "amount"]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        file = Path(folder, "orders.csv")
        with file.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines, delimiter=separator, quoting=quoting)
            writer.writerow(names)
            writer.writerows(
                [n, *texts, when.isoformat(), amount] for n, (*texts, when, amount) in enumerate(rows)
            )
        orders, _, left_out = read_file(generation, patch, file, "--accept-rejects")
    expected, unusable = [], 0
    for n, (*texts, when, amount) in enumerate(rows):
        if 1900 <= when.year <= 2099 and np.isfinite(amount):
            customer, channel, country = (text.strip(" ") or None for text in texts)
            expected.append((str(n), customer, channel, country, amount))
        else:
            unusable += 1
    found = [
        (each["_id"], each["customer_id"], each["channel"], each["country"], each["total"]) for each in orders
    ]
    assert sorted(found, key=lambda each: int(each[0])) == [
        (*each[:4], pytest.approx(each[4], abs=1e-6)) for each in expected
    ]
    assert sum(left_out.values()) == unusable


@pytest.mark.parametrize(
    ("text", "options", "date"),
    [
        ("3/4/2024", ("--dates", "day-first"), datetime(2024, 4, 3)),
        ("3/4/2024", ("--dates", "month-first"), datetime(2024, 3, 4)),
        ("03.04.24 8:05", ("--dates", "day-first"), datetime(2024, 4, 3, 8, 5)),
        ("12-31-2024 8:05:09 PM", ("--dates", "month-first"), datetime(2024, 12, 31, 20, 5, 9)),
        ('"31/12/2024, 10:23"', ("--dates", "day-first"), datetime(2024, 12, 31, 10, 23)),
        ("2024-12-31 10:23:45 +0100", (), datetime(2024, 12, 31, 9, 23, 45)),
        ("2024/12/31", (), datetime(2024, 12, 31)),
        ("2024-04-03 08:05", ("--dates", "month-first"), datetime(2024, 4, 3, 8, 5)),
        ("31/12/2024", ("--dates", "month-first"), None),
        ("12/31/2024", ("--dates", "day-first"), None),
        ("3/4/2024", (), None),
    ],
)
def test_day_and_month_are_never_guessed(generation, tmp_path, monkeypatch, text, options, date):
    file = tmp_path / "orders.csv"
    file.write_text(f"{HEADER}1,a,{text},5\n")
    if date:
        assert read_file(generation, monkeypatch, file, *options)[0][0]["order_date"] == date
    else:
        with pytest.raises(SystemExit):
            read_file(generation, monkeypatch, file, *options)


@pytest.mark.parametrize(
    ("text", "options", "number"),
    [
        ("1.234,50", ("--decimal", ",", "--thousands", "."), 1234.5),
        ("-1.234.567", ("--decimal", ",", "--thousands", "."), -1234567.0),
        ("1234,5", ("--decimal", ","), 1234.5),
        ("1 234.5", ("--thousands", " "), 1234.5),
        ("1'234.5", ("--thousands", "'"), 1234.5),
        ("1,234.50", ("--thousands", ","), 1234.5),
        (".5", (), 0.5),
        ("+1e2", (), 100.0),
        ("12,34.5", ("--thousands", ","), None),
        ("1.5", ("--decimal", ",", "--thousands", "."), None),
        ("1,5", (), None),
        ("5 EUR", (), None),
    ],
)
def test_decimal_marks_and_thousands_separators(generation, tmp_path, monkeypatch, text, options, number):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER.replace(",", ";") + f"1;a;2024-01-01;{text}\n")
    if number is not None:
        assert read_file(generation, monkeypatch, file, *options)[0][0]["total"] == number
    else:
        with pytest.raises(SystemExit):
            read_file(generation, monkeypatch, file, *options)


def test_every_kind_of_file_gives_the_same_documents(generation, tmp_path, monkeypatch):
    rows = pd.DataFrame(
        {
            "Bestellung": [1, 1, 2],
            "Kunde": [17850.0, 17850.0, np.nan],
            "Datum": pd.to_datetime(["2024-01-31 10:00", "2024-01-31 10:01", "2024-02-29 00:00"]),
            "Menge": [2, -1, 3],
            "Preis": [1.5, 1.5, 10.0],
            "Gruppe": ["Bücher", "Bücher", None],
        }
    )
    rows.to_parquet(tmp_path / "a.parquet")
    rows.to_excel(tmp_path / "a.xlsx", index=False)
    text = rows.astype({"Kunde": "Int64"})
    text.to_csv(tmp_path / "a.csv", index=False, sep=";")
    text.to_csv(tmp_path / "a.csv.gz", index=False, sep="\t")
    text.to_csv(tmp_path / "latin.csv", index=False, encoding="latin-1")
    names = (
        "order_id=Bestellung,customer_id=Kunde,order_date=Datum,quantity=Menge,unit_price=Preis,category=Gruppe"
    )
    read = [
        read_file(generation, monkeypatch, tmp_path / name, "--columns", names, *options)
        for name, *options in (
            ["a.csv"],
            ["a.csv.gz"],
            ["a.parquet"],
            ["a.xlsx"],
            ["latin.csv", "--encoding", "latin-1"],
        )
    ]
    assert all(each == read[0] for each in read)
    orders, customers, left_out = read[0]
    books = {"product_id": None, "category": "Bücher", "quantity": 2.0, "unit_price": 1.5}
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("1", "17850", 3.0),
        ("1/refund", "17850", -1.5),
        ("2", None, 30.0),
    ]
    assert orders[0]["items"] == [books]
    assert customers == [{"_id": "17850", "country": None}]
    assert left_out == {}


def test_lines_scattered_over_a_file_come_together(generation, tmp_path, monkeypatch, capsys):
    file = tmp_path / "lines.csv"
    rows = [f"{n % 4_000},c{n % 4_000},2024-01-{n // 4_000 + 1:02} 10:00,1,2.5,p{n}" for n in range(20_000)]
    rows += ["0,stranger,2024-01-09,1,1,p", "1,c1,2024-01-09,1,2.5,p1", "2,c2,2024-01-09,0,1,p"]
    file.write_text("order_id,customer_id,order_date,quantity,unit_price,product_id\n" + "\n".join(rows))
    orders, _, left_out = read_file(generation, monkeypatch, file)
    assert len(orders) == 4_000
    by_id = {order["_id"]: order for order in orders}
    assert by_id["7"]["total"] == 12.5
    assert [item["product_id"] for item in by_id["7"]["items"]] == ["p7", "p4007", "p8007", "p12007", "p16007"]
    assert by_id["7"]["order_date"] == datetime(2024, 1, 1, 10)
    assert by_id["1"]["total"] == 15  # a repeated line may be meant: it is counted, and kept
    assert left_out == {"order of another customer": 1, "quantity or unit_price 0": 1, "repeated line, kept": 1}
    assert "order of another customer (row 20002)" in capsys.readouterr().out


def test_discounts_stay_in_their_order_and_returns_make_a_refund(generation, tmp_path, monkeypatch):
    file = tmp_path / "lines.csv"
    rows = ["1,a,2024-01-01,2,50", "1,,2024-01-01,1,-10", "1,a,2024-01-05,-1,50", "1,a,2024-01-05,-1,-5"]
    file.write_text("order_id,customer_id,order_date,quantity,unit_price\n" + "\n".join(rows))
    orders, _, left_out = read_file(generation, monkeypatch, file)
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("1", "a", 90),
        ("1/refund", "a", -45),
    ]
    assert [doc["order_date"].day for doc in orders] == [1, 5]
    assert left_out == {}


def test_what_an_order_says_on_any_line_counts(generation, tmp_path, monkeypatch):
    """Exports that fill an order's fields on one of its lines alone, wherever that line stands."""
    file = tmp_path / "lines.csv"
    rows = [
        "1,,2024-01-01,1,5,,",
        "1,a,2024-01-01,1,5,cancelled,EUR",
        "1,,2024-01-01,-1,5,,",
        "2,,2024-01-01,1,5,,",
    ]
    file.write_text("order_id,customer_id,order_date,quantity,unit_price,status,currency\n" + "\n".join(rows))
    orders, _, _ = read_file(generation, monkeypatch, file)
    said = [(doc["_id"], doc["customer_id"], doc["status"], doc["currency"]) for doc in orders]
    assert said == [("1", "a", "cancelled", "EUR"), ("1/refund", "a", "cancelled", "EUR"), ("2", None, None, None)]


@pytest.mark.parametrize("name", ["a[1].csv", "ab?.csv", "it's.csv", "A.CSV"])
def test_a_files_name_is_no_pattern(generation, tmp_path, monkeypatch, name):
    (tmp_path / "a1.csv").write_text(HEADER + "9,x,2024-01-01,9\n")
    (tmp_path / "ab1.csv").write_text(HEADER + "9,x,2024-01-01,9\n")
    (tmp_path / name).write_text(HEADER + "1,a,2024-01-01,5\n")
    assert [doc["_id"] for doc in read_file(generation, monkeypatch, tmp_path / name)[0]] == ["1"]


def test_columns_that_are_not_used_do_not_matter(generation, tmp_path, monkeypatch):
    """An index without a name, twins, a trailing comma, spaces in the header, a separator in quotes."""
    file = tmp_path / "orders.csv"
    file.write_text(
        '\ufeff;order_id ; customer_id;order_date;amount;note;Note;note;"a, b, c, d, e, f, g, h";\n', "utf-8"
    )
    with file.open("a") as rows:
        rows.write("0;1;a;2024-01-01;5;x;y;z;;\n;;;;;;;;;\n1;2;b;2024-01-01;6;x;y;z;;\n")
    for encoding in ("utf-8", "utf8", "utf-8-sig"):
        orders, _, left_out = read_file(generation, monkeypatch, file, "--encoding", encoding)
        assert [(doc["_id"], doc["total"]) for doc in orders] == [("1", 5), ("2", 6)]
        assert left_out == {}


def test_excel_with_ragged_and_blank_rows(generation, tmp_path, monkeypatch):
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (
        ["order_id", "customer_id", "order_date", "amount", None, None],
        ["v1.0", 1, datetime(2024, 1, 1), 5],
        [None, None, None, None, None, None, "beyond"],
        ["v1", 17850.0, datetime(2024, 1, 2, 3), 6.5],
    ):
        sheet.append(row)
    book.save(tmp_path / "a.XLSX")
    orders, _, left_out = read_file(generation, monkeypatch, tmp_path / "a.XLSX")
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("v1", "17850", 6.5),
        ("v1.0", "1", 5),
    ]
    assert left_out == {}


def test_online_retails_rules_stay_when_columns_are_added(generation, tmp_path, monkeypatch):
    file = tmp_path / "export.csv"
    file.write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "1,A,Mug,2,2010-12-01,5,7,EIRE\nC2,A,Mug,-1,2010-12-02,5,7,EIRE\nA3,B,Adjust,1,2010-12-03,99,,EIRE\n"
    )
    options = ("--columns", "category=Description", "--accept-rejects")
    orders, _, left_out = read_file(generation, monkeypatch, file, *options)
    assert [(doc["_id"], doc["status"], doc["total"]) for doc in orders] == [
        ("1", "completed", 10),
        ("C2/refund", "cancelled", -5),
    ]
    assert orders[0]["items"][0]["category"] == "Mug"
    assert left_out == {"adjustment, no sale": 1}


def test_quantity_and_price_named_go_before_an_amount_that_is_there(generation, tmp_path, monkeypatch):
    file = tmp_path / "lines.csv"
    file.write_text(
        "order_id,customer_id,order_date,qty,price,amount\n1,a,2024-01-01,1,5,5\n1,a,2024-01-01,1,6,6\n"
    )
    orders, _, _ = read_file(generation, monkeypatch, file, "--columns", "quantity=qty,unit_price=price")
    assert [doc["total"] for doc in orders] == [11]


def test_one_mark_cannot_be_both(generation, tmp_path, monkeypatch, capsys):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,a,2024-01-01,12.50\n")
    with pytest.raises(SystemExit) as stopped:
        read_file(generation, monkeypatch, file, "--thousands", ".")
    assert stopped.value.code == 2
    assert "both '.'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["broken.csv.gz", "broken.parquet", "broken.xlsx", "late.csv"])
def test_a_damaged_file_gets_a_sentence(generation, tmp_path, monkeypatch, capsys, name):
    content = gzip.compress((HEADER + "1,a,2024-01-01,5\n" * 9_000).encode())[:-20]
    if name == "late.csv":
        content = (HEADER + "1,a,2024-01-01,5\n" * 9_000 + "B\xfccher,a,2024-01-01,5\n").encode("latin-1")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        read_file(generation, monkeypatch, tmp_path / name)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert name in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("order_id=Nr", "has no column Nr among"),
        ("price=x", "--columns has 'price=x'"),
        ("order_id", "--columns has 'order_id'"),
    ],
)
def test_wrong_columns_get_a_sentence(generation, tmp_path, monkeypatch, capsys, columns, says):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,a,2024-01-01,5\n")
    with pytest.raises(SystemExit) as stopped:
        read_file(generation, monkeypatch, file, "--columns", columns)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
