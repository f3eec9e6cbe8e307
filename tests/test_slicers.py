"""Every figure on a page of the dashboard, under a choice of each slicer, equals pandas on the same rows."""

import math
import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial, reduce
from itertools import product
from operator import and_
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CHOICES
from dax import Column, Model, split
from report import Visual, first_of, passes, read_report
from sentences import sentences
from star import RELATIONSHIPS, load_model

from pulse.contacts import Campaign, contact_list
from pulse.evaluation import can_rank

PAGES = {page.name: page for page in read_report().pages}
ORDER = [*PAGES]
SEGMENT, MONTH, SINCE = "dim_segment[Segment]", "dim_month[Month]", "dim_since[Months since first order]"
CUSTOMER, STEP = "dim_customer[Customer]", "fact_coefficients[Step]"
Choice = tuple[dict[str, list], dict[str, list]]  # what a slicer lets through in the model, and which rows that is
WHAT_IF = {  # by the column of campaign.csv
    "contact_cost": "what_if_contact_cost[Contact cost]",
    "offer_cost": "what_if_offer_cost[Offer cost]",
    "success_rate": "what_if_success_rate[Success rate]",
    "margin": "what_if_margin[Margin]",
}
GUESTS = "month,country,orders,gross_revenue,refunds,net_revenue\n" + "".join(
    f"2025-{month:02}-01,{country},2,50.0,-{month}.5,{50 - month - 0.5}\n"
    for month in (3, 11, 12)
    for country in ("Germany", "Unknown")
)


# --- what the rows say, by the names that the report has for their columns ---


def sum_of(values: pd.Series):
    return values.sum(min_count=1)


def ratio(a, b):
    return None if b is None or not b > 0 or a is None else a / b


class Selection:
    """The rows of each file that a choice leaves; `but` takes choices of some columns back."""

    def __init__(self, files: dict[str, pd.DataFrame], chosen: dict):
        self.files, self.chosen = files, chosen

    def __getattr__(self, name: str) -> pd.DataFrame:
        rows = self.files[name]
        passes = [rows[field].isin(values) for field, values in self.chosen.items() if field in rows]
        return rows[reduce(and_, passes)] if passes else rows

    def but(self, *tables: str) -> "Selection":
        kept = {field: values for field, values in self.chosen.items() if field.split("[")[0] not in tables}
        return Selection(self.files, kept)

    def at(self, field: str, *values) -> "Selection":
        return Selection(self.files, self.chosen | {field: [*values]})

    @property
    def last_month(self) -> pd.Timestamp:
        return self.kpis.loc[self.kpis["is_complete"], MONTH].max()

    def months_back(self, n: int) -> "Selection":
        return self.but("dim_month").at(MONTH, self.last_month - pd.DateOffset(months=n))

    def used(self, name: str) -> float:
        """What of a campaign is chosen, else what script 3 has."""
        values = getattr(self, name)[name]
        return values.iloc[0] if len(values) == 1 else self.files["campaign"][name].iloc[0]

    @property
    def listed(self) -> pd.DataFrame:
        """The customers selected, in the list that script 3 would make of the costs and rates used."""
        known = self.files["customers"].dropna(subset="rank").set_index("customer_id", drop=False)
        known = known.rename(columns={"revenue_if_staying": "if_staying"}).assign(cutoff=pd.NaT)
        campaign = Campaign(*map(self.used, WHAT_IF), places=self.files["campaign"]["places"].iloc[0])
        found = contact_list(known, known, campaign, can_rank(self.files["metrics"]))
        return found[found["customer_id"].isin(self.customers["customer_id"])]

    @property
    def ordered(self) -> pd.DataFrame:
        """Months with an order of a customer."""
        return self.months[(self.months["orders"] > 0) & (self.months[SEGMENT] != "Guests")]

    def observed(self) -> "tuple[pd.DataFrame, pd.DataFrame, int] | None":
        """Customers whose month so many after the first has ended, all their months, and how many after."""
        if len(self.chosen.get(SINCE, [])) != 1:
            return None
        (since,) = self.chosen[SINCE]
        last = self.but("dim_month").last_month - pd.DateOffset(months=since)
        known = self.customers[self.customers["cohort_month"] <= last]
        months = self.but("dim_month").months
        return known, months[months["customer_id"].isin(known["customer_id"])], since


