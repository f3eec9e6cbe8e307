"""The Power BI project agrees with the CSVs, with the KPI dictionary and with itself."""

import json
import re

import pandas as pd
import pytest
from conftest import ROOT, SCRIPTS
from dax import Model

from pulse.contacts import GONE

PROJECT = ROOT / "powerbi"
REPORT = PROJECT / "ECommercePulse.Report" / "definition"
TMDL = {
    path.stem: path.read_text(encoding="utf-8")
    for path in (PROJECT / "ECommercePulse.SemanticModel" / "definition" / "tables").glob("*.tmdl")
}
M_TYPES = {"type text": "string", "Int64.Type": "int64", "type number": "double", "type date": "dateTime"}
M_TYPES["type logical"] = "boolean"


def columns_of(table: str) -> dict[str, str]:
    """{column: dataType} of those that come from the CSV, not of those that the query adds."""
    found = re.findall(r"^\tcolumn (\w+)\n\t\tdataType: (\w+)$", TMDL[table], flags=re.MULTILINE)
    return {name: kind for name, kind in found if f'Table.AddColumn(Typed, "{name}"' not in TMDL[table]}


def measures_of(table: str) -> dict[str, tuple[str, str]]:
    """{measure: (DAX, description)}."""
    found = re.findall(
        r"^\t/// (.+)\n\tmeasure ('[^']+'|\w+) =(.*(?:\n\t\t\t.+)*)", TMDL[table], flags=re.MULTILINE
    )
    return {name.strip("'"): (re.sub(r"\n\t\t\t", "\n", dax).strip(), says) for says, name, dax in found}


MEASURES = {name: found for table in TMDL for name, found in measures_of(table).items()}


@pytest.fixture(scope="module")
def tables(shop) -> dict[str, pd.DataFrame]:
    """Each table of the model, from its CSV, typed as the model says."""
    frames = {}
    for table, tmdl in TMDL.items():
        source = re.search(r'DataFolder & "(\w+\.csv)"', tmdl)
        if source:
            kinds = columns_of(table)
            text = [name for name, kind in kinds.items() if kind == "string"]
            days = [name for name, kind in kinds.items() if kind == "dateTime"]
            frames[table] = pd.read_csv(shop[0] / source[1], dtype=dict.fromkeys(text, "str"), parse_dates=days)
    return frames


# --- columns, keys and dates ---


def test_every_column_of_every_csv_is_in_the_model_with_its_type(shop, tables):
    assert {path.name for path in shop[0].glob("*.csv")} == {
        f"{name}.csv" for tmdl in TMDL.values() for name in re.findall(r'DataFolder & "(\w+)\.csv"', tmdl)
    }
    kinds = {"dateTime": "M", "int64": "i", "double": "if", "boolean": "b"}
    for table, frame in tables.items():
        kind = columns_of(table)
        assert list(kind) == list(frame), table
        typed = dict(re.findall(r'\{"(\w+)", ([\w. ]+)\}', TMDL[table]))
        assert {name: M_TYPES[m] for name, m in typed.items()} == kind, table
        added = re.findall(r'Table.AddColumn\(Typed, "(\w+)"', TMDL[table])
        assert re.findall(r"sourceColumn: (\w+)", TMDL[table]) == [*frame, *added]
        assert '"en-US")' in TMDL[table]
        for name in frame:
            if kind[name] != "string" and len(frame):
                found = frame[name].convert_dtypes()  # whole numbers among blanks are whole
                assert found.dtype.kind in kinds[kind[name]], f"{table}[{name}]"


def test_risk_bands_are_in_rising_order_and_gone_is_last(churn):
    bands = ", ".join(f'"{name}"' for name in (*churn.RISK_BANDS, GONE))
    order = f'"risk_band_order", each List.PositionOf({{{bands}}}, [risk_band]), Int64.Type)'
    assert order in TMDL["fact_predictions"]
    assert "sourceColumn: risk_band\n\t\tsortByColumn: risk_band_order\n" in TMDL["fact_predictions"]


