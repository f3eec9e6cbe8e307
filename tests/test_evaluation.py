"""How good the churn model is: metrics, baselines, intervals and calibration are what they say."""

import numpy as np
import pandas as pd
import pytest
from conftest import HORIZON
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from pulse.evaluation import (
    MAJORITY,
    MODEL,
    RULE,
    Scored,
    best_threshold,
    calibration,
    can_rank,
    evaluate,
    from_probability,
    point_metrics,
    recency_rule,
    report,
    resample_scorer,
    with_truth,
)


@pytest.fixture
def twenty() -> tuple[np.ndarray, np.ndarray]:
    """Twenty customers by rising probability: the two least likely churned, as did every other one above."""
    return np.array([True, True] + [False, True] * 9), np.linspace(0.025, 0.975, 20)


# --- baselines ---


@given(st.lists(st.tuples(st.floats(0, 300), st.booleans()), min_size=1, max_size=40))
def test_the_recency_rule_is_the_best_there_is(rows):
    recency, churned = pd.Series([r for r, _ in rows]), pd.Series([c for _, c in rows])
    called = recency.to_numpy()[:, None] > np.arange(301)  # a row per customer, a column per number of days
    right = (called == churned.to_numpy()[:, None]).sum(axis=0)
    assert right[best_threshold(recency, churned)] == right.max()


def test_the_recency_rule_by_hand():
    """Of those away for longer than 20 days, three in four churned; of the others, one in five."""
    away, back = [30, 40, 50, 60], [1, 2, 3, 4, 20]
    churned = [True, True, True, False, True, False, False, False, False]
    past = pd.DataFrame({"recency_days": away + back, "churned": churned})
    threshold, said = recency_rule(past, pd.DataFrame({"recency_days": [20.0, 20.5, 500.0]}))
    assert threshold == 20
    assert said.probability.tolist() == pytest.approx([1 / 5, 3 / 4, 3 / 4])
    assert said.rank.tolist() == [20, 20.5, 500]
    assert said.predicted.tolist() == [False, True, True]


def test_metrics_stand_beside_baselines_tuned_in_training():
    def frame(*rows):
        return pd.DataFrame([*rows] * 25, columns=["recency_days", "tenure_days", "churned"])

    train = frame((10, 100, False), (20, 100, False), (30, 100, True), (40, 50, True))
    test = frame((5, 100, False), (35, 100, True), (50, 100, False), (15, 100, True))
    scores = pd.DataFrame({MODEL: [0.1, 0.9, 0.8, 0.4] * 25})
    table = evaluate(train, test, scores, HORIZON).set_index(["population", "model", "metric"])
    value = table["value"]["all"]
    assert value[MODEL, "accuracy"] == 0.5
    assert value[MODEL, "roc_auc"] == 0.75
    assert value[MODEL, "brier_score"] == pytest.approx((0.01 + 0.01 + 0.64 + 0.36) / 4)
    assert value[RULE, "threshold_days"] == 20
    assert value[RULE, "accuracy"] == 0.5
    assert value[MAJORITY, "accuracy"] == 0.5
    assert value[MAJORITY, "roc_auc"] == 0.5
    assert value[MAJORITY, "brier_score"] == 0.25


def test_baselines_are_tuned_on_the_same_population():
    """Of the established customers in training, one in three churned; of all, half did."""
    train = pd.DataFrame({"recency_days": 10.0, "tenure_days": 100, "churned": [True, False, False, True] * 25})
    train.loc[3::4, "tenure_days"] = 10
    test = train.assign(tenure_days=100)
    scores = pd.DataFrame({MODEL: test["churned"] * 0.5})
    value = evaluate(train, test, scores, HORIZON).set_index(["population", "model", "metric"])["value"]
    assert value["all", MAJORITY, "brier_score"] == 0.25
    expected = ((1 - 1 / 3) ** 2 + (1 / 3) ** 2) / 2
    assert value["established", MAJORITY, "brier_score"] == pytest.approx(expected, abs=1e-6)


def test_a_population_with_too_few_of_a_kind_is_left_out():
    """49 established customers churned; with the new ones, 50 did."""
    churned = np.arange(150) < 50
    test = pd.DataFrame({"recency_days": np.arange(150), "tenure_days": 100, "churned": churned})
    test.loc[0, "tenure_days"] = 10
    scores = pd.DataFrame({MODEL: churned * 0.5})
    assert set(evaluate(test, test, scores, HORIZON)["population"]) == {"all"}
    test["tenure_days"] = 100
    assert set(evaluate(test, test, scores, HORIZON)["population"]) == {"all", "established"}


