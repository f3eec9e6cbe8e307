"""Step 3: learn from past orders which customers will not order again, and say how well that works.

    python 3_churn_model.py                       predicts from the midnight after the last order
    python 3_churn_model.py --as-of 2025-07-01    as it would have then, from the orders before that day

A customer has churned at a cutoff if no completed order follows within HORIZON_DAYS. Features see
only what came before the cutoff; the model learns at earlier cutoffs and is tested at the latest one
whose window has passed; windows never overlap.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from common import (
    BLUE,
    GREY,
    ORANGE,
    as_of_argument,
    database,
    new_figure,
    read_orders,
    require_data_dir,
    save,
    say,
    stop,
)

# --- the rules ---

HORIZON_DAYS = 90  # a customer who orders nothing for so long after the cutoff has churned
MINIMUM_PER_KIND = 50  # customers who churned, and who stayed, in training and in the test
THRESHOLD = 0.5  # churn is called from this probability on
RISK_BANDS = {"low": 0.0, "medium": 0.3, "high": 0.7}  # from this probability on, in rising order
CALIBRATION_BINS = 10

FEATURES = ["overdue", "orders", "overdue_x_orders", "tenure"]
REASONS = {  # in words, where a feature is above most customers', and where below; overdue speaks for its product
    "overdue": ("long overdue by the customer's own rhythm", "within the customer's own rhythm"),
    "orders": ("many orders so far", "few orders so far"),
    "tenure": ("a customer for a long time", "a customer for a short time"),
}
POPULATIONS = {"all": 0, "established": HORIZON_DAYS}  # first order so many days before the cutoff


def main() -> None:
    as_of = as_of_argument(__doc__.splitlines()[0])
    require_data_dir()
    with database() as db:
        orders, _, as_of = read_orders(db, as_of)
    orders = orders.dropna(subset="customer_id")  # nobody can tell whether a guest comes back

    *earlier, last = choose_cutoffs(orders, as_of)
    train = pd.concat([labelled(orders, cutoff) for cutoff in earlier])
    test = labelled(orders, last)
    require_both_kinds(train, test)
    model = build_model().fit(train[FEATURES], train["churned"])
    span = f"{earlier[0]:%Y-%m-%d} to {earlier[-1]:%Y-%m-%d}"
    say("Fitted", f"on {len(train):,} rows, one per customer and cutoff: {len(earlier)} cutoffs, {span}")

    test["probability"] = model.predict_proba(test[FEATURES])[:, 1]
    metrics = evaluate(train, test)
    report(metrics, last)
    tables = {
        "churn_predictions": predict(model, features_at(orders, as_of), as_of),
        "churn_model_metrics": metrics,
        "churn_calibration": calibration(test),
        "churn_coefficients": coefficients(model),
    }
    save(tables, draw_figures(test, tables))
    say("Next", "open the CSV files in Power BI; data/README.md says what is in them")


# --- what the model sees, and what it is to foretell ---


def choose_cutoffs(orders: pd.DataFrame, as_of: pd.Timestamp) -> list[pd.Timestamp]:
    """Cutoffs one horizon apart, in order of time: the last one's window ends at as_of, the first has
    a horizon of history before it. At least two: one to learn at and one to be tested at."""
    horizon = pd.Timedelta(days=HORIZON_DAYS)
    first = orders.loc[orders["completed"], "order_date"].min()
    n = int((as_of - first) / horizon) - 1
    if n < 2:
        stop(
            f"The completed orders before {as_of:%Y-%m-%d} span {(as_of - first).days} days, and the model "
            f"needs {3 * HORIZON_DAYS} to look back on, to learn from and to be tested on: load more history."
        )
    return [as_of - k * horizon for k in range(n, 0, -1)]


def features_at(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """What is known of each customer at the cutoff, from the completed orders before it alone.

    One row per customer, indexed by customer_id: recency_days and tenure_days (since the last and
    the first order, in days and their fractions), and FEATURES. Counts and days enter as logarithms,
    because a step from 1 to 2 weighs more than one from 101 to 102; the product lets the same delay
    say more of a steady buyer.
    """
    past = orders[orders["completed"] & (orders["order_date"] < cutoff)]
    known = past.groupby("customer_id")["order_date"].agg(first="min", last="max", n="size")
    day = pd.Timedelta(days=1)
    known["recency_days"] = (cutoff - known["last"]) / day
    known["tenure_days"] = (cutoff - known["first"]) / day
    # A customer's own gap between orders; few orders say little of it, so all customers' mean gap
    # counts like one gap more (and alone, for a customer with a single order).
    span, gaps = known["tenure_days"] - known["recency_days"], known["n"] - 1
    usual = span.sum() / gaps.sum() if gaps.sum() else HORIZON_DAYS
    overdue = np.log1p(known["recency_days"]) - np.log1p((span + usual) / (gaps + 1))
    orders = np.log(known["n"])
    return known[["recency_days", "tenure_days"]].assign(
        overdue=overdue,
        orders=orders,
        overdue_x_orders=overdue * orders,
        tenure=np.log1p(known["tenure_days"]),
    )


def labelled(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """features_at(cutoff), and churned: whether no completed order falls in the horizon from it on."""
    end = cutoff + pd.Timedelta(days=HORIZON_DAYS)
    window = orders[orders["completed"] & orders["order_date"].between(cutoff, end, inclusive="left")]
    known = features_at(orders, cutoff)
    return known.assign(churned=~known.index.isin(window["customer_id"].unique()))


def require_both_kinds(*samples: pd.DataFrame) -> None:
    """Stop where a sample has too few who churned, or too few who stayed, to learn from or be tested on."""
    for kind, verb in ((True, "churned"), (False, "stayed")):
        n = min((sample["churned"] == kind).sum() for sample in samples)
        if n < MINIMUM_PER_KIND:
            stop(
                f"Only {n} customers {verb} within {HORIZON_DAYS} days; to learn from and be tested on, the "
                f"model needs {MINIMUM_PER_KIND} each: load more customers."
            )


def build_model() -> Pipeline:
    """Standardised features into a logistic regression."""
    return make_pipeline(StandardScaler().set_output(transform="pandas"), LogisticRegression())


# --- how good it is ---


def evaluate(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """The model beside two baselines, each tuned on the training rows: model, population, metric, value.

    majority_class gives everybody the share that churned; recency_rule calls churned who has been
    away for more than threshold_days, the number that was right most often.
    """
    rows = []
    for population, days in POPULATIONS.items():
        past, now = (frame[frame["tenure_days"] >= days] for frame in (train, test))
        churned, away = now["churned"], now["recency_days"]
        base = past["churned"].mean()
        threshold = best_threshold(past["recency_days"], past["churned"])
        long_away = past["churned"].groupby(past["recency_days"] > threshold).mean()
        long_away = long_away.reindex([False, True], fill_value=base)  # where nobody was away so long
        judged = {  # the probability, and what ranks the customers
            "logistic_regression": (now["probability"], now["probability"]),
            "recency_rule": ((away > threshold).map(long_away), away),
            "majority_class": (pd.Series(base, index=now.index), pd.Series(base, index=now.index)),
        }
        for model, (probability, rank) in judged.items():
            called = away > threshold if model == "recency_rule" else probability >= THRESHOLD
            values = {
                "customers": len(now),
                "churn_rate": churned.mean(),
                "accuracy": accuracy_score(churned, called),
                "roc_auc": roc_auc_score(churned, rank),
                "average_precision": average_precision_score(churned, rank),
                "brier_score": brier_score_loss(churned, probability),
                "log_loss": log_loss(churned, probability, labels=[False, True]),
            }
            if model == "recency_rule":
                values["threshold_days"] = threshold
            rows += [(model, population, metric, value) for metric, value in values.items()]
    return pd.DataFrame(rows, columns=["model", "population", "metric", "value"]).round(6)


def best_threshold(recency_days: pd.Series, churned: pd.Series) -> int:
    """The whole number of days for which `recency_days > it` is right about most rows."""
    candidates = np.arange(int(recency_days.max()) + 2)
    stayers, churners = np.sort(recency_days[~churned]), np.sort(recency_days[churned])
    within = [np.searchsorted(days, candidates, side="right") for days in (stayers, churners)]
    return int(candidates[(within[0] - within[1]).argmax()])


def report(metrics: pd.DataFrame, cutoff: pd.Timestamp) -> None:
    """Say how the model did on the customers that it was not fitted on, next to the baselines."""
    value = metrics.pivot(index=["population", "model"], columns="metric", values="value")
    for population in POPULATIONS:
        of = value.loc[population]
        model, rule = of.loc["logistic_regression"], of.loc["recency_rule"]
        say(
            "Tested",
            f"at {cutoff:%Y-%m-%d} on {model['customers']:,.0f} customers ({population}), of whom "
            f"{model['churn_rate']:.1%} churned: accuracy {model['accuracy']:.1%}, AUC {model['roc_auc']:.3f}",
        )
        say(
            "",
            f"where one guess for all has {of.loc['majority_class', 'accuracy']:.1%}, 0.500; and 'away over "
            f"{rule['threshold_days']:.0f} days' {rule['accuracy']:.1%}, {rule['roc_auc']:.3f}",
        )


def calibration(test: pd.DataFrame) -> pd.DataFrame:
    """Predicted and observed churn in groups of equal size, by rising probability.

    One row per group: bin, customers, mean_predicted, observed_rate.
    """
    ranked = test.sort_values("probability", kind="stable")
    bins = np.arange(len(ranked)) * CALIBRATION_BINS // len(ranked) + 1
    table = ranked.groupby(bins).agg(
        customers=("churned", "size"),
        mean_predicted=("probability", "mean"),
        observed_rate=("churned", "mean"),
    )
    return table.round(6).rename_axis("bin").reset_index()


def coefficients(model: Pipeline) -> pd.DataFrame:
    """One row per feature: feature, coefficient (log-odds per standard deviation), odds_ratio (its exp)."""
    weights = model[-1].coef_[0]
    return pd.DataFrame({"feature": FEATURES, "coefficient": weights, "odds_ratio": np.exp(weights)}).round(6)


# --- what it says of today's customers ---


def predict(model: Pipeline, known: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per customer: the columns of churn_predictions.csv.

    The main reason is the feature that moves the customer's log-odds furthest from the average of
    today's customers, in the direction of the prediction.
    """
    probability = model.predict_proba(known[FEATURES])[:, 1]
    scaled = model[0].transform(known[FEATURES])
    beyond = scaled - scaled.mean()
    moves = beyond * model[-1].coef_[0]
    moves["overdue"] += moves["overdue_x_orders"]
    moves = moves[list(REASONS)].to_numpy()
    main = np.where(probability >= THRESHOLD, moves.argmax(axis=1), moves.argmin(axis=1))
    below = beyond[list(REASONS)].to_numpy()[np.arange(len(known)), main] < 0
    words = np.array(list(REASONS.values()), dtype=object)
    bands = [*RISK_BANDS.values(), np.inf]
    return pd.DataFrame(
        {
            "customer_id": known.index,
            "as_of": as_of,
            "churn_probability": probability.round(6),
            "risk_band": pd.cut(probability, bands, right=False, labels=list(RISK_BANDS)),
            "main_reason": words[main, below.astype(int)],
        }
    )


