"""Step 3: nothing sees the future, labels, baselines and money are what they say, the report is honest."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_orders
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

import common

CUTOFF = pd.Timestamp("2024-06-01")
HORIZON = pd.Timedelta(days=90)
AS_OF = pd.Timestamp("2025-01-01")


@pytest.fixture(scope="module")
def orders(generation) -> pd.DataFrame:
    """A simulated shop as read_orders returns it."""
    blocks = generation.simulate(800, pd.Timestamp("2023-01-01"), pd.Timestamp("2024-12-31"), seed=3)
    docs = [doc for block in blocks for doc in block["orders"]]
    return make_orders(*((d["customer_id"], d["order_date"], d["total"], d["status"]) for d in docs))


@pytest.fixture(scope="module")
def known(churn, orders) -> tuple:
    """The first order, what was spent and what was known at each cutoff."""
    return churn.add_up([churn.histories(orders, AS_OF, HORIZON)])


@pytest.fixture(scope="module")
def history(churn, known) -> list[pd.DataFrame]:
    first, _, sums = known
    return [churn.labelled(sums, cutoff, HORIZON) for cutoff in churn.choose_cutoffs(first, AS_OF, HORIZON)]


@pytest.fixture(scope="module")
def today(churn, known) -> pd.DataFrame:
    return churn.features(known[2][AS_OF], AS_OF, HORIZON)


def features_at(churn, orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """The features, from the orders as they are read."""
    return churn.features(known_at(churn, orders, cutoff), cutoff, HORIZON)


def known_at(churn, orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    return churn.known_at(churn.prepare(orders), cutoff, HORIZON)


@pytest.fixture(scope="module")
def models(churn, history) -> tuple:
    return churn.fit(pd.concat(history[:-1]))


# --- nothing sees the future ---


def tampered(orders: pd.DataFrame, data: st.DataObject) -> pd.DataFrame:
    """The orders with some of those from CUTOFF on changed in any way, but never to before it."""
    later = list(orders.index[orders["order_date"] >= CUTOFF])
    rows = data.draw(st.lists(st.sampled_from(later), min_size=1, max_size=50))
    changed = orders.copy()
    changed.loc[rows, "amount"] = data.draw(st.floats(-1e6, 1e6))
    changed.loc[rows, "completed"] = data.draw(st.booleans())
    changed.loc[rows, "customer_id"] = data.draw(st.sampled_from(list(orders["customer_id"].unique())))
    changed.loc[rows, "order_date"] = CUTOFF + pd.Timedelta(days=data.draw(st.sampled_from([0, 1, 89, 90, 500])))
    return changed.drop(data.draw(st.lists(st.sampled_from(rows), unique=True)))


@given(data=st.data())
def test_no_order_from_the_cutoff_on_changes_a_feature(churn, orders, data):
    before = features_at(churn, orders, CUTOFF)
    pd.testing.assert_frame_equal(features_at(churn, tampered(orders, data), CUTOFF), before)


@pytest.mark.parametrize("past_it", [1, 500])
def test_a_leak_planted_on_purpose_is_found(orders, past_it):
    """The same test fails for a feature that looks a day, or to the end of the log, past the cutoff."""

    def last_order(orders: pd.DataFrame) -> pd.Series:
        end = CUTOFF + pd.Timedelta(days=past_it)
        seen = orders[orders["completed"] & (orders["order_date"] < end)]
        return seen.groupby("customer_id")["order_date"].max()

    @settings(phases=[Phase.generate])  # any example will do, it need not be the simplest
    @given(data=st.data())
    def no_order_changes_it(data):
        pd.testing.assert_series_equal(last_order(tampered(orders, data)), last_order(orders))

    with pytest.raises(AssertionError):
        no_order_changes_it()


@pytest.mark.parametrize("column", ["overdue", "gap", "orders", "momentum", "spend", "spend_trend", "tenure"])
def test_orders_before_the_cutoff_do_change_features(churn, orders, column):
    """The tests above would also pass if features ignored the orders."""
    past = orders[orders["completed"] & (orders["order_date"] < CUTOFF)]
    features = features_at(churn, orders.drop(past.sample(1_000, random_state=1).index), CUTOFF)
    before = features_at(churn, orders, CUTOFF).loc[features.index]
    assert not features[column].equals(before[column])


def test_no_past_forecast_sees_its_own_window(churn, orders, known, history):
    """Without the orders from a window's start on, its forecast and interval are the same; the actual is not."""
    _, spent, sums = known
    revenue, _ = churn.forecast(sums, spent, history, AS_OF, {})
    foretold = ["window_start", "forecast", "low", "high", "naive_last_window", "naive_year_before"]
    assert len(revenue) == 3  # those whose season was seen a year before
    for n in (len(history) - 2, len(history) - 1):
        start = history[n]["cutoff"].iloc[0]
        blind = [*history[:n], history[n].assign(revenue=1.0, churned=True)]
        _, spent_before, sums_before = churn.add_up(
            [churn.histories(orders[orders["order_date"] < start], AS_OF, HORIZON)]
        )
        again, _ = churn.forecast(sums_before, spent_before, blind, AS_OF, {})
        row, same = (frame[frame["window_start"] == start].iloc[0] for frame in (revenue, again))
        pd.testing.assert_series_equal(same[foretold], row[foretold], check_names=False)
        assert same["actual"] != row["actual"]


