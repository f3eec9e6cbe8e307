"""Step 3: cutoffs, models and forecasts are what they say, and no forecast sees its own window."""

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, HORIZON, make_orders
from hypothesis import given, settings
from hypothesis import strategies as st

from common import Settings
from pulse.contacts import contact_list, explain
from pulse.features import ROWS_AT_A_TIME, YEAR, History, combine_histories, labelled_features, snapshots
from pulse.forecasts import KNOWN, SEASON_BOUNDS


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
    words, words_of_many = (
        explain(predicted, models.churn, rows, HORIZON, churn.RISK_BANDS)[["main_reason", "second_reason"]]
        for predicted, rows in ((told, today), (told_many, many))
    )
    pd.testing.assert_frame_equal(words_of_many, pd.concat([words] * times))


def test_the_season_multiplies_what_is_spent(churn, today, models):
    usual, twice = churn.predict(models, today), churn.predict(models, today, season=2.0)
    staying = 1 - usual["churn_probability"]
    pd.testing.assert_series_equal(twice["churn_probability"], usual["churn_probability"])
    np.testing.assert_allclose(twice["if_staying"], 2 * usual["if_staying"])
    np.testing.assert_allclose(usual["if_staying"], models.spending.predict(today[churn.SPENDING]))
    np.testing.assert_allclose(twice["expected_revenue"], 2 * staying * usual["if_staying"], atol=0.006)


def test_spending_adds_up_to_net_revenue(churn, learning, models):
    """Over the customers who stayed, what the model expects is what all of them spent, refunds taken off."""
    train = pd.concat(learning[:-1])
    stayed = train[~train["churned"]]
    expected = models.spending.predict(stayed[churn.SPENDING]).sum()
    assert expected == pytest.approx(train["revenue"].sum(), rel=1e-3)


@pytest.mark.parametrize("unit", [1e-3, 1e9])
def test_the_currency_does_not_matter(churn, learning, unit):
    train = pd.concat(learning[:-1])
    expected, other = (
        churn.fit_spending(train.assign(revenue=train["revenue"] * factor)).predict(train[churn.SPENDING])
        for factor in (1.0, unit)
    )
    np.testing.assert_allclose(other, expected * unit, rtol=1e-3)


# --- forecasts ---


def test_no_past_forecast_sees_its_own_window(churn, simulated, history, learning):
    """Without the orders from a window's start on, its forecast and interval are the same; the actual is not."""
    forecast, _ = churn.forecast_revenue(history, learning, AS_OF, {})
    predicted = ["part", "window_start", "forecast", "low", "high", "naive_last_window", "naive_year_before"]
    for n in (len(learning) - 2, len(learning) - 1):
        start = learning[n]["cutoff"].iloc[0]
        blind = [*learning[:n], learning[n].assign(revenue=1.0, churned=True)]
        before = history_of(simulated[simulated["order_date"] < start], AS_OF)
        again, _ = churn.forecast_revenue(before, blind, AS_OF, {})
        rows, same = (frame[frame["window_start"] == start].reset_index() for frame in (forecast, again))
        assert len(rows) == 4  # parts
        pd.testing.assert_frame_equal(same[predicted], rows[predicted])
        assert not same["actual"].equals(rows["actual"])


def test_the_forecast_is_the_sum_of_the_list(churn, simulated, history, learning, today):
    latest = churn.fit(pd.concat(learning), churn.BACKTEST_FORM)
    forecast, season = churn.forecast_revenue(history, learning, AS_OF, {len(learning): latest})
    predictions = churn.predict(latest, today, season).assign(segment="")
    told = explain(predictions, latest.churn, today, HORIZON, churn.RISK_BANDS)
    listed = contact_list(told, today, churn.CAMPAIGN, can_rank=True)
    known = forecast[forecast["part"] == KNOWN]
    tested, coming = known.iloc[-2], known.iloc[-1]
    assert coming["forecast"] == pytest.approx(listed["expected_revenue"].sum(), abs=0.005)
    assert tested["actual"] == pytest.approx(learning[-1]["revenue"].sum(), abs=0.005)
    paid = simulated[simulated["completed"] | (simulated["amount"] < 0)]
    for column, days in (("naive_last_window", 90), ("naive_year_before", 365)):
        start = tested["window_start"] - pd.Timedelta(days=days)
        window = paid["order_date"].between(start, start + HORIZON, inclusive="left")
        assert tested[column] == pytest.approx(paid.loc[window, "amount"].sum(), abs=0.005)
    assert pd.isna(coming["actual"])


# --- the season ---


