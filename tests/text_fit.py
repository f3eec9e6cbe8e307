"""Whether each text of the report fits in its visual, under no choice and under choices of each slicer.

    python tests/text_fit.py DATA_DIR       each text that is cut, each visual that is out of place

Sizes are those that Microsoft publishes in https://github.com/microsoft/skills-for-fabric (commit 764ab77), under
skills/powerbi-report-authoring/references:

- a line's height (`render`) and a card's: card.md, "Step 3: Compute height". Reference labels are not in it: they
  are taken to stand below the label, side by side, or above each other where their arrangement is "rows", each
  with its padding (12, as the base theme's), its title's line and its value's.
- slicers: slicers.md, "Sizing". A list needs its chrome and a row; it scrolls.
- text boxes: screenshot-review.md, "Textbox shows scrollbar or clipped title".
- nothing below 9 points: powerbi-report-design/references/typography.md, rule 6; edges on a grid, no visual over
  another, equal margins, few widths of gutters: layout.md there, with multiples of 4 in place of its 8.
- a bar's category has maxMarginFactor percent of the width, 25 unless said, as Desktop's format pane has it.

Widths are of DejaVu Sans (it comes with matplotlib), divided by how much wider it is than Segoe UI at least. On
952 texts of this project DejaVu Sans was 1.08 to 1.21 times as wide as Selawik, Microsoft's free font of the same
advance widths, and bold 1.15 to 1.25 times: a text is held to be up to 13% wider than it is, never narrower.

Not published, and chosen here: 80 pixels that a chart keeps below its title; 5 pixels at each side of a cell; 8
pixels at each side of a button's text and of what a slicer's box says, which has an arrow of 20 besides.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import combinations
from math import ceil
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font, LoadFlags

sys.path[:0] = [str(Path(__file__).parents[1])]  # what the tests share is found from here too
from dax import Model, split  # noqa: E402
from report import CONTAINER, SIZES, Field, Page, Report, Visual, read_report, value_of  # noqa: E402
from shown import Shown, abridged, show  # noqa: E402
from star import load_model  # noqa: E402

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PX = 96 / 72  # of a point
WIDER = {False: 1.08, True: 1.15}  # DejaVu Sans than Segoe UI, bold than bold
SIDES = ("top", "bottom", "left", "right")
UNTITLED = {
    "slicer",
    "listSlicer",
    "advancedSlicerVisual",
    "cardVisual",
    "textbox",
    "actionButton",
    "pageNavigator",
}
TABLES = {"tableEx": "Values", "pivotTable": "Rows"}
DECORATION = {"shape", "basicShape", "image"}
FONT_SIZES = {name for name, _, _ in SIZES.values()}
LEAST = 9  # points


# --- texts and their sizes ---


@cache
def font(is_bold: bool) -> FT2Font:
    found = FT2Font(str(FONTS / f"DejaVuSans{'-Bold' * is_bold}.ttf"))
    found.set_size(100, 72)
    return found


@cache
def width(text: str, points: float, is_bold: bool = False) -> float:
    """Pixels that a line takes in Segoe UI, at most."""
    advances = (font(is_bold).load_char(ord(each), LoadFlags.NO_HINTING).linearHoriAdvance for each in text)
    return sum(advances) / 65536 / 100 * points * PX / WIDER[is_bold]


def render(points: float) -> int:
    """Pixels that a line takes in height."""
    return ceil(1.5 * points)


def wrapped(text: str, points: float, room: float, is_bold: bool = False) -> list[str]:
    """The lines that a text takes where it wraps between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(longer, points, is_bold) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def is_bold(visual: Visual, thing: str, state: str = "default") -> bool:
    """Semibold is held to be as wide as bold."""
    on_container = thing in CONTAINER
    family = str(visual.says(thing, "fontFamily", "", state, on_container)).lower()
    return bool(visual.says(thing, "bold", False, state, on_container)) or "bold" in family


