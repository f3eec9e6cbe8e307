"""Whom to contact, why, and what that is worth: reasons, the list of customers, the profit curve."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from common import say
from pulse.currencies import as_text
from pulse.exports import COMPLETE, KEPT, escape_formulas, read_manifest
from pulse.features import FEATURES, in_parts
from pulse.progress import clock
from pulse.start import command

if TYPE_CHECKING:  # slow to import
    from sklearn.pipeline import Pipeline

ANALYSIS = "2_data_analysis.py"  # whose segments go into the list
GONE = "gone"  # the risk band of who has been away for longer than a horizon, and so has churned already
STEPS = 100  # of the profit curve
REASON_OF = {  # the reason that each term speaks for; those of one reason only make sense together
    **dict.fromkeys(("overdue", "overdue_squared"), "rhythm"),
    **dict.fromkeys(("gap", "orders", "gap_x_orders", "orders_squared"), "pace"),
    **{name: name for name in ("irregularity", "spend", "spend_trend", "late")},
}
REASONS = {  # for churn, in words, for a customer who is above the others in it, and below
    "rhythm": ("long overdue by the customer's own rhythm", None),
    "pace": (None, "few orders for the time as a customer"),
    "irregularity": ("orders at irregular intervals", "orders at regular intervals"),
    "spend": ("large orders", "small orders"),
    "spend_trend": ("larger orders of late than before", "smaller orders of late than before"),
    "late": (None, "few orders of late"),
}


class Campaign(NamedTuple):
    """What a contact costs and brings, in the currency of the orders."""

    contact_cost: float  # of reaching one customer
    offer_cost: float  # of the offer, for whoever takes it: those it keeps, and all who would have stayed
    success_rate: float  # share of those about to churn whom contact and offer keep
    margin: float  # what is left of a unit of revenue once the goods are paid
    places: int = 2  # decimals of an amount


# --- the list ---


def contact_list(
    predictions: pd.DataFrame, current: pd.DataFrame, campaign: Campaign, can_rank: bool
) -> pd.DataFrame:
    """One row per customer, by falling contact_profit: the columns of churn_predictions.csv.

    `predictions` has churn_probability, if_staying, expected_revenue, segment, risk_band, main_reason and
    second_reason, `current` the customers' features. At risk is what churn is expected to cost: its
    probability times what the customer would spend by staying; 0 for who is GONE. To contact are those whose
    contact_profit is above 0, or nobody, where the model cannot rank customers. Amounts are those of the
    rounded columns, so that whoever has the file can work them out, for other costs too.
    """
    churning = predictions["churn_probability"].round(6)
    staying = predictions["if_staying"].round(campaign.places)
    lost = staying.where(predictions["risk_band"] != GONE, 0)
    saved = (campaign.margin * lost - campaign.offer_cost).where(lost > 0, 0)
    profit = (
        churning * campaign.success_rate * saved - (1 - churning) * campaign.offer_cost - campaign.contact_cost
    )
    table = {
        "customer_id": current.index,
        "as_of": current["cutoff"],
        "segment": predictions["segment"],
        "churn_probability": churning,
        "risk_band": predictions["risk_band"],
        "revenue_if_staying": staying,
        "expected_revenue": predictions["expected_revenue"],
        "revenue_at_risk": (churning * lost).round(campaign.places),
        "contact_profit": profit.round(campaign.places),
        "main_reason": predictions["main_reason"],
        "second_reason": predictions["second_reason"],
    }
    ranked = pd.DataFrame(table).sort_index().sort_values("contact_profit", ascending=False, kind="stable")
    pays = (ranked["contact_profit"] > 0) & can_rank
    ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
    ranked.insert(len(ranked.columns) - 2, "contact", np.where(pays, "yes", "no"))
    return ranked.reset_index(drop=True)


def segments_of(customers: pd.Index, run: dict[str, str], folder: Path) -> pd.Series:
    """Each customer's RFM segment from script 2's file, where that is of the same orders as this `run` (see
    manifest_row); else missing."""
    path = folder / "rfm_analysis.csv"
    same = run | {"script": ANALYSIS, "state": COMPLETE}
    if path.exists() and read_manifest(folder).get(ANALYSIS, {}).items() >= same.items():
        rfm = pd.read_csv(path, dtype={"customer_id": str}, na_filter=False)
        rfm = rfm.drop_duplicates("customer_id").set_index("customer_id")
        return rfm["segment"].reindex(escape_formulas(customers.to_series())).set_axis(customers)
    options = ("--as-of", run["as_of"], *(["--keep-odd-dates"] if run["odd_dates"] == KEPT else []))
    say("Noted", f"no segments: run {command(ANALYSIS, *options)} on the same orders, for them")
    return pd.Series(index=customers, dtype="str")


def profit_curve(contacts: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """What it is worth to contact the first so many customers of the list, in STEPS steps up to twice as many as
    it says to contact, or STEPS.

    The columns: customers_contacted, expected_profit (of margin, less the costs), is_best.
    """
    profit = np.append(0.0, contacts["contact_profit"].cumsum())
    best = (contacts["contact"] == "yes").sum()
    shown = min(max(2 * best, STEPS), len(contacts))
    contacted = np.union1d(np.linspace(0, shown, STEPS + 1).astype(int), best)
    return pd.DataFrame(
        {
            "customers_contacted": contacted,
            "expected_profit": profit[contacted].round(places),
            "is_best": contacted == best,
        }
    )


def report_contacts(contacts: pd.DataFrame, can_rank: bool) -> None:
    """Say whom to contact, and what that is worth."""
    worth = contacts.loc[contacts["contact"] == "yes", "contact_profit"]
    if not can_rank:
        say("Contact", "nobody: the model cannot rank this shop's customers")
    elif worth.empty:
        say("Contact", "nobody, it does not pay at step 3's costs")
    else:
        say("Contact", f"the first {len(worth):,} of churn_predictions.csv: worth {as_text(worth.sum(), 0)}")


# --- risk and reasons ---


def explain(
    predictions: pd.DataFrame,
    model: "Pipeline",
    current: pd.DataFrame,
    horizon: pd.Timedelta,
    bands: dict[str, float],
) -> pd.DataFrame:
    """The predictions with each customer's risk_band (by the probability that it begins at, in rising order, or
    GONE) and, of those in a band above the first, main_reason and second_reason."""
    band = pd.cut(predictions["churn_probability"], [*bands.values(), np.inf], right=False, labels=list(bands))
    band = band.cat.add_categories(GONE).mask(current["recency_days"] > horizon.days, GONE)
    safe, gone = (band == next(iter(bands))).to_numpy(), (band == GONE).to_numpy()
    main, second = reasons(model, current, ~safe & ~gone, safe)
    return predictions.assign(risk_band=band, main_reason=main, second_reason=second)


@clock("Explaining")
def reasons(model: "Pipeline", known: pd.DataFrame, at_risk: np.ndarray, safe: np.ndarray) -> np.ndarray:
    """The two reasons for churn, in words, that set each customer at risk furthest apart, in log-odds, from the
    average of the safe; missing where none does, and for the others; shape (2, customers)."""
    pace = known["orders"] - np.log1p(known["tenure_days"])
    values = known.assign(rhythm=known["overdue"], pace=pace)[list(REASONS)]
    terms = pd.concat([model[:-1].transform(part[FEATURES]) for part in in_parts(known)])
    belongs = np.array([[REASON_OF[term] == reason for reason in REASONS] for term in terms], float)
    words = np.array(list(REASONS.values()), dtype=object)
    names = np.full((2, len(known)), None, dtype=object)
    others = safe if safe.any() else at_risk
    moves = (((terms[at_risk] - terms[others].mean()) * model[-1].coef_[0]) @ belongs).to_numpy()
    below = (values[at_risk] < values[others].mean()).to_numpy().astype(int)
    said = words[np.arange(len(REASONS)), below]  # customers x reasons
    strength = np.where((moves > 0) & (said != None), moves, 0)  # noqa: E711, of each element
    row, strongest = np.arange(at_risk.sum()), np.argsort(-strength, axis=1, kind="stable")[:, :2]
    names[:, at_risk] = [np.where(strength[row, n] > 0, said[row, n], None) for n in strongest.T]
    return names