def retention(s: Selection):
    found = s.observed()
    if not found:
        return None
    known, months, since = found
    active = months[(months["since"] == since) & (months["orders"] > 0)]
    return ratio(len(active), len(known))


def cumulative(s: Selection):
    found = s.observed()
    if not found:
        return None
    known, months, since = found
    return ratio(sum_of(months.loc[months["since"] <= since, "net_revenue"]), len(known))


def revenue_retention(s: Selection):
    found = s.observed()
    if not found:
        return None
    _, months, since = found
    first, later = (sum_of(months.loc[months["since"] == at, "net_revenue"]) for at in (0, since))
    return ratio(0 if pd.isna(later) else later, first)


def cell(s: Selection):
    if s.chosen.get(SINCE, [0]) == [0]:
        return None
    return (revenue_retention if s.chosen.get("what_to_show[Shown]") == ["Net revenue"] else retention)(s)


def change(latest, earlier):
    """From an earlier value, where that is above 0."""
    return None if pd.isna(earlier) or earlier <= 0 else (0 if pd.isna(latest) else latest) / earlier - 1


def again(column: str) -> Callable:
    """Of one order number and number of days, and of all first categories or the one that is chosen."""

    def value(s: Selection):
        rows = s.repurchase
        if rows["order_number"].nunique() != 1 or rows["within_days"].nunique() != 1:
            return None
        several = rows["first_category"].nunique() > 1
        return sum_of(rows.loc[rows["first_category"] == "All", column] if several else rows[column])

    return value


def in_months(column: str, complete: bool) -> Callable:
    """A measure in months that have ended, or not."""

    def value(s: Selection):
        months = s.kpis.loc[s.kpis["is_complete"] == complete, MONTH]
        return TRUTH[column](s.but("dim_month").at(MONTH, *months))

    return value


def metric(model: str, name: str, column: str = "value") -> Callable:
    def value(s: Selection):
        rows = s.files["metrics"].query("population == 'all'").set_index(["model", "metric"])
        return rows.loc[(model, name), column]

    return value


def one_row(file: str, column: str, *fields: str) -> Callable:
    """The value where these columns are down to one; else there is no figure to show."""

    def value(s: Selection):
        rows = getattr(s, file)
        return sum_of(rows[column]) if all(rows[field].nunique() == 1 for field in fields) else None

    return value


def paying(s: Selection) -> pd.Series:
    """The contact profits of those to contact."""
    return s.listed.loc[s.listed["contact"] == "yes", "contact_profit"]


def one_profit(s: Selection):
    return sum_of(paying(s)) if len(s.customers) == 1 else None


def rank(s: Selection):
    """Of the one customer, among all whom the other choices leave."""
    others = Selection(s.files, {field: values for field, values in s.chosen.items() if field != CUSTOMER})
    mine = one_profit(s)
    return None if mine is None or pd.isna(mine) else 1 + (paying(others) > mine).sum()


def of_one(value: Callable) -> Callable:
    """What the one customer's row says."""
    return lambda s: value(s.customers.iloc[0]) if len(s.customers) == 1 else None


def whole(amount: float) -> str:
    return f"{math.floor(amount + 0.5):,}"


def value_and_range(row: pd.Series):
    if pd.isna(row["expected_value"]):
        return None
    low, high = whole(row["value_low"]), whole(row["value_high"])
    return f"{whole(row['expected_value'])} ({low} to {high})"


def odds_in_words(s: Selection):
    odds = one_row("terms", "odds_ratio", STEP)(s)
    return None if odds is None else f"{odds:.{2 if odds < 1 else 1}f} times the odds"


def month_end(s: Selection):
    return sum_of(s.moves["customers"]) if s.kpis[MONTH].nunique() == 1 else None


def of_one_model(s: Selection):
    """A metric of one model, of all customers where no population is chosen."""
    rows = s.metrics
    if rows["population"].nunique() > 1:
        rows = rows[rows["population"] == "all"]
    one = s.metrics["model"].nunique() == s.metrics["metric"].nunique() == 1
    return sum_of(rows["value"]) if one else None


