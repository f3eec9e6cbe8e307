"""Features and labels at each cutoff: the only module that separates the past from the future.

A snapshot holds sums over each customer's orders before a cutoff, from which the features are made, and
sums over the horizon from the cutoff on, from which the label is made. docs/KPI_Dictionary.md gives each
formula.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from common import Settings
from pulse.currencies import FINEST
from pulse.ranges import concat_by_customer

FEATURES = (
    *("overdue", "gap", "orders", "irregularity", "tenure", "momentum"),
    *("spend", "spend_trend", "refunds", "one_order"),
)
CURVED = ["overdue", "gap", "orders"]  # these enter with their squares and products too
SEASON = ["season_sin", "season_cos"]  # what is learnt of the time of the year, once seen twice
DAY, YEAR = pd.Timedelta(days=1), pd.Timedelta(days=365)
ROWS_AT_A_TIME = 100_000  # scaling and multiplying all customers at once would take much memory
ALL = slice(None)  # rows

Rows = slice | np.ndarray


class History(NamedTuple):
    """What some customers' orders, all of theirs, say at every cutoff that may be wanted."""

    first_order: pd.Timestamp  # the first completed one
    spent: dict[pd.Timestamp, float]  # net revenue of the horizon from each cutoff on
    snapshots: dict[pd.Timestamp, pd.DataFrame]  # see snapshot_at
    places: int = 2  # decimals of an amount


class Usual(NamedTuple):
    """All customers' averages at a cutoff, which stand in where little is known of one."""

    gap: float  # days between completed orders
    order: float  # amount of an order


# --- snapshots ---


def snapshots(orders: pd.DataFrame, as_of: pd.Timestamp, horizon: pd.Timedelta, sample_share: float) -> History:
    """The history of these orders (read_range's columns) at the cutoffs a horizon apart back from as_of, and,
    of the share of the customers that the models learn from, also a YEAR before each."""
    orders = add_gaps(orders.dropna(subset="customer_id"), sample_share)
    sample, counted = orders[orders["in_sample"]], orders[orders["completed"] | (orders["refund"] < 0)]
    spent, known = {}, {}
    begin = counted["order_date"].min()  # other customers' orders may have begun earlier
    windows = 0 if counted.empty else math.ceil((as_of + horizon - begin) / horizon)
    for cutoff in [as_of - n * horizon for n in range(windows)]:
        for start in (cutoff, cutoff - YEAR):
            window = counted["order_date"].between(start, start + horizon, inclusive="left")
            spent[start] = counted.loc[window, "net"].sum()
        known[cutoff] = snapshot_at(orders, cutoff, horizon)
        known[cutoff - YEAR] = snapshot_at(sample, cutoff - YEAR, horizon)
    return History(orders.loc[orders["completed"], "order_date"].min(), spent, known)


def add_gaps(orders: pd.DataFrame, sample_share: float = 1.0) -> pd.DataFrame:
    """The orders by customer and date, with gap_squared (days² since the completed one before) and in_sample:
    whether the models learn from the customer, whom a hash of the id picks for about that share."""
    orders = orders.sort_values(["customer_id", "order_date"])
    done = orders[orders["completed"]]
    gap = in_days(done["order_date"].diff())
    ids = orders["customer_id"].cat
    hashes = pd.util.hash_array(ids.categories.to_numpy(object))
    return orders.assign(
        gap_squared=gap.where(done["customer_id"] == done["customer_id"].shift()) ** 2,
        in_sample=(hashes <= sample_share * np.iinfo(np.uint64).max)[ids.codes],
    )


def snapshot_at(orders: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta) -> pd.DataFrame:
    """Sums over each customer's orders, from add_gaps; one row per customer with a completed order before
    the cutoff, indexed by customer_id.

    From before the cutoff: first and last (completed order), n (their number), paid, gap_squared (days²
    between them), recent_n and recent_paid (of the last horizon), refunds (their number), in_sample. From the
    horizon after it, for labels alone: future_n (completed orders), future_revenue (net).
    """
    orders = orders[orders["order_date"] < cutoff + horizon]
    customer, when = orders["customer_id"], orders["order_date"]
    before = when < cutoff
    past, recent = before & orders["completed"], before & (when >= cutoff - horizon)
    sums = {
        "n": past,
        "paid": orders["gross"].where(before, 0.0),
        "gap_squared": orders["gap_squared"].where(past, 0.0),
        "recent_n": past & recent,
        "recent_paid": orders["gross"].where(recent, 0.0),
        "refunds": before & (orders["refund"] < 0),
        "in_sample": orders["in_sample"],
        "future_n": ~before & orders["completed"],
        "future_revenue": orders["net"].where(~before, 0.0),
    }
    known = pd.DataFrame(sums).groupby(customer, observed=True).sum()
    dates = when.where(past).groupby(customer, observed=True)
    small = dict.fromkeys(("n", "recent_n", "refunds", "future_n"), "int32") | {"in_sample": "bool"}
    known = known.astype(small)  # memory holds many of these
    known = known.assign(first=dates.min(), last=dates.max())[known["n"] > 0]
    known.index = known.index.astype("str")
    return known.round(dict.fromkeys(("paid", "recent_paid", "future_revenue"), FINEST))