def test_the_judge_is_told_of_past_lapses_alone():
    rows = pd.DataFrame({"cutoff": pd.Timestamp("2024-06-01")}, index=["past", "to come", "never", "unknown"])
    lapses = pd.to_datetime(["2024-05-22", "2024-06-02", None])
    truth = pd.DataFrame({"persona": [0, 1, 2], "lapsed_on": lapses}, index=["past", "to come", "never"])
    told = with_truth(rows, truth)
    assert told["persona"].fillna(-1).tolist() == [0, 1, 2, -1]
    assert told["days_since_lapse"].fillna(-1).tolist() == [10, -1, -1, -1]


# --- metrics ---


def test_point_metrics_by_hand(twenty):
    churned, probability = twenty
    found = point_metrics(churned, from_probability(probability))
    likely = np.where(churned, probability, 1 - probability)  # what was given to what came
    hits = [k / (2 * k - 1) for k in range(1, 10)] + [10 / 19, 11 / 20]  # precision at each churner, from the top
    groups = np.abs(np.arange(0.05, 1, 0.1) - ([1.0] + [0.5] * 9))
    assert found == pytest.approx(
        {
            "churn_rate": 11 / 20,
            "accuracy": 9 / 20,  # 4 of the 10 below one half, 5 of the 10 above
            "roc_auc": sum(range(1, 10)) / (11 * 9),  # the k-th churner above the two is above k stayers
            "average_precision": np.mean(hits),
            "brier_score": np.mean((1 - likely) ** 2),
            "log_loss": -np.mean(np.log(likely)),
            "calibration_error": groups.mean(),
            "lift_top_decile": 0.5 / (11 / 20),
            "customers": 20,
        }
    )


def test_a_model_may_rank_and_call_by_something_else(twenty):
    """Here it ranks the other way round, and calls nobody."""
    churned, probability = twenty
    usual = point_metrics(churned, from_probability(probability))
    found = point_metrics(churned, Scored(probability, -probability, np.zeros(20, dtype=bool)))
    assert found["accuracy"] == pytest.approx(9 / 20)  # those who stayed
    assert found["roc_auc"] == pytest.approx(1 - 45 / 99)
    assert found["lift_top_decile"] == pytest.approx(1 / (11 / 20))
    for name in ("churn_rate", "brier_score", "log_loss", "calibration_error"):
        assert found[name] == pytest.approx(usual[name]), name


def test_one_guess_for_all_has_no_lift(twenty):
    churned, _ = twenty
    found = point_metrics(churned, from_probability(np.full(20, 0.3)))
    assert found["lift_top_decile"] == pytest.approx(1)
    assert found["roc_auc"] == 0.5
    assert found["calibration_error"] == pytest.approx(11 / 20 - 0.3)


# --- intervals ---

