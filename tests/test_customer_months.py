"""pulse/customer_months.py: each customer's months as a file, and the shop at the end of each month."""

import pandas as pd
import pytest
from conftest import make_orders

from pulse.customer_months import (
    FILE,
    early_refunds,
    guest_months,
    guest_sums,
    merge_parts,
    month_ends,
    month_rows,
    write_part,
)
from pulse.months import add_months

JANUARY = 648  # months since 1970-01: January 2024
# a: twice in January, a refund, March. b: a refund first, then February. c: cancelled. d: a refund alone.
ROWS = (
    ("a", "2024-01-20 09:00", 50.0),
    ("a", "2024-01-05 10:00", 100.25),
    ("a", "2024-02-02", -25.5, "refunded"),
    ("a", "2024-03-31 23:59", 0.0),
    ("b", "2024-01-31", -4.0, "refunded"),
    ("b", "2024-02-10", 30.0),
    ("c", "2024-02-01", 70.0, "cancelled"),
    ("d", "2024-03-01", -1.0, "refunded"),
    (None, "2024-01-07", 8.0),
    (None, "2024-02-07", -3.0, "refunded"),
)
HEADER = "customer_id,month,orders,gross_revenue,refunds,net_revenue,last_order_date\n"
WRITTEN = (
    "a,2024-01-01,2,150.25,0.0,150.25,2024-01-20\n"
    "a,2024-02-01,0,0.0,-25.5,-25.5,\n"
    "a,2024-03-01,1,0.0,0.0,0.0,2024-03-31\n"
    "b,2024-01-01,0,0.0,-4.0,-4.0,\n"
    "b,2024-02-01,1,30.0,0.0,30.0,2024-02-10\n"
    "d,2024-03-01,0,0.0,-1.0,-1.0,\n"
)


def orders_of(*rows: tuple) -> pd.DataFrame:
    """The orders with what range_sums adds; the first is from Chile."""
    orders = add_months(make_orders(*rows))
    return orders.assign(country=pd.Series(["Chile"] + [None] * (len(orders) - 1), dtype="category"))


@pytest.mark.parametrize("ranges", [[ROWS], [ROWS[7:], ROWS[4:7], ROWS[:4]]])
def test_a_row_per_customer_and_month_with_an_order_or_a_refund(tmp_path, ranges):
    for number, rows in enumerate(ranges):
        write_part(tmp_path, number, month_rows(orders_of(*rows)))
    write_part(tmp_path, 9, month_rows(orders_of(*ROWS[-2:])))  # a range of guests
    by_month = merge_parts(tmp_path, tmp_path / FILE)
    assert (tmp_path / FILE).read_text() == HEADER + WRITTEN
    assert by_month.astype({"month": "str"}).values.tolist() == [
        ["2024-01-01", 2, 150.25, -4.0, 146.25, 1],
        ["2024-02-01", 1, 30.0, -25.5, 4.5, 1],
        ["2024-03-01", 1, 0.0, -1.0, -1.0, 1],
    ]


def test_rows_come_in_the_order_of_the_ids_as_they_are_written(tmp_path):
    """Not in that of numbers, nor of the ranges; a formula's sign has ' before it. A folder's name is no pattern,
    which another folder fits too."""
    folder, other = tmp_path / "a [b]'c", tmp_path / "a b'c"
    for each in (folder, other):
        each.mkdir()
        write_part(each, 0, month_rows(orders_of(("9", "2024-01-01", 1.0), ("z", "2024-01-01", 1.0))))
    odd = ("10", "=1+1", 'x"y,z', "a\nb", "é", "Z")
    write_part(folder, 1, month_rows(orders_of(*((who, "2024-01-01", 1.0) for who in odd))))
    assert [merge_parts(each, each / FILE)["orders"].tolist() for each in (other, folder)] == [[2], [8]]
    table = pd.read_csv(folder / FILE, dtype=str)
    assert table["customer_id"].tolist() == ["'=1+1", "10", "9", "Z", "a\u240ab", 'x"y,z', "z", "é"]