def combine_histories(parts: Sequence[History], settings: Settings) -> History:
    """The histories of all ranges of customers as one; takes their snapshots out of `parts` one by one, since
    memory would not hold all of them twice."""
    first = pd.Series([part.first_order for part in parts]).min()
    cutoffs = sorted(set().union(*(part.snapshots for part in parts)))
    known = {}
    for cutoff in cutoffs:
        tables = [part.snapshots.pop(cutoff) for part in parts if cutoff in part.snapshots]
        known[cutoff] = concat_by_customer(tables, settings)
    spent = pd.DataFrame([part.spent for part in parts]).sum().round(FINEST)
    return History(first, dict(spent[spent.index >= first]), known)


# --- features ---


def model_columns(train: pd.DataFrame) -> list[str]:
    """What the models see of these rows: the season only where the cutoffs span two years."""
    span = train["cutoff"].max() - train["cutoff"].min()
    return [*FEATURES, *(SEASON if span >= 2 * YEAR else [])]


def features(
    snapshot: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta, rows: Rows = ALL
) -> pd.DataFrame:
    """What is known of each customer (of those `rows` alone) at the cutoff, from the orders before it alone.

    One row per customer: cutoff, recency_days and tenure_days (since the last and the first order, in
    days and their fractions), FEATURES, SEASON. Counts, days and amounts enter as logarithms, because a
    step from 1 to 2 weighs more than one from 101 to 102. A few orders say little of a habit, so all
    customers' average counts like one gap, or one order, more.
    """
    usual, known = usual_habit(snapshot, cutoff, horizon), snapshot[rows]
    recency, tenure, n = in_days(cutoff - known["last"]), in_days(cutoff - known["first"]), known["n"]
    gap = (tenure - recency + usual.gap) / n
    order = (known["paid"] + usual.order) / (n + 1)
    expected_recent = n * (horizon / DAY / tenure).clip(upper=1)  # had the orders come evenly
    recent_order = (known["recent_paid"] + order) / (known["recent_n"] + 1)
    angle = 2 * np.pi * cutoff.day_of_year / 365.25
    return pd.DataFrame(
        {
            "cutoff": cutoff,
            "recency_days": recency,
            "tenure_days": tenure,
            "overdue": np.log1p(recency) - np.log1p(gap),
            "gap": np.log1p(gap),
            "orders": np.log(n),
            "irregularity": np.log((known["gap_squared"] + 2 * usual.gap**2) / n / gap**2) / 2,
            "tenure": np.sqrt(tenure),
            "momentum": np.log((known["recent_n"] + 1) / (expected_recent + 1)),
            "spend": np.log1p(order),
            "spend_trend": np.log1p(recent_order) - np.log1p(order),
            "refunds": known["refunds"] / (n + known["refunds"]),
            "one_order": (n == 1).astype(float),
            "season_sin": np.sin(angle),
            "season_cos": np.cos(angle),
        }
    )


def usual_habit(snapshot: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta) -> Usual:
    """The averages of all customers in the snapshot; a horizon for the gap where nobody has two orders."""
    days = (in_days(cutoff - snapshot["first"]) - in_days(cutoff - snapshot["last"])).sum()
    gap = days / (snapshot["n"] - 1).sum() if days > 0 else horizon / DAY
    return Usual(gap, snapshot["paid"].sum() / snapshot["n"].sum())


def labelled_features(
    snapshots_by_cutoff: dict[pd.Timestamp, pd.DataFrame],
    cutoff: pd.Timestamp,
    horizon: pd.Timedelta,
    sample_only: bool = False,
) -> pd.DataFrame:
    """The features at the cutoff (of all customers, or those alone that the models learn from) with what the
    horizon from it on brought: churned (whether no completed order came), revenue (net)."""
    snapshot = snapshots_by_cutoff[cutoff]
    rows: Rows = snapshot["in_sample"].to_numpy() if sample_only else ALL
    then = snapshot[rows]
    table = features(snapshot, cutoff, horizon, rows)
    return table.assign(churned=then["future_n"] == 0, revenue=then["future_revenue"])


def in_days(spans: pd.Series) -> pd.Series:
    """Time spans as days and their fractions."""
    return spans / DAY  # type: ignore[operator]


def in_parts(rows: pd.DataFrame, size: int = ROWS_AT_A_TIME) -> list[pd.DataFrame]:
    """The rows in parts of this size, at least one."""
    return [rows[first : first + size] for first in range(0, max(len(rows), 1), size)]