def padding(visual: Visual) -> dict[str, float]:
    """Between a visual's edge and what it shows, its border included."""
    edge = visual.wears("border", "width", 1) if visual.wears("border", "show", False) else 0
    return {side: edge + visual.wears("padding", side, 5) for side in SIDES}


def heads(visual: Visual) -> list[str]:
    """Which of title and subtitle it has; charts and tables have a title unless it is off."""
    is_shown = {"title": visual.kind not in UNTITLED, "subTitle": False}
    return [
        each
        for each, usual in is_shown.items()
        if visual.wears(each, "show", usual) and visual.wears(each, "text")
    ]


def area_below(visual: Visual) -> float:
    return visual.wears("spacing", "spaceBelowTitleArea", 5)


def reference_labels(visual: Visual, field: Field) -> list[tuple[str | Field, list[Field], str]]:
    """Those of a card's measure: the title (where it is shown), the value and the detail, and the label's id."""
    found = []
    for entry in visual.objects.get("referenceLabel", []):
        of = entry.get("selector", {})
        if "value" in entry["properties"] and of.get("metadata", field.ref) == field.ref:
            measure, said = value_of(entry["properties"]["value"]), of.get("id")
            title = visual.says("referenceLabelTitle", "titleText", measure.name, said)
            has_title = visual.says("referenceLabelTitle", "show", True, said)
            detail = visual.says("referenceLabelDetail", "detailValue", None, said)
            found.append((title if has_title else "", [each for each in (measure, detail) if each], said))
    return found


# --- what is cut ---


def findings(report: Report, model: Model) -> list[str]:
    """Each text that is cut, each that is too small, each visual that is out of place."""
    found = [f"theme: {each}" for theme in report.themes for each in small(theme)]
    for page in report.pages:
        found += [f"{page.name}: {each}" for each in misplaced(page)]
        for visual in page.seen:
            found += [
                f"{page.name}, {visual.name}: {each}"
                for each in (*small(visual.body), *cut(scenes(report, page, visual, model)))
            ]
    return found


def scenes(report: Report, page: Page, visual: Visual, model: Model) -> list[Shown]:
    """The visual as a reader first sees it, and under the two longest values of each slicer of its page."""
    choices = [{}]
    for slicer in page.slicers:
        column = split(slicer.fields("Column")[0].name)
        values = model.tables[column[0]][column[1]].dropna().unique()
        choices += [{column: [value]} for value in sorted(values, key=lambda value: len(str(value)))[-2:]]
    return [show(report, page, visual, model, choice) for choice in choices]


def cut(many: list[Shown]) -> Iterator[str]:
    """What of a visual does not fit, under any of the choices."""
    visual, pad = many[0].visual, padding(many[0].visual)
    wide = visual.right - visual.left - pad["left"] - pad["right"]
    high = visual.bottom - visual.top - pad["top"] - pad["bottom"]
    for each in heads(visual):
        texts = said(many, visual.wears(each, "text"))
        points, bold = visual.points(each), is_bold(visual, each)
        is_wrapping = visual.wears(each, "titleWrap", False)
        words = [word for text in texts for word in text.split()]
        yield from too_wide(each, words if is_wrapping else texts, points, bold, wide)
        high -= (
            max((len(wrapped(text, points, wide, bold)) for text in texts), default=1) * render(points)
            if is_wrapping
            else render(points)
        )
    high -= area_below(visual) if heads(visual) else 0
    for kinds, check in CHECKS.items():
        if visual.kind in kinds:
            need, found = check(many, wide)
            yield from found
            if need > high:
                yield f"needs {need:.0f} px of height below its title, has {high:.0f}"
            return
    least = 80 if visual.roles else 0
    if least > high:
        yield f"has {high:.0f} px of height for what it shows, below its title"
    if "bar" in visual.kind.lower():
        room = visual.says("categoryAxis", "maxMarginFactor", 25) / 100 * wide
        texts = [shown.text(visual.roles["Category"][0], cell) for shown in many[:1] for cell in plotted(shown)]
        yield from too_wide("category", texts, visual.points("categoryAxis"), False, room)


