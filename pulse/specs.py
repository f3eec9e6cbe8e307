"""The dashboard's charts: specifications over named data, which the browser fills as its slicers choose.

The data of each is `rows`; of a row, `said` is its value in words and `tip` what hovering says. amount, many,
share, month and whole are formats that the page defines, in the browser's language. Colours are names
of pulse/page/style.css, which has them for light and for dark.
"""

from typing import Any

import altair as alt

MANY = [f"var(--{name})" for name in ("blue", "orange", "green", "pink", "brown", "violet", "plum")]
BLUE, ORANGE, *_ = MANY
PALE, INK, GREY, LINE, DIM = (f"var(--{name})" for name in ("pale", "ink", "grey", "line", "dim"))
DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [1, 0], [6, 2], [2, 2]]
HEIGHT = 220  # of a chart, in pixels
GROWING = {"bars": (26, 0.45), "odds": (26, 0.6), "shares": (13, 0.45)}  # height of a row; most width of a label
ROWS = alt.NamedData("rows", format=alt.DataFormat(parse=None))
BY_ROW = alt.EncodingSortField("nth", op="min")  # as the rows come, also when they change
DAYS = [7, 14, 30, 60, 90, 180, 365]
SINCE = "Months since the first order"


def draw_specs() -> dict[str, dict]:
    """Every chart by its name."""
    months = alt.Scale(domain=["Complete months", "Month in progress"], range=[BLUE, DIM])
    best_first = alt.Legend(title=None, orient="right", columns=1, labelLimit=130, symbolType="square")
    charts = {
        "bars": bars(),
        "odds": bars(room_left=40),
        "shares": shares(),
        "months": columns(months, None, "amount"),
        "sizes": columns(alt.Scale(scheme="blueorange"), best_first, "many"),
        "month_lines": lines(month_axis(None), "many"),
        "since_lines": lines(number_axis(SINCE), "share"),
        "so_far": lines(number_axis(SINCE), "amount", legend=False),
        "repurchase": banded(number_axis("Days since the order", type="log", values=DAYS), "share"),
        "forecast": banded(month_axis("First day of the window"), "amount"),
        "profit_curve": profit_curve(),
        "calibration": lines(number_axis("Tenth of customers, by predicted churn"), "share"),
    }
    rows = {name: {"usermeta": {"step": step, "labels": labels}} for name, (step, labels) in GROWING.items()}
    return {name: configure(chart, **rows.get(name, {})).to_dict() for name, chart in charts.items()}


def configure(chart: Any, **properties: Any) -> Any:
    """The chart in the look of all, as wide as its place."""
    return (
        chart.properties(width="container", background="transparent", **properties)
        .configure(customFormatTypes=True, font="system-ui, sans-serif", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=GREY, titleColor=GREY, gridColor=LINE, domainColor=LINE, tickColor=LINE,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
        )
        .configure_legend(labelColor=INK, labelFontSize=12, gridAlign="all")
    )  # fmt: skip


def month_axis(title: str | None) -> alt.X:
    """Months from left to right."""
    axis = alt.Axis(formatType="month", format="", grid=False, labelOverlap=True, labelSeparation=8)
    return alt.X("x:T", title=title, axis=axis, scale=alt.Scale(type="utc"))


def number_axis(title: str, values: list[int] | None = None, **scale: Any) -> alt.X:
    """Whole numbers from left to right."""
    axis = alt.Axis(formatType="whole", format="", grid=False, tickMinStep=1, labelOverlap=True, labelSeparation=8)
    if values:
        axis.values = values
    return alt.X("x:Q", title=title, axis=axis, scale=alt.Scale(nice=False, **(scale or {"zero": False})))


def value_axis(kind: str) -> alt.Y:
    """Amounts or shares from 0 up."""
    return alt.Y(
        "y:Q", title=None, axis=alt.Axis(formatType=kind, format="", tickCount=5, domain=False, ticks=False)
    )


def start(height: int = HEIGHT) -> alt.Chart:
    """A chart of the rows, without anything on it."""
    return alt.Chart(ROWS, height=height)