def test_relationships_hold_and_the_date_table_covers_every_date(tables):
    text = (PROJECT / "ECommercePulse.SemanticModel" / "definition" / "relationships.tmdl").read_text()
    pairs = re.findall(r"fromColumn: (\w+)\.(\w+)\n\ttoColumn: (\w+)\.(\w+)", text)
    assert len(pairs) == 6
    months = tables["fact_kpis"]["month"]
    days = pd.date_range(months.min(), months.max() + pd.offsets.MonthEnd())
    for table, column, to, key in pairs:
        ends = days if to == "dim_date" else tables[to][key]
        assert ends.is_unique
        assert set(tables[table][column]) <= set(ends), f"{table}[{column}]"
    assert "dataCategory: Time" in TMDL["dim_date"]
    assert "source = CALENDAR(MIN(fact_kpis[month]), EOMONTH(MAX(fact_kpis[month]), 0))" in TMDL["dim_date"]


# --- the report ---


def fields(node) -> set[tuple[str, str, str]]:
    """(Column or Measure, table, name) of every field below a JSON node."""
    if isinstance(node, list):
        return set().union(*map(fields, node))
    if not isinstance(node, dict):
        return set()
    found = set().union(*map(fields, node.values()))
    for kind in ("Column", "Measure"):
        if "Entity" in node.get(kind, {}).get("Expression", {}).get("SourceRef", {}):
            found.add((kind, node[kind]["Expression"]["SourceRef"]["Entity"], node[kind]["Property"]))
    return found


def test_every_field_of_every_visual_exists():
    for path in REPORT.rglob("visual.json"):
        for kind, table, name in fields(json.loads(path.read_text(encoding="utf-8"))):
            has = measures_of(table) if kind == "Measure" else re.findall(r"^\tcolumn (\w+)", TMDL[table], re.M)
            assert name in has, f"{path.parent.name}: {table}[{name}]"


def test_the_list_holds_whom_to_contact_in_the_order_of_their_rank(tables):
    """Its filter keeps the first rows of churn_predictions.csv, all that are to be contacted."""
    path = REPORT / "pages" / "churn" / "visuals" / "churn_customers_at_risk" / "visual.json"
    visual = json.loads(path.read_text(encoding="utf-8"))
    (kept,) = visual["filterConfig"]["filters"]
    (where,) = kept["filter"]["Where"]
    ((literal,),) = where["Condition"]["In"]["Values"]
    (sort,) = visual["visual"]["query"]["sortDefinition"]["sort"]
    assert sort["direction"] == "Ascending"
    (column,), (order,) = fields(kept["field"]), fields(sort["field"])
    listed = tables["fact_predictions"]
    chosen = listed[listed[column[2]] == literal["Literal"]["Value"].strip("'")].sort_values(order[2])
    assert len(chosen) > 0
    assert list(chosen["rank"]) == list(range(1, len(chosen) + 1))
    assert list(chosen.index) == list(listed[listed["contact_profit"] > 0].index)


def test_five_pages_in_order_with_unique_names_and_alt_texts():
    pages = json.loads((REPORT / "pages" / "pages.json").read_text())
    order = ["overview", "segments", "retention", "churn", "model_and_data_quality"]
    assert pages["pageOrder"] == order
    assert pages["activePageName"] == order[0]
    assert {path.name for path in (REPORT / "pages").iterdir() if path.is_dir()} == set(order)
    names = []
    for path in REPORT.rglob("visual.json"):
        visual = json.loads(path.read_text(encoding="utf-8"))
        names.append(visual["name"])
        assert visual["name"] == path.parent.name
        assert len(visual["name"]) <= 50
        container = visual["visual"]["visualContainerObjects"]
        assert len(container["general"][0]["properties"]["altText"]["expr"]["Literal"]["Value"]) > 10
    assert len(names) == len(set(names)) == 41


def test_no_file_has_a_byte_order_mark_a_carriage_return_or_this_folder():
    for path in PROJECT.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert not raw.startswith(b"\xef\xbb\xbf"), path
            assert b"\r" not in raw, path
            assert str(ROOT).encode() not in raw, path


# --- measures ---


def test_every_measure_is_in_the_dictionary_in_the_same_words():
    assert f"{len(MEASURES)} measures" in (ROOT / "docs" / "Setup.md").read_text(encoding="utf-8")
    dictionary = (ROOT / "docs" / "KPI_Dictionary.md").read_text(encoding="utf-8")
    section = dictionary.split("## Measures of the Power BI model")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!measure|---)([^|]+) \| ([^|]+) \| `(\w+)` \|$", section, flags=re.MULTILINE)
    assert {name: (says + ".", table) for name, says, table in rows} == {
        name: (says, table) for table in TMDL for name, (_, says) in measures_of(table).items()
    }


