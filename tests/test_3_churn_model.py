"""Step 3: cutoffs, models and forecasts are what they say, and no forecast sees its own window."""

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, HORIZON, make_orders

from common import Settings
from pulse.contacts import contact_list, reasons
from pulse.features import (
    ROWS_AT_A_TIME,
    YEAR,
    History,
    combine_histories,
    labelled_features,
    model_columns,
    snapshots,
)


def history_of(orders: pd.DataFrame, as_of: pd.Timestamp) -> History:
    """What these orders say at every cutoff."""
    return combine_histories([snapshots(orders, as_of, HORIZON, 1.0)], Settings())


# --- cutoffs ---


def test_windows_never_overlap_and_the_last_ends_at_as_of(churn, simulated):
    first = simulated.loc[simulated["completed"], "order_date"].min()
    cutoffs = churn.choose_cutoffs(first, AS_OF, HORIZON)
    assert cutoffs[-1] + HORIZON == AS_OF
    assert set(np.diff(cutoffs)) == {HORIZON}
    assert cutoffs[0] - first >= HORIZON
    assert len(cutoffs) == 7


def test_too_little_history_gets_a_sentence(churn, capsys):
    first = pd.Timestamp("2024-01-01")
    with pytest.raises(SystemExit) as stopped:
        churn.choose_cutoffs(first, pd.Timestamp("2024-09-21"), HORIZON)
    assert stopped.value.code == 2
    assert "span 264 days, and the model needs 270" in capsys.readouterr().err
    assert len(churn.choose_cutoffs(first, pd.Timestamp("2024-09-27"), HORIZON)) == 2
    assert len(churn.choose_cutoffs(first, pd.Timestamp("2024-09-21"), HORIZON / 2)) == 4


@pytest.mark.parametrize(
    ("churned", "says"),
    [
        (49, "Only 49 of 100 customers churned within the horizon"),
        (52, "Only 48 of 100 customers stayed"),
        (10, "load about 5 times as many customers"),
        (0, "load both kinds of customers"),
        (100, "Only 0 of 100 customers stayed"),
    ],
)
def test_too_few_of_a_kind_get_a_sentence(churn, capsys, churned, says):
    enough = pd.DataFrame({"churned": [True, False] * 50, "revenue": 1.0})
    few = pd.DataFrame({"churned": [True] * churned + [False] * (100 - churned)})
    churn.require_both_kinds(enough, enough)
    with pytest.raises(SystemExit) as stopped:
        churn.require_both_kinds(enough, few)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


# --- predictions ---


@pytest.mark.slow
def test_customers_are_predicted_in_parts_as_all_at_once(churn, today, models):
    """So many copies of the customers that they come in two parts, and a part's end cuts a copy."""
    times = ROWS_AT_A_TIME // len(today) + 2
    assert ROWS_AT_A_TIME % len(today)
    told, many = churn.predict(models, today), pd.concat([today] * times)
    assert len(many) > ROWS_AT_A_TIME
    told_many = churn.predict(models, many)
    pd.testing.assert_frame_equal(told_many, pd.concat([told] * times), rtol=1e-9, atol=0.0101)  # a cent
    pd.testing.assert_frame_equal(
        told_many.drop(columns="expected_revenue"),
        pd.concat([told.drop(columns="expected_revenue")] * times),
        rtol=1e-9,
    )
    words = reasons(models.churn, today, told["churn_probability"].to_numpy())
    words_of_many = reasons(models.churn, many, told_many["churn_probability"].to_numpy())
    assert (words_of_many == np.tile(words, times)).all()


def test_the_season_multiplies_what_is_spent(churn, today, models):
    usual, twice = churn.predict(models, today), churn.predict(models, today, season=2.0)
    staying = 1 - usual["churn_probability"]
    pd.testing.assert_series_equal(twice["churn_probability"], usual["churn_probability"])
    np.testing.assert_allclose(twice["if_staying"], 2 * usual["if_staying"])
    np.testing.assert_allclose(
        usual["if_staying"], models.spending.predict(today[models.spending.feature_names_in_])
    )
    np.testing.assert_allclose(twice["expected_revenue"], 2 * staying * usual["if_staying"], atol=0.006)


def test_spending_adds_up_to_net_revenue(learning, models):
    """Over the customers who stayed, what the model expects is what all of them spent, refunds taken off."""
    train = pd.concat(learning[:-1])
    stayed = train[~train["churned"]]
    expected = models.spending.predict(stayed[models.spending.feature_names_in_]).sum()
    assert expected == pytest.approx(train["revenue"].sum(), rel=1e-3)


@pytest.mark.parametrize("unit", [1e-3, 1e9])
def test_the_currency_does_not_matter(churn, learning, unit):
    train = pd.concat(learning[:-1])
    columns = model_columns(train)
    expected, other = (
        churn.fit_spending(train.assign(revenue=train["revenue"] * factor)).predict(train[columns])
        for factor in (1.0, unit)
    )
    np.testing.assert_allclose(other, expected * unit, rtol=1e-3)