def test_histories_of_some_customers_add_up_to_those_of_all(churn, orders, known):
    """Of some, the first order came later than of others."""
    first = orders.loc[orders["completed"]].groupby("customer_id", observed=True)["order_date"].min()
    late = orders["customer_id"].isin(first.index[first > CUTOFF - HORIZON])
    ranges = (orders[late], orders[~late])
    own = [part.assign(customer_id=part["customer_id"].cat.remove_unused_categories()) for part in ranges]
    parts = [churn.histories(part, AS_OF, HORIZON) for part in own]
    begin, spent, sums = churn.add_up(parts)
    assert begin == known[0]
    pd.testing.assert_series_equal(spent, known[1])
    for cutoff, rows in known[2].items():
        pd.testing.assert_frame_equal(sums[cutoff], rows, check_exact=True)


def test_the_models_learn_from_a_share_of_the_customers_and_foretell_all(churn, orders, known):
    *_, some = churn.add_up([churn.histories(orders, AS_OF, HORIZON, 0.4)])
    now = some[AS_OF]
    learnt = now.index[now["learner"]]
    assert 0.3 * len(now) < len(learnt) < 0.5 * len(now)
    for cutoff, rows in known[2].items():
        of_grid = (AS_OF - cutoff) % HORIZON == pd.Timedelta(0)  # the others are a year before those
        expected = rows if of_grid else rows[rows.index.isin(learnt)]
        pd.testing.assert_frame_equal(some[cutoff].drop(columns="learner"), expected.drop(columns="learner"))
    taught = churn.labelled(some, AS_OF - HORIZON, HORIZON, learners=True)
    every = churn.labelled(known[2], AS_OF - HORIZON, HORIZON)
    pd.testing.assert_frame_equal(taught, every[every.index.isin(learnt)])


# --- labels and features ---


def test_labels_by_hand(churn):
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
    known = {CUTOFF: known_at(churn, make_orders(*rows), CUTOFF)}
    assert churn.labelled(known, CUTOFF, HORIZON)[["churned", "revenue"]].T.to_dict("list") == {
        "at cutoff": [False, 5],
        "cancels": [True, 0],
        "gone": [True, 0],
        "in time": [False, 3],
        "refunded": [True, -5],
        "too late": [True, 0],
    }


def test_features_by_hand(churn):
    orders = make_orders(
        ("a", "2024-02-02", 10.0),
        ("b", "2024-05-31", 8.0),
        ("a", "2024-05-12", 60.0),  # 70 days later, 20 before the cutoff
        ("a", "2024-03-03", 20.0),  # 30 days after the first; out of order on purpose
        ("a", "2024-05-13", -6.0, "refunded"),
        ("b", "2024-05-31", 99.0, "cancelled"),
    )
    known = features_at(churn, orders, CUTOFF)
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
    assert list(expected) == list(churn.FEATURES)
    for name, values in expected.items():
        assert known[name].tolist() == pytest.approx(values), name


