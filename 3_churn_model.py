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
from pulse.addresses import add_address_option, read_addresses, write_addresses
from pulse.churn_charts import draw_churn
from pulse.contacts import Campaign, contact_list, explain, profit_curve, report_contacts, segments_of
from pulse.currencies import decimals
from pulse.customer_value import customer_value, report_value
from pulse.dashboard import write_dashboard
from pulse.database import database
from pulse.evaluation import MINIMUM_PER_CLASS, MODEL
from pulse.exports import manifest_row, require_writable, save
from pulse.features import (
    FEATURES,
    YEAR,
    History,
    combine_histories,
    features,
    in_parts,
    labelled_features,
    less_refunds,
    snapshots,
)
from pulse.forecasts import SEASON_BOUNDS, forecast_table, report_forecast
from pulse.loads import consistent_read
from pulse.options import as_of_parser, parse_arguments
from pulse.orders import Audit, add_audits, read_range, read_truth
from pulse.planning import Reading, plan_reading, refuse_quiet_end
from pulse.progress import clock
from pulse.ranges import map_ranges
from pulse.terms import Form, choose_form, churn_pipeline, coefficients

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
BACKTEST_FORM = Form(crossed=False, penalty=0.1)  # of the churn models behind past forecasts
SPENDING = ["spend", "late", "orders", "gap", "overdue"]  # what the spending model sees
SPENDING_PENALTY = 0.1
SEASON_SPREAD = 0.3  # of the logarithm of a season's factor, before any is seen: it is drawn towards 1
LEARN_ORDERS = 500_000  # the models learn from the customers of about so many orders, where there are more


class Shop(NamedTuple):
    """What is read from MongoDB."""

    as_of: pd.Timestamp
    history: History
    audit: Audit
    truth: pd.DataFrame | None  # of a simulated shop, for the report alone
    people: pd.DataFrame | None  # see read_addresses; None where nobody asked


class Models(NamedTuple):
    """Both models, fitted on the same rows."""

    churn: "Pipeline"
    spending: "Pipeline"


class Learned(NamedTuple):
    """The fitted models, the rows they were fitted and tested on, and the forecast."""

    all_rows: pd.DataFrame
    train: pd.DataFrame
    test: pd.DataFrame
    tested: Models  # which have seen train alone
    latest: Models  # which have seen all
    current: pd.DataFrame  # the features at as_of
    forecast: pd.DataFrame  # see forecast_table
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
    shop.history.snapshots.clear()  # the lists of all customers need that memory
    scored = learned.tested.churn.predict_proba(learned.test[FEATURES])[:, 1]
    scores = pd.DataFrame({MODEL: scored}, learned.test.index)
    scores = evaluation.add_peers(scores, learned.train, learned.test, FEATURES, shop.truth)
    metrics = evaluation.evaluate(learned.train, learned.test, scores, horizon)
    evaluation.report(metrics, learned.test["cutoff"].iloc[0])
    places = shop.history.places
    predictions = predict(learned.latest, learned.current, learned.season_factor, places)
    predictions["segment"] = segments_of(learned.current.index, row, settings.data_path)
    predictions = explain(predictions, learned.latest.churn, learned.current, horizon, RISK_BANDS)
    can_rank = evaluation.can_rank(metrics)
    contacts = contact_list(predictions, learned.current, CAMPAIGN._replace(places=places), can_rank)
    value, held = customer_value(shop.history, learned.current, shop.as_of, horizon, places)
    report_forecast(learned.forecast)
    report_value(value, held)
    report_contacts(contacts, can_rank)
    tables = {
        "churn_predictions": contacts,
        "churn_model_metrics": metrics,
        "churn_calibration": evaluation.calibration(learned.test["churned"].to_numpy(), scored, scored).round(6),
        "churn_coefficients": coefficients(learned.latest.churn, learned.all_rows),
        "churn_profit_curve": profit_curve(contacts, places),
        "campaign": pd.DataFrame([CAMPAIGN._replace(places=places)]),
        "revenue_forecast": learned.forecast,
        "customer_value": value,
    }
    save(settings.data_path, tables, draw_churn(learned.test, scores, tables), row | audit.source)
    write_addresses(args.with_addresses, contacts, shop.people)
    write_dashboard(settings.data_path)
    say("Next", "open dashboard.html, in data, or the CSV files in Power BI")


