"""Step 3: learn from past orders who will not order again, and what that costs.

    python 3_churn_model.py                       from the last order on
    python 3_churn_model.py --as-of 2025-07-01    as it would have then
    python 3_churn_model.py --horizon 60          60 days ahead, not 90

A customer has churned at a cutoff if no completed order follows within the horizon. Features see only
what came before the cutoff. The model learns at earlier cutoffs and is tested at the latest one whose
window has passed; windows never overlap. Then it learns from that one too, and predicts. What a
customer is expected to spend is the chance to stay times what those like them who stayed have spent.
"""

from pulse.start import preload, require, run

require()
import math
from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from pymongo.database import Database

from common import Settings, fail, int_between, read_settings, say
from pulse import evaluation
from pulse.churn_charts import draw_churn
from pulse.contacts import Campaign, contact_list, profit_curve, reasons, report_money, segments_of
from pulse.currencies import decimals
from pulse.database import database
from pulse.evaluation import MINIMUM_PER_CLASS, MODEL, SEED
from pulse.exports import manifest_row, require_writable, save
from pulse.features import (
    CURVED,
    YEAR,
    History,
    combine_histories,
    features,
    in_parts,
    labelled_features,
    model_columns,
    snapshots,
)
from pulse.loads import consistent_read
from pulse.options import as_of_parser, parse_arguments
from pulse.orders import Audit, add_audits, read_range, read_truth
from pulse.planning import Reading, plan_reading, refuse_quiet_end
from pulse.progress import clock
from pulse.ranges import map_ranges

if TYPE_CHECKING:  # slow to import
    from sklearn.pipeline import Pipeline

# --- the rules ---

HORIZON_DAYS = 90  # a customer who orders nothing for so long after the cutoff has churned
RISK_BANDS = {"low": 0.0, "medium": 0.3, "high": 0.7}  # from this probability on, in rising order
CAMPAIGN = Campaign(  # put in your own four; pulse/contacts.py says what each is
    contact_cost=1.0,  # in the currency of the orders, as the next one is
    offer_cost=5.0,
    success_rate=0.10,
    margin=0.40,
)
REGULARISATION = [0.001, 0.01, 0.1, 1, 10]  # of the churn model: the lower, the stronger
FOLDS = 5  # of customers, to choose among these
SPENDING_PENALTY = 1e-3
LEARN_ORDERS = 500_000  # the models learn from the customers of about so many orders, where there are more


class Shop(NamedTuple):
    """What is read from MongoDB."""

    as_of: pd.Timestamp
    history: History
    audit: Audit
    truth: pd.DataFrame | None  # of a simulated shop, for the report alone


class Models(NamedTuple):
    """Both models, fitted on the same rows."""

    churn: "Pipeline"
    spending: "Pipeline"


class Learned(NamedTuple):
    """The fitted models, the rows they were fitted and tested on, and the forecast."""

    train: pd.DataFrame
    test: pd.DataFrame
    tested: Models  # which have seen train alone
    latest: Models  # which have seen both
    current: pd.DataFrame  # the features at as_of
    forecast: pd.DataFrame  # see forecast_revenue
    season_factor: float


