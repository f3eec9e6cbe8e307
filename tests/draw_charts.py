"""Charts of the report as SVG: bars, columns, lines and dots over axes with round numbers."""

import html
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dax import split
from report import Chosen, Field, value_of
from shown import Shown, abridged, written
from text_fit import PX, render, width

GREY = "#605E5C"


class Series(NamedTuple):
    """A line, or bars of one name: for each category a value and a colour."""

    name: str
    is_line: bool
    field: Field
    values: list[float | None]
    colours: list[str]


class Frame(NamedTuple):
    """Where categories and values stand: bars lie with the values across, all else stands."""

    is_lying: bool
    left: float
    right: float
    bottom: float
    count: int
    scale: Callable[[float], float]

    @property
    def step(self) -> float:
        return (self.bottom if self.is_lying else self.right - self.left) / max(self.count, 1)

    def at(self, i: float, value: float) -> tuple[float, float]:
        along, share = (i + 0.5) * self.step, self.scale(value)
        if self.is_lying:
            return self.left + share * (self.right - self.left), along
        return self.left + along, self.bottom - share * (self.bottom - 14)


def chart(shown: Shown, wide: float, high: float) -> str:
    """Categories along one side, values along the other."""
    visual, is_lying = shown.visual, "bar" in shown.visual.kind.lower()
    measures = [field for role in ("Y", "Y2") for field in visual.roles.get(role, [])]
    category = visual.roles["Category"][0]
    cells = [c for c in shown.cells([category]) if any(shown.figure(each, c) is not None for each in measures)]
    cells = cells[: max(int(high / 20), 1)] if is_lying else cells  # the rest is reached by scrolling
    many = series_of(shown, cells)
    names = legend(shown, many)
    high -= render(visual.points("legend")) if names else 0
    is_piled = visual.kind in ("barChart", "columnChart") or "tacked" in visual.kind
    columns = zip(*(each.values for each in many), strict=True)
    sums = [sum(filter(None, column)) for column in columns] if is_piled else []
    values = [value for each in many for value in each.values if value is not None] + sums
    marks, scale = axis(shown, "valueAxis", values, not all(each.is_line for each in many))
    if not visual.says("valueAxis", "show", True):
        marks = []
    small, form = visual.points("valueAxis"), shown.form(measures[0])
    units = visual.says("valueAxis", "labelDisplayUnits", 0)
    texts = [abridged(mark, written(mark, form), units, "#,##0.#") for mark in marks]
    categories, size = [shown.text(category, cell) for cell in cells], visual.points("categoryAxis")
    room = visual.says("categoryAxis", "maxMarginFactor", 25) / 100 * wide
    across = [width(text, size) for text in categories]
    if is_lying:
        frame = Frame(
            True, min(max(across, default=0), room) + 6, wide - 44, high - render(small), len(cells), scale
        )
    else:
        left = max((width(text, small) for text in texts), default=0) + 6
        frame = Frame(False, left, wide, high - render(size), len(cells), scale)
    parts = [*value_axis(frame, marks, texts, small, wide, high)]
    parts += category_axis(frame, categories, size, room, high)
    bars = [each for each in many if not each.is_line]
    parts += piles(frame, bars) if is_piled else groups(frame, bars)
    for each in many:
        parts += [*(path(shown, frame, each) if each.is_line else ()), *labels(shown, frame, each)]
    return f'{names}<svg width="{wide}" height="{high}">{"".join(parts)}</svg>'


def series_of(shown: Shown, cells: list[Chosen]) -> list[Series]:
    """Each measure, or the one measure by each value of the legend's column."""
    roles, kind, found = shown.visual.roles, shown.visual.kind.lower(), []
    parts = shown.cells(roles["Series"]) if "Series" in roles else [{}]
    for role in ("Y", "Y2"):
        is_line = role == "Y2" or ("column" not in kind and ("line" in kind or "area" in kind))
        for field in roles.get(role, []):
            for part in parts:
                name = shown.text(roles["Series"][0], part) if part else field.shown
                values = [shown.figure(field, cell | part) for cell in cells]
                colours = [hue(shown, field, len(found), cell | part) for cell in cells]
                found.append(Series(name, is_line, field, values, colours))
    return found


