"""Cohorts: who came back how many months after the first order, of all customers and by what they are."""

import numpy as np
import pandas as pd

from pulse.dimensions import UNKNOWN, fold_values
from pulse.months import first_day, is_in_progress, last_month

DIMENSIONS = ("country", "acquisition_channel", "first_category", "first_channel")
CELL = ["cohort", "months_since_first"]


def cohort_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """orders, active (customers) and net by cohort and months_since_first, of who belongs to a cohort."""
    cells = orders.dropna(subset="cohort").astype(dict.fromkeys(CELL, int)).groupby(CELL)
    return cells.agg(orders=("completed", "sum"), active=("first_of_month", "sum"), net=("net", "sum"))


def breakdown_sums(rows: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """orders, active (customers) and net by dimension, value, cohort and months_since_first, of who belongs to a
    cohort.

    `rows` are the month_rows of a range of customers, `customers` has their DIMENSIONS by customer_id.
    """
    cells = rows[["customer_id", "cohort", "orders"]].assign(active=rows["orders"] > 0, net=rows["net_revenue"])
    cells["months_since_first"] = (rows["month"] - rows["cohort"]).clip(lower=0)
    cells = cells.dropna(subset="cohort").astype(dict.fromkeys(CELL, int))
    values = customers.reindex(cells["customer_id"].cat.categories).astype("str").fillna(UNKNOWN)
    sums = {}
    for name in DIMENSIONS:
        cells["value"] = values[name].astype("category").array.take(cells["customer_id"].cat.codes)
        by_value = cells.groupby(["value", *CELL], observed=True)[["orders", "active", "net"]].sum().reset_index()
        sums[name] = by_value.astype({"value": "str"}).set_index(["value", *CELL])
    return pd.concat(sums, names=["dimension", "value", *CELL])


def fold_sums(sums: pd.DataFrame) -> pd.DataFrame:
    """The breakdown_sums of a shop with the values of fewest customers as one, in each dimension."""
    customers = sums["active"].xs(0, level="months_since_first").groupby(["dimension", "value"]).sum()
    folded = {
        name: sums.loc[[name]]
        .rename(index=fold_values(customers[name]).to_dict(), level="value")
        .groupby(level=[0, 1, 2, 3])
        .sum()
        for name in DIMENSIONS
    }
    return pd.concat(folded.values())


def cohort_retention(sums: pd.DataFrame, as_of: pd.Timestamp, places: int = 2) -> pd.DataFrame:
    """One row per cohort and month since the first, from cohort_sums: the columns of cohort_retention.csv; from
    breakdown_sums, those of cohort_breakdown.csv.

    Every month that has begun has a row, with 0 where nobody came; a month to come has none. A
    refund dated before the customer's first completed order counts in month 0.
    """
    *of, _, _ = key = [str(name) for name in sums.index.names]
    table = sums["active"].xs(0, level="months_since_first").rename("size").reset_index()
    table = table.loc[table.index.repeat(last_month(as_of) - table["cohort"] + 1)]
    table["months_since_first"] = table.groupby(level=0).cumcount()
    table = table.join(sums.round(places), on=key).fillna(dict.fromkeys(sums, 0))
    month = table["cohort"] + table["months_since_first"]
    table["revenue"] = table["net"].groupby(level=0).cumsum()
    table = table.reset_index(drop=True)
    return pd.DataFrame(
        {
            **table[of],
            "cohort_month": first_day(table["cohort"]),
            "months_since_first": table["months_since_first"],
            "activity_month": first_day(month),
            "cohort_size": table["size"],
            "active_customers": table["active"].astype(int),
            "retention_rate": (table["active"] / table["size"]).round(6),
            "orders": table["orders"].astype(int),
            "net_revenue": table["net"],
            "cumulative_revenue_per_customer": (table["revenue"] / table["size"]).round(max(places, 2)),
            "cell_state": np.where(is_in_progress(month, as_of), "in_progress", "complete"),
        }
    )
