"""The churn model's terms: the forms it can take, which of them is chosen, and what each coefficient says."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pulse.evaluation import SEED, one_thread
from pulse.features import FEATURES

if TYPE_CHECKING:  # slow to import
    from sklearn.pipeline import Pipeline

FOLDS = 5  # of customers
WITHIN_95 = 1.96  # standard errors to either side
DOUBLED = np.log(2)  # the features are logarithms: what is added where the thing itself is doubled
TERMS = {  # the step that an odds ratio is given for: its size (None: a standard deviation), and in words
    "overdue": (DOUBLED, "Twice as long away, by own rhythm"),
    "gap": (DOUBLED, "Twice as long between orders"),
    "orders": (DOUBLED, "Twice as many orders"),
    "irregularity": (None, "More irregular gaps, by a standard deviation"),
    "spend": (DOUBLED, "Twice the amount per order"),
    "spend_trend": (None, "Larger orders of late, by a standard deviation"),
    "late": (DOUBLED, "One order within the last horizon, not none"),
    "overdue_squared": (1, "Overdue a standard deviation off the average, either way"),
    "gap_x_orders": (1, "Long gaps and many orders at once, each by a standard deviation"),
    "orders_squared": (1, "Orders a standard deviation off the average, either way"),
}


class Form(NamedTuple):
    """What is chosen before a churn model is fitted."""

    crossed: bool = False  # ten terms, not eight
    penalty: float = 0.1  # scikit-learn's C: the lower, the stronger


PENALTIES = (0.1, 1.0)  # the stronger first


def curved(features: pd.DataFrame) -> pd.DataFrame:
    """Eight terms: the standardised features, and overdue squared."""
    return features.assign(overdue_squared=features["overdue"] ** 2)


def crossed(features: pd.DataFrame) -> pd.DataFrame:
    """Ten terms: those eight, gap times orders, and orders squared."""
    product, square = features["gap"] * features["orders"], features["orders"] ** 2
    return curved(features).assign(gap_x_orders=product, orders_squared=square)


def churn_pipeline(form: Form) -> "Pipeline":
    """A logistic regression on the standardised terms, with an L2 penalty; not fitted yet."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    terms = FunctionTransformer(crossed if form.crossed else curved)
    regression = LogisticRegression(C=form.penalty, solver="newton-cholesky")
    return make_pipeline(StandardScaler(), terms, StandardScaler(), regression).set_output(transform="pandas")


# --- the choice ---


@one_thread()
def choose_form(train: pd.DataFrame) -> Form:
    """The form that is best at customers it was not fitted on, by log loss; of two that are within a standard
    error of each other, the simpler: the stronger penalty, eight terms (one-standard-error rule: Breiman and
    others 1984)."""
    chosen = Form(penalty=PENALTIES[0])
    losses = out_of_fold_losses(train, chosen)
    for change in ({"penalty": PENALTIES[1]}, {"crossed": True}):
        other = chosen._replace(**change)
        other_losses = out_of_fold_losses(train, other)
        if is_clearly_positive(losses - other_losses, train.index):
            chosen, losses = other, other_losses
    return chosen


def out_of_fold_losses(train: pd.DataFrame, form: Form) -> np.ndarray:
    """Each row's log loss, by a model fitted on other customers' rows."""
    from sklearn.model_selection import GroupKFold, cross_val_predict

    customers, _ = pd.factorize(train.index)
    folds = GroupKFold(FOLDS, shuffle=True, random_state=SEED)
    churning = cross_val_predict(
        churn_pipeline(form), train[FEATURES], train["churned"], groups=customers, cv=folds, method="predict_proba"
    )
    of_what_came = churning[np.arange(len(train)), train["churned"].astype(int)]
    return -np.log(of_what_came.clip(np.finfo(float).eps))


def is_clearly_positive(gains: np.ndarray, customers: pd.Index) -> bool:
    """Whether the mean is above 0 by more than its standard error; rows of one customer count together."""
    deviations = pd.Series(gains - gains.mean()).groupby(customers.to_numpy()).sum()
    return gains.mean() > np.sqrt((deviations**2).sum()) / len(gains)


# --- what they say ---


def coefficients(model: "Pipeline", train: pd.DataFrame) -> pd.DataFrame:
    """The columns of churn_coefficients.csv, one row per term of the model, which was fitted on these rows.

    coefficient is in log-odds per standard deviation of the term; odds_ratio what a step of it (see TERMS)
    multiplies the odds of churn by, low and high its 95% interval.
    """
    weights, terms = model[-1].coef_[0], list(model[-1].feature_names_in_)
    error = standard_errors(model, train)
    scale = pd.Series(model[0].scale_, FEATURES).reindex(terms, fill_value=1.0) * model[2].scale_
    sizes, meaning = zip(*(TERMS[term] for term in terms), strict=True)
    steps = (pd.Series(sizes, terms, float) / scale).fillna(1.0).to_numpy()
    shifts = {"odds_ratio": 0.0, "low": -WITHIN_95, "high": WITHIN_95}
    ratios = {name: np.exp(steps * (weights + shift * error)) for name, shift in shifts.items()}
    table = {"feature": terms, "coefficient": weights, **ratios, "meaning": meaning}
    return pd.DataFrame(table).round(6)


def standard_errors(model: "Pipeline", train: pd.DataFrame) -> np.ndarray:
    """Of the coefficients: the sandwich estimate, in which the rows of one customer, that are alike, count
    together (Liang and Zeger 1986), with the penalty as part of the curvature."""
    terms = model[:-1].transform(train[FEATURES]).to_numpy()
    rows = np.column_stack([np.ones(len(terms)), terms])
    churning = model.predict_proba(train[FEATURES])[:, 1]
    strength = np.append(0.0, np.full(terms.shape[1], 1 / model[-1].C))
    curvature = (rows * (churning * (1 - churning))[:, None]).T @ rows + np.diag(strength)
    scores = pd.DataFrame(rows * (train["churned"].to_numpy() - churning)[:, None])
    by_customer = scores.groupby(train.index.to_numpy()).sum().to_numpy()
    bread = np.linalg.inv(curvature)
    return np.sqrt(np.diag(bread @ by_customer.T @ by_customer @ bread))[1:]
