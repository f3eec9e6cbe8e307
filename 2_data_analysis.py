"""Step 2: read the orders; write segments, cohorts, KPIs and figures to data/.

    python 2_data_analysis.py                       up to the last order
    python 2_data_analysis.py --as-of 2025-07-01    up to the day before
    python 2_data_analysis.py --fail-on-alert       exit code 3 if figures moved

docs/KPI_Dictionary.md defines every column. Nothing is saved unless all totals reconcile.
"""

from pulse.start import command, preload, require, run

require()
import sys
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import numpy as np
import pandas as pd
from pymongo.database import Database

from common import Settings, read_settings, say
from pulse.alerts import alerts, any_alert, report_alerts
from pulse.charts import draw_analysis
from pulse.cohorts import breakdown_sums, cohort_retention, cohort_sums, fold_sums
from pulse.currencies import decimals
from pulse.customer_months import (
    FILE,
    ROOM,
    early_refunds,
    guest_months,
    guest_sums,
    merge_parts,
    month_ends,
    month_rows,
    write_part,
)
from pulse.customers import known_customers, with_known_texts
from pulse.dashboard import write_dashboard
from pulse.database import database
from pulse.drivers import driver_sums, first_purchases, revenue_by_line, revenue_drivers
from pulse.exports import manifest_row, require_writable, save
from pulse.identity import doubt_customers
from pulse.loads import active_collection, consistent_read, load_record
from pulse.months import add_months, first_day, is_in_progress, last_complete_month, last_month, month_before
from pulse.options import ON_ALERT, analysis_parser, parse_arguments
from pulse.orders import Audit, add_audits, read_customers, read_range
from pulse.planning import Reading, plan_reading
from pulse.ranges import add_sums, map_ranges
from pulse.reconcile import reconcile, status_sums, total_sums
from pulse.repurchase import gap_sums, repurchase
from pulse.scratch import scratch_folder
from pulse.segments import (
    MOVES,
    count_moves,
    move_table,
    require_cut_points,
    require_segments,
    score_bands,
    segment_table,
)

# --- the rules ---

SEGMENTS = {  # recency score, 5 for the latest -> the segments of frequency scores 1 to 5
    5: ("New Customers", "Potential Loyalists", "Potential Loyalists", "Champions", "Champions"),
    4: ("Promising", "Potential Loyalists", "Potential Loyalists", "Loyal Customers", "Loyal Customers"),
    3: ("About to Sleep", "About to Sleep", "Need Attention", "Loyal Customers", "Loyal Customers"),
    2: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
    1: ("Hibernating", "Hibernating", "At Risk", "At Risk", "Can't Lose Them"),
}
IF_NOT_NEW = {  # in their place, for customers whose first order lies further back than scores 5 and 4 reach
    "New Customers": "Potential Loyalists",
    "Promising": "Potential Loyalists",
}
BEST_FIRST = {  # segment -> who they are, what to do
    "Champions": ("Ordered lately and most often", "Thank them: early access, a request to recommend"),
    "Loyal Customers": ("Order often, and not long ago", "Offer more of what they buy; ask for reviews"),
    "Potential Loyalists": ("Ordered lately, and more than once", "Offer membership; show other categories"),
    "New Customers": ("Made their first order just now", "Welcome them, and help with the first order"),
    "Promising": ("Made their first order not long ago", "Give a reason for a second order"),
    "Need Attention": ("Some orders, the last one a while ago", "Remind them with what they bought before"),
    "About to Sleep": ("Few orders, the last one a while ago", "Show what is new before they forget the shop"),
    "At Risk": ("Ordered several times, the last one long ago", "Ask why, and win them back with an offer"),
    "Can't Lose Them": ("Ordered most often, the last one long ago", "Call or write in person before others do"),
    "Hibernating": ("Few orders, long ago", "Spend little: a seasonal greeting"),
}
SCORES = {"r_score": "recency_days", "f_score": "frequency", "m_score": "monetary"}
# the values (days, orders, money) at which the second to the fifth band of a metric begin; a metric that is not
# named has quintiles. With {"recency_days": (31, 61, 91, 181), "frequency": (2, 3, 5, 10)}, up to 30 days are a
# recency score of 5, and 10 orders or more a frequency score of 5
CUT_POINTS: dict[str, tuple[float, ...]] = {}

Sums = dict[str, pd.DataFrame]  # {table: what orders add to it}
Tables = dict[str, pd.DataFrame]  # {name of a CSV file: what it will hold}


