"""Snapshots and features: nothing sees the future, labels and features are what they say."""

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, CUTOFF, HORIZON, make_orders
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from common import Settings
from pulse.features import (
    FEATURES,
    SEASON,
    add_gaps,
    combine_histories,
    features,
    in_parts,
    labelled_features,
    model_columns,
    snapshot_at,
    snapshots,
)
from pulse.orders import add_revenue


def snapshot(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The snapshot, from the orders as they are read."""
    return snapshot_at(add_gaps(orders), cutoff, HORIZON)


def features_at(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The features, from the orders as they are read."""
    return features(snapshot(orders, cutoff), cutoff, HORIZON)


# --- nothing sees the future ---


def tampered(orders: pd.DataFrame, data: st.DataObject) -> pd.DataFrame:
    """The orders with some of those from CUTOFF on changed in any way, but never to before it."""
    later = list(orders.index[orders["order_date"] >= CUTOFF])
    rows = data.draw(st.lists(st.sampled_from(later), min_size=1, max_size=50, unique=True))
    rng, n = np.random.default_rng(data.draw(st.integers(0, 2**32))), len(rows)
    changed = orders.copy()
    changed.loc[rows, "amount"] = rng.uniform(-1e6, 1e6, n)
    changed.loc[rows, "status"] = rng.choice(["completed", "cancelled"], n)
    changed.loc[rows, "customer_id"] = rng.choice(orders["customer_id"].unique(), n)
    changed.loc[rows, "order_date"] = CUTOFF + pd.to_timedelta(rng.choice([0, 1, 89, 90, 500], n), unit="D")
    return add_revenue(changed, frozenset({"completed"})).drop([row for row in rows if rng.random() < 0.3])


@settings(max_examples=25)
@given(data=st.data())
def test_no_order_from_the_cutoff_on_changes_a_feature(simulated, data):
    before = features_at(simulated, CUTOFF)
    pd.testing.assert_frame_equal(features_at(tampered(simulated, data), CUTOFF), before)


@pytest.mark.parametrize("past_it", [1, 500])
def test_a_leak_planted_on_purpose_is_found(simulated, past_it):
    """The same test fails for a feature that looks a day, or to the end of the log, past the cutoff."""

    def last_order(orders: pd.DataFrame) -> pd.Series:
        end = CUTOFF + pd.Timedelta(days=past_it)
        seen = orders[orders["completed"] & (orders["order_date"] < end)]
        return seen.groupby("customer_id")["order_date"].max()

    @settings(phases=[Phase.generate])  # any example will do, it need not be the simplest
    @given(data=st.data())
    def no_order_changes_it(data):
        pd.testing.assert_series_equal(last_order(tampered(simulated, data)), last_order(simulated))

    with pytest.raises(AssertionError):
        no_order_changes_it()


@pytest.mark.parametrize("column", ["overdue", "gap", "orders", "momentum", "spend", "spend_trend", "tenure"])
def test_orders_before_the_cutoff_do_change_features(simulated, column):
    """The tests above would also pass if features ignored the orders."""
    past = simulated[simulated["completed"] & (simulated["order_date"] < CUTOFF)]
    fewer = features_at(simulated.drop(past.sample(1_000, random_state=1).index), CUTOFF)
    before = features_at(simulated, CUTOFF).loc[fewer.index]
    assert not fewer[column].equals(before[column])


# --- histories ---


def test_histories_of_some_customers_add_up_to_those_of_all(simulated, history):
    """Of some, the first order came later than of others."""
    first = simulated.loc[simulated["completed"]].groupby("customer_id", observed=True)["order_date"].min()
    late = simulated["customer_id"].isin(first.index[first > CUTOFF - HORIZON])
    ranges = (simulated[late], simulated[~late])
    own = [part.assign(customer_id=part["customer_id"].cat.remove_unused_categories()) for part in ranges]
    together = combine_histories([snapshots(part, AS_OF, HORIZON, 1.0) for part in own], Settings())
    assert together.first_order == history.first_order
    assert together.spent == pytest.approx(history.spent)
    assert list(together.spent) == list(history.spent)
    assert together.snapshots.keys() == history.snapshots.keys()
    for cutoff, rows in history.snapshots.items():
        pd.testing.assert_frame_equal(together.snapshots[cutoff], rows, check_exact=True)


def test_combining_empties_its_parts(simulated):
    """Memory would not hold all snapshots twice."""
    part = snapshots(simulated, AS_OF, HORIZON, 1.0)
    assert part.snapshots
    combine_histories([part], Settings())
    assert not part.snapshots


def test_the_models_learn_from_a_share_of_the_customers_and_predict_all(simulated, history):
    some = combine_histories([snapshots(simulated, AS_OF, HORIZON, 0.4)], Settings()).snapshots
    now = some[AS_OF]
    learnt = now.index[now["in_sample"]]
    assert 0.3 * len(now) < len(learnt) < 0.5 * len(now)
    for cutoff, rows in history.snapshots.items():
        of_grid = (AS_OF - cutoff) % HORIZON == pd.Timedelta(0)  # the others are a year before those
        expected = rows if of_grid else rows[rows.index.isin(learnt)]
        pd.testing.assert_frame_equal(some[cutoff].drop(columns="in_sample"), expected.drop(columns="in_sample"))
    taught = labelled_features(some, AS_OF - HORIZON, HORIZON, sample_only=True)
    every = labelled_features(history.snapshots, AS_OF - HORIZON, HORIZON)
    pd.testing.assert_frame_equal(taught, every[every.index.isin(learnt)])


def test_parts_hold_every_row_once():
    rows = pd.DataFrame({"n": range(20)})
    for size, sizes in ((7, [7, 7, 6]), (10, [10, 10]), (20, [20]), (100, [20])):
        parts = in_parts(rows, size)
        assert [len(part) for part in parts] == sizes
        pd.testing.assert_frame_equal(pd.concat(parts), rows)
    assert [len(part) for part in in_parts(rows[:0], 7)] == [0]


# --- labels and features ---


def test_labels_by_hand():
    rows = [
        (who, "2024-01-10", 5.0) for who in ("gone", "at cutoff", "in time", "too late", "cancels", "refunded")
    ]
    rows += [
        ("at cutoff", "2024-06-01 00:00", 5.0),
        ("in time", "2024-08-29 23:59", 5.0),
        ("in time", "2024-08-29 23:59", -2.0),
        ("too late", "2024-08-30 00:00", 5.0),
        ("cancels", "2024-07-01", 5.0, "cancelled"),
        ("refunded", "2024-07-01", -5.0, "refunded"),
        ("unknown yet", "2024-07-01", 5.0),
    ]
    known = {CUTOFF: snapshot(make_orders(*rows), CUTOFF)}
    assert labelled_features(known, CUTOFF, HORIZON)[["churned", "revenue"]].T.to_dict("list") == {
        "at cutoff": [False, 5],
        "cancels": [True, 0],
        "gone": [True, 0],
        "in time": [False, 3],
        "refunded": [True, -5],
        "too late": [True, 0],
    }


def test_sums_keep_three_decimals_and_no_noise():
    """0.1 + 0.2 is 0.3, and a Kuwaiti dinar has 1000 fils."""
    orders = make_orders(
        *(("c", "2024-01-02", 1.0),),
        *(("a", "2024-05-12", 0.1), ("a", "2024-05-13", 0.2), ("b", "2024-05-13", 1.234)),
        *(("a", "2024-06-02", 0.1), ("a", "2024-06-03", 0.2), ("b", "2024-06-03", -0.001, "refunded")),
    )
    known = snapshot(orders, CUTOFF)
    assert known[["paid", "recent_paid", "future_revenue"]].T.to_dict("list") == {
        "a": [0.3, 0.3, 0.3],
        "b": [1.234, 1.234, -0.001],
        "c": [1.0, 0.0, 0.0],
    }
    parts = [snapshots(orders[orders["customer_id"] == who], AS_OF, HORIZON, 1.0) for who in "abc"]
    assert combine_histories(parts, Settings()).spent[AS_OF - 3 * HORIZON] == 1.833


def test_features_by_hand():
    orders = make_orders(
        ("a", "2024-02-02", 10.0),
        ("b", "2024-05-31", 8.0),
        ("a", "2024-05-12", 60.0),  # 70 days later, 20 before the cutoff
        ("a", "2024-03-03", 20.0),  # 30 days after the first; out of order on purpose
        ("a", "2024-05-13", -6.0, "refunded"),
        ("b", "2024-05-31", 99.0, "cancelled"),
    )
    known = features_at(orders, CUTOFF)
    assert known[["recency_days", "tenure_days"]].T.to_dict("list") == {"a": [20, 120], "b": [1, 1]}
    usual, order = 100 / 2, 98 / 4  # the only two gaps, and the four orders, that there are
    gap, a_order, b_order = (100 + usual) / 3, (90 + order) / 4, (8 + order) / 2
    expected = {
        "overdue": [np.log(21 / (1 + gap)), np.log(2 / (1 + usual))],
        "gap": [np.log1p(gap), np.log1p(usual)],
        "orders": [np.log(3), 0],
        "irregularity": [np.log((30**2 + 70**2 + 2 * usual**2) / 3 / gap**2) / 2, np.log(2) / 2],
        "tenure": [np.sqrt(120), 1],
        "momentum": [np.log((2 + 1) / (3 * 90 / 120 + 1)), np.log(2 / 2)],
        "spend": [np.log1p(a_order), np.log1p(b_order)],
        "spend_trend": [
            np.log1p((20 + 60 + a_order) / 3) - np.log1p(a_order),
            np.log1p((8 + b_order) / 2) - np.log1p(b_order),
        ],
        "refunds": [1 / 4, 0],
        "one_order": [0, 1],
    }
    assert list(expected) == list(FEATURES)
    for name, values in expected.items():
        assert known[name].tolist() == pytest.approx(values), name


def test_the_season_enters_once_it_was_seen_twice():
    def rows(*cutoffs: str) -> pd.DataFrame:
        return pd.DataFrame({"cutoff": pd.to_datetime(cutoffs)})

    assert model_columns(rows("2023-01-01", "2024-12-30")) == list(FEATURES)
    assert model_columns(rows("2023-01-01", "2024-12-31")) == [*FEATURES, *SEASON]
