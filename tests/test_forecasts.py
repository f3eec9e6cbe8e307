"""The revenue forecast's table: its parts, its intervals, and that no row sees its own window."""

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, HORIZON

from pulse.features import YEAR
from pulse.forecasts import ALL, GUESTS, KNOWN, NEW, PARTS, forecast_table, half_width, level, report_forecast

STARTS = [AS_OF - n * HORIZON for n in (3, 2, 1, 0)]


@pytest.fixture
def spent() -> pd.DataFrame:
    """Six windows, the last the coming one, and no year before any."""
    known, new, guests = [0, 100, 110, 120, 130, 0], [90, 30, 20, 10, 20, 0], [1, 2, 3, 4, 5, 0]
    starts = [AS_OF - n * HORIZON for n in (5, 4, 3, 2, 1, 0)]
    return pd.DataFrame({"known": known, "new": new, "guests": guests}, index=starts, dtype=float)


def table_of(spent: pd.DataFrame, known: tuple[float, ...] = (100.0, 110.0, 125.0, 150.0)) -> pd.DataFrame:
    """The table, by part and window."""
    table = forecast_table(dict(zip(STARTS, known, strict=True)), spent, HORIZON, 2)
    return table.set_index(["part", "window_start"])


# --- the table ---


def test_the_parts_by_hand(spent):
    table = table_of(spent)
    assert list(table.index.get_level_values("part").unique()) == [KNOWN, NEW, GUESTS, ALL] == list(PARTS)
    expected = {  # new and guests: the mean of the four windows before, or of as many as there are
        KNOWN: [100, 110, 125, 150],
        NEW: [(90 + 30) / 2, (90 + 30 + 20) / 3, (90 + 30 + 20 + 10) / 4, (30 + 20 + 10 + 20) / 4],
        GUESTS: [1.5, 2, 2.5, 3.5],
    }
    for part, forecasts in expected.items():
        assert table.loc[part, "forecast"].tolist() == pytest.approx(forecasts, abs=0.005)
    whole = np.sum(list(expected.values()), axis=0)
    assert table.loc[ALL, "forecast"].tolist() == pytest.approx(whole.tolist(), abs=0.005)
    assert table.loc[KNOWN, "actual"].tolist()[:3] == [110, 120, 130]
    assert table.loc[ALL, "actual"].tolist()[:3] == [133, 134, 155]
    assert table["actual"].isna().sum() == 4  # the coming one's
    assert table.loc[KNOWN, "naive_last_window"].tolist() == [130, 130, 130, 150]  # those won then, too
    assert table.loc[NEW, "naive_last_window"].tolist() == [30, 20, 10, 20]
    assert table.loc[ALL, "naive_last_window"].tolist() == [132, 133, 134, 155]
    assert table["naive_year_before"].isna().all()


def test_an_interval_is_of_the_misses_before_it(spent):
    table = table_of(spent)
    misses = np.log([110 / 100, 120 / 110, 130 / 125])
    for n, start in enumerate(STARTS):
        row = table.loc[(KNOWN, start)]
        factor = np.exp(half_width(misses[:n]))
        assert row["low"] == pytest.approx(row["forecast"] / factor, abs=0.006)
        assert row["high"] == pytest.approx(row["forecast"] * factor, abs=0.006)


def test_no_row_sees_its_own_window(spent):
    """Whatever a window brings, its forecasts and intervals, and those before, are the same."""
    before = table_of(spent).drop(columns="actual")
    for n, start in enumerate(STARTS[:-1]):
        other = spent.copy()
        other.loc[start:] = [[7e6, 8e6, 9e6]] * len(other.loc[start:])
        same = table_of(other).drop(columns="actual").query("window_start <= @start")
        pd.testing.assert_frame_equal(same, before.query("window_start <= @start"))
        assert len(same) == 4 * (n + 1)
        later = table_of(other).query("window_start > @start")
        assert not later["high"].equals(table_of(spent).query("window_start > @start")["high"])


@pytest.mark.parametrize("actual", [0.0, -500.0, 1e9])
def test_an_absurd_window_leaves_intervals_finite(spent, actual):
    spent.loc[STARTS[1], "known"] = actual
    table = table_of(spent)
    assert np.isfinite(table[["forecast", "low", "high"]]).all(axis=None)
    assert (table["low"] <= table["forecast"]).all()


def test_what_never_was_is_forecast_as_nothing(spent):
    table = table_of(spent.assign(guests=0.0))
    assert (table.loc[GUESTS, ["forecast", "naive_last_window"]] == 0).all(axis=None)
    assert table.loc[GUESTS, ["low", "high"]].isna().all(axis=None)  # 0 to 0 would be certainty


# --- intervals ---


def test_half_widths_by_hand():
    """Student's t at 0.9: 1.8856 with 2 degrees of freedom, 1.5332 with 4 (any table)."""
    assert half_width([]) == pytest.approx(1.8856 * 0.2, rel=1e-4)
    spread = np.sqrt((2 * 0.2**2 + 0.1**2 + 0.3**2) / 4)
    assert half_width([0.1, -0.3]) == pytest.approx(1.5332 * spread, rel=1e-4)


def test_one_lucky_window_gives_no_narrow_interval():
    assert half_width([0.001]) > 0.2


def test_intervals_hold_what_they_promise():
    """Over shops whose misses are normal with a spread of their own, around the prior's."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(2_000):
        spread = 0.2 * np.sqrt(2 / rng.chisquare(2))
        *past, coming = rng.normal(0, spread, 5)
        inside.append(abs(coming) <= half_width(past))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.02)


# --- the level ---


def series(**windows: float) -> pd.Series:
    """Revenue by window: w1 is the one before AS_OF, y0 the one a year before it, y1 the one before that."""
    starts = {f"w{n}": AS_OF - n * HORIZON for n in range(1, 6)} | {
        f"y{n}": AS_OF - YEAR - n * HORIZON for n in range(3)
    }
    return pd.Series({starts[name]: value for name, value in windows.items()})


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ({"w1": 10, "w2": 20, "y0": 100, "y1": 5, "y2": 15}, 100 * 30 / 20),
        ({"w1": 10, "w2": 20, "y0": 100, "y1": 1, "y2": 2}, 100 * 2),  # growth has bounds
        ({"w1": 10, "w2": 20, "y0": -7, "y1": 5, "y2": 15}, 0),
        ({"w1": 10, "w2": 20, "y0": 100, "y1": 5}, 15),  # no such year: the mean
        ({"w1": 10, "w2": 20, "w3": 30, "w4": 40, "w5": 5000}, 25),
        ({"w1": 0, "w2": 20, "w3": 30}, 0),
        ({"w2": 20}, 0),
        ({}, 0),
    ],
)
def test_the_level_by_hand(windows, expected):
    assert level(series(**windows), AS_OF, HORIZON) == pytest.approx(expected)


# --- the report ---


def test_the_report_says_how_past_forecasts_held(spent, capsys):
    table = table_of(spent).reset_index()
    report_forecast(table)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Forecast  174 (")
    assert lines[0].endswith(") net revenue up to 2025-04-01")
    assert lines[1].endswith("of it of today's customers")
    assert lines[2] == "          the last one: off by +6.5%, as last time -13.5%"
    assert lines[3] == "          3 of 3 past windows lay within their range, meant to hold 80%"
    assert max(map(len, lines)) <= 80
