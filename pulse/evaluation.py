"""How good the churn model is: metrics beside baselines and peers of the same run, and calibration."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pandas as pd

from common import say
from pulse.features import in_days
from pulse.progress import clock

THRESHOLD = 0.5  # churn is predicted from this probability on
MINIMUM_PER_CLASS = 50  # customers who churned, and who stayed, in what is learnt from and tested on
RESAMPLES = 200  # of customers, for the intervals
BINS = 10  # groups of customers, to compare predicted with observed churn
SEED = 0
MODEL, BOOSTED, CEILING = "logistic_regression", "gradient_boosting", "informed_judge"
RULE, MAJORITY = "recency_rule", "majority_class"
LABELS = {  # on the console
    MODEL: "accuracy, AUC: logistic regression",
    BOOSTED: "  boosted trees",
    RULE: "  recency rule",
    MAJORITY: "  majority baseline",
    CEILING: "  ceiling: told who has lapsed",
}


class Scored(NamedTuple):
    """What a model says of the test customers."""

    probability: np.ndarray  # of churn
    rank: np.ndarray  # orders the customers, the likeliest to churn last
    predicted: np.ndarray  # whether churn is


# --- peers and baselines ---


@clock("Testing")
def add_peers(
    scores: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, columns: list[str], truth: pd.DataFrame | None
) -> pd.DataFrame:
    """The scores (a column of churn probabilities per model) with those of boosted trees on the same columns
    and, where the shop is simulated, of trees that also know each customer's persona and past lapse."""
    scores = scores.assign(**{BOOSTED: boost(train, test, columns)})
    if truth is not None:
        informed = [*columns, "persona", "days_since_lapse"]
        scores[CEILING] = boost(with_truth(train, truth), with_truth(test, truth), informed)
    return scores


