"""pulse/charts.py and churn_charts.py: titles say what is seen, whatever the tables hold."""

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pulse.charts import (
    BLUE,
    GREY,
    LARGEST,
    ORANGE,
    draw_cohorts,
    draw_drivers,
    draw_moves,
    draw_repurchase,
    draw_revenue,
    draw_rfm_grid,
    format_amount,
)
from pulse.churn_charts import draw_confusion, draw_odds, draw_profit, two_digits

pytestmark = pytest.mark.filterwarnings("error")


def title(figure) -> str:
    figure.draw_without_rendering()
    return figure.get_suptitle()


def texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


@pytest.mark.parametrize(
    ("amount", "text"), [(4_512_000, "4.51M"), (812_300, "812k"), (37, "37"), (-1_500, "-1.5k"), (2e9, "2B")]
)
def test_amounts_are_said_as_people_say_them(amount, text):
    assert format_amount(amount) == text


def months_of(*revenue: float, complete: int) -> pd.DataFrame:
    """monthly_kpis.csv's columns that the chart needs."""
    start = pd.date_range("2023-01-01", periods=len(revenue), freq="MS")
    is_complete = [n < complete for n in range(len(revenue))]
    return pd.DataFrame({"month": start, "net_revenue": revenue, "is_complete": is_complete})


def test_the_revenue_title_compares_twelve_months_with_the_twelve_before():
    months = months_of(*[1.0] * 13, *[2.0] * 12, 500.0, complete=25)  # the month in progress counts in neither
    assert title(draw_revenue(months)) == "Net revenue grew by 100% in twelve months, to 24"
    short = months_of(1.0, 2.0, complete=2)
    assert title(draw_revenue(short)) == "Net revenue of 3 since January 2023"


def test_a_shop_of_one_month_has_a_cohort_chart():
    cohorts = pd.DataFrame(
        {"cohort_month": pd.to_datetime(["2024-01-01"]), "months_since_first": [0], "cell_state": ["complete"]}
    ).assign(active_customers=1, cohort_size=1, retention_rate=1.0)
    assert title(draw_cohorts(cohorts)).endswith("no month has passed yet")


def triangle(cohorts: int, rate: float = 0.5) -> pd.DataFrame:
    """cohort_retention.csv of cohorts of 1,000 from January 2020 on, the last month in progress; the retention
    falls by the month, and cohorts before the last 24 have none."""
    rows = [
        (cohort, later, rate / later if later and cohort >= cohorts - 26 else float(not later))
        for cohort in range(cohorts)
        for later in range(cohorts - cohort)
    ]
    table = pd.DataFrame(rows, columns=["cohort", "months_since_first", "retention_rate"])
    table["cohort_month"] = pd.Timestamp("2020-01-01") + table["cohort"].map(lambda n: pd.DateOffset(months=n))
    table["cell_state"] = "complete"
    table.loc[table["cohort"] + table["months_since_first"] == cohorts - 1, "cell_state"] = "in_progress"
    return table.assign(cohort_size=1000, active_customers=1000 * table["retention_rate"])


def test_each_cell_of_the_cohorts_has_its_number_on_the_scale_of_its_own():
    figure = draw_cohorts(triangle(4))
    axes, bar = figure.axes
    assert texts(axes.texts) == ["50", "25", "50"]  # not those of months in progress
    assert texts(axes.get_yticklabels()) == ["Jan 2020", "Feb 2020"]
    assert axes.collections[0].get_clim() == (25, 50)
    assert bar.get_ylabel() == "Percent of the cohort that ordered"
    assert title(figure) == "Active again after their first order: 50% a month later"
    assert texts(draw_cohorts(triangle(3, rate=0.032)).axes[0].texts) == [
        "3.2"
    ]  # percents that differ after a dot


def test_of_many_cohorts_the_last_24_are_shown_and_all_spoken_of():
    table = triangle(40)
    table.loc[table["cohort"] < 19, "active_customers"] = 0
    figure = draw_cohorts(table)
    axes = figure.axes[0]
    assert axes.get_ylabel() == "Month of the first order, the last 24 of 38"
    assert texts(axes.get_yticklabels())[::23] == ["Mar 2021", "Feb 2023"]
    assert len(axes.texts) == 24 * 25 / 2
    assert title(figure) == "Active again after their first order: 25% a month later, 1% a year later"


