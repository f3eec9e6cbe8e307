"""No text of the report is cut, none is too small, no visual is out of place: and each of these would be seen."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from dax import Model
from report import read_report
from star import load_model
from text_fit import PX, findings, width, wrapped

COUNTRIES = ["France", "Republic of Germany"]
STORY = "This many words about one country take two lines"
MODEL = Model(
    {
        "dim_country": pd.DataFrame({"Country": COUNTRIES, "Story": ["Few words", STORY]}),
        "fact_sales": pd.DataFrame({"country": COUNTRIES, "amount": [1_234.0, 5.0]}),
    },
    [("fact_sales", "country", "dim_country", "Country")],
    {
        "Net revenue": "SUM(fact_sales[amount])",
        "Insight": 'IF(HASONEVALUE(dim_country[Country]), SELECTEDVALUE(dim_country[Story]), "All")',
    },
)


# --- a small report of which every text fits ---


def literal(value) -> dict:
    text = (
        f"'{value}'" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else f"{value}D"
    )
    return {"expr": {"Literal": {"Value": text}}}


def field(kind: str, table: str, name: str) -> dict:
    return {kind: {"Expression": {"SourceRef": {"Entity": table}}, "Property": name}}


COUNTRY = field("Column", "dim_country", "Country")
REVENUE = field("Measure", "_Measures", "Net revenue")
INSIGHT = {"expr": field("Measure", "_Measures", "Insight")}


def looks(**objects: dict) -> dict:
    """title=dict(show=True) as PBIR has it; a property that is a dictionary stays as it is."""
    return {
        thing: [
            {
                "properties": {
                    name: value if isinstance(value, dict) else literal(value) for name, value in of.items()
                }
            }
        ]
        for thing, of in objects.items()
    }


def visual(
    kind: str, place: tuple, objects: dict | None = None, container: dict | None = None, **roles: dict
) -> dict:
    state = {
        role: {
            "projections": [
                {"field": of, "queryRef": f"{role}{i}", "nativeQueryRef": name_of(of)}
                for i, of in enumerate(fields)
            ]
        }
        for role, fields in roles.items()
    }
    body = {"visualType": kind, "query": {"queryState": state}}
    body |= {"objects": objects or {}, "visualContainerObjects": container or {}}
    return {"position": dict(zip(("x", "y", "width", "height"), place, strict=True)), "visual": body}


def name_of(of: dict) -> str:
    (body,) = of.values()
    return body["Property"]


def small_report() -> dict:
    """Visuals by name, at sizes of which none could be much smaller."""
    card = looks(value={"fontSize": 20}, referenceLabelTitle={"show": False}, referenceLabel={"paddingUniform": 4})
    label = {"properties": {"value": {"expr": REVENUE}}, "selector": {"metadata": "Data0", "id": "a"}}
    card["referenceLabel"].append(label)
    widths = [{"properties": {"value": literal(200)}, "selector": {"metadata": "Values0"}}]
    runs = [{"value": "A short text", "textStyle": {"fontSize": "10pt"}}]
    box = {"general": [{"properties": {"paragraphs": [{"textRuns": runs}]}}]}
    title = {"show": True, "text": "Revenue", "fontSize": 12}
    heads = looks(title=title, subTitle={"show": True, "text": INSIGHT, "fontSize": 10, "titleWrap": True})
    return {
        "navigator": visual("pageNavigator", (16, 16, 608, 32)),
        "slicer": visual(
            "slicer",
            (16, 64, 200, 72),
            looks(data={"mode": "Dropdown"}, header={"textSize": 10}, items={"textSize": 9}),
            Values=[COUNTRY],
        ),
        "card": visual("cardVisual", (232, 64, 192, 132), card, Data=[REVENUE]),
        "button": visual("actionButton", (440, 64, 184, 32), looks(text={"text": "Reset"})),
        "text": visual("textbox", (440, 112, 184, 40), box),
        "chart": visual("lineChart", (16, 232, 296, 144), {}, heads, Category=[COUNTRY], Y=[REVENUE]),
        "table": visual("tableEx", (328, 232, 296, 232), {"columnWidth": widths}, Values=[COUNTRY, REVENUE]),
    }


def write(folder: Path, visuals: dict, theme: dict | None = None, page: dict | None = None) -> Path:
    """A report of two pages, the second empty."""
    pages = folder / "definition" / "pages"
    (folder / "StaticResources").mkdir(parents=True)
    (folder / "StaticResources" / "Theme.json").write_text(json.dumps(theme or {}))
    for name, shown, its in (("first", visuals, page or {}), ("second", {}, {})):
        (pages / name / "visuals").mkdir(parents=True)
        content = {"displayName": f"The {name} page", "width": 640, "height": 480} | its
        (pages / name / "page.json").write_text(json.dumps(content))
        for each, body in shown.items():
            (pages / name / "visuals" / each).mkdir()
            (pages / name / "visuals" / each / "visual.json").write_text(json.dumps({"name": each} | body))
    (pages / "pages.json").write_text(json.dumps({"pageOrder": ["first", "second"]}))
    (folder / "definition" / "report.json").write_text(
        json.dumps({"themeCollection": {"customTheme": {"name": "Theme.json"}}})
    )
    return folder


def found(folder: Path, **of) -> list[str]:
    return findings(read_report(write(folder, **of)), MODEL)


# --- what would be seen ---


def at(name: str, **place: float) -> Callable[[dict], object]:
    return lambda visuals: visuals[name]["position"].update(place)


def says(name: str, thing: str, value, prop: str = "text", where: str = "objects") -> Callable[[dict], object]:
    return lambda visuals: (
        visuals[name]["visual"][where]
        .setdefault(thing, [{"properties": {}}])[0]["properties"]
        .update({prop: literal(value)})
    )


def without_wrap(visuals: dict) -> None:
    del visuals["chart"]["visual"]["visualContainerObjects"]["subTitle"][0]["properties"]["titleWrap"]


def titled(visuals: dict) -> None:
    visuals["card"]["visual"]["visualContainerObjects"] = looks(title={"show": True, "text": "Revenue"})


def long_text(visuals: dict) -> None:
    runs = visuals["text"]["visual"]["objects"]["general"][0]["properties"]["paragraphs"][0]["textRuns"]
    runs[0]["value"] = "A text of three lines, as it does not fit in two lines of these"


PLANTED = {
    "a card too narrow for its value": (at("card", width=72), "card: value '1K'"),
    "a card too low": (at("card", height=128), "card: needs"),
    "a card's label too long": (
        says("card", "label", "Net revenue of all the months that are over"),
        "card: label",
    ),
    "a reference label too long": (
        says("card", "referenceLabelValue", 40, "valueFontSize"),
        "card: reference label '1,239'",
    ),
    "a card with a title and no room for it": (titled, "card: needs"),
    "a slicer too low": (at("slicer", height=64), "slicer: needs"),
    "a slicer too narrow for its header": (
        says("slicer", "header", "Countries of customers as they are"),
        "slicer: header",
    ),
    "a slicer too narrow for its values": (at("slicer", width=160), "slicer: value 'Republic"),
    "a list without room for a row": (says("slicer", "data", "Basic", "mode"), "slicer: needs"),
    "a title too long": (
        says("chart", "title", "Revenue by country, of all months and channels", where="visualContainerObjects"),
        "chart: title",
    ),
    "a subtitle that no longer wraps": (without_wrap, f"chart: subTitle '{STORY}'"),
    "a wrapped subtitle one line too many": (at("chart", height=140), "chart: has 77 px"),
    "a header wider than its column": (says("table", "columnWidth", 40, "value"), "table: header 'Country'"),
    "a cell wider than its column": (says("table", "columnWidth", 120, "value"), "table: Country: 'Republic"),
    "a button too narrow": (says("button", "text", "Take all choices of this page back"), "button: text"),
    "a button too low": (at("button", height=20), "button: needs"),
    "a navigator too narrow": (at("navigator", width=240), "navigator: text 'The second page'"),
    "a text box too low": (long_text, "text: needs"),
    "a font too small": (says("table", "values", 8, "fontSize"), "table: fontSize is 8 pt"),
    "a visual over another": (at("button", x=416), "button and card overlap"),
    "a visual beyond the page": (at("table", height=252), "table lies beyond the page"),
    "a visual off the grid": (at("table", height=230), "table has edges at 462"),
    "a visual beside the margin": (at("table", width=292), "table ends at 620, beside the margin at 624"),
    "a margin unlike the other": (at("navigator", x=12, width=612), "the margin is 12 px at the left and 16"),
    "a third width of gutters": (at("text", y=108, height=104), "gutters of 12, 16, 20"),
}


def test_a_report_whose_texts_fit_has_no_findings(tmp_path):
    assert found(tmp_path, visuals=small_report()) == []


@pytest.mark.parametrize(("change", "words"), PLANTED.values(), ids=PLANTED)
def test_what_does_not_fit_is_found(change, words, tmp_path):
    visuals = small_report()
    change(visuals)
    assert any(words in each for each in found(tmp_path, visuals=visuals)), found(
        tmp_path / "again", visuals=visuals
    )


def test_a_choice_that_does_not_reach_a_visual_is_not_tried(tmp_path):
    """The subtitle needs two lines where one country is chosen."""
    visuals = small_report()
    visuals["chart"]["position"]["height"] = 128
    apart = {"visualInteractions": [{"source": "slicer", "target": "chart", "type": "NoFilter"}]}
    assert "chart" in found(tmp_path / "a", visuals=visuals)[0]
    assert found(tmp_path / "b", visuals=visuals, page=apart) == []


def test_sizes_come_from_the_theme_where_the_visual_says_none(tmp_path):
    big = {"textClasses": {"label": {"fontSize": 60}}}
    assert any("needs" in each for each in found(tmp_path / "a", visuals=small_report(), theme=big))
    tiny = {"visualStyles": {"lineChart": {"*": {"legend": [{"fontSize": 8}]}}}}
    assert found(tmp_path / "b", visuals=small_report(), theme=tiny) == ["theme: fontSize is 8 pt, below 9"]


@pytest.mark.parametrize(("text", "em"), [("0123456789", 5.39), ("a", 0.509), ("Segments", 4.356)])
def test_a_text_is_held_to_be_at_least_as_wide_as_in_segoe_ui(text, em):
    """Segoe UI's advance widths, as its free twin Selawik has them."""
    assert em * 12 * PX <= width(text, 12) <= 1.13 * em * 12 * PX
    assert width(text, 12) < width(text, 12, True)


def test_a_text_wraps_between_words():
    assert wrapped("one two three", 12, width("one two", 12)) == ["one two", "three"]


# --- the report ---


@pytest.mark.slow
def test_no_text_of_the_report_is_cut(shop):
    assert findings(read_report(), load_model(shop[0])) == []
