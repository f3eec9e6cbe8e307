"""pulse/parsing.py: dates, numbers and ids as people write them; a text that is none is never guessed."""

from datetime import datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.parsing import date_sql, number_sql, whole_id_sql


@pytest.fixture(scope="module")
def con():
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def evaluate(con: duckdb.DuckDBPyConnection, sql: str, name: str, text: str | None) -> object:
    """What the SQL makes of a column of this name that holds the text."""
    return con.execute(f"SELECT {sql} FROM (SELECT ?::VARCHAR AS {name})", [text]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("text", "order", "date"),
    [
        ("3/4/2024", "day-first", datetime(2024, 4, 3)),
        ("3/4/2024", "month-first", datetime(2024, 3, 4)),
        ("03.04.24 8:05", "day-first", datetime(2024, 4, 3, 8, 5)),
        ("12-31-2024 8:05:09 PM", "month-first", datetime(2024, 12, 31, 20, 5, 9)),
        ("31/12/2024, 10:23", "day-first", datetime(2024, 12, 31, 10, 23)),
        ("2024-12-31 10:23:45 +0100", None, datetime(2024, 12, 31, 9, 23, 45)),
        ("2024/12/31", None, datetime(2024, 12, 31)),
        ("2024-04-03 08:05", "month-first", datetime(2024, 4, 3, 8, 5)),
        ("31/12/2024", "month-first", None),
        ("12/31/2024", "day-first", None),
        ("3/4/2024", None, None),
        ("2024-02-30", None, None),
        ("9999-12-31", None, None),
        ("soon", "day-first", None),
        (None, "day-first", None),
    ],
)
def test_day_and_month_are_never_guessed(con, text, order, date):
    assert evaluate(con, date_sql(order), "order_date", text) == date


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("1.234,50", ",", ".", 1234.5),
        ("-1.234.567", ",", ".", -1234567.0),
        ("1234,5", ",", "", 1234.5),
        ("1 234.5", ".", " ", 1234.5),
        ("1'234.5", ".", "'", 1234.5),
        ("1,234.50", ".", ",", 1234.5),
        (".5", ".", "", 0.5),
        ("+1e2", ".", "", 100.0),
        ("12,34.5", ".", ",", None),
        ("1.5", ",", ".", None),
        ("1,5", ".", "", None),
        ("5 EUR", ".", "", None),
        ("1.2.3", ".", "", None),
        ("nan", ".", "", None),
        ("inf", ".", "", None),
        ("", ".", "", None),
        (None, ".", "", None),
    ],
)
def test_decimal_marks_and_thousands_separators(con, text, decimal, thousands, number):
    assert evaluate(con, number_sql("amount", decimal, thousands), "amount", text) == number


@given(
    cents=st.integers(-(10**11), 10**11),
    marks=st.sampled_from([(".", ""), (".", ","), (",", "."), (",", ""), (".", " "), (",", "'")]),
)
def test_any_amount_comes_back_as_it_was_written(con, cents, marks):
    decimal, thousands = marks
    text = f"{cents / 100:,.2f}".translate({ord(","): thousands, ord("."): decimal})
    assert evaluate(con, number_sql("amount", decimal, thousands), "amount", text) == cents / 100


@pytest.mark.parametrize(
    ("text", "said"),
    [("17850.0", "17850"), ("17850", "17850"), ("1.5", "1.5"), ("1.00", "1.00"), ("v1.0", "v1.0"), (None, None)],
)
def test_a_whole_id_has_no_decimals(con, text, said):
    assert evaluate(con, whole_id_sql("id"), "id", text) == said
