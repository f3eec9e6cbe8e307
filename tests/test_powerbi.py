"""The Power BI project agrees with the CSVs, with the KPI dictionary and with itself."""

import json
import re
import shutil

import pandas as pd
import pytest
from conftest import ROOT, SCRIPTS, load_csv
from dax import Model
from report import Field, passes, read_json, read_report
from star import DEFINITION, M_TYPES, MEASURES, PAIR, READ, RELATIONSHIPS, TMDL, frames, load_model, objects

from pulse.contacts import GONE

PROJECT = ROOT / "powerbi"
REPORT = PROJECT / "ECommercePulse.Report" / "definition"
NOT_READ = {"cohort_retention", "cohort_breakdown", "rfm_score_bands"}  # computed from months and customers


@pytest.fixture(scope="module")
def tables(shop) -> dict[str, pd.DataFrame]:
    return frames(shop[0])


@pytest.fixture(scope="module")
def model(shop) -> Model:
    return load_model(shop[0])


# --- columns, keys and months ---


def test_every_file_is_in_the_model_and_each_column_has_its_type(shop, tables):
    read = {file for tmdl in TMDL.values() for file, _, _ in READ.findall(tmdl)}
    assert {path.stem for path in shop[0].glob("*.csv")} == read | NOT_READ
    kinds = {"dateTime": "M", "int64": "i", "double": "if", "boolean": "b"}
    for table, frame in tables.items():
        typed = dict(pair for _, columns, _ in READ.findall(TMDL[table]) for pair in PAIR.findall(columns))
        fields = {f.source: f for f in objects(table, "column").values() if "sourceColumn" in f.lines}
        assert sorted(fields) == sorted(frame), table
        for name, field in fields.items():
            kind = re.search(r"dataType: (\w+)", field.lines)[1]
            assert M_TYPES[typed[name]] == kind if name in typed else kind in ("int64", "string"), (
                f"{table}[{name}]"
            )
            if kind != "string" and len(frame):
                found = frame[name].convert_dtypes()  # whole numbers among blanks are whole
                assert found.dtype.kind in kinds[kind], f"{table}[{name}]"


def test_the_folder_is_read_in_one_place_whatever_its_end_and_the_language_of_windows():
    text = (DEFINITION / "expressions.tmdl").read_text(encoding="utf-8")
    sources = re.findall(r"(?:File|Folder|SharePoint|Web)\.\w+\(", text + "".join(TMDL.values()))
    assert sources == ["SharePoint.Files(", "Folder.Contents("]
    assert 'Text.TrimEnd(Text.Trim(DataFolder, {" ", """"}), {"\\", "/"})' in text
    assert 'Table.TransformColumnTypes(Blanks, columns, "en-US")' in text
    assert not any("TransformColumnTypes" in tmdl for tmdl in TMDL.values())
    script_3 = {"churn_predictions", "churn_model_metrics", "churn_calibration", "churn_coefficients"}
    script_3 |= {"churn_profit_curve", "campaign", "revenue_forecast", "customer_value"}
    for tmdl in TMDL.values():
        for file, _, needed in READ.findall(tmdl):
            assert needed == ("false" if file in script_3 else "true"), file


def test_whoever_has_not_run_script_3_sees_the_pages_of_script_2(shop, tmp_path):
    """An absent file of script 3 is a table without rows; one of script 2 is an error."""
    for path in shop[0].glob("*.csv"):
        if not path.stem.startswith("churn_") and path.stem not in (
            "campaign",
            "revenue_forecast",
            "customer_value",
        ):
            shutil.copy(path, tmp_path)
    found = load_model(tmp_path)
    assert found.value("[Customers]") == 4824
    assert found.value("[Customers predicted]") is None
    assert found.value("[Customers worth contacting]") is None
    assert found.value("[Campaign profit]") is None
    assert found.value("[Contact cost used]") is None
    assert found.value("COUNTROWS(what_if_margin)") is None
    assert found.value("COUNTROWS(dim_customer)", {("dim_customer", "Risk band"): ["not predicted"]}) == 5000
    (tmp_path / "guest_months.csv").unlink()
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path)


