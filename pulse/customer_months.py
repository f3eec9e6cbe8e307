"""What each customer did in each month: customer_months.csv, and the shop as it stood at the end of a month.

There are millions of rows of a large shop, so each range of customers puts its own into a file of a folder, and
DuckDB sorts them together within its share of memory: MongoDB's order of ids is not that of their texts.
"""

from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pulse.dimensions import UNKNOWN
from pulse.exports import escape_formulas
from pulse.months import first_day
from pulse.progress import clock

FILE = "customer_months.csv"
COLUMNS = {  # of the file, in DuckDB's types
    **{"customer_id": "VARCHAR", "month": "DATE", "orders": "BIGINT"},
    **{"gross_revenue": "DOUBLE", "refunds": "DOUBLE", "net_revenue": "DOUBLE", "last_order_date": "DATE"},
}
DIALECT: dict = {"header": True, "sep": ",", "quotechar": '"', "escapechar": '"', "auto_detect": False}
AMOUNTS = ["orders", "gross_revenue", "refunds", "net_revenue"]
MEMORY_MB = 400  # DuckDB's share; what exceeds it goes to the folder
ROOM = "about 100 MB for each million orders"  # of the disk: the parts, what exceeds DuckDB's memory, the file


class MonthEnd(NamedTuple):
    """The shop at the end of a month; its rows are all customers it ever had, in the same order every month."""

    month: int
    customers: pd.DataFrame  # first_order_date, last_order_date and frequency of completed orders until then
    net: np.ndarray  # net revenue in that month; of the first of the months, until its end


# --- a range's share ---


