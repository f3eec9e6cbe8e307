"""pulse/parsing.py: dates, numbers and ids as people write them; a text that is none is never guessed."""

from datetime import datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.parsing import (
    AMBIGUOUS_DATE,
    AMOUNT,
    CUT_ID,
    OFFSET,
    PRICE,
    QUANTITY,
    date_sql,
    id_sql,
    number_sql,
    unread_sql,
    zone_sql,
)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def in_new_york(con):
    con.execute("SET TimeZone = 'America/New_York'")
    yield con
    con.execute("SET TimeZone = 'UTC'")


def evaluate(con: duckdb.DuckDBPyConnection, sql: str, text: str | None) -> object:
    """What the SQL makes of a column `cell` that holds the text."""
    return con.execute(f"SELECT {sql} FROM (SELECT ?::VARCHAR AS cell)", [text]).fetchall()[0][0]


# --- dates ---


@pytest.mark.parametrize(
    ("text", "order", "date"),
    [
        ("3/4/2024", "day-first", datetime(2024, 4, 3)),
        ("3/4/2024", "month-first", datetime(2024, 3, 4)),
        ("03.04.24 8:05", "day-first", datetime(2024, 4, 3, 8, 5)),
        ("12-31-2024 8:05:09 PM", "month-first", datetime(2024, 12, 31, 20, 5, 9)),
        ("12/31/2024 12:05 AM", "month-first", datetime(2024, 12, 31, 0, 5)),
        ("31/12/2024, 10:23", "day-first", datetime(2024, 12, 31, 10, 23)),
        ("2024-12-31 10:23:45 +0100", None, datetime(2024, 12, 31, 9, 23, 45)),
        ("2024/12/31", None, datetime(2024, 12, 31)),
        ("2024-04-03 08:05", "month-first", datetime(2024, 4, 3, 8, 5)),
        ("31/12/2024", "month-first", None),
        ("12/31/2024", "day-first", None),
        ("3/4/2024", None, None),
        ("2024-02-30", None, None),
        ("9999-12-31", None, None),
        ("1899-12-31", None, None),
        ("2100-01-01", None, None),
        ("2099-12-31", None, datetime(2099, 12, 31)),
        ("soon", "day-first", None),
        (None, "day-first", None),
    ],
)
def test_day_and_month_are_never_guessed(con, text, order, date):
    assert evaluate(con, date_sql("cell", order), text) == date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-12-31T23:30:00Z", datetime(2024, 12, 31, 23, 30)),
        ("2024-12-31 23:30:00 UTC", datetime(2024, 12, 31, 23, 30)),
        ("2024-12-31 23:30:00 GMT", datetime(2024, 12, 31, 23, 30)),
        ("2024-02-21 01:59:00.852829 UTC", datetime(2024, 2, 21, 1, 59, 0, 852829)),
        ("2024-12-26 22:05:27 -0500", datetime(2024, 12, 27, 3, 5, 27)),
        ("2024-12-26T22:05:27+05:30", datetime(2024, 12, 26, 16, 35, 27)),
        ("Sep 27, 2024 9:15:00 AM", datetime(2024, 9, 27, 9, 15)),
        ("Sep 27, 2024, 12:05 PM", datetime(2024, 9, 27, 12, 5)),
        ("Sep 28, 2024 12:05:00 AM", datetime(2024, 9, 28, 0, 5)),
        ("September 27, 2024", datetime(2024, 9, 27)),
        ("27 Sep 2024 21:15", datetime(2024, 9, 27, 21, 15)),
        ("27-Sep-2024", datetime(2024, 9, 27)),
        ("27 September 2024", datetime(2024, 9, 27)),
        ("2024-12-31 8:05 PM", datetime(2024, 12, 31, 20, 5)),
        ("19970101", datetime(1997, 1, 1)),  # ISO 8601's basic form
        ("20240131T081500", datetime(2024, 1, 31, 8, 15)),
        ("20240131T081500Z", datetime(2024, 1, 31, 8, 15)),
        ("20240131T081500+0100", datetime(2024, 1, 31, 7, 15)),
        ("45658", datetime(2025, 1, 1)),  # Excel's days since 1899-12-30
        ("45658.75", datetime(2025, 1, 1, 18)),
        ("1735689600", datetime(2025, 1, 1)),  # seconds and milliseconds since 1970
        ("1735689600000", datetime(2025, 1, 1)),
        ("1735689600123", datetime(2025, 1, 1, 0, 0, 0, 123000)),
        ("19970231", None),
        ("5", None),
        ("7500000", None),
        ("Feb 30, 2024", None),
        ("1970-01-01", None),  # what a missing date looks like
        ("1970-01-01 00:00:00", None),
        ("1970-01-01T00:00:00Z", None),
        ("0", None),
        ("1970-01-02", datetime(1970, 1, 2)),
        ("1970-01-01 08:00", datetime(1970, 1, 1, 8)),
        ("1969-12-31", datetime(1969, 12, 31)),
    ],
)
def test_dates_as_platforms_and_spreadsheets_write_them(con, text, date):
    assert evaluate(con, date_sql("cell", None), text) == date


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-01-31", datetime(2024, 1, 31, 5)),
        ("2024-07-31 01:00", datetime(2024, 7, 31, 5)),
        ("Jul 31, 2024 1:00:00 AM", datetime(2024, 7, 31, 5)),
        ("45658", datetime(2025, 1, 1, 5)),  # a cell of a spreadsheet is local
        ("20240131T081500", datetime(2024, 1, 31, 13, 15)),
        ("2024-07-31T01:00:00Z", datetime(2024, 7, 31, 1)),
        ("1735689600", datetime(2025, 1, 1)),  # seconds since 1970 are of UTC
        ("1970-01-01", None),  # in the zone
        ("1970-01-01T00:00:00+00", None),  # and in UTC
        ("1970-01-01 00:00 -0100", datetime(1970, 1, 1, 1)),
    ],
)
def test_a_time_without_an_offset_is_the_zones(in_new_york, text, date):
    assert evaluate(in_new_york, date_sql("cell", None), text) == date