def test_what_is_shown_is_described_and_what_is_hidden_stays_out_of_excel():
    for table, tmdl in TMDL.items():
        assert tmdl.startswith("/// "), table
        fields = objects(table, "column")
        orders = {name for f in fields.values() for name in re.findall(r"sortByColumn: '?([^'\n]+)", f.lines)}
        for name, field in fields.items():
            if "isHidden" in field.lines:
                assert ("isAvailableInMdx: false" in field.lines) == (name not in orders), f"{table}[{name}]"
            else:
                assert field.says.endswith("."), f"{table}[{name}]"
                assert "_" not in name, f"{table}[{name}]"
        assert table == "_Measures" or not objects(table, "measure")
    assert all(field.says.endswith(".") for field in MEASURES.values())


def test_segments_bands_and_months_are_in_order(churn, tables):
    bands = ", ".join(f'"{name}"' for name in (*churn.RISK_BANDS, GONE, "not predicted"))
    assert f"List.PositionOf({{{bands}}}, [risk_band])" in TMDL["dim_customer"]
    for table, column, order in (
        ("dim_customer", "Risk band", "risk_band_order"),
        ("dim_customer", "Segment a month before", "previous_segment_order"),
        ("dim_segment", "Segment", "segment_order"),
        ("dim_month", "Month name", "Month"),
    ):
        fields = objects(table, "column")
        assert f"sortByColumn: {order}\n" in fields[column].lines
        pairs = tables[table][[fields[column].source, fields[order].source]].drop_duplicates()
        assert pairs[fields[column].source].is_unique  # the engine refuses two places of one value
    assert list(tables["dim_segment"].sort_values("segment_order")["segment"])[-2:] == ["No order yet", "Guests"]


def test_filters_go_from_dimensions_to_facts_along_whole_keys(model):
    """That the keys meet, the emulator checks: it refuses a model in which they do not."""
    text = (DEFINITION / "relationships.tmdl").read_text(encoding="utf-8")
    assert "crossFilteringBehavior" not in text
    assert "Cardinality" not in text
    assert {(one, key) for _, _, one, key in RELATIONSHIPS} == {
        ("dim_customer", "Customer"),
        ("dim_segment", "Segment"),
        ("dim_country", "Country"),
        ("dim_month", "Month"),
    }
    for many, column, one, key in RELATIONSHIPS:
        assert "isKey" in objects(one, "column")[key].lines
        assert "isHidden" in objects(many, "column")[column].lines


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
            found = objects(table, kind.lower())
            assert name in found, f"{path.parent.name}: {table}[{name}]"
            assert "isHidden" not in found[name].lines, f"{path.parent.name}: {table}[{name}]"


def test_the_list_holds_the_first_500_worth_contacting_by_rank():
    (listed,) = [v for page in read_report().pages for v in page.visuals if v.name == "churn_list"]
    ((order, downwards),) = listed.sort
    assert (order.name, downwards) == ("Contact rank", False)
    (kept,) = listed.filters
    assert kept.field.name == "Contact rank"
    (where,) = kept.query["Where"]
    ranks = pd.Series([None, 1, 500, 501], dtype=float)
    assert list(passes(where["Condition"], ranks)) == [False, True, True, False]


def test_pages_in_order_with_unique_names_and_alt_texts():
    report = read_report()
    order = ["start", "overview", "segments", "retention", "churn", "model_and_data_quality", "customer"]
    assert [page.name for page in report.pages] == order
    assert read_json(REPORT / "pages" / "pages.json")["activePageName"] == "start"
    assert {path.name for path in (REPORT / "pages").iterdir() if path.is_dir()} == set(order)
    visuals = [visual for page in report.pages for visual in page.visuals]
    assert len({visual.name for visual in visuals}) == len(visuals)
    for page in report.pages:
        assert [v.at["tabOrder"] for v in page.visuals] == [1000 * (n + 1) for n in range(len(page.visuals))]
    for path in REPORT.rglob("visual.json"):
        assert read_json(path)["name"] == path.parent.name
        assert len(path.parent.name) <= 50
    for visual in visuals:
        assert len(visual.wears("general", "altText", "")) > 10, visual.name


