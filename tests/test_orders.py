"""pulse/orders.py: every type of id, amount and time that MongoDB may hold, and what counts as revenue."""

from datetime import datetime, timedelta

import pandas as pd
import pytest
from bson import Decimal128, Int64, ObjectId
from conftest import make_orders, read_all

from common import read_settings
from pulse.identity import hash_address
from pulse.orders import add_audits, read_customers, read_range
from pulse.planning import plan_reading

DAY = datetime(2024, 3, 5, 12)


def test_ids_and_amounts_of_every_type_are_read(db):
    oid = ObjectId()
    db.orders.insert_many(
        [
            {"customer_id": 7, "order_date": DAY, "total": 10, "status": "completed"},
            {"customer_id": "0007", "order_date": DAY, "total": 1.5, "status": "Cancelled"},
            {"customer_id": oid, "order_date": DAY, "total": Decimal128("2.25"), "status": "paid"},
            {"customer_id": Int64(2**40), "order_date": DAY, "total": Int64(-3), "status": "completed"},
        ]
    )
    orders, audit, reading = read_all(db)
    assert list(orders["customer_id"]) == ["7", "0007", str(oid), str(2**40)]
    assert list(orders["amount"]) == [10.0, 1.5, 2.25, -3.0]
    assert list(orders["completed"]) == [True, False, True, False]
    assert reading.as_of == pd.Timestamp("2024-03-06")
    assert audit.excluded["rows"].sum() == 0


def test_amounts_are_rounded_half_up_from_their_text_to_their_currency(db, monkeypatch):
    amounts = [1.005, Decimal128("1.005"), -1.005, Decimal128("2.675"), 0.1 + 0.2, 3, Int64(4), "1.115", 1.25]
    for currency in ("EUR", "kwd", "JPY", None):
        rows = [{"customer_id": "a", "order_date": DAY, "total": x, "currency": currency} for x in amounts]
        db.orders.insert_many(rows)
    finer = [True] * 4 + [False] * 3
    expected = {
        "EUR": ([1.01, 1.01, -1.01, 2.68, 0.3, 3, 4, 1.12, 1.25], [*finer, True, False]),
        "KWD": ([1.005, 1.005, -1.005, 2.675, 0.3, 3, 4, 1.115, 1.25], [False] * 9),
        "JPY": ([1, 1, -1, 3, 0, 3, 4, 1, 1], [True] * 5 + [False] * 2 + [True] * 2),
        "none": ([1.01, 1.01, -1.01, 2.68, 0.3, 3, 4, 1.12, 1.25], [*finer, True, False]),
    }
    for currency, (rounded, is_finer) in expected.items():
        monkeypatch.setenv("REPORT_CURRENCY", currency)
        orders, audit, _ = read_all(db)
        assert orders["amount"].tolist() == rounded, currency
        assert orders["finer"].tolist() == is_finer, currency
        assert audit.excluded.loc["in another currency", "rows"] == 27


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
            *({"customer_id": "NULL", "order_date": DAY, "total": 0.5} for _ in range(80)),
        ]
    )
    orders, audit, _ = read_all(db, pd.Timestamp("2024-03-06"))
    assert list(orders["amount"])[:3] == [1.0, 2.0, 3.0]
    assert list(orders["customer_id"].isna()) == [False] + [True] * 82  # guests
    assert audit.orders == 83
    assert audit.excluded["rows"].to_dict() == {
        "no readable order_date": 1,
        "no readable total": 3,
        "on or after as_of": 1,
    }
    assert list(audit.excluded["amount"]) == [4.0, 0.0, 6.0]  # what is no number adds nothing


def test_a_date_outside_1900_to_2100_is_an_error(db):
    days = [datetime(1899, 12, 31, 23), datetime(1900, 1, 1), datetime(2099, 12, 31, 23), datetime(2100, 1, 1)]
    days += [datetime(1970, 1, 1), *[datetime(1970, 1, 1, 0, 0, 1)] * 60]
    db.orders.insert_many([{"customer_id": "a", "order_date": day, "total": 1.0} for day in days])
    orders, audit, reading = read_all(db, keep_odd_dates=True)
    assert list(orders["order_date"]) == [*days[1:3], *days[5:]]
    assert reading.as_of == pd.Timestamp("2100-01-01")
    assert audit.excluded["rows"].to_dict() == {"no readable order_date": 3}


