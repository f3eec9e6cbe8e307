"""The report of powerbi/, read from its PBIR: pages in order, what each visual shows, and what it looks like."""

import json
from collections.abc import Callable
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from conftest import ROOT
from dax import Column, split
from star import objects

REPORT = ROOT / "powerbi" / "ECommercePulse.Report"
AGGREGATES = ["SUM", "AVERAGE", "DISTINCTCOUNT", "MIN", "MAX", "COUNT"]  # by PBIR's number
COMPARISONS = ["__eq__", "__gt__", "__ge__", "__lt__", "__le__"]  # by PBIR's number
SIZES: dict[str, tuple[str, tuple[str, ...], float]] = {
    # formatting object: its property, the theme's text classes in order, and points where none says it;
    # after the classes in "Text classes" of https://learn.microsoft.com/power-bi/create-reports/report-themes-create-custom
    "title": ("fontSize", ("largeTitle",), 14),
    "subTitle": ("fontSize", (), 12),
    "value": ("fontSize", ("callout",), 45),
    "label": ("fontSize", ("label",), 10),
    "referenceLabelTitle": ("titleFontSize", ("label",), 10),
    "referenceLabelValue": ("valueFontSize", ("label",), 10),
    "referenceLabelDetail": ("detailFontSize", ("label",), 10),
    "header": ("textSize", ("title",), 12),
    "items": ("textSize", ("label",), 10),
    "columnHeaders": ("fontSize", ("label",), 10),
    "rowHeaders": ("fontSize", ("label",), 10),
    "values": ("fontSize", ("label",), 10),
    "total": ("fontSize", ("boldLabel", "label"), 10),
    "categoryAxis": ("fontSize", ("lightLabel", "label"), 10),
    "valueAxis": ("fontSize", ("smallLightLabel",), 9),
    "labels": ("fontSize", ("smallLightLabel",), 9),
    "legend": ("fontSize", ("lightLabel", "label"), 10),
    "text": ("fontSize", ("lightLabel", "label"), 10),
}
CONTAINER = {"title", "subTitle", "padding", "border", "background", "divider", "spacing"}
known = cache(objects)


class Field(NamedTuple):
    """A column, table[name], or a measure by its name; in a role of a visual also what it is called there."""

    kind: str
    name: str
    shown: str = ""
    ref: str = ""

    @property
    def dax(self) -> str:
        return self.name if self.kind == "Column" else f"[{self.name}]"

    @property
    def lines(self) -> str:
        """Its properties in the model's TMDL."""
        table, name = split(self.name) if self.kind == "Column" else ("_Measures", self.name)
        return known(table, self.kind.lower())[name].lines


class Filter(NamedTuple):
    """What is filtered, in which way (Categorical, Advanced, TopN ...), and the query that says it."""

    field: Field
    way: str
    query: dict


Chosen = dict[Column, list]  # by column: the values that may pass