def month_rows(orders: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """One row per customer and month (a number) with a completed order or a refund, in that order: orders,
    gross_revenue, refunds, net_revenue, first_order_date and last_order_date (in that month), and cohort (the
    customer's first month with a completed order; missing where there is none)."""
    rows = counted_sums(orders[orders["customer_id"].notna()], "customer_id", places).reset_index()
    bought = rows["month"].where(rows["orders"] > 0)
    return rows.assign(cohort=bought.groupby(rows["customer_id"], observed=True).transform("min"))


def guest_sums(orders: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """The counted_sums of guests by country and month."""
    guests = orders[orders["customer_id"].isna()]
    guests = guests.assign(country=guests["country"].astype("str").fillna(UNKNOWN))
    return counted_sums(guests, "country", places).drop(columns=["first_order_date", "last_order_date"])


def counted_sums(orders: pd.DataFrame, key: str, places: int) -> pd.DataFrame:
    """orders, gross_revenue, refunds, net_revenue, and first_order_date and last_order_date of completed orders,
    by `key` and month: a row wherever there is a completed order or a refund."""
    counted = orders[orders["completed"] | (orders["refund"] < 0)]
    dates = counted["order_date"].where(counted["completed"])
    sums = counted.assign(date=dates).groupby([key, "month"], observed=True)
    amounts = {"gross_revenue": ("gross", "sum"), "refunds": ("refund", "sum"), "net_revenue": ("net", "sum")}
    days = {"first_order_date": ("date", "min"), "last_order_date": ("date", "max")}
    return sums.agg(orders=("completed", "sum"), **amounts, **days).round(dict.fromkeys(amounts, places))


def early_refunds(rows: pd.DataFrame) -> pd.DataFrame:
    """net_revenue by month of customers who had no completed order until its end, from their month_rows."""
    early = rows["cohort"].isna() | (rows["month"] < rows["cohort"])
    return rows[early].groupby("month")[["net_revenue"]].sum()


def guest_months(sums: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """One row per month and country in which a guest ordered or was refunded: the columns of guest_months.csv."""
    table = sums.round(places).reset_index().sort_values(["month", "country"], ignore_index=True)
    return table.assign(month=first_day(table["month"]))[["month", "country", *AMOUNTS]]


def write_part(folder: Path, number: int, rows: pd.DataFrame) -> None:
    """Put the month_rows of a range of customers into the folder; a range of guests has none."""
    if rows.empty:
        return
    import pyarrow as pa
    from pyarrow.parquet import write_table

    ids = rows["customer_id"].cat
    codes = pa.array(ids.codes, pa.int32())
    texts = pa.array(escape_formulas(pd.Series(ids.categories, dtype="str")), pa.string())
    table = pa.Table.from_pandas(rows.drop(columns=["customer_id", "cohort"]), preserve_index=False)
    table = table.append_column("customer", codes)
    table = table.append_column("customer_id", pa.DictionaryArray.from_arrays(codes, texts))
    write_table(table, folder / f"{number}.parquet")


# --- the file ---


@clock("Sorting")
def merge_parts(folder: Path, path: Path) -> pd.DataFrame:
    """Write the folder's parts as one CSV, by customer_id and month; returns what the file adds up to, read back,
    by month: orders, gross_revenue, refunds, net_revenue, active_customers."""
    import duckdb

    config: dict = {"memory_limit": f"{MEMORY_MB}MB", "threads": 2, "temp_directory": str(folder)}
    month = "(DATE '1970-01-01' + to_months(month::INTEGER))::DATE AS month"
    amounts = ", ".join(f"{name} + 0.0 AS {name}" for name, kind in COLUMNS.items() if kind == "DOUBLE")  # no -0.0
    sums = ", ".join(f"sum({name}) AS {name}" for name in AMOUNTS)
    with duckdb.connect(config=config) as con:
        con.read_parquet(f"{escape(str(folder))}/*.parquet").create_view("parts")
        con.sql(
            f"SELECT customer_id, {month}, orders, {amounts}, last_order_date::DATE AS last_order_date "
            "FROM parts ORDER BY customer_id, parts.month"
        ).write_csv(str(path))
        con.read_csv(escape(str(path)), columns=COLUMNS, **DIALECT).create_view("written")
        by_month = con.sql(
            f"SELECT month, {sums}, count_if(orders > 0) AS active_customers FROM written GROUP BY 1"
        )
        return by_month.df().sort_values("month", ignore_index=True)


# --- the ends of months ---


def month_ends(folder: Path, months: range) -> Iterator[MonthEnd]:
    """The shop at the end of each of these months, from the parts in the folder."""
    rows = read_parts(folder, months.start)
    n = int(rows["customer"].max()) + 1
    begun, latest = (np.full(n, "NaT", "datetime64[s]") for _ in range(2))
    frequency = np.zeros(n, int)
    for month in months:
        now, net = rows[rows["month"] == month], np.zeros(n)
        who = now["customer"].to_numpy()
        frequency[who] += now["orders"]
        begun[who] = np.fmin(begun[who], now["first_order_date"])  # of a date and none, the date
        latest[who] = np.fmax(latest[who], now["last_order_date"])
        net[who] = now["net_revenue"]
        table = {"first_order_date": begun.copy(), "last_order_date": latest.copy(), "frequency": frequency.copy()}
        yield MonthEnd(month, pd.DataFrame(table), net)


def read_parts(folder: Path, first: int) -> pd.DataFrame:
    """The rows of all parts, customers as numbers; what lies before the month `first` is added to it."""
    names = ["customer", "month", "orders", "net_revenue", "first_order_date", "last_order_date"]
    parts, customers = [], 0
    for path in sorted(folder.glob("*.parquet")):
        part = pd.read_parquet(path, columns=names)
        part["customer"] += customers
        customers = int(part["customer"].max()) + 1
        part["month"] = part["month"].clip(lower=first)
        sums = {"orders": "sum", "net_revenue": "sum", "first_order_date": "min", "last_order_date": "max"}
        parts.append(part.groupby(["customer", "month"]).agg(sums).reset_index())
    return pd.concat(parts, ignore_index=True)
