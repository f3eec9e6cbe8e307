"""Step 2: read the orders from MongoDB; write RFM segments, cohorts, KPIs and figures to data/.

    python 2_data_analysis.py                       as of the midnight after the last order
    python 2_data_analysis.py --as-of 2025-07-01    as it looked then, from the orders before that day

docs/KPI_Dictionary.md defines every column. Nothing is saved unless all totals reconcile.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from pymongo.database import Database

from common import (
    BLUE,
    GREY,
    ORDERS,
    as_of_parser,
    current,
    database,
    load_record,
    meanwhile_import,
    new_figure,
    of_all,
    parse,
    read_customers,
    read_orders,
    require_data_dir,
    run_of,
    save,
    say,
    steadily,
    stop,
)

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
COUNTED = (  # of the totals, those that data_quality.csv shows
    *("amount below 0: a refund", "orders and refunds of guests"),
    "refunds to customers without a completed order",
)


def main() -> None:
    as_of = parse(as_of_parser(__doc__.splitlines()[0])).as_of
    require_data_dir()
    meanwhile_import("seaborn")
    with database() as db:
        customers, (parts, left_out, as_of, seen), record = steadily(db, lambda: read_shop(db, as_of))

    sums = add_up(parts)
    rfm = rfm_analysis(sums["customers"], as_of)
    rfm["previous_segment"] = rfm_analysis(sums["customers_before"], a_month_before(as_of))["segment"]
    tables = {
        "customers": known_customers(customers, sums["customers"].index, as_of),
        "rfm_analysis": rfm.reset_index(),
        "rfm_score_bands": score_bands(rfm),
        "cohort_retention": cohort_retention(sums["cells"], as_of),
        "monthly_kpis": monthly_kpis(sums["months"], as_of),
        "revenue_drivers": revenue_drivers(sums["drivers"]),
    }
    size = {name: f"{len(table):,}" for name, table in tables.items()}
    say("Computed", f"{size['rfm_analysis']} customers' RFM, {size['cohort_retention']} cohort cells, "
        f"{size['monthly_kpis']} months, {size['revenue_drivers']} driver rows")  # fmt: skip

    tables["data_quality"] = data_quality(sums, left_out, (record or {}).get("left_out", {}), tables)
    statuses, (n, net) = sums["statuses"], sums["totals"].loc["net revenue", ["rows", "amount"]]
    names = ", ".join(statuses.index[statuses["completed"] > 0])
    say("Checked", f"{n:,.0f} orders are completed (status {names}), net revenue {net:,.2f}: all tables agree")
    save(tables, draw_figures(tables), run_of(Path(__file__).name, as_of, seen))
    say("Next", "python 3_churn_model.py")


# --- preparing ---


def read_shop(db: Database, as_of: pd.Timestamp | None) -> tuple[pd.DataFrame, tuple, dict | None]:
    """The customers, what read_orders makes of summarise, and step 1's note of the load."""
    customers = read_customers(db)
    home = customers.set_index("customer_id")["country"].astype("category")
    parts = read_orders(db, as_of, summarise, home, items=True)
    return customers, parts, load_record(db, current(db, ORDERS))


def summarise(orders: pd.DataFrame, as_of: pd.Timestamp, home: pd.Series) -> dict[str, pd.DataFrame]:
    """What some customers' orders, all of theirs, add to each table; `home` has each customer's country.

    All are sums, so that add_up can put the ranges of customers together.
    """
    orders = prepare(orders)
    return {
        "customers": customer_sums(orders),
        "customers_before": customer_sums(orders[orders["order_date"] < a_month_before(as_of)]),
        "cells": cell_sums(orders),
        "months": month_sums(orders),
        "drivers": driver_sums(orders, home),
        "statuses": status_sums(orders),
        "totals": total_sums(orders),
    }