@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"customer_id": None, "order_date": DAY, "total": 1.0}, "No completed order of a customer"),
        (
            {"customer_id": "a", "order_date": DAY, "total": "one"},
            "1 others no readable total (field total), over 5%",
        ),
        ({"customer_id": "a", "order_date": DAY, "total": 1.0, "status": "wc-Failed"}, "No completed order of a"),
        ({"customer_id": "a", "order_date": "yesterday", "total": 1.0}, "has a date in the field order_date"),
    ],
)
def test_orders_of_which_none_can_be_used_get_a_sentence(db, capsys, order, says):
    db.orders.insert_one(order)
    with pytest.raises(SystemExit) as stopped:
        read_all(db)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_where_nobody_completed_an_order_the_sentence_says_what_there_is(db, capsys):
    """By status, each range of customers by itself."""
    row = {"customer_id": "a", "order_date": DAY, "total": 1.0}
    statuses = [*["cancelled"] * 30, *["voided"] * 20, *["paid"] * 3]
    orders = [row | {"customer_id": f"c{n}", "status": status} for n, status in enumerate(statuses)]
    orders[50:] = [order | {"customer_id": None} for order in orders[50:]]
    late = {"order_date": DAY + timedelta(days=2), "status": "paid"}
    db.orders.insert_many(
        [*orders, row | {"total": -2.0, "status": "paid"}, row | late, row | {"total": "?", "status": "paid"}]
    )
    with pytest.raises(SystemExit):
        read_all(db, pd.Timestamp(DAY) + pd.Timedelta(days=1))
    said = capsys.readouterr().err
    what = "1 below 0; 30 not sold: cancelled; 20 not sold: voided; 3 of guests"
    left_out = "1 left out, no readable total; 1 left out, on or after as_of"
    assert f"in test ({what}; {left_out}): check --as-of, REPORT_CURRENCY" in said


@pytest.mark.parametrize("total", [1e15, -1e15, 1e300, -1e308])
def test_an_amount_that_leaves_no_digit_for_cents_is_none(db, total):
    """It would be all that totals show."""
    row = {"customer_id": "a", "order_date": DAY}
    db.orders.insert_many([row | {"total": total}, *(row | {"total": 9.9e14} for _ in range(30))])
    orders, audit, _ = read_all(db)
    assert (orders["amount"] == 9.9e14).all()
    assert audit.excluded["rows"].to_dict() == {"no readable total": 1}


def test_several_currencies_are_refused_or_one_is_chosen(db, monkeypatch, capsys):
    for currency, total in (("EUR", 1.0), ("gbp", 2.0), ("GBP", 3.0)):
        db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": total, "currency": currency})
    with pytest.raises(SystemExit) as stopped:
        read_all(db)
    assert stopped.value.code == 2
    assert "GBP (2), EUR (1): choose one with REPORT_CURRENCY" in capsys.readouterr().err
    monkeypatch.setenv("REPORT_CURRENCY", "gbp")
    orders, audit, _ = read_all(db)
    assert list(orders["amount"]) == [2.0, 3.0]
    assert audit.excluded.reset_index().to_dict("records") == [
        {"check": "in another currency", "rows": 1, "amount": 1.0}
    ]


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
    monkeypatch.setenv("ORDERS_COLLECTION", "sales")
    monkeypatch.setenv("CUSTOMERS_COLLECTION", "people")
    mapping = "customer_id=buyer.id, order_date=at, total=paid.sum, status=state, items=lines"
    monkeypatch.setenv("ORDER_FIELDS", mapping + ", category=group, quantity=n, unit_price=each")
    monkeypatch.setenv("CUSTOMER_FIELDS", "customer_id=ref, country=address.land, signup_date=since")
    orders, _, reading = read_all(db, items=True)
    assert list(orders["customer_id"]) == [str(buyer)] * 2
    assert list(orders["amount"]) == [3.0, 4.0]
    assert list(orders["completed"]) == [False, True]
    assert orders["items"][0] == [{"category": "Toys", "quantity": 2.0, "unit_price": 1.5}]
    customers = read_customers(db, read_settings(), reading)
    assert customers[["customer_id", "country"]].to_dict("records") == [
        {"customer_id": str(buyer), "country": "Chile"}
    ]
    assert customers["signup_date"][0] == pd.Timestamp("2024-01-02")


