"""What each part of the dashboard's pages has to show for a choice, by pandas from the CSV files.

A card is a number, a table a list of rows as the page has them. Names are those of the page's parts.
"""

from functools import cached_property, reduce
from operator import and_
from pathlib import Path

import numpy as np
import pandas as pd
from conftest import load_csv

SLICERS = ("country", "acquisition_channel", "segment")
Rows = list[list]


def words(month) -> str:
    return f"{pd.Timestamp(month):%b %Y}"


def ratio(a, b):
    return a / b if b > 0 else None


def blank(value):
    return "" if value is None or pd.isna(value) else value


class Shop:
    """The files of a folder, customers joined, guests among the months."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        scores = self.load("rfm_analysis").drop(columns="last_order_date")
        self.customers = self.load("customers").merge(scores, how="left", on="customer_id")
        self.customers["segment"] = self.customers["segment"].fillna("No order yet")
        traits = self.customers[["customer_id", *SLICERS, "cohort_month", "first_category"]]
        months = self.load("customer_months").merge(traits, on="customer_id")
        guests = self.load("guest_months").assign(acquisition_channel="Guests", segment="Guests")
        self.months = pd.concat([months, guests]) if len(guests) else months
        self.kpis = self.load("monthly_kpis")
        self.segments = self.load("segments")

    def load(self, name: str) -> pd.DataFrame:
        return load_csv(self.folder / f"{name}.csv")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        known = self.customers[["customer_id", *SLICERS]]
        return self.load("churn_predictions").drop(columns="segment").merge(known, on="customer_id")

    @property
    def ended(self) -> list[str]:
        return [*self.kpis.loc[self.kpis["is_complete"], "month"]]


def chosen(rows: pd.DataFrame, choice: dict, *columns: str) -> pd.DataFrame:
    masks = [rows[name].isin(choice[name]) for name in columns if name in choice]
    return rows[reduce(and_, masks)] if masks else rows


def largest(rows: pd.DataFrame, by: str, value: str) -> Rows:
    sums = rows.groupby(by)[value].sum().sort_values(ascending=False)
    return [[name, total] for name, total in sums.items()]


# --- overview ---


def overview(shop: Shop, choice: dict) -> dict:
    rows = chosen(shop.months, choice, *SLICERS, "month")
    picked = [month for month in shop.ended if month in choice.get("month", shop.ended)]
    last = pd.Timestamp(picked[-1])
    month = [month_figures(shop, choice, last - pd.DateOffset(months=n)) for n in (0, 1, 12)]
    cards = ("card-net-revenue", "card-completed-orders", "card-average-order-value", "card-active-customers")
    parts = dict(zip(cards, month[0], strict=True))
    parts |= {f"{name} note": changes(last, *(each[n] for each in month)) for n, name in enumerate(cards)}
    nets = rows.groupby("month")[["net_revenue", "orders"]].sum()
    active = rows[(rows["orders"] > 0) & rows["month"].isin(shop.ended) & (rows["segment"] != "Guests")]
    n, new = (
        active.groupby("month").size(),
        active[active["month"] == active["cohort_month"]].groupby("month").size(),
    )
    new = new.reindex(n.index, fill_value=0)
    known = rows[rows["month"].isin(shop.ended)]["month"].drop_duplicates().sort_values()
    count = pd.DataFrame({"Active": n, "Returning": n - new, "New": new}).reindex(known, fill_value=0)
    drivers = chosen(shop.load("revenue_drivers"), choice, "country", "month")
    return parts | {
        "revenue-by-month": [[words(at), net, orders] for at, (net, orders) in nets.iterrows()],
        "customers-by-month": [[words(at), kind, number] for kind in count for at, number in count[kind].items()],
        "revenue-by-country": largest(rows, "country", "net_revenue"),
        "revenue-by-channel": largest(rows, "acquisition_channel", "net_revenue"),
        "revenue-by-category": largest(drivers, "category", "revenue"),
        "revenue-by-order-channel": largest(drivers, "channel", "revenue"),
        "changes": shop.load("alerts")[["state", "sentence"]].to_numpy().tolist(),
    }


def month_figures(shop: Shop, choice: dict, month: pd.Timestamp) -> list:
    rows = chosen(shop.months, choice | {"month": [f"{month:%Y-%m-%d}"]}, *SLICERS, "month")
    active = rows[(rows["orders"] > 0) & (rows["segment"] != "Guests")]
    orders = rows["orders"].sum()
    return [rows["net_revenue"].sum(), orders, ratio(rows["gross_revenue"].sum(), orders), len(active)]


def changes(last: pd.Timestamp, now, before, year_before) -> str:
    said = []
    for earlier, n in ((before, 1), (year_before, 12)):
        day = words(last - pd.DateOffset(months=n))[: 3 if n == 1 else None]
        known = earlier is not None and earlier > 0
        change = f"{round(100 * (now / earlier - 1), 1):+.1f}%" if known else ""
        said.append(f"{change.replace('+0.0', '0.0')} on {day}" if known else f"none above 0 in {day}")
    return ", ".join(said)


# --- segments ---


def segments(shop: Shop, choice: dict) -> dict:
    people = shop.customers[shop.customers["frequency"] > 0]
    rows, all_rows = chosen(people, choice, *SLICERS), chosen(people, choice, *SLICERS[:2])
    nets, all_nets = chosen(shop.months, choice, *SLICERS), chosen(shop.months, choice, *SLICERS[:2])
    moved = rows[rows["previous_segment"].notna() & (rows["previous_segment"] != rows["segment"])]
    grid = (
        rows.groupby(["r_score", "f_score"]).size().unstack().reindex(index=range(5, 0, -1), columns=range(1, 6))
    )
    return {
        "card-customers": len(rows),
        "card-revenue": nets["net_revenue"].sum(),
        "card-repeat-rate": (rows["frequency"] > 1).mean(),
        "card-moved": len(moved),
        "table": segment_rows(shop, rows, nets, len(all_rows), all_nets["net_revenue"].sum()),
        "rfm-matrix": [
            [f"{r:.0f}", *map(blank, counts)] for r, counts in zip(grid.index, grid.to_numpy(), strict=True)
        ],
        "who-moved": {
            tuple(row) for row in moved.groupby(["previous_segment", "segment"]).size().reset_index().to_numpy()
        },
        "sizes": segment_sizes(shop, choice),
    }


def segment_rows(shop: Shop, rows: pd.DataFrame, nets: pd.DataFrame, n: int, total: float) -> Rows:
    found = []
    todo = shop.segments.set_index("segment")["what_to_do"]
    for name in [*shop.segments["segment"], "No order yet", "Guests"]:
        who, brought = rows[rows["segment"] == name], nets.loc[nets["segment"] == name, "net_revenue"]
        if len(who) + len(brought):
            means = [who[column].mean() for column in ("monetary", "recency_days", "frequency")]
            shares = [len(who) / n if len(who) else None, brought.sum() / total]
            found.append([name, *map(blank, [len(who) or None, *shares, *means]), todo.get(name, "")])
    return found


def segment_sizes(shop: Shop, choice: dict) -> Rows:
    rows = shop.load("segment_moves").rename(columns={"to_segment": "segment"})
    sums = chosen(rows, choice, "segment").groupby(["segment", "month"])["customers"].sum()
    return [
        [words(month), name, n]
        for name in shop.segments["segment"]
        if name in sums
        for month, n in sums[name].items()
    ]


# --- retention, customer by customer ---


def retention(shop: Shop, by: str, values: list[str]) -> dict:
    wanted = shop.customers[by].isin(values) if values else shop.customers["frequency"] > 0
    people = shop.customers[wanted & (shop.customers["frequency"] > 0)]
    each = {value: curve(shop, people[people[by] == value]) for value in people[by].unique()}
    whole, third = curve(shop, people), {name: rows.get(3) for name, rows in each.items()}
    heat = cohort_cells(shop, people)
    return {
        "card-customers": len(people),
        **{f"card-month-{n}": whole[n][0] if n in whole else None for n in (1, 3, 12)},
        "heat-map": [
            [words(cohort), *map(blank, row)] for cohort, row in zip(heat.index, heat.to_numpy(), strict=True)
        ],
        "by-value": sorted([[name, found[0]] for name, found in third.items() if found], key=lambda row: -row[1]),
        "revenue-per-customer": [[since, so_far] for since, (_, so_far) in whole.items()],
        "curve": {
            (name, since, rate) for name, rows in each.items() for since, (rate, _) in rows.items() if since
        },
    }


def months_of(shop: Shop, people: pd.DataFrame) -> pd.DataFrame:
    rows = shop.months[shop.months["customer_id"].isin(people["customer_id"])]
    month, first = (pd.to_datetime(rows[name]).dt for name in ("month", "cohort_month"))
    since = 12 * (month.year - first.year) + month.month - first.month
    return rows.assign(since=since.clip(lower=0))


def curve(shop: Shop, people: pd.DataFrame) -> dict[int, tuple[float, float]]:
    """{months since: (retention, net revenue per customer so far)} of those whose month has ended."""
    rows, last, found = months_of(shop, people), pd.Timestamp(shop.ended[-1]), {}
    for since in range(len(shop.kpis)):
        cohorts = people["cohort_month"] <= f"{last - pd.DateOffset(months=since):%Y-%m-%d}"
        known = people.loc[cohorts, "customer_id"]
        if len(known):
            of = rows[rows["customer_id"].isin(known)]
            active = ((of["since"] == since) & (of["orders"] > 0)).sum()
            found[since] = active / len(known), of.loc[of["since"] <= since, "net_revenue"].sum() / len(known)
    return found


def cohort_cells(shop: Shop, people: pd.DataFrame) -> pd.DataFrame:
    """Retention by cohort and months since, of the last 24 cohorts and up to month 24."""
    rows = months_of(shop, people)
    sizes = people.groupby("cohort_month").size()
    active = rows[rows["orders"] > 0].groupby(["cohort_month", "since"]).size().unstack(fill_value=0)
    share = active.div(sizes, axis=0)
    last = pd.Timestamp(shop.ended[-1])
    for cohort in share.index:
        passed = 12 * (last.year - pd.Timestamp(cohort).year) + last.month - pd.Timestamp(cohort).month
        share.loc[cohort, share.columns > passed] = np.nan
    whole = list(shop.ended[:-1])[-24:]
    return share.reindex(index=[cohort for cohort in whole if cohort in share.index], columns=range(1, 25))


# --- churn and the model ---


def churn(shop: Shop, choice: dict) -> dict:
    rows = chosen(shop.predictions, choice, *SLICERS, "risk_band")
    yes = rows[rows["contact"] == "yes"]
    yes = yes.assign(rank=yes["contact_profit"].rank(method="min", ascending=False))
    bands = rows.groupby("risk_band").size()
    columns = ["rank", "customer_id", "segment", "risk_band", "churn_probability", "revenue_at_risk"]
    listed = yes[[*columns, "contact_profit", "main_reason"]].head(500)
    return {
        "card-expected-revenue": rows["expected_revenue"].sum(),
        "card-revenue-at-risk": rows["revenue_at_risk"].sum(),
        "card-high-risk": bands.get("high", 0),
        "card-gone": bands.get("gone", 0),
        "reasons": largest(rows.dropna(subset="main_reason"), "main_reason", "revenue_at_risk"),
        "list": [[*map(blank, row)] for row in listed.to_numpy().tolist()],
        "profit-curve": shop.load("churn_profit_curve")[["customers_contacted", "expected_profit"]]
        .to_numpy()
        .tolist(),
        "risk-bands": [[band, bands[band]] for band in ("low", "medium", "high", "gone") if band in bands],
        "worth": yes["contact_profit"].sum(),
    }


def model(shop: Shop, population: str) -> dict:
    metrics = shop.load("churn_model_metrics").query("population == @population")
    value = metrics.set_index(["model", "metric"])["value"]
    table = value.unstack().reindex(index=metrics["model"].unique(), columns=metrics["metric"].unique())
    tenths = shop.load("churn_calibration")
    odds = shop.load("churn_coefficients").sort_values("odds_ratio", ascending=False)
    odds["doublings"] = np.log2(odds["odds_ratio"])
    return {
        "card-accuracy": value["logistic_regression", "accuracy"],
        "card-rule": value["recency_rule", "accuracy"],
        "card-majority": value["majority_class", "accuracy"],
        "card-calibration": value["logistic_regression", "calibration_error"],
        "metrics": [
            [name.replace("_", " "), *map(blank, row)]
            for name, row in zip(table.index, table.to_numpy(), strict=True)
        ],
        "calibration": [
            [row.bin, kind, share, row.customers]
            for row in tenths.itertuples()
            for kind, share in (("As predicted", row.mean_predicted), ("Observed", row.observed_rate))
        ],
        "coefficients": odds[["meaning", "doublings", "odds_ratio", "low", "high"]].to_numpy().tolist(),
        "data-quality": [
            [*map(blank, row)]
            for row in shop.load("data_quality")[["check", "status", "rows", "amount"]].to_numpy()
        ],
    }
