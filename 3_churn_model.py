"""Step 3: learn from past orders which customers will not order again, and what that puts at risk.

    python 3_churn_model.py                       predicts from the midnight after the last order
    python 3_churn_model.py --as-of 2025-07-01    as it would have then, from the orders before that day
    python 3_churn_model.py --horizon 60          looks 60 days ahead in place of 90

A customer has churned at a cutoff if no completed order follows within the horizon. Features see only
what came before the cutoff. The model learns at earlier cutoffs and is tested at the latest one whose
window has passed; windows never overlap. Then it learns from that one too, and predicts. What a
customer is expected to spend is the chance to stay times what those like them who stayed have spent.
"""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pymongo.database import Database

from common import (
    BLUE,
    DATA_DIR,
    GREY,
    ORANGE,
    ORDERS,
    as_of_parser,
    current,
    database,
    harmless,
    load_record,
    meanwhile_import,
    new_figure,
    of_all,
    parse,
    read,
    read_orders,
    require_data_dir,
    run_of,
    runs,
    save,
    say,
    steadily,
    stop,
    whole,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

# --- the rules ---

STEP_2 = "2_data_analysis.py"  # whose segments go into the list
HORIZON_DAYS = 90  # a customer who orders nothing for so long after the cutoff has churned
MINIMUM_PER_KIND = 50  # customers who churned, and who stayed, in training and in the test
THRESHOLD = 0.5  # churn is called from this probability on
RISK_BANDS = {"low": 0.0, "medium": 0.3, "high": 0.7}  # from this probability on, in rising order

CONTACT_COST = 1.0  # of reaching one customer, in the currency of the orders; put in your own four
OFFER_COST = 5.0  # of the offer, for whoever takes it: those it keeps, and all who would have stayed
SUCCESS_RATE = 0.10  # share of those about to churn whom contact and offer keep
MARGIN = 0.40  # what is left of a unit of revenue once the goods are paid

FEATURES = {  # and the reason that each speaks for; what pace is made of makes sense together alone
    "overdue": "rhythm",
    "gap": "pace",
    "orders": "pace",
    "irregularity": "irregularity",
    "tenure": "pace",
    "momentum": "momentum",
    "spend": "spend",
    "spend_trend": "spend_trend",
    "refunds": "refunds",
    "one_order": "pace",
}
REASONS = {  # in words, for a customer who is above the others in it, and below
    "rhythm": ("long overdue by the customer's own rhythm", "within the customer's own rhythm"),
    "pace": ("many orders for the time as a customer", "few orders for the time as a customer"),
    "irregularity": ("orders at irregular intervals", "orders at regular intervals"),
    "momentum": ("more orders of late than before", "fewer orders of late than before"),
    "spend": ("large orders", "small orders"),
    "spend_trend": ("larger orders of late than before", "smaller orders of late than before"),
    "refunds": ("many refunds", "few refunds"),
}
SPEAKS_FOR_CHURN = {"rhythm": "above", "pace": "below", "momentum": "below"}  # the others: as the model has it
CURVED = ["overdue", "gap", "orders"]  # these enter with their squares and products too
SEASON = ["season_sin", "season_cos"]  # what is learnt of the time of the year, once seen twice
YEAR = pd.Timedelta(days=365)

REGULARISATION = [0.001, 0.01, 0.1, 1, 10]  # the lower, the stronger
FOLDS = 5  # of customers, to choose among these
RESAMPLES = 200  # of customers, for the intervals of the metrics
BINS = 10  # groups of customers, to compare predicted with observed churn
LEARN_ORDERS = 500_000  # the models learn from the customers of about so many orders, where there are more
AT_A_TIME = 100_000  # customers foretold at a time
ALL = slice(None)  # rows
SEED = 0


def main() -> None:
    args = arguments()
    horizon = pd.Timedelta(days=args.horizon)
    require_data_dir()
    meanwhile_import("sklearn.ensemble", "sklearn.compose", "matplotlib.figure")
    with database() as db:
        (parts, _, as_of, seen), truth = steadily(db, lambda: read_shop(db, args.as_of, horizon))
    run = run_of(Path(__file__).name, as_of, seen)
    first, spent, known = add_up(parts)

    cutoffs = choose_cutoffs(first, as_of, horizon)
    *earlier, _ = history = [labelled(known, cutoff, horizon, learners=True) for cutoff in cutoffs]
    train, test = pd.concat(earlier), labelled(known, cutoffs[-1], horizon)
    require_both_kinds(train, test)
    tested = fit(train)
    span = f"{cutoffs[0]:%Y-%m-%d} to {cutoffs[-2]:%Y-%m-%d}"
    say("Fitted", f"on {len(train):,} rows, one per customer and cutoff (cutoffs: {len(earlier)}, {span})")

    latest = fit(pd.concat(history))
    fitted = {len(earlier): tested, len(history): latest}
    revenue, factor = forecast(known, spent, history, as_of, fitted)
    today = features(known[as_of], as_of, horizon)
    del parts, known, history, earlier  # the largest there is

    judged = probabilities(tested[0], train, test, truth)
    metrics = evaluate(train, test, judged, horizon)
    report(metrics, cutoffs[-1])
    predictions = predict(latest, today, horizon, factor, segments_of(today, run))
    profit = profit_curve(predictions)
    report_money(revenue, profit)
    tables = {
        "churn_predictions": predictions,
        "churn_model_metrics": metrics,
        "churn_calibration": calibration(test["churned"], judged["logistic_regression"]),
        "churn_coefficients": coefficients(latest[0]),
        "churn_profit_curve": profit,
        "revenue_forecast": revenue,
    }
    save(tables, draw_figures(test, judged, tables), run)
    say("Next", "open the CSV files in Power BI; data/README.md says what is in them")


def arguments() -> Namespace:
    """The command line."""
    parser = as_of_parser(__doc__.splitlines()[0])
    days = f"how far to look ahead (default {HORIZON_DAYS})"
    parser.add_argument("--horizon", type=whole(7, YEAR.days), default=HORIZON_DAYS, metavar="DAYS", help=days)
    return parse(parser)


# --- what the model sees, and what it is to foretell ---


def read_shop(db: Database, as_of: pd.Timestamp | None, horizon: pd.Timedelta) -> tuple:
    """What read_orders makes of histories, and read_truth."""
    n = db[current(db, ORDERS)].estimated_document_count()
    share = min(1.0, LEARN_ORDERS / n) if n else 1.0
    return read_orders(db, as_of, histories, horizon, share), read_truth(db)


def histories(orders: pd.DataFrame, as_of: pd.Timestamp, horizon: pd.Timedelta, share: float = 1) -> tuple:
    """What some customers' orders, all of theirs, say at every cutoff that may be wanted: those a horizon
    apart back from as_of, and for the share that the models learn from also a YEAR before each.

    The first completed order; {cutoff: net revenue of the horizon from it on}; {cutoff: known_at}.
    """
    orders = prepare(orders.dropna(subset="customer_id"), share)
    spent, known, paid = {}, {}, net(orders)
    learnt = orders[orders["learner"]]
    back = 0 * horizon
    while as_of - back + horizon > paid["order_date"].min():  # others' orders may have begun earlier
        for cutoff in (as_of - back, as_of - back - YEAR):
            window = paid["order_date"].between(cutoff, cutoff + horizon, inclusive="left")
            spent[cutoff] = paid.loc[window, "amount"].sum()
        known[as_of - back] = known_at(orders, as_of - back, horizon)
        known[as_of - back - YEAR] = known_at(learnt, as_of - back - YEAR, horizon)
        back += horizon
    return orders.loc[orders["completed"], "order_date"].min(), spent, known


def add_up(parts: list[tuple]) -> tuple[pd.Timestamp, pd.Series, dict[pd.Timestamp, pd.DataFrame]]:
    """The histories of all ranges of customers as one."""
    firsts, spent, known = zip(*parts, strict=True)
    cutoffs = sorted(set().union(*known))
    known = {cutoff: of_all([part.pop(cutoff) for part in known if cutoff in part]) for cutoff in cutoffs}
    first, sums = pd.Series(firsts).min(), pd.DataFrame(spent).sum().round(2)
    return first, sums[sums.index >= first], known


def choose_cutoffs(first: pd.Timestamp, as_of: pd.Timestamp, horizon: pd.Timedelta) -> list[pd.Timestamp]:
    """Cutoffs one horizon apart, in order of time: the last one's window ends at as_of, the first has
    a horizon of history before it. At least two: one to learn at and one to be tested at."""
    n = int((as_of - first) / horizon) - 1
    if n < 2:
        stop(
            f"The completed orders before {as_of:%Y-%m-%d} span {(as_of - first).days} days, and the model "
            f"needs {3 * horizon.days} to look back on, to learn from and to be tested on: load more history, or "
            f"look less far ahead with --horizon."
        )
    return [as_of - k * horizon for k in range(n, 0, -1)]


def prepare(orders: pd.DataFrame, share: float = 1) -> pd.DataFrame:
    """The orders by customer and date, with gap_squared (days² since the completed one before) and learner:
    whether the models learn from the customer, whom a hash of the id picks for about that share."""
    orders = orders.sort_values(["customer_id", "order_date"])
    done = orders[orders["completed"]]
    gap = done["order_date"].diff() / pd.Timedelta(days=1)
    ids = orders["customer_id"].cat
    learner = pd.util.hash_array(ids.categories.to_numpy(object)) <= share * np.iinfo(np.uint64).max
    return orders.assign(
        gap_squared=gap.where(done["customer_id"] == done["customer_id"].shift()) ** 2,
        learner=learner[ids.codes],
    )


def known_at(orders: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta) -> pd.DataFrame:
    """Sums over each customer's orders, one row per customer with a completed order before the cutoff,
    indexed by customer_id.

    From before the cutoff: first and last (completed order), n (their number), paid, gap_squared (days²
    between them), late and late_paid (n and paid of the last horizon), refunds (their number), learner. From
    the horizon after it: later (completed orders), revenue (net).
    """
    orders = orders[orders["order_date"] < cutoff + horizon]
    customer, when, amount = orders["customer_id"], orders["order_date"], orders["amount"]
    before, back = when < cutoff, amount < 0
    past = before & orders["completed"]
    late, later = past & (when >= cutoff - horizon), ~before & orders["completed"]
    sums = {
        "n": past,
        "paid": amount.where(past, 0.0),
        "gap_squared": orders["gap_squared"].where(past, 0.0),
        "late": late,
        "late_paid": amount.where(late, 0.0),
        "refunds": before & back,
        "learner": orders["learner"],
        "later": later,
        "revenue": amount.where(later | (back & ~before), 0.0),
    }
    known = pd.DataFrame(sums).groupby(customer, observed=True).sum()
    dates = when.where(past).groupby(customer, observed=True)
    small = dict.fromkeys(("n", "late", "refunds", "later"), "int32") | {"learner": bool}
    known = known.astype(small)  # memory holds many of these
    known = known.assign(first=dates.min(), last=dates.max())[known["n"] > 0]
    known.index = known.index.astype("str")
    return known.round({"paid": 2, "late_paid": 2, "revenue": 2})  # to the cent: the same in whatever order


def features(
    known: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta, rows: slice | np.ndarray = ALL
) -> pd.DataFrame:
    """What is known of each customer (of those `rows` alone) at the cutoff, from the orders before it alone
    (see known_at).

    One row per customer: cutoff, recency_days and tenure_days (since the last and the first order, in
    days and their fractions), FEATURES, SEASON. The KPI dictionary gives each formula. Counts, days and
    amounts enter as logarithms, because a step from 1 to 2 weighs more than one from 101 to 102. A few
    orders say little of a habit, so all customers' average counts like one gap, or one order, more; for
    a customer with a single order the average gap stands alone.
    """
    day = pd.Timedelta(days=1)
    recency, tenure = (cutoff - known["last"]) / day, (cutoff - known["first"]) / day
    span = tenure - recency
    usual = span.sum() / (known["n"] - 1).sum() if span.sum() > 0 else horizon / day
    usual_order = known["paid"].sum() / known["n"].sum()

    known, recency, tenure, span = known[rows], recency[rows], tenure[rows], span[rows]
    n, refunds = known["n"], known["refunds"]
    gap = (span + usual) / n
    order = (known["paid"] + usual_order) / (n + 1)
    expected = n * (horizon / day / tenure).clip(upper=1)  # of late orders, had they come evenly
    season = 2 * np.pi * cutoff.day_of_year / 365.25
    return pd.DataFrame(
        {
            "cutoff": cutoff,
            "recency_days": recency,
            "tenure_days": tenure,
            "overdue": np.log1p(recency) - np.log1p(gap),
            "gap": np.log1p(gap),
            "orders": np.log(n),
            "irregularity": np.log((known["gap_squared"] + 2 * usual**2) / n / gap**2) / 2,
            "tenure": np.sqrt(tenure),
            "momentum": np.log((known["late"] + 1) / (expected + 1)),
            "spend": np.log1p(order),
            "spend_trend": np.log1p((known["late_paid"] + order) / (known["late"] + 1)) - np.log1p(order),
            "refunds": refunds / (n + refunds),
            "one_order": (n == 1).astype(float),
            "season_sin": np.sin(season),
            "season_cos": np.cos(season),
        }
    )


def labelled(
    known: dict[pd.Timestamp, pd.DataFrame],
    cutoff: pd.Timestamp,
    horizon: pd.Timedelta,
    learners: bool = False,
) -> pd.DataFrame:
    """The features at the cutoff (of all customers, or those alone that the models learn from) with what the
    horizon from it on brought: churned (whether no completed order came), revenue (net)."""
    rows = known[cutoff]["learner"].to_numpy() if learners else ALL
    then = known[cutoff][rows]
    return features(known[cutoff], cutoff, horizon, rows).assign(
        churned=then["later"] == 0, revenue=then["revenue"]
    )


def net(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders whose amounts add up to net revenue: the completed ones, and refunds."""
    return orders[orders["completed"] | (orders["amount"] < 0)]


def require_both_kinds(*samples: pd.DataFrame) -> None:
    """Stop where a sample has too few who churned, or too few who stayed, to learn from or be tested on,
    or where nobody paid anything."""
    for kind, verb in ((True, "churned"), (False, "stayed")):
        n, of = min(((sample["churned"] == kind).sum(), len(sample)) for sample in samples)
        if n < MINIMUM_PER_KIND:
            more = f"about {-(-MINIMUM_PER_KIND // n)} times as many customers" if n else "customers of both kinds"
            stop(
                f"Only {n} of {of:,} customers {verb} within the horizon; to learn from and be tested on, the "
                f"model needs {MINIMUM_PER_KIND} who churned and {MINIMUM_PER_KIND} who stayed: load {more}, or "
                f"change --horizon."
            )
    if not can_learn(samples[0]):
        stop("The orders that the model learns from add up to no revenue above 0: check their amounts.")


def can_learn(train: pd.DataFrame) -> bool:
    """Whether there are enough of both kinds to learn churn from, and revenue to learn spending from."""
    enough = min(train["churned"].sum(), (~train["churned"]).sum()) >= MINIMUM_PER_KIND
    return enough and train["revenue"].sum() > 0 and train.loc[~train["churned"], "revenue"].clip(lower=0).any()


def read_truth(db: Database) -> pd.DataFrame | None:
    """What the generator knows of a simulated shop, for the report alone; None for a real shop.

    One row per customer, indexed by customer_id: persona (a number), lapsed_on.
    """
    if not load_record(db, current(db, ORDERS)):
        return None
    names = {"customer_id": "_id", "persona": "persona", "lapsed_on": "lapsed_on"}
    kinds = {"customer_id": "string", "persona": "string", "lapsed_on": "date"}
    truth = read(db[current(db, "simulation_truth")], kinds, names).set_index("customer_id")
    return truth.assign(persona=truth["persona"].astype("category").cat.codes) if len(truth) else None


def segments_of(today: pd.DataFrame, run: dict[str, str]) -> pd.Series:
    """Each customer's RFM segment from script 2's file, where that is of the same orders; else missing."""
    customers = today.index
    path = DATA_DIR / "rfm_analysis.csv"
    if path.exists() and runs().get(STEP_2) == run | {"script": STEP_2, "state": "complete"}:
        rfm = pd.read_csv(path, dtype={"customer_id": str}, na_filter=False)
        rfm = rfm.drop_duplicates("customer_id").set_index("customer_id")
        return rfm["segment"].reindex(harmless(customers.to_series())).set_axis(customers)
    say("Noted", f"no segments: {STEP_2} has not been run on these orders before {run['as_of']}")
    return pd.Series(index=customers, dtype="str")


# --- the models ---


def terms(train: pd.DataFrame) -> list[str]:
    """What the models see of these rows: the season only where the cutoffs span two years."""
    seen = train["cutoff"].max() - train["cutoff"].min()
    return [*FEATURES, *(SEASON if seen >= 2 * YEAR else [])]


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
    return model.fit(train[terms(train)], train["churned"])


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
    poisson = PoissonRegressor(alpha=1e-3, solver="newton-cholesky", max_iter=1000)
    in_one_unit = TransformedTargetRegressor(poisson, transformer=StandardScaler(with_mean=False))
    return make_pipeline(StandardScaler(), in_one_unit).fit(
        stayed[terms(train)], spent * train["revenue"].sum() / spent.sum()
    )


def fit(train: pd.DataFrame) -> "tuple[Pipeline, Pipeline]":
    """Both models, fitted on these rows alone."""
    return fit_churn(train), fit_spending(train)


def foretell(models: "tuple[Pipeline, Pipeline]", known: pd.DataFrame, factor: float = 1.0) -> pd.DataFrame:
    """One row per row of `known`: churn_probability, if_staying (net revenue within the horizon if the
    customer stays, times the season's factor), expected_revenue (that times the chance to stay)."""
    churn, spending = models
    told = []
    for part in in_parts(known[churn.feature_names_in_]):
        churning, if_staying = churn.predict_proba(part)[:, 1], factor * spending.predict(part)
        expected = ((1 - churning) * if_staying).round(2)
        table = {"churn_probability": churning, "if_staying": if_staying, "expected_revenue": expected}
        told.append(pd.DataFrame(table, index=part.index))
    return pd.concat(told)


def in_parts(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows in parts of AT_A_TIME: scaling and multiplying all at once would take much memory."""
    return [rows[first : first + AT_A_TIME] for first in range(0, max(len(rows), 1), AT_A_TIME)]


def probabilities(
    model: "Pipeline", train: pd.DataFrame, test: pd.DataFrame, truth: pd.DataFrame | None
) -> pd.DataFrame:
    """Churn probabilities of the test rows: of the model, of boosted trees on the same features, and,
    where the shop is simulated, of a judge who also knows each customer's persona and past lapse."""
    columns = list(model.feature_names_in_)
    judged = pd.DataFrame({"logistic_regression": model.predict_proba(test[columns])[:, 1]}, index=test.index)
    judged["gradient_boosting"] = boost(train, test, columns)
    if truth is not None:
        informed = (with_truth(frame, truth) for frame in (train, test))
        judged["informed_judge"] = boost(*informed, [*columns, "persona", "days_since_lapse"])
    return judged


def boost(train: pd.DataFrame, test: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Churn probabilities of the test rows, by gradient boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(learning_rate=0.05, early_stopping=True, random_state=SEED)
    return trees.fit(train[columns], train["churned"]).predict_proba(test[columns])[:, 1]


def with_truth(known: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the generator knows at their cutoff: persona, days_since_lapse (or missing)."""
    persona, lapsed_on = (truth[name].reindex(known.index) for name in ("persona", "lapsed_on"))
    days = (known["cutoff"] - lapsed_on) / pd.Timedelta(days=1)
    return known.assign(persona=persona, days_since_lapse=days.where(days > 0))


# --- how good it is ---


def evaluate(train: pd.DataFrame, test: pd.DataFrame, judged: pd.DataFrame, horizon: pd.Timedelta) -> pd.DataFrame:
    """The models beside two baselines that are tuned on the training rows: model, population, metric,
    value, and the 95% interval low to high over resampled customers.

    majority_class gives everybody the share that churned; recency_rule calls churned who has been
    away for more than threshold_days, the number that was right most often. A population with
    fewer than MINIMUM_PER_KIND who churned, or who stayed, is left out.
    """
    rows = []
    for population, days in {"all": 0, "established": horizon.days}.items():
        past, now = (frame[frame["tenure_days"] >= days] for frame in (train, test))
        if now["churned"].value_counts().reindex([False, True], fill_value=0).min() < MINIMUM_PER_KIND:
            continue
        churned, away = now["churned"].to_numpy(), now["recency_days"].to_numpy()
        share = past["churned"].mean()
        threshold = best_threshold(past["recency_days"], past["churned"])
        long_away = past["churned"].groupby(past["recency_days"] > threshold).mean()
        rule = pd.Series(away > threshold).map(long_away).fillna(share).to_numpy()
        scores = {name: scorer(churned, p.to_numpy()) for name, p in judged.loc[now.index].items()}
        scores["recency_rule"] = scorer(churned, rule, rank=away, called=away > threshold)
        scores["majority_class"] = scorer(churned, np.full(len(now), share))

        rng, weight = np.random.default_rng(SEED), np.ones(len(now))
        drawn = {model: [] for model in scores}
        for _ in range(RESAMPLES + 1):  # one at a time: a weight for each customer is large
            for model, score in scores.items():
                drawn[model].append(score(weight))
            weight = np.bincount(rng.integers(len(now), size=len(now)), minlength=len(now))
        for model, metrics in drawn.items():
            draws = pd.DataFrame(metrics)
            values = pd.DataFrame(
                {"value": draws.iloc[0], "low": draws.quantile(0.025), "high": draws.quantile(0.975)}
            )
            values.loc["calibration_error", ["low", "high"]] = np.nan  # a mean of distances: resampling adds to it
            values.loc["customers", "value"] = len(now)
            if model == "recency_rule":
                values.loc["threshold_days", "value"] = threshold
            rows.append(values.rename_axis("metric").reset_index().assign(model=model, population=population))
    return pd.concat(rows)[["model", "population", "metric", "value", "low", "high"]].round(6)


def best_threshold(recency_days: pd.Series, churned: pd.Series) -> int:
    """The whole number of days for which `recency_days > it` is right about most rows."""
    candidates = np.arange(int(recency_days.max()) + 2)
    stayers, churners = np.sort(recency_days[~churned]), np.sort(recency_days[churned])
    within = [np.searchsorted(days, candidates, side="right") for days in (stayers, churners)]
    return int(candidates[(within[0] - within[1]).argmax()])


def scorer(
    churned: np.ndarray,
    probability: np.ndarray,
    rank: np.ndarray | None = None,
    called: np.ndarray | None = None,
) -> Callable[[np.ndarray], dict[str, float]]:
    """A function from customers' weights to the model's metrics by name.

    It sorts once, so that hundreds of resamples (weights 0, 1, 2 ...) cost little. `rank` (default:
    the probability) orders the customers, `called` says who is called churned. scikit-learn's
    metrics with sample_weight give the same values; calibration_error is the mean distance of
    predicted from observed churn over BINS groups of equal size, lift_top_decile the churn among the
    tenth that ranks first over that of all.
    """
    rank = probability if rank is None else rank
    called = probability >= THRESHOLD if called is None else called
    order, ends = ranking(rank)
    edges = np.arange(BINS + 1) * len(order) // BINS  # the weights of a resample add up to its size
    right = (called == churned)[order]
    churned, probability = churned[order], probability[order]
    distance = (probability - churned) ** 2
    surprise = -np.log(np.where(churned, probability, 1 - probability).clip(np.finfo(float).eps))

    def scores(weight: np.ndarray) -> dict[str, float]:
        weight = weight[order]
        seen, churners, expected = (running(weight * part, ends) for part in (1, churned, probability))
        total, all_churners = seen[-1], churners[-1]
        stayers = seen - churners
        first_seen, first_churners = total - seen[::-1], all_churners - churners[::-1]  # from the top
        precision = first_churners[1:] / np.maximum(first_seen[1:], 1)
        tenths = np.diff(np.interp(edges, seen, expected - churners))
        top = np.interp(total / 10, first_seen, first_churners)
        return {
            "churn_rate": all_churners / total,
            "accuracy": weight @ right / total,
            "roc_auc": np.trapezoid(stayers, churners) / (all_churners * stayers[-1]),
            "average_precision": np.diff(first_churners) @ precision / all_churners,
            "brier_score": weight @ distance / total,
            "log_loss": weight @ surprise / total,
            "calibration_error": np.abs(tenths).sum() / total,
            "lift_top_decile": 10 * top / all_churners,
        }

    return scores


def ranking(rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in rising order, and the position in it of the last of each run of equals."""
    order = np.argsort(rank, kind="stable")
    return order, np.flatnonzero(np.diff(rank[order], append=np.inf))


def running(values: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """0, then the running total of the values at each of the ends."""
    return np.append(0.0, np.cumsum(values)[ends])


def calibration(churned: pd.Series, probability: pd.Series) -> pd.DataFrame:
    """Predicted and observed churn in BINS groups of equal size, by rising probability; those with
    equal probabilities are shared out evenly.

    One row per group: bin, customers, mean_predicted, observed_rate.
    """
    order, ends = ranking(probability.to_numpy())
    parts = (np.ones(len(order)), probability.to_numpy()[order], churned.to_numpy()[order])
    seen, expected, churners = (running(part, ends) for part in parts)
    edges = np.arange(BINS + 1) * len(order) // BINS
    size = np.diff(edges)
    table = {"bin": np.arange(1, BINS + 1), "customers": size}
    table["mean_predicted"] = np.diff(np.interp(edges, seen, expected)) / size
    table["observed_rate"] = np.diff(np.interp(edges, seen, churners)) / size
    return pd.DataFrame(table).round(6)


def coefficients(model: "Pipeline") -> pd.DataFrame:
    """One row per term: feature, coefficient (log-odds per standard deviation), odds_ratio (its exp)."""
    weights = model[-1].coef_[0]
    return pd.DataFrame(
        {"feature": model[:-1].get_feature_names_out(), "coefficient": weights, "odds_ratio": np.exp(weights)}
    ).round(6)


def report(metrics: pd.DataFrame, cutoff: pd.Timestamp) -> None:
    """Say how the model did on the customers that it was not fitted on, next to what else there is."""
    for population, rows in metrics.groupby("population"):
        of = rows.pivot(index="model", columns="metric", values="value")
        model, rule, guess = of.loc["logistic_regression"], of.loc["recency_rule"], of.loc["majority_class"]

        def both(name: str, of: pd.DataFrame = of) -> str:
            return f"{of.loc[name, 'accuracy']:.1%}, {of.loc[name, 'roc_auc']:.3f}"

        say(
            "Tested",
            f"at {cutoff:%Y-%m-%d} on {model['customers']:,.0f} customers ({population}), of whom "
            f"{model['churn_rate']:.1%} churned: accuracy {model['accuracy']:.1%}, AUC {model['roc_auc']:.3f}",
        )
        say(
            "",
            f"where one guess for all has {guess['accuracy']:.1%}, 0.500; 'away over "
            f"{rule['threshold_days']:.0f} days' {both('recency_rule')}; boosted trees "
            f"{both('gradient_boosting')}",
        )
        if "informed_judge" in of.index:
            say(
                "",
                f"and a judge who knows who has lapsed {both('informed_judge')}: nobody can do much better here",
            )
        say("", f"predicted and observed churn differ by {model['calibration_error']:.1%} on average")


# --- what it says of today's customers, and what that is worth ---


def forecast(
    known: dict[pd.Timestamp, pd.DataFrame],
    spent: pd.Series,
    history: list[pd.DataFrame],
    as_of: pd.Timestamp,
    fitted: "dict[int, tuple[Pipeline, Pipeline]]",
) -> tuple[pd.DataFrame, float]:
    """Net revenue of the customers known at its start, for past windows, the tested one and the coming
    one; and the factor for the season by which the models' revenue of the coming one is multiplied.

    One row per window: window_start, window_end (the midnight it ends at), forecast, low, high, actual,
    naive_last_window and naive_year_before (what these customers spent in the window before, and a
    year before). Each is the forecast of models fitted at all cutoffs a horizon or more before it;
    `fitted` holds those that are there already, by the number of cutoffs. low and high are as far off
    as the worst forecast before, made in the same way: the next is as likely as any of those n to be
    the worst, 1 in n + 1. Windows that nothing could be learnt for are left out.
    """
    cutoffs = [rows["cutoff"].iloc[0] for rows in history]
    first, horizon = cutoffs[0], cutoffs[1] - cutoffs[0]
    seasonal = cutoffs[-1] - YEAR >= first

    rows, worst, factor = [], np.nan, 1.0
    for n, start in enumerate([*cutoffs[1:], as_of], 1):
        train = pd.concat(history[:n])
        if (seasonal and start - YEAR < first) or not can_learn(train):
            continue  # made without the season, it would say nothing of those made with it
        models = fitted.get(n) or fit(train)
        if seasonal:
            then = labelled(known, start - YEAR, horizon)
            foretold = foretell(models, then)["expected_revenue"].sum()
            factor = then["revenue"].sum() / foretold if min(foretold, then["revenue"].sum()) > 0 else 1.0
        predicted = foretell(models, features(known[start], start, horizon), factor)["expected_revenue"].sum()
        actual = known[start]["revenue"].sum() if start < as_of else np.nan
        rows.append(
            {
                "window_start": start,
                "window_end": start + horizon,
                "forecast": predicted,
                "low": predicted * max(1 - worst, 0.0),
                "high": predicted * (1 + worst),
                "actual": actual,
                "naive_last_window": spent[start - horizon],
                "naive_year_before": spent.get(start - YEAR, np.nan),
            }
        )
        if predicted > 0:
            worst = np.fmax(worst, abs(actual / predicted - 1))
    money = rows[0].keys() - {"window_start", "window_end"}
    return pd.DataFrame(rows).round(dict.fromkeys(money, 2)), factor


def predict(
    models: "tuple[Pipeline, Pipeline]",
    today: pd.DataFrame,
    horizon: pd.Timedelta,
    factor: float,
    segments: pd.Series,
) -> pd.DataFrame:
    """One row per customer, by falling revenue at risk: the columns of churn_predictions.csv.

    At risk is what churn is expected to cost: its probability times what the customer would spend by
    staying; nothing for who has been away for longer than a horizon, and so has churned already.
    """
    told = foretell(models, today, factor)
    churning, lost = told["churn_probability"], told["if_staying"].where(today["recency_days"] <= horizon.days, 0)
    kept = churning * SUCCESS_RATE * (MARGIN * lost - OFFER_COST).where(lost > 0, 0)
    main, second = reasons(models[0], today, churning.to_numpy())
    table = {
        "customer_id": today.index,
        "as_of": today["cutoff"],
        "segment": segments,
        "churn_probability": churning.round(6),
        "risk_band": pd.cut(churning, [*RISK_BANDS.values(), np.inf], right=False, labels=list(RISK_BANDS)),
        "expected_revenue": told["expected_revenue"],
        "revenue_at_risk": (churning * lost).round(2),
        "contact_profit": (kept - (1 - churning) * OFFER_COST - CONTACT_COST).round(2),
        "main_reason": main,
        "second_reason": second,
    }
    ranked = pd.DataFrame(table).sort_index().sort_values("revenue_at_risk", ascending=False, kind="stable")
    return ranked.reset_index(drop=True)


def reasons(model: "Pipeline", known: pd.DataFrame, probability: np.ndarray) -> np.ndarray:
    """The two reasons, in words, that set each customer furthest apart, in log-odds, from the average
    of those for whom the model says the opposite; missing where none does; shape (2, customers).

    A product's share is split evenly between its two features.
    """
    called = probability >= THRESHOLD
    pace = known["orders"] - np.log1p(known["tenure_days"])
    values = known.assign(rhythm=known["overdue"], pace=pace)[list(REASONS)]
    seen = pd.concat([model[:-1].transform(part) for part in in_parts(known[model.feature_names_in_])])
    share = pd.DataFrame(0.0, index=seen.columns, columns=list(REASONS))
    for term in seen:
        for feature in set(parts := term.removesuffix("^2").split()) & FEATURES.keys():
            share.loc[term, FEATURES[feature]] += 1 / len(parts)

    sides = [SPEAKS_FOR_CHURN.get(reason) for reason in REASONS]  # to be on the other one is no reason for it
    odd = {kind: [{None: -1, "above": kind, "below": not kind}[side] for side in sides] for kind in (True, False)}
    names, words = np.empty((2, len(known)), dtype=object), np.array(list(REASONS.values()), dtype=object)
    for kind in (True, False):
        mine = called == kind
        others = ~mine if not mine.all() else mine
        moves = (((seen[mine] - seen[others].mean()) * model[-1].coef_[0]) @ share).to_numpy()
        below = (values[mine] < values[others].mean()).to_numpy().astype(int)
        towards = np.where(below == odd[kind], 0, moves if kind else -moves)
        row, order = np.arange(mine.sum()), np.argsort(-towards, axis=1, kind="stable")[:, :2]
        names[:, mine] = [
            np.where(towards[row, column] > 0, words[column, below[row, column]], None) for column in order.T
        ]
    return names


def profit_curve(predictions: pd.DataFrame) -> pd.DataFrame:
    """What it is worth to contact the first so many customers of the list, in a hundred steps through
    those who have something at risk, and at the best number.

    One row per number: customers_contacted, expected_profit (of margin, less the costs at the top of
    this script), is_best.
    """
    profit = np.append(0.0, predictions["contact_profit"].cumsum())
    best = profit.argmax()
    contacted = np.union1d(np.linspace(0, (predictions["revenue_at_risk"] > 0).sum(), 101).astype(int), best)
    return pd.DataFrame(
        {
            "customers_contacted": contacted,
            "expected_profit": profit[contacted].round(2),
            "is_best": contacted == best,
        }
    )


def report_money(revenue: pd.DataFrame, profit: pd.DataFrame) -> None:
    """Say the forecast, how the last one went, and whom to contact."""
    coming = revenue.iloc[-1]
    between = f" ({coming['low']:,.0f} to {coming['high']:,.0f})" if np.isfinite(coming["low"]) else ""
    say(
        "Forecast",
        f"{coming['forecast']:,.0f}{between} net revenue of today's customers by {coming['window_end']:%Y-%m-%d}",
    )
    tested = revenue.iloc[-2]
    names = {
        "off by": "forecast",
        "'as in the window before'": "naive_last_window",
        "'as a year before'": "naive_year_before",
    }
    if tested["actual"] > 0:
        misses = {name: tested[column] / tested["actual"] - 1 for name, column in names.items()}
        text = ", ".join(f"{name} {miss:+.1%}" for name, miss in misses.items() if np.isfinite(miss))
        say("", f"the same, made at {tested['window_start']:%Y-%m-%d}, was {text}")
    best = profit[profit["is_best"]].iloc[0]
    whom = (
        f"the first {best['customers_contacted']:,} of churn_predictions.csv: worth {best['expected_profit']:,.0f}"
    )
    say(
        "Contact",
        f"{whom if best['customers_contacted'] else 'nobody, it does not pay'} at the costs in this script",
    )


# --- figures ---


def draw_figures(test: pd.DataFrame, judged: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> dict:
    """Every figure by its name; each has a title that says what is seen."""
    metrics = tables["churn_model_metrics"].set_index(["population", "model", "metric"])["value"].sort_index()
    model = metrics["all", "logistic_regression"]
    return {
        "churn_roc_precision_recall": draw_curves(test, judged, model["roc_auc"]),
        "churn_calibration": draw_calibration(tables["churn_calibration"], model["calibration_error"]),
        "churn_confusion_matrix": draw_confusion(test["churned"], judged["logistic_regression"]),
        "churn_odds_ratios": draw_odds(tables["churn_coefficients"]),
        "churn_profit_curve": draw_profit(tables["churn_profit_curve"]),
    }


def draw_curves(test: pd.DataFrame, judged: pd.DataFrame, auc: float):
    """The ROC and the precision-recall curve of the model and of recency alone."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    churned = test["churned"]
    figure, (left, right) = new_figure(f"The model ranks a churner above a stayer {auc:.1%} of the time", ncols=2)
    ranks = (("recency alone", test["recency_days"], GREY), ("model", judged["logistic_regression"], BLUE))
    for label, rank, colour in ranks:
        false_alarms, found, _ = roc_curve(churned, rank)
        left.plot(false_alarms, found, color=colour, lw=2.5, label=label)
        precision, recall, _ = precision_recall_curve(churned, rank)
        right.plot(recall, precision, color=colour, lw=2.5, label=label)
    left.plot([0, 1], [0, 1], color=GREY, ls=":", label="chance")
    right.axhline(churned.mean(), color=GREY, ls=":", label="chance")
    left.set(title="ROC", xlabel="Stayers called churned", ylabel="Churners called churned")
    right.set(title="Precision and recall", xlabel="Recall", ylabel="Precision", ylim=(0, 1.02))
    left.legend(frameon=False, loc="lower right")
    return figure


def draw_calibration(bins: pd.DataFrame, error: float):
    """How often customers churned, against how often the model said they would."""
    figure, axes = new_figure(f"Predicted and observed churn differ by {100 * error:.1f} points on average")
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", label="as predicted")
    axes.scatter(bins["mean_predicted"], bins["observed_rate"], color=BLUE, s=90, label="as observed")
    axes.set(xlabel=f"Mean predicted probability, in {len(bins)} groups of customers", ylabel="Share that churned")
    axes.legend(frameon=False)
    return figure


def draw_confusion(churned: pd.Series, probability: pd.Series):
    """Who churned against who was called churned."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(churned, probability >= THRESHOLD)
    right, n = np.trace(counts), counts.sum()
    figure, axes = new_figure(f"The model was right about {right:,} of {n:,} customers ({right / n:.1%})")
    names = ["stayed", "churned"]
    axes.imshow(counts, cmap="Blues", vmin=0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        light = count > counts.max() / 2
        axes.text(column, row, f"{count:,}", color="white" if light else ".15", ha="center", va="center")
    axes.set(xlabel="Predicted", ylabel="Observed", xticks=(0, 1), yticks=(0, 1))
    axes.set_xticklabels(names)
    axes.set_yticklabels(names, rotation=90, va="center")
    return figure


def draw_odds(weights: pd.DataFrame):
    """What one standard deviation more of each term multiplies the odds of churn by, others equal."""
    shown = weights.loc[weights["coefficient"].abs().nlargest(10).index].sort_values("odds_ratio")
    top = shown.loc[shown["coefficient"].abs().idxmax()]
    direction = "more" if top["coefficient"] > 0 else "less"
    figure, axes = new_figure(
        f"The strongest of {len(weights)} terms, {top['feature']}, goes with {direction} churn"
    )
    names = shown["feature"].str.replace(" ", " x ").str.replace("^2", " squared")
    colours = np.where(shown["odds_ratio"] > 1, ORANGE, BLUE)
    axes.hlines(names, 1, shown["odds_ratio"], color=colours, lw=3)
    axes.scatter(shown["odds_ratio"], names, color=colours, s=90)
    for row, odds in enumerate(shown["odds_ratio"]):
        axes.annotate(f"{odds:.3g}", (odds, row), (0, 10), textcoords="offset points", ha="center", size=11)
    axes.axvline(1, color=GREY, lw=1)
    axes.set(
        xscale="log",
        xlabel="Odds ratio per standard deviation, logarithmic (below 1: less churn; above 1: more)",
    )
    axes.set_xticks([], minor=True)
    axes.set_xticks([1], ["1"])
    axes.margins(x=0.1, y=0.1)
    return figure


def draw_profit(curve: pd.DataFrame):
    """What contacting the list from the top is worth, and where to stop."""
    n, worth = curve.loc[curve["is_best"], ["customers_contacted", "expected_profit"]].iloc[0]
    title = f"Contacting the {n:,.0f} customers with the most revenue at risk is worth {worth:,.0f}"
    figure, axes = new_figure(title if n else "Contacting customers does not pay at these costs")
    axes.plot(curve["customers_contacted"], curve["expected_profit"], color=BLUE, lw=2.5)
    axes.axhline(0, color=GREY, lw=1)
    axes.scatter([n], [worth], color=ORANGE, s=90, zorder=3)
    shown = curve.loc[curve["expected_profit"] >= -worth, "customers_contacted"].max()
    axes.set(
        xlabel="Customers contacted, those with the most revenue at risk first",
        ylabel="Expected profit",
        xlim=(0, max(shown, 1)),
        ylim=(-1.1 * max(worth, 1), 1.2 * max(worth, 1)),
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


if __name__ == "__main__":
    main()