@contextmanager
def one_thread() -> Iterator[None]:
    """scikit-learn on one thread while the block lasts; also a decorator. On so few rows its threads wait for each
    other more than they work, and on a busy computer several times longer."""
    import sklearn.ensemble  # noqa: F401, brings the threads
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@one_thread()
def boost(train: pd.DataFrame, test: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Churn probabilities of the test rows, by gradient boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(learning_rate=0.05, early_stopping=True, random_state=SEED)
    return trees.fit(train[columns], train["churned"]).predict_proba(test[columns])[:, 1]


def with_truth(rows: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the generator knows at their cutoff: persona, days_since_lapse (or missing)."""
    persona, lapsed_on = (truth[name].reindex(rows.index) for name in ("persona", "lapsed_on"))
    days = in_days(rows["cutoff"] - lapsed_on)
    return rows.assign(persona=persona, days_since_lapse=days.where(days > 0))


def recency_rule(past: pd.DataFrame, now: pd.DataFrame) -> tuple[int, Scored]:
    """The days after which a customer is called churned, tuned on `past`, and what that says of `now`."""
    threshold = best_threshold(past["recency_days"], past["churned"])
    long_away = past["churned"].groupby(past["recency_days"] > threshold).mean()
    away = now["recency_days"].to_numpy()
    probability = pd.Series(away > threshold).map(long_away).fillna(past["churned"].mean()).to_numpy()
    return threshold, Scored(probability, rank=away, predicted=away > threshold)


def best_threshold(recency_days: pd.Series, churned: pd.Series) -> int:
    """The whole number of days for which `recency_days > it` is right about most rows."""
    candidates = np.arange(int(recency_days.max()) + 2)
    stayers, churners = np.sort(recency_days[~churned]), np.sort(recency_days[churned])
    stayers_within, churners_within = (np.searchsorted(days, candidates, "right") for days in (stayers, churners))
    return int(candidates[(stayers_within - churners_within).argmax()])


def majority_baseline(past: pd.DataFrame, now: pd.DataFrame) -> Scored:
    """The share that churned in training, for everybody."""
    from sklearn.dummy import DummyClassifier

    baseline = DummyClassifier(strategy="prior").fit(past[["recency_days"]], past["churned"])
    probability = baseline.predict_proba(now[["recency_days"]])
    share = probability[:, baseline.classes_.tolist().index(True)] if past["churned"].any() else np.zeros(len(now))
    return from_probability(share)


def from_probability(probability: np.ndarray) -> Scored:
    """A model that ranks and calls by its probabilities."""
    return Scored(probability, probability, probability >= THRESHOLD)


# --- metrics ---


@clock("Testing")
def evaluate(train: pd.DataFrame, test: pd.DataFrame, scores: pd.DataFrame, horizon: pd.Timedelta) -> pd.DataFrame:
    """The models beside two baselines that are tuned on the training rows: model, population, metric,
    value, and for accuracy, ROC AUC and log loss of the logistic regression the 95% interval low to high
    over resampled customers.

    A population with fewer than MINIMUM_PER_CLASS who churned, or who stayed, is left out.
    """
    tables = []
    for population, days in {"all": 0, "established": horizon.days}.items():
        past, now = (rows[rows["tenure_days"] >= days] for rows in (train, test))
        if now["churned"].value_counts().reindex([False, True], fill_value=0).min() < MINIMUM_PER_CLASS:
            continue
        churned = now["churned"].to_numpy()
        scored = {str(model): from_probability(p.to_numpy()) for model, p in scores.loc[now.index].items()}
        threshold, scored[RULE] = recency_rule(past, now)
        scored[MAJORITY] = majority_baseline(past, now)
        extra = {RULE: {"threshold_days": threshold}}
        for model, answers in scored.items():
            table = pd.DataFrame({"value": point_metrics(churned, answers) | extra.get(model, {})}, dtype=float)
            bounds = intervals(churned, answers) if model == MODEL else pd.DataFrame(columns=["low", "high"])
            table = table.join(bounds.astype(float)).rename_axis("metric").reset_index()
            tables.append(table.assign(model=model, population=population))
    return pd.concat(tables)[["model", "population", "metric", "value", "low", "high"]].round(6)


def point_metrics(churned: np.ndarray, scored: Scored) -> dict[str, float]:
    """The metrics of a model by name: scikit-learn's, and calibration_error (the mean distance of predicted
    from observed churn over BINS groups of equal size), lift_top_decile (the churn among the tenth that
    ranks first over that of all), customers."""
    from sklearn import metrics

    groups = calibration(churned, scored.probability, scored.rank)
    top = churned.sum() - cumulate(churned, scored.rank, 0.9 * len(churned))
    distance = (groups["mean_predicted"] - groups["observed_rate"]).abs()
    return {
        "churn_rate": churned.mean(),
        "accuracy": metrics.accuracy_score(churned, scored.predicted),
        "roc_auc": metrics.roc_auc_score(churned, scored.rank),
        "average_precision": metrics.average_precision_score(churned, scored.rank),
        "brier_score": metrics.brier_score_loss(churned, scored.probability),
        "log_loss": metrics.log_loss(churned, scored.probability),
        "calibration_error": (distance * groups["customers"]).sum() / len(churned),
        "lift_top_decile": 10 * top / churned.sum(),
        "customers": len(churned),
    }


def intervals(churned: np.ndarray, scored: Scored) -> pd.DataFrame:
    """The 95% intervals, low and high, of accuracy, roc_auc and log_loss: over the customers as they are and
    RESAMPLES draws of as many of them with replacement (percentile bootstrap: Efron 1979)."""
    rng, n = np.random.default_rng(SEED), len(churned)
    score = resample_scorer(churned, scored)
    draws = [score(np.ones(n))]
    for _ in range(RESAMPLES):  # one at a time: a weight for each customer is large
        draws.append(score(np.bincount(rng.integers(n, size=n), minlength=n)))
    table = pd.DataFrame(draws)
    return pd.DataFrame({"low": table.quantile(0.025), "high": table.quantile(0.975)})


def resample_scorer(churned: np.ndarray, scored: Scored) -> Callable[[np.ndarray], dict[str, float]]:
    """A function from customers' weights (how often each was drawn) to three metrics by name.

    It sorts once, where scikit-learn's metrics would for each of hundreds of draws; with sample_weight
    these give the same values.
    """
    order, ends = sort_by_rank(scored.rank)
    right, churned, probability = (
        part[order] for part in (scored.predicted == churned, churned, scored.probability)
    )
    surprise = -np.log(np.where(churned, probability, 1 - probability).clip(np.finfo(float).eps))

    def score(weight: np.ndarray) -> dict[str, float]:
        weight = weight[order]
        total = weight.sum()
        seen, churners = (np.append(0.0, np.cumsum(part)[ends]) for part in (weight, weight * churned))
        stayers = seen - churners
        return {
            "accuracy": weight @ right / total,
            "roc_auc": np.trapezoid(stayers, churners) / (churners[-1] * stayers[-1]),
            "log_loss": weight @ surprise / total,
        }

    return score


def can_rank(metrics: pd.DataFrame) -> bool:
    """Whether the model ranks customers better than chance does: the interval of its ROC AUC lies above 0.5."""
    auc = metrics.query("model == @MODEL and metric == 'roc_auc' and population == 'all'")
    return bool(auc["low"].iloc[0] > 0.5)


def report(metrics: pd.DataFrame, cutoff: pd.Timestamp) -> None:
    """Say how the model did on customers it was not fitted on, beside what else there is: a small table."""
    value = metrics.set_index(["metric", "model", "population"])["value"]
    populations = list(metrics["population"].unique())
    title = f"at {cutoff:%Y-%m-%d}, by population"
    say("Tested", f"{title:<34}" + "".join(f"{name:>17}" for name in populations))
    for metric, label, form in (
        ("customers", "customers", ",.0f"),
        ("churn_rate", "churned", ".1%"),
        ("calibration_error", "calibration error", ".1%"),
    ):
        cells = (format(value[metric, MODEL, name], form) for name in populations)
        say("", f"{label:<34}" + "".join(f"{cell:>17}" for cell in cells))
    for model, label in LABELS.items():
        if model in value.index.get_level_values("model"):
            pairs = ((value["accuracy", model, name], value["roc_auc", model, name]) for name in populations)
            say("", f"{label:<34}" + "".join(f"{accuracy:>11.1%}{auc:>6.3f}" for accuracy, auc in pairs))
    for name in populations:
        right, ranks = (value[metric].xs(name, level="population") for metric in ("accuracy", "roc_auc"))
        if right[RULE] >= right[MODEL] and ranks[RULE] >= ranks[MODEL]:
            say("Noted", f"{name} customers: the recency rule does as well: use it")
        if right[MAJORITY] >= right[MODEL]:
            say("Noted", f"{name} customers: one answer for all is right as often")


# --- calibration ---


def calibration(churned: np.ndarray, probability: np.ndarray, rank: np.ndarray) -> pd.DataFrame:
    """One row per BINS groups of equal size, by rising rank, equals shared out evenly: the columns of
    churn_calibration.csv."""
    edges = np.arange(BINS + 1) * len(rank) // BINS
    size = np.diff(edges)
    sums = {"mean_predicted": probability, "observed_rate": churned}
    means = {name: np.diff(cumulate(values, rank, edges)) / size for name, values in sums.items()}
    return pd.DataFrame({"bin": np.arange(1, BINS + 1), "customers": size, **means})


def cumulate(values: np.ndarray, rank: np.ndarray, at: np.ndarray | float) -> np.ndarray:
    """The sum of the first so many (`at`) values by rising rank; a run of equals counts evenly along it."""
    order, ends = sort_by_rank(rank)
    return np.interp(at, np.append(0, ends + 1), np.append(0.0, np.cumsum(values[order])[ends]))


def sort_by_rank(rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in rising order, and the position in it of the last of each run of equals."""
    order = np.argsort(rank, kind="stable")
    return order, np.flatnonzero(np.diff(rank[order], append=np.inf))
