"""What the dashboard says in words: true under every choice, and said where there is nothing to show."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import load_csv
from dax import Model, split
from sentences import SENTENCES
from star import DEFINITION, MEASURES, load_model
from test_slicers import MONTH, SINCE, TRUTH, Selection, load_both, same, with_guests

ANALYSIS, CHURN = "2_data_analysis.py", "3_churn_model.py"
SCRIPT_3 = ("churn_*", "campaign", "revenue_forecast", "customer_value")
COUNTRY, SEGMENT, CHANNEL = "dim_country[Country]", "dim_segment[Segment]", "dim_customer[Acquisition channel]"
CUSTOMER, BAND, COHORT = "dim_customer[Customer]", "dim_customer[Risk band]", "dim_customer[First order month]"
SHOWN = "what_to_show[Shown]"
NUMBER, CATEGORY, DAYS = (f"fact_repurchase[{name}]" for name in ("Order number", "First category", "Within days"))
CHOICES: list[dict[str, list]] = [
    {},
    {COUNTRY: ["Germany"]},
    {COUNTRY: ["Germany"], SEGMENT: ["Champions"]},
    {COUNTRY: ["Poland"], CHANNEL: ["paid search"], MONTH: [pd.Timestamp("2025-12-01")]},
    {SEGMENT: ["Hibernating", "Lost"]},
    {SEGMENT: ["Guests"]},
    {SEGMENT: ["Guests"], COUNTRY: ["Germany"]},
    {SEGMENT: ["No order yet"]},
    {MONTH: [pd.Timestamp("2023-01-01")]},
    {MONTH: [pd.Timestamp("2023-12-01"), pd.Timestamp("2024-01-01")]},
    {MONTH: [pd.Timestamp("2026-01-01")]},  # no month of the shop
    {BAND: ["low"]},
    {BAND: ["high"], CHANNEL: ["referral"]},
    {BAND: ["gone"]},
    {BAND: ["not predicted"]},
    {COHORT: [pd.Timestamp("2025-12-01")]},
    {COHORT: [pd.Timestamp("2025-10-01"), pd.Timestamp("2025-06-01")]},
    {CUSTOMER: ["C00001653"]},
    {CUSTOMER: ["C00000002"]},
    {CUSTOMER: ["C00000033"]},  # who has not ordered
    {CUSTOMER: ["C00000001"], MONTH: [pd.Timestamp("2025-12-01")]},  # who changed segment
    {CUSTOMER: ["C00000028"]},  # who is new
    {CUSTOMER: ["C00000001", "C00000007"]},
    {SHOWN: ["Net revenue"]},
    {"fact_runs[Horizon in days]": [90]},  # script 3's row of runs.csv
    {"fact_runs[Time zone]": ["Asia/Tokyo"]},  # none of them
]


@pytest.fixture(scope="module")
def folder(shop, tmp_path_factory) -> Path:
    return with_guests(shop[0], tmp_path_factory.mktemp("guests"))


def ask(model: Model, measure: str, chosen: dict[str, list]):
    return model.value(f"[{measure}]", {split(field): values for field, values in chosen.items()})


def texts() -> list[str]:
    """The measures that are texts."""
    return [name for name, field in MEASURES.items() if "Words" in field.lines or "Titles" in field.lines]


@pytest.mark.parametrize(
    "chosen", [*CHOICES[:8], *(pytest.param(each, marks=pytest.mark.slow) for each in CHOICES[8:])], ids=str
)
def test_every_text_is_short_and_true_of_what_is_chosen(chosen, folder):
    files, model = load_both(folder)
    for measure in SENTENCES:
        said = ask(model, measure, chosen)
        assert said == TRUTH[measure](Selection(files, chosen)), measure
        assert 0 < len(said) <= (60 if measure.startswith("Title") else 150), measure


def test_every_text_has_its_truth():
    assert texts() == [name for name in MEASURES if name in SENTENCES]


# --- months, cohorts, order numbers ---


@pytest.fixture(scope="module")
def in_progress(folder, tmp_path_factory) -> Path:
    """The shop in the middle of December 2025."""
    place = copy(folder, tmp_path_factory.mktemp("in_progress"))
    edit(place, "monthly_kpis", lambda t: t.assign(is_complete=t["month"] < "2025-12"))
    return place


@pytest.mark.slow
@pytest.mark.parametrize("chosen", CHOICES, ids=str)
def test_the_month_in_progress_stands_apart(chosen, in_progress):
    files, model = load_both(in_progress)
    for measure in (*SENTENCES, *(name for name in MEASURES if name.endswith((" months", " in progress")))):
        assert same(ask(model, measure, chosen), TRUTH[measure](Selection(files, chosen))), measure
    whole, begun = (ask(model, f"Net revenue, {name}", {}) for name in ("complete months", "month in progress"))
    assert whole > begun > 0
    assert whole + begun == pytest.approx(ask(model, "Net revenue", {}))
    for measure in (name for name in MEASURES if name.endswith((" months", " in progress"))):
        at_last = measure.endswith("progress")
        assert ask(model, measure, {"dim_month[Is complete]": [at_last]}) is None
        assert ask(model, measure, {MONTH: [pd.Timestamp(f"2025-{11 if at_last else 12}-01")]}) is None


@pytest.mark.parametrize("shown", ["Customers", "Net revenue", None])
def test_a_cell_of_the_heat_map_is_what_is_to_be_shown(shown, in_progress):
    files, model = load_both(in_progress)
    for chosen in (
        {},
        {COUNTRY: ["Germany"]},
        {COHORT: [pd.Timestamp("2024-05-01")], MONTH: [pd.Timestamp("2024-06-01")]},
        {SEGMENT: ["Guests"]},
        {CUSTOMER: ["C00000002"]},  # who ordered once
    ):
        for since in (0, 1, 7, 19, 35):
            at = chosen | {SINCE: [since]} | ({SHOWN: [shown]} if shown else {})
            for measure in ("Cohort cell", "Revenue retention"):
                assert same(ask(model, measure, at), TRUTH[measure](Selection(files, at))), (measure, at)
    assert ask(model, "Cohort cell", {SINCE: [0]}) is None
    assert ask(model, "Revenue retention", {SINCE: [0]}) == 1
    assert ask(model, "Revenue retention", {}) is None


def test_revenue_retention_is_that_of_cohort_retention(in_progress):
    """A cell's net revenue beside the first cell's; none of months in progress."""
    cells = load_csv(in_progress / "cohort_retention.csv")
    first = cells[cells["months_since_first"] == 0].set_index("cohort_month")["net_revenue"]
    _, model = load_both(in_progress)
    for row in cells[cells["months_since_first"] > 0][::17].itertuples():
        chosen = {COHORT: [pd.Timestamp(row.cohort_month)], SINCE: [row.months_since_first]}
        found = ask(model, "Revenue retention", chosen)
        if row.activity_month == "2025-12-01":
            assert found is None
        else:
            assert found == pytest.approx(row.net_revenue / first[row.cohort_month])


def test_who_orders_again_is_said_of_one_order_number_and_number_of_days(folder):
    files, model = load_both(folder)
    rows = files["repurchase"]
    one = {NUMBER: ["1"], DAYS: [90]}
    for chosen in (
        one,
        one | {CATEGORY: ["Fashion"]},
        one | {CATEGORY: ["Fashion", "Books"]},
        {NUMBER: ["2"], DAYS: [30]},
        {NUMBER: ["4 and more"], DAYS: [30]},
        {NUMBER: ["1", "2"], DAYS: [90]},
        {NUMBER: ["1"]},
        {},
    ):
        for measure, column in (
            ("Share that ordered again", "share"),
            ("Share, low limit", "low"),
            ("Share, high limit", "high"),
        ):
            found = ask(model, measure, chosen)
            assert same(found, TRUTH[measure](Selection(files, chosen))), (measure, chosen)
            row = rows.query("order_number == '1' and within_days == 90 and first_category == 'All'")
            assert chosen != one or found == row[column].item()


# --- shops that have less ---


def copy(source: Path, place: Path) -> Path:
    for path in source.glob("*.csv"):
        shutil.copy(path, place)
    return place


def edit(folder: Path, name: str, change) -> None:
    """A CSV changed, all of its columns as texts."""
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    change(table).to_csv(folder / f"{name}.csv", index=False)


@pytest.fixture(scope="module")
def small(shop, tmp_path_factory) -> Path:
    """The shop with the customers of its first month alone."""
    place = copy(shop[0], tmp_path_factory.mktemp("small"))
    edit(place, "customers", lambda t: t[t["cohort_month"] == "2023-01-01"])
    ids = set(pd.read_csv(place / "customers.csv")["customer_id"])
    for name in ("rfm_analysis", "customer_months", "churn_predictions", "customer_value"):
        edit(place, name, lambda t: t[t["customer_id"].isin(ids)])
    return place


def without_row_of_script_3(folder: Path) -> None:
    edit(folder, "runs", lambda t: t[t["script"] != CHURN])


def without_script_3(folder: Path) -> None:
    for pattern in SCRIPT_3:
        for path in folder.glob(f"{pattern}.csv"):
            path.unlink()
    without_row_of_script_3(folder)


def in_runs(script: str, column: str, value: str):
    """runs.csv with another value in a script's row."""
    return lambda folder: edit(
        folder, "runs", lambda t: t.assign(**{column: t[column].mask(t["script"] == script, value)})
    )


