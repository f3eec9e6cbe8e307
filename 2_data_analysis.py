"""Step 2: read the orders from MongoDB; write RFM segments, cohorts, KPIs and figures to data/.

    python 2_data_analysis.py                       as of the midnight after the last order
    python 2_data_analysis.py --as-of 2025-07-01    as it looked then, from the orders before that day

docs/KPI_Dictionary.md defines every column. Nothing is saved unless all totals reconcile.
"""

from argparse import ArgumentParser

import numpy as np
import pandas as pd
import pyarrow as pa
import seaborn as sns
from matplotlib.dates import ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, PercentFormatter
from pymongo.database import Database

from common import (
    BLUE,
    CANCELLED,
    DATA_DIR,
    GREY,
    REFUNDED,
    convert,
    database,
    iso_date,
    local_time,
    new_figure,
    parse,
    read,
    read_orders,
    require_data_dir,
    save_figure,
    say,
    shown,
    stop,
    write_csv,
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
QUINTILES = (0.2, 0.4, 0.6, 0.8)
SCORES = {"r_score": "recency_days", "f_score": "frequency", "m_score": "monetary"}


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--as-of", type=iso_date, help="see only the orders before this day (YYYY-MM-DD)")
    args = parse(parser)
    require_data_dir()

    with database() as db:
        orders, left_out, as_of = read_orders(db, args.as_of, items=True)
        customers = read_customers(db, orders)
    say("Read", f"{len(orders):,} orders before {as_of:%Y-%m-%d}, {left_out['rows'].sum():,} left out")

    orders = add_revenue(orders)
    rfm = rfm_analysis(orders, as_of)
    rfm["previous_segment"] = rfm_analysis(orders, as_of - pd.DateOffset(months=1))["segment"]
    tables = {
        "customers": customers,
        "rfm_analysis": rfm.reset_index(),
        "rfm_score_bands": score_bands(rfm),
        "cohort_retention": cohort_retention(orders, as_of),
        "monthly_kpis": monthly_kpis(orders, as_of),
        "revenue_drivers": revenue_drivers(orders, customers),
    }
    cells, months, drivers = (
        len(tables[name]) for name in ("cohort_retention", "monthly_kpis", "revenue_drivers")
    )
    say(
        "Computed",
        f"{len(rfm):,} customers, {cells:,} cohort cells, {months:,} months, {drivers:,} driver rows",
    )

    tables["data_quality"] = data_quality(orders, left_out, tables)
    n, net = orders["completed"].sum(), orders["net"].sum()
    say("Checked", f"{n:,} completed orders, net revenue {net:,.2f}: all tables agree")

    for name, table in tables.items():
        write_csv(table, f"{name}.csv")
    figures = draw_figures(tables)
    say("Saved", f"{len(tables)} CSV files and {len(figures)} figures in {shown(DATA_DIR)}")
    say("Next", "python 3_churn_model.py")


# --- loading ---


def read_customers(db: Database, orders: pd.DataFrame) -> pd.DataFrame:
    """One row per customer, also for one known by orders alone: the columns of customers.csv."""
    text = ("country", "city", "acquisition_channel")
    columns = {
        "customer_id": (convert("$_id", "string"), pa.string()),
        "signup_date": (convert("$signup_date", "date"), pa.timestamp("ms")),
    } | {name: (convert(f"${name}", "string"), pa.string()) for name in text}
    customers = read(db.customers, columns)
    customers["signup_date"] = local_time(customers["signup_date"]).dt.normalize()
    everyone = pd.DataFrame({"customer_id": orders["customer_id"].unique()})
    return customers.merge(everyone, how="outer").sort_values("customer_id", ignore_index=True)


def add_revenue(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with month (a number), gross (revenue), refunds (<= 0) and net = gross + refunds."""
    return orders.assign(
        month=month_number(orders["order_date"]),
        gross=orders["amount"].where(orders["completed"], 0.0),
        refunds=orders["amount"].clip(upper=0),
    ).assign(net=lambda frame: frame["gross"] + frame["refunds"])


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


def rfm_analysis(orders: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Recency, frequency, monetary, their scores and the segment, from the orders before as_of.

    One row per customer with a completed order, indexed and sorted by customer_id: the columns of
    rfm_analysis.csv up to segment.
    """
    orders = orders[orders["order_date"] < as_of]
    rfm = (
        orders[orders["completed"]]
        .groupby("customer_id")["order_date"]
        .agg(first_order_date="min", last_order_date="max", frequency="size")
    )
    rfm.insert(2, "recency_days", (as_of.normalize() - rfm["last_order_date"].dt.normalize()).dt.days)
    rfm["monetary"] = orders.groupby("customer_id")["net"].sum().round(2)
    for score, metric in SCORES.items():
        rfm[score] = quintile_scores(-rfm[metric] if metric == "recency_days" else rfm[metric])
    rfm["rfm_score"] = rfm["r_score"] * 100 + rfm["f_score"] * 10 + rfm["m_score"]
    grid = np.array([SEGMENTS[score] for score in range(1, 6)], dtype=object)
    rfm["segment"] = grid[rfm["r_score"] - 1, rfm["f_score"] - 1]
    return rfm


def quintile_scores(values: pd.Series) -> np.ndarray:
    """1 to 5, higher for higher values, a fifth of them each where no value repeats.

    A value's score is 1 and how many of the four quintile cut-offs, observed values, lie below it. So
    equal values get equal scores, and one that many share leaves the scores above it unused.
    """
    cutoffs = np.quantile(values, QUINTILES, method="inverted_cdf") if len(values) else QUINTILES
    return 1 + np.searchsorted(cutoffs, values, side="left")


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


def cohort_retention(orders: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per cohort and month since: the columns of cohort_retention.csv.

    Every month that has begun has a row, with 0 where nobody came; a month to come has none. A
    refund dated before the customer's first completed order counts in month 0.
    """
    cohort_of = orders[orders["completed"]].groupby("customer_id")["month"].min()
    orders = orders.assign(cohort=orders["customer_id"].map(cohort_of)).dropna(subset="cohort")
    orders["since"] = (orders["month"] - orders["cohort"]).clip(lower=0).astype(int)
    orders["cohort"] = orders["cohort"].astype(int)
    key = ["cohort", "since"]
    cells = orders.groupby(key).agg(orders=("completed", "sum"), net_revenue=("net", "sum"))
    active = orders[orders["completed"]].drop_duplicates([*key, "customer_id"]).groupby(key).size()

    triangle = [
        (cohort, since, size)
        for cohort, size in cohort_of.value_counts().sort_index().items()
        for since in range(last_month(as_of) - cohort + 1)
    ]
    table = pd.DataFrame(triangle, columns=[*key, "size"]).set_index(key)
    table = table.join(cells).assign(active=active).fillna(0).reset_index()
    month = table["cohort"] + table["since"]
    revenue = table.groupby("cohort")["net_revenue"].cumsum()
    return pd.DataFrame(
        {
            "cohort_month": first_day(table["cohort"]),
            "months_since_first": table["since"],
            "activity_month": first_day(month),
            "cohort_size": table["size"],
            "active_customers": table["active"].astype(int),
            "retention_rate": (table["active"] / table["size"]).round(6),
            "orders": table["orders"].astype(int),
            "net_revenue": table["net_revenue"].round(2),
            "cumulative_revenue_per_customer": (revenue / table["size"]).round(2),
            "cell_state": np.where(is_cut(month, as_of), "in_progress", "complete"),
        }
    )


def monthly_kpis(orders: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per month from the first order's to as_of's, none left out: the columns of monthly_kpis.csv."""
    done = orders[orders["completed"]]
    months = range(orders["month"].min(), last_month(as_of) + 1)
    table = orders.groupby("month").agg(
        gross_revenue=("gross", "sum"),
        refunds=("refunds", "sum"),
        net_revenue=("net", "sum"),
        orders=("completed", "sum"),
    )
    table["active_customers"] = done.drop_duplicates(["month", "customer_id"])["month"].value_counts()
    table["new_customers"] = done.groupby("customer_id")["month"].min().value_counts()
    table = table.reindex(months).fillna(0).round(2)
    counts = ["orders", "active_customers", "new_customers"]
    table[counts] = table[counts].astype(int)
    table["returning_customers"] = table["active_customers"] - table["new_customers"]
    table["average_order_value"] = (table["gross_revenue"] / table["orders"]).round(2)
    table["revenue_per_customer"] = (table["net_revenue"] / table["active_customers"]).round(2)
    table["is_complete"] = ~is_cut(table.index, as_of)
    table.insert(0, "month", first_day(table.index))
    return table.replace([np.inf, -np.inf], np.nan)


def revenue_drivers(orders: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """One row per month, country, channel and category with a completed order: revenue_drivers.csv.

    What was paid for an order is spread over its items by their value, so that revenue adds up to
    gross revenue to the cent; an order counts once in every category that it holds.
    """
    orders = orders[orders["completed"]]
    country = orders["customer_id"].map(customers.set_index("customer_id")["country"])
    lines = orders["items"].list.flatten().struct.explode()
    bare = pd.DataFrame({"value": 1.0, "quantity": 0.0}, index=orders.index.difference(lines.index))
    lines = pd.concat([lines.astype({"value": float, "quantity": float}), bare]).rename_axis("order")
    lines = lines.assign(
        month=first_day(orders["month"].loc[lines.index]),
        country=country.fillna("Unknown"),
        channel=orders["channel"].fillna("Unknown"),
        category=lines["category"].astype(object).fillna("Unknown"),
        paid=orders["gross"],
    ).reset_index()

    value = lines["value"].fillna(0)
    value = value.where(value.groupby(lines["order"]).transform("sum") != 0, 1)  # all free: equal parts
    by_order = value.groupby(lines["order"])
    so_far = (by_order.cumsum() / by_order.transform("sum") * lines["paid"]).round(2)
    lines["revenue"] = so_far - so_far.groupby(lines["order"]).shift(fill_value=0)

    key = ["month", "country", "channel", "category"]
    table = lines.groupby(key).agg(units=("quantity", "sum"), revenue=("revenue", "sum"))
    table.insert(0, "orders", lines.drop_duplicates(["order", "category"]).groupby(key).size())
    return table.round(2).astype({"units": int}).reset_index()


# --- checking ---


def data_quality(
    orders: pd.DataFrame, left_out: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """One row per check, of what was left out, counted and reconciled: check, rows, amount, status.

    Stops the run where a table disagrees with the orders read: in their number, or by a cent.
    """
    months, cohorts, rfm, drivers = (
        tables[name] for name in ("monthly_kpis", "cohort_retention", "rfm_analysis", "revenue_drivers")
    )
    stray = (orders["refunds"] < 0) & ~orders["customer_id"].isin(rfm["customer_id"])
    groups = {
        "orders analysed": orders["amount"].notna(),
        "cancelled": orders["status"].isin(CANCELLED),
        "refunded": orders["status"].isin(REFUNDED),
        "completed orders": orders["completed"],
        "refunds (amounts below 0)": orders["refunds"] < 0,
        "refunds to customers without a completed order": stray,
    }
    counted = [
        (name, rows.sum(), orders.loc[rows, "amount"].sum(), "counted") for name, rows in groups.items()
    ]

    n, net, gross = orders["completed"].sum(), orders["net"].sum(), orders["gross"].sum()
    net_of_buyers = net - orders.loc[stray, "amount"].sum()
    reconciled = []
    for name, found_rows, rows, found_amount, amount in (
        ("monthly_kpis orders, net revenue", months["orders"].sum(), n, months["net_revenue"].sum(), net),
        (
            "cohort_retention orders, net revenue",
            cohorts["orders"].sum(),
            n,
            cohorts["net_revenue"].sum(),
            net_of_buyers,
        ),
        ("rfm_analysis orders, net revenue", rfm["frequency"].sum(), n, rfm["monetary"].sum(), net_of_buyers),
        ("revenue_drivers gross revenue", n, n, drivers["revenue"].sum(), gross),
        ("monthly_kpis new customers", months["new_customers"].sum(), len(rfm), 0, 0),
        (
            "cohort_retention customers",
            cohorts.loc[cohorts["months_since_first"] == 0, "cohort_size"].sum(),
            len(rfm),
            0,
            0,
        ),
    ):
        if found_rows != rows or abs(found_amount - amount) >= 0.005:
            stop(
                f"{name} are {found_rows:,} and {found_amount:,.2f} where {rows:,} and {amount:,.2f} were "
                "read: nothing was saved; this is a defect of the script, so do not use its figures."
            )
        reconciled.append((name, found_rows, found_amount, "reconciled"))
    table = pd.DataFrame(counted + reconciled, columns=["check", "rows", "amount", "status"])
    left_out = left_out.assign(status=np.where(left_out["rows"] > 0, "left out", "ok"))
    return pd.concat([left_out, table], ignore_index=True).round(2)


# --- figures ---


def draw_figures(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Draw every figure into data/figures/; their names."""
    figures = {
        "revenue_by_month": draw_revenue(tables["monthly_kpis"]),
        "segments": draw_segments(tables["rfm_analysis"]),
        "rfm_grid": draw_rfm_grid(tables["rfm_analysis"]),
        "cohort_retention": draw_cohorts(tables["cohort_retention"]),
        "revenue_drivers": draw_drivers(tables["revenue_drivers"], tables["monthly_kpis"]),
    }
    for name, figure in figures.items():
        save_figure(figure, f"{name}.png")
    return list(figures)


def short(amount: float, _=None) -> str:
    """An amount as people say it: 4.5M, 812k, 37."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{amount / size:.3g}{letter}"
    return f"{amount:.0f}"


def draw_revenue(months: pd.DataFrame):
    """Net revenue by month; the title compares the last twelve complete months with those before."""
    revenue = months.loc[months["is_complete"], "net_revenue"]
    now, before = revenue[-12:].sum(), revenue[-24:-12].sum()
    title = f"Net revenue of {short(revenue.sum())} in {len(revenue)} complete months"
    if len(revenue) >= 24 and before > 0:
        verb = "grew" if now >= before else "fell"
        title = f"Net revenue {verb} by {abs(now / before - 1):.0%} in twelve months, to {short(now)}"
    figure, axes = new_figure(title)
    colours = months["is_complete"].map({True: BLUE, False: GREY})
    axes.bar(months["month"], months["net_revenue"], width=24, color=colours)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    axes.set(xlabel="", ylabel="Net revenue by month")
    if not months["is_complete"].all():
        axes.bar([months["month"].iloc[0]], [0], color=GREY, label="month in progress")
        axes.legend(frameon=False, loc="upper left")
    return figure


def draw_segments(rfm: pd.DataFrame):
    """Each segment's share of customers and of net revenue."""
    share = rfm.groupby("segment").agg(customers=("segment", "size"), revenue=("monetary", "sum"))
    share = (share / share.sum()).reindex(BEST_FIRST).fillna(0)
    top = share.loc[share["revenue"].idxmax()]
    title = f"{top.name} are {top['customers']:.0%} of customers and bring {top['revenue']:.0%} of revenue"
    figure, panels = new_figure(title, ncols=2, sharey=True)
    for axes, column, colour in zip(panels, share, (GREY, BLUE), strict=True):
        bars = axes.barh(share.index, share[column], color=colour)
        axes.bar_label(
            bars, [f"{part:.0%}" if part > 0.005 or part == 0 else "<1%" for part in share[column]], padding=4
        )
        axes.set(title=f"Share of {column}", xticks=[])
        axes.spines["bottom"].set_visible(False)
    panels[0].invert_yaxis()
    return figure


def draw_rfm_grid(rfm: pd.DataFrame):
    """How many customers have each pair of recency and frequency scores, and what the pair is called."""
    counts = rfm.groupby(["r_score", "f_score"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=range(5, 0, -1), columns=range(1, 6), fill_value=0)
    names = np.array([SEGMENTS[score] for score in counts.index], dtype=object)
    text = np.char.add(np.char.replace(names.astype(str), " ", "\n"), np.char.mod("\n%d", counts.to_numpy()))
    largest = rfm["segment"].value_counts()
    title = f"The largest segment, {largest.index[0]}, holds {largest.iloc[0]:,} of {len(rfm):,} customers"
    figure, axes = new_figure(title, (10, 7.2))
    sns.heatmap(
        counts, annot=text, fmt="", cmap="Blues", linewidths=1, ax=axes, cbar_kws={"label": "Customers"}
    )
    axes.set(xlabel="Frequency score (5: most orders)", ylabel="Recency score (5: latest)")
    axes.tick_params("y", rotation=0)
    return figure


def draw_cohorts(cohorts: pd.DataFrame):
    """The retention triangle from month 1 on, months in progress left out."""
    cells = cohorts[(cohorts["months_since_first"] > 0) & (cohorts["cell_state"] == "complete")]
    sums = cells.groupby("months_since_first")[["active_customers", "cohort_size"]].sum()
    weighted = sums["active_customers"] / sums["cohort_size"]
    said = [f"{weighted[n]:.0%} {words}" for n, words in ((1, "a month"), (12, "a year")) if n in weighted]
    title = f"Active again after their first order: {', '.join(said) or 'nobody yet, not a month'} later"
    figure, axes = new_figure(title, (10, 7.2))
    grid = cells.pivot(index="cohort_month", columns="months_since_first", values="retention_rate")
    if len(grid):
        grid.index = grid.index.strftime("%b %Y")
        bar = {"label": "Share of the cohort that ordered", "format": PercentFormatter(1, decimals=0)}
        few = max(grid.shape) <= 18
        sns.heatmap(grid, cmap="Blues", annot=few, fmt=".0%", annot_kws={"size": 9}, ax=axes, cbar_kws=bar)
    axes.set(xlabel="Months since the first order", ylabel="Month of the first order")
    axes.tick_params("y", rotation=0)
    return figure


def draw_drivers(drivers: pd.DataFrame, months: pd.DataFrame):
    """Gross revenue by category, channel and country: the last twelve complete months, and those before."""
    complete = months.loc[months["is_complete"], "month"]
    spans = {"the twelve months before": complete[-24:-12], "the last twelve complete months": complete[-12:]}
    spans = {label: span for label, span in spans.items() if len(span)} or {"so far": drivers["month"]}
    revenue = {
        driver: pd.DataFrame(
            {
                label: drivers[drivers["month"].isin(span)].groupby(driver)["revenue"].sum()
                for label, span in spans.items()
            }
        )
        .fillna(0)
        .sort_values(list(spans)[-1], ascending=False)
        for driver in ("category", "channel", "country")
    }
    first = [
        f"{table.index[0]} {table.iloc[0, -1] / table.iloc[:, -1].sum():.0%}"
        for table in revenue.values()
        if table.index[0] != "Unknown"
    ]
    title = f"Where revenue comes from: {', '.join(first) or 'the orders do not say'}"
    figure, panels = new_figure(title, (12, 5.6), ncols=3)
    for axes, (driver, table) in zip(panels, revenue.items(), strict=True):
        table[:8].plot.barh(ax=axes, color=[GREY, BLUE][-len(spans) :], width=0.75, legend=False)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        axes.set(title=f"By {driver}", ylabel="")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, frameon=False)
    return figure


if __name__ == "__main__":
    main()