def test_a_field_that_is_none_of_ours_is_refused(db, monkeypatch, capsys):
    monkeypatch.setenv("ORDER_FIELDS", "price=paid")
    with pytest.raises(SystemExit) as stopped:
        read_all(db)
    assert stopped.value.code == 2
    assert "ORDER_FIELDS has 'price=paid'" in capsys.readouterr().err


def test_report_timezone_decides_the_day(db, monkeypatch):
    db.orders.insert_one({"customer_id": "a", "order_date": datetime(2024, 1, 31, 12), "total": 1.0})
    monkeypatch.setenv("REPORT_TIMEZONE", "Pacific/Auckland")
    orders, _, reading = read_all(db)
    assert orders["order_date"][0] == pd.Timestamp("2024-02-01 01:00")
    assert reading.as_of == pd.Timestamp("2024-02-02")


def test_items_come_as_lists(db):
    line = {"product_id": "P1", "category": "Toys", "quantity": 2, "unit_price": Decimal128("1.50")}
    db.orders.insert_many(
        [
            {"customer_id": "a", "order_date": DAY, "total": 3.0, "channel": "web", "items": [line, {}]},
            {"customer_id": "a", "order_date": DAY, "total": 3.0},
        ]
    )
    orders, _, _ = read_all(db, items=True)
    assert list(orders["items"].list.len()) == [2, 0]
    first = orders["items"].list.flatten().iloc[0]
    assert first == {"category": "Toys", "quantity": 2.0, "unit_price": 1.5}


def test_completed_gross_refund_and_net():
    no_sales = ("cancelled", "voided", "failed", "refunded")
    rows = [
        ("a", "2024-01-01", amount, status) for status in ("shipped", *no_sales) for amount in (8.0, 0.0, -3.0)
    ]
    orders = make_orders(*rows)
    assert list(orders["completed"]) == [True, True, False] + [False] * 3 * len(no_sales)
    assert list(orders["gross"]) == [8.0, 0.0, 0.0] + [0.0] * 3 * len(no_sales)
    assert list(orders["refund"]) == [0.0, 0.0, -3.0] * (1 + len(no_sales))
    assert list(orders["net"]) == [8.0, 0.0, -3.0] + [0.0, 0.0, -3.0] * len(no_sales)


def test_statuses_and_missing_texts_have_one_spelling(db, monkeypatch):
    statuses = ["wc-Completed", " completed ", None, "", "WC-Failed", "Refunded"]
    db.orders.insert_many(
        [{"customer_id": "a", "order_date": DAY, "total": 1.0, "status": status} for status in statuses]
    )
    monkeypatch.setenv("SOLD_STATUSES", "(blank)")
    orders, _, _ = read_all(db)
    assert list(orders["status"]) == ["completed", "completed", "(blank)", "(blank)", "failed", "refunded"]
    assert list(orders["status"].cat.categories) == ["(blank)", "completed", "failed", "refunded"]
    assert list(orders["completed"]) == [True] * 4 + [False] * 2


def test_sold_decides_where_it_is_a_boolean(db):
    """And the status where it is not; a negative amount of what was not sold is no refund."""
    rows = [("paid", False, 1.0), ("failed", True, 2.0), ("refunded", True, -3.0), ("refunded", False, -4.0)]
    rows += [("paid", "no", 5.0), ("failed", None, 6.0), ("failed", None, -7.0)]
    db.orders.insert_many(
        [{"customer_id": "a", "order_date": DAY, "status": word, "sold": sold, "total": amount}
         for word, sold, amount in rows]
    )  # fmt: skip
    for sold in ("no", None):  # converted by the server, and read as it is
        db.orders.update_one({"total": 5.0}, {"$set": {"sold": sold}})
        orders, _, _ = read_all(db)
        assert list(orders["gross"]) == [0, 2, 0, 0, 5, 0, 0]
        assert list(orders["refund"]) == [0, 0, -3, 0, 0, 0, -7]
        assert "sold" not in orders


