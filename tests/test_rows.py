"""pulse/rows.py: a file's texts as typed rows; what is wrong with a row is said of it, once."""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

import duckdb
import pytest

from pulse.layouts import Layout
from pulse.rows import name_sql, quote, typed_sql

FOUR = ["order_id", "customer_id", "order_date", "amount"]
GOOD = ("1", "a", "2024-01-31", "5")


@pytest.fixture
def typed() -> Iterator[Callable[..., list[dict]]]:
    """A function: the typed rows of texts, the header's names as columns; others by `columns`."""
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET TimeZone = 'UTC'")

        def make(header: list[str], *rows: tuple, typed_file: bool = False, columns=None, **layout) -> list[dict]:
            names = ", ".join(f"c{n} VARCHAR" for n in range(len(header)))
            con.execute(f"CREATE OR REPLACE TABLE file (part INTEGER, row BIGINT, {names})")
            for n, row in enumerate(rows, 2):
                con.execute(f"INSERT INTO file VALUES ({', '.join('?' * (len(row) + 2))})", [0, n, *row])
            con.execute("DROP TABLE IF EXISTS typed")
            found = columns or {name: (name,) for name in header}
            con.execute(typed_sql(found, header, Layout("a layout", **layout), typed_file))
            result = con.execute("SELECT * FROM typed ORDER BY row")
            return [
                dict(zip([each[0] for each in con.description], row, strict=True)) for row in result.fetchall()
            ]

        yield make