def said(many: list[Shown], value) -> list[str]:
    """A text, or all that a measure says."""
    return [*dict.fromkeys(shown.said(value) for shown in many)] if isinstance(value, Field) else [str(value)]


def too_wide(what: str, texts: Iterable[str], points: float, bold: bool, room: float) -> Iterator[str]:
    widest = max(texts, key=lambda text: width(text, points, bold), default="")
    if (need := width(widest, points, bold)) > room:
        yield f"{what} {widest!r} needs {need:.0f} px, has {room:.0f}"


def plotted(shown: Shown) -> list:
    """The categories of a chart that have a value."""
    measures = [field for role in ("Y", "Y2") for field in shown.visual.roles.get(role, [])]
    cells = shown.cells(shown.visual.roles["Category"][:1])
    return [cell for cell in cells if any(shown.figure(field, cell) is not None for field in measures)]


Check = tuple[float, list[str]]  # the height that is needed, and what is too wide


def card(many: list[Shown], wide: float) -> Check:
    """Height by the published formula; each measure has an equal share of the width."""
    visual, found, labels_height = many[0].visual, [], 0.0
    fields = visual.roles.get("Data", [])
    inner = content_padding(visual)
    gap = visual.says("layout", "cellPadding", 5, "default")
    room = (wide - gap * (len(fields) - 1)) / max(len(fields), 1) - inner["left"] - inner["right"]
    bar = (
        visual.says("accentBar", "width", 4, "default")
        if visual.says("accentBar", "show", False, "default")
        else 0
    )
    is_flat = visual.says("accentBar", "position", "Left", "default") in ("Left", "Right")
    room -= bar if is_flat else 0
    units = visual.says("value", "labelDisplayUnits", 0, "default")
    for field in fields:
        texts = [abridged(shown.figure(field), shown.text(field), units) for shown in many]
        found += too_wide("value", texts, visual.points("value"), is_bold(visual, "value"), room)
        if visual.says("label", "show", True, "default"):
            label = said(many, visual.says("label", "text", field.shown, "default"))
            found += too_wide("label", label, visual.points("label"), is_bold(visual, "label"), room)
        need, wider = references(many, field, room)
        labels_height, found = max(labels_height, need), found + wider
    need = (
        inner["top"] + inner["bottom"] + render(visual.points("value")) + render(max(visual.points("label"), 12))
    )
    need += visual.says("spacing", "verticalSpacing", 2, "default") + (0 if is_flat else bar)
    return need + labels_height, found


def content_padding(visual: Visual) -> dict[str, float]:
    """Of a card: what its padding and its layout add at each side."""
    found = dict.fromkeys(SIDES, 0.0)
    for thing, ending in (("padding", "Margin"), ("layout", "OuterMargin")):
        uniform = visual.says(thing, "paddingUniform", 12, "default")
        for side in SIDES:
            own = visual.says(thing, side + ending, uniform, "default")
            found[side] += own if visual.says(thing, "paddingIndividual", False, "default") else uniform
    return found


def references(many: list[Shown], field: Field, room: float) -> Check:
    visual, found, heights = many[0].visual, [], []
    labels = reference_labels(visual, field)
    is_stacked = visual.says("referenceLabelLayout", "arrangement", "columns", "default") == "rows"
    inner = visual.says("referenceLabel", "paddingUniform", 12, "default")
    share = room / (1 if is_stacked else max(len(labels), 1)) - 2 * inner
    for title, measures, state in labels:
        value, head = visual.points("referenceLabelValue", state), visual.points("referenceLabelTitle", state)
        texts = [" ".join(shown.text(measure) for measure in measures) for shown in many]
        found += too_wide("reference label", texts, value, is_bold(visual, "referenceLabelValue", state), share)
        found += too_wide("reference label's title", said(many, title), head, False, share)
        heights.append(2 * inner + render(value) + (render(head) if title else 0))
    return (sum(heights) if is_stacked else max(heights, default=0)), found