TRUTH: dict[str, Callable] = {
    "Net revenue": lambda s: sum_of(s.months["net_revenue"]),
    "Gross revenue": lambda s: sum_of(s.months["gross_revenue"]),
    "Refunded": lambda s: sum_of(s.months["refunds"]),
    "Completed orders": lambda s: sum_of(s.months["orders"]),
    "Average order value": lambda s: ratio(s.months["gross_revenue"].sum(), s.months["orders"].sum()),
    "Active customers": lambda s: s.ordered["customer_id"].nunique() or None,
    "New customers": lambda s: (s.ordered["since"] == 0).sum() or None,
    "Returning customers": lambda s: s.ordered.loc[s.ordered["since"] > 0, "customer_id"].nunique() or None,
    "Latest complete month": lambda s: s.last_month,
    "Driver revenue": lambda s: sum_of(s.drivers["revenue"]),
    "Customers": lambda s: s.customers["frequency"].count() or None,
    "Revenue so far": lambda s: sum_of(s.but("dim_month").months["net_revenue"]),
    "Share of customers": lambda s: ratio(
        s.customers["frequency"].count() or None, s.but("dim_segment").customers["frequency"].count()
    ),
    "Share of revenue": lambda s: ratio(
        sum_of(s.but("dim_month").months["net_revenue"]),
        s.but("dim_month", "dim_segment").months["net_revenue"].sum(),
    ),
    "Revenue per customer": lambda s: s.customers["monetary"].mean(),
    "Repeat rate": lambda s: (s.customers["frequency"].dropna() > 1).mean(),
    "Average recency": lambda s: s.customers["recency_days"].mean(),
    "Average frequency": lambda s: s.customers["frequency"].mean(),
    "Customers who moved": lambda s: (
        s.customers.dropna(subset="previous_segment").eval("previous_segment != segment").sum() or None
    ),
    "Retention": retention,
    "Retention, month 1": lambda s: retention(s.at(SINCE, 1)),
    "Retention, month 3": lambda s: retention(s.at(SINCE, 3)),
    "Retention, month 12": lambda s: retention(s.at(SINCE, 12)),
    "Cumulative revenue per customer": cumulative,
    "Revenue retention": revenue_retention,
    "Cohort cell": cell,
    "Share that ordered again": again("share"),
    "Share, low limit": again("low"),
    "Share, high limit": again("high"),
    "Customers predicted": lambda s: s.customers["rank"].count() or None,
    "Customers predicted, all": lambda s: s.files["customers"]["rank"].count() or None,
    "Churn probability, mean": lambda s: s.customers["churn_probability"].mean(),
    "Customers at high risk": lambda s: (s.customers["risk_band"] == "high").sum(),
    "Customers gone": lambda s: (s.customers["risk_band"] == "gone").sum(),
    "Expected revenue": lambda s: sum_of(s.customers["expected_revenue"]),
    "Revenue at risk": lambda s: sum_of(s.customers["revenue_at_risk"]),
    "Expected profit": one_row("curve", "expected_profit", "fact_profit_curve[Customers contacted]"),
    "Forecast revenue": one_row("forecast", "forecast", "fact_forecast[Window start]"),
    "Forecast low": one_row("forecast", "low", "fact_forecast[Window start]"),
    "Forecast high": one_row("forecast", "high", "fact_forecast[Window start]"),
    "Actual revenue": one_row("forecast", "actual", "fact_forecast[Window start]"),
    "Metric value": of_one_model,
    "Model accuracy": metric("logistic_regression", "accuracy"),
    "Model AUC": metric("logistic_regression", "roc_auc"),
    "Model calibration error": metric("logistic_regression", "calibration_error"),
    "Majority baseline": metric("majority_class", "accuracy"),
    "Recency rule accuracy": metric("recency_rule", "accuracy"),
    "Predicted churn": lambda s: ratio(
        s.tenths.eval("customers * mean_predicted").sum(), s.tenths["customers"].sum()
    ),
    "Observed churn": lambda s: ratio(
        s.tenths.eval("customers * observed_rate").sum(), s.tenths["customers"].sum()
    ),
    "Odds ratio": one_row("terms", "odds_ratio", STEP),
    "Customers at month end": month_end,
    "Customers who changed segment": lambda s: sum_of(
        s.months_back(0).moves.query("from_segment != to_segment and from_segment != 'New'")["customers"]
    ),
    **{f"{name.replace('_', ' ').capitalize()} used": lambda s, name=name: s.used(name) for name in WHAT_IF},
    "Customers worth contacting": lambda s: len(paying(s)),
    "Campaign profit": lambda s: sum_of(paying(s)),
    "Contact profit, one customer": one_profit,
    "Contact rank": rank,
    "Best point": lambda s: sum_of(s.curve.loc[s.curve["is_best"], "expected_profit"]),
    "Segment now": of_one(lambda row: row["segment"]),
    "Segment one month before": of_one(lambda row: row["previous_segment"]),
    "Expected value with range": of_one(value_and_range),
    "Reasons": of_one(lambda row: "; ".join(row[["main_reason", "second_reason"]].dropna()) or None),
    "Model AUC, low": metric("logistic_regression", "roc_auc", "low"),
    "Doublings of the odds": lambda s: (odds := one_row("terms", "odds_ratio", STEP)(s)) and np.log2(odds),
    "Odds in words": odds_in_words,
    "Quality rows": one_row("quality", "rows", "fact_quality[Check]"),
    "Quality amount": one_row("quality", "amount", "fact_quality[Check]"),
}
TRUTH["Perfect calibration"] = TRUTH["Predicted churn"]
for base in ("Net revenue", "Completed orders", "Average order value", "Active customers"):
    TRUTH[f"{base}, latest month"] = lambda s, of=TRUTH[base]: of(s.months_back(0))
    for words, n in (("month", 1), ("year", 12)):
        TRUTH[f"{base}, vs {words} before"] = lambda s, of=TRUTH[base], n=n: change(
            of(s.months_back(0)), of(s.months_back(n))
        )
