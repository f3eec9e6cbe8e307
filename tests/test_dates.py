"""pulse/dates.py: what is a date, in every form, and what is far from all others."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp

from common import Settings
from pulse.columns import read_columns
from pulse.dates import FORMS, epochs, kept_span, order_dates

DAY = datetime(2024, 12, 31)
TIME = datetime(2024, 12, 31, 14, 5)
EVERYWHERE = [  # values that are dates by themselves
    (DAY, DAY),
    ("2024-12-31", DAY),
    (" 2024-12-31T14:05 ", TIME),
    ("2024-12-31 14:05:00", TIME),
    ("2024-12-31T14:05:00.000Z", TIME),
    ("2024-12-31T15:05:00+01:00", TIME),
    ("2024-12-31 09:05 -0500", TIME),
    (Timestamp(1735653900, 1), TIME),
]
NOWHERE = ["2024-02-30", "31 Dec 2024", "Dec 31, 2024", "noon", "", True, ObjectId(), {"a": 1}, [DAY], None]
ONLY = {
    "": [],
    "day-first": [
        ("31/12/2024", DAY),
        ("31.12.24", DAY),
        ("31-12-2024", DAY),
        ("31/12/2024 14:05", TIME),
        ("31.12.2024, 14:05:00", TIME),
        ("31/12/24 2:05 PM", TIME),
        ("31/12/2024 2:05:00pm", TIME),
        ("31/12/2024 12:00 a.m.", DAY),
        ("3/4/2024", datetime(2024, 4, 3)),
    ],
    "month-first": [
        ("12/31/2024", DAY),
        ("12/31/24 12:05 PM", datetime(2024, 12, 31, 12, 5)),
        ("3/4/2024", datetime(2024, 3, 4)),
    ],
    "epoch-seconds": [
        *((kind(1735653900), TIME) for kind in (int, float, Int64, str)),
        (Decimal128("1735653900"), TIME),
    ],
    "epoch-milliseconds": [(kind(1735653900000), TIME) for kind in (float, Int64, str)],
}
WRONG = {
    "": ["3/4/2024", 1735653900, "1735653900", Int64(1735653900000), 1.5, Decimal128("1735653900")],
    "day-first": [
        "12/31/2024",
        "31/02/2024",
        "31/12/2024 25:00",
        "31/12/2024 14:05 PMx",
        "31/12/2024 14:05 AM",
        5,
    ],
    "month-first": ["31/12/2024", 1735653900],
    "epoch-seconds": ["3/4/2024", float("nan"), "1e99", True],
    "epoch-milliseconds": ["3/4/2024", float("inf")],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_date_is_what_the_form_says_and_nothing_else(db, form):
    cases = [*EVERYWHERE, *ONLY[form], *((value, None) for value in (*NOWHERE, *WRONG[form]))]
    db.t.insert_many([{"_id": n, "when": value} for n, (value, _) in enumerate(cases)])
    found = read_columns(db.t, {"n": "double", "when": "date"}, {"n": "_id", "when": "when"}, dates=form)
    found = found.set_index("n")["when"]
    for n, (value, wanted) in enumerate(cases):
        assert (found[n] == wanted) if wanted else pd.isna(found[n]), (value, found[n])


def test_an_unknown_form_gets_a_sentence(capsys):
    assert order_dates(Settings(order_dates="day-first")) == "day-first"
    with pytest.raises(SystemExit) as stopped:
        order_dates(Settings(order_dates="european"))
    assert stopped.value.code == 2
    assert "ORDER_DATES=european is none of day-first, month-first, epoch-seconds" in capsys.readouterr().err


def test_the_first_midnight_of_1970_is_no_date_here_or_in_utc():
    assert epochs(ZoneInfo("Asia/Tokyo")) == [datetime(1970, 1, 1), datetime(1969, 12, 31, 15)]


# --- far from all others ---


def span_of(*orders: tuple[str, int]) -> tuple[str, str]:
    """What kept_span keeps of (day, orders of that day)."""
    days, rows = zip(*orders, strict=True)
    days = pd.to_datetime(list(days))
    first, last = kept_span(pd.DataFrame({"first": days, "last": days, "rows": rows}))
    return f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"


@pytest.mark.parametrize(
    ("orders", "kept"),
    [
        ([("2023-01-01", 3), ("2024-01-02", 4)], ("2024-01-02", "2024-01-02")),  # 366 days, 3 orders
        ([("2023-01-01", 3), ("2024-01-01", 4)], ("2023-01-01", "2024-01-01")),  # 365 days are no gap
        ([("2023-01-01", 3), ("2024-01-02", 3)], ("2023-01-01", "2024-01-02")),  # as many on either side
        (
            [("2022-01-01", 4), ("2024-01-01", 795)],
            ("2022-01-01", "2024-01-01"),
        ),  # more than 3, and than 0.5% of 799
        ([("2022-01-01", 4), ("2024-01-01", 796)], ("2024-01-01", "2024-01-01")),  # 0.5% of 800
        ([("2024-01-01", 9), ("2033-01-01", 1)], ("2024-01-01", "2024-01-01")),
        ([("2001-01-01", 1), ("2024-01-01", 9), ("2033-01-01", 1)], ("2024-01-01", "2024-01-01")),
        (
            [("1999-01-01", 1), ("2010-01-01", 2), ("2024-01-01", 9)],
            ("2024-01-01", "2024-01-01"),
        ),  # the widest cut
        ([("1999-01-01", 1), ("2010-01-01", 3), ("2024-01-01", 9)], ("2010-01-01", "2024-01-01")),
        ([("2024-01-01", 1)], ("2024-01-01", "2024-01-01")),
    ],
)
def test_what_is_far_from_all_others_is_left_out(orders, kept):
    assert span_of(*orders) == kept
