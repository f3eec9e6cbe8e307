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

FEATURES = ["overdue", "gap", "orders", "irregularity", "spend", "spend_trend", "late"]
BUYERS = ["known", "new", "guests"]  # who ordered in a window
OPENED = 50  # customers: a shop has opened once it has so many; orders before may be trials
LEAST_LEFT = 0.9  # of what was spent, once refunds of other windows' orders have come off
DAY, YEAR = pd.Timedelta(days=1), pd.Timedelta(days=365)
ROWS_AT_A_TIME = 100_000  # scaling and multiplying all customers at once would take much memory
ALL = slice(None)  # rows

Rows = slice | np.ndarray


class History(NamedTuple):
    """What some customers' orders, all of theirs, say at every cutoff that may be wanted."""

    first_order: pd.Timestamp  # the first completed one of a customer
    spent: pd.DataFrame  # see revenue_by_part; from when the shop had opened
    snapshots: dict[pd.Timestamp, pd.DataFrame]  # see snapshot_at
    years: dict[pd.Timestamp, pd.DataFrame]  # the same one and two YEARs before, with that YEAR's future
    places: int = 2  # decimals of an amount


class Usual(NamedTuple):
    """All customers' averages at a cutoff, which stand in where little is known of one."""

    gap: float  # days between completed orders
    order: float  # what an order brings, net


# --- snapshots ---


def snapshots(orders: pd.DataFrame, as_of: pd.Timestamp, horizon: pd.Timedelta, sample_share: float) -> History:
    """The history of these orders (read_range's columns) at the cutoffs a horizon apart back from as_of, and,
    of the share of the customers that the models learn from, also a YEAR before each."""
    spent = revenue_by_part(orders, as_of, horizon)
    orders = add_gaps(orders.dropna(subset="customer_id"), sample_share)
    sample, counted = orders[orders["in_sample"]], orders[orders["completed"] | (orders["refund"] < 0)]
    known = {}
    begin = counted["order_date"].min()
    for cutoff in cutoffs_back_to(begin, as_of, horizon):
        known[cutoff] = snapshot_at(orders, cutoff, horizon)
        if cutoff - YEAR > begin:
            known[cutoff - YEAR] = snapshot_at(sample, cutoff - YEAR, horizon)
    years = {start: snapshot_at(sample, start, horizon, YEAR) for start in (as_of - YEAR, as_of - 2 * YEAR)}
    return History(orders.loc[orders["completed"], "order_date"].min(), spent, known, years)


def cutoffs_back_to(begin: pd.Timestamp, as_of: pd.Timestamp, horizon: pd.Timedelta) -> list[pd.Timestamp]:
    """as_of and the cutoffs a horizon apart before it, to the one whose window holds `begin`; none without it."""
    windows = 0 if pd.isna(begin) else math.ceil((as_of + horizon - begin) / horizon)
    return [as_of - n * horizon for n in range(windows)]


def revenue_by_part(orders: pd.DataFrame, as_of: pd.Timestamp, horizon: pd.Timedelta) -> pd.DataFrame:
    """Net revenue of the horizon from each cutoff on, and from a YEAR before each: one row per start, a column
    for each of the BUYERS: customers with a completed order before it, those without, guests."""
    sold = orders["order_date"].where(orders["completed"])
    joined = sold.groupby(orders["customer_id"], observed=True).transform("min")
    guest, counted = orders["customer_id"].isna(), orders["completed"] | (orders["refund"] < 0)
    tables = []
    for end in (as_of, as_of - YEAR):
        start = end + (orders["order_date"] - end) // horizon * horizon
        part = np.select([guest, joined < start], ["guests", "known"], "new")
        tables.append(orders["net"][counted].groupby([start[counted], part[counted]]).sum().unstack())
    cutoffs = cutoffs_back_to(orders["order_date"][counted].min(), as_of, horizon)
    starts = {start: None for cutoff in cutoffs for start in (cutoff, cutoff - YEAR)}
    table = pd.concat(tables)  # with each window twice where a YEAR is so many horizons
    return table[~table.index.duplicated()].reindex(list(starts), columns=BUYERS).fillna(0.0)


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


def snapshot_at(
    orders: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta, ahead: pd.Timedelta | None = None
) -> pd.DataFrame:
    """Sums over each customer's orders, from add_gaps; one row per customer with a completed order before
    the cutoff, indexed by customer_id.

    From before the cutoff: first and last (completed order), n (their number), spent (net), gap_squared (days²
    between them), recent_n and recent_spent (of the last horizon), in_sample. From the time `ahead` of it (a
    horizon), for labels alone: future_n (completed orders), future_revenue (net).
    """
    orders = orders[orders["order_date"] < cutoff + (ahead or horizon)]
    customer, when = orders["customer_id"], orders["order_date"]
    before = when < cutoff
    past, recent = before & orders["completed"], before & (when >= cutoff - horizon)
    sums = {
        "n": past,
        "spent": orders["net"].where(before, 0.0),
        "gap_squared": orders["gap_squared"].where(past, 0.0),
        "recent_n": past & recent,
        "recent_spent": orders["net"].where(recent, 0.0),
        "in_sample": orders["in_sample"],
        "future_n": ~before & orders["completed"],
        "future_revenue": orders["net"].where(~before, 0.0),
    }
    known = pd.DataFrame(sums).groupby(customer, observed=True).sum()
    dates = when.where(past).groupby(customer, observed=True)
    small = dict.fromkeys(("n", "recent_n", "future_n"), "int32") | {"in_sample": "bool"}
    known = known.astype(small)  # memory holds many of these
    known = known.assign(first=dates.min(), last=dates.max())[known["n"] > 0]
    known.index = known.index.astype("str")
    return known.round(dict.fromkeys(("spent", "recent_spent", "future_revenue"), FINEST))