for base in ("Net revenue", "Active customers", "New customers", "Returning customers"):
    TRUTH[f"{base}, complete months"] = in_months(base, True)
TRUTH["Net revenue, month in progress"] = in_months("Net revenue", False)
TRUTH |= sentences(TRUTH)


# --- the files, with the report's names of their columns beside their own ---

SHOWN = {  # which column of which file the report's is
    "customers": {
        "country": "dim_country[Country]",
        "segment": "dim_segment[Segment]",
        "customer_id": "dim_customer[Customer]",
        "acquisition_channel": "dim_customer[Acquisition channel]",
        "cohort_month": "dim_customer[First order month]",
        "first_category": "dim_customer[First category]",
        "r_score": "dim_customer[Recency score]",
        "f_score": "dim_customer[Frequency score]",
        "previous_segment": "dim_customer[Segment a month before]",
        "rank": "dim_customer[Rank]",
        "churn_probability": "dim_customer[Churn probability]",
        "risk_band": "dim_customer[Risk band]",
        "contact": "dim_customer[Contact]",
        "main_reason": "dim_customer[Main reason]",
        "second_reason": "dim_customer[Second reason]",
    },
    "kpis": {"month": "dim_month[Month]", "label": "dim_month[Month name]"},
    "shown": {"shown": "what_to_show[Shown]"},
    "axis": {"since": SINCE},
    "drivers": {
        "month": "dim_month[Month]",
        "label": "dim_month[Month name]",
        "country": "dim_country[Country]",
        "channel": "fact_drivers[Order channel]",
        "category": "fact_drivers[Category]",
    },
    "repurchase": {
        "order_number": "fact_repurchase[Order number]",
        "first_category": "fact_repurchase[First category]",
        "within_days": "fact_repurchase[Within days]",
    },
    "moves": {
        "month": "dim_month[Month]",
        "label": "dim_month[Month name]",
        "to_segment": SEGMENT,
        "from_segment": "fact_moves[From segment]",
    },
    **{name: {name: field} for name, field in WHAT_IF.items()},
    "curve": {"customers_contacted": "fact_profit_curve[Customers contacted]"},
    "forecast": {"window_start": "fact_forecast[Window start]"},
    "metrics": {
        "model": "fact_metrics[Model]",
        "population": "fact_metrics[Customers tested]",
        "metric": "fact_metrics[Metric]",
    },
    "tenths": {"bin": "fact_calibration[Tenth of customers]"},
    "terms": {"meaning": STEP},
    "quality": {"check": "fact_quality[Check]", "status": "fact_quality[Status]"},
}


