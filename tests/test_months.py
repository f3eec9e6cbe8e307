"""pulse/months.py: calendar months as numbers."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.months import first_day, is_in_progress, last_month, month_before, month_number

DAYS = st.dates(date(1900, 1, 1), date(2099, 12, 31))


def month_of(text: str) -> int:
    return int(month_number(pd.Series([pd.Timestamp(text)]))[0])


def test_months_are_counted_from_january_1970():
    dates = pd.Series(
        pd.to_datetime(["1970-01-01", "1970-02-28 23:59:59", "1969-12-31", "2024-02-29"], format="ISO8601")
    )
    assert list(month_number(dates)) == [0, 1, -1, 54 * 12 + 1]


@given(DAYS)
def test_a_day_lies_in_its_month(day):
    (number,) = month_number(pd.Series([pd.Timestamp(day)]))
    (first,) = first_day(np.array([number]))
    assert pd.Timestamp(first) == pd.Timestamp(day.replace(day=1))
    assert number == (day.year - 1970) * 12 + day.month - 1


def test_first_days_of_any_list_of_months():
    expected = np.array(["1970-01-01", "1970-12-01"], dtype="datetime64[s]")
    for months in (np.array([0, 11]), pd.Series([0, 11]), pd.Index([0, 11])):
        found = first_day(months)
        assert list(found) == list(expected)
        assert found.dtype == "datetime64[s]"


@pytest.mark.parametrize(
    ("as_of", "last"),
    [("2024-04-16", "2024-04-01"), ("2024-05-01", "2024-04-01"), ("2024-05-01 00:00:01", "2024-05-01")],
)
def test_the_last_month_is_the_one_that_as_of_ends_or_cuts(as_of, last):
    assert last_month(pd.Timestamp(as_of)) == month_of(last)


@pytest.mark.parametrize(
    ("as_of", "before"),
    [("2024-03-31", "2024-02-29"), ("2024-01-15", "2023-12-15"), ("2024-05-31", "2024-04-30")],
)
def test_a_month_before_is_a_calendar_month(as_of, before):
    assert month_before(pd.Timestamp(as_of)) == pd.Timestamp(before)


@pytest.mark.parametrize(
    ("as_of", "in_progress"),
    [
        ("2024-04-16", [False, True]),
        ("2024-05-01", [False, False]),
        ("2024-04-30 23:59:59", [False, True]),
        ("2024-04-01", [False, True]),
        ("2024-03-31", [True, True]),
    ],
)
def test_a_month_is_in_progress_until_it_has_ended(as_of, in_progress):
    months = [month_of("2024-03-01"), month_of("2024-04-01")]
    for these in (np.array(months), pd.Series(months), pd.Index(months)):
        assert list(is_in_progress(these, pd.Timestamp(as_of))) == in_progress