class Visual:
    """A visual.json; what it does not say of its looks, its report's themes say."""

    def __init__(self, path: Path, themes: list[dict]):
        self.json = json.loads(path.read_text(encoding="utf-8"))
        self.name: str = self.json["name"]
        self.at: dict[str, float] = self.json["position"]
        self.body: dict = self.json.get("visual", {})
        self.kind: str = self.body.get("visualType", "")
        self.objects = self.body.get("objects", {})
        self.container = self.body.get("visualContainerObjects", {})
        self.filters = filters_of(self.json)
        self.themes = themes

    @property
    def left(self) -> float:
        return self.at["x"]

    @property
    def top(self) -> float:
        return self.at["y"]

    @property
    def right(self) -> float:
        return self.at["x"] + self.at["width"]

    @property
    def bottom(self) -> float:
        return self.at["y"] + self.at["height"]

    @cached_property
    def roles(self) -> dict[str, list[Field]]:
        """The fields of each role, in order."""
        state = self.body.get("query", {}).get("queryState", {})
        return {role: [projected(each) for each in of["projections"]] for role, of in state.items()}

    def fields(self, kind: str) -> list[Field]:
        return [field for fields in self.roles.values() for field in fields if field.kind == kind]

    @property
    def sort(self) -> list[tuple[Field, bool]]:
        """What it is sorted by, and whether downwards."""
        orders = self.body.get("query", {}).get("sortDefinition", {}).get("sort", [])
        return [(field_of(each["field"]), each["direction"] == "Descending") for each in orders]

    def says(self, thing: str, name: str, otherwise=None, selector: str | None = None, container: bool = False):
        """A property of a formatting object: of the visual, else of a theme, for its type before for all."""
        entries = (self.container if container else self.objects).get(thing, [])
        entries = [*reversed([each for each in entries if selected(each, selector)])]
        found: list = [each["properties"][name] for each in entries if name in each["properties"]]
        for theme in self.themes:
            for kind in (self.kind, "*"):
                found += [each[name] for each in styles(theme, kind).get(thing, []) if name in each]
        return value_of(found[0]) if found else otherwise

    def wears(self, thing: str, name: str, otherwise=None):
        """A property of its container: title, subTitle, padding, border ..."""
        return self.says(thing, name, otherwise, container=True)

    def points(self, thing: str, selector: str | None = "default") -> float:
        """The size of a text."""
        name, classes, otherwise = SIZES[thing]
        found = self.says(thing, name, None, selector, thing in CONTAINER)
        for theme, each in product(self.themes, classes):
            found = found or theme.get("textClasses", {}).get(each, {}).get("fontSize")
        return float(found or otherwise)

    @property
    def mode(self) -> str:
        """How a slicer is used."""
        return self.says("data", "mode", "Basic")


class Page(NamedTuple):
    """A page.json, its visuals from the back to the front, and which slicers do not reach which visuals."""

    name: str
    json: dict
    visuals: list[Visual]
    apart: set[tuple[str, str]]

    @property
    def size(self) -> tuple[float, float]:
        return self.json["width"], self.json["height"]

    @property
    def is_hidden(self) -> bool:
        return self.json.get("visibility") == "HiddenInViewMode"

    @property
    def seen(self) -> list[Visual]:
        return [visual for visual in self.visuals if not visual.json.get("isHidden")]

    @property
    def slicers(self) -> list[Visual]:
        return [each for each in self.visuals if "licer" in each.kind]

    @property
    def filters(self) -> list[Filter]:
        return filters_of(self.json)


class Report(NamedTuple):
    """Pages in order, the report's own theme and the one below it, and the filters of all pages."""

    pages: list[Page]
    themes: list[dict]
    filters: list[Filter]


def read_report(folder: Path = REPORT) -> Report:
    place = folder / "definition"
    report = read_json(place / "report.json")
    declared = report.get("themeCollection", {})
    names = [declared[each]["name"] for each in ("customTheme", "baseTheme") if each in declared]
    files = {path.stem: path for path in (folder / "StaticResources").rglob("*.json")}
    themes = [read_json(files[name]) for name in (n.removesuffix(".json") for n in names) if name in files]
    order = read_json(place / "pages" / "pages.json")["pageOrder"]
    return Report([read_page(place / "pages" / name, themes) for name in order], themes, filters_of(report))


def read_page(folder: Path, themes: list[dict]) -> Page:
    visuals = [Visual(path, themes) for path in sorted(folder.glob("visuals/*/visual.json"))]
    groups = {visual.name: visual.at for visual in visuals if not visual.kind}
    for visual in visuals:
        if group := groups.get(visual.json.get("parentGroupName", "")):  # places within it are from its corner
            visual.at = visual.at | {"x": visual.left + group["x"], "y": visual.top + group["y"]}
    page = read_json(folder / "page.json")
    off = page.get("visualInteractions", [])
    apart = {(each["source"], each["target"]) for each in off if each["type"] == "NoFilter"}
    ordered = sorted((each for each in visuals if each.kind), key=lambda visual: visual.at.get("z", 0))
    return Page(folder.name, page, ordered, apart)


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