@pytest.fixture(scope="module")
def model(tables) -> Model:
    """The measures, as DAX that pandas computes."""
    return Model(tables, {name: dax for name, (dax, _) in MEASURES.items()})


@pytest.fixture(scope="module")
def truth(shop, tables) -> dict[str, float]:
    """Each measure over everything, as another file of the scripts has it, or as they printed it."""
    folder, printed = shop
    said = "".join(printed[script] for script in SCRIPTS)

    def number(pattern: str) -> float:
        return float(re.search(pattern, said)[1].replace(",", ""))

    cohorts, kpis, rfm = (tables[f"fact_{name}"] for name in ("cohorts", "kpis", "rfm"))
    drivers, listed, curve = (tables[f"fact_{name}"] for name in ("drivers", "predictions", "profit_curve"))
    quality = tables["fact_quality"].set_index("check")
    whole = tables["fact_forecast"].query("part == 'all'")
    parts = tables["fact_forecast"].query("part != 'all'")
    away = listed["customer_id"].map(rfm.set_index("customer_id")["recency_days"]) > 90
    by_month = cohorts.groupby("activity_month")[["active_customers", "orders", "net_revenue"]].sum()
    returning = cohorts[cohorts["months_since_first"] > 0].groupby("activity_month")["active_customers"].sum()
    by_month["gross"] = drivers.groupby("month")["revenue"].sum()
    latest = {
        "Net revenue": by_month["net_revenue"],
        "Completed orders": by_month["orders"],
        "Average order value": by_month["gross"] / by_month["orders"],
        "Active customers": by_month["active_customers"],
    }
    net, orders = number(r"net revenue ([\d,.]+):"), number(r"([\d,]+) orders completed")
    complete = cohorts[cohorts["cell_state"] == "complete"]
    gaps = complete["retention_rate"] * complete["cohort_size"]
    moved = rfm["previous_segment"].notna() & (rfm["segment"] != rfm["previous_segment"])
    cumulative = cohorts.sort_values("months_since_first").groupby("cohort_month")["net_revenue"].cumsum()
    known = pd.read_csv(folder / "churn_model_metrics.csv").query("population == 'all'")
    known = known.set_index(["model", "metric"])["value"]
    expected = {
        "Net revenue": net,
        "Gross revenue": drivers["revenue"].sum(),
        "Refunded": quality.loc["amount below 0: a refund", "amount"],
        "Completed orders": orders,
        "Average order value": drivers["revenue"].sum() / orders,
        "Active customers": by_month["active_customers"].mean(),
        "New customers": number(r"([\d,]+) customers' RFM"),
        "Returning customers": returning.reindex(by_month.index, fill_value=0).mean(),
        "Latest complete month": pd.Timestamp(re.search(r"before (\d{4}-\d\d-\d\d)", said)[1])
        - pd.DateOffset(months=1),
        "Driver revenue": kpis["gross_revenue"].sum(),
        "Driver units": drivers.groupby("category")["units"].sum().sum(),
        "Customers": number(r"([\d,]+) customers' RFM"),
        "Customer revenue": net,
        "Share of customers": 1,
        "Share of customer revenue": 1,
        "Revenue per customer": net / len(listed),
        "Repeat rate": 1 - (rfm["first_order_date"].eq(rfm["last_order_date"]) & rfm["frequency"].eq(1)).mean(),
        "Average recency": (pd.Timestamp("2026-01-01") - rfm["last_order_date"]).dt.days.mean(),
        "Average frequency": orders / len(listed),
        "Customers who moved": moved.sum(),
        "Cohort customers": len(rfm),
        "Retention": gaps.sum() / complete["cohort_size"].sum(),
        "Cumulative revenue per customer": cumulative.sum() / cohorts["cohort_size"].sum(),
        "Customers predicted": len(rfm),
        "Average churn probability": listed["churn_probability"].sum() / len(rfm),
        "Customers at high risk": ((listed["churn_probability"] >= 0.7) & ~away).sum(),
        "Expected revenue": number(r"([\d,]+) \(.+\) of it of today's customers"),
        "Revenue at risk": listed["revenue_at_risk"].sum(),
        "Contact profit": listed["contact_profit"].sum(),
        "Expected profit": sum(listed["contact_profit"].head(n).sum() for n in curve["customers_contacted"]),
        "Customers to contact": number(r"the first ([\d,]+) of"),
        "Best profit": number(r"worth ([\d,]+)\n"),
        "Forecast revenue": parts["forecast"].sum(),
        "Forecast low": whole["low"].sum(),
        "Forecast high": whole["high"].sum(),
        "Actual revenue": parts["actual"].sum(),
        "Coming forecast": number(r"Forecast +([\d,]+)"),
        "Coming forecast of known customers": listed["expected_revenue"].sum(),
        "Last forecast error": number(r"off by ([-+\d.]+)%") / 100,
        "Metric value": tables["fact_metrics"]["value"].max(),
        "Metric low": tables["fact_metrics"]["low"].max(),
        "Metric high": tables["fact_metrics"]["high"].max(),
        "Model accuracy": number(r"logistic regression +([\d.]+)%") / 100,
        "Model AUC": number(r"logistic regression +[\d.]+% +([\d.]+)"),
        "Model calibration error": number(r"calibration error +([\d.]+)%") / 100,
        "Majority baseline": number(r"majority baseline +([\d.]+)%") / 100,
        "Recency rule accuracy": number(r"recency rule +([\d.]+)%") / 100,
        "Predicted churn": tables["fact_calibration"]["mean_predicted"].mean(),
        "Observed churn": known.loc["logistic_regression", "churn_rate"],
        "Odds ratio": tables["fact_coefficients"]["odds_ratio"].max(),
        "Quality rows": tables["fact_quality"]["rows"].sum(),
        "Quality amount": tables["fact_quality"]["amount"].sum(),
    }
    for base, values in latest.items():
        expected[f"{base}, latest month"] = values.iloc[-1]
        expected[f"{base}, vs month before"] = values.iloc[-1] / values.iloc[-2] - 1
        expected[f"{base}, vs year before"] = values.iloc[-1] / values.iloc[-13] - 1
    return expected


