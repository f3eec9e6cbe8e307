"""The figures of script 2, and the look that all figures share.

Each figure has a title that says what is seen. Libraries are imported where they are used: they are
slow to import, and load while MongoDB works.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pulse.dimensions import UNKNOWN
from pulse.progress import clock
from pulse.repurchase import ALL, WITHIN_DAYS
from pulse.segments import NEW

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Grid = Mapping[int, tuple[str, ...]]  # recency score -> the segments of frequency scores 1 to 5

SHOWN = 24  # cohorts, and months of each, at the most
LARGEST = 12  # moves between segments, at the most
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9AA0A6"  # told apart by the colour-blind too
SHADES = ("#8CC0DD", "#4598C6", BLUE)
STYLE: Any = {
    **{"font.size": 13, "axes.titlesize": "medium", "axes.labelsize": "medium", "legend.fontsize": 12},
    **{"axes.spines.right": False, "axes.spines.top": False, "axes.axisbelow": True, "axes.linewidth": 1.2},
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ".15"),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 12),
    "text.parse_math": False,  # a category may hold two $, and is no formula
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
    tables: Mapping[str, pd.DataFrame], grid: Grid, best_first: Collection[str]
) -> "dict[str, Figure]":
    """Every figure of script 2 by its name."""
    return {
        "revenue_by_month": draw_revenue(tables["monthly_kpis"]),
        "segments": draw_segments(tables["rfm_analysis"], best_first),
        "rfm_grid": draw_rfm_grid(tables["rfm_analysis"], grid),
        "segment_moves": draw_moves(tables["segment_moves"], best_first),
        "cohort_retention": draw_cohorts(tables["cohort_retention"]),
        "repurchase": draw_repurchase(tables["repurchase"]),
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


def draw_segments(rfm: pd.DataFrame, best_first: Collection[str]) -> "Figure":
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
    draw_heat_map(axes, counts, text, "Customers")
    axes.set(xlabel="Frequency score (5: most orders)", ylabel="Recency score (5: latest)")
    cell = names[rfm["r_score"].map(list(grid).index), rfm["f_score"] - 1]
    others = rfm.loc[rfm["segment"] != cell, "segment"]
    if len(others):
        names_said = ", ".join(sorted(set(others)))
        figure.supxlabel(f"{len(others):,} customers began too long ago to be new: {names_said}", size=12)
    return figure


def draw_cohorts(cohorts: pd.DataFrame) -> "Figure":
    """The retention triangle of the last SHOWN cohorts, complete months from 1 on; the title is of all cohorts."""
    cells = cohorts[(cohorts["months_since_first"] > 0) & (cohorts["cell_state"] == "complete")]
    months = np.sort(cells["cohort_month"].unique())
    shown = cells[cells["cohort_month"].isin(months[-SHOWN:]) & (cells["months_since_first"] <= SHOWN)]
    sums = cells.groupby("months_since_first")[["active_customers", "cohort_size"]].sum()
    rate = sums["active_customers"] / sums["cohort_size"]
    said = [f"{rate[n]:.0%} {after} later" for n, after in ((1, "a month"), (12, "a year")) if n in rate]
    title = f"Active again after their first order: {', '.join(said) or 'no month has passed yet'}"
    figure, axes = new_figure(title, (10, 7.2))
    if said:
        percent = 100 * shown.pivot(index="cohort_month", columns="months_since_first", values="retention_rate")
        percent.index = pd.DatetimeIndex(percent.index).strftime("%b %Y")
        digits = "{:.0f}" if shown["retention_rate"].max() >= 0.1 else "{:.1f}"
        text = percent.map(digits.format).where(percent.notna(), "").to_numpy()
        size = 9 if max(percent.shape) > 18 else 11
        draw_heat_map(axes, percent, text, "Percent of the cohort that ordered", size)
    newest = f", the last {SHOWN} of {len(months)}" if len(months) > SHOWN else ""
    axes.set(
        xlabel="Months since the first order", ylabel=f"Month of the first order{newest}", facecolor="#F4F1EA"
    )
    return figure


def draw_heat_map(axes: "Axes", table: pd.DataFrame, text: np.ndarray, label: str, size: int = 12) -> None:
    """The table's values as shades of blue on their own scale, said by a colour bar, with a text in each cell."""
    values = np.ma.masked_invalid(table)
    shades = axes.pcolormesh(values, cmap="Blues", edgecolors="white", linewidth=0.5)
    light = shades.to_rgba(values)[..., :3] @ (0.21, 0.72, 0.07) > 0.5
    centre: Any = {"ha": "center", "va": "center", "size": size, "in_layout": False}  # it takes no place: faster
    for (row, column), words in np.ndenumerate(text):
        if words:
            axes.text(column + 0.5, row + 0.5, words, color=".15" if light[row, column] else "white", **centre)
    axes.set_xticks(np.arange(table.shape[1]) + 0.5, table.columns)
    axes.set_yticks(np.arange(table.shape[0]) + 0.5, table.index)
    axes.invert_yaxis()
    for part in (axes, axes.figure.colorbar(shades, ax=axes, label=label).ax):
        part.spines[:].set_visible(False)
        part.tick_params(length=0)