# --- forecasts ---


def test_no_past_forecast_sees_its_own_window(churn, simulated, history, learning):
    """Without the orders from a window's start on, its forecast and interval are the same; the actual is not."""
    forecast, _ = churn.forecast_revenue(history, learning, AS_OF, {})
    predicted = ["window_start", "forecast", "low", "high", "naive_last_window", "naive_year_before"]
    assert len(forecast) == 3  # those whose season was seen a year before
    for n in (len(learning) - 2, len(learning) - 1):
        start = learning[n]["cutoff"].iloc[0]
        blind = [*learning[:n], learning[n].assign(revenue=1.0, churned=True)]
        before = history_of(simulated[simulated["order_date"] < start], AS_OF)
        again, _ = churn.forecast_revenue(before, blind, AS_OF, {})
        row, same = (frame[frame["window_start"] == start].iloc[0] for frame in (forecast, again))
        pd.testing.assert_series_equal(same[predicted], row[predicted], check_names=False)
        assert same["actual"] != row["actual"]


def test_the_forecast_is_the_sum_of_the_list(churn, simulated, history, learning, today):
    latest = churn.fit(pd.concat(learning))
    forecast, season = churn.forecast_revenue(history, learning, AS_OF, {len(learning): latest})
    year_before = labelled_features(history.snapshots, AS_OF - YEAR, HORIZON)
    then = churn.predict(latest, year_before)["expected_revenue"].sum()
    assert season == pytest.approx(year_before["revenue"].sum() / then)
    predictions = churn.predict(latest, today, season).assign(segment="", main_reason="", second_reason="")
    listed = contact_list(predictions, today, HORIZON, churn.CAMPAIGN, churn.RISK_BANDS)
    tested, coming = forecast.iloc[-2], forecast.iloc[-1]
    assert coming["forecast"] == pytest.approx(listed["expected_revenue"].sum(), abs=0.005)
    assert tested["actual"] == pytest.approx(learning[-1]["revenue"].sum(), abs=0.005)
    paid = simulated[simulated["completed"] | (simulated["amount"] < 0)]
    for column, days in (("naive_last_window", 90), ("naive_year_before", 365)):
        start = tested["window_start"] - pd.Timedelta(days=days)
        window = paid["order_date"].between(start, start + HORIZON, inclusive="left")
        assert tested[column] == pytest.approx(paid.loc[window, "amount"].sum(), abs=0.005)
    worst = (forecast["actual"] / forecast["forecast"] - 1).abs().max()
    assert coming["high"] == pytest.approx(coming["forecast"] * (1 + worst), rel=1e-4)
    assert pd.isna(coming["actual"])


# --- odd shops ---


def shop_of(n: int, start: str, days: int, every: int, amount: float = 10.0, seed: int = 0) -> list[tuple]:
    """Orders of n customers: of each, the first on some day, then about every so many days until a lapse."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(n):
        when = rng.uniform(0, days)
        while when < days:
            rows.append((f"c{customer}", pd.Timestamp(start) + pd.Timedelta(days=when), amount))
            when += rng.gamma(4, every / 4)
            if rng.random() < 0.08:
                break
    return rows


ODD = {
    "a soft launch": [("early", "2023-01-05", 10.0)],
    "two orders at once, long before": [("early", "2023-01-05", 10.0)] * 2,
    "a huge refund": [("c1", "2024-02-01", -9e4)],
    "a year of huge refunds": [(f"c{n}", f"2024-{n % 9 + 1:02}-01", -9e5) for n in range(30)],
}


@pytest.mark.parametrize("odd", list(ODD))
@pytest.mark.filterwarnings("error")
def test_an_odd_shop_gets_a_forecast_or_a_sentence(churn, odd, capsys):
    orders = make_orders(*shop_of(400, "2023-10-01", 700, 30), *ODD[odd])
    as_of = pd.Timestamp("2025-09-01")
    history = history_of(orders[orders["order_date"] < as_of], as_of)
    cutoffs = churn.choose_cutoffs(history.first_order, as_of, HORIZON)
    learning = [labelled_features(history.snapshots, cutoff, HORIZON) for cutoff in cutoffs]
    train = pd.concat(learning[:-1])
    if odd == "a year of huge refunds":
        with pytest.raises(SystemExit):
            churn.require_both_kinds(train, learning[-1])
        assert "add up to no revenue above 0" in capsys.readouterr().err
        return
    churn.require_both_kinds(train, learning[-1])
    forecast, _ = churn.forecast_revenue(history, learning, as_of, {})
    assert np.isfinite(forecast[["forecast", "naive_last_window"]]).all(axis=None)
    assert (forecast["forecast"] > 0).all()
    assert forecast["high"].iloc[-1] < 3 * forecast["forecast"].iloc[-1]
