"""Whom to contact, why, and what that is worth: reasons, the list of customers, the profit curve."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from common import say
from pulse.currencies import as_text
from pulse.evaluation import THRESHOLD
from pulse.exports import COMPLETE, KEPT, escape_formulas, read_manifest
from pulse.features import FEATURES, in_parts
from pulse.progress import clock
from pulse.start import command

if TYPE_CHECKING:  # slow to import
    from sklearn.pipeline import Pipeline

ANALYSIS = "2_data_analysis.py"  # whose segments go into the list
REASON_OF = {  # the reason that each feature speaks for; the four of pace only make sense together
    "overdue": "rhythm",
    "irregularity": "irregularity",
    "momentum": "momentum",
    "spend": "spend",
    "spend_trend": "spend_trend",
    "refunds": "refunds",
    **dict.fromkeys(("gap", "orders", "tenure", "one_order"), "pace"),
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
CHURN_SIDE = {"rhythm": "above", "pace": "below", "momentum": "below"}  # the others: as the model has it


class Campaign(NamedTuple):
    """What a contact costs and brings, in the currency of the orders."""

    contact_cost: float  # of reaching one customer
    offer_cost: float  # of the offer, for whoever takes it: those it keeps, and all who would have stayed
    success_rate: float  # share of those about to churn whom contact and offer keep
    margin: float  # what is left of a unit of revenue once the goods are paid
    places: int = 2  # decimals of an amount


# --- the list ---


def contact_list(
    predictions: pd.DataFrame,
    current: pd.DataFrame,
    horizon: pd.Timedelta,
    campaign: Campaign,
    risk_bands: dict[str, float],
) -> pd.DataFrame:
    """One row per customer, by falling revenue at risk: the columns of churn_predictions.csv.

    `predictions` has churn_probability, if_staying, expected_revenue, segment, main_reason and
    second_reason, `current` the customers' features. At risk is what churn is expected to cost: its
    probability times what the customer would spend by staying; nothing for who has been away for longer
    than a horizon, and so has churned already.
    """
    churning = predictions["churn_probability"]
    lost = predictions["if_staying"].where(current["recency_days"] <= horizon.days, 0)
    saved = (campaign.margin * lost - campaign.offer_cost).where(lost > 0, 0)
    profit = (
        churning * campaign.success_rate * saved - (1 - churning) * campaign.offer_cost - campaign.contact_cost
    )
    table = {
        "customer_id": current.index,
        "as_of": current["cutoff"],
        "segment": predictions["segment"],
        "churn_probability": churning.round(6),
        "risk_band": pd.cut(churning, [*risk_bands.values(), np.inf], right=False, labels=list(risk_bands)),
        "expected_revenue": predictions["expected_revenue"],
        "revenue_at_risk": (churning * lost).round(campaign.places),
        "contact_profit": profit.round(campaign.places),
        "main_reason": predictions["main_reason"],
        "second_reason": predictions["second_reason"],
    }
    ranked = pd.DataFrame(table).sort_index().sort_values("revenue_at_risk", ascending=False, kind="stable")
    return ranked.reset_index(drop=True)


def segments_of(customers: pd.Index, run: dict[str, str], folder: Path) -> pd.Series:
    """Each customer's RFM segment from script 2's file, where that is of the same orders as this `run` (see
    manifest_row); else missing."""
    path = folder / "rfm_analysis.csv"
    if path.exists() and read_manifest(folder).get(ANALYSIS) == run | {"script": ANALYSIS, "state": COMPLETE}:
        rfm = pd.read_csv(path, dtype={"customer_id": str}, na_filter=False)
        rfm = rfm.drop_duplicates("customer_id").set_index("customer_id")
        return rfm["segment"].reindex(escape_formulas(customers.to_series())).set_axis(customers)
    options = ("--as-of", run["as_of"], *(["--keep-odd-dates"] if run["odd_dates"] == KEPT else []))
    say("Noted", f"no segments: run {command(ANALYSIS, *options)} on the same orders, for them")
    return pd.Series(index=customers, dtype="str")


def profit_curve(contacts: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """What it is worth to contact the first so many customers of the list, in a hundred steps through
    those who have something at risk, and at the best number.

    One row per number: customers_contacted, expected_profit (of margin, less the costs), is_best.
    """
    profit = np.append(0.0, contacts["contact_profit"].cumsum())
    best = profit.argmax()
    contacted = np.union1d(np.linspace(0, (contacts["revenue_at_risk"] > 0).sum(), 101).astype(int), best)
    return pd.DataFrame(
        {
            "customers_contacted": contacted,
            "expected_profit": profit[contacted].round(places),
            "is_best": contacted == best,
        }
    )


def report_money(forecast: pd.DataFrame, profit: pd.DataFrame) -> None:
    """Say the forecast (the columns of revenue_forecast.csv), how the last one went, and whom to contact."""
    tested, coming = forecast.iloc[-2], forecast.iloc[-1]
    middle, low, high = (as_text(coming[name], 0) for name in ("forecast", "low", "high"))
    between = f" ({low} to {high})" if np.isfinite(coming["low"]) else ""
    say("Forecast", f"{middle}{between} net revenue of today's customers")
    until, naive = f"up to {coming['window_end']:%Y-%m-%d}", []
    if tested["actual"] > 0:
        names = {
            "off by": "forecast",
            "'as in the window before' by": "naive_last_window",
            "'as a year before' by": "naive_year_before",
        }
        errors = {name: tested[column] / tested["actual"] - 1 for name, column in names.items()}
        texts = {
            name: f"{error:+.1%}" if abs(error) < 1000 else f"{100 * error:+.3g}%"
            for name, error in errors.items()
        }
        last, *naive = (f"{name} {text}" for name, text in texts.items() if np.isfinite(errors[name]))
        until += f"; the same, made at {tested['window_start']:%Y-%m-%d}, was {last}"
    for line in filter(None, (until, ", ".join(naive))):
        say("", line)
    best = profit[profit["is_best"]].iloc[0]
    first = f"the first {best['customers_contacted']:,} of churn_predictions.csv"
    worth = f"{first}: worth {as_text(best['expected_profit'], 0)}"
    say("Contact", f"{worth if best['customers_contacted'] else 'nobody, it does not pay'} at step 3's costs")


# --- reasons ---


@clock("Explaining")
def reasons(model: "Pipeline", known: pd.DataFrame, probability: np.ndarray) -> np.ndarray:
    """The two reasons, in words, that set each customer furthest apart, in log-odds, from the average
    of those for whom the model says the opposite; missing where none does; shape (2, customers)."""
    called = probability >= THRESHOLD
    pace = known["orders"] - np.log1p(known["tenure_days"])
    values = known.assign(rhythm=known["overdue"], pace=pace)[list(REASONS)]
    terms = pd.concat([model[:-1].transform(part) for part in in_parts(known[model.feature_names_in_])])
    shares = reason_shares(list(terms))
    words = np.array(list(REASONS.values()), dtype=object)
    names = np.empty((2, len(known)), dtype=object)
    for churning in (True, False):
        mine = called == churning
        others = mine if mine.all() else ~mine
        moves = (((terms[mine] - terms[others].mean()) * model[-1].coef_[0]) @ shares).to_numpy()
        below = (values[mine] < values[others].mean()).to_numpy()
        strength = np.where(is_plausible(below, churning), moves if churning else -moves, 0)
        row, strongest = np.arange(mine.sum()), np.argsort(-strength, axis=1, kind="stable")[:, :2]
        names[:, mine] = [
            np.where(strength[row, reason] > 0, words[reason, below[row, reason].astype(int)], None)
            for reason in strongest.T
        ]
    return names


def reason_shares(terms: list[str]) -> np.ndarray:
    """How much of each of the model's terms (rows) belongs to each reason (columns); a product's two features
    share evenly."""
    shares = np.zeros((len(terms), len(REASONS)))
    for row, term in enumerate(terms):
        factors = term.removesuffix("^2").split()
        for feature in set(factors) & set(FEATURES):
            shares[row, list(REASONS).index(REASON_OF[feature])] += 1 / len(factors)
    return shares


def is_plausible(below: np.ndarray, churning: bool) -> np.ndarray:
    """Whether each customer's side of the others (one column per reason) can be a reason for this prediction:
    to be long overdue, say, is none to stay."""
    plausible = np.ones_like(below)
    for column, reason in enumerate(REASONS):
        if reason in CHURN_SIDE:
            speaks_for_churn = below[:, column] == (CHURN_SIDE[reason] == "below")
            plausible[:, column] = speaks_for_churn == churning
    return plausible
