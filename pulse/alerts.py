"""What changed: which figures of the last complete month lie outside the range that the months before suggest.

What a month is expected to bring per day is the mean per day of the three before, times the season: how far the
same month of each earlier year stood above its own three before, as a geometric mean with one year of no season.
The range is from that divided by a factor to that times the factor, which is so large that it holds 99% of months,
judged by what the same rule missed the last twelve by (half_width). The shop's first month, which may have begun
in its middle, is left out.

The rule was chosen on the 808 monthly series of shipments and industries of the M3 competition (Makridakis and
Hibon, International Journal of Forecasting 16, 2000), not on shops: with two years before, 1.1% and 0.5% of their
months lie outside. In the second year its median miss there is 15% and 6%; it is 15% and 7% without a season, and
19% and 6% with that of one year at its full strength.
"""

import numpy as np
import pandas as pd

from common import say
from pulse.currencies import as_text
from pulse.forecasts import FARTHEST, half_width

METRICS = {  # as the columns of monthly_kpis.csv and in sentences
    "net_revenue": "Net revenue was",
    "active_customers": "Active customers were",
    "new_customers": "New customers were",
    "refunds": "Refunds were",  # their size counts: "above" is more money given back
}
COLUMNS = ("month", "metric", "value", "expected", "low", "high", "state", "sentence")
ABOVE, BELOW, USUAL, NOT_KNOWN = "above", "below", "as usual", "not known"
HELD = 0.99  # share of months that low to high is meant to hold, each of the four by itself
LEVEL_MONTHS = 3  # whose mean is the level
PAST_MONTHS = 12  # whose misses make the range
LEAST_MISSES = 2  # to know what is usual
NEEDED = 1 + LEVEL_MONTHS + LEAST_MISSES  # complete months before: the first is left out


def alerts(months: pd.DataFrame, places: int) -> pd.DataFrame:
    """The columns of alerts.csv: one row per metric, of the last complete month; none where no month is complete.

    `months` are the columns of monthly_kpis.csv, amounts with so many places. What is not known is blank.
    """
    complete = months[months["is_complete"]]
    decimals = {"net_revenue": places, "refunds": places}  # customers are counted
    rows = [alert(complete, metric, decimals.get(metric, 0)) for metric in METRICS if len(complete)]
    return pd.DataFrame(rows, columns=COLUMNS)


def alert(complete: pd.DataFrame, metric: str, places: int) -> tuple:
    """A metric's row; its value is compared with low and high as they are written, to so many places."""
    sign = -1 if metric == "refunds" else 1
    sizes, days = sign * complete[metric].to_numpy(float) + 0.0, complete["month"].dt.days_in_month.to_numpy()
    expected, low, high = (usual_range((sizes / days)[1:]) * days[-1]).round(places)
    size, before = sizes[-1], sizes[-1 - LEVEL_MONTHS : -1]
    if len(complete) <= NEEDED:
        state, why = NOT_KNOWN, f"; to say what is usual takes {NEEDED} complete months before"
    elif size == 0 and not before.any():
        state, why, expected = USUAL, f", as in the {LEVEL_MONTHS} months before", 0.0
    elif np.isnan(expected):
        state, why = NOT_KNOWN, "; the months before vary too much, or hold too little, to say what is usual"
    else:
        state = ABOVE if size > high else BELOW if size < low else USUAL
        where = "within" if state == USUAL else state
        why = f", {where} the usual {as_text(low, places)} to {as_text(high, places)}"
    month = complete["month"].iloc[-1]
    sentence = f"{METRICS[metric]} {as_text(size, places)} in {month:%B %Y}{why}."
    low, high = (low, high) if sign > 0 else (-high, -low)
    return month, metric, sign * size, sign * expected, low, high, state, sentence


def usual_range(rates: np.ndarray) -> np.ndarray:
    """What the last month is expected to bring per day, and the low and high of its range, from what each month
    brought per day; all NaN where that is not known: nothing is expected, too few months came before, or they
    varied so much that the range would reach beyond FARTHEST times."""
    past = range(max(LEVEL_MONTHS, len(rates) - 1 - PAST_MONTHS), len(rates) - 1)
    tried = [(rates[n], expected_rate(rates[:n])) for n in past]
    misses = [np.log(np.clip(rate / due, 1 / FARTHEST, FARTHEST)) for rate, due in tried if due > 0]
    if len(misses) >= LEAST_MISSES:
        expected, factor = expected_rate(rates[:-1]), np.exp(half_width(misses, HELD))
        if expected > 0 and factor <= FARTHEST:
            return expected * np.array([1, 1 / factor, factor])
    return np.full(3, np.nan)


def expected_rate(before: np.ndarray) -> float:
    """What a month is expected to bring per day: level times season, by what the months before it brought."""
    seasons = [1.0]  # a year of none: that of one year alone is half chance
    for then in range(len(before) - 12, LEVEL_MONTHS - 1, -12):
        level = before[then - LEVEL_MONTHS : then].mean()
        if level > 0 and before[then] > 0:
            seasons.append(before[then] / level)
    return before[-LEVEL_MONTHS:].mean() * np.exp(np.log(seasons).mean())


def any_alert(table: pd.DataFrame) -> bool:
    """Whether any metric lies outside its range."""
    return bool(table["state"].isin([ABOVE, BELOW]).any())


def report_alerts(table: pd.DataFrame) -> None:
    """Say what moved, else that nothing did, and of which metrics that is not known."""
    moved = table.loc[table["state"].isin([ABOVE, BELOW]), "sentence"]
    not_known = table.loc[table["state"] == NOT_KNOWN, "metric"].str.replace("_", " ")
    if table.empty:
        said = ["not known: no month is complete"]
    elif len(not_known) == len(table):
        said = [f"not known: too little came before {table['month'].iloc[0]:%B %Y} to say what is usual"]
    elif moved.empty:
        unknown = f"; not known: {', '.join(not_known)}" if len(not_known) else ""
        said = [f"nothing beyond what is usual in {table['month'].iloc[0]:%B %Y}{unknown}"]
    else:
        said = list(moved)
    for stage, line in zip(["Changed", *[""] * len(said)], said, strict=False):
        say(stage, line)
