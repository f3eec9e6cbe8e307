"""Step 2 on hand-written customers whose figures can be checked by eye."""

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bson import Decimal128
from conftest import environment, make_orders
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pymongo import MongoClient

from pulse.columns import ARROW
from pulse.loads import Source, load

AS_OF = pd.Timestamp("2024-04-16")  # cuts April

# a: January, January again, March; refund in April. b: February. c: only cancelled. d: a refund first.
ROWS = (
    ("a", "2024-01-05 10:00", 100.0),
    ("a", "2024-01-20 10:00", 50.0),
    ("a", "2024-03-01 00:00", 25.5),
    ("a", "2024-04-02 09:00", -25.5, "refunded"),
    ("b", "2024-02-29 23:59", 10.0),
    ("c", "2024-02-01 10:00", 70.0, "cancelled"),
    ("d", "2024-01-31 10:00", -4.0, "refunded"),
    ("d", "2024-02-10 10:00", 30.0),
    ("d", "2024-04-15 23:59", 0.0),
)


NOBODYS_HOME = pd.Series(index=pd.Index([], dtype="str"), dtype="category")


def with_items(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with the columns that the drivers need: nothing is known of them."""
    nothing = pd.Series(index=orders.index, dtype="category")
    items = pd.Series([[]] * len(orders), dtype=pd.ArrowDtype(ARROW["items"]))
    return orders.assign(country=nothing, channel=nothing, items=items)


@pytest.fixture
def orders(analysis):
    return analysis.add_months(make_orders(*ROWS))


def months(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


def test_rfm_of_four_customers(analysis, orders):
    rfm = analysis.rfm_analysis(analysis.customer_sums(orders), AS_OF)
    expected = pd.DataFrame(
        {
            "recency_days": [46, 47, 1],  # whole calendar days, whatever the hour
            "frequency": [3, 1, 2],
            "monetary": [150.0, 10.0, 26.0],  # refunds count in money, never as an order
            "r_score": [4, 2, 5],
            "f_score": [4, 1, 2],
            "m_score": [4, 1, 2],
            "rfm_score": [444, 211, 522],
            "segment": ["Loyal Customers", "Hibernating", "Potential Loyalists"],
        },
        index=pd.Index(["a", "b", "d"], name="customer_id"),
    )
    assert_frame_equal(rfm[list(expected)], expected, check_dtype=False)
    assert rfm.loc["a", "first_order_date"] == pd.Timestamp("2024-01-05 10:00")
    assert rfm.loc["a", "last_order_date"] == pd.Timestamp("2024-03-01")


def test_rfm_of_a_month_before_sees_nothing_of_the_month(analysis, orders):
    sums = analysis.order_sums(with_items(orders), pd.Timestamp("2024-04-01"), NOBODYS_HOME)
    earlier = sums["customers_before"]
    before = analysis.rfm_analysis(earlier, pd.Timestamp("2024-03-01"))
    assert before.loc["a", ["frequency", "monetary", "recency_days"]].tolist() == [2, 150.0, 41]
    assert before.loc["d", "frequency"] == 1


def test_cohorts_of_four_customers(analysis, orders):
    expected = pd.DataFrame(
        [
            ("2024-01-01", 0, "2024-01-01", 1, 1, 1.0, 2, 150.0, 150.0, "complete"),
            ("2024-01-01", 1, "2024-02-01", 1, 0, 0.0, 0, 0.0, 150.0, "complete"),
            ("2024-01-01", 2, "2024-03-01", 1, 1, 1.0, 1, 25.5, 175.5, "complete"),
            ("2024-01-01", 3, "2024-04-01", 1, 0, 0.0, 0, -25.5, 150.0, "in_progress"),
            ("2024-02-01", 0, "2024-02-01", 2, 2, 1.0, 2, 36.0, 18.0, "complete"),
            ("2024-02-01", 1, "2024-03-01", 2, 0, 0.0, 0, 0.0, 18.0, "complete"),
            ("2024-02-01", 2, "2024-04-01", 2, 1, 0.5, 1, 0.0, 18.0, "in_progress"),
        ],
        columns=[
            *("cohort_month", "months_since_first", "activity_month", "cohort_size", "active_customers"),
            *("retention_rate", "orders", "net_revenue", "cumulative_revenue_per_customer", "cell_state"),
        ],
    )
    for column in ("cohort_month", "activity_month"):
        expected[column] = months(*expected[column])
    assert_frame_equal(analysis.cohort_retention(analysis.cohort_sums(orders), AS_OF), expected, check_dtype=False)


def test_a_month_that_has_just_ended_is_complete_and_the_next_has_no_row(analysis, orders):
    as_of = pd.Timestamp("2024-05-01")
    cohorts = analysis.cohort_retention(analysis.cohort_sums(orders), as_of)
    assert cohorts["activity_month"].max() == pd.Timestamp("2024-04-01")
    assert set(cohorts["cell_state"]) == {"complete"}
    assert analysis.monthly_kpis(analysis.month_sums(orders), as_of)["is_complete"].all()


def test_monthly_kpis_of_four_customers_and_a_guest(analysis):
    guest = ((None, "2024-02-14", 5.0), (None, "2024-03-14", -2.0, "refunded"))
    orders = analysis.add_months(make_orders(*ROWS, *guest))
    expected = pd.DataFrame(
        [
            ("2024-01-01", 150.0, -4.0, 146.0, 2, 1, 1, 0, 0, 0.0, 75.0, 146.0, True),
            ("2024-02-01", 45.0, 0.0, 45.0, 3, 2, 2, 0, 1, 5.0, 15.0, 20.0, True),
            ("2024-03-01", 25.5, -2.0, 23.5, 1, 1, 0, 1, 0, -2.0, 25.5, 25.5, True),
            ("2024-04-01", 0.0, -25.5, -25.5, 1, 1, 0, 1, 0, 0.0, 0.0, -25.5, False),
        ],
        columns=[
            *("month", "gross_revenue", "refunds", "net_revenue", "orders", "active_customers"),
            *("new_customers", "returning_customers", "guest_orders", "guest_revenue"),
            *("average_order_value", "revenue_per_customer", "is_complete"),
        ],
    )
    expected["month"] = months(*expected["month"])
    found = analysis.monthly_kpis(analysis.month_sums(orders), AS_OF).reset_index(drop=True)
    assert_frame_equal(found, expected, check_dtype=False)
    without = analysis.add_months(make_orders(*ROWS))
    assert_frame_equal(
        analysis.cohort_retention(analysis.cohort_sums(orders), AS_OF),
        analysis.cohort_retention(analysis.cohort_sums(without), AS_OF),
    )
    assert_frame_equal(
        analysis.rfm_analysis(analysis.customer_sums(orders), AS_OF),
        analysis.rfm_analysis(analysis.customer_sums(without), AS_OF),
    )


def test_a_month_without_orders_is_a_row_of_zeros_and_blanks(analysis):
    orders = analysis.add_months(make_orders(("a", "2024-01-05", 10.0), ("a", "2024-03-05", 10.0)))
    february = analysis.monthly_kpis(analysis.month_sums(orders), pd.Timestamp("2024-03-06")).iloc[1]
    assert (february["orders"], february["net_revenue"], february["active_customers"]) == (0, 0, 0)
    assert np.isnan(february["average_order_value"])
    assert np.isnan(february["revenue_per_customer"])


# --- scores and segments ---


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60), st.randoms())
def test_equal_values_get_equal_scores_in_any_order(analysis, values, random):
    scores = dict(zip(values, analysis.quintile(pd.Series(values)), strict=True))
    shuffled = random.sample(values, len(values))
    again = analysis.quintile(pd.Series(shuffled))
    assert [scores[value] for value in shuffled] == list(again)
    ordered = [scores[value] for value in sorted(scores)]
    assert ordered == sorted(ordered)  # a higher value never scores lower
    assert set(ordered) <= {0, 1, 2, 3, 4}


def test_distinct_values_fall_into_fifths(analysis):
    assert list(analysis.quintile(pd.Series(range(10)))) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_every_pair_of_scores_has_one_of_the_ten_segments(analysis):
    grid = [segment for row in analysis.SEGMENTS.values() for segment in row]
    assert sorted(analysis.SEGMENTS) == [1, 2, 3, 4, 5]
    assert len(grid) == 25
    assert set(grid) == set(analysis.BEST_FIRST)
    assert len(analysis.BEST_FIRST) == 10


def test_score_bands_say_where_each_score_begins_and_ends(analysis):
    rows = [(str(n), f"2024-01-{n + 1:02}", 10.0 * n) for n in range(10)]
    rows.append(("9", "2024-01-10", 1.0))
    orders = analysis.add_months(make_orders(*rows))
    bands = analysis.score_bands(analysis.rfm_analysis(analysis.customer_sums(orders), pd.Timestamp("2024-02-01")))
    assert bands.groupby("metric")["customers"].sum().tolist() == [10, 10, 10]
    recency = bands[bands["metric"] == "recency_days"].set_index("score")
    assert recency.loc[5, ["minimum", "maximum"]].tolist() == [22, 23]
    frequency = bands[bands["metric"] == "frequency"].set_index("score")
    assert frequency["customers"].tolist() == [9, 0, 0, 0, 1]  # nine ties: the scores between stay unused
    assert frequency["minimum"].isna().tolist() == [False, True, True, True, False]


# --- through the database ---


def insert_shop(db) -> None:
    item = {"category": "Toys", "quantity": 1, "unit_price": 20.0}
    gift = {"category": "Books", "quantity": 2, "unit_price": 5.0}
    db.customers.insert_one(
        {
            "_id": "a",
            "name": "Ann",
            "email": "ann@example.com",
            "country": "Spain",
            "signup_date": datetime(2024, 1, 1),
        }
    )
    db.orders.insert_many(
        [
            {
                "customer_id": "a",
                "order_date": datetime(2024, 1, 5),
                "total": 10.01,
                "channel": "web",
                "items": [item, gift],
            },
            {"customer_id": "b", "order_date": datetime(2024, 1, 6), "total": 7.0},
            {
                "customer_id": "c",
                "order_date": datetime(2024, 1, 7),
                "total": 9.0,
                "status": "cancelled",
                "items": [item],
            },
            {"customer_id": "e", "order_date": datetime(2024, 1, 8), "total": -2.0, "status": "refunded"},
        ]
    )


def run_main(analysis, monkeypatch, *args: str) -> None:
    monkeypatch.setattr("sys.argv", ["2_data_analysis.py", *args])
    analysis.main()


@pytest.fixture(scope="module")
def analysed(analysis, uri, tmp_path_factory) -> Path:
    """The folder with what the script writes of this shop."""
    folder = tmp_path_factory.mktemp("analysed")
    with MongoClient(uri) as client, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder, MONGO_URI=uri, MONGO_DB="analysed").items():
            patch.setenv(name, value)
        insert_shop(client["analysed"])
        run_main(analysis, patch)
        client.drop_database("analysed")
    return folder


def test_revenue_is_spread_over_items_to_the_cent(analysed):
    assert (analysed / "revenue_drivers.csv").read_text() == (
        "month,country,channel,category,orders,units,revenue\n"
        "2024-01-01,Spain,web,Books,1,2,3.34\n"
        "2024-01-01,Spain,web,Toys,1,1,6.67\n"
        "2024-01-01,Unknown,Unknown,Unknown,1,0,7.0\n"
    )


def test_customers_csv_has_everybody_and_no_name_or_email(analysed):
    assert (analysed / "customers.csv").read_text() == (
        "customer_id,signup_date,country,city,acquisition_channel\na,2024-01-01,Spain,,\nb,,,,\nc,,,,\ne,,,,\n"
    )


def test_a_refund_without_an_order_is_counted_apart(analysed):
    quality = pd.read_csv(analysed / "data_quality.csv").set_index("check")
    assert quality.loc["refunds to customers without a completed order", ["rows", "amount"]].tolist() == [
        1,
        -2,
    ]
    assert quality.loc["orders in monthly_kpis", "amount"] == 15.01
    assert quality.loc["orders in rfm_analysis", "amount"] == 17.01


@pytest.mark.parametrize(
    ("function", "column"), [("monthly_kpis", "net_revenue"), ("cohort_retention", "cohort_size")]
)
def test_a_tampered_table_is_not_saved(analysis, db, monkeypatch, tmp_path, function, column, capsys):
    """One figure changes just as its function returns the table: the script stops and writes nothing."""
    insert_shop(db)
    tampered = []

    def tamper(frame, event, table):
        if event == "return" and frame.f_code.co_name == function:
            table[column] += 1
            tampered.append(function)

    sys.setprofile(tamper)
    try:
        with pytest.raises(SystemExit) as stopped:
            run_main(analysis, monkeypatch)
    finally:
        sys.setprofile(None)
    assert tampered == [function]
    assert stopped.value.code == 2
    assert "nothing was saved" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_as_of_shows_the_shop_as_it_was(analysis, db, monkeypatch, tmp_path):
    insert_shop(db)
    run_main(analysis, monkeypatch, "--as-of", "2024-01-06")
    assert pd.read_csv(tmp_path / "rfm_analysis.csv")["customer_id"].tolist() == ["a"]
    quality = pd.read_csv(tmp_path / "data_quality.csv").set_index("check")
    assert quality.loc["on or after as_of", "rows"] == 3


def test_customers_csv_leaves_out_who_signs_up_later(analysis, db, monkeypatch, tmp_path):
    insert_shop(db)
    db.customers.insert_one({"_id": "new", "signup_date": datetime(2024, 1, 7)})
    run_main(analysis, monkeypatch, "--as-of", "2024-01-07")
    assert pd.read_csv(tmp_path / "customers.csv")["customer_id"].tolist() == ["a", "b"]


def test_a_signup_date_is_a_day_in_every_time_zone(analysis, db, monkeypatch, tmp_path):
    insert_shop(db)
    monkeypatch.setenv("REPORT_TIMEZONE", "America/New_York")
    run_main(analysis, monkeypatch)
    assert pd.read_csv(tmp_path / "customers.csv")["signup_date"][0] == "2024-01-01"


def test_months_begin_in_the_reports_time_zone(analysis, db, monkeypatch, tmp_path):
    """Noon of 31 January in Greenwich is February in Auckland: for KPIs, cohorts and drivers alike."""
    for when in (datetime(2024, 1, 31, 10), datetime(2024, 1, 31, 12)):
        db.orders.insert_one({"customer_id": str(when), "order_date": when, "total": Decimal128("5.00")})
    monkeypatch.setenv("REPORT_TIMEZONE", "Pacific/Auckland")
    run_main(analysis, monkeypatch)
    for name, column in (
        ("monthly_kpis", "month"),
        ("revenue_drivers", "month"),
        ("cohort_retention", "cohort_month"),
    ):
        table = pd.read_csv(tmp_path / f"{name}.csv")
        assert sorted(set(table[column])) == ["2024-01-01", "2024-02-01"], name
    assert pd.read_csv(tmp_path / "monthly_kpis.csv")["orders"].tolist() == [1, 1]


def test_what_an_import_left_out_is_in_data_quality(analysis, db, settings, monkeypatch, tmp_path):
    order = {"_id": 1, "customer_id": "a", "order_date": datetime(2024, 1, 1), "total": 1.0}
    load(db, settings, Source("ours", iter([{"orders": [order]}]), {"unreadable amount": 3}))
    run_main(analysis, monkeypatch)
    quality = pd.read_csv(tmp_path / "data_quality.csv").set_index("check")
    assert quality.loc["import: unreadable amount", "rows"] == 3


def test_previous_segment_is_last_months(analysis, db, monkeypatch, tmp_path):
    rows = [
        ("early", datetime(2024, 1, 1), 5.0),
        ("late", datetime(2024, 3, 1), 5.0),
        ("early", datetime(2024, 3, 30), 5.0),
    ]
    db.orders.insert_many({"customer_id": who, "order_date": when, "total": paid} for who, when, paid in rows)
    run_main(analysis, monkeypatch)
    rfm = pd.read_csv(tmp_path / "rfm_analysis.csv").set_index("customer_id")
    assert rfm["previous_segment"].isna().tolist() == [False, True]  # late was no customer on 29 February
