"""Segments: checking the rules at the top of script 2, what they came to, and who moved from one to another."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any

import pandas as pd

from common import fail
from pulse.currencies import LARGEST
from pulse.customer_months import MonthEnd
from pulse.months import first_day

ONE_TO_FIVE = range(1, 6)  # the scores
MOVES = 12  # complete months of segment_moves.csv
NEW = "New"  # the from_segment of who was no customer a month before

# --- the rules ---


def require_segments(
    grid: Mapping[int, Sequence[str]], if_not_new: Mapping[str, str], best_first: Mapping[str, Any]
) -> None:
    """Stop where the grid (recency score: the segments of frequency scores 1 to 5) has a gap or a score that there
    is not, or where a segment is not described in two texts, or has a name that stands for something else."""
    for rule, value in {"SEGMENTS": grid, "IF_NOT_NEW": if_not_new, "BEST_FIRST": best_first}.items():
        require_mapping(rule, value)
    for name, texts in best_first.items():
        if not isinstance(name, str) or not name.strip():
            fail(f"BEST_FIRST has a segment called {name!r}: a name is a text, so write one in quotation marks.")
        if not holds(texts, len(("meaning", "what to do")), str):
            fail(f"BEST_FIRST must say of {name} who they are and what to do, in two texts: it has {texts!r}.")
    if NEW in best_first:
        fail(f"No segment can be called {NEW}: segment_moves.csv has that for who was no customer, so rename it.")
    for score in (*ONE_TO_FIVE, *grid):
        if score not in ONE_TO_FIVE:
            fail(f"SEGMENTS has a row for the recency score {score!r}: scores are 1 to 5, so take it out.")
        if not holds(grid.get(score), len(ONE_TO_FIVE), str):
            fail(
                f"SEGMENTS must have the names of five segments for the recency score {score}, one for each "
                f"frequency score: it has {grid.get(score)!r}."
            )
    named = {"SEGMENTS": [name for row in grid.values() for name in row]}
    named["IF_NOT_NEW"] = [*if_not_new, *if_not_new.values()]
    for rule, name in ((rule, name) for rule, names in named.items() for name in names):
        if name not in list(best_first):
            fail(
                f"{rule} names the segment {name!r}, which BEST_FIRST does not describe: add it there, or "
                "correct it."
            )


def require_cut_points(cut_points: Mapping[str, Any], metrics: Collection[str]) -> None:
    """Stop where CUT_POINTS has thresholds of what is not scored, or other than four rising numbers."""
    require_mapping("CUT_POINTS", cut_points)
    for metric, points in cut_points.items():
        if metric not in metrics:
            fail(f"CUT_POINTS has thresholds for {metric!r}, which is not scored: only {', '.join(metrics)} are.")
        # NaN is not below LARGEST either
        numbers = holds(points, len(ONE_TO_FIVE) - 1, Real) and all(abs(n) < LARGEST for n in points)
        if not numbers or any(high <= low for low, high in pairwise(points)):
            fail(
                f"CUT_POINTS for {metric} must be four rising numbers, where the second, third, fourth and fifth "
                f"band begin: it has {points!r}."
            )


def require_mapping(rule: str, value: Any) -> None:
    """Stop where a rule is no dictionary, as it is where its braces are gone or it was written for an earlier
    version."""
    if not isinstance(value, Mapping):
        fail(f"{rule} must be written in braces, {{...: ..., ...}}, as it came: it is {value!r}.")


def holds(values: Any, n: int, kind: type) -> bool:
    """Whether this is a tuple or list of so many values of a kind."""
    return (
        isinstance(values, (tuple, list)) and len(values) == n and all(isinstance(each, kind) for each in values)
    )


# --- what they came to ---


def segment_table(best_first: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The columns of segments.csv, from {segment: (who they are, what to do)}."""
    rows = [(name, n, *texts) for n, (name, texts) in enumerate(best_first.items(), 1)]
    return pd.DataFrame(rows, columns=["segment", "segment_order", "meaning", "what_to_do"])


def score_bands(rfm: pd.DataFrame, metrics: Mapping[str, str]) -> pd.DataFrame:
    """What each score stands for, from {score: its metric}: metric, score, minimum, maximum (blank where unused),
    customers."""
    bands = []
    for score, metric in metrics.items():
        band = rfm.groupby(score)[metric].agg(minimum="min", maximum="max", customers="size")
        bands.append(band.reindex(ONE_TO_FIVE).rename_axis("score").reset_index().assign(metric=metric))
    columns = ["metric", "score", "minimum", "maximum", "customers"]
    return pd.concat(bands)[columns].fillna({"customers": 0}).astype({"customers": int})


def count_moves(end: MonthEnd, before: pd.Series, now: pd.Series) -> pd.DataFrame:
    """customers and net_revenue of the month by from_segment and to_segment, best first, NEW last.

    `before` and `now` are the segments (categories) at the month's beginning and at its end, by the rows of
    end.customers.
    """
    come_from = before.cat.add_categories(NEW).reindex(now.index).fillna(NEW)
    table = pd.DataFrame({"from_segment": come_from, "to_segment": now, "net": end.net[now.index]})
    by_pair = table.groupby(["from_segment", "to_segment"], observed=True)
    return by_pair.agg(customers=("net", "size"), net_revenue=("net", "sum"))


def move_table(moves: Mapping[int, pd.DataFrame], places: int = 2) -> pd.DataFrame:
    """The columns of segment_moves.csv, from {month: its count_moves}; no row where no month is complete."""
    if not moves:
        return pd.DataFrame(columns=["month", "from_segment", "to_segment", "customers", "net_revenue"])
    table = pd.concat(moves, names=["month"]).round({"net_revenue": places}).reset_index()
    return table.assign(month=first_day(table["month"])).astype({"from_segment": "str", "to_segment": "str"})