# --- figures ---


def draw_figures(test: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> dict:
    """Every figure by its name; each has a title that says what is seen."""
    return {
        "churn_roc_precision_recall": draw_curves(test),
        "churn_calibration": draw_calibration(tables["churn_calibration"]),
        "churn_confusion_matrix": draw_confusion(test),
        "churn_odds_ratios": draw_odds(tables["churn_coefficients"]),
    }


def draw_curves(test: pd.DataFrame):
    """The ROC and the precision-recall curve of the model and of recency alone."""
    churned = test["churned"]
    auc = roc_auc_score(churned, test["probability"])
    title = f"The model ranks a churner above a stayer {auc:.1%} of the time"
    figure, (left, right) = new_figure(title, ncols=2)
    for label, rank, colour in (("recency alone", "recency_days", GREY), ("model", "probability", BLUE)):
        false_alarms, found, _ = roc_curve(churned, test[rank])
        left.plot(false_alarms, found, color=colour, lw=2.5, label=label)
        precision, recall, _ = precision_recall_curve(churned, test[rank])
        right.plot(recall, precision, color=colour, lw=2.5, label=label)
    left.plot([0, 1], [0, 1], color=GREY, ls=":", label="chance")
    right.axhline(churned.mean(), color=GREY, ls=":", label="chance")
    left.set(title="ROC", xlabel="Stayers called churned", ylabel="Churners called churned")
    right.set(title="Precision and recall", xlabel="Recall", ylabel="Precision", ylim=(0, 1.02))
    left.legend(frameon=False, loc="lower right")
    return figure


def draw_calibration(bins: pd.DataFrame):
    """How often customers churned, against how often the model said they would."""
    error = (bins["customers"] * (bins["mean_predicted"] - bins["observed_rate"]).abs()).sum() / bins[
        "customers"
    ].sum()
    figure, axes = new_figure(f"Predicted and observed churn differ by {100 * error:.1f} points on average")
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", label="as predicted")
    axes.scatter(bins["mean_predicted"], bins["observed_rate"], color=BLUE, s=90, label="as observed")
    axes.set(xlabel=f"Mean predicted probability, in {len(bins)} groups of customers", ylabel="Share that churned")
    axes.legend(frameon=False)
    return figure


def draw_confusion(test: pd.DataFrame):
    """Who churned against who was called churned."""
    called = test["probability"] >= THRESHOLD
    counts = confusion_matrix(test["churned"], called)
    right = np.trace(counts)
    figure, axes = new_figure(
        f"The model was right about {right:,} of {len(test):,} customers ({right / len(test):.1%})"
    )
    names = ["stayed", "churned"]
    sns.heatmap(
        counts, annot=True, fmt=",d", cmap="Blues", cbar=False, xticklabels=names, yticklabels=names, ax=axes
    )
    axes.set(xlabel="Predicted", ylabel="Observed")
    return figure


def draw_odds(weights: pd.DataFrame):
    """What one standard deviation more of each feature multiplies the odds of churn by, others equal."""
    weights = weights.sort_values("odds_ratio")
    top = weights.loc[weights["coefficient"].abs().idxmax()]
    direction = "more" if top["coefficient"] > 0 else "less"
    figure, axes = new_figure(f"The strongest term, {top['feature']}, goes with {direction} churn")
    colours = np.where(weights["odds_ratio"] > 1, ORANGE, BLUE)
    axes.hlines(weights["feature"], 1, weights["odds_ratio"], color=colours, lw=3)
    axes.scatter(weights["odds_ratio"], weights["feature"], color=colours, s=90)
    for row, odds in enumerate(weights["odds_ratio"]):
        axes.annotate(f"{odds:.3g}", (odds, row), (0, 10), textcoords="offset points", ha="center")
    axes.axvline(1, color=GREY, lw=1)
    axes.set(
        xscale="log",
        xlabel="Odds ratio per standard deviation, logarithmic (below 1: less churn; above 1: more)",
    )
    axes.set_xticks([], minor=True)
    axes.set_xticks([1], ["1"])
    axes.margins(x=0.1, y=0.15)
    return figure


if __name__ == "__main__":
    main()
