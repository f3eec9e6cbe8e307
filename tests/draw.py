"""The pages of the report as a reader would see them, with the figures of a shop's CSV files.

    python tests/draw.py DATA_DIR OUT_DIR
    python tests/draw.py DATA_DIR OUT_DIR --choose "dim_country[Country]=Germany" --choose ...

Each page becomes OUT_DIR/<page>.html at its true size and, where chromium is installed, a .png. Sizes, clipping,
formats, filters, orders, theme and colours are those of the report; charts look simpler than Power BI's, and texts
are in DejaVu Sans, narrowed to about the widths of Segoe UI.
"""

import argparse
import html
import shutil
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]  # what the tests share is found from here too
from dax import Model, split  # noqa: E402
from draw_charts import GREY, chart, scatter  # noqa: E402
from report import Chosen, Field, Page, Report, Visual, read_report, value_of  # noqa: E402
from shown import Shown, abridged, show, written  # noqa: E402
from star import load_model  # noqa: E402
from text_fit import (  # noqa: E402
    PX,
    area_below,
    content_padding,
    heads,
    is_bold,
    padding,
    reference_labels,
    render,
    width,
    wrapped,
)

STYLE = """@font-face{font-family:Narrowed;src:local("DejaVu Sans");size-adjust:88%}
@font-face{font-family:Narrowed;font-weight:700;src:local("DejaVu Sans Bold");size-adjust:84%}
body{margin:0;font-family:Narrowed,sans-serif}.page{position:relative;overflow:hidden}*{box-sizing:border-box}
.v{position:absolute;overflow:hidden}.part{flex:1;min-width:0}.row{display:flex;gap:8px}
.line{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}table{border-collapse:collapse;table-layout:fixed}
td,th{white-space:nowrap;overflow:hidden;text-overflow:ellipsis;padding:0 5px;border-bottom:1px solid #eee}"""
Cell = tuple[Field | None, Chosen, str]  # of a table: what it shows, where, and how it is written


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the report's pages.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--choose", action="append", default=[], metavar="table[column]=value")
    args = parser.parse_args()
    report, model = read_report(), load_model(args.data)
    chosen = choices(args.choose, model)
    args.out.mkdir(parents=True, exist_ok=True)
    for page in report.pages:
        file = args.out / f"{page.name}.html"
        file.write_text(draw_page(report, page, model, chosen), encoding="utf-8")
        if chromium := shutil.which("chromium"):
            command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += ["--window-size={},{}".format(*page.size), f"--screenshot={file.with_suffix('.png')}"]
            subprocess.run([*command, file.resolve().as_uri()], capture_output=True, check=True)
        print(file)


def choices(texts: list[str], model: Model) -> Chosen:
    """Each table[column]=value, as a value of the column or as it is written; several of one column are or-ed."""
    chosen: Chosen = {}
    for text in texts:
        name, _, wanted = text.partition("=")
        table, column = split(name)
        values = model.tables[table][column].dropna().unique()
        found = [value for value in values if wanted in (str(value), written(value, ""))]
        if not found:
            raise SystemExit(f"{name} has no value {wanted}; it has {', '.join(map(str, values[:9]))} ...")
        chosen[table, column] = chosen.get((table, column), []) + found
    return chosen


def draw_page(report: Report, page: Page, model: Model, chosen: Chosen) -> str:
    boxes = "".join(draw_visual(show(report, page, visual, model, chosen)) for visual in page.seen)
    (back,) = page.json.get("objects", {}).get("background", [{"properties": {}}])
    colour = value_of(back["properties"].get("color", "#FFFFFF"))
    style = "width:{}px;height:{}px;background:{}".format(*page.size, colour)
    head = f'<!doctype html><meta charset="utf-8"><title>{page.name}</title><style>{STYLE}</style>'
    return f'{head}<div class="page" style="{style}">{boxes}</div>'