def test_a_row_has_every_column_and_no_fault(typed):
    header = [*FOUR, "status", "category", "quantity"]
    (row,) = typed(header, (" 7.0 ", " 17850.0", "2024-01-31 10:00 +0100", " 1.005 ", " Paid ", " Toys ", "0.25"))
    assert row == {
        "part": 0, "row": 2, "order_id": "7", "customer_id": "17850", "address": None,
        "order_date": datetime(2024, 1, 31, 9), "amount": Decimal("1.005"), "line_total": None, "unit_price": None,
        "quantity": Decimal("0.25"), "refunded": None, "paid_after_refunds": None, "status": "Paid",
        "channel": None, "country": None, "currency": None, "product_id": None, "category": "Toys",
        "value": Decimal("1.005"), "has_offset": True, "fault": None,
        "sign_amount_0": None, "sign_quantity_0": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        (GOOD, None),
        (("", *GOOD[1:]), "no order_id"),
        ((" ", "a", "soon", "x"), "no order_id"),  # one fault a row, the gravest
        (("1", "a", "", "5"), "unreadable order_date"),
        (("1", "a", "soon", "5"), "unreadable order_date"),
        (("1", "a", "1970-01-01", "5"), "unreadable order_date"),
        (("1", "a", "31/12/2024", "5"),
         "order_date reads in two ways: add --dates day-first or month-first"),
        (("1", "a", "2024-07-01 00:30 BST", "5"),
         "order_date ends with the abbreviation of a time zone: write an offset, such as +01:00"),
        (("1", "a", "2024-01-31", "five"), "unreadable amount: no digit"),
        (("1", "a", "2024-01-31", "nan"), "unreadable amount: no finite number"),
        (("1", "a", "2024-01-31", ""), None),  # the order may have it on another row
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row(typed, cells, fault):
    (row,) = typed(FOUR, cells)
    assert row["fault"] == fault


def test_a_blank_row_is_no_row(typed):
    rows = typed([*FOUR, "note"], (*GOOD, "x"), ("", None, " ", "", "x"), (*GOOD, None))
    assert [row["row"] for row in rows] == [2, 4]  # and rows keep the numbers that they have in the file


def test_a_fault_names_our_column_and_the_files(typed):
    columns = {"order_id": ("Nr",), "order_date": ("Datum",), "line_total": ("Ware", "Porto")}
    faults = [
        row["fault"]
        for row in typed(
            ["Nr", "Datum", "Ware", "Porto"],
            ("", "2024-01-31", "5", "1"),
            ("1", "bald", "5", "1"),
            ("1", "2024-01-31", "5", "viel"),
            ("1", "3.4.2024", "5", "1"),
            columns=columns,
        )
    ]
    assert faults == [
        "no order_id (Nr)",
        "unreadable order_date (Datum)",
        "unreadable line_total (Ware + Porto): no digit",
        "order_date (Datum) reads in two ways: add --dates day-first or month-first",
    ]
    assert name_sql("status", {"status": ("Etat d'une commande",)}) == "'status (Etat d''une commande)'"
    assert quote("it's") == "'it''s'"


@pytest.mark.parametrize("nobody", ["", " ", "0", "0.0", "NULL", "null", r"\N", "nan", "NaN", "#N/A", "None", "-"])
def test_what_stands_for_nobody(typed, nobody):
    first, second = typed([*FOUR, "customer_email"], ("1", nobody, "2024-01-31", "5", nobody), (*GOOD, nobody))
    assert (first["customer_id"], first["address"]) == (None, None)
    assert (second["customer_id"], second["address"]) == ("a", None)


@pytest.mark.parametrize("somebody", ["00", "0a", "none of us", "N", "-1", "007"])
def test_what_only_looks_like_nobody(typed, somebody):
    (row,) = typed(FOUR, ("1", somebody, "2024-01-31", "5"))
    assert row["customer_id"] == somebody


def test_an_address_is_no_id_and_has_one_case(typed):
    header = [*FOUR, "customer_email"]
    by_id, beside, none = typed(
        header,
        ("1", "Ada@Example.com", "2024-01-31", "5", "other@example.com"),
        ("2", "7.0", "2024-01-31", "5", " Bo@EXAMPLE.com "),
        ("3", "NULL", "2024-01-31", "5", "CY@example.com"),
    )
    assert (by_id["customer_id"], by_id["address"]) == (None, "ada@example.com")
    assert (beside["customer_id"], beside["address"]) == ("7", "bo@example.com")
    assert (none["customer_id"], none["address"]) == (None, "cy@example.com")


def test_order_time_beside_order_date(typed):
    header = [*FOUR, "order_time"]
    (row,) = typed(header, ("1", "a", "01/31/24", "5", "22:53:00"), dates="month-first")
    assert row["order_date"] == datetime(2024, 1, 31, 22, 53)
    (row,) = typed(header, ("1", "a", "2024-01-31", "5", "22:53 BST"))
    assert "abbreviation of a time zone" in row["fault"]
    (row,) = typed(header, ("1", "a", "2024-01-31", "5", ""))
    assert row["order_date"] == datetime(2024, 1, 31)
    (row,) = typed(header, ("1", "a", "2024-01-31 00:00:00", "5", "10:02:00"))  # two cells of a workbook
    assert row["order_date"] == datetime(2024, 1, 31, 10, 2)


def test_several_columns_of_the_file_are_added_up(typed):
    columns = {"order_id": ("n",), "order_date": ("d",), "line_total": ("price", "freight", "tax")}
    header = ["n", "d", "price", "freight", "tax"]
    rows = typed(
        header,
        ("1", "2024-01-31", "59.9", "12.1", "-1"),
        ("1", "2024-01-31", "", "12.1", ""),
        ("1", "2024-01-31", "", "", ""),
        columns=columns,
    )
    assert [row["value"] for row in rows] == [Decimal("71"), Decimal("12.1"), None]


def test_what_a_line_adds_to_its_order(typed):
    header = ["order_id", "order_date", "quantity", "unit_price", "line_total"]
    rows = typed(
        header,
        ("1", "2024-01-31", "3", "0.335", "9"),
        ("1", "2024-01-31", "3", "0.335", ""),
        ("1", "2024-01-31", "", "0.335", ""),
    )
    assert [row["value"] for row in rows] == [Decimal("9"), Decimal("1.005"), None]
    (row,) = typed(["order_id", "order_date", "unit_price"], ("1", "2024-01-31", "0.335"))
    assert row["value"] == Decimal("0.335")  # without a column of quantities each row is one
    (row,) = typed([*header[:4], "amount"], ("1", "2024-01-31", "3", "0.335", "2"))
    assert row["value"] == 2  # the whole order's goes before its lines'


def test_numbers_of_a_typed_file_are_numbers_whatever_the_marks(typed):
    marks = {"decimal": ",", "thousands": "."}
    (row,) = typed(FOUR, ("1", "a", "2024-01-31", "1234.5"), typed_file=True, **marks)
    assert row["amount"] == Decimal("1234.5")
    (row,) = typed(FOUR, ("1", "a", "2024-01-31", "1.234,5"), **marks)
    assert row["amount"] == Decimal("1234.5")


def test_orders_that_are_no_orders_are_told_by_their_prefix(typed):
    rows = typed(FOUR, ("A1", *GOOD[1:]), ("1A", *GOOD[1:]), ("A2", "a", "soon", "5"), ignore_prefix="A")
    assert [row["fault"] for row in rows] == ["adjustment, no sale", None, "unreadable order_date"]


def test_without_order_ids_each_row_is_an_order(typed):
    rows = typed(FOUR[1:], GOOD[1:], GOOD[1:])
    assert [row["order_id"] for row in rows] == ["row 0-2", "row 0-3"]


def test_an_offset_is_noticed(typed):
    dates = ("2024-01-31", "2024-01-31 10:00", "2024-01-31 10:00 -0500", "2024-01-31T10:00:00Z")
    rows = typed(FOUR, *(("1", "a", date, "5") for date in dates))
    assert [row["has_offset"] for row in rows] == [False, False, True, False]