@pytest.fixture(scope="module")
def ratio(churn, history, models) -> float:
    """What the customers known for a horizon brought in the window a year before, over what is said of them."""
    then = labelled_features(history.snapshots, AS_OF - YEAR, HORIZON)
    then = then[then["tenure_days"] >= 90]
    return then["revenue"].sum() / churn.predict(models, then)["expected_revenue"].sum()


@pytest.fixture(scope="module")
def then(churn, history) -> pd.DataFrame:
    """The customers of a year before AS_OF."""
    return churn.year_before(history, AS_OF, HORIZON)


def test_the_season_is_drawn_towards_1_by_its_uncertainty(churn, models, then, ratio):
    factor = churn.season_factor(models, then)
    assert 0 < np.log(factor) / np.log(ratio) < 1
    assert factor == pytest.approx(ratio, rel=0.05)  # hundreds of customers are rather certain
    one = then["revenue"].sum() * (then.index == then["revenue"].idxmax())
    of_one = churn.season_factor(models, then.assign(revenue=one))
    assert abs(np.log(of_one)) < abs(np.log(factor)) / 5  # the same sum by one customer says little


@pytest.mark.parametrize(("times", "bound"), [(0.01, 0), (100, 1)])
def test_the_season_has_bounds(churn, models, then, times, bound):
    assert churn.season_factor(models, then.assign(revenue=times * then["revenue"])) == SEASON_BOUNDS[bound]


def with_year_before(history: History, **columns) -> History:
    """The history with other columns in the snapshot of a year before AS_OF."""
    start = AS_OF - YEAR
    return history._replace(snapshots={start: history.snapshots[start].assign(**columns)})


def test_a_season_of_too_few_or_of_no_revenue_is_not_known(churn, history, then):
    start, snapshot = AS_OF - YEAR, history.snapshots[AS_OF - YEAR]
    known = snapshot["first"] <= start - HORIZON
    assert known.sum() == len(then) > 60
    for n, is_known in ((49, False), (50, True)):
        buyers = (known & (known.cumsum() <= n)).astype(int)
        odd = with_year_before(history, future_n=buyers + (~known))  # the others were not known for a horizon
        assert (churn.year_before(odd, AS_OF, HORIZON) is not None) is is_known
    for odd in (
        with_year_before(history, future_revenue=-1.0),
        history._replace(snapshots={}),
        history._replace(snapshots={start: snapshot[:0]}),
    ):
        assert churn.year_before(odd, AS_OF, HORIZON) is None


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


SHOP = shop_of(400, "2023-10-01", 700, 30)
ODD = {
    "a soft launch": [("early", "2023-01-05", 10.0)],
    "two orders at once, long before": [("early", "2023-01-05", 10.0)] * 2,
    "a large order, long before": [("early", "2023-03-05", 9e4)],
    "an owner's trial, who came back": [("early", "2022-06-05", 40.0), ("early", "2024-06-05", 40.0)],
    "an order of the year before": [("c1", "2022-09-05", 10.0)],
    "a huge refund": [("c1", "2024-02-01", -9e4)],
    "a huge refund of late": [("c1", "2025-08-01", -9e3)],
    "a large order that came back": [("c1", "2025-08-20 10:00", 9e4), ("c1", "2025-08-20 10:12", -9e4)],
    "a customer with half the revenue": [("whale", f"2024-{month:02}-15", 4e4) for month in range(1, 13)],
}
AT_MOST_A_TENTH = [*list(ODD)[:7], "a large order that came back"]  # of the forecast may change


def shop_of_months(first: str) -> list[tuple]:
    """Orders of 1,000 customers who joined from this day on, and of guests, before September 2025."""
    days = (pd.Timestamp("2025-09-01") - pd.Timestamp(first)).days
    guests = [(None, pd.Timestamp(first) + pd.Timedelta(days=day), 20.0) for day in range(0, days, 2)]
    return shop_of(1_000, first, days, 30) + guests


def forecast_of(churn, orders: list[tuple]) -> pd.DataFrame:
    """revenue_forecast.csv of these orders, at the first of September 2025."""
    as_of = pd.Timestamp("2025-09-01")
    frame = make_orders(*orders)
    history = history_of(frame[frame["order_date"] < as_of], as_of)
    cutoffs = churn.choose_cutoffs(history.first_order, as_of, HORIZON)
    learning = [labelled_features(history.snapshots, cutoff, HORIZON) for cutoff in cutoffs]
    churn.require_both_kinds(pd.concat(learning[:-1]), learning[-1])
    return churn.forecast_revenue(history, learning, as_of, {})[0]


@pytest.fixture(scope="module")
def usual_forecast(churn) -> float:
    """Of the shop with nothing odd."""
    return forecast_of(churn, SHOP)["forecast"].iloc[-1]


