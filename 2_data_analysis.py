"""Step 2: read the orders from MongoDB; write RFM segments, cohorts, KPIs and figures to data/.

    python 2_data_analysis.py                       as of the midnight after the last order
    python 2_data_analysis.py --as-of 2025-07-01    as it looked then, from the orders before that day

docs/KPI_Dictionary.md defines every column. Nothing is saved unless all totals reconcile.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.dates import ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, PercentFormatter

from common import (
    BLUE,
    GREY,
    ORDERS,
    as_of_parser,
    current,
    database,
    load_record,
    new_figure,
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


def main() -> None:
    as_of = parse(as_of_parser(__doc__.splitlines()[0])).as_of
    require_data_dir()
    with database() as db:
        (orders, left_out, as_of), customers, record = steadily(
            db,
            lambda: (read_orders(db, as_of, items=True), read_customers(db), load_record(db, current(db, ORDERS))),
        )

    run = run_of(Path(__file__).name, orders, as_of)
    orders = add_revenue(orders)
    rfm = rfm_analysis(orders, as_of)
    rfm["previous_segment"] = rfm_analysis(orders, as_of - pd.DateOffset(months=1))["segment"]
    tables = {
        "customers": known_customers(customers, orders, as_of),
        "rfm_analysis": rfm.reset_index(),
        "rfm_score_bands": score_bands(rfm),
        "cohort_retention": cohort_retention(orders, as_of),
        "monthly_kpis": monthly_kpis(orders, as_of),
        "revenue_drivers": revenue_drivers(orders, customers),
    }
    size = {name: f"{len(table):,}" for name, table in tables.items()}
    say("Computed", f"{size['rfm_analysis']} customers' RFM, {size['cohort_retention']} cohort cells, "
        f"{size['monthly_kpis']} months, {size['revenue_drivers']} driver rows")  # fmt: skip

    tables["data_quality"] = data_quality(orders, left_out, (record or {}).get("left_out", {}), tables)
    done = orders["completed"]
    statuses = ", ".join(sorted(orders.loc[done, "status"].unique()))
    say("Checked", f"{done.sum():,} orders are completed (status {statuses}), net revenue "
        f"{orders['net'].sum():,.2f}: all tables agree")  # fmt: skip
    save(tables, draw_figures(tables), run)
    say("Next", "python 3_churn_model.py")


# --- preparing ---


def known_customers(customers: pd.DataFrame, orders: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per customer who had signed up or ordered before as_of: the columns of customers.csv."""
    buyers = pd.DataFrame({"customer_id": orders["customer_id"].dropna().unique()})
    everyone = customers.merge(buyers, how="outer", indicator="came_from")
    known = (everyone["came_from"] != "left_only") | ~(everyone["signup_date"] >= as_of)
    return everyone[known].drop(columns="came_from").sort_values("customer_id", ignore_index=True)


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
    cells = orders.groupby(key).agg(orders=("completed", "sum"), net_revenue=("net", "sum")).round(2)
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
    buys = done.dropna(subset="customer_id")
    table["active_customers"] = buys.drop_duplicates(["month", "customer_id"])["month"].value_counts()
    table["new_customers"] = buys.groupby("customer_id")["month"].min().value_counts()
    guests = orders[orders["customer_id"].isna()].groupby("month")
    table["guest_orders"] = guests["completed"].sum()
    table["guest_revenue"] = guests["net"].sum()
    table = table.reindex(months).fillna(0).round(2)
    counts = ["orders", "active_customers", "new_customers", "guest_orders"]
    table[counts] = table[counts].astype(int)
    of_customers = table["net_revenue"] - table["guest_revenue"]
    table.insert(6, "returning_customers", table["active_customers"] - table["new_customers"])
    table["average_order_value"] = (table["gross_revenue"] / table["orders"]).round(2)
    table["revenue_per_customer"] = (of_customers / table["active_customers"]).round(2)
    table["is_complete"] = ~is_cut(table.index, as_of)
    table.insert(0, "month", first_day(table.index))
    return table.replace([np.inf, -np.inf], np.nan)