def bars(room_left: int = 0) -> Any:
    """A bar for each label, in the order of the rows, with its value in words at its end."""
    label = alt.Axis(title=None, domain=False, ticks=False, labelColor=INK)
    room = alt.Scale(nice=False, rangeMin=room_left, rangeMax=alt.expr("width - 76"))
    base = alt.Chart(ROWS).encode(
        alt.Y("label:N", sort=BY_ROW, axis=label), alt.X("value:Q", axis=None, scale=room), alt.Tooltip("tip:N")
    )
    side: Any = {
        "align": alt.expr("datum.value < 0 ? 'right' : 'left'"),
        "dx": alt.expr("datum.value < 0 ? -4 : 4"),
    }
    return base.mark_bar(color=BLUE, height=16) + base.mark_text(color=INK, fontSize=12, **side).encode(
        text="said:N"
    )


def shares() -> Any:
    """Two bars for each segment: its share of customers and of net revenue."""
    colours = alt.Scale(domain=["Customers", "Net revenue"], range=[PALE, BLUE])
    legend = alt.Legend(title=None, orient="top", symbolType="square")
    label = alt.Axis(title=None, domain=False, ticks=False, labelColor=INK)
    value = alt.Axis(title=None, formatType="share", format="", tickCount=5, domain=False, ticks=False)
    return alt.Chart(ROWS).mark_bar().encode(
        alt.Y("label:N", sort=BY_ROW, axis=label),
        alt.X("value:Q", axis=value),
        alt.YOffset("kind:N", sort=BY_ROW),
        alt.Color("kind:N", scale=colours, legend=legend),
        alt.Tooltip("tip:N"),
    )  # fmt: skip


def columns(colours: alt.Scale, legend: alt.Legend | None, kind: str) -> Any:
    """A column for each month, in one colour or in layers by kind."""
    month = alt.Axis(formatType="month", format="", grid=False, labelAngle=0, labelOverlap=True)
    look: Any = {"width": alt.expr("min(60, 0.9 * bandwidth('x'))"), "stroke": GREY, "strokeWidth": 0.5}
    return start().mark_bar(**look).encode(
        alt.X("x:O", title=None, axis=month),
        value_axis(kind),
        alt.Color("kind:N", scale=colours, sort=None, legend=legend),
        alt.Order("place:Q"),
        alt.Tooltip("tip:N"),
    )  # fmt: skip


def lines(x: alt.X, kind: str, legend: bool = True) -> Any:
    """A line for each kind, in colours and dashes."""
    drawn: Any = {"scale": alt.Scale(range=MANY), "sort": BY_ROW, "legend": series_legend() if legend else None}
    base = start().encode(x, value_axis(kind), alt.Color("kind:N", **drawn))
    dashes = alt.StrokeDash("kind:N", scale=alt.Scale(range=DASHES), sort=BY_ROW, legend=None)
    points = base.mark_circle(size=24).encode(alt.Tooltip("tip:N"))
    return base.mark_line(strokeWidth=2.2).encode(dashes) + points


def series_legend() -> alt.Legend:
    """The kinds of lines, above them."""
    drawn: Any = {"symbolType": "stroke", "symbolOpacity": 1, "symbolSize": 200, "symbolStrokeWidth": 2.5}
    return alt.Legend(title=None, orient="top", labelLimit=220, **drawn)


def banded(x: alt.X, kind: str) -> Any:
    """Lines with a band from low to high around them."""
    band = start().mark_area(opacity=0.18).encode(
        x, alt.Y("low:Q", title=None), alt.Y2("high:Q"),
        alt.Color("kind:N", scale=alt.Scale(range=MANY), sort=BY_ROW, legend=series_legend()),
    )  # fmt: skip
    return band + lines(x, kind)


def profit_curve() -> Any:
    """What contacting so many brings, its best point marked."""
    base = start(160).encode(number_axis("Customers contacted"), value_axis("amount"), alt.Tooltip("tip:N"))
    best = base.transform_filter("datum.best")
    return (
        base.mark_line(color=BLUE, strokeWidth=2.2)
        + base.mark_circle(color=BLUE, size=30)
        + best.mark_circle(color=ORANGE, size=120, opacity=1)
        + best.mark_text(color=INK, fontSize=12, dy=-12).encode(text="said:N")
    )
