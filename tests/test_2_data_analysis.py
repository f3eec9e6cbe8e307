"""Step 2 on hand-written customers whose figures can be checked by eye."""

import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bson import Decimal128
from conftest import ROOT, environment, load_csv, make_orders
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from pymongo import MongoClient

from common import read_settings
from pulse.cohorts import cohort_retention, cohort_sums
from pulse.columns import ITEMS
from pulse.drivers import revenue_drivers
from pulse.exports import write_csv
from pulse.identity import hash_address
from pulse.loads import Source, load
from pulse.months import add_months
from pulse.planning import plan_reading
from pulse.reconcile import FINER, say_agreement
from pulse.segments import score_bands

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


NOBODYS_HOME = pd.DataFrame(
    {"country": [], "acquisition_channel": []}, pd.Index([], dtype="str"), dtype="category"
)


def with_items(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with the columns that the drivers need: nothing is known of them."""
    nothing = pd.Series(index=orders.index, dtype="category")
    items = pd.Series([[]] * len(orders), dtype=pd.ArrowDtype(ITEMS))
    return orders.assign(country=nothing, channel=nothing, items=items)


@pytest.fixture
def orders(analysis):
    return add_months(make_orders(*ROWS))


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
    assert_frame_equal(cohort_retention(cohort_sums(orders), AS_OF), expected, check_dtype=False)


def test_a_month_that_has_just_ended_is_complete_and_the_next_has_no_row(analysis, orders):
    as_of = pd.Timestamp("2024-05-01")
    cohorts = cohort_retention(cohort_sums(orders), as_of)
    assert cohorts["activity_month"].max() == pd.Timestamp("2024-04-01")
    assert set(cohorts["cell_state"]) == {"complete"}
    assert analysis.monthly_kpis(analysis.month_sums(orders), as_of)["is_complete"].all()


def test_monthly_kpis_of_four_customers_and_a_guest(analysis):
    guest = ((None, "2024-02-14", 5.0), (None, "2024-03-14", -2.0, "refunded"))
    orders = add_months(make_orders(*ROWS, *guest))
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
    without = add_months(make_orders(*ROWS))
    assert_frame_equal(
        cohort_retention(cohort_sums(orders), AS_OF),
        cohort_retention(cohort_sums(without), AS_OF),
    )
    assert_frame_equal(
        analysis.rfm_analysis(analysis.customer_sums(orders), AS_OF),
        analysis.rfm_analysis(analysis.customer_sums(without), AS_OF),
    )


def test_a_month_without_orders_is_a_row_of_zeros_and_blanks(analysis):
    orders = add_months(make_orders(("a", "2024-01-05", 10.0), ("a", "2024-03-05", 10.0)))
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
    orders = add_months(make_orders(*rows))
    bands = score_bands(
        analysis.rfm_analysis(analysis.customer_sums(orders), pd.Timestamp("2024-02-01")), analysis.SCORES
    )
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
                "status": "paid",
                "channel": "web",
                "items": [item, gift],
            },
            {"customer_id": "b", "order_date": datetime(2024, 1, 6), "total": 7.0, "status": "paid"},
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


def insert_orders(db, currency: str | None, *rows: tuple) -> None:
    """One order per row (customer_id, total[, items, each of quantity, unit_price, category]) on days in a row."""
    names = ("quantity", "unit_price", "category")
    db.orders.insert_many(
        {
            "customer_id": who,
            "order_date": datetime(2024, 1, 1 + day),
            "total": total,
            **({"currency": currency} if currency else {}),
            "items": [dict(zip(names, item, strict=True)) for items in rest for item in items],
        }
        for day, (who, total, *rest) in enumerate(rows)
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
        "customer_id,signup_date,country,city,acquisition_channel,cohort_month,first_category,first_channel,"
        "last_order_date\n"
        "a,2024-01-01,Spain,Unknown,Unknown,2024-01-01,Toys,web,2024-01-05\n"
        "b,,Unknown,Unknown,Unknown,2024-01-01,Unknown,Unknown,2024-01-06\n"
        "c,,Unknown,Unknown,Unknown,,Unknown,Unknown,\n"
        "e,,Unknown,Unknown,Unknown,,Unknown,Unknown,\n"
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
    assert set(tampered) == {function}
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


def test_a_currency_of_three_decimals_keeps_them_everywhere(analysis, db, monkeypatch, tmp_path, capsys):
    lines = [(1, 2.0, "Tea"), (2, 0.5, "Milk")]  # 2 and 1 of 3
    rows = [("a", Decimal128("1.0005"), lines), ("a", 1.234), ("b", 7), ("b", -0.0005), ("c", 2.001)]
    insert_orders(db, "kwd", *rows)
    run_main(analysis, monkeypatch)
    said = capsys.readouterr().out
    assert "net revenue 11.235: all tables agree" in said  # 1.001 + 1.234 + 7 - 0.001 + 2.001
    assert "2 amounts have more than their currency's 3 decimals" in said
    (month,) = pd.read_csv(tmp_path / "monthly_kpis.csv").to_dict("records")
    assert (month["gross_revenue"], month["refunds"], month["net_revenue"]) == (11.236, -0.001, 11.235)
    assert (month["average_order_value"], month["revenue_per_customer"]) == (2.809, 3.745)
    rfm = pd.read_csv(tmp_path / "rfm_analysis.csv", index_col="customer_id")
    assert rfm["monetary"].to_dict() == {"a": 2.235, "b": 6.999, "c": 2.001}
    drivers = pd.read_csv(tmp_path / "revenue_drivers.csv", index_col="category")
    assert drivers["revenue"].to_dict() == {"Milk": 0.334, "Tea": 0.667, "Unknown": 10.235}
    cohorts = pd.read_csv(tmp_path / "cohort_retention.csv")
    assert cohorts.loc[0, ["net_revenue", "cumulative_revenue_per_customer"]].tolist() == [11.235, 3.745]
    quality = pd.read_csv(tmp_path / "data_quality.csv", index_col="check")
    assert quality.loc[FINER, ["rows", "amount", "status"]].tolist() == [2, 1.0, "counted"]
    assert quality.loc["orders in monthly_kpis", "amount"] == 11.235


def test_a_currency_without_decimals_has_whole_amounts_and_averages_of_two(
    analysis, db, monkeypatch, capsys, tmp_path
):
    insert_orders(db, "JPY", ("a", 100, [(1, 2.0, "Tea"), (1, 1.0, "Milk")]), ("a", 250.5), ("b", 1000))
    insert_orders(db, "EUR", ("c", 1.005))
    monkeypatch.setenv("REPORT_CURRENCY", "JPY")
    shop = analysis.read_shop(db, read_settings(), tmp_path)
    (month,) = analysis.monthly_kpis(shop.sums["months"], shop.as_of, shop.places).to_dict("records")
    assert (month["gross_revenue"], month["average_order_value"]) == (1351, 450.33)
    assert month["revenue_per_customer"] == 675.5
    drivers = revenue_drivers(shop.sums["drivers"], shop.places).set_index("category")
    assert drivers["revenue"].to_dict() == {"Milk": 33, "Tea": 67, "Unknown": 1251}
    assert shop.audit.excluded.loc["in another currency"].tolist() == [1, 1.01]  # its own two decimals
    say_agreement(shop.sums, shop.places)
    assert "net revenue 1,351: all tables agree" in capsys.readouterr().out


def test_quantities_are_summed_as_they_are(analysis, db, tmp_path):
    """Kilograms keep their decimals, doubles' noise does not show, and whole units have no .0."""
    rows = [
        ("a", 1.0, [(0.1, 10.0, "Cheese"), (2, 0.0, "Bags"), (0.125, 0.0, "Nuts")]),
        ("b", 2.0, [(0.2, 10.0, "Cheese")]),
        ("c", 0.0),
    ]
    insert_orders(db, None, *rows, ("c", 0.0, [(3, 0.0, "Bags"), (float("inf"), 1.0, "Air"), (-1, 1.0, "Back")]))
    sums = analysis.read_shop(db, read_settings(), tmp_path).sums
    write_csv(tmp_path / "revenue_drivers.csv", revenue_drivers(sums["drivers"]))
    assert (tmp_path / "revenue_drivers.csv").read_text() == (
        "month,country,channel,category,orders,units,revenue\n"
        "2024-01-01,Unknown,Unknown,Air,1,0,0.0\n"
        "2024-01-01,Unknown,Unknown,Back,1,-1,0.0\n"
        "2024-01-01,Unknown,Unknown,Bags,2,5,0.0\n"
        "2024-01-01,Unknown,Unknown,Cheese,2,0.3,3.0\n"
        "2024-01-01,Unknown,Unknown,Nuts,1,0.125,0.0\n"
        "2024-01-01,Unknown,Unknown,Unknown,1,0,0.0\n"
    )
    assert sums["months"]["orders"].tolist() == [4]  # free orders are orders


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_a_blank_text_is_unknown_wherever_it_stands(analysis, db, tmp_path, blank):
    """So that no slicer shows an empty value."""
    db.customers.insert_one({"_id": "a"} | dict.fromkeys(("country", "city", "acquisition_channel"), blank))
    item = {"category": blank, "quantity": 1, "unit_price": 5.0}
    order = {"order_date": datetime(2024, 1, 1), "total": 5.0, "channel": blank, "country": blank, "items": [item]}
    db.orders.insert_many([order | {"_id": n, "customer_id": who} for n, who in enumerate(("a", None))])
    tables = analysis.analyse(analysis.read_shop(db, read_settings(), tmp_path))
    texts = ["country", "city", "acquisition_channel", "first_category", "first_channel"]
    assert tables["customers"][texts].values.tolist() == [["Unknown"] * 5]
    assert tables["revenue_drivers"][["country", "channel", "category"]].values.tolist() == [["Unknown"] * 3]
    assert tables["guest_months"]["country"].tolist() == ["Unknown"]


def test_how_many_amounts_were_rounded_adds_up_over_ranges(analysis, db, monkeypatch, tmp_path):
    insert_orders(db, None, *((f"c{n:02}", 1.005 if n % 3 else 1.01) for n in range(20)))
    for size in ("1000", "5"):
        monkeypatch.setenv("RANGE_ORDERS", size)
        totals = analysis.read_shop(db, read_settings(), tmp_path).sums["totals"]
        assert totals.loc[FINER].tolist() == [13, pytest.approx(13.13)]


def test_units_sold_by_weight_and_free_items_are_those_of_the_case(analysis, db, tmp_path):
    case = ROOT.parent / "shared" / "cases" / "units_weight.csv"
    if not case.exists():
        pytest.skip("the folder of cases is not here")
    lines = pd.read_csv(case, parse_dates=["order_date"])
    db.orders.insert_many(
        {
            "customer_id": order["customer_id"].iloc[0],
            "order_date": order["order_date"].iloc[0],
            "total": (order["quantity"] * order["unit_price"]).sum(),
            "items": order[["category", "quantity", "unit_price"]].to_dict("records"),
        }
        for _, order in lines.groupby("order_id")
    )
    sums = analysis.read_shop(db, read_settings(), tmp_path).sums
    drivers = revenue_drivers(sums["drivers"])
    assert drivers.groupby("category")["units"].sum().round(6).to_dict() == {"Cheese": 61.51, "Nuts": 66.19}
    assert drivers["revenue"].sum().round(2) == 2554
    assert sums["months"]["orders"].sum() == 200


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


# --- customers and quiet months ---


def test_no_csv_file_holds_an_address(analysis, churn, db, monkeypatch, tmp_path, capsys):
    """Of a shop whose customers' ids are addresses, through script 2 and the reading of script 3; two spellings
    of an address are one customer, in one range and in many."""
    people = [f"{name}{n}@example.com" for n in range(8) for name in ("ann", "Ann")]
    order = {"order_date": datetime(2024, 1, 1), "total": 9.5}
    db.orders.insert_many([{"customer_id": who} | order for who in people for _ in range(3)])
    db.orders.insert_many([{"customer_id": "NULL"} | order for _ in range(9)])
    db.customers.insert_many([{"_id": who.upper(), "country": "Chile"} for who in people[::2]])
    monkeypatch.setenv("CUSTOMER_KEY", "k")
    run_main(analysis, monkeypatch, "--keep-odd-dates")
    monkeypatch.setenv("RANGE_ORDERS", "20")
    settings = read_settings()
    assert len(plan_reading(db, settings, None).ranges) > 2
    sums = analysis.read_shop(db, settings, tmp_path).sums["customers"]
    monkeypatch.setattr("sys.argv", ["3_churn_model.py"])
    known = churn.read_shop(db, settings, churn.arguments()).history.snapshots[pd.Timestamp("2024-01-02")]
    said = capsys.readouterr()
    assert "@" not in "".join(path.read_text() for path in tmp_path.glob("*.csv")) + said.out + said.err
    rfm, hashes = load_csv(tmp_path / "rfm_analysis.csv"), sorted(hash_address(who, "k") for who in people[::2])
    assert rfm["customer_id"].tolist() == list(sums.index) == list(known.index) == hashes
    assert rfm["frequency"].tolist() == sums["frequency"].tolist() == known["n"].tolist() == [6] * 8
    assert load_csv(tmp_path / "customers.csv")["country"].tolist() == ["Chile"] * 8
    assert pd.read_csv(tmp_path / "monthly_kpis.csv")["guest_orders"].tolist() == [9]
    assert "2_data_analysis.py,2024-01-02,kept,57," in (tmp_path / "runs.csv").read_text()


def test_a_quiet_month_is_a_month(analysis, db, monkeypatch, tmp_path):
    insert_shop(db)
    run_main(analysis, monkeypatch, "--as-of", "2024-04-01")
    months = pd.read_csv(tmp_path / "monthly_kpis.csv")
    assert months["orders"].tolist() == [2, 0, 0]
    assert months["is_complete"].tolist() == [True] * 3
    assert pd.read_csv(tmp_path / "cohort_retention.csv")["active_customers"].tolist() == [2, 0, 0]
    assert pd.read_csv(tmp_path / "rfm_analysis.csv")["recency_days"].tolist() == [87, 86]
    assert len(list((tmp_path / "figures").glob("*.png"))) == 7


def test_a_negative_amount_of_what_was_not_sold_is_counted_apart(analysis, db, monkeypatch, tmp_path):
    insert_shop(db)
    order = {
        "customer_id": "a",
        "order_date": datetime(2024, 1, 5),
        "total": -8.0,
        "status": "paid",
        "sold": False,
    }
    db.orders.insert_one(order)
    run_main(analysis, monkeypatch)
    quality = pd.read_csv(tmp_path / "data_quality.csv").set_index("check")
    assert quality.loc["amount below 0 of what was not sold: no refund", ["rows", "amount"]].tolist() == [1, -8]
    assert quality.loc["orders in monthly_kpis", "amount"] == 15.01


# --- what changed ---


@pytest.mark.parametrize(
    ("refunded", "moved"), [pytest.param(100.0, False, marks=pytest.mark.slow), (9_000.0, True)]
)
def test_a_month_that_moved_ends_with_exit_code_3_where_asked(
    analysis, db, monkeypatch, tmp_path, capsys, refunded, moved
):
    """After everything is saved; without --fail-on-alert it is said alone."""
    months = pd.date_range("2023-01-01", periods=12, freq="MS")
    rows = [(f"c{n}", month, 100.0) for n in range(10) for month in months]
    rows += [("c1", month, -100.0) for month in months[:-1]] + [("c1", months[-1], -refunded)]
    db.orders.insert_many({"customer_id": who, "order_date": when, "total": paid} for who, when, paid in rows)
    if moved:
        with pytest.raises(SystemExit) as stopped:
            run_main(analysis, monkeypatch, "--as-of", "2024-01-01", "--fail-on-alert")
        assert stopped.value.code == 3
        said = "Net revenue was -8,000.00 in December 2023, below the usual"
    else:
        run_main(analysis, monkeypatch, "--as-of", "2024-01-01", "--fail-on-alert")
        said = "nothing beyond what is usual in December 2023\n"
    assert f"Changed   {said}" in capsys.readouterr().out
    assert (tmp_path / "runs.csv").read_text().endswith("complete\n")
    if moved:
        run_main(analysis, monkeypatch, "--as-of", "2024-01-01")