def revenue_drivers(orders: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """One row per month, country, channel and category with a completed order: revenue_drivers.csv.

    What was paid for an order is spread over its items by their value, so that revenue adds up to
    gross revenue to the cent; an order counts once in every category that it holds.
    """
    orders = orders[orders["completed"]]
    home = orders["customer_id"].map(customers.set_index("customer_id")["country"].to_dict())
    country = orders["country"].astype(object).fillna(home)
    lines = orders["items"].list.flatten().struct.explode()
    bare = pd.DataFrame({"value": 1.0, "quantity": 0.0}, index=orders.index.difference(lines.index))
    lines = pd.concat([lines.astype({"value": float, "quantity": float}), bare]).rename_axis("order")
    lines = lines.assign(
        month=first_day(orders["month"].loc[lines.index]),
        country=country,
        channel=orders["channel"],
        category=lines["category"].astype(object),
        paid=orders["gross"],
    ).reset_index()

    value = lines["value"].fillna(0)
    value = value.where(value.groupby(lines["order"]).transform("sum") != 0, 1)  # all free: equal parts
    by_order = value.groupby(lines["order"])
    so_far = (by_order.cumsum() / by_order.transform("sum") * lines["paid"]).round(2)
    lines["revenue"] = so_far - so_far.groupby(lines["order"]).shift(fill_value=0)

    key = ["month", "country", "channel", "category"]
    lines[key[1:]] = lines[key[1:]].replace("", None).fillna("Unknown")
    table = lines.groupby(key).agg(units=("quantity", "sum"), revenue=("revenue", "sum"))
    table.insert(0, "orders", lines.drop_duplicates(["order", "category"]).groupby(key).size())
    return table.round(2).astype({"units": int}).reset_index()


# --- checking ---


def data_quality(
    orders: pd.DataFrame,
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
    done, guest, back = orders["completed"], orders["customer_id"].isna(), orders["refunds"] < 0
    of_buyers = orders["customer_id"].isin(orders.loc[done & ~guest, "customer_id"])
    kinds = {
        f"status {name}, amount 0 or more": orders["status"].eq(name) & ~back
        for name in sorted(orders["status"].unique())
    }
    kinds |= {"amount below 0: a refund": back, "orders and refunds of guests": guest}
    kinds["refunds to customers without a completed order"] = back & ~guest & ~of_buyers
    rows = [(f"import: {reason}", count, np.nan, "noted") for reason, count in import_notes.items()]
    rows += [(check, n, amount, "left out") for check, n, amount in left_out.itertuples(index=False)]
    rows += [(check, kind.sum(), orders.loc[kind, "amount"].sum(), "counted") for check, kind in kinds.items()]

    n, n_buyers = done.sum(), (done & ~guest).sum()
    buyers = orders.loc[done, "customer_id"].nunique()
    net, net_buyers = orders["net"].sum(), orders.loc[of_buyers, "net"].sum()
    first = cohorts["months_since_first"] == 0
    for check, found, expected, amount, expected_amount in (
        ("orders in monthly_kpis", months["orders"].sum(), n, months["net_revenue"].sum(), net),
        (
            "orders in cohort_retention",
            cohorts["orders"].sum(),
            n_buyers,
            cohorts["net_revenue"].sum(),
            net_buyers,
        ),
        ("orders in rfm_analysis", rfm["frequency"].sum(), n_buyers, rfm["monetary"].sum(), net_buyers),
        ("gross revenue in revenue_drivers", n, n, drivers["revenue"].sum(), orders["gross"].sum()),
        ("customers in monthly_kpis", months["new_customers"].sum(), buyers, 0, 0),
        ("customers in cohort_retention", cohorts.loc[first, "cohort_size"].sum(), buyers, 0, 0),
    ):
        if found != expected or abs(amount - expected_amount) >= 0.005:
            stop(
                f"The {check} are {found:,} with {amount:,.2f}, and {expected:,} with {expected_amount:,.2f} "
                "were read: nothing was saved; this is a defect of the script, so do not use its figures."
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
    axes.yaxis.set_major_formatter(FuncFormatter(short))
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
    cells = cohorts[(cohorts["months_since_first"] > 0) & (cohorts["cell_state"] == "complete")]
    sums = cells.groupby("months_since_first")[["active_customers", "cohort_size"]].sum()
    rate = sums["active_customers"] / sums["cohort_size"]
    said = [f"{rate[n]:.0%} {after} later" for n, after in ((1, "a month"), (12, "a year")) if n in rate]
    title = f"Active again after their first order: {', '.join(said) or 'no month has passed yet'}"
    figure, axes = new_figure(title, (10, 7.2))
    if said:
        grid = cells.pivot(index="cohort_month", columns="months_since_first", values="retention_rate")
        grid.index = grid.index.strftime("%b %Y")
        bar = {"label": "Share of the cohort that ordered", "format": PercentFormatter(1, decimals=0)}
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
        axes.xaxis.set_major_formatter(FuncFormatter(short))
        axes.set(title=f"By {name}" + (f", the first 9 of {len(of)}" if len(of) > 9 else ""))
    span = " to ".join(pd.Timestamp(month).strftime("%B %Y") for month in (months[0], months[-1]))
    figure.supxlabel(f"Gross revenue, {span}", size=13)
    return figure


if __name__ == "__main__":
    main()