def test_windows_never_overlap_and_the_last_ends_at_as_of(churn, orders):
    first = orders.loc[orders["completed"], "order_date"].min()
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
        (0, "load customers of both kinds"),
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


def test_the_season_enters_once_it_was_seen_twice(churn):
    def rows(*cutoffs: str) -> pd.DataFrame:
        return pd.DataFrame({"cutoff": pd.to_datetime(cutoffs)})

    assert churn.terms(rows("2023-01-01", "2024-12-30")) == list(churn.FEATURES)
    assert churn.terms(rows("2023-01-01", "2024-12-31")) == [*churn.FEATURES, *churn.SEASON]


# --- metrics ---


@given(st.lists(st.tuples(st.floats(0, 300), st.booleans()), min_size=1, max_size=40))
def test_the_recency_rule_is_the_best_there_is(churn, rows):
    recency, churned = pd.Series([r for r, _ in rows]), pd.Series([c for _, c in rows])

    def right(days):
        return ((recency > days) == churned).sum()

    assert right(churn.best_threshold(recency, churned)) == max(right(days) for days in range(301))


tenths = st.integers(1, 9).map(lambda n: n / 10)  # many equals
rows_of_a_test = st.lists(st.tuples(st.booleans(), tenths, st.integers(0, 3)), min_size=10, max_size=60)


@given(rows_of_a_test)
def test_metrics_are_those_of_scikit_learn(churn, rows):
    churned, probability, weight = (np.array(column) for column in zip(*rows, strict=True))
    if not 0 < weight @ churned < weight.sum():
        return
    ours = churn.scorer(churned, probability)(weight)
    called = probability >= 0.5
    assert ours["churn_rate"] == pytest.approx(np.average(churned, weights=weight))
    for name, theirs, answer in (
        ("accuracy", sklearn_metrics.accuracy_score, called),
        ("roc_auc", sklearn_metrics.roc_auc_score, probability),
        ("average_precision", sklearn_metrics.average_precision_score, probability),
        ("brier_score", sklearn_metrics.brier_score_loss, probability),
        ("log_loss", sklearn_metrics.log_loss, probability),
    ):
        assert ours[name] == pytest.approx(theirs(churned, answer, sample_weight=weight)), name


def test_calibration_error_and_lift_by_hand(churn):
    """Twenty customers: the two least likely churned, as did half of the others."""
    probability = np.linspace(0.025, 0.975, 20)
    churned = np.array([True, True] + [False, True] * 9)
    bins = churn.calibration(pd.Series(churned), pd.Series(probability))
    assert bins["customers"].tolist() == [2] * 10
    assert bins["mean_predicted"].tolist() == pytest.approx(np.arange(0.05, 1, 0.1))
    assert bins["observed_rate"].tolist() == [1.0] + [0.5] * 9
    scores = churn.scorer(churned, probability)(np.ones(20))
    assert scores["calibration_error"] == pytest.approx(
        (bins["mean_predicted"] - bins["observed_rate"]).abs().mean()
    )
    assert scores["lift_top_decile"] == pytest.approx(0.5 / (11 / 20))


def test_calibration_groups_are_of_equal_size_and_share_out_equals(churn):
    rng = np.random.default_rng(0)
    probability = pd.Series(rng.random(1003).round(1))
    churned = pd.Series(rng.random(1003) < probability)
    bins = churn.calibration(churned, probability)
    assert bins["customers"].sum() == 1003
    assert set(bins["customers"]) == {100, 101}
    assert bins["mean_predicted"].is_monotonic_increasing
    assert (bins["mean_predicted"] - bins["observed_rate"]).abs().max() < 0.15
    backwards = churn.calibration(churned[::-1], probability[::-1])
    pd.testing.assert_frame_equal(backwards, bins)


