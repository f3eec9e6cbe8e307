"""What changed: the range of each figure by hand, what is not known, planted drops, and shops where nothing is."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_orders

from pulse.alerts import COLUMNS, METRICS, alerts, any_alert, report_alerts
from pulse.exports import write_csv

DAYS = 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31


def kpis(start: str = "2021-01-01", in_progress: bool = False, **columns: list) -> pd.DataFrame:
    """The columns of monthly_kpis.csv that count here; those not named are 0."""
    size = len(next(iter(columns.values())))
    months = pd.date_range(start, periods=size, freq="MS")
    table = pd.DataFrame({"month": months} | {metric: columns.get(metric, [0] * size) for metric in METRICS})
    return table.assign(is_complete=[True] * (size - in_progress) + [False] * in_progress)


def row_of(table: pd.DataFrame, metric: str, places: int = 2) -> pd.Series:
    return alerts(table, places).set_index("metric").loc[metric]


def steady(n: int, per_day: float = 10.0) -> list[float]:
    """What n months from January on bring, at so much a day."""
    return [per_day * DAYS[month % 12] for month in range(n)]


# --- the range ---


def test_a_steady_shop_by_hand():
    """24 months of 10 a day, so no miss: the prior of two at 0.2 among twelve is left. Student's t of 14 degrees
    of freedom at 99.5% is 2.9768 (any table): exp(2.9768 * sqrt(2 * 0.04 / 14)) = 1.25235."""
    table = kpis(net_revenue=[*steady(23), 400.0])
    row = row_of(table, "net_revenue")
    assert row[["value", "expected"]].tolist() == [400.0, 310.0]
    assert row[["low", "high"]].tolist() == pytest.approx([310 / 1.25235, 310 * 1.25235], abs=0.02)
    assert row["month"] == pd.Timestamp("2022-12-01")
    assert row["state"] == "above"
    assert row["sentence"] == "Net revenue was 400.00 in December 2022, above the usual 247.53 to 388.23."


def test_misses_and_levels_by_hand():
    """Seven months at 5 (left out), 10, 10, 10, 12, 8, then 9 a day: expected of the last (10 + 12 + 8) / 3, and
    the two misses log(12 / 10) and log(8 / (32 / 3)). Student's t of 4 degrees of freedom at 99.5% is 4.6041."""
    rates = [5, 10, 10, 10, 12, 8, 9]
    row = row_of(kpis(net_revenue=[rate * days for rate, days in zip(rates, DAYS, strict=False)]), "net_revenue")
    spread = np.sqrt((2 * 0.2**2 + np.log(1.2) ** 2 + np.log(0.75) ** 2) / 4)
    factor = np.exp(4.6041 * spread)
    assert row["expected"] == 310
    assert row[["low", "high"]].tolist() == pytest.approx([310 / factor, 310 * factor], rel=1e-4)
    assert row["state"] == "as usual"


def test_months_of_which_nothing_was_expected_are_no_misses():
    """Three months of nothing, then 10 a day: the first such is no miss, the next are log(3) and log(3 / 2), and
    six more are 0. Student's t of 10 degrees of freedom at 99.5% is 3.1693."""
    row = row_of(kpis(net_revenue=[5.0, 0.0, 0.0, 0.0, *steady(14)[4:]]), "net_revenue")
    factor = np.exp(3.1693 * np.sqrt((2 * 0.2**2 + np.log(3) ** 2 + np.log(1.5) ** 2) / 10))
    assert row[["expected", "high"]].tolist() == pytest.approx([280, 280 * factor], rel=1e-4)


def test_a_month_of_nothing_counts_as_a_tenth_of_what_was_expected():
    """Else no range could ever hold it. Then 3 / 2 of what is expected come thrice."""
    row = row_of(kpis(net_revenue=[*steady(14), 0.0, *steady(24)[15:]]), "net_revenue")
    spread = np.sqrt((2 * 0.2**2 + np.log(10) ** 2 + 3 * np.log(1.5) ** 2) / 14)
    assert row[["expected", "high"]].tolist() == pytest.approx([310, 310 * np.exp(2.9768 * spread)], rel=1e-3)


def test_the_season_counts_with_one_year_of_none():
    """Of 10 a day, but 40 each December: after one such year half of the season (on a scale of ratios) is
    expected, after two, two thirds of it."""
    december = [rate * (4 if month % 12 == 11 else 1) for month, rate in enumerate(steady(36))]
    assert row_of(kpis(net_revenue=december[:24]), "net_revenue")["expected"] == pytest.approx(310 * 2)
    expected = row_of(kpis(net_revenue=december), "net_revenue")["expected"]
    assert expected == pytest.approx(310 * 4 ** (2 / 3), abs=0.01)


