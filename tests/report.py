"""The report of powerbi/, read from its PBIR: pages in order, what each visual shows, and what it looks like."""

import json
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from conftest import ROOT
from dax import Model, split
from star import objects

REPORT = ROOT / "powerbi" / "ECommercePulse.Report"
AGGREGATES = ["SUM", "AVERAGE", "DISTINCTCOUNT", "MIN", "MAX", "COUNT"]  # by PBIR's number
COMPARISONS = ["__eq__", "__gt__", "__ge__", "__lt__", "__le__"]  # by PBIR's number


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
        return objects(table, self.kind.lower())[name].lines


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
        self.filters: list[dict] = self.json.get("filterConfig", {}).get("filters", [])
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
    def slicers(self) -> list[Visual]:
        return [each for each in self.visuals if "licer" in each.kind]


class Report(NamedTuple):
    """Pages in order, and the themes: the report's own, then the one below it."""

    pages: list[Page]
    themes: list[dict]


def read_report(folder: Path = REPORT) -> Report:
    place = folder / "definition"
    declared = read_json(place / "report.json").get("themeCollection", {})
    names = [
        declared[theme]["name"].removesuffix(".json")
        for theme in ("customTheme", "baseTheme")
        if theme in declared
    ]
    found = {path.stem: path for path in (folder / "StaticResources").rglob("*.json")}
    themes = [read_json(found[name]) for name in names if name in found]
    order = read_json(place / "pages" / "pages.json")["pageOrder"]
    return Report([read_page(place / "pages" / name, themes) for name in order], themes)


def read_page(folder: Path, themes: list[dict]) -> Page:
    visuals = [Visual(path, themes) for path in sorted(folder.glob("visuals/*/visual.json"))]
    page = read_json(folder / "page.json")
    off = page.get("visualInteractions", [])
    apart = {(each["source"], each["target"]) for each in off if each["type"] == "NoFilter"}
    return Page(folder.name, page, sorted(visuals, key=lambda visual: visual.at.get("z", 0)), apart)


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
        return values.isin([value_of(each) for (each,) in what["Values"]])
    if how != "Comparison":
        raise NotImplementedError(f"a filter by {how}")
    other = value_of(what["Right"])
    if other is None:
        return values.isna()
    return getattr(values, COMPARISONS[what["ComparisonKind"]])(other).fillna(False).astype(bool)


def first_of(filter_: dict, values: pd.Series, measured: Callable[[str, object], object]) -> pd.Series:
    """Which of a column's values are among the first or last so many, by an aggregate or a measure."""
    query = next(each["Expression"]["Subquery"]["Query"] for each in filter_["From"] if "Expression" in each)
    (order,) = query["OrderBy"]
    tables = {each["Name"]: each["Entity"] for each in query["From"]}
    dax = dax_of(order["Expression"], tables)
    by = pd.Series([measured(dax, value) for value in values], values.index).dropna()
    kept = by.sort_values(ascending=order["Direction"] == 1, kind="stable").head(query["Top"])
    return pd.Series(values.index.isin(kept.index), values.index)


def dax_of(node: dict, tables: dict[str, str]) -> str:
    """A measure, or an aggregate of a column, as DAX."""
    if "Aggregation" not in node:
        return field_of(node).dax
    column = node["Aggregation"]["Expression"]["Column"]
    source = column["Expression"]["SourceRef"]
    table = source.get("Entity") or tables[source["Source"]]
    return f"{AGGREGATES[node['Aggregation']['Function']]}({table}[{column['Property']}])"


def kept_by(filters: list[dict], model: Model, chosen: dict[tuple[str, str], list]) -> dict[tuple[str, str], list]:
    """What filters of columns let through, beside what is chosen; those of measures are for each cell."""
    kept: dict[tuple[str, str], list] = {}
    for each in filters:
        field = field_of(each["field"])
        if field.kind == "Measure" or "filter" not in each:
            continue
        column = split(field.name)
        values = pd.Series(model.tables[column[0]][column[1]].unique())
        if each.get("type") == "TopN":
            where = first_of(each["filter"], values, lambda dax, v: model.value(dax, chosen | {column: [v]}))  # noqa: B023
        else:
            where = pd.Series(True, values.index)
            for condition in each["filter"]["Where"]:
                where &= passes(condition["Condition"], values)
        kept[column] = [value for value in values[where] if value in kept.get(column, [value])]
    return kept


# --- text ---


def written(value, form: str) -> str:
    """A figure or a day by the format string of its field."""
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return day_written(value, form)
    if isinstance(value, str | bool):
        return str(value)
    parts = (form or "0.##########").split(";")
    part = parts[2] if len(parts) > 2 and not value else parts[1] if len(parts) > 1 and value < 0 else parts[0]
    value = abs(value) if part != parts[0] else value
    return number_written(value, part)


def number_written(value: float, form: str) -> str:
    """#,##0.00, 0.0%, with texts before and after."""
    before, digits, after = re.fullmatch(r'((?:"[^"]*"|\\.|[^#0"\\])*)([#0,.]*)(.*)', form).groups()
    if "%" in before + after:
        value *= 100
    decimals = digits.partition(".")[2]
    exact = Decimal(str(abs(value))).quantize(Decimal(1).scaleb(-len(decimals)), ROUND_HALF_UP)  # half goes up
    text = f"{exact:{',' if ',' in digits else ''}f}"
    for _ in range(decimals.count("#")):
        text = text.removesuffix("0")
    sign = "-" if value < 0 and float(text.replace(",", "")) else ""
    return sign + plain(before) + text.rstrip(".") + plain(after)


def plain(text: str) -> str:
    return re.sub(r'"([^"]*)"|\\(.)', r"\1\2", text)


def day_written(day: pd.Timestamp, form: str) -> str:
    """yyyy-mm, d mmm yyyy and the like."""
    codes = {
        "yyyy": "%Y",
        "yy": "%y",
        "mmmm": "%B",
        "mmm": "%b",
        "mm": "%m",
        "dddd": "%A",
        "ddd": "%a",
        "dd": "%d",
    }
    codes |= {"m": str(day.month), "d": str(day.day)}
    if not re.search("[ymd]", form, flags=re.IGNORECASE) or form in ("General Date", "Short Date"):
        form = "yyyy-mm-dd"
    return day.strftime(re.sub(r"(y+|m+|d+)", lambda found: codes[found[0].lower()], form, flags=re.IGNORECASE))


def form_of(field: Field, model: Model, filters: dict[tuple[str, str], list]) -> str:
    """A field's format string; one by DAX, where these values are chosen."""
    if found := re.search(r"^\t\tformatString: (.+)$", field.lines, flags=re.MULTILINE):
        return found[1].strip('"')
    found = re.search(r"formatStringDefinition = (.+)", field.lines)
    return model.value(found[1], filters) if found else ""
