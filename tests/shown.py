"""What a visual of the report shows: which values, with the figures of the model, written as their formats say."""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import NamedTuple

import pandas as pd
from dax import Column, Model, split
from report import Chosen, Field, Filter, Page, Report, Visual, first_of, passes, value_of

COLOURS = ["#118DFF", "#12239E", "#E66C37", "#6B007B", "#E044A7", "#744EC2", "#D9B300", "#D64550"]  # Desktop's own


class Shown(NamedTuple):
    """A visual of a page, and what reaches it."""

    report: Report
    page: Page
    visual: Visual
    model: Model
    filters: Chosen
    known: dict

    def figure(self, field: Field, at: Chosen | None = None):
        """What it says; in a cell, where each column has one value."""
        cell = field.dax, *((column, values[0]) for column, values in (at or {}).items())
        if cell not in self.known:
            self.known[cell] = self.model.value(field.dax, self.filters | (at or {}))
        return self.known[cell]

    def form(self, field: Field, at: Chosen | None = None) -> str:
        """A field's format string; one by DAX, for this cell."""
        if found := re.search(r"^\t\tformatString: (.+)$", field.lines, flags=re.MULTILINE):
            return found[1].strip('"')
        found = re.search(r"formatStringDefinition = (.+)", field.lines)
        return self.model.value(found[1], self.filters | (at or {})) if found else ""

    def text(self, field: Field, at: Chosen | None = None) -> str:
        """A measure's figure, or the one value of a column, as it is written."""
        if field.kind == "Measure":
            value = self.figure(field, at)
            return value if isinstance(value, str) else written(value, self.form(field, at))
        ((value,),) = [(at or {})[split(field.name)]]
        return written(value, self.form(field)) or "(Blank)"

    def said(self, value) -> str:
        """A text, or what a measure says."""
        return self.text(value) if isinstance(value, Field) else str(value or "")

    def cells(self, fields: list[Field]) -> list[Chosen]:
        """The values of columns that occur together (of unrelated tables each with each), in their order."""
        left, found = [split(field.name) for field in fields], pd.DataFrame(index=[0])
        context = {(t, c): self.model.tables[t][c].isin(values) for (t, c), values in self.filters.items()}
        while left:
            base = max((table for table, _ in left), key=lambda table: len(self.model.expanded(table)))
            mine = [column for column in left if column[0] in self.model.expanded(base)]
            rows = self.model.visible(base, context)
            part = pd.DataFrame({f"{t}[{c}]": column_from(self.model, base, (t, c))[rows] for t, c in mine})
            found, left = found.merge(part.drop_duplicates(), "cross"), [c for c in left if c not in mine]
        for field, down in [(field, False) for field in fields[::-1]] + self.visual.sort[::-1]:
            if field.kind == "Measure":
                found["by"] = [self.figure(field, cell) for cell in records(found)]
                found = found.sort_values("by", ascending=not down, kind="stable").drop(columns="by")
            elif field.name in found:
                found = found.sort_values(field.name, ascending=not down, kind="stable", key=self.places(field))
        wanted = [
            (f, each["Condition"]) for f, _, q in self.visual.filters if f.kind == "Measure" for each in q["Where"]
        ]
        return [
            cell
            for cell in records(found)
            if all(passes(condition, pd.Series([self.figure(f, cell)]))[0] for f, condition in wanted)
        ]

    def places(self, field: Field) -> Callable[[pd.Series], pd.Series]:
        """Where values stand: by the column that their own is sorted by."""
        by = re.search(r"sortByColumn: '?([^'\n]+)", field.lines)
        table, name = split(field.name)
        if not by:
            return lambda values: values
        order = self.model.tables[table].drop_duplicates(name).set_index(name)[by[1]]
        return lambda values: values.map(order)

    # --- colours ---

    def theme(self, name: str, otherwise):
        return next((theme[name] for theme in self.report.themes if name in theme), otherwise)

    @property
    def ink(self) -> str:
        return self.theme("foreground", "#252423")

    @property
    def palette(self) -> list[str]:
        return self.theme("dataColors", COLOURS)

    def colour(self, node, at: Chosen | None = None, domain: list[float] | None = None) -> str:
        """A literal, one of the theme's, what a measure says, or by a rule."""
        node = value_of(node)
        if isinstance(node, Field):
            return self.figure(node, at) or "transparent"
        if not isinstance(node, dict):
            return self.theme(node, node) if node else "transparent"
        if "ThemeDataColor" in node:
            return self.shade(**node["ThemeDataColor"])
        if "FillRule" in node:
            return self.gradient(node["FillRule"], at, domain or [])
        if "Conditional" in node:
            for case in node["Conditional"]["Cases"]:
                if self.holds(case["Condition"], at):
                    return self.colour(case["Value"])
            return self.colour(node["Conditional"].get("DefaultValue"))
        raise NotImplementedError(f"a colour by {[*node]}")

    def shade(self, ColorId: int, Percent: float) -> str:
        """As Desktop's palette has them: background, foreground, then the data colours."""
        base = [self.theme("background", "#FFFFFF"), self.ink, *self.palette][ColorId]
        return mix(base, "#FFFFFF" if Percent > 0 else "#000000", abs(Percent))

    def holds(self, condition: dict, at: Chosen | None) -> bool:
        ((how, what),) = condition.items()
        if how in ("And", "Or"):
            both = self.holds(what["Left"], at), self.holds(what["Right"], at)
            return all(both) if how == "And" else any(both)
        left = what["Expression"]["Comparison"]["Left"] if how == "Not" else what["Left"]
        return bool(passes(condition, pd.Series([self.figure(value_of(left), at)]))[0])

    def gradient(self, rule: dict, at: Chosen | None, domain: list[float]) -> str:
        """linearGradient2 and 3: between the smallest and the largest that are shown, or the values given."""
        value = self.figure(value_of(rule["Input"]), at)
        ((_, stops),) = rule["FillRule"].items()
        named = [name for name in ("min", "mid", "max") if name in stops]
        if value is None or not domain:
            return "transparent"
        low, high = min(domain), max(domain)
        natural = dict(zip(("min", "mid", "max"), (low, (low + high) / 2, high), strict=True))
        places = [float(value_of(stops[n]["value"])) if "value" in stops[n] else natural[n] for n in named]
        inks = [self.colour(stops[n]["color"]) for n in named]
        for a, b, one, other in zip(places, places[1:], inks, inks[1:], strict=False):
            if value <= b or b == places[-1]:
                return mix(one, other, min(max((value - a) / (b - a), 0), 1) if b > a else 1)
        return inks[-1]