def test_metrics_stand_beside_baselines_tuned_in_training(churn, monkeypatch):
    monkeypatch.setattr(churn, "MINIMUM_PER_KIND", 2)
    monkeypatch.setattr(churn, "RESAMPLES", 0)

    def frame(*rows):
        return pd.DataFrame(rows, columns=["recency_days", "tenure_days", "churned"])

    train = frame((10, 100, False), (20, 100, False), (30, 100, True), (40, 50, True))
    test = frame((5, 100, False), (35, 100, True), (50, 100, False), (15, 100, True))
    judged = pd.DataFrame({"logistic_regression": [0.1, 0.9, 0.8, 0.4]})
    table = churn.evaluate(train, test, judged, HORIZON).set_index(["population", "model", "metric"])
    value = table["value"]["all"]
    assert value["logistic_regression", "accuracy"] == 0.5
    assert value["logistic_regression", "roc_auc"] == 0.75
    assert value["logistic_regression", "brier_score"] == pytest.approx((0.01 + 0.01 + 0.64 + 0.36) / 4)
    assert value["recency_rule", "threshold_days"] == 20
    assert value["recency_rule", "accuracy"] == 0.5
    assert value["majority_class", "accuracy"] == 0.5
    assert value["majority_class", "roc_auc"] == 0.5
    assert value["majority_class", "brier_score"] == 0.25


def test_a_population_with_too_few_of_a_kind_is_left_out(churn):
    """49 established customers churned; with the new ones, 50 did."""
    churned = np.arange(150) < 50
    test = pd.DataFrame({"recency_days": np.arange(150), "tenure_days": 100, "churned": churned})
    test.loc[0, "tenure_days"] = 10
    judged = pd.DataFrame({"logistic_regression": churned * 0.5})
    assert set(churn.evaluate(test, test, judged, HORIZON)["population"]) == {"all"}
    test["tenure_days"] = 100
    assert set(churn.evaluate(test, test, judged, HORIZON)["population"]) == {"all", "established"}


def test_intervals_are_those_of_resampled_customers(churn):
    """The 95% interval of a share of 2,000 is about 1.96 standard errors on each side."""
    rng = np.random.default_rng(1)
    test = pd.DataFrame(
        {"recency_days": rng.random(2000), "tenure_days": 100.0, "churned": rng.random(2000) < 0.3}
    )
    judged = pd.DataFrame({"logistic_regression": rng.random(2000)})
    table = churn.evaluate(test, test, judged, HORIZON).set_index(["population", "model", "metric"])
    value, low, high = table.loc[("all", "logistic_regression", "churn_rate")]
    error = np.sqrt(value * (1 - value) / 2000)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    assert low < value < high


# --- reasons ---


def test_reasons_are_those_of_the_features_that_speak_for_the_prediction(churn, today, models):
    known = today
    probability = models[0].predict_proba(known[models[0].feature_names_in_])[:, 1]
    main, second = churn.reasons(models[0], known, probability)
    for_churn, for_staying = (set(main[probability >= 0.5]), set(main[probability < 0.5]))
    assert for_churn | set(second) <= {words for pair in churn.REASONS.values() for words in pair} | {None}
    says = {"late": "long overdue by the customer's own rhythm", "few": "few orders for the time as a customer"}
    assert for_churn & set(says.values())
    assert not for_staying & set(says.values())
    assert "many orders for the time as a customer" in for_staying
    assert (main != second).all()
    stays, goes = (known[known.index.isin(known.index[kind])] for kind in (probability < 0.5, probability >= 0.5))
    late = known.index[(main == says["late"]) | (second == says["late"])]
    assert len(late)
    assert (known.loc[late, "overdue"] > stays["overdue"].mean()).all()
    assert set(late) <= set(goes.index)


