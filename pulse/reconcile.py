"""Totals of the orders that were read, and the stop where a table disagrees with them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from common import fail, say
from pulse.currencies import FINER, as_text

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

    `sums` has status_sums and total_sums, `excluded` rows and amount by reason, `rejects` the rows that an
    import left out or noted, by reason, `places` are the currency's decimals. Stops the script where a table
    disagrees with the totals.
    """
    checks, totals = table_checks(tables), sums["totals"]
    require_agreement(checks, totals, places)
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
    """Stop where a table disagrees with the orders that were read: in their number, or by a smallest unit (of
    larger amounts than doubles can hold to it, by ROUNDING)."""
    expected = {name: (int(n), amount) for name, n, amount in totals.itertuples()}
    most = max(0.5 / 10**places, ROUNDING * (expected[GROSS][1] - expected[REFUNDS][1]))
    for check in checks:
        n, amount = expected[check.total]
        agrees = abs(check.amount - amount) < most  # false for a missing sum
        if check.rows != n or not agrees:
            fail(
                f"There are {check.rows:,} {check.name} worth {as_text(check.amount, places)}, but {n:,} worth "
                f"{as_text(amount, places)} were read: nothing was saved. This is a defect of the script."
            )


def say_agreement(sums: Mapping[str, pd.DataFrame], places: int = 2) -> None:
    """Say which statuses count, what all tables agree on, and how many amounts were rounded."""
    statuses, totals = sums["statuses"], sums["totals"]
    n, net = totals["rows"][NET], as_text(totals["amount"][NET], places)
    names = ", ".join(statuses.index[statuses["completed"] > 0])
    say("Checked", f"{n:,.0f} orders completed, net revenue {net}: all tables agree")
    say("", f"counted as completed: the status {names}")
    if finer := totals["rows"][FINER]:
        say("Noted", f"{finer:,.0f} amounts have more than their currency's {places} decimals: rounded half up")
