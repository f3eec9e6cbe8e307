"""The report is read and drawn as Power BI reads and draws it: formats, filters, orders, choices."""

import pandas as pd
import pytest
from draw import choices, draw_page
from report import Field, Filter, passes, read_report
from shown import abridged, kept_by, mix, show, written
from test_text_fit import MODEL, REVENUE, literal, looks, small_report, visual, write

NUMBERS = pd.Series([1.0, 2.0, None])


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1234.5, "#,##0", "1,235"),
        (-1234.567, "#,##0.00", "-1,234.57"),
        (0.0123, "0.0%", "1.2%"),
        (0.05, "+0.0%;-0.0%;0.0%", "+5.0%"),
        (-0.05, "+0.0%;-0.0%;0.0%", "-5.0%"),
        (0, "+0.0%;-0.0%;0.0%", "0.0%"),
        (-0.4, "0", "0"),
        (2.5, "0.##", "2.5"),
        (7, '"about "0" days"', "about 7 days"),
        (True, "", "True"),
        (None, "0", ""),
        (pd.Timestamp("2025-03-07"), "yyyy-mm", "2025-03"),
        (pd.Timestamp("2025-03-07"), "d mmm yyyy", "7 Mar 2025"),
    ],
)
def test_formats(value, form, text):
    assert written(value, form) == text


def test_display_units():
    assert [abridged(45_038, "45,038", 0), abridged(45_038, "45,038", 1)] == ["45K", "45,038"]
    assert [abridged(1_250_000, "", 0), abridged(0.5, "50.0%", 0)] == ["1.25M", "50.0%"]


def compared(kind: int, value) -> dict:
    return {"Comparison": {"ComparisonKind": kind, "Left": {}, "Right": value["expr"]}}


NULL = {"expr": {"Literal": {"Value": "null"}}}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        (compared(1, literal(1)), [False, True, False]),
        (compared(4, literal(1)), [True, False, False]),
        ({"Not": {"Expression": compared(0, NULL)}}, [True, True, False]),
        ({"In": {"Expressions": [], "Values": [[literal(2)["expr"]], [NULL["expr"]]]}}, [False, True, True]),
        ({"Or": {"Left": compared(0, literal(1)), "Right": compared(0, NULL)}}, [True, False, True]),
        ({"And": {"Left": compared(2, literal(1)), "Right": compared(3, literal(2))}}, [True, False, False]),
    ],
)
def test_conditions_of_filters(condition, kept):
    assert [*passes(condition, NUMBERS)] == kept


@pytest.mark.parametrize(("direction", "kept"), [(1, "Republic of Germany"), (2, "France")])
def test_the_first_so_many_by_a_measure(direction, kept):
    query = {"From": [], "OrderBy": [{"Direction": direction, "Expression": REVENUE}], "Top": 1}
    subquery = {"Name": "s", "Expression": {"Subquery": {"Query": query}}}
    first = Filter(Field("Column", "dim_country[Country]"), "TopN", {"From": [subquery], "Where": []})
    assert kept_by([first], MODEL, {}) == {("dim_country", "Country"): [kept]}


def test_colours_between_two():
    assert mix("#000000", "#FFFFFF", 0.5) == "#808080"


def test_a_page_is_drawn_with_its_figures(tmp_path):
    """The whole, and under a choice; where the slicer does not reach, nothing changes."""
    visuals = small_report()
    visuals["apart"] = visual(
        "cardVisual", (440, 160, 184, 72), looks(value={"labelDisplayUnits": 1}), Data=[REVENUE]
    )
    apart = {"visualInteractions": [{"source": "slicer", "target": "apart", "type": "NoFilter"}]}
    report = read_report(write(tmp_path, visuals, page=apart))
    (page, _) = report.pages
    whole = draw_page(report, page, MODEL, {})
    assert ">All ⌄<" in whole
    assert whole.count("1,239<") == 3  # the table's total, the card's reference label, the card apart
    chosen = draw_page(report, page, MODEL, choices(["dim_country[Country]=France"], MODEL))
    assert ">France ⌄<" in chosen
    assert ">1,234<" in chosen
    assert chosen.count("1,239<") == 1
    with pytest.raises(SystemExit, match="has no value Spain"):
        choices(["dim_country[Country]=Spain"], MODEL)


def test_rows_are_in_the_order_of_the_visual(tmp_path):
    visuals = small_report()
    sort = {"sort": [{"field": REVENUE, "direction": "Ascending"}]}
    visuals["table"]["visual"]["query"]["sortDefinition"] = sort
    only = {"Comparison": {"ComparisonKind": 1, "Left": REVENUE, "Right": literal(10)["expr"]}}
    visuals["chart"]["filterConfig"] = {
        "filters": [{"field": REVENUE, "type": "Advanced", "filter": {"Where": [{"Condition": only}]}}]
    }
    report = read_report(write(tmp_path, visuals))
    shown = {each.name: show(report, report.pages[0], each, MODEL, {}) for each in report.pages[0].seen}
    column = [Field("Column", "dim_country[Country]")]
    key = ("dim_country", "Country")
    assert [cell[key] for cell in shown["table"].cells(column)] == [["Republic of Germany"], ["France"]]
    assert [cell[key] for cell in shown["slicer"].cells(column)] == [["France"], ["Republic of Germany"]]
    assert [cell[key] for cell in shown["chart"].cells(column)] == [["France"]]