def test_customers_are_foretold_in_parts_as_all_at_once(churn, today, models, monkeypatch):
    told = churn.foretell(models, today)
    words = churn.reasons(models[0], today, told["churn_probability"].to_numpy())
    monkeypatch.setattr(churn, "AT_A_TIME", 7)
    assert len(today) % 7
    pd.testing.assert_frame_equal(churn.foretell(models, today), told)
    assert (churn.reasons(models[0], today, told["churn_probability"].to_numpy()) == words).all()


def test_what_all_customers_share_is_nobodys_reason(churn, today, models):
    known = today.assign(refunds=0.9)  # far beyond what the model learnt from
    probability = models[0].predict_proba(known[models[0].feature_names_in_])[:, 1]
    assert not {"many refunds", "few refunds"} & set(np.ravel(churn.reasons(models[0], known, probability)))


# --- money ---


def test_spending_adds_up_to_net_revenue(churn, history, models):
    """Over the customers who stayed, what the model expects is what all of them spent, refunds taken off."""
    train = pd.concat(history[:-1])
    stayed = train[~train["churned"]]
    expected = models[1].predict(stayed[models[1].feature_names_in_]).sum()
    assert expected == pytest.approx(train["revenue"].sum(), rel=1e-3)


def test_the_forecast_is_the_sum_of_the_list(churn, orders, known, history, today):
    latest = churn.fit(pd.concat(history))
    _, spent, sums = known
    revenue, factor = churn.forecast(sums, spent, history, AS_OF, {len(history): latest})
    listed = churn.predict(latest, today, HORIZON, factor, pd.Series(index=today.index, dtype="str"))
    tested, coming = revenue.iloc[-2], revenue.iloc[-1]
    assert coming["forecast"] == pytest.approx(listed["expected_revenue"].sum(), abs=0.005)
    assert tested["actual"] == pytest.approx(history[-1]["revenue"].sum(), abs=0.005)
    paid = orders[orders["completed"] | (orders["amount"] < 0)]
    for column, days in (("naive_last_window", 90), ("naive_year_before", 365)):
        start = tested["window_start"] - pd.Timedelta(days=days)
        window = paid["order_date"].between(start, start + HORIZON, inclusive="left")
        assert tested[column] == pytest.approx(paid.loc[window, "amount"].sum(), abs=0.005)
    worst = (revenue["actual"] / revenue["forecast"] - 1).abs().max()
    assert coming["high"] == pytest.approx(coming["forecast"] * (1 + worst), rel=1e-4)
    assert pd.isna(coming["actual"])


def test_the_list_by_hand(churn, today, models, monkeypatch):
    for name, value in {"CONTACT_COST": 2, "OFFER_COST": 10, "SUCCESS_RATE": 0.5, "MARGIN": 0.2}.items():
        monkeypatch.setattr(churn, name, value)
    told = churn.foretell(models, today, factor=2.0)
    listed = churn.predict(models, today, HORIZON, 2.0, pd.Series("Promising", index=today.index))
    assert listed["revenue_at_risk"].is_monotonic_decreasing
    assert sorted(listed["customer_id"]) == sorted(today.index)
    listed = listed.set_index("customer_id").loc[today.index]
    gone = today["recency_days"] > 90
    assert 0 < gone.sum() < len(gone)
    p, value = told["churn_probability"], told["if_staying"]
    assert (listed.loc[gone, "revenue_at_risk"] == 0).all()
    np.testing.assert_allclose(listed["revenue_at_risk"], (p * value).where(~gone, 0), atol=0.006)
    np.testing.assert_allclose(listed["expected_revenue"], (1 - p) * value, atol=0.006)
    won = (p * 0.5 * (0.2 * value - 10)).where(~gone, 0)
    np.testing.assert_allclose(listed["contact_profit"], won - (1 - p) * 10 - 2, atol=0.006)
    assert (listed["risk_band"] == "high").equals(listed["churn_probability"] >= 0.7)
    assert (listed["risk_band"] == "low").equals(listed["churn_probability"] < 0.3)