def hue(shown: Shown, field: Field, index: int, cell: Chosen) -> str:
    """The colour of a point: set for its value, for its measure, or by a rule for all; else the theme's next."""
    for entry in reversed(shown.visual.objects.get("dataPoint", [])):
        of = entry.get("selector", {})
        scopes = [each["scopeId"]["Comparison"] for each in of.get("data", []) if "scopeId" in each]
        named = {split(value_of(scope["Left"]).name): [value_of(scope["Right"])] for scope in scopes}
        node = entry["properties"].get("fill", entry["properties"].get("defaultColor"))
        is_it = of.get("metadata", field.ref) == field.ref and all(cell.get(c) == v for c, v in named.items())
        if node and is_it and (of or index == 0):
            return shown.colour(node, cell)
    return shown.palette[index % len(shown.palette)]


def axis(
    shown: Shown, name: str, values: list[float], is_from_zero: bool
) -> tuple[list[float], Callable[[float], float]]:
    """An axis: round numbers, and where a value stands between 0 and 1."""
    low, high = min(values, default=0), max(values, default=1)
    if shown.visual.says(name, "logAxisScale", False):
        a, b = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**e for e in range(a, b + 1)], lambda v: (math.log10(v) - a) / (b - a)
    ends = [shown.visual.says(name, each) for each in ("start", "end")]
    first, last = (shown.figure(end) if isinstance(end, Field) else end for end in ends)
    marks = ticks(
        (min(low, 0) if is_from_zero or low < high / 2 else low) if first is None else float(first),
        high if last is None else float(last),
    )
    first, last = marks[0] if first is None else float(first), marks[-1] if last is None else float(last)
    return [mark for mark in marks if first <= mark <= last], lambda v: (v - first) / ((last - first) or 1)


def ticks(low: float, high: float) -> list[float]:
    """At most about six round numbers, the first at most the lowest, the last at least the highest."""
    span = (high - low) or 1
    step = 10 ** math.floor(math.log10(span / 5))
    step *= next(each for each in (1, 2, 5, 10) if span / (step * each) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, max(last, first + 1) + 1)]


def value_axis(
    frame: Frame, marks: list[float], texts: list[str], points: float, wide: float, high: float
) -> Iterator[str]:
    for mark, text in zip(marks, texts, strict=True):
        x, y = frame.at(0, mark)
        ends = (x, 0, x, frame.bottom) if frame.is_lying else (frame.left, y, wide, y)
        yield '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#E6E6E6"/>'.format(*ends)
        place = (x, high - 3) if frame.is_lying else (frame.left - 4, y + 4)
        yield text_at(*place, text, points, "middle" if frame.is_lying else "end")


def category_axis(frame: Frame, texts: list[str], points: float, room: float, high: float) -> Iterator[str]:
    """Beside each bar, cut where it exceeds its room; below columns and lines as many as do not touch."""
    every = max(math.ceil((max((width(text, points) for text in texts), default=0) + 6) / frame.step), 1)
    for i, text in enumerate(texts):
        along = (i + 0.5) * frame.step
        if frame.is_lying:
            yield text_at(frame.left - 4, along + 4, cut(text, points, room), points, "end")
        elif i % every == 0:
            yield text_at(frame.left + along, high - 4, text, points, "middle")


def groups(frame: Frame, bars: list[Series]) -> Iterator[str]:
    """Bars beside each other."""
    thick = 0.75 / max(len(bars), 1)
    for n, each in enumerate(bars):
        for i, (value, colour) in enumerate(zip(each.values, each.colours, strict=True)):
            if value is not None:
                yield bar(frame, i + (n - (len(bars) - 1) / 2) * thick, thick, 0, value, colour)


def piles(frame: Frame, bars: list[Series]) -> Iterator[str]:
    """Bars on each other."""
    ends = [0.0] * frame.count
    for each in bars:
        for i, (value, colour) in enumerate(zip(each.values, each.colours, strict=True)):
            yield bar(frame, i, 0.75, ends[i], ends[i] + (value or 0), colour)
            ends[i] += value or 0


def bar(frame: Frame, i: float, thick: float, start: float, end: float, colour: str) -> str:
    """From start, or the axis's edge, to end; the thickness is a share of the category's room."""
    edge = max(frame.scale(start), 0)
    (x0, y0), (x1, y1) = (frame._replace(scale=lambda s: s).at(i, s) for s in (edge, frame.scale(end)))
    half = thick * frame.step / 2
    x0, x1 = sorted((x0, x1)) if frame.is_lying else (x0 - half, x0 + half)
    y0, y1 = (y0 - half, y0 + half) if frame.is_lying else sorted((y0, y1))
    return f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}" fill="{colour}"/>'