def mix(one: str, other: str, share: float) -> str:
    a, b = ([int(each[i : i + 2], 16) for i in (1, 3, 5)] for each in (one, other))
    return "#" + "".join(f"{round(x + (y - x) * share):02X}" for x, y in zip(a, b, strict=True))


def records(found: pd.DataFrame) -> list[Chosen]:
    named = found[[name for name in found if "[" in name]]
    return [{split(name): [value] for name, value in row.items()} for row in named.to_dict("records")]


def column_from(model: Model, base: str, column: Column) -> pd.Series:
    """A column of a table, or of one on the one side of it, for each row of the first."""
    if column[0] == base:
        return model.tables[base][column[1]]
    one, at = next((one, at) for one, at in model.ones[base].items() if column[0] in model.expanded(one))
    return column_from(model, one, column).iloc[at].set_axis(at.index)


def show(report: Report, page: Page, visual: Visual, model: Model, chosen: Chosen) -> Shown:
    return Shown(report, page, visual, model, reaching(report, page, visual, model, chosen), {})


# --- what filters and choices let through ---


def kept_by(filters: list[Filter], model: Model, chosen: Chosen) -> Chosen:
    """What filters of columns let through of what is chosen; those of measures are for each cell."""
    kept = dict(chosen)
    for field, way, query in filters:
        if field.kind == "Measure":
            continue
        column = split(field.name)
        values = pd.Series(model.tables[column[0]][column[1]].unique())
        if column in kept:
            values = values[values.isin(kept[column])]
        where = pd.Series(True, values.index)
        if way == "TopN":
            where = first_of(query, values, partial(measured_at, model, kept, column))
        else:
            for each in query["Where"]:
                where &= passes(each["Condition"], values)
        kept[column] = [*values[where]]
    return kept


def measured_at(model: Model, chosen: Chosen, column: Column, dax: str, value):
    return model.value(dax, chosen | {column: [value]})


def reaching(report: Report, page: Page, visual: Visual, model: Model, chosen: Chosen) -> Chosen:
    """What reaches a visual: what is chosen, else the slicers of its page as saved, and the filters of all three.

    Where a slicer does not reach the visual, neither does a choice of its column.
    """
    found = dict(chosen)
    for slicer in page.slicers:
        (field, *_) = slicer.fields("Column")
        saved = slicer.says("general", "filter")
        if (slicer.name, visual.name) in page.apart:
            found.pop(split(field.name), None)
        elif saved and split(field.name) not in chosen and slicer is not visual:
            found = kept_by([Filter(field, "Categorical", saved["filter"])], model, found)
    return kept_by([*report.filters, *page.filters, *visual.filters], model, found)


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


def abridged(value, text: str, units, thousands: str = "#,##0") -> str:
    """Display units: as Auto has them (K, M, bn), given ones, or none (1)."""
    unit = float(units or 0)
    if not isinstance(value, int | float) or "%" in text or unit == 1:
        return text
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "K")):
        if (unit == 0 and abs(value) >= size) or unit == size:
            return number_written(value / size, thousands if size == 1e3 else "#,##0.##") + letter
    return text