def to_all(column: str, value: str, *names: str):
    """The same value in all rows of these files."""

    def change(folder: Path) -> None:
        for name in names:
            edit(folder, name, lambda t: t.assign(**{column: value}))

    return change


def one_month(folder: Path) -> None:
    for name in ("monthly_kpis", "customer_months", "revenue_drivers", "segment_moves"):
        edit(folder, name, lambda t: t[t["month"] == "2023-01-01"])


def begun(folder: Path) -> None:
    one_month(folder)
    edit(folder, "monthly_kpis", lambda t: t.assign(is_complete="False"))


def no_month_before(folder: Path) -> None:
    edit(folder, "customer_months", lambda t: t[t["month"] != "2025-11-01"])


def without_horizon(folder: Path) -> None:
    without_row_of_script_3(folder)
    edit(folder, "campaign", lambda t: t.assign(contact_cost="0", offer_cost="0"))


def too_young(folder: Path) -> None:
    edit(folder, "revenue_forecast", lambda t: t[:0])
    edit(folder, "repurchase", lambda t: t.assign(share=t["share"].where(t["first_category"] != "All", "")))


def cannot_rank(folder: Path) -> None:
    edit(folder, "churn_model_metrics", lambda t: t.assign(low="0.5"))


def nothing_sold(folder: Path) -> None:
    edit(folder, "customer_months", lambda t: t.assign(gross_revenue=0, refunds=0, net_revenue=0))


