"""The revenue forecast: of the customers known at its start, of those yet to come, of guests and of all, each
with how far off past forecasts were."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from common import say
from pulse.currencies import as_text
from pulse.features import YEAR

KNOWN, NEW, GUESTS, ALL = PARTS = "known customers", "new customers", "guests", "all"
COVERAGE = 0.8  # share of the windows that low to high is meant to hold
PRIOR_SPREAD = 0.20  # of log (actual / forecast), before any is known
PRIOR_WINDOWS = 2  # past ones that this weighs as much as
FARTHEST = 10.0  # a forecast is off by so many times at most: above 0 stays above 0
SEASON_BOUNDS = (0.5, 2.0)  # of the factors for season and growth
LEVEL_WINDOWS = 4  # whose mean is the forecast of a part whose year before is not known


def forecast_table(
    known: Mapping[pd.Timestamp, float], spent: pd.DataFrame, horizon: pd.Timedelta, places: int
) -> pd.DataFrame:
    """The columns of revenue_forecast.csv: one row per part and window, by their order; without low and high where
    nothing is expected.

    `known` is the forecast of the known customers for each window by its start, the last one's the coming
    one; `spent` the net revenue of every window (see revenue_by_part).
    """
    coming = max(known)
    of_customers = spent["known"] + spent["new"]
    actuals = {KNOWN: spent["known"], NEW: spent["new"], GUESTS: spent["guests"], ALL: spent.sum(axis=1)}
    before = actuals | {KNOWN: of_customers}  # then known customers, and those won in that window
    rest = {part: {start: level(actuals[part], start, horizon) for start in known} for part in (NEW, GUESTS)}
    whole = {start: known[start] + rest[NEW][start] + rest[GUESTS][start] for start in known}
    rows = []
    for part, forecasts in {KNOWN: known, **rest, ALL: whole}.items():
        misses: list[float] = []
        for start, forecast in forecasts.items():
            factor = np.exp(half_width(misses)) if forecast > 0 else np.nan
            actual = actuals[part].get(start, 0.0) if start < coming else np.nan
            window = {
                "part": part,
                "window_start": start,
                "window_end": start + horizon,
                "forecast": forecast,
                "low": forecast / factor,
                "high": forecast * factor,
                "actual": actual,
                "naive_last_window": before[part].get(start - horizon, np.nan),
                "naive_year_before": before[part].get(start - YEAR, np.nan),
            }
            rows.append(window)
            if forecast > 0 and start < coming:
                misses.append(np.log(np.clip(actual / forecast, 1 / FARTHEST, FARTHEST)))
    table = pd.DataFrame(rows)
    return table.round(dict.fromkeys(table.select_dtypes("float"), places))


def half_width(misses: Sequence[float], coverage: float = COVERAGE) -> float:
    """Of the interval that holds this share of windows, on the logarithmic scale: that of a Student t
    distribution whose scale is the root mean square of past misses and of the prior's (a scaled inverse chi
    squared prior: Gelman and others, Bayesian Data Analysis, 2.6)."""
    from scipy.special import stdtrit

    n = PRIOR_WINDOWS + len(misses)
    scale = np.sqrt((PRIOR_WINDOWS * PRIOR_SPREAD**2 + np.square(misses).sum()) / n)
    return stdtrit(n, 0.5 + coverage / 2) * scale


def level(spent: pd.Series, start: pd.Timestamp, horizon: pd.Timedelta) -> float:
    """What a window brings by what earlier ones brought: the same window a YEAR before, times how far the two
    before have grown since theirs; where there is no such year, the mean of the last LEVEL_WINDOWS; nothing
    where the last one brought nothing."""
    past = [start - n * horizon for n in range(1, LEVEL_WINDOWS + 1)]
    if spent.get(past[0], 0.0) <= 0:
        return 0.0
    last, then = past[:2], [day - YEAR for day in past[:2]]
    if then[-1] in spent.index and spent[then].sum() > 0 and spent[last].sum() > 0:
        return max(spent[start - YEAR], 0.0) * np.clip(spent[last].sum() / spent[then].sum(), *SEASON_BOUNDS)
    return max(spent.reindex(past).mean(), 0.0)  # of those that are known


def report_forecast(forecast: pd.DataFrame) -> None:
    """Say the coming window's forecast, how the last one went, and how often past windows fell inside."""
    rows = {part: table.set_index("window_start") for part, table in forecast.groupby("part")}
    coming = {part: table.iloc[-1] for part, table in rows.items()}
    tested = rows[ALL].iloc[-2]
    until = f"net revenue up to {coming[ALL]['window_end']:%Y-%m-%d}"
    say("Forecast", f"{amounts(coming[ALL])} {until}")
    say("", f"{amounts(coming[KNOWN])} of it of today's customers")
    if tested["actual"] > 0:
        names = {
            "off by": "forecast",
            "as last time": "naive_last_window",
            "as last year": "naive_year_before",
        }
        errors = {name: tested[column] / tested["actual"] - 1 for name, column in names.items()}
        said = [f"{name} {percent(error)}" for name, error in errors.items() if np.isfinite(error)]
        say("", "the last one: " + ", ".join(said))
    past = rows[ALL].iloc[:-1]
    inside = past["actual"].between(past["low"], past["high"]).sum()
    say("", f"{inside} of {len(past)} past windows lay within their range, meant to hold {COVERAGE:.0%}")


def amounts(row: pd.Series) -> str:
    """A forecast and its range."""
    middle, low, high = (as_text(row[name], 0) for name in ("forecast", "low", "high"))
    return f"{middle} ({low} to {high})"


def percent(error: float) -> str:
    """A relative error, in a few digits however large."""
    return f"{error:+.1%}" if abs(error) < 10 else f"{100 * error:+.3g}%"