def returns(*shares: float | None, median: int | None, number: str = "1") -> pd.DataFrame:
    """Rows of repurchase.csv within 7, 14, 30, 60, 90, 180 and 365 days."""
    table = pd.DataFrame({"within_days": [7, 14, 30, 60, 90, 180, 365], "share": pd.Series(shares, dtype=float)})
    table["low"], table["high"] = table["share"] - 0.01, table["share"] + 0.01
    return table.assign(
        order_number=number, first_category="All", median_days=pd.array([median] * 7, dtype="Int64")
    )


@pytest.mark.parametrize(
    ("shares", "median", "says"),
    [
        ((0.1, 0.2, 0.6, 0.7, 0.7, 0.7, 0.7), 28, "Half of first-time buyers order again within 28 days"),
        ((0.6,) * 7, 1, "Half of first-time buyers order again within a day"),
        ((0.6,) * 7, 0, "Half of first-time buyers order again on the same day"),
        ((0.1, 0.2, 0.3, 0.3, 0.31, 0.4, 0.45), None, "31% of first-time buyers order again within 90 days"),
        ((0.1, 0.2, 0.3, 0.3, 0.31, 0.4, 0.45), 700, "31% of first-time buyers order again within 90 days"),
        ((0.1, 0.2, None, None, None, None, None), None, "20% of first-time buyers order again within 14 days"),
        ((0.0,) * 7, None, "0% of first-time buyers order again within 90 days"),
        ((None,) * 7, None, "Too early to say how soon customers order again"),
    ],
)
def test_the_repurchase_title_says_half_only_where_half_came_back(shares, median, says):
    parts = [returns(*shares, median=median)]
    parts += [returns(*[None] * 7, median=None, number=number) for number in ("2", "3", "4 and more")]
    assert title(draw_repurchase(pd.concat(parts))) == says


def test_a_curve_ends_where_no_more_is_known():
    parts = [returns(0.1, 0.2, 0.3, None, None, None, None, median=None)]
    parts += [returns(*[None] * 7, median=None, number=number) for number in ("2", "3")]
    parts.append(returns(*[0.5] * 7, median=7, number="4 and more").assign(low=float("nan"), high=float("nan")))
    toys = returns(*[0.9] * 7, median=1).assign(first_category="Toys")
    axes = draw_repurchase(pd.concat([*parts, toys])).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[7, 14, 30], [7, 14, 30, 60, 90, 180, 365]]
    assert texts(axes.get_legend().get_texts()) == ["after order 4 and more", "after order 1"]


BEST_FIRST = ("Champions", "Loyal", "At Risk")


def moves_of(*rows: tuple) -> pd.DataFrame:
    """segment_moves.csv, from (month, from_segment, to_segment, customers)."""
    table = pd.DataFrame(rows, columns=["month", "from_segment", "to_segment", "customers"])
    return table.assign(month=pd.to_datetime(table["month"]), net_revenue=0.0)


def test_moves_are_those_of_the_last_month_without_who_stayed():
    figure = draw_moves(
        moves_of(
            ("2024-04-01", "Champions", "At Risk", 900),
            ("2024-05-01", "Champions", "Champions", 800),
            ("2024-05-01", "Champions", "Loyal", 7),
            ("2024-05-01", "Loyal", "Champions", 1200),
            ("2024-05-01", "Loyal", "At Risk", 6),
            ("2024-05-01", "New", "Champions", 9),
        ),
        BEST_FIRST,
    )
    assert title(figure) == "May 2024: 1,200 moved up, 13 moved down, 9 new"
    axes = figure.axes[0]
    assert texts(axes.get_yticklabels()) == [
        *("Loyal → Champions", "New → Champions", "Champions → Loyal", "Loyal → At Risk"),
    ]
    assert texts(axes.texts) == ["1,200", "9", "7", "6"]
    colours = [to_hex(bar.get_facecolor()).upper() for bar in axes.patches]
    assert colours == [BLUE, GREY, ORANGE, ORANGE]