def test_a_boolean_can_be_the_status(db, monkeypatch):
    """A Node shop's documents: the paid ones count."""
    item = {"qty": 2, "price": 5.0}
    buyer = ObjectId()
    db.orders.insert_many(
        [{"user": who, "orderItems": [item], "totalPrice": 10.0, "isPaid": paid, "createdAt": DAY}
         for who, paid in ((buyer, True), (None, True), (buyer, False))]
    )  # fmt: skip
    fields = "customer_id=user, items=orderItems, quantity=qty, unit_price=price, total=totalPrice"
    monkeypatch.setenv("ORDER_FIELDS", f"{fields}, status=isPaid, order_date=createdAt")
    orders, _, _ = read_all(db, items=True)
    assert list(orders["customer_id"].astype(object).fillna("guest")) == [str(buyer), "guest", str(buyer)]
    assert list(orders["gross"]) == [10.0, 10.0, 0.0]
    assert list(orders["status"]) == ["true", "true", "false"]


def test_amounts_in_cents_are_in_the_currencys_smallest_unit(db, monkeypatch, capsys):
    monkeypatch.setenv("ORDER_AMOUNTS", "cents")
    for currency, amount in (("EUR", 19.99), ("JPY", 1999.0), (None, 19.99)):
        db.orders.drop()
        db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1999, "currency": currency})
        assert list(read_all(db)[0]["amount"]) == [amount]
    monkeypatch.setenv("ORDER_AMOUNTS", "pence")
    with pytest.raises(SystemExit):
        read_all(db)
    assert "ORDER_AMOUNTS=pence is not cents" in capsys.readouterr().err


@pytest.mark.parametrize(("bad", "stops"), [(5, False), (6, True)])
def test_over_a_twentieth_that_cannot_be_read_stops_the_run(db, monkeypatch, capsys, bad, stops):
    """Of the currency that is analysed: the pounds are no concern."""
    good = [{"customer_id": "a", "order_date": DAY, "total": 1.0, "currency": "EUR"}] * (100 - bad)
    dates = [{"customer_id": "a", "order_date": "03/04/2024", "total": 1.0, "currency": "EUR"}] * (bad - 1)
    pounds = [{"customer_id": "a", "order_date": None, "total": 1.0, "currency": "GBP"}] * 50
    total = {"customer_id": "a", "order_date": DAY, "total": "?", "currency": "EUR"}
    db.orders.insert_many([dict(row) for row in (*good, *dates, *pounds, total)])
    monkeypatch.setenv("REPORT_CURRENCY", "EUR")
    if not stops:
        assert read_all(db)[1].excluded["rows"].to_dict() == {
            "in another currency": 50,
            "no readable order_date": 4,
            "no readable total": 1,
        }
        return
    with pytest.raises(SystemExit) as stopped:
        read_all(db)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "Of 100 orders, 5 have no readable date (field order_date) and 1 others no readable total" in error
    assert "ORDER_FIELDS" in error
    assert "ORDER_DATES" in error


def test_make_orders_looks_like_read_range(db):
    """The hand-written frames of the other tests have the columns of the real ones."""
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0, "status": "completed"})
    orders, _, _ = read_all(db)
    made = make_orders(("a", "2024-03-05 12:00", 1.0))
    assert sorted(orders) == sorted(made)
    for name in orders:
        assert list(orders[name]) == list(made[name]), name
        assert (orders[name].dtype == "category") == (made[name].dtype == "category"), name


# --- the audit ---


def test_equal_orders_have_an_equal_fingerprint_in_any_order(db, settings):
    rows = [{"customer_id": str(n), "order_date": DAY, "total": float(n), "status": "paid"} for n in range(20)]
    found = []
    for collection in (rows, rows[::-1], [*rows[:-1], rows[-1] | {"total": 1.5}], rows[:-1]):
        db.orders.drop()
        db.orders.insert_many([dict(row) for row in collection])
        found.append(read_all(db)[1].fingerprint)
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_the_audits_of_two_ranges_add_up(db, settings):
    db.orders.insert_many(
        [
            {"customer_id": who, "order_date": when, "total": 2.0}
            for who, when in [("a", DAY), ("b", DAY), ("b", "?"), ("c", "?"), ("c", DAY)] + [("a", DAY)] * 40
        ]
    )
    reading = plan_reading(db, settings, None)
    filters = ({}, {"customer_id": "a"}, {"customer_id": {"$ne": "a"}})
    whole, *parts = (read_range(db, reading, where)[1] for where in filters)
    together = add_audits(parts, reading, settings)
    assert (together.orders, together.fingerprint) == (whole.orders, whole.fingerprint) == (43, whole.fingerprint)
    assert (
        together.excluded.to_dict()
        == whole.excluded.to_dict()
        == {
            "rows": {"no readable order_date": 2},
            "amount": {"no readable order_date": 4.0},
        }
    )


