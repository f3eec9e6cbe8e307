"""Every figure on a page of the dashboard, under a choice of each slicer, equals pandas on the same rows."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial, reduce
from itertools import product
from operator import and_
from pathlib import Path

import pandas as pd
import pytest
from dax import Column, Model, split
from report import Visual, field_of, first_of, passes, read_report
from star import RELATIONSHIPS, load_model

PAGES = {page.name: page for page in read_report().pages}
ORDER = [*PAGES]
SEGMENT, MONTH, SINCE = "dim_segment[Segment]", "dim_month[Month]", "dim_since[Months since first order]"
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

    def at(self, field: str, value) -> "Selection":
        return Selection(self.files, self.chosen | {field: [value]})

    @property
    def last_month(self) -> pd.Timestamp:
        return self.kpis.loc[self.kpis["is_complete"], MONTH].max()

    def months_back(self, n: int) -> "Selection":
        return self.but("dim_month").at(MONTH, self.last_month - pd.DateOffset(months=n))

    @property
    def ordered(self) -> pd.DataFrame:
        """Months with an order of a customer."""
        return self.months[(self.months["orders"] > 0) & (self.months[SEGMENT] != "Guests")]

    def observed(self) -> "tuple[pd.DataFrame, pd.DataFrame, int] | None":
        """Customers whose month so many after the first has ended, all their months, and how many after."""
        if SINCE not in self.chosen:
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


def metric(model: str, name: str) -> Callable:
    def value(s: Selection):
        rows = s.files["metrics"].query("population == 'all'").set_index(["model", "metric"])
        return rows.loc[(model, name), "value"]

    return value


def one_row(file: str, column: str, *fields: str) -> Callable:
    """The value where these columns are down to one; else there is no figure to show."""

    def value(s: Selection):
        rows = getattr(s, file)
        return sum_of(rows[column]) if all(rows[field].nunique() == 1 for field in fields) else None

    return value


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
    "Customers predicted": lambda s: s.customers["rank"].count() or None,
    "Customers at high risk": lambda s: (s.customers["risk_band"] == "high").sum(),
    "Customers gone": lambda s: (s.customers["risk_band"] == "gone").sum(),
    "Expected revenue": lambda s: sum_of(s.customers["expected_revenue"]),
    "Revenue at risk": lambda s: sum_of(s.customers["revenue_at_risk"]),
    "Customers to contact": lambda s: (s.customers["contact"] == "yes").sum(),
    "Contact profit": lambda s: sum_of(s.customers.loc[s.customers["contact"] == "yes", "contact_profit"]),
    "Expected profit": one_row("curve", "expected_profit", "fact_profit_curve[Customers contacted]"),
    "Forecast revenue": one_row("forecast", "forecast", "fact_forecast[Window start]"),
    "Forecast low": one_row("forecast", "low", "fact_forecast[Window start]"),
    "Forecast high": one_row("forecast", "high", "fact_forecast[Window start]"),
    "Actual revenue": one_row("forecast", "actual", "fact_forecast[Window start]"),
    "Metric value": one_row(
        "metrics", "value", *(f"fact_metrics[{name}]" for name in ("Model", "Customers tested", "Metric"))
    ),
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
    "Odds ratio": one_row("terms", "odds_ratio", "fact_coefficients[Step]"),
    "Quality rows": one_row("quality", "rows", "fact_quality[Check]"),
    "Quality amount": one_row("quality", "amount", "fact_quality[Check]"),
}
for base in ("Net revenue", "Completed orders", "Average order value", "Active customers"):
    TRUTH[f"{base}, latest month"] = lambda s, of=TRUTH[base]: of(s.months_back(0))
    for words, n in (("month", 1), ("year", 12)):
        TRUTH[f"{base}, vs {words} before"] = lambda s, of=TRUTH[base], n=n: (
            (ratio(of(s.months_back(0)), of(s.months_back(n))) or float("nan")) - 1
        )


# --- the files, with the report's names of their columns beside their own ---

SHOWN = {  # which column of which file the report's is
    "customers": {
        "country": "dim_country[Country]",
        "segment": "dim_segment[Segment]",
        "customer_id": "dim_customer[Customer]",
        "acquisition_channel": "dim_customer[Acquisition channel]",
        "cohort_month": "dim_customer[First order month]",
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
    "axis": {"since": SINCE},
    "drivers": {
        "month": "dim_month[Month]",
        "label": "dim_month[Month name]",
        "country": "dim_country[Country]",
        "channel": "fact_drivers[Order channel]",
        "category": "fact_drivers[Category]",
    },
    "curve": {"customers_contacted": "fact_profit_curve[Customers contacted]"},
    "forecast": {"window_start": "fact_forecast[Window start]"},
    "metrics": {
        "model": "fact_metrics[Model]",
        "population": "fact_metrics[Customers tested]",
        "metric": "fact_metrics[Metric]",
    },
    "tenths": {"bin": "fact_calibration[Tenth of customers]"},
    "terms": {"meaning": "fact_coefficients[Step]"},
    "quality": {"check": "fact_quality[Check]", "status": "fact_quality[Status]"},
}


def load_files(folder: Path) -> dict[str, pd.DataFrame]:
    """The CSV files by short names, customers' and guests' joined by hand."""

    def load(name: str, *days: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"{name}.csv", parse_dates=list(days), dtype={"customer_id": str})

    customers = load("customers", "cohort_month")
    for name in ("rfm_analysis", "churn_predictions", "customer_value"):
        found = load(name).drop(columns=["as_of", "last_order_date"], errors="ignore")
        found = found.drop(columns="segment") if name == "churn_predictions" else found
        customers = customers.merge(found, how="left", on="customer_id")
    customers = customers.fillna({"segment": "No order yet"})
    traits = ["country", "segment", "acquisition_channel", "cohort_month", "risk_band", "contact"]
    months = load("customer_months", "month").merge(customers[["customer_id", *traits]], on="customer_id")
    guests = load("guest_months", "month").assign(segment="Guests", acquisition_channel="Guests", customer_id="-")
    months = pd.concat([months, guests]) if len(guests) else months
    first = months["cohort_month"].dt
    months["since"] = 12 * (months["month"].dt.year - first.year) + months["month"].dt.month - first.month
    files = {
        "customers": customers,
        "months": months,
        "kpis": load("monthly_kpis", "month"),
        "axis": pd.DataFrame({"since": range(len(load("monthly_kpis")))}),
        "drivers": load("revenue_drivers", "month"),
        "curve": load("churn_profit_curve"),
        "forecast": load("revenue_forecast", "window_start").query("part == 'all'"),
        "metrics": load("churn_model_metrics"),
        "tenths": load("churn_calibration"),
        "terms": load("churn_coefficients"),
        "quality": load("data_quality"),
    }
    for name, frame in files.items():
        if "month" in frame:
            frame["label"] = frame["month"].dt.strftime("%b %Y")
        shown = SHOWN.get(name) or {**SHOWN["customers"], **SHOWN["drivers"]}
        for column, field in shown.items():
            if column in frame:
                frame[field] = frame[column]
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
    for each in visual.filters:
        field = field_of(each["field"])
        if field.kind == "Measure" or "filter" not in each:
            continue
        values = pd.Series(values_of(field.name, files))
        if each["type"] == "TopN":
            measured = partial(aggregate, files, field.name)
            where = first_of(each["filter"], values, measured)
        else:
            where = reduce(and_, (passes(one["Condition"], values) for one in each["filter"]["Where"]))
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


def chosen_by(slicer: Visual, files: dict[str, pd.DataFrame]) -> tuple[dict[str, list], dict[str, list]]:
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
    if expected is None or isinstance(found, pd.Timestamp):
        return found == expected
    return found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def both(*choices: dict[str, list]) -> dict[str, list]:
    """What all of them let through."""
    found: dict[str, list] = {}
    for choice in choices:
        for field, values in choice.items():
            found[field] = [value for value in values if field not in found or value in found[field]]
    return found


def cases(page: str, files: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, dict[Column, list], Selection]]:
    """Where a page shows a figure: in words, the measure, the filters that reach it, and the rows it is of."""
    found = PAGES[page]
    shown = [visual for visual in found.visuals if visual.fields("Measure")]
    for slicer, visual in product((None, *found.slicers), shown):
        reached = slicer and (slicer.name, visual.name) not in found.apart
        passed, meant = chosen_by(slicer, files) if reached else ({}, {})
        own = kept_by(visual, files)
        columns = [field for field in names(visual, "Column") if field != "dim_customer[Customer]"]
        for cell in points(columns, Selection(files, both(own, meant))):
            filters = {split(field): values for field, values in both(own, passed, cell).items()}
            for measure in names(visual, "Measure"):
                where = f"{slicer and slicer.name}, {visual.name}, {cell}: {measure}"
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
            "Customers to contact": "CALCULATE(MAX(fact_profit_curve[Customers contacted]), "
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