@pytest.mark.parametrize(
    ("text", "unclear"),
    [
        ("2024-07-01 00:30:00 BST", True),
        ("2024-07-01 00:30 cest", True),
        ("Jul 1, 2024 9:15:00 AM PDT", True),
        ("2024-07-01 00:30:00 UTC", False),
        ("2024-07-01 00:30:00 GMT", False),
        ("2024-07-01T00:30:00Z", False),
        ("Jul 1, 2024 9:15:00 AM", False),
        ("7/1/2024 9:15pm", False),
        ("2024-07-01 00:30:00 +0100", False),
        ("2024-07-01", False),
    ],
)
def test_abbreviations_of_time_zones_are_not_guessed(con, text, unclear):
    assert evaluate(con, zone_sql("cell"), text) is unclear


def test_what_a_text_looks_like(con):
    for pattern, yes, no in (
        (AMBIGUOUS_DATE, ["03/04/2024", "3.4.24 8:00", "31-12-2024"], ["2024-03-04", "20240304", "Mar 4, 2024"]),
        (OFFSET, ["2024-07-01 00:30:00 -0400", "2024-07-01T00:30:00.5+01:00", "2024-07-01 00:30+02"],
         ["2024-07-01", "2024-07-01 00:30:00", "2024-07-01T00:30:00Z", "2024-07-01 00:30:00 UTC"]),
    ):  # fmt: skip
        for text, matches in [*((text, True) for text in yes), *((text, False) for text in no)]:
            assert evaluate(con, f"regexp_matches(cell, '{pattern}')", text) is matches, text


