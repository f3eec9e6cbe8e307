"""The figures of script 2, and the look that all figures share.

Each figure has a title that says what is seen. Libraries are imported where they are used: they are
slow to import, and load while MongoDB works.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pulse.progress import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Grid = Mapping[int, tuple[str, ...]]  # recency score -> the segments of frequency scores 1 to 5

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9AA0A6"  # told apart by the colour-blind too
STYLE: Any = {
    **{"font.size": 13, "axes.titlesize": "medium", "axes.labelsize": "medium", "legend.fontsize": 12},
    **{"axes.spines.right": False, "axes.spines.top": False, "axes.axisbelow": True, "axes.linewidth": 1.2},
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ".15"),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 12),
}


def new_figure(title: str, size: tuple[float, float] = (10, 5.6), **grid: Any) -> "tuple[Figure, Any]":
    """A figure under this title, and its axes, or an array of them (plt.subplots' `grid`)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update(STYLE)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(**grid)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=16)
    return figure, axes


def format_amount(amount: float, _: object = None) -> str:
    """An amount as people say it: 4.5M, 812k, 37."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= size:
            return f"{amount / size:.3g}{letter}"
    return f"{amount:.3g}"


# --- script 2 ---


@clock("Drawing")
def draw_analysis(
    tables: Mapping[str, pd.DataFrame], grid: Grid, best_first: tuple[str, ...]
) -> "dict[str, Figure]":
    """Every figure of script 2 by its name."""
    return {
        "revenue_by_month": draw_revenue(tables["monthly_kpis"]),
        "segments": draw_segments(tables["rfm_analysis"], best_first),
        "rfm_grid": draw_rfm_grid(tables["rfm_analysis"], grid),
        "cohort_retention": draw_cohorts(tables["cohort_retention"]),
        "revenue_drivers": draw_drivers(tables["revenue_drivers"]),
    }


def draw_revenue(months: pd.DataFrame) -> "Figure":
    """Net revenue by month; the title compares the last twelve complete months with those before."""
    from matplotlib.dates import ConciseDateFormatter

    complete, cut = months[months["is_complete"]], months[~months["is_complete"]]
    now, before = (complete["net_revenue"][span].sum() for span in (slice(-12, None), slice(-24, -12)))
    title = f"Net revenue of {format_amount(months['net_revenue'].sum())} since {months['month'].iloc[0]:%B %Y}"
    if len(complete) > 24 and before > 0:  # the first month may have begun in its middle
        verb = "grew" if now >= before else "fell"
        title = f"Net revenue {verb} by {abs(now / before - 1):.0%} in twelve months, to {format_amount(now)}"
    figure, axes = new_figure(title)
    axes.bar(complete["month"], complete["net_revenue"], width=24, color=BLUE)
    if len(cut):
        axes.bar(cut["month"], cut["net_revenue"], width=24, color=GREY, label="month in progress")
        figure.legend(loc="outside lower left", frameon=False)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.yaxis.set_major_formatter(format_amount)
    axes.set(xlabel="", ylabel="Net revenue by month")
    return figure


def draw_segments(rfm: pd.DataFrame, best_first: tuple[str, ...]) -> "Figure":
    """Each segment's customers and net revenue, and their shares."""
    sums = rfm.groupby("segment").agg(customers=("segment", "size"), revenue=("monetary", "sum"))
    sums = sums.reindex(list(best_first), fill_value=0)
    share = sums / sums.sum().where(sums.sum() > 0)
    top = share.loc[str(sums["revenue"].idxmax())]
    title = f"{top.name} are {top['customers']:.0%} of customers and bring {top['revenue']:.0%} of revenue"
    figure, panels = new_figure(title, ncols=2, sharey=True)
    for axes, column, colour in zip(panels, sums, (GREY, BLUE), strict=True):
        bars = axes.barh(sums.index, sums[column], color=colour)
        axes.bar_label(bars, ["<1%" if 0 < part < 0.005 else f"{part:.0%}" for part in share[column]], padding=4)
        axes.set(title=f"Share of {column}", xticks=[])
        axes.spines["bottom"].set_visible(False)
    panels[0].invert_yaxis()
    return figure


def draw_rfm_grid(rfm: pd.DataFrame, grid: Grid) -> "Figure":
    """How many customers have each pair of recency and frequency scores, and what the pair is called."""
    counts = rfm.groupby(["r_score", "f_score"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=list(grid), columns=range(1, 6), fill_value=0)
    names = np.array(list(grid.values()))
    text = np.char.add(np.char.replace(names, " ", "\n"), np.char.mod("\n%d", counts.to_numpy()))
    largest = rfm["segment"].value_counts()
    title = f"The largest segment, {largest.index[0]}, holds {largest.iloc[0]:,} of {len(rfm):,} customers"
    figure, axes = new_figure(title, (10, 7.2))
    draw_heat_map(axes, counts, {"label": "Customers"}, annot=text, fmt="", linewidths=1)
    axes.set(xlabel="Frequency score (5: most orders)", ylabel="Recency score (5: latest)")
    return figure


def draw_cohorts(cohorts: pd.DataFrame) -> "Figure":
    """The retention triangle from month 1 on, months in progress left out."""
    cells = cohorts[(cohorts["months_since_first"] > 0) & (cohorts["cell_state"] == "complete")]
    sums = cells.groupby("months_since_first")[["active_customers", "cohort_size"]].sum()
    rate = sums["active_customers"] / sums["cohort_size"]
    said = [f"{rate[n]:.0%} {after} later" for n, after in ((1, "a month"), (12, "a year")) if n in rate]
    title = f"Active again after their first order: {', '.join(said) or 'no month has passed yet'}"
    figure, axes = new_figure(title, (10, 7.2))
    if said:
        triangle = cells.pivot(index="cohort_month", columns="months_since_first", values="retention_rate")
        triangle.index = pd.DatetimeIndex(triangle.index).strftime("%b %Y")
        bar = {"label": "Share of the cohort that ordered", "format": "{x:.0%}"}
        readable, top = max(triangle.shape) <= 18, max(cells["retention_rate"].max(), 0.01)
        numbers = {"annot": readable, "fmt": ".0%", "annot_kws": {"size": 9}}
        draw_heat_map(axes, triangle, bar, vmin=0, vmax=top, **numbers)
    axes.set(xlabel="Months since the first order", ylabel="Month of the first order", facecolor="#F4F1EA")
    return figure


def draw_heat_map(axes: "Axes", table: pd.DataFrame, bar: dict[str, str], **options: Any) -> None:
    """The table's values as shades of blue, with a colour bar (seaborn.heatmap's options)."""
    import seaborn as sns

    sns.heatmap(table, cmap="Blues", ax=axes, cbar_kws=bar, **options)
    axes.tick_params("y", rotation=0)


def draw_drivers(drivers: pd.DataFrame) -> "Figure":
    """Gross revenue of the last twelve months with orders, by category, channel and country."""
    months = np.sort(drivers["month"].unique())[-12:]
    recent = drivers[drivers["month"].isin(months)]
    sums = {
        name: recent.groupby(name)["revenue"].sum().sort_values(ascending=False)
        for name in ("category", "channel", "country")
    }
    known = {
        name: revenue for name, revenue in sums.items() if revenue.sum() > 0 and list(revenue.index) != ["Unknown"]
    }
    first = [f"{revenue.index[0]} {revenue.iloc[0] / revenue.sum():.0%}" for revenue in known.values()]
    title = f"Where revenue comes from: {', '.join(first) or 'the orders do not say'}"
    figure, panels = new_figure(title, (12, 5.6), ncols=3)
    for axes, (name, revenue) in zip(panels, sums.items(), strict=True):
        axes.barh(revenue.index[:9], revenue[:9], color=BLUE)
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(format_amount)
        axes.set(title=f"By {name}" + (f", the first 9 of {len(revenue)}" if len(revenue) > 9 else ""))
    span = " to ".join(pd.Timestamp(month).strftime("%B %Y") for month in (months[0], months[-1]))
    figure.supxlabel(f"Gross revenue, {span}", size=13)
    return figure