def test_a_customers_months_are_in_order_whatever_that_of_the_rows(tmp_path):
    write_part(tmp_path, 0, month_rows(orders_of(*ROWS))[::-1])
    merge_parts(tmp_path, tmp_path / FILE)
    assert (tmp_path / FILE).read_text() == HEADER + WRITTEN


@pytest.mark.parametrize("who", ["'", '"', "#", "\\", "a;b", "a|b", "''", "'a'", "x" * 10_000])
def test_an_id_that_looks_like_a_csv_of_another_kind_is_read_back(tmp_path, who):
    write_part(tmp_path, 0, month_rows(orders_of((who, "2024-01-01", 1.0), (who, "2024-02-01", 2.0))))
    by_month = merge_parts(tmp_path, tmp_path / FILE)
    assert by_month["net_revenue"].tolist() == [1.0, 2.0]


def test_amounts_that_come_to_nothing_have_no_sign(tmp_path):
    write_part(tmp_path, 0, month_rows(orders_of(("a", "2024-01-01", 1.0), ("a", "2024-01-02", -0.001, "x"))))
    merge_parts(tmp_path, tmp_path / FILE)
    assert (tmp_path / FILE).read_text() == HEADER + "a,2024-01-01,1,1.0,0.0,1.0,2024-01-01\n"


def test_guests_have_months_by_country():
    rows = [(None, "2024-02-07", 8.0), ("a", "2024-01-07", 1.0), (None, "2024-01-09", 2.0), *ROWS[-1:]]
    found = guest_months(guest_sums(orders_of(*rows)))
    assert found.astype({"month": "str"}).values.tolist() == [
        ["2024-01-01", "Unknown", 1, 2.0, 0.0, 2.0],
        ["2024-02-01", "Chile", 1, 8.0, 0.0, 8.0],
        ["2024-02-01", "Unknown", 0, 0.0, -3.0, -3.0],
    ]
    assert guest_months(guest_sums(orders_of(("a", "2024-01-07", 1.0)))).empty


def test_refunds_before_a_first_order_are_counted_apart():
    found = early_refunds(month_rows(orders_of(*ROWS)))["net_revenue"]
    assert found.to_dict() == {JANUARY: -4.0, JANUARY + 2: -1.0}


@pytest.mark.parametrize("ranges", [[ROWS], [ROWS[7:], ROWS[4:7], ROWS[:4]]])
def test_the_end_of_a_month_shows_all_that_came_until_then(tmp_path, ranges):
    for number, rows in enumerate(ranges):
        write_part(tmp_path, number, month_rows(orders_of(*rows)))
    write_part(tmp_path, 9, month_rows(orders_of(*ROWS[-2:])))
    december, january, february, march = month_ends(tmp_path, range(JANUARY - 1, JANUARY + 3))
    assert (december.month, december.customers["frequency"].sum(), december.net.sum()) == (JANUARY - 1, 0, 0)

    def bought(end) -> list:
        known = end.customers.assign(net=end.net)[end.customers["frequency"] > 0]
        return sorted(map(tuple, known.astype({"first_order_date": "str", "last_order_date": "str"}).to_numpy()))

    assert bought(january) == [("2024-01-05 10:00:00", "2024-01-20 09:00:00", 2, 150.25)]
    assert bought(february) == [
        ("2024-01-05 10:00:00", "2024-01-20 09:00:00", 2, -25.5),
        ("2024-02-10 00:00:00", "2024-02-10 00:00:00", 1, 30.0),
    ]
    assert bought(march) == [
        ("2024-01-05 10:00:00", "2024-03-31 23:59:00", 3, 0.0),
        ("2024-02-10 00:00:00", "2024-02-10 00:00:00", 1, 0.0),
    ]
    (late,) = month_ends(tmp_path, range(JANUARY + 2, JANUARY + 3))  # what came before is in it
    pd.testing.assert_frame_equal(late.customers, march.customers)