def path(shown: Shown, frame: Frame, each: Series) -> Iterator[str]:
    """A line, broken where there is no value, and its markers."""
    visual, ref = shown.visual, each.field.ref
    colour = (each.colours or [GREY])[0]
    stroke = visual.says("lineStyles", "strokeWidth", 3, ref)
    dash = {"dashed": "6 4", "dotted": "2 3"}.get(visual.says("lineStyles", "lineStyle", "solid", ref), "none")
    points = [value if value is None else frame.at(i, value) for i, value in enumerate(each.values)]
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        runs[-1].append(point) if point else runs.append([])
    for run in runs if visual.says("lineStyles", "strokeShow", True, ref) else []:
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
        style = f'stroke="{colour}" stroke-width="{stroke}" stroke-dasharray="{dash}"'
        yield f'<polyline points="{places}" fill="none" {style}/>'
    has_markers = visual.says("lineStyles", "showMarker", False, ref)
    for run in runs:
        for x, y in run if has_markers or len(run) == 1 else []:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def labels(shown: Shown, frame: Frame, each: Series) -> Iterator[str]:
    """The values beside their points, where they are asked for."""
    if not shown.visual.says("labels", "show", False, each.field.ref):
        return
    form, size = shown.form(each.field), shown.visual.points("labels")
    for i, value in enumerate(each.values):
        if value is not None:
            x, y = frame.at(i, value)
            text = abridged(value, written(value, form), shown.visual.says("labels", "labelDisplayUnits", 0))
            yield text_at(x + 4, y + 4, text, size) if frame.is_lying else text_at(x, y - 4, text, size, "middle")


def scatter(shown: Shown, wide: float, high: float) -> str:
    """A dot for each category; its name beside it where that is asked for."""
    visual, size = shown.visual, shown.visual.points("valueAxis")
    (across,), (up,), (category,) = visual.roles["X"], visual.roles["Y"], visual.roles["Category"]
    dots = [(shown.figure(across, cell), shown.figure(up, cell), cell) for cell in shown.cells([category])]
    dots = [dot for dot in dots if dot[0] is not None and dot[1] is not None]
    xs, x_at = axis(shown, "categoryAxis", [x for x, _, _ in dots], False)
    ys, y_at = axis(shown, "valueAxis", [y for _, y, _ in dots], False)
    frame = Frame(False, 48, wide - 16, high - 2 * render(size), 1, y_at)
    texts = [written(mark, shown.form(up)) for mark in ys]
    parts = [*value_axis(frame, ys, texts, size, wide, high), text_at(2, 10, up.shown, size)]
    for mark in xs:
        x = frame.left + x_at(mark) * (frame.right - frame.left)
        parts.append(text_at(x, frame.bottom + render(size), written(mark, shown.form(across)), size, "middle"))
    for x, y, cell in dots:
        place = frame.left + x_at(x) * (frame.right - frame.left), frame.at(0, y)[1]
        parts.append('<circle cx="{:.1f}" cy="{:.1f}" r="5" fill="{}"/>'.format(*place, hue(shown, up, 0, cell)))
        if visual.says("categoryLabels", "show", False):
            parts.append(text_at(place[0] + 7, place[1] + 4, shown.text(category, cell), size))
    parts.append(text_at((wide + frame.left) / 2, high - 4, across.shown, size, "middle"))
    return f'<svg width="{wide}" height="{high}">{"".join(parts)}</svg>'


def legend(shown: Shown, many: list[Series]) -> str:
    if len(many) < 2 or not shown.visual.says("legend", "show", True):
        return ""
    size = shown.visual.points("legend")
    named = [((each.colours or [GREY])[0], html.escape(each.name)) for each in many]
    spans = "".join(f'<span style="color:{colour}">● </span>{name} &nbsp; ' for colour, name in named)
    style = f"font-size:{size * PX:.1f}px;line-height:{render(size)}px;color:{GREY}"
    return f'<div class="line" style="{style}">{spans}</div>'


def text_at(x: float, y: float, text: str, points: float, anchor: str = "start") -> str:
    style = f'font-size="{points * PX:.1f}" text-anchor="{anchor}" fill="{GREY}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(text)}</text>'


def cut(text: str, points: float, room: float) -> str:
    while width(text, points) > room and len(text) > 1:
        text = text.removesuffix("…")[:-1] + "…"
    return text