def combine_histories(parts: Sequence[History], settings: Settings) -> History:
    """The histories of all ranges of customers as one; takes their snapshots out of `parts` one by one, since
    memory would not hold all of them twice."""
    first = pd.Series([part.first_order for part in parts]).min()
    spent = pd.concat([part.spent for part in parts]).groupby(level=0).sum().round(FINEST)
    known, years = ([getattr(part, name) for part in parts] for name in ("snapshots", "years"))
    snapshots = unite(known, settings)
    joined = snapshots[max(snapshots)]["first"].nsmallest(OPENED)
    opened = joined.iloc[-1] if len(joined) == OPENED else first
    return History(first, spent[spent.index >= opened], snapshots, unite(years, settings))


def unite(parts: list[dict[pd.Timestamp, pd.DataFrame]], settings: Settings) -> dict[pd.Timestamp, pd.DataFrame]:
    """The snapshots of all ranges as one table per cutoff."""
    cutoffs = sorted(set().union(*parts))
    return {
        cutoff: concat_by_customer([part.pop(cutoff) for part in parts if cutoff in part], settings)
        for cutoff in cutoffs
    }


# --- features ---


def features(
    snapshot: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta, rows: Rows = ALL
) -> pd.DataFrame:
    """What is known of each customer (of those `rows` alone) at the cutoff, from the orders before it alone.

    One row per customer: cutoff, recency_days and tenure_days (since the last and the first order, in
    days and their fractions), FEATURES. Counts, days and amounts enter as logarithms, because a step from 1
    to 2 weighs more than one from 101 to 102. A few orders say little of a habit, so all customers' average
    counts like one gap, or one order, more. What came back counts as not spent.
    """
    usual, known = usual_habit(snapshot, cutoff, horizon), snapshot[rows]
    recency, tenure, n = in_days(cutoff - known["last"]), in_days(cutoff - known["first"]), known["n"]
    gap = (tenure - recency + usual.gap) / n
    order = (known["spent"].clip(lower=0) + usual.order) / (n + 1)
    recent_order = (known["recent_spent"].clip(lower=0) + order) / (known["recent_n"] + 1)
    return pd.DataFrame(
        {
            "cutoff": cutoff,
            "recency_days": recency,
            "tenure_days": tenure,
            "overdue": np.log1p(recency) - np.log1p(gap),
            "gap": np.log1p(gap),
            "orders": np.log(n),
            "irregularity": np.log((known["gap_squared"] + 2 * usual.gap**2) / n / gap**2) / 2,
            "spend": np.log(order),
            "spend_trend": np.log(recent_order / order),
            "late": np.log1p(known["recent_n"]),
        }
    )


def usual_habit(snapshot: pd.DataFrame, cutoff: pd.Timestamp, horizon: pd.Timedelta) -> Usual:
    """The averages of all customers in the snapshot; a horizon for the gap where nobody has two orders, the
    smallest amount there is where they brought nothing."""
    days = (in_days(cutoff - snapshot["first"]) - in_days(cutoff - snapshot["last"])).sum()
    gap = days / (snapshot["n"] - 1).sum() if days > 0 else horizon / DAY
    return Usual(gap, max(snapshot["spent"].clip(lower=0).sum() / snapshot["n"].sum(), 10.0**-FINEST))


def labelled_features(
    snapshots_by_cutoff: dict[pd.Timestamp, pd.DataFrame],
    cutoff: pd.Timestamp,
    horizon: pd.Timedelta,
    sample_only: bool = False,
) -> pd.DataFrame:
    """The features at the cutoff (of all customers, or those alone that the models learn from) with what the
    snapshots' time ahead brought: ordered (completed orders), churned (whether none came), revenue (net)."""
    snapshot = snapshots_by_cutoff[cutoff]
    rows: Rows = snapshot["in_sample"].to_numpy() if sample_only else ALL
    then = snapshot[rows]
    table = features(snapshot, cutoff, horizon, rows)
    return table.assign(ordered=then["future_n"], churned=then["future_n"] == 0, revenue=then["future_revenue"])


def less_refunds(spent: pd.Series, net: float) -> pd.Series:
    """The amounts, those below 0 as 0, scaled alike to add up to `net`, which some refunds have made smaller; by
    LEAST_LEFT at the least, so that no odd refund changes what all others are expected to spend."""
    spent = spent.clip(lower=0)
    return spent * max(net / spent.sum(), LEAST_LEFT)


def in_days(spans: pd.Series) -> pd.Series:
    """Time spans as days and their fractions."""
    return spans / DAY  # type: ignore[operator]


def in_parts(rows: pd.DataFrame, size: int = ROWS_AT_A_TIME) -> list[pd.DataFrame]:
    """The rows in parts of this size, at least one."""
    return [rows[first : first + size] for first in range(0, max(len(rows), 1), size)]