def field_and_values(column: str, values: list[str]) -> tuple[str, list[str]]:
    """A choice by a column of the CSV files, as the report has it."""
    if column == "month":
        return SHOWN["kpis"]["label"], [f"{pd.Timestamp(month):%b %Y}" for month in values]
    return SHOWN["customers"][column], values


IN_REPORT = {  # the CHOICES of both dashboards
    words: dict(field_and_values(*each) for each in choice.items()) for words, choice in CHOICES.items()
}


def to_try(campaign: pd.Series) -> dict[str, pd.DataFrame]:
    """What of a campaign a reader can choose."""
    times = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5)
    usual = {"success_rate": (1, 2, 5, 10, 15, 20, 30, 50), "margin": range(5, 101, 5)}
    costs = {name: {campaign[name] * n for n in times} for name in ("contact_cost", "offer_cost")}
    rates = {name: {campaign[name], *(n / 100 for n in percents)} for name, percents in usual.items()}
    return {name: pd.DataFrame({name: sorted(values)}) for name, values in (costs | rates).items()}


def load_files(folder: Path) -> dict[str, pd.DataFrame]:
    """The CSV files by short names, customers' and guests' joined by hand."""

    def load(name: str, *days: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"{name}.csv", parse_dates=list(days), dtype={"customer_id": str})

    customers = load("customers", "cohort_month")
    for name in ("rfm_analysis", "churn_predictions", "customer_value"):
        found = load(name).drop(columns=["as_of", "last_order_date"], errors="ignore")
        found = found.drop(columns="segment") if name == "churn_predictions" else found
        customers = customers.merge(found, how="left", on="customer_id")
    customers = customers.fillna({"segment": "No order yet", "risk_band": "not predicted", "contact": "no"})
    traits = ["country", "segment", "acquisition_channel", "cohort_month", "risk_band", "contact"]
    months = load("customer_months", "month").merge(customers[["customer_id", *traits]], on="customer_id")
    guests = load("guest_months", "month").assign(segment="Guests", acquisition_channel="Guests", customer_id="-")
    guests = guests.assign(risk_band="not predicted", contact="no")
    months = pd.concat([months, guests]) if len(guests) else months
    first = months["cohort_month"].dt
    months["since"] = 12 * (months["month"].dt.year - first.year) + months["month"].dt.month - first.month
    files = {
        "customers": customers,
        "months": months,
        "kpis": load("monthly_kpis", "month"),
        "shown": pd.DataFrame({"shown": ["Net revenue", "Customers"]}),
        "axis": pd.DataFrame({"since": range(len(load("monthly_kpis")))}),
        "drivers": load("revenue_drivers", "month"),
        "segments": load("segments"),
        "moves": load("segment_moves", "month"),
        "repurchase": load("repurchase"),
        "runs": load("runs", "as_of"),
        "curve": load("churn_profit_curve"),
        "forecast": load("revenue_forecast", "window_start").query("part == 'all'"),
        "metrics": load("churn_model_metrics"),
        "tenths": load("churn_calibration"),
        "terms": load("churn_coefficients"),
        "quality": load("data_quality"),
        "campaign": load("campaign"),
    }
    files |= to_try(files["campaign"].iloc[0])
    for name, frame in files.items():
        if "month" in frame:
            frame["label"] = frame["month"].dt.strftime("%b %Y")
        shown = SHOWN.get(name) or {**SHOWN["customers"], **SHOWN["drivers"]}
        for column, field in shown.items():
            if column in frame:
                frame[field] = frame[column].str.replace("_", " ") if name == "metrics" else frame[column]
        if name in ("months", "drivers"):  # long, and read often
            files[name] = frame.astype(dict.fromkeys(frame.select_dtypes("str"), "category"))
    return files