@pytest.mark.parametrize(
    "odd", [odd if n % 2 else pytest.param(odd, marks=pytest.mark.slow) for n, odd in enumerate(ODD)]
)
@pytest.mark.filterwarnings("error")
def test_an_odd_shop_gets_a_forecast(churn, odd, usual_forecast):
    forecast = forecast_of(churn, [*SHOP, *ODD[odd]])
    known = forecast[forecast["part"] == KNOWN]
    assert (known["forecast"] > 0).all()
    assert np.isfinite(known[["low", "high"]]).all(axis=None)
    coming = forecast.iloc[-1]
    assert coming["high"] < 12 * coming["forecast"]
    if odd in AT_MOST_A_TENTH:
        assert coming["forecast"] == pytest.approx(usual_forecast, rel=0.1)


def test_a_year_of_huge_refunds_gets_a_sentence(churn, capsys):
    refunds = [(f"c{n}", f"2024-{n % 9 + 1:02}-01", -9e5) for n in range(30)]
    as_of = pd.Timestamp("2025-09-01")
    history = history_of(make_orders(*SHOP, *refunds), as_of)
    with pytest.raises(SystemExit):
        churn.learn(history, as_of, HORIZON)
    assert "add up to no revenue above 0" in capsys.readouterr().err


def test_a_tested_window_of_huge_refunds_gets_a_sentence(churn, capsys):
    as_of = pd.Timestamp("2025-09-01")
    history = history_of(make_orders(*SHOP, ("c1", "2025-08-01", -9e6)), as_of)
    with pytest.raises(SystemExit):
        churn.learn(history, as_of, HORIZON)
    assert "add up to no revenue above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("opened", "early"),
    [("2024-07-01", "2024-03-03"), pytest.param("2024-11-20", "2024-07-23", marks=pytest.mark.slow)],
)
def test_no_lone_early_order_moves_a_young_shops_forecast(churn, opened, early):
    """Nor makes a window of before the shop had opened one to compare with."""
    shop = shop_of_months(opened)
    usual, with_it = (forecast_of(churn, orders) for orders in (shop, [*shop, ("early", early, 10.0)]))
    usual, with_it = (table.groupby("part")["forecast"].last() for table in (usual, with_it))
    assert (usual > 0).all()
    np.testing.assert_allclose(with_it, usual, rtol=0.1)


@pytest.mark.parametrize("days", [pytest.param(73, marks=pytest.mark.slow), 365])
def test_a_horizon_may_divide_the_year(churn, days):
    """Windows a year before are then windows of the grid."""
    as_of, horizon = pd.Timestamp("2025-09-01"), pd.Timedelta(days=days)
    orders = make_orders(*shop_of(400, "2022-01-01", 1339, 30))
    history = combine_histories([snapshots(orders, as_of, horizon, 1.0)], Settings())
    start = as_of - horizon
    window = orders["order_date"].between(start, as_of, inclusive="left")
    assert history.spent.loc[start].sum() == pytest.approx(orders.loc[window, "net"].sum())
    assert len(history.snapshots[start]) == orders.loc[orders["order_date"] < start, "customer_id"].nunique()
    assert churn.learn(history, as_of, horizon).forecast["forecast"].gt(0).any()


def test_the_tested_window_decides_nothing_about_its_test(churn, simulated, history):
    """Whatever comes from the last cutoff on: the form, the tested model and its forecast stay."""
    last = AS_OF - HORIZON
    later = simulated["order_date"] >= last
    other = simulated.assign(net=simulated["net"] * np.where(later, 3, 1))
    other = other.drop(other[later].sample(frac=0.3, random_state=1).index)
    usual, changed = (churn.learn(past, AS_OF, HORIZON) for past in (history, history_of(other, AS_OF)))
    assert usual.tested.churn[-1].C == changed.tested.churn[-1].C
    np.testing.assert_array_equal(usual.tested.churn[-1].coef_, changed.tested.churn[-1].coef_)
    forecasts = (
        learned.forecast.pipe(lambda f: f[f["window_start"] == last])["forecast"] for learned in (usual, changed)
    )
    np.testing.assert_array_equal(*forecasts)
    assert not np.array_equal(usual.latest.churn[-1].coef_, changed.latest.churn[-1].coef_)


@pytest.mark.slow
@settings(max_examples=25)
@given(when=st.datetimes(pd.Timestamp("2022-01-01"), pd.Timestamp("2023-09-30")), amount=st.floats(0.01, 1e5))
def test_no_lone_early_order_moves_the_forecast(churn, usual_forecast, when, amount):
    forecast = forecast_of(churn, [*SHOP, ("early", when, amount)])
    assert forecast["forecast"].iloc[-1] == pytest.approx(usual_forecast, rel=0.1)
