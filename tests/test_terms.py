"""The churn model's forms, the choice between them, and what its coefficients say."""

import numpy as np
import pandas as pd
import pytest

from pulse.features import FEATURES
from pulse.terms import (
    PENALTIES,
    TERMS,
    Form,
    choose_form,
    churn_pipeline,
    coefficients,
    crossed,
    is_clearly_positive,
    standard_errors,
)


def customers(n: int, log_odds, seed: int = 0) -> pd.DataFrame:
    """Customers whose features are standard normal, and who churn with the log-odds that these give."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(n, len(FEATURES))), columns=FEATURES)
    rows.index = pd.Index([f"c{i}" for i in range(n)])
    return rows.assign(churned=rng.random(n) < 1 / (1 + np.exp(-log_odds(rows))))


# --- forms ---


def test_the_terms_by_hand():
    rows = pd.DataFrame({name: [0.0] for name in FEATURES}).assign(overdue=3.0, gap=2.0, orders=-5.0)
    terms = crossed(rows).iloc[0]
    assert terms[["overdue_squared", "gap_x_orders", "orders_squared"]].tolist() == [9, -10, 25]
    assert list(terms.index) == list(TERMS)


def test_a_model_has_eight_terms_or_ten():
    rows = customers(300, lambda f: f["overdue"])
    for form, n in ((Form(), 8), (Form(crossed=True), 10)):
        model = churn_pipeline(form).fit(rows[FEATURES], rows["churned"])
        assert list(model[-1].feature_names_in_) == list(TERMS)[:n]


# --- the choice ---


def test_ten_terms_are_chosen_where_they_are_clearly_better():
    plain = customers(2_000, lambda f: 1.5 * f["overdue"] - f["orders"])
    bent = customers(2_000, lambda f: f["overdue"] - f["gap"] * f["orders"])
    assert not choose_form(plain).crossed
    assert choose_form(bent).crossed


def test_the_strongest_penalty_is_kept_unless_another_is_clearly_better():
    """Where nothing can be learnt, nothing is; where churn is nearly certain, weights may be large."""
    assert choose_form(customers(300, lambda f: 0 * f["gap"])).penalty == PENALTIES[0]
    assert choose_form(customers(3_000, lambda f: 8 * f["overdue"])).penalty >= 1


def test_a_gain_is_clear_beyond_its_standard_error():
    """Mean 1, deviations of 3 either way: standard error 3 / sqrt(n)."""
    gains = np.array([4.0, -2.0] * 8)
    ids = pd.Index(range(16))
    assert is_clearly_positive(gains, ids)  # 1 > 0.75
    assert not is_clearly_positive(gains[:8], ids[:8])  # 1 < 1.06
    assert not is_clearly_positive(-gains, ids)
    of_two = pd.Index(["a", "b"] * 8)  # so it is a customer, not a row, that deviates
    assert not is_clearly_positive(gains, of_two)


# --- what they say ---


@pytest.mark.parametrize("form", [Form(penalty=10), Form(crossed=True, penalty=10)])
def test_odds_ratios_are_those_of_the_step(form):
    """For a customer who is average in all else, where squares and products stand still."""
    rows = customers(1_000, lambda f: f["overdue"] + 0.5 * f["gap"] - f["orders"] + 0.3 * f["orders"] * f["gap"])
    rows[FEATURES] = 3 + 2 * rows[FEATURES]
    model = churn_pipeline(form).fit(rows[FEATURES], rows["churned"])
    table = coefficients(model, rows).set_index("feature")
    average = rows[FEATURES].mean().to_frame().T

    def odds(known: pd.DataFrame) -> float:
        churning = model.predict_proba(known)[0, 1]
        return churning / (1 - churning)

    for name in FEATURES:
        step = TERMS[name][0] or rows[name].std(ddof=0)
        moved = average.assign(**{name: average[name] + step})
        squares = {"overdue": "overdue_squared", "orders": "orders_squared"}
        extra = table["odds_ratio"].get(squares.get(name, ""), 1.0) ** ((step / rows[name].std(ddof=0)) ** 2)
        assert odds(moved) / odds(average) == pytest.approx(table.loc[name, "odds_ratio"] * extra, rel=1e-4), name
    assert (table["low"] < table["odds_ratio"]).all()
    assert (table["odds_ratio"] < table["high"]).all()


def test_standard_errors_are_those_of_resampled_customers():
    """Each customer has four rows that are alike: errors of independent rows would be half as large."""
    once = customers(400, lambda f: f["overdue"] - 0.5 * f["orders"])
    rows = pd.concat([once] * 4)
    model = churn_pipeline(Form(penalty=1)).fit(rows[FEATURES], rows["churned"])
    rng, weights = np.random.default_rng(0), []
    for _ in range(150):
        drawn = once.iloc[rng.integers(len(once), size=len(once))]
        terms, again = model[:-1].transform(pd.concat([drawn] * 4)[FEATURES]), churn_pipeline(Form(penalty=1))[-1]
        weights.append(again.fit(terms, np.tile(drawn["churned"], 4)).coef_[0])
    resampled = np.std(weights, axis=0)
    np.testing.assert_allclose(standard_errors(model, rows), resampled, rtol=0.25)
    as_if_independent = standard_errors(model, rows.set_index(np.arange(len(rows))))
    np.testing.assert_allclose(as_if_independent, standard_errors(model, rows) / 2, rtol=0.01)


def test_terms_are_well_conditioned_on_a_shop(models, learning):
    """Below 100, a coefficient does not hang on the last digits of another (Belsley, Kuh and Welsch 1980)."""
    rows = pd.concat(learning)[FEATURES]
    for form in (Form(), Form(crossed=True)):
        terms = churn_pipeline(form)[:-1].fit_transform(rows)
        assert np.linalg.cond(terms) < 100