def arguments() -> Namespace:
    """The command line."""
    parser = as_of_parser(__doc__)
    days, kind = f"how far to look ahead, such as 60 (default {HORIZON_DAYS})", int_between(7, YEAR.days)
    parser.add_argument("--horizon", type=kind, default=HORIZON_DAYS, metavar="DAYS", help=days)
    add_address_option(parser)
    return parse_arguments(parser)


# --- reading ---


def read_shop(db: Database, settings: Settings, args: Namespace) -> Shop:
    """The customers' history, a range of customers at a time."""
    reading = plan_reading(db, settings, args.as_of, args.keep_odd_dates)
    refuse_quiet_end(reading)
    people = read_addresses(db, settings, reading) if args.with_addresses else None
    n_orders = db[reading.collection].estimated_document_count()
    share = min(1.0, LEARN_ORDERS / n_orders) if n_orders else 1.0
    horizon = pd.Timedelta(days=args.horizon)
    task = partial(range_history, reading=reading, horizon=horizon, sample_share=share)
    parts, audits = zip(*map_ranges(task, db, settings, reading.ranges), strict=True)
    audit = add_audits(list(audits), reading, settings)
    audit = audit._replace(source=audit.source | {"horizon_days": f"{args.horizon}"})
    truth = read_truth(db, settings)
    history = combine_histories(parts, settings)._replace(places=decimals(reading.currency))
    return Shop(reading.as_of, history, audit, truth, people)


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
    all_rows = pd.concat(learning)
    if not (can_learn(train) and can_learn(all_rows)):
        fail("The orders that the model learns from add up to no revenue above 0: check their amounts.")
    form = choose_form(train)
    tested, latest = fit(train, form), fit(all_rows, form)
    report_fit(train, cutoffs, form)
    forecast, season = forecast_revenue(history, learning, as_of, {len(cutoffs) - 1: tested, len(cutoffs): latest})
    current = features(history.snapshots[as_of], as_of, horizon)
    return Learned(all_rows, train, test, tested, latest, current, forecast, season)


def report_fit(train: pd.DataFrame, cutoffs: list[pd.Timestamp], form: Form) -> None:
    """Say what the tested models learnt from, and which form was chosen."""
    span = f"{len(cutoffs) - 1} cutoffs ({cutoffs[0]:%Y-%m-%d} to {cutoffs[-2]:%Y-%m-%d})"
    say("Fitted", f"on {len(train):,} rows, customers at {span}")
    terms = "the ten terms: clearly better" if form.crossed else "the eight terms: ten are not clearly better"
    say("", f"churn by {terms}; penalty C = {form.penalty:g}")


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
    """Stop where there are too few who churned, or too few who stayed, to learn from or be tested on."""
    for kind, verb in ((True, "churned"), (False, "stayed")):
        n, total = min(((rows["churned"] == kind).sum(), len(rows)) for rows in (train, test))
        if n < MINIMUM_PER_CLASS:
            many = f"about {math.ceil(MINIMUM_PER_CLASS / n)} times as many" if n else "both kinds of"
            fail(
                f"Only {n} of {total:,} customers {verb} within the horizon; to learn from and be tested on, the "
                f"model needs {MINIMUM_PER_CLASS} who churned and {MINIMUM_PER_CLASS} who stayed: load {many} "
                f"customers, or change --horizon."
            )


def can_learn(train: pd.DataFrame) -> bool:
    """Whether there are enough of both kinds to learn churn from, and revenue to learn spending from."""
    enough = min(train["churned"].sum(), (~train["churned"]).sum()) >= MINIMUM_PER_CLASS
    return enough and train["revenue"].sum() > 0 and train.loc[~train["churned"], "revenue"].clip(lower=0).any()


@evaluation.one_thread()
def fit(train: pd.DataFrame, form: Form) -> Models:
    """Both models, fitted on these rows alone."""
    churn = churn_pipeline(form).fit(train[FEATURES], train["churned"])
    return Models(churn, fit_spending(train))