def add_up(parts: list[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """The tables of all ranges of customers as one of each, sorted."""
    sums = {name: [part[name] for part in parts] for name in parts[0]}
    return {
        name: of_all(tables) if tables[0].index.name == "customer_id" else sum_by_index(tables)
        for name, tables in sums.items()
    }


def sum_by_index(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The sum of the tables, row by row."""
    return pd.concat(tables).groupby(level=list(range(tables[0].index.nlevels))).sum()


def known_customers(customers: pd.DataFrame, ids: pd.Index, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per customer who had signed up or ordered (ids) before as_of: the columns of customers.csv."""
    everyone = customers.merge(pd.DataFrame({"customer_id": ids}), how="outer", indicator="came_from")
    known = (everyone["came_from"] != "left_only") | ~(everyone["signup_date"] >= as_of)
    return everyone[known].drop(columns="came_from").sort_values("customer_id", ignore_index=True)


def prepare(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with what is summed: gross (revenue), refunds (<= 0), net = gross + refunds, month and
    cohort (the customer's first month with a completed order, missing for who has none) as numbers,
    since (months from one to the other), visit (the customer's first completed order of a month)."""
    done = orders["completed"]
    orders = orders.assign(
        month=month_number(orders["order_date"]),
        gross=orders["amount"].where(done, 0.0),
        refunds=orders["amount"].clip(upper=0),
    )
    orders["net"] = orders["gross"] + orders["refunds"]
    bought = orders.loc[done & orders["customer_id"].notna(), ["customer_id", "month"]]
    orders["visit"] = (~bought.duplicated()).reindex(orders.index, fill_value=False)
    first = orders["month"].where(orders["visit"]).groupby(orders["customer_id"], observed=True)
    orders["cohort"] = first.transform("min")
    orders["since"] = (orders["month"] - orders["cohort"]).clip(lower=0)
    return orders


def a_month_before(as_of: pd.Timestamp) -> pd.Timestamp:
    """The day that previous_segment is of."""
    return as_of - pd.DateOffset(months=1)


def month_number(dates: pd.Series) -> np.ndarray:
    """Calendar months counted from January 1970, so that they subtract."""
    return dates.to_numpy("datetime64[M]").astype(int)


def first_day(months: np.ndarray) -> np.ndarray:
    """The first days (datetime64[s]) of numbered months."""
    return np.asarray(months).astype("datetime64[M]").astype("datetime64[s]")


def last_month(as_of: pd.Timestamp) -> int:
    """The number of the month that as_of ends or cuts."""
    return int(month_number(pd.Series([as_of - pd.Timedelta(1, "s")]))[0])


def is_cut(months: np.ndarray, as_of: pd.Timestamp) -> np.ndarray:
    """Whether as_of falls inside the month, so that some of it is yet to come."""
    return first_day(np.asarray(months) + 1) > as_of.to_datetime64()


# --- RFM ---


def customer_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """first_order_date, last_order_date and frequency of completed orders, and monetary: by customer_id."""
    dates = orders["order_date"].where(orders["completed"])
    sums = (
        orders.assign(date=dates)
        .groupby("customer_id", observed=True)
        .agg(
            first_order_date=("date", "min"),
            last_order_date=("date", "max"),
            frequency=("completed", "sum"),
            monetary=("net", "sum"),
        )
    )
    return sums.set_axis(sums.index.astype("str")).round({"monetary": 2})


def rfm_analysis(customers: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency, monetary, their scores and the segment, from customer_sums of the orders before as_of.

    One row per customer with a completed order, indexed by customer_id: the columns of rfm_analysis.csv
    up to segment.
    """
    rfm = customers[customers["frequency"] > 0].copy()
    rfm.insert(2, "recency_days", (as_of.normalize() - rfm["last_order_date"].dt.normalize()).dt.days)
    fifths = {metric: fifth_of(rfm[metric]) for metric in SCORES.values()}
    rfm["r_score"] = 5 - fifths["recency_days"]  # the smaller, the better
    rfm["f_score"] = 1 + fifths["frequency"]
    rfm["m_score"] = 1 + fifths["monetary"]
    rfm["rfm_score"] = rfm["r_score"] * 100 + rfm["f_score"] * 10 + rfm["m_score"]
    grid = np.array([SEGMENTS[score] for score in range(1, 6)], dtype=object)
    rfm["segment"] = grid[rfm["r_score"] - 1, rfm["f_score"] - 1]
    return rfm


def fifth_of(values: pd.Series) -> pd.Series:
    """The fifth of the values, 0 (lowest) to 4, that each falls into; equal values into the same.

    What counts is the share of smaller values: where many are equal, all are in the lowest fifth that
    one of them reaches, and the fifths above it may stay empty.
    """
    smaller = values.rank(method="min").astype(int) - 1
    return smaller * 5 // len(values)


def score_bands(rfm: pd.DataFrame) -> pd.DataFrame:
    """What each score stands for: metric, score, minimum, maximum (blank where unused), customers."""
    bands = [
        rfm.groupby(score)[metric]
        .agg(minimum="min", maximum="max", customers="size")
        .reindex(range(1, 6))
        .rename_axis("score")
        .reset_index()
        .assign(metric=metric)
        for score, metric in SCORES.items()
    ]
    columns = ["metric", "score", "minimum", "maximum", "customers"]
    return pd.concat(bands)[columns].fillna({"customers": 0}).astype({"customers": int})


# --- cohorts, months, drivers ---


def cell_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """orders, active (customers) and net (revenue) by cohort and month since, of who belongs to a cohort."""
    cells = orders.dropna(subset="cohort").groupby(["cohort", "since"])
    return cells.agg(orders=("completed", "sum"), active=("visit", "sum"), net=("net", "sum"))


def cohort_retention(cells: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per cohort and month since, from cell_sums: the columns of cohort_retention.csv.

    Every month that has begun has a row, with 0 where nobody came; a month to come has none. A
    refund dated before the customer's first completed order counts in month 0.
    """
    triangle = [
        (int(cohort), since, size)
        for cohort, size in cells["active"].xs(0, level="since").items()
        for since in range(last_month(as_of) - int(cohort) + 1)
    ]
    key = ["cohort", "since"]
    table = pd.DataFrame(triangle, columns=[*key, "size"]).join(cells.round(2), on=key).fillna(0)
    month = table["cohort"] + table["since"]
    revenue = table.groupby("cohort")["net"].cumsum()
    return pd.DataFrame(
        {
            "cohort_month": first_day(table["cohort"]),
            "months_since_first": table["since"],
            "activity_month": first_day(month),
            "cohort_size": table["size"],
            "active_customers": table["active"].astype(int),
            "retention_rate": (table["active"] / table["size"]).round(6),
            "orders": table["orders"].astype(int),
            "net_revenue": table["net"],
            "cumulative_revenue_per_customer": (revenue / table["size"]).round(2),
            "cell_state": np.where(is_cut(month, as_of), "in_progress", "complete"),
        }
    )


def month_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """The sums of monthly_kpis.csv by month (a number)."""
    guest = orders["customer_id"].isna()
    parts = {
        "gross_revenue": orders["gross"],
        "refunds": orders["refunds"],
        "net_revenue": orders["net"],
        "orders": orders["completed"],
        "active_customers": orders["visit"],
        "new_customers": orders["visit"] & (orders["since"] == 0),
        "guest_orders": orders["completed"] & guest,
        "guest_revenue": orders["net"].where(guest, 0.0),
    }
    return pd.DataFrame(parts).groupby(orders["month"]).sum()


def monthly_kpis(sums: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per month from the first order's to as_of's, none left out: the columns of monthly_kpis.csv."""
    table = sums.reindex(range(sums.index[0], last_month(as_of) + 1), fill_value=0).round(2)
    of_customers = table["net_revenue"] - table["guest_revenue"]
    table.insert(6, "returning_customers", table["active_customers"] - table["new_customers"])
    table["average_order_value"] = (table["gross_revenue"] / table["orders"]).round(2)
    table["revenue_per_customer"] = (of_customers / table["active_customers"]).round(2)
    table["is_complete"] = ~is_cut(table.index, as_of)
    table.insert(0, "month", first_day(table.index))
    return table.replace([np.inf, -np.inf], np.nan)


def driver_sums(orders: pd.DataFrame, home: pd.Series) -> pd.DataFrame:
    """orders, units and revenue by month, country, channel and category, of the completed orders.

    What was paid for an order is spread over its items by their value, so that revenue adds up to
    gross revenue to the cent; an order counts once in every category that it holds.
    """
    done = orders["completed"]
    lines = orders["items"].list.flatten().struct.explode().rename_axis("order").reset_index()
    lines["value"] = lines["quantity"] * lines["unit_price"]
    bare = pd.DataFrame({"order": orders.index.difference(lines["order"]), "value": 1.0, "quantity": 0.0})
    lines = pd.concat([lines.astype({"value": float, "quantity": float}), bare], ignore_index=True)
    lines = lines[done.to_numpy()[lines["order"]]]
    of = orders.loc[lines["order"]].set_axis(lines.index)

    value = lines["value"].fillna(0)
    value = value.where(value.groupby(lines["order"]).transform("sum") != 0, 1)  # all free: equal parts
    by_order = value.groupby(lines["order"])
    so_far = (by_order.cumsum() / by_order.transform("sum") * of["gross"]).round(2)
    revenue = so_far - so_far.groupby(lines["order"]).shift(fill_value=0)

    home = home.reindex(of["customer_id"].cat.categories)
    table = pd.DataFrame(
        {
            "month": of["month"],
            "country": of["country"],
            "home": home.array.take(of["customer_id"].cat.codes, allow_fill=True),
            "channel": of["channel"],
            "category": lines["category"].astype("category"),
            "orders": ~lines[["order", "category"]].duplicated(),
            "units": lines["quantity"],
            "revenue": revenue,
        }
    )
    table = table.groupby(["month", "country", "home", "channel", "category"], observed=True, dropna=False).sum()
    table = table.reset_index()
    key = ["month", "country", "channel", "category"]
    names = table[["country", "home", *key[2:]]].astype(object).replace("", None)
    table[key[1:]] = names.assign(country=names["country"].fillna(names["home"]))[key[1:]].fillna("Unknown")
    return table.groupby(key)[["orders", "units", "revenue"]].sum()


def revenue_drivers(sums: pd.DataFrame) -> pd.DataFrame:
    """One row per month, country, channel and category with a completed order: revenue_drivers.csv."""
    return sums.round(2).astype({"units": int}).rename(first_day, level="month").reset_index()


# --- checking ---


def status_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """rows and amount of the orders, refunds aside, and how many are completed, by status."""
    paid = orders["amount"] >= 0
    parts = {"rows": paid, "amount": orders["amount"].where(paid, 0.0), "completed": orders["completed"]}
    return pd.DataFrame(parts).groupby(orders["status"].astype("str")).sum()


def total_sums(orders: pd.DataFrame) -> pd.DataFrame:
    """rows and amount by what was counted: what the tables have to agree with."""
    done, guest, back = orders["completed"], orders["customer_id"].isna(), orders["refunds"] < 0
    buyers = orders.loc[done, "customer_id"].dropna().unique()
    of_buyers = orders["customer_id"].isin(buyers)
    rows = {
        "amount below 0: a refund": (back.sum(), orders.loc[back, "amount"].sum()),
        "orders and refunds of guests": (guest.sum(), orders.loc[guest, "amount"].sum()),
        "refunds to customers without a completed order": (
            (back & ~guest & ~of_buyers).sum(),
            orders.loc[back & ~guest & ~of_buyers, "amount"].sum(),
        ),
        "net revenue": (done.sum(), orders["net"].sum()),
        "gross revenue": (done.sum(), orders["gross"].sum()),
        "net revenue of buyers": ((done & ~guest).sum(), orders.loc[of_buyers, "net"].sum()),
        "buyers": (len(buyers), 0.0),
    }
    return pd.DataFrame.from_dict(rows, "index", columns=["rows", "amount"])


def data_quality(
    sums: dict[str, pd.DataFrame],
    left_out: pd.DataFrame,
    import_notes: dict[str, int],
    tables: dict[str, pd.DataFrame],
) -> pd.DataFrame:
    """One row per check, of what was left out, counted and reconciled: check, rows, amount, status.

    Stops the run where a table disagrees with the orders read: in their number, or by a cent.
    """
    months, cohorts, rfm, drivers = (
        tables[name] for name in ("monthly_kpis", "cohort_retention", "rfm_analysis", "revenue_drivers")
    )
    totals = {name: (int(n), amount) for name, n, amount in sums["totals"].itertuples()}
    rows = [(f"import: {reason}", count, np.nan, "noted") for reason, count in import_notes.items()]
    rows += [(check, n, amount, "left out") for check, n, amount in left_out.itertuples(index=False)]
    for status, n, amount, _ in sums["statuses"].itertuples():
        rows.append((f"status {status}, amount 0 or more", n, amount, "counted"))
    rows += [(check, *totals[check], "counted") for check in COUNTED]

    first = cohorts["months_since_first"] == 0
    for check, found, amount, expected in (
        ("orders in monthly_kpis", months["orders"].sum(), months["net_revenue"].sum(), "net revenue"),
        (
            "orders in cohort_retention",
            cohorts["orders"].sum(),
            cohorts["net_revenue"].sum(),
            "net revenue of buyers",
        ),
        ("orders in rfm_analysis", rfm["frequency"].sum(), rfm["monetary"].sum(), "net revenue of buyers"),
        (
            "gross revenue in revenue_drivers",
            totals["gross revenue"][0],
            drivers["revenue"].sum(),
            "gross revenue",
        ),
        ("customers in monthly_kpis", months["new_customers"].sum(), 0, "buyers"),
        ("customers in cohort_retention", cohorts.loc[first, "cohort_size"].sum(), 0, "buyers"),
    ):
        n, expected_amount = totals[expected]
        if found != n or abs(amount - expected_amount) >= 0.005:
            stop(
                f"The {check} are {found:,} with {amount:,.2f}, and {n:,} with {expected_amount:,.2f} were read: "
                "nothing was saved; this is a defect of the script, so do not use its figures."
            )
        rows.append((check, found, amount, "reconciled"))
    return pd.DataFrame(rows, columns=["check", "rows", "amount", "status"]).round(2)


# --- figures ---


def draw_figures(tables: dict[str, pd.DataFrame]) -> dict:
    """Every figure by its name; each has a title that says what is seen."""
    return {
        "revenue_by_month": draw_revenue(tables["monthly_kpis"]),
        "segments": draw_segments(tables["rfm_analysis"]),
        "rfm_grid": draw_rfm_grid(tables["rfm_analysis"]),
        "cohort_retention": draw_cohorts(tables["cohort_retention"]),
        "revenue_drivers": draw_drivers(tables["revenue_drivers"]),
    }


def short(amount: float, _=None) -> str:
    """An amount as people say it: 4.5M, 812k, 37."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{amount / size:.3g}{letter}"
    return f"{amount:.3g}"


def draw_revenue(months: pd.DataFrame):
    """Net revenue by month; the title compares the last twelve complete months with those before."""
    from matplotlib.dates import ConciseDateFormatter

    complete, cut = months[months["is_complete"]], months[~months["is_complete"]]
    now, before = (complete["net_revenue"][span].sum() for span in (slice(-12, None), slice(-24, -12)))
    title = f"Net revenue of {short(months['net_revenue'].sum())} since {months['month'].iloc[0]:%B %Y}"
    if len(complete) > 24 and before > 0:  # the first month may have begun in its middle
        verb = "grew" if now >= before else "fell"
        title = f"Net revenue {verb} by {abs(now / before - 1):.0%} in twelve months, to {short(now)}"
    figure, axes = new_figure(title)
    axes.bar(complete["month"], complete["net_revenue"], width=24, color=BLUE)
    if len(cut):
        axes.bar(cut["month"], cut["net_revenue"], width=24, color=GREY, label="month in progress")
        figure.legend(loc="outside lower left", frameon=False)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.yaxis.set_major_formatter(short)
    axes.set(xlabel="", ylabel="Net revenue by month")
    return figure


def draw_segments(rfm: pd.DataFrame):
    """Each segment's customers and net revenue, and their shares."""
    sums = rfm.groupby("segment").agg(customers=("segment", "size"), revenue=("monetary", "sum"))
    sums = sums.reindex(list(BEST_FIRST), fill_value=0)
    share = sums / sums.sum().where(sums.sum() > 0)
    top = share.loc[sums["revenue"].idxmax()]
    title = f"{top.name} are {top['customers']:.0%} of customers and bring {top['revenue']:.0%} of revenue"
    figure, panels = new_figure(title, ncols=2, sharey=True)
    for axes, column, colour in zip(panels, sums, (GREY, BLUE), strict=True):
        bars = axes.barh(sums.index, sums[column], color=colour)
        axes.bar_label(bars, ["<1%" if 0 < part < 0.005 else f"{part:.0%}" for part in share[column]], padding=4)
        axes.set(title=f"Share of {column}", xticks=[])
        axes.spines["bottom"].set_visible(False)
    panels[0].invert_yaxis()
    return figure


def draw_rfm_grid(rfm: pd.DataFrame):
    """How many customers have each pair of recency and frequency scores, and what the pair is called."""
    import seaborn as sns

    counts = rfm.groupby(["r_score", "f_score"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=list(SEGMENTS), columns=range(1, 6), fill_value=0)
    names = np.array(list(SEGMENTS.values()))
    text = np.char.add(np.char.replace(names, " ", "\n"), np.char.mod("\n%d", counts.to_numpy()))
    largest = rfm["segment"].value_counts()
    title = f"The largest segment, {largest.index[0]}, holds {largest.iloc[0]:,} of {len(rfm):,} customers"
    figure, axes = new_figure(title, (10, 7.2))
    bar = {"label": "Customers"}
    sns.heatmap(counts, annot=text, fmt="", cmap="Blues", linewidths=1, ax=axes, cbar_kws=bar)
    axes.set(xlabel="Frequency score (5: most orders)", ylabel="Recency score (5: latest)")
    axes.tick_params("y", rotation=0)
    return figure


def draw_cohorts(cohorts: pd.DataFrame):
    """The retention triangle from month 1 on, months in progress left out."""
    import seaborn as sns

    cells = cohorts[(cohorts["months_since_first"] > 0) & (cohorts["cell_state"] == "complete")]
    sums = cells.groupby("months_since_first")[["active_customers", "cohort_size"]].sum()
    rate = sums["active_customers"] / sums["cohort_size"]
    said = [f"{rate[n]:.0%} {after} later" for n, after in ((1, "a month"), (12, "a year")) if n in rate]
    title = f"Active again after their first order: {', '.join(said) or 'no month has passed yet'}"
    figure, axes = new_figure(title, (10, 7.2))
    if said:
        grid = cells.pivot(index="cohort_month", columns="months_since_first", values="retention_rate")
        grid.index = grid.index.strftime("%b %Y")
        bar = {"label": "Share of the cohort that ordered", "format": "{x:.0%}"}
        few, most = max(grid.shape) <= 18, max(cells["retention_rate"].max(), 0.01)
        sns.heatmap(
            grid,
            cmap="Blues",
            vmin=0,
            vmax=most,
            annot=few,
            fmt=".0%",
            annot_kws={"size": 9},
            ax=axes,
            cbar_kws=bar,
        )
    axes.set(xlabel="Months since the first order", ylabel="Month of the first order", facecolor="#F4F1EA")
    axes.tick_params("y", rotation=0)
    return figure


def draw_drivers(drivers: pd.DataFrame):
    """Gross revenue of the last twelve months with orders, by category, channel and country."""
    months = np.sort(drivers["month"].unique())[-12:]
    recent = drivers[drivers["month"].isin(months)]
    sums = {
        name: recent.groupby(name)["revenue"].sum().sort_values(ascending=False)
        for name in ("category", "channel", "country")
    }
    known = {name: of for name, of in sums.items() if of.sum() > 0 and list(of.index) != ["Unknown"]}
    first = [f"{of.index[0]} {of.iloc[0] / of.sum():.0%}" for of in known.values()]
    title = f"Where revenue comes from: {', '.join(first) or 'the orders do not say'}"
    figure, panels = new_figure(title, (12, 5.6), ncols=3)
    for axes, (name, of) in zip(panels, sums.items(), strict=True):
        axes.barh(of.index[:9], of[:9], color=BLUE)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(short)
        axes.set(title=f"By {name}" + (f", the first 9 of {len(of)}" if len(of) > 9 else ""))
    span = " to ".join(pd.Timestamp(month).strftime("%B %Y") for month in (months[0], months[-1]))
    figure.supxlabel(f"Gross revenue, {span}", size=13)
    return figure


if __name__ == "__main__":
    main()