def test_of_many_moves_the_largest_are_shown():
    names = [f"s{n}" for n in range(5)]
    pairs = [(a, b) for a in names for b in names]
    figure = draw_moves(moves_of(*(("2024-05-01", *pair, n) for n, pair in enumerate(pairs))), tuple(names))
    assert texts(figure.axes[0].texts) == [f"{n}" for n in (23, 22, 21, 20, 19, 17, 16, 15, 14, 13, 11, 10)]
    assert f"the {LARGEST} largest of 20 moves" in figure.get_supxlabel()


def test_no_month_and_no_move_have_a_figure():
    assert title(draw_moves(moves_of(), BEST_FIRST)) == "Who moved between segments: no month has ended yet"
    stayed = moves_of(("2024-05-01", "Loyal", "Loyal", 5))
    assert title(draw_moves(stayed, BEST_FIRST)) == "May 2024: 0 moved up, 0 moved down, 0 new"


def test_the_drivers_title_leaves_out_what_is_unknown():
    drivers = pd.DataFrame({"month": pd.to_datetime(["2024-01-01"] * 2), "revenue": [30.0, 10.0]})
    drivers = drivers.assign(category=["Toys", "Books"], channel="Unknown", country="Spain")
    assert title(draw_drivers(drivers)) == "Where revenue comes from: Toys 75%, Spain 100%"


def test_a_text_with_two_dollar_signs_is_no_formula():
    drivers = pd.DataFrame({"month": pd.to_datetime(["2024-01-01"]), "category": "50% & $1 #$", "revenue": 9.0})
    drivers = drivers.assign(channel="$\\frac$", country="$5 - $10")
    expected = "Where revenue comes from: 50% & $1 #$ 100%, $\\frac$ 100%, $5 - $10 100%"
    assert title(draw_drivers(drivers)) == expected


def test_the_confusion_title_counts_who_was_predicted_right():
    churned, predicted = pd.Series([True, True, False, False]), pd.Series([True, False, False, False])
    assert title(draw_confusion(churned, predicted)) == "The model was right about 3 of 4 customers (75.0%)"


def test_the_profit_title_says_where_no_contact_pays():
    curve = pd.DataFrame({"customers_contacted": [0, 1, 2], "expected_profit": [0.0, 5.0, 3.0]})
    pays = title(draw_profit(curve.assign(is_best=[False, True, False])))
    assert pays == "Contacting the first 1 of the list is worth 5"
    never = curve.assign(expected_profit=[0.0, -1.0, -2.0], is_best=[True, False, False])
    assert title(draw_profit(never)) == "Nobody to contact: it does not pay, or nobody can be ranked"


def test_a_ratio_has_two_digits_and_no_exponent():
    assert [two_digits(ratio) for ratio in (0.0123, 0.254, 6.998, 12.6, 128.4, 4912.0)] == [
        *("0.012", "0.25", "7", "13", "130", "4,900"),
    ]


def test_the_odds_are_those_of_the_average_customer():
    terms = pd.DataFrame(
        {
            "feature": ["overdue", "orders", "overdue_squared"],
            "odds_ratio": [2.0, 0.25, 50.0],
            "low": [1.5, 0.2, 40.0],
            "high": [2.5, 0.3, 60.0],
            "meaning": ["Twice as long away", "Twice as many orders", "Far off"],
        }
    )
    figure = draw_odds(terms)
    assert title(figure) == "Twice as many orders: 0.25 times the odds of churn"
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == terms["meaning"].tolist()[1::-1]


def test_the_grid_says_whom_it_calls_otherwise():
    """Customers in a cell of new ones who began long ago have another segment than their cell's name."""
    grid = {score: (f"R{score}",) * 5 for score in (4, 5, 3, 2, 1)}  # in any order
    rfm = pd.DataFrame({"r_score": [5, 5, 1], "f_score": [1, 2, 3], "segment": ["R5", "R5", "R1"]})
    assert draw_rfm_grid(rfm, grid).get_supxlabel() == ""
    old = rfm.assign(segment=["Loyal", "R5", "R1"])
    assert draw_rfm_grid(old, grid).get_supxlabel() == "1 customers began too long ago to be new: Loyal"