def main() -> None:
    args, settings = arguments(), read_settings()
    horizon = pd.Timedelta(days=args.horizon)
    require_writable(settings.data_path)
    preload("sklearn.ensemble", "sklearn.compose", "matplotlib.figure")
    with database(settings) as db:
        shop = consistent_read(db, settings, partial(read_shop, db, settings, args))
    audit = shop.audit
    row = manifest_row(Path(__file__).name, shop.as_of, audit.orders, audit.fingerprint, args.keep_odd_dates)
    learned = learn(shop.history, shop.as_of, horizon)

    columns = model_columns(learned.train)
    scored = learned.tested.churn.predict_proba(learned.test[columns])[:, 1]
    scores = pd.DataFrame({MODEL: scored}, learned.test.index)
    scores = evaluation.add_peers(scores, learned.train, learned.test, columns, shop.truth)
    metrics = evaluation.evaluate(learned.train, learned.test, scores, horizon)
    evaluation.report(metrics, learned.test["cutoff"].iloc[0])

    predictions = predict(learned.latest, learned.current, learned.season_factor, shop.history.places)
    predictions["segment"] = segments_of(learned.current.index, row, settings.data_path)
    why = reasons(learned.latest.churn, learned.current, predictions["churn_probability"].to_numpy())
    predictions["main_reason"], predictions["second_reason"] = why
    campaign = CAMPAIGN._replace(places=shop.history.places)
    contacts = contact_list(predictions, learned.current, horizon, campaign, RISK_BANDS)
    profit = profit_curve(contacts, shop.history.places)
    report_money(learned.forecast, profit)
    tables = {
        "churn_predictions": contacts,
        "churn_model_metrics": metrics,
        "churn_calibration": evaluation.calibration(learned.test["churned"].to_numpy(), scored, scored).round(6),
        "churn_coefficients": coefficients(learned.latest.churn),
        "churn_profit_curve": profit,
        "revenue_forecast": learned.forecast,
    }
    save(settings.data_path, tables, draw_churn(learned.test, scores, tables), row)
    say("Next", "open the CSV files in Power BI; data/README.md says what is in them")


def arguments() -> Namespace:
    """The command line."""
    parser = as_of_parser(__doc__)
    days, kind = f"how far to look ahead, such as 60 (default {HORIZON_DAYS})", int_between(7, YEAR.days)
    parser.add_argument("--horizon", type=kind, default=HORIZON_DAYS, metavar="DAYS", help=days)
    return parse_arguments(parser)


# --- reading ---


def read_shop(db: Database, settings: Settings, args: Namespace) -> Shop:
    """The customers' history, a range of customers at a time."""
    reading = plan_reading(db, settings, args.as_of, args.keep_odd_dates)
    refuse_quiet_end(reading)
    n_orders = db[reading.collection].estimated_document_count()
    share = min(1.0, LEARN_ORDERS / n_orders) if n_orders else 1.0
    horizon = pd.Timedelta(days=args.horizon)
    task = partial(range_history, reading=reading, horizon=horizon, sample_share=share)
    parts, audits = zip(*map_ranges(task, db, settings, reading.ranges), strict=True)
    audit = add_audits(list(audits), reading, settings)
    truth = read_truth(db, settings)
    history = combine_histories(parts, settings)._replace(places=decimals(reading.currency))
    return Shop(reading.as_of, history, audit, truth)


def range_history(
    db: Database, where: dict, reading: Reading, horizon: pd.Timedelta, sample_share: float
) -> tuple[History, Audit]:
    """What the orders of one range of customers say at each cutoff."""
    orders, audit = read_range(db, reading, where)
    return snapshots(orders, reading.as_of, horizon, sample_share), audit


# --- learning ---


@clock("Learning")
def learn(history: History, as_of: pd.Timestamp, horizon: pd.Timedelta) -> Learned:
    """Fit the models at the cutoffs but the last, then at all of them, and forecast with both."""
    cutoffs = choose_cutoffs(history.first_order, as_of, horizon)
    learning = [labelled_features(history.snapshots, cutoff, horizon, sample_only=True) for cutoff in cutoffs]
    train = pd.concat(learning[:-1])
    test = labelled_features(history.snapshots, cutoffs[-1], horizon)
    require_both_kinds(train, test)
    tested = fit(train)
    span = f"{len(cutoffs) - 1} cutoffs ({cutoffs[0]:%Y-%m-%d} to {cutoffs[-2]:%Y-%m-%d})"
    say("Fitted", f"on {len(train):,} rows, customers at {span}")
    latest = fit(pd.concat(learning))
    fitted = {len(cutoffs) - 1: tested, len(cutoffs): latest}
    forecast, season_factor = forecast_revenue(history, learning, as_of, fitted)
    current = features(history.snapshots[as_of], as_of, horizon)
    return Learned(train, test, tested, latest, current, forecast, season_factor)