def test_the_profit_curve_by_hand(churn):
    listed = pd.DataFrame({"contact_profit": [5.0, -1.0, 3.0, -4.0, -2.0], "revenue_at_risk": [9, 8, 7, 6, 0]})
    curve = churn.profit_curve(listed)
    assert curve["customers_contacted"].tolist() == [0, 1, 2, 3, 4]
    assert curve["expected_profit"].tolist() == [0, 5, 4, 7, 3]
    assert curve["is_best"].tolist() == [False, False, False, True, False]
    nobody = churn.profit_curve(listed.assign(contact_profit=-1.0))
    assert nobody.loc[nobody["is_best"], "customers_contacted"].tolist() == [0]


def run_of(script: str, orders: pd.DataFrame, as_of: pd.Timestamp) -> dict[str, str]:
    """The script's row in runs.csv, for these orders."""
    *_, n, orders_id, _ = common.work_on(
        orders.assign(currency="none"), {"currency": "none", "as_of": as_of}, lambda *_: None
    )
    return common.run_of(script, as_of, {"orders": str(n), "orders_id": f"{orders_id:016x}"})


def test_segments_are_those_of_the_same_orders_or_none(churn, tmp_path, monkeypatch, capsys):
    for module in (common, churn):
        monkeypatch.setattr(module, "DATA_DIR", tmp_path)
    orders = make_orders(
        ("007", "2024-12-30 10:00", 1.0), ("=NA", "2024-12-31 23:59", 1.0), ("NA", "2024-12-31", 1.0)
    )
    today = features_at(churn, orders, AS_OF)
    mine = run_of("3_churn_model.py", orders, AS_OF)
    assert churn.segments_of(today, mine).isna().all()
    assert "2_data_analysis.py has not been run on these orders before 2025-01-01" in capsys.readouterr().out
    segments = {"007": "Champions", "=NA": "Promising", "NA": "At Risk"}
    rfm = pd.DataFrame({"customer_id": list(segments), "segment": list(segments.values())})
    common.save({"rfm_analysis": rfm}, {}, run_of("2_data_analysis.py", orders[::-1], AS_OF))
    assert churn.segments_of(today, mine).to_dict() == segments
    common.write_runs(common.runs()["2_data_analysis.py"] | {"state": "writing"})  # stopped on the way
    assert churn.segments_of(today, mine).isna().all()
    cent_more = orders.assign(amount=orders["amount"] + [0, 0, 0.01])
    for run in (
        run_of("2_data_analysis.py", orders, AS_OF) | {"as_of": "2024-10-03"},
        run_of("2_data_analysis.py", cent_more, AS_OF),
        run_of("2_data_analysis.py", orders.assign(customer_id=pd.Categorical(["007", "=NA", "=NA"])), AS_OF),
    ):
        common.save({"rfm_analysis": rfm}, {}, run)
        assert churn.segments_of(today, mine).isna().all()


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
    first, spent, known = churn.add_up([churn.histories(orders[orders["order_date"] < as_of], as_of, HORIZON)])
    history = [churn.labelled(known, cutoff, HORIZON) for cutoff in churn.choose_cutoffs(first, as_of, HORIZON)]
    train = pd.concat(history[:-1])
    if odd == "a year of huge refunds":
        with pytest.raises(SystemExit):
            churn.require_both_kinds(train, history[-1])
        assert "add up to no revenue above 0" in capsys.readouterr().err
        return
    churn.require_both_kinds(train, history[-1])
    revenue, _ = churn.forecast(known, spent, history, as_of, {})
    assert np.isfinite(revenue[["forecast", "naive_last_window"]]).all(axis=None)
    assert (revenue["forecast"] > 0).all()
    assert revenue["high"].iloc[-1] < 3 * revenue["forecast"].iloc[-1]


@pytest.mark.parametrize("unit", [1e-3, 1e9])
def test_the_currency_does_not_matter(churn, orders, history, unit):
    train = pd.concat(history[:-1])
    expected, other = (
        churn.fit_spending(train.assign(revenue=train["revenue"] * factor)).predict(train[churn.terms(train)])
        for factor in (1.0, unit)
    )
    np.testing.assert_allclose(other, expected * unit, rtol=1e-3)
