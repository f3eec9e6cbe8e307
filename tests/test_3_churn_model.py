"""Step 3: no feature sees the future, labels and baselines are what they say, and the report is honest."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_orders
from hypothesis import given
from hypothesis import strategies as st

CUTOFF = pd.Timestamp("2024-06-01")


@pytest.fixture(scope="module")
def orders(generation) -> pd.DataFrame:
    """A simulated shop as read_orders returns it."""
    blocks = generation.simulate(800, pd.Timestamp("2023-01-01"), pd.Timestamp("2024-12-31"), seed=3)
    docs = [doc for block in blocks for doc in block["orders"]]
    return make_orders(*((d["customer_id"], d["order_date"], d["total"], d["status"]) for d in docs))


@given(data=st.data())
def test_no_order_from_the_cutoff_on_changes_a_feature(churn, orders, data):
    """Change any later order in any way, take it away, or add one: the features stay the same."""
    before = churn.features_at(orders, CUTOFF)
    later = list(orders.index[orders["order_date"] >= CUTOFF])
    rows = data.draw(st.lists(st.sampled_from(later), min_size=1, max_size=50))
    days = data.draw(st.integers(0, 500))
    changed = orders.copy()
    changed.loc[rows, "amount"] = data.draw(st.floats(-1e6, 1e6))
    changed.loc[rows, "completed"] = data.draw(st.booleans())
    changed.loc[rows, "customer_id"] = data.draw(st.sampled_from(list(orders["customer_id"].unique())))
    changed.loc[rows, "order_date"] = CUTOFF + pd.Timedelta(days=days)
    pd.testing.assert_frame_equal(churn.features_at(changed, CUTOFF), before)
    pd.testing.assert_frame_equal(churn.features_at(orders.drop(rows), CUTOFF), before)


def test_the_last_order_before_the_cutoff_does_change_features(churn, orders):
    """The test above would also pass if features ignored the orders."""
    last = orders[orders["completed"] & (orders["order_date"] < CUTOFF)]["order_date"].idxmax()
    features = churn.features_at(orders.drop(last), CUTOFF)
    assert not features.equals(churn.features_at(orders, CUTOFF))


def test_labels_by_hand(churn):
    rows = [
        (who, "2024-01-10", 5.0) for who in ("gone", "at cutoff", "in time", "too late", "cancels", "refunded")
    ]
    rows += [
        ("at cutoff", "2024-06-01 00:00", 5.0),
        ("in time", "2024-08-29 23:59", 5.0),
        ("too late", "2024-08-30 00:00", 5.0),
        ("cancels", "2024-07-01", 5.0, "cancelled"),
        ("refunded", "2024-07-01", -5.0, "refunded"),
        ("unknown yet", "2024-07-01", 5.0),
    ]
    churned = churn.labelled(make_orders(*rows), CUTOFF)["churned"]
    assert churned.to_dict() == {
        "at cutoff": False,
        "cancels": True,
        "gone": True,
        "in time": False,
        "refunded": True,
        "too late": True,
    }


def test_features_by_hand(churn):
    orders = make_orders(
        ("a", "2024-03-03", 10.0),
        ("a", "2024-04-02", 20.0),  # 30 days later
        ("a", "2024-05-12", 60.0),  # 40 days later, 20 before the cutoff
        ("b", "2024-05-31", 8.0),
        ("b", "2024-05-31", 99.0, "cancelled"),
    )
    known = churn.features_at(orders, CUTOFF)
    assert known.loc["a", ["recency_days", "tenure_days"]].tolist() == [20, 90]
    usual = 70 / 2  # the only two gaps there are
    assert known.loc["a", "overdue"] == pytest.approx(np.log(21 / (1 + (70 + usual) / 3)))
    assert known.loc["b", "overdue"] == pytest.approx(np.log(2 / (1 + usual)))
    assert np.exp(known["orders"]).tolist() == pytest.approx([3, 1])
    assert known.loc["a", "overdue_x_orders"] == pytest.approx(known.loc["a", "overdue"] * np.log(3))
    assert np.expm1(known["tenure"]).tolist() == pytest.approx([90, 1])


def test_windows_never_overlap_and_the_last_ends_at_as_of(churn, orders):
    as_of = pd.Timestamp("2025-01-01")
    cutoffs = churn.choose_cutoffs(orders, as_of)
    horizon = pd.Timedelta(days=churn.HORIZON_DAYS)
    assert cutoffs[-1] + horizon == as_of
    assert set(np.diff(cutoffs)) == {horizon}
    assert cutoffs[0] - orders.loc[orders["completed"], "order_date"].min() >= horizon
    assert len(cutoffs) == 7


def test_too_little_history_gets_a_sentence(churn, capsys):
    orders = make_orders(("a", "2024-01-01", 1.0), ("a", "2024-09-20", 1.0))
    with pytest.raises(SystemExit) as stopped:
        churn.choose_cutoffs(orders, pd.Timestamp("2024-09-21"))
    assert stopped.value.code == 2
    assert "span 264 days, and the model needs 270" in capsys.readouterr().err
    assert len(churn.choose_cutoffs(orders, pd.Timestamp("2024-09-27"))) == 2


@pytest.mark.parametrize(
    ("churned", "says"), [(49, "Only 49 customers churned"), (52, "Only 48 customers stayed")]
)
def test_too_few_of_a_kind_get_a_sentence(churn, capsys, churned, says):
    enough = pd.DataFrame({"churned": [True, False] * 50})
    few = pd.DataFrame({"churned": [True] * churned + [False] * (100 - churned)})
    churn.require_both_kinds(enough, enough)
    with pytest.raises(SystemExit) as stopped:
        churn.require_both_kinds(enough, few)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


@given(st.lists(st.tuples(st.floats(0, 300), st.booleans()), min_size=1, max_size=40))
def test_the_recency_rule_is_the_best_there_is(churn, rows):
    recency, churned = pd.Series([r for r, _ in rows]), pd.Series([c for _, c in rows])

    def right(days):
        return ((recency > days) == churned).sum()

    assert right(churn.best_threshold(recency, churned)) == max(right(days) for days in range(301))


def test_metrics_by_hand(churn):
    def frame(*rows):
        columns = ["recency_days", "tenure_days", "churned", "probability"]
        return pd.DataFrame(rows, columns=columns)

    train = frame((10, 100, False, 0), (20, 100, False, 0), (30, 100, True, 0), (40, 50, True, 0))
    test = frame((5, 100, False, 0.1), (35, 100, True, 0.9), (50, 100, False, 0.8), (15, 100, True, 0.4))
    value = churn.evaluate(train, test).set_index(["population", "model", "metric"])["value"]["all"]
    assert value["logistic_regression", "accuracy"] == 0.5
    assert value["logistic_regression", "roc_auc"] == 0.75
    assert value["logistic_regression", "brier_score"] == pytest.approx((0.01 + 0.01 + 0.64 + 0.36) / 4)
    assert value["recency_rule", "threshold_days"] == 20
    assert value["recency_rule", "accuracy"] == 0.5
    assert value["majority_class", "accuracy"] == 0.5
    assert value["majority_class", "roc_auc"] == 0.5
    assert value["majority_class", "brier_score"] == 0.25


def test_calibration_groups_are_of_equal_size_and_cover_everybody(churn):
    rng = np.random.default_rng(0)
    probability = rng.random(1003)
    test = pd.DataFrame({"probability": probability, "churned": rng.random(1003) < probability})
    bins = churn.calibration(test)
    assert bins["customers"].sum() == 1003
    assert set(bins["customers"]) == {100, 101}
    assert bins["mean_predicted"].is_monotonic_increasing
    assert (bins["mean_predicted"] - bins["observed_rate"]).abs().max() < 0.15


def test_the_main_reason_is_the_term_that_moves_the_customer_most(churn, orders):
    model = churn.build_model()
    train = churn.labelled(orders, CUTOFF)
    model.fit(train[churn.FEATURES], train["churned"])
    known = churn.features_at(orders, CUTOFF)
    predicted = churn.predict(model, known, CUTOFF).set_index("customer_id")
    late = predicted.loc[known["overdue"].idxmax()]
    assert late["risk_band"] == "high"
    assert set(predicted["main_reason"]) <= {words for pair in churn.REASONS.values() for words in pair}
    assert (predicted["risk_band"] == "high").equals(predicted["churn_probability"] >= 0.7)
    assert (predicted["risk_band"] == "low").equals(predicted["churn_probability"] < 0.3)
    low, high = (predicted[predicted["risk_band"] == band]["main_reason"] for band in ("low", "high"))
    assert "long overdue by the customer's own rhythm" in set(high)
    assert "long overdue by the customer's own rhythm" not in set(low)
    assert "within the customer's own rhythm" in set(low)


def test_what_all_customers_share_is_nobodys_reason(churn, orders):
    train = churn.labelled(orders, CUTOFF)
    model = churn.build_model().fit(train[churn.FEATURES], train["churned"])
    known = churn.features_at(orders, CUTOFF).assign(tenure=20.0)  # far beyond what the model learnt from
    predicted = churn.predict(model, known, CUTOFF).set_index("customer_id")
    most_overdue = predicted.loc[known["overdue"].nlargest(20).index, "main_reason"]
    assert set(most_overdue) == {"long overdue by the customer's own rhythm"}