def test_a_fingerprint_stays_below_2_to_the_64(db, settings):
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0})
    reading = plan_reading(db, settings, None)
    _, audit = read_range(db, reading, {})
    large = audit._replace(fingerprint=2**64 - 1)
    assert add_audits([large, large], reading, settings).fingerprint == 2**64 - 2


# --- customers ---


def customers_of(db) -> pd.DataFrame:
    """The customers, beside an order."""
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0})
    return read_customers(db, read_settings(), plan_reading(db, read_settings(), None))


def test_customers_without_an_id_or_a_sign_up_do_not_move_the_others(db, monkeypatch):
    day = datetime(2024, 1, 1)
    db.customers.insert_many([{"ref": 1, "signup_date": day}, {"ref": "2"}, {"name": "x"}, {"ref": "NULL"}])
    monkeypatch.setenv("CUSTOMER_FIELDS", "customer_id=ref")
    monkeypatch.setenv("REPORT_TIMEZONE", "America/New_York")
    customers = customers_of(db)
    assert list(customers["customer_id"]) == ["1", "2"]
    assert customers["signup_date"][0] == pd.Timestamp("2024-01-01")


def test_sign_ups_that_are_times_are_days_of_the_reports_time_zone(db, monkeypatch):
    db.customers.insert_many(
        [{"_id": 1, "signup_date": datetime(2024, 1, 1, 3)}, {"_id": 2, "signup_date": datetime(2024, 1, 1)}]
    )
    monkeypatch.setenv("REPORT_TIMEZONE", "America/New_York")
    customers = customers_of(db)
    assert list(customers["signup_date"]) == [pd.Timestamp("2023-12-31")] * 2


def test_two_customers_of_one_id_get_a_sentence(db, capsys):
    db.customers.insert_many([{"_id": 7}, {"_id": "7"}])
    with pytest.raises(SystemExit) as stopped:
        customers_of(db)
    assert stopped.value.code == 2
    assert "Two documents in customers have one customer id (as text)" in capsys.readouterr().err


def test_an_address_is_one_hash_in_orders_and_customers(db, monkeypatch, capsys):
    monkeypatch.setenv("CUSTOMER_KEY", "k")
    orders = ["Ann@Example.com", " ann@example.com", "bob"]
    db.orders.insert_many([{"customer_id": who, "order_date": DAY, "total": 1.0} for who in orders])
    day = datetime(2024, 1, 2)
    db.customers.insert_many(
        [{"_id": "ANN@example.com", "country": "late", "signup_date": day.replace(day=3)}, {"_id": "bob"},
         {"_id": "ann@example.com", "country": "early", "signup_date": day}]
    )  # fmt: skip
    found, _, reading = read_all(db)
    customers = read_customers(db, read_settings(), reading).set_index("customer_id")
    ann = hash_address("ann@example.com", "k")
    assert list(found["customer_id"]) == [ann, ann, "bob"]
    assert sorted(customers.index) == sorted([ann, "bob"])
    assert customers.loc[ann, "country"] == "early"
    said = capsys.readouterr().out
    assert said.count("customer ids are addresses: the tables show a keyed hash in place of each") == 1
    assert "1 documents in customers have the address of another" in said
    assert "@" not in said + repr(reading)


def test_addresses_in_customers_alone_are_hashed_too(db, monkeypatch, capsys):
    db.customers.insert_one({"_id": "ann@example.com"})
    with pytest.raises(SystemExit):
        customers_of(db)
    assert "set CUSTOMER_KEY" in capsys.readouterr().err
    monkeypatch.setenv("CUSTOMER_KEY", "k")
    assert list(customers_of(db)["customer_id"]) == [hash_address("ann@example.com", "k")]
    assert "a keyed hash in place of each" in capsys.readouterr().out


def test_orders_that_name_no_currency_can_be_the_chosen_ones(db, monkeypatch):
    for currency, total in (("EUR", 1.0), (None, 2.0)):
        db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": total, "currency": currency})
    monkeypatch.setenv("REPORT_CURRENCY", "none")
    orders, _, _ = read_all(db)
    assert list(orders["amount"]) == [2.0]
