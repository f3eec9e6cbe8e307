"""Totals of the orders that were read, and the stop where a table disagrees with them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from common import fail, say
from pulse.currencies import FINER, as_text
from pulse.months import first_day
from pulse.segments import NEW

REFUNDS = "amount below 0: a refund"
NO_SALES = "amount below 0 of what was not sold: no refund"
GUESTS = "orders and refunds of guests"
REFUNDS_OF_NOBODY = "refunds to customers without a completed order"
ROUNDING = 1e-14  # of gross and refunds, the most that a sum of doubles is off: half a cent at 500 billion
NET, GROSS, NET_OF_BUYERS, BUYERS = "net revenue", "gross revenue", "net revenue of buyers", "buyers"


class Check(NamedTuple):
    """A figure of a table beside what it has to be: a row of the totals."""

    name: str
    rows: float
    amount: float
    total: str


class Pair(NamedTuple):
    """The same figures from two tables, indexed alike."""

    name: str
    found: pd.DataFrame
    expected: pd.DataFrame


def total_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """rows and amount by what was counted: what the tables have to agree with."""
    done, guest, refunded = orders["completed"], orders["customer_id"].isna(), orders["refund"] < 0
    buyers = orders.loc[done, "customer_id"].dropna().unique()
    of_buyers = orders["customer_id"].isin(buyers)
    of_nobody = refunded & ~guest & ~of_buyers
    unsold = (orders["amount"] < 0) & ~refunded
    rows = {
        FINER: (orders["finer"].sum(), orders.loc[orders["finer"], "amount"].sum()),
        REFUNDS: (refunded.sum(), orders.loc[refunded, "amount"].sum()),
        NO_SALES: (unsold.sum(), orders.loc[unsold, "amount"].sum()),
        GUESTS: (guest.sum(), orders.loc[guest, "amount"].sum()),
        REFUNDS_OF_NOBODY: (of_nobody.sum(), orders.loc[of_nobody, "amount"].sum()),
        NET: (done.sum(), orders["net"].sum()),
        GROSS: (done.sum(), orders["gross"].sum()),
        NET_OF_BUYERS: ((done & ~guest).sum(), orders.loc[of_buyers, "net"].sum()),
        BUYERS: (len(buyers), 0.0),
    }
    return pd.DataFrame.from_dict(rows, "index", columns=["rows", "amount"])


def status_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """rows and amount of the orders, refunds aside, and how many are completed, by status."""
    paid = orders["amount"] >= 0
    parts = {"rows": paid, "amount": orders["amount"].where(paid, 0.0), "completed": orders["completed"]}
    return pd.DataFrame(parts).groupby(orders["status"].astype("str")).sum()


def reconcile(
    tables: Mapping[str, pd.DataFrame],
    sums: Mapping[str, pd.DataFrame],
    excluded: pd.DataFrame,
    rejects: Mapping[str, int],
    places: int = 2,
) -> pd.DataFrame:
    """The columns of data_quality.csv: one row per check, of what was left out, counted and reconciled.

    `sums` has status_sums, total_sums, early_refunds, and as "customer_months" what that file adds up to by month
    (see merge_parts); `excluded` rows and amount by reason, `rejects` the rows that an import left out or noted,
    by reason, `places` are the currency's decimals. Stops the script where a table disagrees with the totals, or
    with another table.
    """
    checks, totals = table_checks(tables), sums["totals"]
    require_agreement(checks, totals, places)
    pairs = table_pairs(tables, sums)
    require_equal_cells(pairs, rounding_error(totals, places))
    say_agreement(sums, places)
    rows: list[tuple] = [(f"import: {reason}", n, np.nan, "noted") for reason, n in rejects.items()]
    rows += [(reason, n, amount, "left out") for reason, n, amount in excluded.itertuples()]
    rows += [
        (f"status {status}, amount 0 or more", n, amount, "counted")
        for status, n, amount, _ in sums["statuses"].itertuples()
    ]
    seldom = [name for name in (FINER, NO_SALES) if totals.loc[name, "rows"]]
    counted = totals.loc[[*seldom, REFUNDS, GUESTS, REFUNDS_OF_NOBODY]]
    rows += [(name, int(n), amount, "counted") for name, n, amount in counted.itertuples()]
    rows += [(check.name, check.rows, check.amount, "reconciled") for check in checks]
    rows += [(f"months or cells of {pair.name}", len(pair.found), np.nan, "reconciled") for pair in pairs]
    return pd.DataFrame(rows, columns=["check", "rows", "amount", "status"]).round(max(places, 2))


def table_checks(tables: Mapping[str, pd.DataFrame]) -> list[Check]:
    """What each table says of the same orders."""
    names = ("monthly_kpis", "cohort_retention", "rfm_analysis", "revenue_drivers")
    months, cohorts, rfm, drivers = (tables[name] for name in names)
    size = cohorts.loc[cohorts["months_since_first"] == 0, "cohort_size"].sum()
    return [
        Check("orders in monthly_kpis", months["orders"].sum(), months["net_revenue"].sum(), NET),
        Check("orders in cohort_retention", cohorts["orders"].sum(), cohorts["net_revenue"].sum(), NET_OF_BUYERS),
        Check("orders in rfm_analysis", rfm["frequency"].sum(), rfm["monetary"].sum(), NET_OF_BUYERS),
        # an order counts in every category that it holds, so drivers have no number of orders of their own
        Check("gross revenue in revenue_drivers", months["orders"].sum(), drivers["revenue"].sum(), GROSS),
        Check("customers in monthly_kpis", months["new_customers"].sum(), 0, BUYERS),
        Check("customers in cohort_retention", size, 0, BUYERS),
    ]


def require_agreement(checks: list[Check], totals: pd.DataFrame, places: int = 2) -> None:
    """Stop where a table disagrees with the orders that were read, in their number or their amount."""
    expected = {name: (int(n), amount) for name, n, amount in totals.itertuples()}
    most = rounding_error(totals, places)
    for check in checks:
        n, amount = expected[check.total]
        agrees = abs(check.amount - amount) < most  # false for a missing sum
        if check.rows != n or not agrees:
            fail(
                f"There are {check.rows:,} {check.name} worth {as_text(check.amount, places)}, but {n:,} worth "
                f"{as_text(amount, places)} were read: nothing was saved. This is a defect of the script."
            )


def rounding_error(totals: pd.DataFrame, places: int) -> float:
    """What amounts that agree differ by at most: half a smallest unit (of larger ones than doubles can hold to it,
    ROUNDING)."""
    amounts = totals["amount"]
    return max(0.5 / 10**places, ROUNDING * (amounts[GROSS] - amounts[REFUNDS]))


def table_pairs(tables: Mapping[str, pd.DataFrame], sums: Mapping[str, pd.DataFrame]) -> list[Pair]:
    """What two tables say of the same things, month by month or cell by cell."""
    months, guests = (tables[name].set_index("month") for name in ("monthly_kpis", "guest_months"))
    of_customers = sums["customer_months"].set_index("month")
    of_all = of_customers.add(guests.groupby("month").sum(numeric_only=True), fill_value=0)
    pairs = [Pair("customer_months and guest_months", of_all, months[list(of_customers)])]

    cell = ["cohort_month", "months_since_first"]
    figures = ["cohort_size", "active_customers", "orders", "net_revenue"]
    cohorts = tables["cohort_retention"].set_index(cell)[figures]
    for dimension, table in tables["cohort_breakdown"].groupby("dimension"):
        pairs.append(Pair(f"cohort_breakdown by {dimension}", table.groupby(cell)[figures].sum(), cohorts))

    moves = tables["segment_moves"]
    by = moves.groupby("month")[["customers", "net_revenue"]].sum()
    net = months["net_revenue"] - months["guest_revenue"]
    early = sums["early_refunds"]["net_revenue"]
    early = early.set_axis(first_day(early.index)).reindex(months.index, fill_value=0)
    known = pd.DataFrame({"customers": months["new_customers"].cumsum(), "net_revenue": net - early})
    pairs.append(Pair("segment_moves", by, known.loc[by.index]))
    came, went = (moves.pivot_table("customers", "month", name, "sum") for name in ("to_segment", "from_segment"))
    pairs.append(
        Pair(
            "segment_moves beside the month before", went.drop(columns=NEW, errors="ignore")[1:], came.shift()[1:]
        )
    )
    return pairs


def require_equal_cells(pairs: list[Pair], most: float) -> None:
    """Stop where a cell of two tables differs by so much or more."""
    for name, found, expected in pairs:
        difference = found.sub(expected, fill_value=0).fillna(0)
        n = (difference.abs() >= most).to_numpy().sum()
        if n:
            fail(f"{n:,} figures of {name} disagree with other tables: nothing was saved. "
                 "This is a defect of the script.")  # fmt: skip


def say_agreement(sums: Mapping[str, pd.DataFrame], places: int = 2) -> None:
    """Say which statuses count, what all tables agree on, and how many amounts were rounded."""
    statuses, totals = sums["statuses"], sums["totals"]
    n, net = totals["rows"][NET], as_text(totals["amount"][NET], places)
    names = ", ".join(statuses.index[statuses["completed"] > 0])
    say("Checked", f"{n:,.0f} orders completed, net revenue {net}: all tables agree")
    say("", f"counted as completed: the status {names}")
    if finer := totals["rows"][FINER]:
        say("Noted", f"{finer:,.0f} amounts have more than their currency's {places} decimals: rounded half up")