# --- numbers ---


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("1.234,50", ",", ".", "1234.5"),
        ("-1.234.567", ",", ".", "-1234567"),
        ("1234,5", ",", "", "1234.5"),
        ("1 234.5", ".", " ", "1234.5"),
        ("1'234.5", ".", "'", "1234.5"),
        ("1,234.50", ".", ",", "1234.5"),
        ("1234.50", ".", ",", "1234.5"),
        (".5", ".", "", "0.5"),
        ("5.", ".", "", "5"),
        ("+1e2", ".", "", "100"),
        ("12,34.5", ".", ",", None),
        ("1,2345", ".", ",", None),
        ("1.5", ",", ".", None),
        ("1,5", ".", "", None),
        ("5 EUR", ".", "", None),
        ("1.2.3", ".", "", None),
        ("nan", ".", "", None),
        ("inf", ".", "", None),
        ("-", ".", "", None),
        ("", ".", "", None),
        (None, ".", "", None),
        ("0.1", ".", "", "0.1"),  # a decimal, not the nearest double
        ("1.005", ".", "", "1.005"),
        ("12.010000228881836", ".", "", "12.010000228882"),
        ("1e40", ".", "", None),
    ],
)
def test_decimal_marks_and_thousands_separators(con, text, decimal, thousands, number):
    found = evaluate(con, number_sql("cell", decimal, thousands), text)
    assert found == (number and Decimal(number))
    assert found is None or isinstance(found, Decimal)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("$1,250.00", ".", ",", "1250"),
        ("-$5.00", ".", ",", "-5"),
        ("$-5.00", ".", ",", "-5"),
        ("($5.00)", ".", ",", "-5"),
        ("(5.00)", ".", "", "-5"),
        ("5.00-", ".", "", "-5"),
        ("\u22125.00", ".", "", "-5"),
        ("\u2212$5.00", ".", "", "-5"),
        ("€ 5.00", ".", "", "5"),
        ("5.00 £", ".", "", "5"),
        ("¥500", ".", "", "500"),
        ("1\u00a0234,50\u00a0€", ",", " ", "1234.5"),
        ("1\u202f234,50 €", ",", " ", "1234.5"),
        ("1\u2009234\u2009567,50", ",", " ", "1234567.5"),
        ("\u00a012.5\u00a0", ".", "", "12.5"),
        ("1 23,50", ",", " ", None),
        ("--5", ".", "", None),
        ("(-5)", ".", "", None),
        ("(€5.00)", ".", "", "-5"),
        ("€ (5.00)", ".", "", "-5"),
        ("(5.00) €", ".", "", "-5"),
        ("( 5.00 )", ".", "", "-5"),
        ("- 5.00", ".", "", "-5"),
        ("5.00 -", ".", "", "-5"),
        ("5.00 €-", ".", "", "-5"),
        ("\u2212 5.00", ".", "", "-5"),
        ("(1.234,50)", ",", ".", "-1234.5"),
        ("$$5", ".", "", None),
        ("€", ".", "", None),
    ],
)
def test_signs_and_spaces_around_a_number(con, text, decimal, thousands, number):
    assert evaluate(con, number_sql("cell", decimal, thousands), text) == (number and Decimal(number))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("5.00 CR", "letters"), ("5.00DR", "letters"), ("USD 5", "letters"), ("US$5", "letters"),
        ("0x10", "letters"), ("1e308*10", "letters"), ("2 for 1", "letters"),
        ("(-5)", "an unclear sign"), ("--5", "an unclear sign"), ("(5", "an unclear sign"),
        ("-5-", "an unclear sign"),
        ("\u20135.00", "an unclear sign"), ("\uff0d5", "an unclear sign"), ("-(5.00)", "an unclear sign"),
        ("5,00", "another mark"), ("-1,234.50", "another mark"), ("5%", "another mark"), ("1_000", "another mark"),
        ("1e400", "too large"), ("-1e400", "too large"), ("(9e15)", "too large"), ("1e15", "too large"),
        ("$1000000000000000.00", "too large"), ("1" * 50, "too large"),
        ("nan", "no finite number"), ("-Infinity", "no finite number"), ("INF", "no finite number"),
        ("\u221e", "no finite number"),
        ("five", "no digit"), ("-", "no digit"), ("()", "no digit"), ("five 'o clock; --", "no digit"),
    ],
)  # fmt: skip
def test_what_is_no_amount_is_told_by_its_kind(con, text, kind):
    """Never by its text; and what reads as negative is, or nothing is guessed."""
    assert evaluate(con, number_sql("cell", ".", "", AMOUNT), text) is None
    assert evaluate(con, unread_sql("cell", ".", ""), text) == kind


def test_amounts_end_where_a_double_would_lose_cents(con):
    assert evaluate(con, number_sql("cell", ".", "", AMOUNT), "-999999999999999.99") == Decimal(
        "-999999999999999.99"
    )
    assert evaluate(con, unread_sql("cell", ".", ","), "1,000,000,000,000,000") == "too large"


def test_a_factor_times_a_factor_is_exact(con):
    product = f"{number_sql('cell', '.', '', PRICE)} * {number_sql('cell', '.', '', QUANTITY)}"
    assert evaluate(con, product, "0.335") == Decimal("0.112225")


@given(
    cents=st.integers(-(10**11), 10**11),
    marks=st.sampled_from([(".", ""), (".", ","), (",", "."), (",", ""), (".", " "), (",", "'")]),
)
def test_any_amount_comes_back_as_it_was_written(con, cents, marks):
    decimal, thousands = marks
    text = f"{Decimal(cents) / 100:,.2f}".translate({ord(","): thousands, ord("."): decimal})
    assert evaluate(con, number_sql("cell", decimal, thousands), text) == Decimal(cents) / 100


# --- ids ---


@pytest.mark.parametrize(
    ("text", "said"),
    [("17850.0", "17850"), ("17850", "17850"), ("1.5", "1.5"), ("1.00", "1.00"), ("v1.0", "v1.0"), (None, None)],
)
def test_a_whole_id_has_no_decimals(con, text, said):
    assert evaluate(con, id_sql("cell"), text) == said


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("8.1E+12", True), ("8,10003E+12", True), ("8E+12", True), ("8.1e+12", True),
        ("8.1E12", False), ("8100030000000", False), ("E+12", False), ("A8.1E+12B", False),
    ],
)  # fmt: skip
def test_an_id_whose_digits_are_lost_is_told(con, text, cut):
    assert evaluate(con, f"regexp_full_match(cell, '{CUT_ID}')", text) is cut


@pytest.mark.parametrize("text", ["12€50", "5 € 10", "1$2"])
def test_a_currencys_sign_inside_a_number_is_none(con, text):
    assert evaluate(con, number_sql("cell", ".", ""), text) is None


@pytest.mark.parametrize("text", ["202501021230", "2025010212"])
def test_a_time_without_marks_is_no_epoch(con, text):
    assert evaluate(con, date_sql("cell", None), text) is None