def more_back_than_sold(folder: Path) -> None:
    edit(folder, "customer_months", lambda t: t.assign(gross_revenue=100, refunds=-300, net_revenue=-200))


def header_only(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        path.write_text(path.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")


NOBODY, NOT_RUN = "No customers in this choice", "Script 3 has not run"
OTHER = (
    "simulated, seed 42 · as of 2026-01-01 · latest complete month Dec 2025 · churn figures are of other orders: "
)
OTHER += "run 3_churn_model.py again"
LESS = {  # what the files lack, and what is said of it
    "script 3 has not run": (
        without_script_3,
        {
            "Shop and day": "simulated, seed 42 · as of 2026-01-01 · latest complete month Dec 2025 · "
            "script 3 has not run",
            "Insight, churn": f"{NOT_RUN}: run 3_churn_model.py.",
            "Insight, model": f"{NOT_RUN}: run 3_churn_model.py.",
            "Title, list": f"{NOT_RUN}: no list",
            "Title, profit curve": f"{NOT_RUN}: no profit curve",
            "Title, forecast": f"{NOT_RUN}: no forecast",
            "Title, risk bands": f"{NOT_RUN}: no risk bands",
            "Title, reasons": f"{NOT_RUN}: no reasons",
            "Title, metrics": f"{NOT_RUN}: no test",
            "Title, calibration": f"{NOT_RUN}: no calibration",
            "Title, coefficients": f"{NOT_RUN}: no coefficients",
        },
    ),
    "other orders": (in_runs(CHURN, "orders_id", "0123456789abcdef"), {"Shop and day": OTHER}),
    "as many other orders": (in_runs(CHURN, "orders", "83441"), {"Shop and day": OTHER}),
    "orders of another day": (in_runs(CHURN, "as_of", "2025-12-01"), {"Shop and day": OTHER}),
    "orders with odd dates": (in_runs(CHURN, "odd_dates", "kept"), {"Shop and day": OTHER}),
    "script 2 was stopped": (
        in_runs(ANALYSIS, "state", "writing"),
        {
            "Shop and day": "simulated, seed 42 · as of 2026-01-01 · latest complete month Dec 2025 · "
            "script 2 has not finished: run 2_data_analysis.py again"
        },
    ),
    "script 3 was stopped": (
        in_runs(CHURN, "state", "writing"),
        {
            "Shop and day": "simulated, seed 42 · as of 2026-01-01 · latest complete month Dec 2025 · "
            "script 3 has not finished: run 3_churn_model.py again"
        },
    ),
    "a currency": (
        to_all("currency", "EUR", "runs"),
        {
            "Shop and day": "simulated, seed 42 · as of 2026-01-01 · EUR · latest complete month Dec 2025 · "
            "churn figures of the same orders"
        },
    ),
    "one month": (
        one_month,
        {
            "Latest month name": "Jan 2023",
            "Net revenue, changes": "none above 0 in Dec or Jan 2022",
            "Active customers, changes": "none above 0 in Dec or Jan 2022",
            "Insight, overview": "Net revenue was 14,987 in Jan 2023; refunds took 0.6%.",
            "Insight, retention": "Too early to say: no month after a first order is complete.",
            "Title, heat map": "Too early: no month after a first order is complete",
            "Title, retention by country": "Retention by country: too early to say",
            "Title, segment sizes": "Segments are known for the last 12 complete months alone",
        },
    ),
    "no complete month": (
        begun,
        {
            "Shop and day": "simulated, seed 42 · as of 2026-01-01 · no month is complete · "
            "churn figures of the same orders",
            "Latest month name": "no complete month",
            "Completed orders, changes": "no month is complete",
            "Insight, overview": "No month of this choice is complete: net revenue is 14,987 so far.",
            "Insight, retention": "Too early to say: no month after a first order is complete.",
        },
    ),
    "no sales in the month before": (
        no_month_before,
        {
            "Completed orders, changes": "none above 0 in Nov, -2.4% on Dec 2024",
            "Insight, overview": "Net revenue was 14,379 in Dec 2025, 3.5% above the year before; "
            "refunds took 1.5%.",
        },
    ),
    "a horizon that is not known": (
        without_horizon,
        {"Insight, churn": "Contact the first 22 of 130 customers: worth 0; 11 of revenue is at risk."},
    ),
    "too young to say": (
        too_young,
        {
            "Title, forecast": "No forecast: the shop is too young",
            "Title, repurchase": "Too early to say who orders again",
        },
    ),
    "no countries": (
        to_all("country", "Unknown", "customers", "revenue_drivers"),
        {"Title, by country": "Countries are not known", "Title, retention by country": "Countries are not known"},
    ),
    "no acquisition channels": (
        to_all("acquisition_channel", "Unknown", "customers"),
        {
            "Title, by channel": "Acquisition channels are not known",
            "Title, retention by channel": "Acquisition channels are not known",
        },
    ),
    "no first categories": (
        to_all("first_category", "Unknown", "customers"),
        {"Title, retention by first category": "First categories are not known"},
    ),
    "no channels": (
        to_all("channel", "Unknown", "revenue_drivers"),
        {
            "Title, by order channel": "Order channels are not known",
            "Title, by category": "Gross revenue by category",
        },
    ),
    "no categories": (
        to_all("category", "Unknown", "revenue_drivers"),
        {"Title, by category": "Categories are not known", "Title, by country": "Net revenue by country"},
    ),
    "nobody is worth a contact": (
        to_all("contact_cost", "1000", "campaign"),
        {
            "Insight, churn": "Contacting nobody pays with these costs; 11 of revenue is at risk.",
            "Title, list": "Contacting nobody pays with these costs",
        },
    ),
    "a model that ranks by chance": (
        cannot_rank,
        {
            "Insight, churn": "Contact nobody: the model ranks no better than chance; 11 of revenue is at risk.",
            "Title, list": "Contact nobody: the model ranks no better than chance",
        },
    ),
    "nobody at risk": (
        to_all("main_reason", "", "churn_predictions"),
        {"Title, reasons": "Nobody in this choice is at risk for a known reason"},
    ),
    "nothing sold": (
        nothing_sold,
        {
            "Net revenue, changes": "none above 0 in Nov or Dec 2024",
            "Insight, overview": "Net revenue was 0 in Dec 2025.",
            "Insight, segments": "Champions are 21.5% of customers; 29 customers changed segment within a month.",
        },
    ),
    "more given back than sold": (
        more_back_than_sold,
        {
            "Net revenue, changes": "none above 0 in Nov or Dec 2024",
            "Insight, overview": "Net revenue was -13,400 in Dec 2025; refunds took 300.0%.",
            "Insight, segments": "Champions are 21.5% of customers; 29 customers changed segment within a month.",
        },
    ),
    "nobody moved": (
        to_all("previous_segment", "", "rfm_analysis"),
        {"Title, movers": "Nobody changed segment within a month"},
    ),
    "no row": (
        header_only,
        {
            "Shop and day": "No data: set DataFolder, then Refresh",
            "Insight, overview": "No orders in this choice.",
            "Insight, segments": f"{NOBODY}.",
            "Insight, retention": f"{NOBODY}.",
            "Insight, churn": f"{NOT_RUN}: run 3_churn_model.py.",
            "Insight, customer": f"{NOBODY}.",
            "Title, by country": "No orders in this choice",
            "Title, repurchase": "Nobody has ordered yet",
        },
    ),
}


@pytest.mark.parametrize("change, said", LESS.values(), ids=LESS)
def test_a_shop_that_has_less_is_told_so(change, said, small, tmp_path):
    copy(small, tmp_path)
    change(tmp_path)
    model = load_model(tmp_path)
    assert {measure: ask(model, measure, {}) for measure in said} == said
    for measure in texts():
        assert 0 < len(ask(model, measure, {})) <= (60 if measure.startswith("Title") else 150), measure


def test_one_customer_has_a_sentence_without_script_3(small, tmp_path):
    without_script_3(copy(small, tmp_path))
    customer = load_csv(small / "rfm_analysis.csv").query("segment == previous_segment").iloc[0]
    said = ask(load_model(tmp_path), "Insight, customer", {CUSTOMER: [customer["customer_id"]]})
    assert said.endswith(f"; {customer['segment']}, as a month before."), said


def test_figures_of_a_model_without_rows_are_blank_or_0(small, tmp_path):
    header_only(copy(small, tmp_path))
    model = load_model(tmp_path)
    for measure in MEASURES.keys() - texts():
        assert ask(model, measure, {}) in (None, 0), measure


@pytest.mark.parametrize("contacts, said", [(500, "500 customers"), (501, "500 of 501 customers")])
def test_a_list_of_more_than_500_says_how_many_of_them_are_shown(contacts, said, folder, tmp_path):
    copy(folder, tmp_path)
    edit(tmp_path, "campaign", lambda t: t.assign(contact_cost="0", offer_cost="0"))
    listed = load_csv(folder / "churn_predictions.csv").query("risk_band != 'gone' and revenue_at_risk > 1")
    chosen = {CUSTOMER: [*listed["customer_id"][:contacts]]}
    assert ask(load_model(tmp_path), "Title, list", chosen) == f"Whom to contact, best first: {said}"


def test_a_segment_that_was_given_back_more_than_it_paid_has_a_share_below_0(small, tmp_path):
    copy(small, tmp_path)
    champions = load_csv(small / "rfm_analysis.csv").query("segment == 'Champions'")["customer_id"]
    edit(
        tmp_path,
        "customer_months",
        lambda t: t.assign(net_revenue=[-1 if each else 20 for each in t["customer_id"].isin(champions)]),
    )
    said = ask(load_model(tmp_path), "Insight, segments", {SEGMENT: ["Champions"]})
    assert said.startswith("Champions are 21.5% of customers and brought -"), said


def test_no_share_is_kept_of_a_first_month_that_brought_nothing(small, tmp_path):
    more_back_than_sold(copy(small, tmp_path))
    model = load_model(tmp_path)
    assert ask(model, "Revenue retention", {SINCE: [1]}) is None
    assert ask(model, "Retention", {SINCE: [1]}) > 0


def test_texts_are_written_in_english_everywhere():
    """FORMAT without a locale takes the model's culture, whatever the computer's is."""
    assert "\tculture: en-US\n" in (DEFINITION / "model.tmdl").read_text(encoding="utf-8")