tenths = st.integers(0, 10).map(lambda n: n / 10)  # many equals, and 0 and 1
rows_of_a_test = st.lists(
    st.tuples(st.booleans(), tenths, st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=10, max_size=60
)


@given(rows_of_a_test)
def test_metrics_are_those_of_scikit_learn(rows):
    """Those of a resample, which gives a customer the weight 0, 1, 2 ..."""
    churned, probability, rank, called, weight = (np.array(column) for column in zip(*rows, strict=True))
    if not 0 < weight @ churned < weight.sum():
        return
    theirs = {
        "accuracy": sklearn_metrics.accuracy_score(churned, called, sample_weight=weight),
        "roc_auc": sklearn_metrics.roc_auc_score(churned, rank, sample_weight=weight),
        "log_loss": sklearn_metrics.log_loss(churned, probability, sample_weight=weight),
    }
    assert resample_scorer(churned, Scored(probability, rank, called))(weight) == pytest.approx(theirs)


def test_intervals_are_those_of_resampled_customers():
    """The 95% interval of a mean over 2,000 customers is about 1.96 standard errors on each side."""
    rng = np.random.default_rng(1)
    test = pd.DataFrame(
        {"recency_days": rng.random(2000), "tenure_days": 100.0, "churned": rng.random(2000) < 0.3}
    )
    scores = pd.DataFrame({MODEL: rng.random(2000), "another": rng.random(2000)})
    table = evaluate(test, test, scores, HORIZON)
    churned, probability = test["churned"], scores[MODEL]
    right = (probability >= 0.5) == churned
    surprise = -np.log(probability.where(churned, 1 - probability))
    found = table[(table["model"] == MODEL) & (table["population"] == "all")].set_index("metric")
    for name, each in (("accuracy", right), ("log_loss", surprise)):
        value, low, high = found.loc[name, ["value", "low", "high"]]
        assert value == pytest.approx(each.mean(), abs=1e-6)
        assert (high - low) / 2 == pytest.approx(1.96 * each.std() / np.sqrt(2000), rel=0.15), name
        assert low < value < high
    value, low, high = found.loc["roc_auc", ["value", "low", "high"]]
    assert low < value < high
    assert high - low < 0.08  # a standard error of about 0.014 at these sizes
    has_interval = table[table["low"].notna() | table["high"].notna()]
    assert set(has_interval["model"]) == {MODEL}
    assert set(has_interval["metric"]) == {"accuracy", "roc_auc", "log_loss"}
    pd.testing.assert_frame_equal(evaluate(test, test, scores, HORIZON), table)  # the same draws each time


# --- calibration ---


def test_calibration_error_and_lift_by_hand(twenty):
    """The error is over the groups of churn_calibration.csv."""
    churned, probability = twenty
    bins = calibration(churned, probability, probability)
    assert bins["customers"].tolist() == [2] * 10
    assert bins["mean_predicted"].tolist() == pytest.approx(np.arange(0.05, 1, 0.1))
    assert bins["observed_rate"].tolist() == [1.0] + [0.5] * 9
    found = point_metrics(churned, from_probability(probability))
    distance = (bins["mean_predicted"] - bins["observed_rate"]).abs()
    assert found["calibration_error"] == pytest.approx(distance.mean())
    assert found["lift_top_decile"] == pytest.approx(0.5 / (11 / 20))


def test_calibration_groups_are_of_equal_size_and_share_out_equals():
    rng = np.random.default_rng(0)
    probability = pd.Series(rng.random(1003).round(1))
    churned = pd.Series(rng.random(1003) < probability)
    bins = calibration(churned.to_numpy(), probability.to_numpy(), probability.to_numpy())
    assert bins["customers"].sum() == 1003
    assert set(bins["customers"]) == {100, 101}
    assert bins["mean_predicted"].is_monotonic_increasing
    assert (bins["mean_predicted"] - bins["observed_rate"]).abs().max() < 0.15
    reverse = probability[::-1].to_numpy()
    backwards = calibration(churned[::-1].to_numpy(), reverse, reverse)
    pd.testing.assert_frame_equal(backwards, bins)


# --- the report ---


def test_the_report_shows_the_baselines_beside_the_model(capsys):
    """Half of the new customers are called right, and all of the established ones."""
    test = pd.DataFrame({"recency_days": [10.0, 100.0] * 100, "churned": [False, True] * 100})
    test["tenure_days"] = [100] * 100 + [10] * 100
    scores = pd.DataFrame({MODEL: [0.1, 0.9] * 50 + [0.9, 0.9] * 50})
    report(evaluate(test, test, scores, HORIZON), pd.Timestamp("2024-06-01"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:3] == ["Tested", "at", "2024-06-01,"]
    assert [line[-2:] for line in lines[:3]] == [["all", "established"], ["200", "100"], ["50.0%", "50.0%"]]
    assert [line[-4:] for line in lines[4:7]] == [
        ["75.0%", "0.750", "100.0%", "1.000"],
        ["100.0%", "1.000", "100.0%", "1.000"],
        ["50.0%", "0.500", "50.0%", "0.500"],
    ]
    assert [" ".join(line) for line in lines[7:]] == [
        f"Noted {who} customers: the recency rule does as well: use it" for who in ("all", "established")
    ]


def test_one_answer_for_all_that_is_right_as_often_is_named(capsys):
    """Three in four churned, and the model calls one in two of them wrong."""
    test = pd.DataFrame(
        {"recency_days": np.arange(200) % 50, "tenure_days": 10, "churned": np.arange(200) % 4 > 0}
    )
    scores = pd.DataFrame({MODEL: np.where(np.arange(200) % 2, 0.4, 0.6)})
    report(evaluate(test, test, scores, HORIZON), pd.Timestamp("2024-06-01"))
    assert "all customers: one answer for all is right as often" in capsys.readouterr().out


def test_a_rule_that_is_right_as_often_but_ranks_worse_is_not_advised(capsys):
    """All are called churned by both, which is right of three in four; the model ranks them, the rule does not."""
    test = pd.DataFrame({"recency_days": 20.0, "tenure_days": 10, "churned": np.arange(400) % 4 > 0})
    scores = pd.DataFrame({MODEL: 0.6 + 0.2 * test["churned"]})
    report(evaluate(test, test, scores, HORIZON), pd.Timestamp("2024-06-01"))
    assert "recency rule does as well" not in capsys.readouterr().out


def test_a_model_ranks_where_its_interval_is_above_chance():
    rng = np.random.default_rng(0)
    test = pd.DataFrame({"recency_days": 1.0, "tenure_days": 10, "churned": np.arange(400) % 2 == 0})
    noise = rng.random(400)
    for probability, ranks in (
        (noise, False),
        (noise / 2 + test["churned"] / 4, True),
        (1 - test["churned"], False),
    ):
        table = evaluate(test, test, pd.DataFrame({MODEL: probability}), HORIZON)
        auc = table.query("model == @MODEL and metric == 'roc_auc'").iloc[0]
        assert can_rank(table) is ranks, f"{auc['value']} ({auc['low']} to {auc['high']})"
        assert (probability is not noise) or auc["value"] > 0.5