# --- fields, literals, themes ---


def field_of(node: dict) -> Field:
    """A column or a measure; in a filter, of a source whose name is short for the table's."""
    (kind,) = {"Column", "Measure"} & set(node)
    name = node[kind]["Property"]
    source = node[kind]["Expression"]["SourceRef"]
    return Field(kind, f"{source.get('Entity')}[{name}]" if kind == "Column" else name)


def projected(node: dict) -> Field:
    shown = node.get("displayName") or node.get("nativeQueryRef") or node["queryRef"]
    return field_of(node["field"])._replace(shown=shown, ref=node["queryRef"])


def value_of(node):
    """A literal as a value, a measure as its field, a colour as its text; what else there is, as it stands."""
    if not isinstance(node, dict):
        return node
    if "Literal" in node:
        return literal(node["Literal"]["Value"])
    if "Measure" in node or "Column" in node:
        return field_of(node)
    for step in ("expr", "solid", "color"):
        if step in node:
            return value_of(node[step])
    return node


def literal(text: str):
    """'text' with its quotes, 12D, 12L, true, null, datetime'2025-01-01T00:00:00'."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith("datetime'"):
        return pd.Timestamp(text[9:-1])
    if text in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[text]
    return float(text[:-1]) if text[-1] in "DM" else int(text.removesuffix("L"))


def selected(entry: dict, selector: str | None) -> bool:
    """Whether an entry of a formatting object is for all, or for the wanted state or field."""
    of = entry.get("selector")
    return not of or (selector is not None and selector in (of.get("id"), of.get("metadata")))


def styles(theme: dict, kind: str) -> dict:
    return theme.get("visualStyles", {}).get(kind, {}).get("*", {})


# --- filters ---


def passes(condition: dict, values: pd.Series) -> pd.Series:
    """Which of a field's values meet a condition of a filter."""
    ((how, what),) = condition.items()
    if how == "Not":
        return ~passes(what["Expression"], values)
    if how in ("And", "Or"):
        left, right = passes(what["Left"], values), passes(what["Right"], values)
        return left & right if how == "And" else left | right
    if how == "In":
        wanted = [value_of(each) for (each,) in what["Values"]]
        return values.isin([each for each in wanted if each is not None]) | (values.isna() & (None in wanted))
    if how != "Comparison":
        raise NotImplementedError(f"a filter by {how}")
    other = value_of(what["Right"])
    if other is None:
        return values.isna()
    return getattr(values, COMPARISONS[what["ComparisonKind"]])(other).fillna(False).astype(bool)


def first_of(query: dict, values: pd.Series, measured: Callable[[str, object], object]) -> pd.Series:
    """Which of a column's values are among the first or last so many, by an aggregate or a measure."""
    within = next(each["Expression"]["Subquery"]["Query"] for each in query["From"] if "Expression" in each)
    (order,) = within["OrderBy"]
    dax = dax_of(order["Expression"], {each["Name"]: each["Entity"] for each in within["From"]})
    by = pd.Series([measured(dax, value) for value in values], values.index).dropna()
    kept = by.sort_values(ascending=order["Direction"] == 1, kind="stable").head(within["Top"])
    return pd.Series(values.index.isin(kept.index), values.index)


def dax_of(node: dict, tables: dict[str, str]) -> str:
    """A measure, or an aggregate of a column, as DAX."""
    if "Aggregation" not in node:
        return field_of(node).dax
    column = node["Aggregation"]["Expression"]["Column"]
    source = column["Expression"]["SourceRef"]
    table = source.get("Entity") or tables[source["Source"]]
    return f"{AGGREGATES[node['Aggregation']['Function']]}({table}[{column['Property']}])"


def filters_of(node: dict) -> list[Filter]:
    """The filters of a report, a page or a visual that say something."""
    filters = node.get("filterConfig", {}).get("filters", [])
    return [Filter(field_of(each["field"]), each["type"], each["filter"]) for each in filters if "filter" in each]
