"""pulse/charts.py and churn_charts.py: titles say what is seen, whatever the tables hold."""

import pandas as pd
import pytest

from pulse.charts import draw_cohorts, draw_drivers, draw_revenue, format_amount
from pulse.churn_charts import draw_confusion, draw_odds, draw_profit, two_digits


def title(figure) -> str:
    return figure.get_suptitle()


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


def test_the_drivers_title_leaves_out_what_is_unknown():
    drivers = pd.DataFrame({"month": pd.to_datetime(["2024-01-01"] * 2), "revenue": [30.0, 10.0]})
    drivers = drivers.assign(category=["Toys", "Books"], channel="Unknown", country="Spain")
    assert title(draw_drivers(drivers)) == "Where revenue comes from: Toys 75%, Spain 100%"


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