def slicer(many: list[Shown], wide: float) -> Check:
    visual, (field, *_), found = many[0].visual, many[0].visual.fields("Column"), []
    header, item = visual.points("header"), visual.points("items")
    has_header = visual.says("header", "show", True)
    if has_header:
        found += too_wide("header", said(many, visual.says("header", "text", field.shown)), header, True, wide)
    values = [many[0].text(field, cell) for cell in many[0].cells([field])]
    bigger = 4 * max(header - 10, 0) if has_header else 0
    if visual.kind == "slicer" and visual.mode == "Dropdown":
        found += too_wide("value", values, item, False, wide - 36)
        return 32 + 28 * has_header + bigger, found
    if visual.kind == "slicer" and visual.mode in ("Between", "Before", "After"):
        return (32 if wide >= 200 else 56) + 28 * has_header + bigger, found
    if visual.kind == "advancedSlicerVisual":
        columns = visual.says("layout", "columnCount", len(values), "default")
        found += too_wide(
            "value",
            values,
            visual.points("value") if "value" in visual.objects else item,
            False,
            wide / columns - 16,
        )
        return 56 * visual.says("layout", "rowCount", 1, "default"), found
    found += too_wide("value", values, item, False, wide - 24)
    row = 24 + 4 * max(item - 9, 0) + 2 * max(visual.says("items", "padding", 2) - 2, 0)
    search = 32 if len(values) > 10 and visual.says("general", "selfFilterEnabled", False) else 0
    return 32 * has_header + bigger + search + row + 8, found


def table(many: list[Shown], wide: float) -> Check:
    """A header, a row and the total have room; where a column's width is set, its header and its cells have it."""
    shown, visual, found = many[0], many[0].visual, []
    head, size, pad = (
        visual.points("columnHeaders"),
        visual.points("values"),
        2 * visual.says("grid", "rowPadding", 3),
    )
    fields = [field for fields in visual.roles.values() for field in fields]
    columns = visual.roles.get("Columns", [])
    for field in fields:
        room = visual.says("columnWidth", "value", None, field.ref)
        if room is None or field in columns:
            continue
        names = [field.shown]
        if columns and field.kind == "Measure":
            names = [shown.text(columns[-1], cell) for cell in shown.cells(columns[-1:])]
        lines = (
            [word for name in names for word in name.split()]
            if visual.says("columnHeaders", "wordWrap", False)
            else names
        )
        found += too_wide("header", lines, head, is_bold(visual, "columnHeaders"), room - 10)
        if field.kind == "Column" and not visual.says("values", "wordWrap", False):
            cells = [shown.text(field, cell) for cell in shown.cells([field])]
            found += too_wide(f"{field.shown}:", cells, size, False, room - 10)
    lines = 1 + (visual.says("total", "totals", True) if visual.kind == "tableEx" else 1)
    return render(head) * max(len(columns), 1) + pad + lines * (render(size) + pad), found


def textbox(many: list[Shown], wide: float) -> Check:
    visual, need = many[0].visual, 0.0
    for paragraph in visual.says("general", "paragraphs", []):
        texts, sizes = [""] * len(many), [10.0]
        for run in paragraph["textRuns"]:
            value = run["value"]
            if isinstance(value, dict):
                value = visual.says("values", "expr", "", value["selector"]["id"])
            texts = [text + shown.said(value) for text, shown in zip(texts, many, strict=True)]
            sizes += [points_of(run["textStyle"]["fontSize"])] if "fontSize" in run.get("textStyle", {}) else []
        size = max(sizes[1:] or sizes)
        is_heavy = any("old" in str(run.get("textStyle", {})) for run in paragraph["textRuns"])
        lines = max(len(wrapped(text, size, wide, is_heavy)) for text in texts)
        need += lines * max(18, ceil(size * 25 / 16))
    return need, []