PRINTED_ROUNDED = {  # to what the scripts print
    **dict.fromkeys(("Model accuracy", "Majority baseline", "Recency rule accuracy"), 0.0005),
    **dict.fromkeys(("Model AUC", "Model calibration error", "Last forecast error"), 0.0005),
    **dict.fromkeys(("Expected revenue", "Coming forecast", "Best profit"), 0.5),
    **dict.fromkeys(("Observed churn", "Retention", "Predicted churn"), 0.0005),
    "Cumulative revenue per customer": 0.005,
}


@pytest.mark.parametrize("name", list(MEASURES))
def test_a_measure_says_what_the_scripts_say(model, truth, name):
    found = model.value(name)
    if name == "Latest complete month":
        assert found == truth[name]
    else:
        assert found == pytest.approx(truth[name], rel=1e-6, abs=PRINTED_ROUNDED.get(name, 1e-6))


def test_measures_follow_what_is_selected(model, tables):
    """A month, a segment, a cohort and months since, a window: each as its row in the CSV says."""
    months = tables["fact_kpis"]
    for row in (months.iloc[5], months.iloc[-1]):
        chosen = model.tables | {"fact_kpis": months[months["month"] == row["month"]]}
        for measure, column in (
            ("Net revenue", "net_revenue"),
            ("Active customers", "active_customers"),
            ("Returning customers", "returning_customers"),
            ("Average order value", "average_order_value"),
        ):
            assert model.value(measure, chosen) == pytest.approx(row[column], abs=0.005)
    rfm = tables["fact_rfm"]
    champions = model.tables | {"fact_rfm": rfm[rfm["segment"] == "Champions"]}
    share = (rfm["segment"] == "Champions").mean()
    assert model.value("Share of customers", champions) == pytest.approx(share)
    cohorts = tables["fact_cohorts"]
    cell = cohorts[(cohorts["cohort_month"] == "2024-03-01") & (cohorts["months_since_first"] == 7)]
    assert model.value("Retention", model.tables | {"fact_cohorts": cell}) == pytest.approx(
        cell["retention_rate"].iloc[0], abs=1e-4
    )
    assert model.value("Cumulative revenue per customer", model.tables | {"fact_cohorts": cell}) == pytest.approx(
        cell["cumulative_revenue_per_customer"].iloc[0]
    )
    in_progress = model.tables | {"fact_cohorts": cohorts.assign(cell_state="in_progress")}
    assert model.value("Retention", in_progress) is None