def test_each_page_says_what_it_is_of_and_how_to_get_on():
    """A question, its answer, the shop and the day; buttons to the pages; what takes choices back."""
    for page in read_report().pages:
        kinds = [visual.kind for visual in page.visuals]
        assert kinds.count("pageNavigator") == 1, page.name
        assert [v.name for v in page.visuals if "Shop and day" in [f.name for f in v.fields("Measure")]], page.name
        if page.name == "start":
            continue
        (header,) = [v for v in page.visuals if v.name == f"{page.name}_header"]
        assert header.wears("title", "text").endswith("?"), page.name
        assert header.wears("subTitle", "text").name.startswith("Insight, "), page.name
        links = [v.wears("visualLink", "type") for v in page.visuals if v.kind == "actionButton"]
        assert links == (["Back"] if page.name == "customer" else ["ClearAllSlicers"]), page.name


def test_a_slicer_of_several_pages_is_one():
    """Their choices are synchronised, and they lie at the same place."""
    found: dict[str, set] = {}
    for page in read_report().pages:
        for slicer in page.slicers:
            (column,) = slicer.fields("Column")
            group = slicer.body.get("syncGroup", {}).get("groupName")
            found.setdefault(column.name, set()).add((group, page.name, slicer.left))
    for column, places in found.items():
        if len(places) > 1:
            assert len({(group, left) for group, _, left in places}) == 1, column
            assert None not in {group for group, _, _ in places}, column