class Shop(NamedTuple):
    """What is read from MongoDB."""

    customers: pd.DataFrame  # as in read_customers
    as_of: pd.Timestamp
    places: int  # decimals of an amount
    sums: Sums  # see order_sums, but for the customers' months
    months: Path  # the folder of these
    audit: Audit
    rejects: dict[str, int]  # {remark: rows that an import left out or noted}


def main() -> None:
    args, settings = parse_arguments(analysis_parser(__doc__)), read_settings()
    require_segments(SEGMENTS, IF_NOT_NEW, BEST_FIRST)
    require_cut_points(CUT_POINTS, SCORES.values())
    require_writable(settings.data_path)
    preload("matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.stats", "duckdb", "pyarrow.parquet")
    with scratch_folder(settings.data_path, ROOM) as scratch:
        read = partial(
            read_shop, settings=settings, scratch=scratch, as_of=args.as_of, keep_odd_dates=args.keep_odd_dates
        )
        with database(settings) as db:
            shop = consistent_read(db, settings, partial(read, db))
        audit, frequency = shop.audit, shop.sums["customers"]["frequency"]
        doubt_customers(frequency.sum(), frequency.max(), "customer_id")
        tables = analyse(shop)
        sums = shop.sums | {"customer_months": merge_parts(shop.months, scratch / FILE)}
        tables["data_quality"] = reconcile(tables, sums, audit.excluded, shop.rejects, shop.places)
        report_alerts(tables["alerts"])
        row = manifest_row(Path(__file__).name, shop.as_of, audit.orders, audit.fingerprint, args.keep_odd_dates)
        save(
            settings.data_path,
            tables,
            draw_analysis(tables, SEGMENTS, BEST_FIRST),
            row | audit.source,
            [scratch / FILE],
        )
    write_dashboard(settings.data_path)
    say("Next", command("3_churn_model.py"))
    if args.fail_on_alert and any_alert(tables["alerts"]):
        sys.exit(ON_ALERT)


def analyse(shop: Shop) -> Tables:
    """Every table but data_quality and the customers' months."""
    sums, as_of, places = shop.sums, shop.as_of, shop.places
    returns = repurchase(sums["gaps"])  # before the tables of all customers, as both need memory
    rfm = rfm_analysis(sums["customers"], as_of)
    months = monthly_kpis(sums["months"], as_of, places)
    rfm["previous_segment"] = rfm_analysis(sums["customers_before"], month_before(as_of))["segment"]
    tables = {
        "customers": known_customers(shop.customers, sums["customers"], as_of),
        "rfm_analysis": rfm.reset_index(),
        "rfm_score_bands": score_bands(rfm, SCORES),
        "segments": segment_table(BEST_FIRST),
        "segment_moves": segment_moves(shop.months, sums["months"].index[0], as_of, places),
        "cohort_retention": cohort_retention(sums["cohorts"], as_of, places),
        "cohort_breakdown": cohort_retention(fold_sums(sums["breakdown"]), as_of, places),
        "monthly_kpis": months,
        "repurchase": returns,
        "alerts": alerts(months, places),
        "guest_months": guest_months(sums["guests"], places),
        "revenue_drivers": revenue_drivers(sums["drivers"], places),
    }
    size = {name: f"{len(table):,}" for name, table in tables.items()}
    say("Computed", f"{size['rfm_analysis']} customers' RFM, {size['cohort_retention']} cohort cells, "
        f"{size['monthly_kpis']} months, {size['revenue_drivers']} driver rows")  # fmt: skip
    return tables


# --- reading ---


def read_shop(
    db: Database,
    settings: Settings,
    scratch: Path,
    as_of: pd.Timestamp | None = None,
    keep_odd_dates: bool = False,
) -> Shop:
    """The customers, and what their orders add to each table, a range of customers at a time; what would exceed
    memory goes to a new folder in `scratch`."""
    reading, months = plan_reading(db, settings, as_of, keep_odd_dates, items=True), Path(mkdtemp(dir=scratch))
    customers = with_known_texts(read_customers(db, settings, reading))
    homes = customers.set_index("customer_id")[["country", "acquisition_channel"]].astype("category")
    task = partial(range_sums, reading=reading, homes=homes)
    parts, audits = [], []
    for number, (sums, audit) in enumerate(map_ranges(task, db, settings, reading.ranges)):
        write_part(months, number, sums.pop("customer_months"))
        parts.append(sums)
        audits.append(audit)
    total = add_audits(audits, reading, settings)
    record = load_record(db, active_collection(db, settings.orders_collection).name) or {}
    sums, places = add_sums(parts, settings), decimals(reading.currency)
    return Shop(customers, reading.as_of, places, sums, months, total, record.get("left_out", {}))


