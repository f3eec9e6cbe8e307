"""Step 2: read the orders; write RFM segments, cohorts, KPIs and figures to data/.

    python 2_data_analysis.py                       up to the last order
    python 2_data_analysis.py --as-of 2025-07-01    up to the day before

docs/KPI_Dictionary.md defines every column. Nothing is saved unless all totals reconcile.
"""

from pulse.start import command, preload, require, run

require()
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pymongo.database import Database

from common import Settings, read_settings, say
from pulse.charts import draw_analysis
from pulse.currencies import decimals
from pulse.database import database
from pulse.exports import manifest_row, require_writable, save
from pulse.identity import doubt_customers
from pulse.loads import active_collection, consistent_read, load_record
from pulse.months import first_day, is_in_progress, last_month, month_before, month_number
from pulse.options import as_of_parser, parse_arguments
from pulse.orders import Audit, add_audits, read_customers, read_range
from pulse.planning import Reading, plan_reading
from pulse.ranges import concat_by_customer, map_ranges
from pulse.reconcile import reconcile, status_sums, total_sums

# --- the rules ---

SEGMENTS = {  # recency score, 5 for the latest -> the segments of frequency scores 1 to 5
    5: ("New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"),
    4: ("Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"),
    3: ("About to Sleep", "About to Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    1: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
}
BEST_FIRST = (
    *("Champions", "Loyal Customers", "Potential Loyalists", "New Customers", "Promising"),
    *("Need Attention", "About to Sleep", "At Risk", "Can't Lose Them", "Hibernating"),
)
SCORES = {"r_score": "recency_days", "f_score": "frequency", "m_score": "monetary"}
NEARLY_NOTHING = 0.01  # of what an order's items and discounts come to: below, they get equal parts of revenue

Sums = dict[str, pd.DataFrame]  # {table: what orders add to it}


class Shop(NamedTuple):
    """What is read from MongoDB."""

    customers: pd.DataFrame  # as in read_customers
    as_of: pd.Timestamp
    places: int  # decimals of an amount
    sums: Sums  # see range_sums
    audit: Audit
    rejects: dict[str, int]  # {remark: rows that an import left out or noted}


def main() -> None:
    args, settings = parse_arguments(as_of_parser(__doc__)), read_settings()
    require_writable(settings.data_path)
    preload("seaborn")
    with database(settings) as db:
        shop = consistent_read(db, settings, partial(read_shop, db, settings, args.as_of, args.keep_odd_dates))

    sums, as_of, places, audit = shop.sums, shop.as_of, shop.places, shop.audit
    frequency = sums["customers"]["frequency"]
    doubt_customers(frequency.sum(), frequency.max(), "customer_id")
    rfm = rfm_analysis(sums["customers"], as_of)
    rfm["previous_segment"] = rfm_analysis(sums["customers_before"], month_before(as_of))["segment"]
    tables = {
        "customers": known_customers(shop.customers, sums["customers"].index, as_of),
        "rfm_analysis": rfm.reset_index(),
        "rfm_score_bands": score_bands(rfm),
        "cohort_retention": cohort_retention(sums["cohorts"], as_of, places),
        "monthly_kpis": monthly_kpis(sums["months"], as_of, places),
        "revenue_drivers": revenue_drivers(sums["drivers"], places),
    }
    size = {name: f"{len(table):,}" for name, table in tables.items()}
    say("Computed", f"{size['rfm_analysis']} customers' RFM, {size['cohort_retention']} cohort cells, "
        f"{size['monthly_kpis']} months, {size['revenue_drivers']} driver rows")  # fmt: skip

    tables["data_quality"] = reconcile(tables, sums, audit.excluded, shop.rejects, places)
    row = manifest_row(Path(__file__).name, as_of, audit.orders, audit.fingerprint, args.keep_odd_dates)
    save(settings.data_path, tables, draw_analysis(tables, SEGMENTS, BEST_FIRST), row)
    say("Next", command("3_churn_model.py"))


# --- reading ---


def read_shop(db: Database, settings: Settings, as_of: pd.Timestamp | None, keep_odd_dates: bool = False) -> Shop:
    """The customers, and what their orders add to each table, a range of customers at a time."""
    reading = plan_reading(db, settings, as_of, keep_odd_dates, items=True)
    customers = read_customers(db, settings, reading)
    countries = customers.set_index("customer_id")["country"].astype("category")
    task = partial(range_sums, reading=reading, countries=countries)
    parts, audits = zip(*map_ranges(task, db, settings, reading.ranges), strict=True)
    audit = add_audits(list(audits), reading, settings)
    record = load_record(db, active_collection(db, settings.orders_collection).name) or {}
    sums, places = add_sums(list(parts), settings), decimals(reading.currency)
    return Shop(customers, reading.as_of, places, sums, audit, record.get("left_out", {}))


def range_sums(db: Database, where: dict, reading: Reading, countries: pd.Series) -> tuple[Sums, Audit]:
    """What the orders of one range of customers add to each table; `countries` are by customer_id."""
    orders, audit = read_range(db, reading, where)
    return order_sums(orders, reading.as_of, countries, decimals(reading.currency)), audit


def order_sums(orders: pd.DataFrame, as_of: pd.Timestamp, countries: pd.Series, places: int = 2) -> Sums:
    """What these orders add to each table, from the columns of read_range; an amount has so many places."""
    orders = add_months(orders)
    drivers = driver_sums(orders, countries, places)
    orders = orders.drop(columns="items")  # most of the memory
    return {
        "customers": customer_sums(orders, places),
        "customers_before": customer_sums(orders[orders["order_date"] < month_before(as_of)], places),
        "cohorts": cohort_sums(orders),
        "months": month_sums(orders),
        "drivers": drivers,
        "statuses": status_sums(orders),
        "totals": total_sums(orders),
    }


def add_sums(parts: list[Sums], settings: Settings) -> Sums:
    """The tables of all ranges of customers as one of each, sorted."""
    sums = {}
    for name, first in parts[0].items():
        tables = [part[name] for part in parts]
        if first.index.name == "customer_id":  # each customer is in one range
            sums[name] = concat_by_customer(tables, settings)
        else:
            sums[name] = pd.concat(tables).groupby(level=list(range(first.index.nlevels))).sum()
    return sums


def known_customers(customers: pd.DataFrame, ids: pd.Index, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per customer who had signed up or ordered (ids) before as_of: the columns of customers.csv."""
    everyone = customers.merge(pd.DataFrame({"customer_id": ids}), how="outer")
    signup = everyone["signup_date"]
    known = everyone["customer_id"].isin(ids) | signup.isna() | (signup < as_of)
    return everyone[known].sort_values("customer_id", ignore_index=True)


# --- months ---


def add_months(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with month and cohort (the customer's first month with a completed order, missing for who
    has none) as numbers, months_since_first (from one to the other), and first_of_month (whether it is the
    customer's first completed order of its month)."""
    orders = orders.assign(month=month_number(orders["order_date"]))
    bought = orders.loc[orders["completed"] & orders["customer_id"].notna(), ["customer_id", "month"]]
    orders["first_of_month"] = (~bought.duplicated()).reindex(orders.index, fill_value=False)
    active = orders["month"].where(orders["first_of_month"])
    orders["cohort"] = active.groupby(orders["customer_id"], observed=True).transform("min")
    orders["months_since_first"] = (orders["month"] - orders["cohort"]).clip(lower=0)
    return orders


# --- RFM ---


def customer_sums(orders: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """first_order_date, last_order_date and frequency of completed orders, and monetary: by customer_id."""
    dates = orders["order_date"].where(orders["completed"])
    by_customer = orders.assign(date=dates).groupby("customer_id", observed=True)
    sums = by_customer.agg(
        first_order_date=("date", "min"),
        last_order_date=("date", "max"),
        frequency=("completed", "sum"),
        monetary=("net", "sum"),
    )
    return sums.set_axis(sums.index.astype("str")).round({"monetary": places})


def rfm_analysis(customers: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency, monetary, their scores and the segment, from customer_sums of the orders before as_of.

    One row per customer with a completed order, indexed by customer_id: the columns of rfm_analysis.csv
    up to segment.
    """
    rfm = customers[customers["frequency"] > 0].copy()
    rfm.insert(2, "recency_days", (as_of.normalize() - rfm["last_order_date"].dt.normalize()).dt.days)
    rfm["r_score"] = 5 - quintile(rfm["recency_days"])  # the smaller, the better
    rfm["f_score"] = 1 + quintile(rfm["frequency"])
    rfm["m_score"] = 1 + quintile(rfm["monetary"])
    rfm["rfm_score"] = rfm["r_score"] * 100 + rfm["f_score"] * 10 + rfm["m_score"]
    grid = np.array([SEGMENTS[score] for score in range(1, 6)], dtype=object)
    rfm["segment"] = grid[rfm["r_score"] - 1, rfm["f_score"] - 1]
    return rfm


def quintile(values: pd.Series) -> pd.Series:
    """The fifth of the values, 0 (lowest) to 4, that each falls into; equal values into the same.

    What counts is the share of smaller values: where many are equal, all are in the lowest fifth that
    one of them reaches, and the fifths above it may stay empty.
    """
    smaller = values.rank(method="min").astype(int) - 1
    return smaller * 5 // len(values)


def score_bands(rfm: pd.DataFrame) -> pd.DataFrame:
    """What each score stands for: metric, score, minimum, maximum (blank where unused), customers."""
    bands = []
    for score, metric in SCORES.items():
        band = rfm.groupby(score)[metric].agg(minimum="min", maximum="max", customers="size")
        bands.append(band.reindex(range(1, 6)).rename_axis("score").reset_index().assign(metric=metric))
    columns = ["metric", "score", "minimum", "maximum", "customers"]
    return pd.concat(bands)[columns].fillna({"customers": 0}).astype({"customers": int})


# --- cohorts and months ---


def cohort_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """orders, active (customers) and net by cohort and months_since_first, of who belongs to a cohort."""
    cells = orders.dropna(subset="cohort").groupby(["cohort", "months_since_first"])
    return cells.agg(orders=("completed", "sum"), active=("first_of_month", "sum"), net=("net", "sum"))


def cohort_retention(sums: pd.DataFrame, as_of: pd.Timestamp, places: int = 2) -> pd.DataFrame:
    """One row per cohort and month since the first, from cohort_sums: the columns of cohort_retention.csv.

    Every month that has begun has a row, with 0 where nobody came; a month to come has none. A
    refund dated before the customer's first completed order counts in month 0.
    """
    key = ["cohort", "months_since_first"]
    triangle = [
        (int(cohort), months, size)
        for cohort, size in sums["active"].xs(0, level="months_since_first").items()
        for months in range(last_month(as_of) - int(cohort) + 1)
    ]
    table = pd.DataFrame(triangle, columns=[*key, "size"]).join(sums.round(places), on=key).fillna(0)
    month = table["cohort"] + table["months_since_first"]
    revenue = table.groupby("cohort")["net"].cumsum()
    return pd.DataFrame(
        {
            "cohort_month": first_day(table["cohort"]),
            "months_since_first": table["months_since_first"],
            "activity_month": first_day(month),
            "cohort_size": table["size"],
            "active_customers": table["active"].astype(int),
            "retention_rate": (table["active"] / table["size"]).round(6),
            "orders": table["orders"].astype(int),
            "net_revenue": table["net"],
            "cumulative_revenue_per_customer": (revenue / table["size"]).round(max(places, 2)),
            "cell_state": np.where(is_in_progress(month, as_of), "in_progress", "complete"),
        }
    )


def month_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """The sums of monthly_kpis.csv by month (a number)."""
    guest = orders["customer_id"].isna()
    parts = {
        "gross_revenue": orders["gross"],
        "refunds": orders["refund"],
        "net_revenue": orders["net"],
        "orders": orders["completed"],
        "active_customers": orders["first_of_month"],
        "new_customers": orders["first_of_month"] & (orders["months_since_first"] == 0),
        "guest_orders": orders["completed"] & guest,
        "guest_revenue": orders["net"].where(guest, 0.0),
    }
    return pd.DataFrame(parts).groupby(orders["month"]).sum()


def monthly_kpis(sums: pd.DataFrame, as_of: pd.Timestamp, places: int = 2) -> pd.DataFrame:
    """One row per month from the first order's to as_of's, none left out: the columns of monthly_kpis.csv."""
    table = sums.reindex(range(sums.index[0], last_month(as_of) + 1), fill_value=0).round(places)
    of_customers = table["net_revenue"] - table["guest_revenue"]
    table.insert(6, "returning_customers", table["active_customers"] - table["new_customers"])
    table["average_order_value"] = (table["gross_revenue"] / table["orders"]).round(max(places, 2))
    table["revenue_per_customer"] = (of_customers / table["active_customers"]).round(max(places, 2))
    table["is_complete"] = ~is_in_progress(table.index, as_of)
    table.insert(0, "month", first_day(table.index))
    return table.replace([np.inf, -np.inf], np.nan)


# --- drivers ---


def driver_sums(orders: pd.DataFrame, countries: pd.Series, places: int = 2) -> pd.DataFrame:
    """orders, units and revenue by month, country, channel and category, of the completed orders.

    An order counts once in every category that it holds; its country is its own, else its customer's.
    """
    lines = revenue_by_line(orders, places)
    # without the items: each line would hold all of its order's
    order = orders[["month", "customer_id", "country", "channel"]].loc[lines["order"]].set_axis(lines.index)
    home = countries.reindex(order["customer_id"].cat.categories)
    table = pd.DataFrame(
        {
            "month": order["month"],
            "country": order["country"],
            "home": home.array.take(order["customer_id"].cat.codes, allow_fill=True),
            "channel": order["channel"],
            "category": lines["category"].astype("category"),
            "orders": ~lines[["order", "category"]].duplicated(),
            "units": lines["quantity"].where(np.isfinite(lines["quantity"])),
            "revenue": lines["revenue"],
        }
    )
    table = table.groupby(["month", "country", "home", "channel", "category"], observed=True, dropna=False).sum()
    table = table.reset_index()
    names = table[["country", "home", "channel", "category"]].astype(object).replace("", None)
    names["country"] = names["country"].fillna(names.pop("home"))
    key = ["month", "country", "channel", "category"]
    table[key[1:]] = names.fillna("Unknown")
    return table.groupby(key)[["orders", "units", "revenue"]].sum()


def revenue_by_line(orders: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """The lines of completed orders: order (its row), category, quantity, revenue.

    What was paid for an order is spread over its lines by their value, so that revenue adds up to gross
    revenue at so many places. An order without lines has one, of no category and no units. Lines that are free,
    or that discounts in lines of their own bring to about 0, get equal parts.
    """
    lines = orders["items"].list.flatten().struct.explode().rename_axis("order").reset_index()
    lines["value"] = lines["quantity"] * lines["unit_price"]
    bare = pd.DataFrame({"order": orders.index.difference(lines["order"]), "value": 1.0, "quantity": 0.0})
    lines = pd.concat([lines.astype({"value": float, "quantity": float}), bare], ignore_index=True)
    lines = lines[orders["completed"].to_numpy()[lines["order"]]]
    order = lines["order"]
    value = lines["value"].where(np.isfinite(lines["value"]), 0)
    total, size = (values.groupby(order).transform("sum") for values in (value, value.abs()))
    value = value.where(total.abs() > NEARLY_NOTHING * size, 1)
    share = value.groupby(order).cumsum() / value.groupby(order).transform("sum")
    # smallest units are rounded on the running total, so that the parts add up
    so_far = (share * orders["gross"].to_numpy()[order]).round(places)
    return lines.assign(revenue=so_far - so_far.groupby(order).shift(fill_value=0))


def revenue_drivers(sums: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """One row per month, country, channel and category with a completed order: revenue_drivers.csv."""
    return sums.round({"revenue": places, "units": 6}).rename(first_day, level="month").reset_index()


if __name__ == "__main__":
    run(main)