@pytest.mark.parametrize("nothing", [[11], [8, 9, 10]])
def test_a_year_that_brought_nothing_says_nothing_of_the_season(nothing):
    """In December, or in the three months before it."""
    rates = [0.0 if month in nothing else rate for month, rate in enumerate(steady(24))]
    assert row_of(kpis(net_revenue=rates), "net_revenue")["expected"] == 310


def test_the_first_month_is_left_out():
    """It may have begun in its middle: whatever it brought, nothing differs."""
    first, other = ([amount, *steady(23)[1:], 400.0] for amount in (0.5, 900.0))
    assert alerts(kpis(net_revenue=first), 2).equals(alerts(kpis(net_revenue=other), 2))


def test_february_is_no_drop():
    row = row_of(kpis(net_revenue=steady(26)), "net_revenue")
    assert row[["value", "expected", "state"]].tolist() == [280, 280, "as usual"]


def test_only_months_before_and_the_last_complete_one_count():
    table = kpis(net_revenue=[*steady(23), 400.0, 9e9], in_progress=True)
    pd.testing.assert_frame_equal(alerts(table, 2), alerts(table[:-1], 2))


# --- what goes up and what goes down ---


@pytest.mark.parametrize(
    ("last", "state", "says"),
    [
        (-400.0, "above", "Refunds were 400.00 in December 2022, above the usual 247.53 to 388.23."),
        (-200.0, "below", "Refunds were 200.00 in December 2022, below the usual 247.53 to 388.23."),
        (-300.0, "as usual", "Refunds were 300.00 in December 2022, within the usual 247.53 to 388.23."),
    ],
)
def test_above_is_more_money_given_back(last, state, says):
    row = row_of(kpis(refunds=[*(-amount for amount in steady(23)), last]), "refunds")
    assert row[["value", "expected", "low", "high"]].tolist() == [last, -310.0, -388.23, -247.53]
    assert row[["state", "sentence"]].tolist() == [state, says]


def test_a_value_is_compared_with_the_range_as_written():
    """The low end is 310 / 1.25235 = 247.53: 248 customers, 247,533,057 yen of 310,000,000."""
    past = steady(23)
    assert row_of(kpis(new_customers=[*past, 248]), "new_customers")["state"] == "as usual"
    assert row_of(kpis(new_customers=[*past, 247]), "new_customers")["state"] == "below"
    assert row_of(kpis(net_revenue=[*past, 247.53]), "net_revenue")["state"] == "as usual"
    assert row_of(kpis(net_revenue=[*past, 247.52]), "net_revenue")["state"] == "below"
    assert row_of(kpis(net_revenue=[*past, 388.23]), "net_revenue")["state"] == "as usual"
    assert row_of(kpis(net_revenue=[*past, 388.24]), "net_revenue")["state"] == "above"
    yen = row_of(kpis(net_revenue=[1e6 * amount for amount in [*past, 500]]), "net_revenue", 0)
    says = "Net revenue was 500,000,000 in December 2022, above the usual 247,533,057 to 388,230,974."
    assert yen["sentence"] == says
    customers = row_of(kpis(active_customers=[100 * n for n in [*past, 500]]), "active_customers")
    assert (
        customers["sentence"] == "Active customers were 50,000 in December 2022, above the usual 24,753 to 38,823."
    )


# --- what is not known ---


@pytest.mark.parametrize("before", [0, 1, 3, 5])
def test_with_few_months_before_nothing_is_known(before, capsys):
    table = alerts(kpis(net_revenue=[*steady(before), 5.0]), 2)
    assert (table["state"] == "not known").all()
    assert table[["expected", "low", "high"]].isna().all(axis=None)
    assert table["sentence"].str.endswith("; to say what is usual takes 6 complete months before.").all()
    assert not any_alert(table)
    report_alerts(table)
    assert capsys.readouterr().out.startswith("Changed   not known: too little came before ")


def test_six_months_before_are_enough():
    assert row_of(kpis(net_revenue=steady(7)), "net_revenue")["state"] == "as usual"