def choose_cutoffs(first: pd.Timestamp, as_of: pd.Timestamp, horizon: pd.Timedelta) -> list[pd.Timestamp]:
    """Cutoffs one horizon apart, in order of time: the last one's window ends at as_of, the first has
    a horizon of history before it. At least two: one to learn at and one to be tested at."""
    n = int((as_of - first) / horizon) - 1
    if n < 2:
        fail(
            f"The completed orders before {as_of:%Y-%m-%d} span {(as_of - first).days} days, and the model "
            f"needs {3 * horizon.days} to look back on, to learn from and to be tested on: load more history, or "
            f"look less far ahead with --horizon."
        )
    return [as_of - k * horizon for k in range(n, 0, -1)]


def require_both_kinds(train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Stop where there are too few who churned, or too few who stayed, to learn from or be tested on, or where
    nobody paid anything."""
    for kind, verb in ((True, "churned"), (False, "stayed")):
        n, total = min(((rows["churned"] == kind).sum(), len(rows)) for rows in (train, test))
        if n < MINIMUM_PER_CLASS:
            many = f"about {math.ceil(MINIMUM_PER_CLASS / n)} times as many" if n else "both kinds of"
            fail(
                f"Only {n} of {total:,} customers {verb} within the horizon; to learn from and be tested on, the "
                f"model needs {MINIMUM_PER_CLASS} who churned and {MINIMUM_PER_CLASS} who stayed: load {many} "
                f"customers, or change --horizon."
            )
    if not can_learn(train):
        fail("The orders that the model learns from add up to no revenue above 0: check their amounts.")


def can_learn(train: pd.DataFrame) -> bool:
    """Whether there are enough of both kinds to learn churn from, and revenue to learn spending from."""
    enough = min(train["churned"].sum(), (~train["churned"]).sum()) >= MINIMUM_PER_CLASS
    return enough and train["revenue"].sum() > 0 and train.loc[~train["churned"], "revenue"].clip(lower=0).any()


@evaluation.one_thread()
def fit(train: pd.DataFrame) -> Models:
    """Both models, fitted on these rows alone."""
    return Models(fit_churn(train), fit_spending(train))


def fit_churn(train: pd.DataFrame) -> "Pipeline":
    """Standardised features, the CURVED ones with squares and products, into a logistic regression; its
    regularisation is that of the best log loss on customers whose rows it was not fitted on."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    curves = ColumnTransformer(
        [("curved", PolynomialFeatures(2, include_bias=False), CURVED)],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    customers, _ = pd.factorize(train.index)
    folds = GroupKFold(FOLDS, shuffle=True, random_state=SEED).split(customers, groups=customers)
    regression = LogisticRegressionCV(
        Cs=REGULARISATION,
        l1_ratios=(0,),
        cv=list(folds),
        scoring="neg_log_loss",
        solver="newton-cholesky",
        use_legacy_attributes=False,
    )
    model = make_pipeline(StandardScaler(), curves, StandardScaler(), regression).set_output(transform="pandas")
    return model.fit(train[model_columns(train)], train["churned"])


def fit_spending(train: pd.DataFrame) -> "Pipeline":
    """What who stays spends within the horizon: a Poisson regression of their net revenue.

    Amounts below 0 count as 0 and all are scaled alike, so that refunds come off everybody's.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    stayed = train[~train["churned"]]
    spent = stayed["revenue"].clip(lower=0)
    poisson = PoissonRegressor(alpha=SPENDING_PENALTY, solver="newton-cholesky", max_iter=1000)
    in_one_unit = TransformedTargetRegressor(poisson, transformer=StandardScaler(with_mean=False))
    return make_pipeline(StandardScaler(), in_one_unit).fit(
        stayed[model_columns(train)], spent * train["revenue"].sum() / spent.sum()
    )


def coefficients(model: "Pipeline") -> pd.DataFrame:
    """One row per term: feature, coefficient (log-odds per standard deviation), odds_ratio (its exp)."""
    names, weights = model[:-1].get_feature_names_out(), model[-1].coef_[0]
    return pd.DataFrame({"feature": names, "coefficient": weights, "odds_ratio": np.exp(weights)}).round(6)


# --- predicting ---


def predict(models: Models, known: pd.DataFrame, season: float = 1.0, places: int = 2) -> pd.DataFrame:
    """One row per row of `known`: churn_probability, if_staying (net revenue within the horizon if the
    customer stays, times the season's factor), expected_revenue (that times the chance to stay)."""
    parts = []
    for rows in in_parts(known[models.churn.feature_names_in_]):
        churning, if_staying = models.churn.predict_proba(rows)[:, 1], season * models.spending.predict(rows)
        expected = ((1 - churning) * if_staying).round(places)
        table = {"churn_probability": churning, "if_staying": if_staying, "expected_revenue": expected}
        parts.append(pd.DataFrame(table, index=rows.index))
    return pd.concat(parts)


def forecast_revenue(
    history: History, learning: list[pd.DataFrame], as_of: pd.Timestamp, fitted: Mapping[int, Models]
) -> tuple[pd.DataFrame, float]:
    """Net revenue of the customers known at its start, for past windows, the tested one and the coming
    one; and the factor for the season by which the models' revenue of the coming one is multiplied.

    One row per window: the columns of revenue_forecast.csv. Each is the forecast of models fitted at all
    cutoffs a horizon or more before it; `fitted` holds those that are there already, by the number of
    cutoffs. low and high are as far off as the worst forecast before: the next is as likely as any of
    those n to be the worst, 1 in n + 1. Windows that nothing could be learnt for are left out.
    """
    cutoffs = [rows["cutoff"].iloc[0] for rows in learning]
    first, horizon = cutoffs[0], cutoffs[1] - cutoffs[0]
    seasonal = cutoffs[-1] - YEAR >= first
    windows, worst, season = [], np.nan, 1.0
    for n, start in enumerate([*cutoffs[1:], as_of], 1):
        train = pd.concat(learning[:n])
        if (seasonal and start - YEAR < first) or not can_learn(train):
            continue  # made without the season, it would say nothing of those made with it
        models = fitted.get(n) or fit(train)
        season = season_factor(models, history, start, horizon) if seasonal else 1.0
        known = features(history.snapshots[start], start, horizon)
        forecast = predict(models, known, season, history.places)["expected_revenue"].sum()
        window = {
            "window_start": start,
            "window_end": start + horizon,
            "forecast": forecast,
            "low": forecast * max(1 - worst, 0.0),
            "high": forecast * (1 + worst),
            "actual": history.snapshots[start]["future_revenue"].sum() if start < as_of else np.nan,
            "naive_last_window": history.spent[start - horizon],
            "naive_year_before": history.spent.get(start - YEAR, np.nan),
        }
        windows.append(window)
        if forecast > 0:
            worst = np.fmax(worst, abs(window["actual"] / forecast - 1))
    money = dict.fromkeys(windows[0].keys() - {"window_start", "window_end"}, history.places)
    return pd.DataFrame(windows).round(money), season


def season_factor(models: Models, history: History, start: pd.Timestamp, horizon: pd.Timedelta) -> float:
    """What the window a year before `start` brought, as a multiple of what the models say of it."""
    then = labelled_features(history.snapshots, start - YEAR, horizon)
    predicted, actual = predict(models, then)["expected_revenue"].sum(), then["revenue"].sum()
    return actual / predicted if min(predicted, actual) > 0 else 1.0


if __name__ == "__main__":
    run(main)