def fit_spending(train: pd.DataFrame) -> "Pipeline":
    """What who stays spends within the horizon: a Poisson regression of their net revenue.

    In units of the mean, so that the penalty weighs the same in every currency.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    stayed = train[~train["churned"]]
    spent = less_refunds(stayed["revenue"], train["revenue"].sum())
    poisson = PoissonRegressor(alpha=SPENDING_PENALTY, solver="newton-cholesky", max_iter=1000)
    in_units = FunctionTransformer(partial(np.multiply, 1 / spent.mean()), partial(np.multiply, spent.mean()))
    regression = TransformedTargetRegressor(poisson, transformer=in_units)
    return make_pipeline(StandardScaler(), regression).fit(stayed[SPENDING], spent)


# --- predicting ---


def predict(models: Models, known: pd.DataFrame, season: float = 1.0, places: int = 2) -> pd.DataFrame:
    """One row per row of `known`: churn_probability, if_staying (net revenue within the horizon if the
    customer stays, times the season's factor), expected_revenue (that times the chance to stay)."""
    parts = []
    for rows in in_parts(known):
        churning = models.churn.predict_proba(rows[FEATURES])[:, 1]
        if_staying = season * models.spending.predict(rows[SPENDING])
        expected = ((1 - churning) * if_staying).round(places)
        table = {"churn_probability": churning, "if_staying": if_staying, "expected_revenue": expected}
        parts.append(pd.DataFrame(table, index=rows.index))
    return pd.concat(parts)


def forecast_revenue(
    history: History, learning: list[pd.DataFrame], as_of: pd.Timestamp, fitted: Mapping[int, Models]
) -> tuple[pd.DataFrame, float]:
    """The columns of revenue_forecast.csv, for past windows, the tested one and the coming one; and the
    factor for the season by which the models' revenue of the coming one is multiplied.

    Each is the forecast of models fitted at all cutoffs a horizon or more before it; `fitted` holds those
    that are there already, by the number of cutoffs. Windows are left out that nothing could be learnt for.
    """
    cutoffs = [rows["cutoff"].iloc[0] for rows in learning]
    horizon, starts = cutoffs[1] - cutoffs[0], [*cutoffs[1:], as_of]
    before = {start: year_before(history, start, horizon) for start in starts}
    seasonal = before[cutoffs[-1]] is not None and before[as_of] is not None
    known, season = {}, 1.0
    for n, start in enumerate(starts, 1):
        train, then = pd.concat(learning[:n]), before[start]
        if not can_learn(train) or (seasonal and then is None):
            continue  # made without the season, a forecast says nothing of those made with it
        models = fitted.get(n) or fit(train, BACKTEST_FORM)
        season = season_factor(models, then) if seasonal else 1.0
        now = features(history.snapshots[start], start, horizon)
        known[start] = predict(models, now, season, history.places)["expected_revenue"].sum()
    return forecast_table(known, history.spent, horizon, history.places), season


def year_before(history: History, start: pd.Timestamp, horizon: pd.Timedelta) -> pd.DataFrame | None:
    """The labelled features of a YEAR before `start`, of the customers known for a horizon then; None where fewer
    than MINIMUM_PER_CLASS of these ordered, or nothing came in."""
    snapshot = history.snapshots.get(start - YEAR)
    if snapshot is None or snapshot.empty:
        return None
    then = labelled_features(history.snapshots, start - YEAR, horizon)
    then = then[then["tenure_days"] >= horizon.days]
    enough = (~then["churned"]).sum() >= MINIMUM_PER_CLASS and then["revenue"].sum() > 0
    return then if enough else None


def season_factor(models: Models, then: pd.DataFrame) -> float:
    """What the window a year before brought, as a multiple of what the models say of it, drawn towards 1 the
    more the less certain it is, and within SEASON_BOUNDS.

    The logarithm's mean after a normal prior of SEASON_SPREAD around 0, its variance that of the customers'
    deviations from their share of the whole.
    """
    expected, actual = predict(models, then)["expected_revenue"], then["revenue"].sum()
    if expected.sum() <= 0:
        return 1.0
    ratio = actual / expected.sum()
    variance = ((then["revenue"] - ratio * expected) ** 2).sum() / actual**2
    certainty = SEASON_SPREAD**2 / (SEASON_SPREAD**2 + variance)
    return float(np.clip(ratio**certainty, *SEASON_BOUNDS))


if __name__ == "__main__":
    run(main)