def draw_visual(shown: Shown) -> str:
    """The box of a visual: background, border, title and subtitle, and what is in it."""
    visual, pad = shown.visual, padding(shown.visual)
    at = [visual.left, visual.top, visual.right - visual.left, visual.bottom - visual.top]
    wide, high = at[2] - pad["left"] - pad["right"], at[3] - pad["top"] - pad["bottom"]
    top = []
    for each in heads(visual):
        text, points, bold = shown.said(visual.wears(each, "text")), visual.points(each), is_bold(visual, each)
        lines = wrapped(text, points, wide, bold) if visual.wears(each, "titleWrap", False) else [text]
        ink = shown.colour(visual.wears(each, "fontColor", shown.ink if each == "title" else GREY))
        align = f"text-align:{visual.wears(each, 'alignment', 'left')};"
        top += [line(one, points, ink, bold, align) for one in lines]
        high -= len(lines) * render(points)
    space = area_below(visual) if top else 0
    high = max(high - space, 0)
    style = "left:{}px;top:{}px;width:{}px;height:{}px;padding:".format(*at)
    style += " ".join(f"{pad[side]}px" for side in ("top", "right", "bottom", "left")) + ";"
    if visual.wears("background", "show", True):
        style += f"background:{shown.colour(visual.wears('background', 'color', '#FFFFFF'))};"
    if visual.wears("border", "show", False):
        edge = shown.colour(visual.wears("border", "color", "#E0E0E0"))
        style += f"border-radius:{visual.wears('border', 'radius', 0)}px;box-shadow:inset 0 0 0 1px {edge};"
    is_chart = {"Category", "Y"} <= visual.roles.keys()
    inside = DRAWN.get(visual.kind, chart if is_chart else unknown)(shown, wide, high)
    inside = f'<div style="height:{high}px;margin-top:{space}px;overflow:hidden">{inside}</div>'
    return f'<div class="v" id="{visual.name}" style="{style}">{"".join(top)}{inside}</div>'


def line(text: str, points: float, colour: str, bold: bool = False, more: str = "") -> str:
    style = f"font-size:{points * PX:.1f}px;line-height:{render(points)}px;color:{colour};{more}"
    return f'<div class="line" style="{style}{"font-weight:700;" * bold}">{html.escape(text)}</div>'


# --- cards, slicers ---


def card(shown: Shown, wide: float, high: float) -> str:
    """Each measure's value and its label, then its reference labels; what does not fit is cut."""
    visual, found = shown.visual, []
    align = f"text-align:{visual.says('value', 'horizontalAlignment', 'left', 'default')};"
    for field in visual.roles.get("Data", []):
        value = shown.figure(field), shown.text(field), visual.says("value", "labelDisplayUnits", 0, "default")
        ink = shown.colour(visual.says("value", "fontColor", shown.ink, "default"))
        tint = shown.colour(visual.says("label", "fontColor", GREY, "default"))
        label = shown.said(visual.says("label", "text", field.shown, "default"))
        parts = [
            line(abridged(*value) or "--", visual.points("value"), ink, is_bold(visual, "value"), align),
            line(label, visual.points("label"), tint, more=align),
        ]
        if visual.says("label", "position", "belowValue", "default") == "aboveValue":
            parts.reverse()
        labels = []
        for title, measures, said in reference_labels(visual, field):
            ink = shown.colour(visual.says("referenceLabelValue", "valueFontColor", shown.ink, said))
            over = line(shown.said(title), visual.points("referenceLabelTitle", said), GREY) if title else ""
            text = " ".join(shown.text(measure) or "--" for measure in measures)
            labels.append(
                f'<div class="part">{over}{line(text, visual.points("referenceLabelValue", said), ink)}</div>'
            )
        around = visual.says("referenceLabel", "paddingUniform", 12, "default") if labels else 0
        parts.append(f'<div class="row" style="padding:{around}px">{"".join(labels)}</div>')
        found.append(f'<div class="part">{"".join(parts)}</div>')
    inner = content_padding(visual)
    gap = " ".join(f"{inner[side]}px" for side in ("top", "right", "bottom", "left"))
    return f'<div class="row" style="padding:{gap}">{"".join(found)}</div>'


def slicer(shown: Shown, wide: float, high: float) -> str:
    """A header, and a box that says what is chosen, or the list."""
    visual, (field, *_), head = shown.visual, shown.visual.fields("Column"), ""
    if visual.says("header", "show", True):
        text, bold = shown.said(visual.says("header", "text", field.shown)), is_bold(visual, "header")
        head = line(text, visual.points("header"), shown.ink, bold, "padding:4px 0;")
    column, size = split(field.name), visual.points("items")
    values = [shown.text(field, cell) for cell in shown.cells([field])]
    if visual.mode != "Dropdown":
        return head + "".join(line(f"☐ {text}", size, shown.ink, more="padding:2px 0;") for text in values)
    text = values[0] if len(values) == 1 else "Multiple selections"
    if (
        column not in shown.filters
        or len(shown.filters[column]) == shown.model.tables[column[0]][column[1]].nunique()
    ):
        text = "All"
    return head + line(f"{text} ⌄", size, shown.ink, more="border:1px solid #888;padding:3px 8px;")


