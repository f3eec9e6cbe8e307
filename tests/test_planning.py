"""pulse/planning.py: what is decided before the first order is read."""

from datetime import datetime, timedelta

import pandas as pd
import pytest
from conftest import read_all

from common import Settings, read_settings
from pulse.planning import plan_reading, range_size, refuse_quiet_end

DAY = datetime(2024, 3, 5, 12)
ORDER = {"customer_id": "a", "order_date": DAY, "total": 1.0}


def insert(db, *changes: dict) -> None:
    """Orders, each ORDER with some fields changed."""
    db.orders.insert_many([ORDER | change for change in changes])


def stops(db, capsys) -> str:
    """The sentence with which planning stops."""
    with pytest.raises(SystemExit) as stopped:
        plan_reading(db, read_settings(), None)
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_no_orders_at_all_get_a_sentence(db, capsys):
    assert "The collection orders in the database test is empty" in stops(db, capsys)


def test_numbers_and_texts_that_could_be_dates_are_none(db, capsys, monkeypatch):
    insert(db, {"order_date": 1704067200}, {"order_date": "03/04/2024"})
    assert "or say in ORDER_DATES how its texts or numbers are dates" in stops(db, capsys)
    db.orders.delete_one({"order_date": "03/04/2024"})
    monkeypatch.setenv("ORDER_DATES", "epoch-seconds")
    orders, _, reading = read_all(db)
    assert list(orders["order_date"]) == [pd.Timestamp("2024-01-01")]
    assert reading.as_of == pd.Timestamp("2024-01-02")


# --- currency and status ---


def test_as_of_is_that_of_the_chosen_currency(db, monkeypatch, capsys):
    insert(db, {"currency": "EUR"}, {"currency": "GBP", "order_date": datetime(2024, 6, 1)})
    monkeypatch.setenv("REPORT_CURRENCY", "EUR")
    assert plan_reading(db, read_settings(), None).as_of == pd.Timestamp("2024-03-06")
    monkeypatch.setenv("REPORT_CURRENCY", "USD")
    assert "No order is in the currency USD, as REPORT_CURRENCY says: they are in EUR (1), GBP (1)" in stops(
        db, capsys
    )


def test_words_that_nobody_knows_stop_the_run_unless_env_says(db, monkeypatch, capsys):
    insert(db, *[{"status": "Won"}] * 3, {"status": "paid"}, {"status": " "}, {"status": "lost", "sold": False})
    said = stops(db, capsys)
    assert "not known whether orders of these statuses are sales: won (3), (blank) (1). Say which are" in said
    assert "SOLD_STATUSES and NOT_SOLD_STATUSES of .env" in said
    monkeypatch.setenv("SOLD_STATUSES", "WON")
    monkeypatch.setenv("NOT_SOLD_STATUSES", "(blank), paid")
    orders, _, reading = read_all(db)
    assert reading.sold_words == {"won"}
    assert list(orders["completed"]) == [True] * 3 + [False] * 3


def test_words_of_another_currency_do_not_matter(db, monkeypatch):
    insert(db, {"currency": "EUR"}, {"currency": "GBP", "status": "won"})
    monkeypatch.setenv("REPORT_CURRENCY", "EUR")
    orders, _, _ = read_all(db)
    assert list(orders["status"]) == ["none"]
    assert list(orders["completed"]) == [True]


# --- odd dates ---


@pytest.mark.parametrize("n", [1, 4])
def test_orders_far_from_all_others_are_named_and_left_out(db, capsys, n):
    """Of the currency that is analysed; one whose id is an address is not shown."""
    insert(db, *[{"_id": f"usual{k}", "order_date": DAY + timedelta(k)} for k in range(800)])
    insert(db, *[{"_id": f"odd{k}", "order_date": datetime(2033, 1, k + 1), "total": 5.0} for k in range(n)])
    insert(db, {"_id": "an@address", "order_date": datetime(1999, 1, 1), "total": 7.0})
    orders, audit, reading = read_all(db)
    assert len(orders) == 800
    assert reading.as_of == pd.Timestamp("2026-05-14")
    assert audit.excluded["rows"].to_dict() == {"date far from all others": n + 1}
    assert audit.excluded["amount"].sum() == 5 * n + 7
    named = {1: "(odd0)", 4: "(odd0, odd1, ...)"}[n]
    said = f"left out {n + 1} of {801 + n} orders, over 365 days from all others {named}: --keep-odd-dates takes"
    out = capsys.readouterr().out
    assert said in out
    assert "an@address" not in out
    orders, audit, reading = read_all(db, keep_odd_dates=True)
    assert len(orders) == 801 + n
    assert audit.excluded.empty
    assert reading.as_of == pd.Timestamp(2033, 1, n + 1)
    assert "365 days" not in capsys.readouterr().out


