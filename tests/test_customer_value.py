"""What each customer is expected to bring in a year: the table, its intervals, and the test it stood."""

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, HORIZON, make_orders

from common import Settings
from pulse.customer_value import customer_value, like_others, report_value
from pulse.features import YEAR, History, combine_histories, features, snapshots


@pytest.fixture(scope="module")
def orders(generation) -> pd.DataFrame:
    """Of a simulated shop, three years of them before AS_OF."""
    blocks = generation.simulate(500, pd.Timestamp("2022-01-01"), pd.Timestamp("2024-12-31"), seed=5)
    documents = [document for block in blocks for document in block["orders"]]
    return make_orders(*((d["customer_id"], d["order_date"], d["total"], d["status"]) for d in documents))


def history_of(orders: pd.DataFrame) -> History:
    return combine_histories([snapshots(orders, AS_OF, HORIZON, 1.0)], Settings())


def value_of(orders: pd.DataFrame, places: int = 2) -> tuple:
    """The table and the test, from these orders."""
    history = history_of(orders)
    return customer_value(history, features(history.snapshots[AS_OF], AS_OF, HORIZON), AS_OF, HORIZON, places)


def test_customers_bring_about_what_was_expected(orders):
    """Of a year that the tested model has not seen."""
    values, test = value_of(orders)
    assert test.cutoff == AS_OF - YEAR
    assert abs(test.total) < 0.15
    assert 0.7 < test.inside < 0.95
    assert test.rank > 0.7
    assert values["customer_id"].is_unique
    assert sorted(values["customer_id"]) == sorted(orders.loc[orders["completed"], "customer_id"].unique())
    assert values["expected_value"].is_monotonic_decreasing
    assert (values["orders_low"] <= values["orders_high"]).all()
    assert (values["value_low"] <= values["value_high"]).all()
    known = values[values["value_high"] > 0]
    inside = known["expected_value"].between(known["value_low"], known["value_high"])
    assert inside.mean() > 0.95


def test_the_test_sees_nothing_of_its_year(orders):
    """The expectation for the year before AS_OF does not hang on what it brought."""
    _, usual = value_of(orders)
    later = orders["order_date"] >= AS_OF - YEAR
    more = orders.assign(net=orders["net"] * np.where(later, 2, 1))
    _, doubled = value_of(more)
    assert 1 + doubled.total == pytest.approx((1 + usual.total) / 2, rel=1e-6)
    assert doubled.rank == pytest.approx(usual.rank)


def test_expectations_are_those_of_like_customers():
    predicted, step = np.repeat([1.0, 4.0], 51), np.arange(51)
    actual = np.r_[step / 25, step / 5]  # 0 to 2, and 0 to 10
    expected, low, high = like_others(predicted, actual, actual, np.array([1.0, 4.0, 2.0, 8.0]))
    assert expected[:2] == pytest.approx([1, 5])
    assert low[:2] == pytest.approx([0.2, 1])
    assert high[:2] == pytest.approx([1.8, 9])
    assert expected[2] == pytest.approx(2 * (1 + 5 / 4) / 2)  # half way, by the logarithm
    assert expected[3] == pytest.approx(8 * 5 / 4)  # beyond: in proportion


@pytest.mark.parametrize("lacking", ["time", "buyers", "revenue"])
def test_a_shop_that_cannot_be_tested_gets_no_values(orders, lacking, capsys):
    start = AS_OF - 2 * YEAR
    if lacking == "time":
        orders = orders[orders["order_date"] >= start - HORIZON + pd.Timedelta(days=1)]
    elif lacking == "buyers":
        few = orders["customer_id"].cat.codes < 40
        orders = orders[few]
    else:
        orders = orders.assign(net=0.0)
    values, test = value_of(orders)
    assert test is None
    assert values.empty
    assert list(values.columns)[:3] == ["customer_id", "as_of", "expected_orders"]
    report_value(values, test)
    said = capsys.readouterr().out.splitlines()
    assert "two years and a horizon" in said[0]
    assert "50 customers who pay in each year" in said[1]
    assert max(map(len, said)) <= 80


def test_one_huge_refund_leaves_others_values_as_they_are(orders):
    usual, _ = value_of(orders)
    earliest = orders.loc[orders["order_date"].idxmin(), "customer_id"]
    refund = make_orders((earliest, "2024-10-01", -9e6, "refunded"))
    refund["customer_id"] = refund["customer_id"].astype(orders["customer_id"].dtype)
    with_it, test = value_of(pd.concat([orders, refund], ignore_index=True))
    assert np.isnan(test.total)  # of a year below 0
    assert with_it["expected_value"].sum() == pytest.approx(usual["expected_value"].sum(), rel=0.11)


def test_amounts_have_the_decimals_of_the_currency(orders):
    values, _ = value_of(orders, places=0)
    amounts = values[["expected_value", "value_low", "value_high"]]
    assert (amounts == amounts.round()).all(axis=None)


def test_the_report(orders, capsys):
    values, test = value_of(orders)
    report_value(values, test)
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0] == f"Value     {values['expected_value'].sum():,.0f} net revenue of today's customers in 365 days"
    )
    assert lines[1].startswith(f"          made at 2024-01-02: off by {test.total:+.1%}, rank correlation 0.")
    assert lines[2].endswith("of customers lay within their range, meant to hold 80%")