# --- tables ---


def table(shown: Shown, wide: float, high: float) -> str:
    """A flat list: as many rows as fit, and the total."""
    visual, fields, body = shown.visual, shown.visual.roles.get("Values", []), []
    measures = [field for field in fields if field.kind == "Measure"]
    for cell in shown.cells([field for field in fields if field.kind == "Column"]):
        if len(body) * row_height(visual, "values") > high:
            break
        if not measures or any(shown.figure(field, cell) is not None for field in measures):
            body.append([(field, cell, shown.text(field, cell)) for field in fields])
    total = []
    if visual.says("total", "totals", True) and measures:
        total = [shown.text(field) if field.kind == "Measure" else "" for field in fields]
        total[0] = total[0] or "Total"
    return grid(shown, wide, [(field.shown, field) for field in fields], body, total)


def matrix(shown: Shown, wide: float, high: float) -> str:
    """Rows of the first level (of all levels where it is expanded) by columns and measures."""
    visual, body, used = shown.visual, [], set()
    measures, columns = visual.roles.get("Values", []), visual.roles.get("Columns", [])
    levels = visual.roles.get("Rows", [])[: None if "expansionStates" in visual.body else 1]
    across = [(one, measure) for one in (shown.cells(columns) if columns else [{}]) for measure in measures]
    across = across[: int(wide / 20)]
    for cell in shown.cells(levels):
        if len(body) * row_height(visual, "values") > high:
            break
        row: list[Cell] = [(measure, cell | one, shown.text(measure, cell | one)) for one, measure in across]
        used |= {i for i, (_, _, text) in enumerate(row) if text}
        if any(text for _, _, text in row):
            body.append([(None, cell, " · ".join(shown.text(level, cell) for level in levels)), *row])
    head = [(" / ".join(level.shown for level in levels), levels[0])]
    for one, measure in across:
        parts = [shown.text(column, one) for column in columns]
        head.append(
            (" · ".join([*parts, *([measure.shown] if len(measures) > 1 or not columns else [])]), measure)
        )
    total = []
    if visual.says("subTotals", "rowSubtotals", True):
        total = ["Total", *(shown.text(measure, one) for one, measure in across)]
    kept = [0, *(i + 1 for i in sorted(used))]  # a column without a figure is not there
    pick = lambda row: [row[i] for i in kept if row]  # noqa: E731
    return grid(shown, wide, pick(head), [pick(row) for row in body], pick(total))


def row_height(visual: Visual, thing: str) -> float:
    return render(visual.points(thing)) + 2 * visual.says("grid", "rowPadding", 3)


def grid(
    shown: Shown, wide: float, head: list[tuple[str, Field]], body: list[list[Cell]], total: list[str]
) -> str:
    """The cells of a table or matrix: widths as set or as their texts need, colours by the fields' rules."""
    visual, is_head_bold = shown.visual, is_bold(shown.visual, "columnHeaders")
    widths = widths_of(visual, wide, head, body, total)
    looks = "height:{}px;font-size:{:.1f}px;color:{};background:{}".format
    back, ink = (
        shown.colour(visual.says("columnHeaders", *each))
        for each in (("backColor", "#FFFFFF"), ("fontColor", shown.ink))
    )
    top = looks(row_height(visual, "columnHeaders"), visual.points("columnHeaders") * PX, ink, back)
    plain = looks(row_height(visual, "values"), visual.points("values") * PX, shown.ink, "none")
    bold = weight(is_head_bold)
    names = zip(head, widths, strict=True)
    rows = [(top, [(f"width:{room}px;{side(field)}{bold}", name) for (name, field), room in names])]
    domains = {ref: domain(shown, ref, body) for ref in {field.ref for _, field in head}}
    for row in body:
        rows.append((plain, [(side(f) + tints(shown, f, cell, domains), text) for f, cell, text in row]))
    if total:
        rows.append((plain, [(side(f) + weight(True), text) for (_, f), text in zip(head, total, strict=True)]))
    lines = []
    for style, cells in rows:
        inside = "".join(f'<td style="{more}">{html.escape(text)}</td>' for more, text in cells)
        lines.append(f'<tr style="{style}">{inside}</tr>')
    return f'<table style="width:{sum(widths)}px">{"".join(lines)}</table>'


