"""What each customer is expected to order and to spend, net, in the year to come, and how sure that is."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from common import say
from pulse.currencies import as_text
from pulse.evaluation import MINIMUM_PER_CLASS, one_thread
from pulse.features import FEATURES, YEAR, History, in_parts, labelled_features, less_refunds
from pulse.progress import clock
from pulse.terms import curved

if TYPE_CHECKING:  # slow to import
    from sklearn.pipeline import Pipeline

PENALTY = 0.01  # of both Poisson regressions
GROUPS, SMALLEST = 20, 50  # of customers of like expectation, whose actuals give the interval; customers in one
QUANTILES = (0.1, 0.9)  # of these actuals, its ends
COLUMNS = {  # of customer_value.csv: what was seen, and what is expected of it
    "ordered": ("expected_orders", "orders_low", "orders_high"),
    "revenue": ("expected_value", "value_low", "value_high"),
}


class Tested(NamedTuple):
    """How a year's expectation held."""

    cutoff: pd.Timestamp
    total: float  # relative error of the sum of expected_value; missing of a year without net revenue
    inside: float  # share of the customers whose revenue lay in their interval
    rank: float  # Spearman correlation of expected and actual revenue


@clock("Valuing")
def customer_value(
    history: History, current: pd.DataFrame, as_of: pd.Timestamp, horizon: pd.Timedelta, places: int
) -> tuple[pd.DataFrame, Tested | None]:
    """The columns of customer_value.csv, one row per customer of `current` (features at as_of) by falling
    expected_value, from a model of the year before as_of; and how one of the year before that held in it.

    No rows, and None, where the shop is too young for that test, or too few ordered.
    """
    names = ["customer_id", "as_of", *sum(COLUMNS.values(), ())]
    if as_of - 2 * YEAR < history.first_order + horizon:
        return pd.DataFrame(columns=names), None
    past, earlier = (labelled_features(history.years, as_of - years * YEAR, horizon) for years in (1, 2))
    if not (enough_buyers(past) and enough_buyers(earlier)):
        return pd.DataFrame(columns=names), None
    told, actual = expect(earlier, past, places), past["revenue"]
    test = Tested(
        cutoff=as_of - YEAR,
        total=told["expected_value"].sum() / actual.sum() - 1 if actual.sum() > 0 else np.nan,
        inside=actual.between(told["value_low"], told["value_high"]).mean(),
        rank=told["expected_value"].corr(actual, method="spearman"),
    )
    values = expect(past, current, places).assign(customer_id=current.index, as_of=as_of)[names]
    ranked = values.sort_index().sort_values("expected_value", ascending=False, kind="stable")
    return ranked.reset_index(drop=True), test


def enough_buyers(rows: pd.DataFrame) -> bool:
    """Whether enough customers ordered within the year, and paid anything."""
    return bool((rows["ordered"] > 0).sum() >= MINIMUM_PER_CLASS and (rows["revenue"] > 0).any())


@one_thread()
def expect(train: pd.DataFrame, known: pd.DataFrame, places: int) -> pd.DataFrame:
    """The six COLUMNS for the customers of `known`, learnt from the rows of `train` (labelled_features)."""
    table: dict[str, np.ndarray] = {}
    for seen, names in COLUMNS.items():
        actual = train[seen].astype(float)
        brought = less_refunds(actual, actual.sum())
        model = fit_year(train, brought)
        of_train, of_known = (
            np.concatenate([model.predict(part[FEATURES]) for part in in_parts(rows)]) for rows in (train, known)
        )
        like = like_others(of_train, brought.to_numpy(), actual.to_numpy(), of_known)
        table |= dict(zip(names, like, strict=True))
    decimals = {"expected_orders": 2} | dict.fromkeys(COLUMNS["revenue"], places)
    told = pd.DataFrame(table, index=known.index).round(decimals)
    whole = {"orders_low": np.floor(told["orders_low"]), "orders_high": np.ceil(told["orders_high"])}
    return told.assign(**whole).astype(dict.fromkeys(whole, "int64"))


def fit_year(train: pd.DataFrame, brought: pd.Series) -> "Pipeline":
    """A Poisson regression of the year's orders, or net revenue, in units of the mean."""
    from sklearn.linear_model import PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    poisson = PoissonRegressor(alpha=PENALTY, solver="newton-cholesky", max_iter=1000)
    model = make_pipeline(StandardScaler(), FunctionTransformer(curved), StandardScaler(), poisson)
    model.set_output(transform="pandas")
    return model.fit(train[FEATURES], brought / brought.mean())


def like_others(
    predicted: np.ndarray, brought: np.ndarray, actual: np.ndarray, asked: np.ndarray
) -> list[np.ndarray]:
    """What is expected where the model says `asked`, and the interval's ends: the mean of what customers of like
    prediction brought, and the QUANTILES of `actual`, as multiples of it; between groups, in proportion to its
    logarithm."""
    n_groups = max(min(GROUPS, len(predicted) // SMALLEST), 1)
    groups = np.array_split(np.argsort(predicted, kind="stable"), n_groups)
    means = np.array([predicted[group].mean() for group in groups])
    seen = np.array([[brought[g].mean(), *np.quantile(actual[g], QUANTILES)] for g in groups])
    return [asked * np.interp(np.log(asked), np.log(means), column / means) for column in seen.T]


def report_value(values: pd.DataFrame, test: Tested | None) -> None:
    """Say what today's customers are expected to bring in a year, and how the last such sum held."""
    if test is None:
        say("Noted", "no customer values: they need two years and a horizon of orders, and")
        say("", f"{MINIMUM_PER_CLASS} customers who pay in each year, to be tested")
        return
    total, share = as_text(values["expected_value"].sum(), 0), QUANTILES[1] - QUANTILES[0]
    off = f"off by {test.total:+.1%}" if np.isfinite(test.total) else "net revenue was not above 0"
    say("Value", f"{total} net revenue of today's customers in {YEAR.days} days")
    say("", f"made at {test.cutoff:%Y-%m-%d}: {off}, rank correlation {test.rank:.2f}")
    say("", f"{test.inside:.0%} of customers lay within their range, meant to hold {share:.0%}")