def draw_repurchase(table: pd.DataFrame) -> "Figure":
    """How many have ordered again after so many days, by which order it was; bands are 95% limits."""
    every = table[table["first_category"] == ALL]
    figure, axes = new_figure(say_repurchase(every[every["order_number"] == "1"].set_index("within_days")))
    for (number, rows), colour in zip(every.groupby("order_number"), (ORANGE, *SHADES), strict=True):
        known = rows.dropna(subset="share")
        if known.empty:
            continue
        days = known["within_days"]
        axes.plot(days, known["share"], color=colour, lw=2.5, marker="o", label=f"after order {number}")
        axes.fill_between(days, known["low"], known["high"], color=colour, alpha=0.2, lw=0)
    if axes.lines:
        axes.legend(frameon=False, reverse=True)
    axes.set(
        xscale="log",
        xlabel="Days since the order (bands: 95% limits)",
        ylabel="Have ordered again",
        ylim=(0, None),
    )
    axes.set_xticks(WITHIN_DAYS, WITHIN_DAYS)
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:.0%}")
    return figure


def say_repurchase(first: pd.DataFrame) -> str:
    """How soon first-time buyers come back, from their rows of repurchase.csv by within_days."""
    known, median = first["share"].dropna(), first["median_days"].iloc[0]
    if pd.notna(median) and median <= WITHIN_DAYS[-1]:
        when = {0: "on the same day", 1: "within a day"}.get(median, f"within {median:.0f} days")
        return f"Half of first-time buyers order again {when}"
    if known.empty:
        return "Too early to say how soon customers order again"
    days = 90 if 90 in known else known.index[-1]
    return f"{known[days]:.0%} of first-time buyers order again within {days} days"


def draw_moves(moves: pd.DataFrame, best_first: Collection[str]) -> "Figure":
    """The largest moves from one segment to another in the last month, and how many went up, down or came new."""
    month = moves["month"].max()
    last = moves[(moves["month"] == month) & (moves["from_segment"] != moves["to_segment"])]
    rank = {name: place for place, name in enumerate(best_first)}
    better = last["to_segment"].map(rank) < last["from_segment"].map(rank)
    way = pd.Series(np.select([last["from_segment"] == NEW, better], ["new", "up"], "down"), last.index)
    n = last.groupby(way)["customers"].sum().reindex(["up", "down", "new"], fill_value=0)
    title = "Who moved between segments: no month has ended yet"
    if len(moves):
        title = f"{month:%B %Y}: {n['up']:,} moved up, {n['down']:,} moved down, {n['new']:,} new"
    figure, axes = new_figure(title)
    if last.empty:
        axes.set_axis_off()
        return figure
    largest = last.sort_values("customers", ascending=False, kind="stable").head(LARGEST)
    colours = [{"up": BLUE, "down": ORANGE, "new": GREY}[way[row]] for row in largest.index]
    bars = axes.barh(largest["from_segment"] + " → " + largest["to_segment"], largest["customers"], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.08, y=0.02)
    axes.set(xticks=[])
    axes.spines["bottom"].set_visible(False)
    cut = f", the {LARGEST} largest of {len(last)} moves" if len(last) > LARGEST else ""
    figure.supxlabel(f"Customers{cut}; blue: up, orange: down, grey: new", size=13)
    return figure


def draw_drivers(drivers: pd.DataFrame) -> "Figure":
    """Gross revenue of the last twelve months with orders, by category, channel and country."""
    months = np.sort(drivers["month"].unique())[-12:]
    recent = drivers[drivers["month"].isin(months)]
    sums = {
        name: recent.groupby(name)["revenue"].sum().sort_values(ascending=False)
        for name in ("category", "channel", "country")
    }
    known = {
        name: revenue for name, revenue in sums.items() if revenue.sum() > 0 and list(revenue.index) != [UNKNOWN]
    }
    first = [f"{revenue.index[0]} {revenue.iloc[0] / revenue.sum():.0%}" for revenue in known.values()]
    title = f"Where revenue comes from: {', '.join(first) or 'the orders do not say'}"
    figure, panels = new_figure(title, (12, 5.6), ncols=3)
    for axes, (name, revenue) in zip(panels, sums.items(), strict=True):
        axes.barh(revenue.index[:9], revenue[:9], color=BLUE)
        axes.set_ylim(min(max(map(len, sums.values())), 9) - 0.4, -0.6)  # bars of one thickness, the first on top
        axes.xaxis.set_major_formatter(format_amount)
        axes.set(title=f"By {name}" + (f", the first 9 of {len(revenue)}" if len(revenue) > 9 else ""))
    span = " to ".join(pd.Timestamp(month).strftime("%B %Y") for month in (months[0], months[-1]))
    figure.supxlabel(f"Gross revenue, {span}", size=13)
    return figure