@pytest.mark.parametrize("size", [0, 1])
def test_without_a_complete_month_there_is_no_row(size, tmp_path, capsys):
    table = alerts(kpis(net_revenue=[5.0], in_progress=True)[:size], 2)
    assert (len(table), tuple(table.columns), any_alert(table)) == (0, COLUMNS, False)
    report_alerts(table)
    assert capsys.readouterr().out == "Changed   not known: no month is complete\n"
    write_csv(tmp_path / "alerts.csv", table)
    assert (tmp_path / "alerts.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_nothing_as_ever_is_as_usual():
    """A shop without refunds, or of guests alone."""
    row = row_of(kpis(net_revenue=steady(24)), "refunds")
    assert row[["state", "value", "expected"]].tolist() == ["as usual", 0, 0]
    assert row["sentence"] == "Refunds were 0.00 in December 2022, as in the 3 months before."
    assert row[["low", "high"]].isna().all()  # 0 to 0 would be certainty


@pytest.mark.parametrize(
    "past",
    [
        [0.0] * 23,  # the first ever
        [-50.0] * 23,  # refunds are more than sales
        [*[0.0] * 20, *[300.0] * 3],  # nothing yet that could be missed
        [1.0, 5000.0] * 11 + [40.0],  # a range that reaches beyond ten times
    ],
)
def test_where_nothing_can_be_expected_it_is_not_known(past):
    row = row_of(kpis(net_revenue=[*past, 40.0]), "net_revenue")
    assert row["state"] == "not known"
    assert row[["expected", "low", "high"]].isna().all()
    why = "the months before vary too much, or hold too little, to say what is usual"
    assert row["sentence"] == f"Net revenue was 40.00 in December 2022; {why}."


@pytest.mark.parametrize("last", [0.0, -500.0])
def test_a_month_of_nothing_or_less_is_a_drop(last):
    row = row_of(kpis(net_revenue=[*steady(23), last]), "net_revenue")
    assert row[["state", "value"]].tolist() == ["below", last]


def test_no_text_holds_nan_or_minus_0(tmp_path):
    tables = [alerts(kpis(net_revenue=steady(n), refunds=[-0.0] * n), 2) for n in (1, 7, 24)]
    write_csv(tmp_path / "alerts.csv", pd.concat(tables))
    written = (tmp_path / "alerts.csv").read_text()
    assert "nan" not in written.lower()
    assert "-0" not in written.replace("-01-01", "").replace("-07-01", "").replace("-12-01", "")


# --- the report ---


def test_the_report_says_what_moved(capsys):
    past = steady(23)
    table = alerts(kpis(net_revenue=[*past, 100.0], active_customers=[*past, 900], new_customers=[*past, 300]), 2)
    assert any_alert(table)
    report_alerts(table)
    assert capsys.readouterr().out.splitlines() == [
        "Changed   Net revenue was 100.00 in December 2022, below the usual 247.53 to 388.23.",
        "          Active customers were 900 in December 2022, above the usual 248 to 388.",
    ]


def test_the_report_says_that_nothing_moved_and_what_is_not_known(capsys):
    report_alerts(alerts(kpis(net_revenue=steady(24)), 2))
    report_alerts(alerts(kpis(net_revenue=steady(24), refunds=[*[0.0] * 23, -5.0]), 2))
    assert capsys.readouterr().out.splitlines() == [
        "Changed   nothing beyond what is usual in December 2022",
        "Changed   nothing beyond what is usual in December 2022; not known: refunds",
    ]


# --- shops ---


def default_shop(generation, seed: int) -> pd.DataFrame:
    """The orders of script 1's shop, as read_range hands them out."""
    end, start = pd.Timestamp("2025-12-31"), pd.Timestamp("2023-01-01")
    documents = [each for block in generation.simulate(5_000, start, end, seed) for each in block["orders"]]
    return make_orders(*((d["customer_id"], d["order_date"], d["total"], d["status"]) for d in documents))


def alerts_of(analysis, orders: pd.DataFrame) -> pd.DataFrame:
    """The alerts at the end of the default shop, by metric."""
    sums = analysis.month_sums(analysis.add_months(orders))
    return alerts(analysis.monthly_kpis(sums, pd.Timestamp("2026-01-01")), 2).set_index("metric")


def without_some(orders: pd.DataFrame, share: float) -> pd.DataFrame:
    """The orders without this share of the last month's, at random."""
    last = (orders["order_date"] >= "2025-12-01") & orders["completed"]
    return orders[~(last & (np.random.default_rng(0).random(len(orders)) < share))]


def test_a_drop_of_40_percent_is_told(analysis, generation):
    orders = default_shop(generation, 42)
    assert not any_alert(alerts_of(analysis, orders))
    found = alerts_of(analysis, without_some(orders, 0.4))
    assert found.loc[["net_revenue", "active_customers"], "state"].tolist() == ["below", "below"]
    assert found["month"].tolist() == [pd.Timestamp("2025-12-01")] * 4


@pytest.mark.slow
def test_of_20_shops_at_most_two_raise_a_false_alarm(analysis, generation):
    shops = [default_shop(generation, seed) for seed in range(1, 21)]
    assert sum(any_alert(alerts_of(analysis, orders)) for orders in shops) <= 2
    dropped = [alerts_of(analysis, without_some(orders, 0.4))["state"] for orders in shops]
    told = [(states[["net_revenue", "active_customers"]] == "below").all() for states in dropped]
    assert sum(told) >= 18