@pytest.mark.parametrize("at", ["2062-03-01", "1931-05-05"])
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", None])
def test_odd_dates_do_not_move_as_of_whatever_they_are(db, at, form):
    """Three orders decades from 900 others, as dates and as texts; --as-of goes first."""
    days = [pd.Timestamp("2023-01-01") + pd.Timedelta(days=n) for n in range(900)] + [pd.Timestamp(at)] * 3
    insert(db, *[{"order_date": day.strftime(form) if form else day.to_pydatetime()} for day in days])
    orders, _, reading = read_all(db)
    assert (len(orders), reading.as_of) == (900, pd.Timestamp("2025-06-19"))
    refuse_quiet_end(reading)
    assert orders["order_date"].min() == pd.Timestamp("2023-01-01")
    orders, _, reading = read_all(db, pd.Timestamp("2025-01-01"))
    assert (len(orders), reading.as_of) == (731, pd.Timestamp("2025-01-01"))
    _, _, reading = read_all(db, keep_odd_dates=True)
    assert reading.as_of == pd.Timestamp("2062-03-02" if at > "2025" else "2025-06-19")


def test_a_gap_inside_a_leap_year_is_seen(db):
    """From the first day of 2024 to its last are 365 days."""
    first, last = datetime(2024, 1, 1, 8), datetime(2024, 12, 31, 9)
    insert(db, *[{"order_date": first}] * 9, {"order_date": last})
    orders, _, reading = read_all(db)
    assert (len(orders), reading.as_of) == (9, pd.Timestamp("2024-01-02"))
    db.orders.update_one({"order_date": last}, {"$set": {"order_date": datetime(2024, 12, 31, 8)}})
    assert len(read_all(db)[0]) == 10


def test_an_as_of_after_the_last_order_is_a_quiet_month_or_nothing_to_learn_from(db, capsys):
    insert(db, {})
    reading = plan_reading(db, read_settings(), pd.Timestamp("2024-03-06"))
    refuse_quiet_end(reading)
    reading = plan_reading(db, read_settings(), pd.Timestamp("2024-05-07"))
    assert reading.as_of == pd.Timestamp("2024-05-07")
    with pytest.raises(SystemExit) as stopped:
        refuse_quiet_end(reading)
    assert stopped.value.code == 2
    assert "The orders end before 2024-03-06, and --as-of can be that day at the latest" in capsys.readouterr().err


# --- customers ---


def test_addresses_need_a_key(db, capsys, monkeypatch):
    insert(db, {"customer_id": "ann@example.com"}, {"customer_id": 7})
    said = stops(db, capsys)
    assert "set CUSTOMER_KEY in .env" in said
    assert "@" not in said
    db.pulse_loads.insert_one({"_id": "customer_key", "key": "kept"})
    reading = plan_reading(db, read_settings(), None)
    assert reading.addresses
    assert reading.key == "kept"
    assert "kept" not in repr(reading)
    assert "a keyed hash in place of each" in capsys.readouterr().out


# --- ranges ---


@pytest.mark.parametrize(
    ("orders", "lines", "workers", "size"),
    [
        (1_000_000, 3_000_000, "4", 1_000_000),  # all of them, in one range
        (1_000_001, 2_000_000, "4", 250_000),  # four processes hold a million together
        (1_000_001, 0, "1", 1_000_000),
        (600_000, 9_000_000, "1", 200_000),  # 15 lines each take as much memory as five orders
        (1_000_001, 0, "0", 1_000_000),  # no number of processes, as whoever starts them says
        (1_000_001, 0, "tcp://host:1", 1_000_000),  # each worker of a cluster has memory of its own
    ],
)
def test_all_processes_together_hold_a_number_of_orders(orders, lines, workers, size):
    assert range_size(orders, lines, Settings(workers=workers)) == size


def test_the_lines_of_orders_are_counted_where_they_are_read(db, settings, monkeypatch):
    insert(db, *({"_id": n, "customer_id": f"c{n}", "items": [{}] * 30} for n in range(40)), {"items": "none"})
    monkeypatch.setenv("RANGE_ORDERS", "50")
    found = [len(plan_reading(db, read_settings(), None, items=items).ranges) for items in (False, True)]
    assert found[0] == 1
    assert found[1] > 5