def range_sums(db: Database, where: dict, reading: Reading, homes: pd.DataFrame) -> tuple[Sums, Audit]:
    """What the orders of one range of customers add to each table; `homes` has their country and
    acquisition_channel by customer_id."""
    orders, audit = read_range(db, reading, where)
    return order_sums(orders, reading.as_of, homes, decimals(reading.currency)), audit


def order_sums(orders: pd.DataFrame, as_of: pd.Timestamp, homes: pd.DataFrame, places: int = 2) -> Sums:
    """What these orders add to each table, from the columns of read_range; an amount has so many places."""
    orders = add_months(orders)
    lines = revenue_by_line(orders, places)
    drivers, first = driver_sums(orders, lines, homes["country"]), first_purchases(orders, lines)
    del lines
    orders = orders.drop(columns="items")  # most of the memory
    customers = customer_sums(orders, places).join(first)
    rows = month_rows(orders, places)
    return {
        "customers": customers,
        "customers_before": customer_sums(orders[orders["order_date"] < month_before(as_of)], places),
        "customer_months": rows,
        "early_refunds": early_refunds(rows),
        "cohorts": cohort_sums(orders),
        "breakdown": breakdown_sums(rows, customers.join(homes)),
        "gaps": gap_sums(orders, customers["first_category"], as_of),
        "months": month_sums(orders),
        "guests": guest_sums(orders, places),
        "drivers": drivers,
        "statuses": status_sums(orders),
        "totals": total_sums(orders),
    }


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
    rfm = add_segments(customers[customers["frequency"] > 0], as_of)
    rfm["m_score"] = 1 + band(rfm["monetary"])
    rfm["rfm_score"] = rfm["r_score"] * 100 + rfm["f_score"] * 10 + rfm["m_score"]
    scores = ["recency_days", "frequency", "monetary", *SCORES, "rfm_score", "segment"]
    return rfm[["first_order_date", "last_order_date", *scores]].astype({"segment": "str"})


def add_segments(customers: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The customers with recency_days, r_score, f_score and segment (a category), from first_order_date,
    last_order_date and frequency."""
    recency, age = (
        (as_of.normalize() - customers[name].dt.normalize()).dt.days
        for name in ("last_order_date", "first_order_date")
    )
    r_score = 5 - band(recency.rename("recency_days"))  # the smaller, the better
    f_score = 1 + band(customers["frequency"])
    names = list(BEST_FIRST)
    grid = np.array([[names.index(name) for name in SEGMENTS[score]] for score in range(1, 6)])
    codes = grid[r_score - 1, f_score - 1]
    not_new = np.array([names.index(IF_NOT_NEW.get(name, name)) for name in names])
    third_band = CUT_POINTS["recency_days"][1] if "recency_days" in CUT_POINTS else recency[r_score >= 4].max() + 1
    codes = np.where(age >= third_band, not_new[codes], codes)
    segment = pd.Categorical.from_codes(codes, names)
    return customers.assign(recency_days=recency, r_score=r_score, f_score=f_score, segment=segment)


def band(values: pd.Series) -> pd.Series:
    """The band, 0 (lowest) to 4, that each value of a metric falls into: by its CUT_POINTS, else the quintile."""
    if values.name not in CUT_POINTS:
        return quintile(values)
    return pd.Series(np.searchsorted(CUT_POINTS[values.name], values, side="right"), values.index)


def quintile(values: pd.Series) -> pd.Series:
    """The fifth of the values, 0 (lowest) to 4, that each falls into; equal values into the same.

    What counts is the share of smaller values: where many are equal, all are in the lowest fifth that
    one of them reaches, and the fifths above it may stay empty.
    """
    smaller = values.rank(method="min").astype(int) - 1
    return smaller * 5 // len(values)


def segment_moves(months: Path, first: int, as_of: pd.Timestamp, places: int = 2) -> pd.DataFrame:
    """Who moved from which segment to which in each of the last MOVES complete months, from the parts of the
    customers' months and the shop's first month: the columns of segment_moves.csv."""
    last = last_complete_month(as_of)
    before, moves = None, {}
    for end in month_ends(months, range(max(first - 1, last - MOVES), last + 1)):
        known = end.customers[end.customers["frequency"] > 0]
        now = add_segments(known, pd.Timestamp(first_day([end.month + 1])[0]))["segment"]
        if before is not None:
            moves[end.month] = count_moves(end, before, now)
        before = now
    return move_table(moves, places)


# --- months ---


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


if __name__ == "__main__":
    run(main)
