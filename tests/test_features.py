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
    YEAR,
    add_gaps,
    combine_histories,
    features,
    in_parts,
    labelled_features,
    revenue_by_part,
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


@pytest.mark.parametrize("column", FEATURES)
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
    pd.testing.assert_frame_equal(together.spent, history.spent)
    for mine, whole in ((together.snapshots, history.snapshots), (together.years, history.years)):
        assert mine.keys() == whole.keys()
        for cutoff, rows in whole.items():
            pd.testing.assert_frame_equal(mine[cutoff], rows, check_exact=True)


def test_combining_empties_its_parts(simulated):
    """Memory would not hold all snapshots twice."""
    part = snapshots(simulated, AS_OF, HORIZON, 1.0)
    assert part.snapshots
    combine_histories([part], Settings())
    assert not part.snapshots
    assert not part.years


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
    assert known[["spent", "recent_spent", "future_revenue"]].T.to_dict("list") == {
        "a": [0.3, 0.3, 0.3],
        "b": [1.234, 1.234, -0.001],
        "c": [1.0, 0.0, 0.0],
    }
    parts = [snapshots(orders[orders["customer_id"] == who], AS_OF, HORIZON, 1.0) for who in "abc"]
    assert combine_histories(parts, Settings()).spent.loc[AS_OF - 3 * HORIZON].sum() == 1.833


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
    usual, order = 100 / 2, 92 / 4  # the only two gaps, and the four orders, that there are
    gap, a_order, b_order = (100 + usual) / 3, (84 + order) / 4, (8 + order) / 2
    expected = {
        "overdue": [np.log(21 / (1 + gap)), np.log(2 / (1 + usual))],
        "gap": [np.log1p(gap), np.log1p(usual)],
        "orders": [np.log(3), 0],
        "irregularity": [np.log((30**2 + 70**2 + 2 * usual**2) / 3 / gap**2) / 2, np.log(2) / 2],
        "spend": [np.log(a_order), np.log(b_order)],
        "spend_trend": [np.log((20 + 60 - 6 + a_order) / 3 / a_order), np.log((8 + b_order) / 2 / b_order)],
        "late": [np.log(1 + 2), np.log(1 + 1)],
    }
    assert list(expected) == list(FEATURES)
    for name, values in expected.items():
        assert known[name].tolist() == pytest.approx(values), name


def test_what_came_back_counts_as_not_spent():
    """A large order returned at once leaves a customer like any other, and nobody's amounts below 0."""
    usual = [(who, f"2024-0{month}-10", 20.0) for who in "abcd" for month in (2, 3, 4)]
    large = [("e", "2024-05-01 10:00", 168_469.6), ("e", "2024-05-01 10:12", -168_469.6, "refunded")]
    known = features_at(make_orders(*usual, *large, ("d", "2024-05-02", -5_000.0, "refunded")), CUTOFF)
    assert known.loc["e", "spend"] < known.loc["a", "spend"]
    assert known.loc["d", "spend"] < known.loc["a", "spend"]
    assert np.isfinite(known[FEATURES]).all(axis=None)


def test_nobody_paid_anything_is_no_error():
    known = features_at(make_orders(("a", "2024-03-01", 0.0), ("b", "2024-04-01", 0.0)), CUTOFF)
    assert np.isfinite(known[FEATURES]).all(axis=None)


def test_revenue_by_part_by_hand():
    orders = make_orders(
        ("old", "2024-05-01", 7.0),
        ("old", "2024-06-02", 10.0),
        ("old", "2024-06-03", -4.0, "refunded"),
        ("new", "2024-06-03", 1.0),
        ("new", "2024-06-04", 2.0),
        ("never sold", "2024-06-05", -0.5, "refunded"),
        ("cancels", "2024-06-06", 50.0, "cancelled"),
        (None, "2024-06-07", 100.0),
        (None, "2024-08-30", 1000.0),
    )
    spent = revenue_by_part(orders, CUTOFF + HORIZON, HORIZON)
    assert spent.loc[CUTOFF].to_dict() == {"known": 6.0, "new": 2.5, "guests": 100.0}
    assert spent.loc[CUTOFF + HORIZON].to_dict() == {"known": 0.0, "new": 0.0, "guests": 1000.0}
    assert spent.loc[CUTOFF - HORIZON].to_dict() == {"known": 0.0, "new": 7.0, "guests": 0.0}
    assert CUTOFF - YEAR in spent.index


def test_a_years_future_is_that_of_a_year(simulated, history):
    cutoff = AS_OF - YEAR
    future = simulated[simulated["order_date"] >= cutoff]
    expected = future[future["completed"]].groupby("customer_id", observed=True).size()
    found = history.years[cutoff]["future_n"]
    assert found.sum() > 0
    pd.testing.assert_series_equal(
        found[found > 0].astype("int64"), expected.reindex(found.index[found > 0]), check_names=False
    )