def test_what_cannot_follow_a_slicer_says_so():
    for page in read_report().pages:
        for _, name in page.apart:
            (visual,) = [each for each in page.visuals if each.name == name]
            titles = [visual.wears(part, "text") for part in ("title", "subTitle")]
            words = " ".join(MEASURES[t.name].source if isinstance(t, Field) else t or "" for t in titles)
            assert re.search(r"\ball (customers|acquisition channels and segments)", words), name


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
    rows = re.findall(r"^\| (?!measure|---)([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, flags=re.MULTILINE)
    folders = {name: re.search(r"displayFolder: (.+)", field.lines)[1] for name, field in MEASURES.items()}
    assert rows == [(name, field.says[:-1], folders[name]) for name, field in MEASURES.items()]


def test_measures_over_everything_are_what_the_scripts_print(model, shop):
    said = "".join(shop[1][script] for script in SCRIPTS)
    for measure, pattern, rounding in (
        ("Net revenue", r"net revenue ([\d,.]+):", 0.005),
        ("Revenue so far", r"net revenue ([\d,.]+):", 0.005),
        ("Completed orders", r"([\d,]+) orders completed", 0),
        ("Customers", r"([\d,]+) customers' RFM", 0),
        ("New customers", r"([\d,]+) customers' RFM", 0),
        ("Expected revenue", r"([\d,]+) \(.+\) of it of today's customers", 0.5),
        ("Customers worth contacting", r"the first ([\d,]+) of", 0),
        ("Campaign profit", r"worth ([\d,]+)\n", 0.5),
    ):
        printed = float(re.search(pattern, said)[1].replace(",", ""))
        assert model.value(f"[{measure}]") == pytest.approx(printed, abs=rounding or 1e-9), measure
    for measure, pattern in (
        ("Model accuracy", r"logistic regression +([\d.]+)%"),
        ("Model calibration error", r"calibration error +([\d.]+)%"),
        ("Majority baseline", r"majority baseline +([\d.]+)%"),
        ("Recency rule accuracy", r"recency rule +([\d.]+)%"),
    ):
        assert 100 * model.value(f"[{measure}]") == pytest.approx(float(re.search(pattern, said)[1]), abs=0.05)
    day = pd.Timestamp(re.search(r"before (\d{4}-\d\d-\d\d)", said)[1])
    assert model.value("[Latest complete month]") == day - pd.DateOffset(months=1)


def test_each_month_is_that_of_monthly_kpis(model, shop):
    """Which script 2 computes another way."""
    months = load_csv(shop[0] / "monthly_kpis.csv")
    for row in months.itertuples():
        chosen = {("dim_month", "Month"): [pd.Timestamp(row.month)]}
        for measure, value in (
            ("Net revenue", row.net_revenue),
            ("Gross revenue", row.gross_revenue),
            ("Refunded", row.refunds),
            ("Completed orders", row.orders),
            ("Average order value", row.average_order_value),
            ("Active customers", row.active_customers),
            ("New customers", row.new_customers),
            ("Returning customers", row.returning_customers),
            ("Driver revenue", row.gross_revenue),
        ):
            assert (model.value(f"[{measure}]", chosen) or 0) == pytest.approx(value, abs=0.0051), (
                row.month,
                measure,
            )


def test_each_cell_of_a_cohort_is_that_of_cohort_retention_and_cohort_breakdown(model, shop):
    """A sample of cells, those in progress among them; the month slicer of another page does not touch them."""
    cells = load_csv(shop[0] / "cohort_retention.csv").assign(dimension="", value="")
    parts = load_csv(shop[0] / "cohort_breakdown.csv")
    columns = {
        "country": ("dim_country", "Country"),
        "acquisition_channel": ("dim_customer", "Acquisition channel"),
        "first_category": ("dim_customer", "First category"),
        "first_channel": ("dim_customer", "First channel"),
    }
    sample = pd.concat([cells[::23], parts[parts["value"] != "Other values"][::311]])
    for row in sample.itertuples():
        chosen = {
            ("dim_customer", "First order month"): [pd.Timestamp(row.cohort_month)],
            ("dim_since", "Months since first order"): [row.months_since_first],
            ("dim_month", "Month"): [pd.Timestamp("2025-12-01")],
        }
        if row.dimension:
            chosen[columns[row.dimension]] = [row.value]
        complete = row.cell_state == "complete"
        for measure, value in (
            ("Retention", row.retention_rate),
            ("Cumulative revenue per customer", row.cumulative_revenue_per_customer),
        ):
            found = model.value(f"[{measure}]", chosen)
            assert found == pytest.approx(value, abs=0.0051) if complete else found is None, (row, measure)


def test_slices_add_up_to_the_total(model):
    for column in (("dim_segment", "Segment"), ("dim_country", "Country"), ("dim_customer", "Risk band")):
        values = model.tables[column[0]][column[1]].unique()
        for measure in (
            "Net revenue",
            "Completed orders",
            "Customers",
            "Expected revenue",
            "Customers worth contacting",
        ):
            parts = sum(model.value(f"[{measure}]", {column: [value]}) or 0 for value in values)
            assert parts == pytest.approx(model.value(f"[{measure}]")), (column, measure)
    shares = [model.value("[Share of customers]", {("dim_segment", "Segment"): [value]}) or 0 for value in values]
    assert sum(shares) <= 1


def test_a_metric_is_written_as_what_it_is(model):
    """Customers and days are whole; over several metrics there is no figure."""
    at = [("fact_metrics", name) for name in ("Model", "Customers tested", "Metric")]
    form = re.search(r"formatStringDefinition = (.+)", MEASURES["Metric value"].lines)[1]
    for chosen, value, written in (
        (("logistic regression", "all", "customers"), 4457, "#,##0"),
        (("recency rule", "all", "threshold days"), 48, "#,##0"),
        (("logistic regression", "all", "accuracy"), 0.982724, "0.000"),
    ):
        filters = {column: [each] for column, each in zip(at, chosen, strict=True)}
        assert model.value("[Metric value]", filters) == value
        assert model.value(form, filters) == written
        assert model.value("[Metric value]", {at[2]: [chosen[2]]} if chosen[2] != "threshold days" else {}) is None


def test_a_shop_without_a_complete_month_has_no_latest_month(shop, model):
    early = model.tables["dim_month"].assign(**{"Is complete": False})
    found = Model(model.tables | {"dim_month": early}, RELATIONSHIPS, model.measures)
    for measure, field in MEASURES.items():
        is_figure = "formatString" in field.lines  # the texts say that there is none
        if is_figure and any(word in measure.lower() for word in ("latest", " before", "retention")):
            assert found.value(f"[{measure}]") is None, measure