# --- the pages ---


def names(visual: Visual, kind: str) -> list[str]:
    """What a visual shows: columns as table[name], or names of measures."""
    return [field.name for field in visual.fields(kind)]


def kept_by(visual: Visual, files: dict[str, pd.DataFrame]) -> dict[str, list]:
    """What the visual's own filters of columns let through."""
    kept = {}
    for field, way, query in visual.filters:
        if field.kind == "Measure":
            continue
        values = pd.Series(values_of(field.name, files))
        if way == "TopN":
            where = first_of(query, values, partial(aggregate, files, field.name))
        else:
            where = reduce(and_, (passes(each["Condition"], values) for each in query["Where"]))
        kept[field.name] = [*values[where]]
    return kept


def aggregate(files: dict[str, pd.DataFrame], field: str, dax: str, value):
    """What a field's values are ranked by: a measure, or an aggregate of a column of the same file."""
    if dax.startswith("["):
        return TRUTH[dax[1:-1]](Selection(files, {field: [value]}))
    name, column = dax[:-1].split("(")
    frame = next(frame for frame in files.values() if field in frame and column in frame)
    return getattr(frame.loc[frame[field] == value, column], name.lower())()


def values_of(field: str, files: dict[str, pd.DataFrame]) -> list:
    """What a column holds, the most frequent first."""
    return next([*frame[field].value_counts().index] for frame in files.values() if field in frame)