def buttons(many: list[Shown], wide: float) -> Check:
    """The text of a button; a navigator's pages share its width, or stand above each other (orientation 1)."""
    visual, report = many[0].visual, many[0].report
    texts = said(many, visual.says("text", "text", "", "default"))
    rows, columns = 1, 1
    if visual.kind == "pageNavigator":
        texts = [page.json["displayName"] for page in report.pages if not page.is_hidden]
        rows, columns = (len(texts), 1) if visual.says("layout", "orientation", 0) == 1 else (1, len(texts))
    gap = visual.says("layout", "cellPadding", 4)
    room = (wide - gap * (columns - 1)) / columns - 16
    bold = is_bold(visual, "text") or is_bold(visual, "text", "selected")
    points = max(visual.points("text"), visual.points("text", "selected"))
    return rows * render(points) + gap * (rows - 1), [*too_wide("text", texts, points, bold, room)]


CHECKS = {
    ("cardVisual",): card,
    ("slicer", "listSlicer", "advancedSlicerVisual"): slicer,
    ("tableEx", "pivotTable"): table,
    ("textbox",): textbox,
    ("actionButton", "pageNavigator"): buttons,
}


# --- sizes of fonts, places ---


def points_of(size) -> float:
    """12, "12pt" or "16px" in points."""
    text = str(size)
    return float(text[:-2]) / PX if text.endswith("px") else float(text.removesuffix("pt"))


def small(node) -> Iterator[str]:
    """Sizes of fonts below the least, anywhere below a node of a theme or a visual."""
    if isinstance(node, list):
        for each in node:
            yield from small(each)
    elif isinstance(node, dict):
        for name, each in node.items():
            size = value_of(each) if name in FONT_SIZES else None
            if isinstance(size, int | float | str) and points_of(size) < LEAST:
                yield f"{name} is {points_of(size):g} pt, below {LEAST}"
            yield from small(each)


def misplaced(page: Page) -> Iterator[str]:
    """Visuals over another, beyond the page, off the grid, or beside the margin that the others keep."""
    visuals, (wide, high) = page.seen, page.size
    for a, b in combinations([visual for visual in visuals if visual.kind not in DECORATION], 2):
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom:
            yield f"{a.name} and {b.name} overlap"
    for each in visuals:
        if each.left < 0 or each.top < 0 or each.right > wide or each.bottom > high:
            yield f"{each.name} lies beyond the page"
        if off := [edge for edge in (each.left, each.top, each.right, each.bottom) if edge % 4]:
            yield f"{each.name} has edges at {', '.join(f'{edge:g}' for edge in off)}, no multiples of 4"
    if not visuals:
        return
    left, right = min(each.left for each in visuals), max(each.right for each in visuals)
    if left != wide - right:
        yield f"the margin is {left:g} px at the left and {wide - right:g} at the right"
    for each in visuals:
        for edge, margin in ((each.left, left), (each.right, right)):
            if 0 < abs(edge - margin) < 8:
                yield f"{each.name} ends at {edge:g}, beside the margin at {margin:g}"
    yield from gutters(visuals)


def gutters(visuals: list[Visual]) -> Iterator[str]:
    """Gaps between neighbours: at most two widths along a page, and two down it."""
    for start, end, low, high, way in (
        ("left", "right", "top", "bottom", "beside"),
        ("top", "bottom", "left", "right", "above"),
    ):
        gaps = defaultdict(list)
        for a in visuals:
            after = [
                getattr(b, start) - getattr(a, end)
                for b in visuals
                if getattr(b, start) >= getattr(a, end)
                and getattr(a, low) < getattr(b, high)
                and getattr(b, low) < getattr(a, high)
            ]
            if after and min(after) <= 32:
                gaps[min(after)].append(a.name)
        if len(gaps) > 2:
            yield f"gutters of {', '.join(f'{gap:g}' for gap in sorted(gaps))} px {way} each other"


def main() -> None:
    found = findings(read_report(), load_model(Path(sys.argv[1])))
    print("\n".join(found) or "Every text fits.")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