def widths_of(visual: Visual, wide: float, head: list, body: list[list[Cell]], total: list[str]) -> list[float]:
    found, points, bold = [], visual.points("columnHeaders"), is_bold(visual, "columnHeaders")
    for i, (name, field) in enumerate(head):
        needs = [width(name, points, bold), *(width(row[i][2], visual.points("values")) for row in body)]
        needs += [width(text, visual.points("total"), True) for text in total[i : i + 1]]
        found.append(visual.says("columnWidth", "value", max(needs) + 12, field.ref))
    if visual.says("columnHeaders", "columnAdjustment") == "growToFit":
        found = [each * max(wide / sum(found), 1) for each in found]
    return found


def side(field: Field | None) -> str:
    return "text-align:right;" if field and field.kind == "Measure" else "text-align:left;"


def weight(bold: bool) -> str:
    return "font-weight:700;" if bold else ""


def rules(visual: Visual, ref: str) -> dict[str, dict]:
    """Colours by rules of a field's cells."""
    entries = [
        each for each in visual.objects.get("values", []) if each.get("selector", {}).get("metadata") == ref
    ]
    return {name: node for each in entries for name, node in each["properties"].items() if name.endswith("Color")}


def tints(shown: Shown, field: Field | None, cell: Chosen, domains: dict[str, list[float]]) -> str:
    css = {"backColor": "background", "fontColor": "color"}
    found = rules(shown.visual, field.ref) if field else {}
    return "".join(f"{css[name]}:{shown.colour(node, cell, domains[field.ref])};" for name, node in found.items())


def domain(shown: Shown, ref: str, body: list[list[Cell]]) -> list[float]:
    """The values that a gradient of a field's cells runs over."""
    for node in rules(shown.visual, ref).values():
        rule = value_of(node)
        if isinstance(rule, dict) and "FillRule" in rule:
            field = value_of(rule["FillRule"]["Input"])
            values = [shown.figure(field, cell) for row in body for f, cell, _ in row if f and f.ref == ref]
            return [value for value in values if value is not None]
    return []


# --- what has no figures ---


def textbox(shown: Shown, wide: float, high: float) -> str:
    found = []
    for paragraph in shown.visual.says("general", "paragraphs", []):
        runs = []
        for run in paragraph["textRuns"]:
            value, style = run["value"], run.get("textStyle", {})
            if isinstance(value, dict):
                value = shown.said(shown.visual.says("values", "expr", "", value["selector"]["id"]))
            css = {"font-size": "fontSize", "font-weight": "fontWeight", "color": "color"}
            looks = ";".join(f"{name}:{style[key]}" for name, key in css.items() if key in style)
            runs.append(f'<span style="{looks}">{html.escape(value)}</span>')
        style = (
            f"font-size:{10 * PX}px;line-height:1.35;text-align:{paragraph.get('horizontalTextAlignment', 'left')}"
        )
        found.append(f'<div style="{style}">{"".join(runs)}</div>')
    return "".join(found)


def buttons(shown: Shown, wide: float, high: float) -> str:
    """A button, or one for each page that is not hidden."""
    visual, found = shown.visual, []
    pages = [page for page in shown.report.pages if not page.is_hidden]
    names = [(page.json["displayName"], page is shown.page) for page in pages]
    if visual.kind != "pageNavigator":
        names = [(shown.said(visual.says("text", "text", "", "default")), False)]
    for name, is_here in names:
        state, fill = "selected" if is_here else "default", "none"
        ink = shown.colour(visual.says("text", "fontColor", shown.ink, state))
        if visual.says("fill", "show", True, state):
            fill = shown.colour(visual.says("fill", "fillColor", "transparent", state))
        text = line(name, visual.points("text", state), ink, is_bold(visual, "text", state), "text-align:center;")
        found.append(f'<div class="part" style="background:{fill};display:grid;align-content:center">{text}</div>')
    way = "column" if visual.says("layout", "orientation", 0) == 1 else "row"
    return f'<div class="row" style="height:{high}px;gap:4px;flex-direction:{way}">{"".join(found)}</div>'


def unknown(shown: Shown, wide: float, high: float) -> str:
    fields = [f"{role}: {field.shown}" for role, fields in shown.visual.roles.items() for field in fields]
    return "".join(line(text, 9, GREY) for text in (shown.visual.kind, *fields))


DRAWN = {"cardVisual": card, "slicer": slicer, "listSlicer": slicer, "tableEx": table, "pivotTable": matrix}
DRAWN |= {"scatterChart": scatter, "textbox": textbox, "actionButton": buttons, "pageNavigator": buttons}

if __name__ == "__main__":
    main()