def chosen_by(slicer: Visual, files: dict[str, pd.DataFrame]) -> Choice:
    """One choice of a slicer: what it lets through in the model, and which rows it is of.

    A list of values, as a reader picks one. A range of days, from the second day of a month on: of rows that are
    months it is meant to keep this month.
    """
    (field,) = names(slicer, "Column")
    values = values_of(field, files)
    if slicer.mode == "Between":
        days = sorted(values)
        start = days[len(days) // 2] + pd.Timedelta(days=1)
        return {field: [day for day in days if day >= start]}, {field: days[len(days) // 2 :]}
    return {field: values[:1]}, {field: values[:1]}


def points(columns: list[str], rows: Selection) -> list[dict[str, list]]:
    """The total, and up to four cells of a visual with these columns."""
    held = [name for name, frame in rows.files.items() if any(column in frame for column in columns)]
    some = {}
    for column in columns:
        frame = getattr(rows, next(name for name in held if column in rows.files[name]))
        values = frame[column].dropna().unique()
        some[column] = [values[len(values) // 3], values[-1 - len(values) // 4]] if len(values) else []
    cells = [dict(zip(some, ([value] for value in cell), strict=True)) for cell in product(*some.values())]
    return [{}, *cells[:4]] if columns else [{}]


def same(found, expected) -> bool:
    if found is None or pd.isna(found):
        return expected is None or pd.isna(expected)
    if expected is None or isinstance(found, pd.Timestamp | str):
        return found == expected
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def both(*choices: dict[str, list]) -> dict[str, list]:
    """What all of them let through."""
    found: dict[str, list] = {}
    for choice in choices:
        for field, values in choice.items():
            found[field] = [value for value in values if field not in found or value in found[field]]
    return found


def choices(page: str, files: dict[str, pd.DataFrame]) -> Iterator[tuple[str, dict[str, Choice]]]:
    """What readers choose on a page, in words, by slicer: nothing, a value of each, and the CHOICES."""
    slicers = {slicer.name: slicer for slicer in PAGES[page].slicers}
    yield "nothing", {}
    for name, slicer in slicers.items():
        yield name, {name: chosen_by(slicer, files)}
    fields = {name: names(slicer, "Column")[0] for name, slicer in slicers.items()}
    for words, wanted in IN_REPORT.items():
        kept = {name: {field: wanted[field]} for name, field in fields.items() if field in wanted}
        yield words, {name: (choice, choice) for name, choice in kept.items()}


def cases(page: str, files: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, dict[Column, list], Selection]]:
    """Where a page shows a figure: in words, the measure, the filters that reach it, and the rows it is of."""
    found = PAGES[page]
    shown = [visual for visual in found.visuals if visual.fields("Measure")]
    for (words, choice), visual in product(choices(page, files), shown):
        reaching = [each for name, each in choice.items() if (name, visual.name) not in found.apart]
        passed, meant = (both(*(each[n] for each in reaching)) for n in (0, 1))
        own = kept_by(visual, files)
        columns = [
            field for field in names(visual, "Column") if field not in (CUSTOMER, "dim_segment[What to do]")
        ]
        for cell in points(columns, Selection(files, both(own, meant))):
            filters = {split(field): values for field, values in both(own, passed, cell).items()}
            for measure in names(visual, "Measure"):
                where = f"{words}, {visual.name}, {cell}: {measure}"
                yield where, measure, filters, Selection(files, both(own, meant, cell))


def differences(files: dict[str, pd.DataFrame], model: Model, page: str) -> Iterator[str]:
    """What a page says that the rows do not."""
    compared = 0
    for where, measure, filters, rows in cases(page, files):
        found, expected = model.value(f"[{measure}]", filters), TRUTH[measure](rows)
        compared += 1
        if not same(found, expected):
            yield f"{where} is {found}, not {expected}"
    print(f"{page}: {compared} figures compared")


@cache
def load_both(folder: Path) -> tuple[dict[str, pd.DataFrame], Model]:
    return load_files(folder), load_model(folder)


def with_guests(source: Path, place: Path) -> Path:
    """The files of a shop, with orders of guests in a known and an unknown country."""
    for path in source.glob("*.csv"):
        shutil.copy(path, place)
    (place / "guest_months.csv").write_text(GUESTS, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def folder(shop, tmp_path_factory) -> Path:
    return with_guests(shop[0], tmp_path_factory.mktemp("guests"))


@pytest.mark.parametrize("page", ORDER)
def test_each_figure_of_a_page_is_that_of_the_rows_chosen(page, folder):
    assert not [*differences(*load_both(folder), page)]


PUT_BACK = {  # page, measures as they once were
    "whom to contact, of all customers whatever is chosen": (
        "churn",
        {
            "Customers worth contacting": "CALCULATE(MAX(fact_profit_curve[Customers contacted]), "
            "fact_profit_curve[is_best] = TRUE())"
        },
    ),
    "those at high risk, whatever band is chosen": (
        "churn",
        {"Customers at high risk": 'CALCULATE([Customers predicted], dim_customer[Risk band] = "high")'},
    ),
    "shares of the customers of all countries": (
        "segments",
        {"Share of customers": "DIVIDE([Customers], CALCULATE([Customers], REMOVEFILTERS(dim_customer)))"},
    ),
    "retention over all months, that of the first order among them": (
        "retention",
        {
            "Retention, month 1": "DIVIDE(CALCULATE(COUNTROWS(fact_months), "
            "fact_months[months_since_first] >= 0), 36 * [Customers])"
        },
    ),
    "one sum of a metric over all models": (
        "model_and_data_quality",
        {"Metric value": "MAX(fact_metrics[value])"},
    ),
}


@pytest.mark.parametrize("page, measures", PUT_BACK.values(), ids=PUT_BACK)
def test_what_once_misled_would_be_seen(page, measures, folder):
    files, model = load_both(folder)
    before = Model(model.tables, RELATIONSHIPS, model.measures | measures)
    assert next(differences(files, before, page), None)


def test_a_country_that_moves_a_part_of_a_page_would_be_seen(folder):
    files, model = load_both(folder)
    apart = [each for each in RELATIONSHIPS if each[:2] != ("dim_customer", "country")]
    assert next(differences(files, Model(model.tables, apart, model.measures), "overview"), None)


def test_no_slicer_cuts_a_month_in_two():
    """A range of days would leave out the month that it begins in, whose row is its first day."""
    for page in ORDER:
        for slicer in PAGES[page].slicers:
            assert slicer.mode in ("Dropdown", "Basic"), slicer.name


@pytest.mark.slow
@pytest.mark.parametrize("page", ORDER)
def test_so_it_is_in_a_shop_without_countries_and_channels(page, cdnow):
    """CDNOW's log has neither; nobody there is worth more than one contact."""
    assert not [*differences(*load_both(cdnow[0]), page)]
