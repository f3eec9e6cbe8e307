"""pulse/importing.py: a file comes in whole, row for row; what cannot be used is counted and named."""

import csv
import gzip
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from openpyxl import Workbook

from pulse.importing import add_import_options, open_import

HEADER = "order_id,customer_id,order_date,amount\n"


def read_file(file: Path, *options: str, zone: str = "UTC") -> tuple[list[dict], list[dict], dict[str, int]]:
    """What an import makes of the file: orders, customers, {reason: rows}."""
    parser = ArgumentParser()
    add_import_options(parser)
    with open_import(parser.parse_args(["--import", str(file), *options]), ZoneInfo(zone)) as source:
        blocks = list(source.blocks)
    assert source.origin == f"imported from {file.name}"
    orders, customers = (
        [doc for block in blocks for doc in block.get(name, [])] for name in ("orders", "customers")
    )
    return orders, customers, source.rejects


def test_a_file_of_orders_becomes_documents(tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text(
        "order_id,customer_id,order_date,amount,status,category,country,channel\n"
        "1,0007,2024-01-31,10.50,completed,Toys,France,web\n"
        "2,0007,2024-02-29T23:30:00+01:00,-3,refunded,Books,Spain,app\n"
        '3,"a, b",2024-02-29 08:15,0,Cancelled,,Spain,\n'
        "4,,2024-02-29 08:15,7,,,,\n"
    )
    orders, customers, left_out = read_file(file)
    assert orders[0] == {
        "_id": "1",
        "customer_id": "0007",
        "order_date": datetime(2024, 1, 31),
        "status": "completed",
        "channel": "web",
        "country": "France",
        "items": [{"product_id": None, "category": "Toys", "quantity": 1, "unit_price": 10.5}],
        "total": 10.5,
    }
    times = [doc["order_date"].isoformat() for doc in orders[1:3]]
    assert times == ["2024-02-29T22:30:00", "2024-02-29T08:15:00"]
    assert orders[3]["customer_id"] is None
    assert customers == [{"_id": "0007", "country": "Spain"}, {"_id": "a, b", "country": "Spain"}]
    assert left_out == {}


def test_a_time_without_an_offset_is_local(tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,a,2024-01-31,5\n2,a,2024-07-31 01:00,5\n3,a,2024-07-31T01:00:00Z,5\n")
    orders, _, _ = read_file(file, zone="America/New_York")
    times = [datetime(2024, 1, 31, 5), datetime(2024, 7, 31, 5), datetime(2024, 7, 31, 1)]
    assert [order["order_date"] for order in orders] == times


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("order_id,customer_id,order_date\n1,a,2024-01-01\n", "has no column amount"),
        (HEADER + "1,a,2024-01-01,5\n2,a,soon,5\n", "row 3 (unreadable order_date)"),
        (HEADER + "1,a,31/12/2024,5\n", "row 2 (order_date reads in two ways: add --dates day-first"),
        (HEADER + "1,a,2024-02-30,5\n", "row 2 (unreadable order_date)"),
        (HEADER + "1,a,9999-12-31,5\n", "row 2 (unreadable order_date)"),
        (HEADER + '1,a,2024-01-01,"1,234.5"\n', "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,nan\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,inf\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,1.2.3\n", "row 2 (unreadable amount)"),
        (HEADER + "1,a,2024-01-01,5\n2,a,2024-01-01,5\n1,b,2024-01-02,6\n", "row 4 (order_id of another order"),
        (HEADER + "1,a,2024-01-01,5\n1,a,2024-01-01,5\n", "row 3 (exact duplicate of an order)"),
        (HEADER + ",a,2024-01-01,5\n", "row 2 (no order_id)"),
        (HEADER, "holds no order"),
        (HEADER + "1,b,2025-01-02,1,020.00\n2,a,2025-01-01,1,234.50\n", "cannot be read"),
        (HEADER + "2,a,2025-01-01,5\n1,b,2025-01-02,1,020.00\n", "cannot be read"),
        (HEADER + "2,a,2025-01-01,5\n1,b,2025-01-02\n", "cannot be read"),
        ("", "has no column order_id"),
        ("\xff\xfe\x00", "has no column order_id"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_its_row(tmp_path, capsys, text, says):
    file = tmp_path / "orders.csv"
    file.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        read_file(file)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert says in message
    assert str(file) in message
    assert message.count("\n") == 1


def test_a_few_unusable_rows_are_counted_and_many_need_a_word(tmp_path, capsys):
    file = tmp_path / "orders.csv"
    good = [f"{n},a,2024-01-01,5" for n in range(57)]
    file.write_text(HEADER + "\n".join([*good, "a,b,soon,5", "b,b,soon,5", "c,b,2024-01-01,five"]))
    orders, _, left_out = read_file(file)
    assert len(orders) == 57
    assert left_out == {"unreadable order_date": 2, "unreadable amount": 1}
    printed = capsys.readouterr().out
    assert "2 of 60 rows: unreadable order_date (row 59, 60)" in printed
    assert "1 of 60 rows: unreadable amount (row 61)" in printed

    file.write_text(HEADER + "\n".join([*good[:-1], "a,b,soon,5", "b,b,soon,5", "c,b,2024-01-01,five"]))
    with pytest.raises(SystemExit):
        read_file(file)
    assert "3 of 59 rows" in capsys.readouterr().err
    orders, _, left_out = read_file(file, "--accept-rejects")
    assert (len(orders), sum(left_out.values())) == (56, 3)


HOSTILE = (
    *("=1+1", "-2", "@x", "a\nb", "a\r\nb", "\r", '"', '""', "'; --", ",", "\\", "\u202ea", "🎉", "\0"),
    "x" * 10_000,
)
hostile = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(HOSTILE))
row = st.tuples(hostile, hostile, hostile, st.datetimes(), st.floats())


def assert_comes_in_whole(rows: list[tuple], quoting: int, separator: str) -> None:
    """Import orders with these texts, times and amounts, and compare."""
    rows = [("a", "b", "c", datetime(2024, 1, 1), 1.0), *rows]
    names = ["order_id", "customer_id", "channel", "country", "order_date", "amount"]
    with TemporaryDirectory() as folder:
        file = Path(folder, "orders.csv")
        with file.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.writer(lines, delimiter=separator, quoting=quoting)
            writer.writerow(names)
            writer.writerows(
                [n, *texts, when.isoformat(), amount] for n, (*texts, when, amount) in enumerate(rows)
            )
        orders, _, left_out = read_file(file, "--accept-rejects")
    expected, unusable = [], 0
    for n, (*texts, when, amount) in enumerate(rows):
        if 1900 <= when.year <= 2099 and np.isfinite(amount):
            customer, channel, country = (text.strip(" ") or None for text in texts)
            expected.append((str(n), customer, channel, country, amount))
        else:
            unusable += 1
    found = [
        (each["_id"], each["customer_id"], each["channel"], each["country"], each["total"]) for each in orders
    ]
    assert sorted(found, key=lambda each: int(each[0])) == [
        (*each[:4], pytest.approx(each[4], abs=1e-6)) for each in expected
    ]
    assert sum(left_out.values()) == unusable


@pytest.mark.slow
@hypothesis.settings(max_examples=60)
@hypothesis.given(
    st.lists(row, max_size=20), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]), st.sampled_from(",;\t|")
)
def test_any_text_in_a_file_becomes_the_same_text_in_a_document(rows, quoting, separator):
    """And what is no amount, or no date of our time, is counted; nothing else is lost, nothing is read twice."""
    assert_comes_in_whole(rows, quoting, separator)


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("separator", list(",;\t|"))
def test_hostile_texts_come_in_as_they_are(quoting, separator):
    when = datetime(2024, 1, 1)
    rows = [(text, text, text, when, -1.5) for text in HOSTILE]
    odd = [
        *[("a", "b", "c", datetime(year, 1, 1), 2.0) for year in (1, 1899, 1900, 2099, 2100, 9999)],
        *[("a", "b", "c", when, float(amount)) for amount in ("nan", "inf", "-inf", "1e300", "0")],
    ]
    assert_comes_in_whole(rows + odd, quoting, separator)


@pytest.mark.parametrize(
    ("date", "amount", "options", "found"),
    [
        ("3/4/2024", "5", ("--dates", "day-first"), (datetime(2024, 4, 3), 5.0)),
        ("3/4/2024", "5", ("--dates", "month-first"), (datetime(2024, 3, 4), 5.0)),
        ("2024-01-01", "1.234,50", ("--decimal", ",", "--thousands", "."), (datetime(2024, 1, 1), 1234.5)),
        ("2024-01-01", "1'234.5", ("--thousands", "'"), (datetime(2024, 1, 1), 1234.5)),
        ("3/4/2024", "5", (), None),
        ("31/12/2024", "5", ("--dates", "month-first"), None),
        ("2024-01-01", "1,5", (), None),
        ("2024-01-01", "1.5", ("--decimal", ",", "--thousands", "."), None),
    ],
)
def test_dates_and_amounts_are_read_as_the_options_say(tmp_path, date, amount, options, found):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER.replace(",", ";") + f"1;a;{date};{amount}\n")
    if found:
        (order,) = read_file(file, *options)[0]
        assert (order["order_date"], order["total"]) == found
    else:
        with pytest.raises(SystemExit):
            read_file(file, *options)


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet"])
def test_numbers_of_a_spreadsheet_are_numbers_whatever_the_decimal_mark(tmp_path, name):
    rows = pd.DataFrame({"order_id": [1.0], "customer_id": [7], "order_date": ["2024-01-01"], "amount": [1234.5]})
    if name.endswith("xlsx"):
        rows.to_excel(tmp_path / name, index=False)
    else:
        rows.to_parquet(tmp_path / name)
    (order,), _, _ = read_file(tmp_path / name, "--decimal", ",", "--thousands", ".")
    assert (order["_id"], order["customer_id"], order["total"]) == ("1", "7", 1234.5)


def test_every_kind_of_file_gives_the_same_documents(tmp_path):
    rows = pd.DataFrame(
        {
            "Bestellung": [1, 1, 2],
            "Kunde": [17850.0, 17850.0, np.nan],
            "Datum": pd.to_datetime(["2024-01-31 10:00", "2024-01-31 10:01", "2024-02-29 00:00"]),
            "Menge": [2, -1, 3],
            "Preis": [1.5, 1.5, 10.0],
            "Gruppe": ["Bücher", "Bücher", None],
        }
    )
    rows.to_parquet(tmp_path / "a.parquet")
    rows.to_excel(tmp_path / "a.xlsx", index=False)
    text = rows.astype({"Kunde": "Int64"})
    text.to_csv(tmp_path / "a.csv", index=False, sep=";")
    text.to_csv(tmp_path / "a.csv.gz", index=False, sep="\t")
    text.to_csv(tmp_path / "latin.csv", index=False, encoding="latin-1")
    names = (
        "order_id=Bestellung,customer_id=Kunde,order_date=Datum,quantity=Menge,unit_price=Preis,category=Gruppe"
    )
    read = [
        read_file(tmp_path / name, "--columns", names, *options)
        for name, *options in (
            ["a.csv"],
            ["a.csv.gz"],
            ["a.parquet"],
            ["a.xlsx"],
            ["latin.csv", "--encoding", "latin-1"],
        )
    ]
    assert all(each == read[0] for each in read)
    orders, customers, left_out = read[0]
    books = {"product_id": None, "category": "Bücher", "quantity": 2.0, "unit_price": 1.5}
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("1", "17850", 3.0),
        ("1/refund", "17850", -1.5),
        ("2", None, 30.0),
    ]
    assert orders[0]["items"] == [books]
    assert customers == [{"_id": "17850", "country": None}]
    assert left_out == {}


def test_lines_scattered_over_a_file_come_together(tmp_path, capsys):
    file = tmp_path / "lines.csv"
    rows = [f"{n % 4_000},c{n % 4_000},2024-01-{n // 4_000 + 1:02} 10:00,1,2.5,p{n}" for n in range(20_000)]
    rows += ["0,stranger,2024-01-09,1,1,p", "1,c1,2024-01-09,1,2.5,p1", "2,c2,2024-01-09,0,1,p"]
    file.write_text("order_id,customer_id,order_date,quantity,unit_price,product_id\n" + "\n".join(rows))
    orders, _, left_out = read_file(file)
    assert len(orders) == 4_000
    by_id = {order["_id"]: order for order in orders}
    assert by_id["7"]["total"] == 12.5
    assert [item["product_id"] for item in by_id["7"]["items"]] == ["p7", "p4007", "p8007", "p12007", "p16007"]
    assert by_id["7"]["order_date"] == datetime(2024, 1, 1, 10)
    assert by_id["1"]["total"] == 15  # a repeated line may be meant: it is counted, and kept
    assert left_out == {"order of another customer": 1, "quantity or unit_price 0": 1, "repeated line, kept": 1}
    assert "order of another customer (row 20002)" in capsys.readouterr().out


def test_discounts_stay_in_their_order_and_returns_make_a_refund(tmp_path):
    file = tmp_path / "lines.csv"
    rows = ["1,a,2024-01-01,2,50", "1,,2024-01-01,1,-10", "1,a,2024-01-05,-1,50", "1,a,2024-01-05,-1,-5"]
    file.write_text("order_id,customer_id,order_date,quantity,unit_price\n" + "\n".join(rows))
    orders, _, left_out = read_file(file)
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("1", "a", 90),
        ("1/refund", "a", -45),
    ]
    assert [doc["order_date"].day for doc in orders] == [1, 5]
    assert left_out == {}


def test_what_an_order_says_on_any_line_counts(tmp_path):
    """Exports that fill an order's fields on one of its lines alone, wherever that line stands."""
    file = tmp_path / "lines.csv"
    rows = [
        "1,,2024-01-01,1,5,,",
        "1,a,2024-01-01,1,5,cancelled,EUR",
        "1,,2024-01-01,-1,5,,",
        "2,,2024-01-01,1,5,,",
    ]
    file.write_text("order_id,customer_id,order_date,quantity,unit_price,status,currency\n" + "\n".join(rows))
    orders, _, _ = read_file(file)
    said = [(doc["_id"], doc["customer_id"], doc["status"], doc["currency"]) for doc in orders]
    assert said == [("1", "a", "cancelled", "EUR"), ("1/refund", "a", "cancelled", "EUR"), ("2", None, None, None)]


def test_columns_that_are_not_used_do_not_matter(tmp_path):
    """An index without a name, twins, a trailing comma, spaces in the header, a separator in quotes."""
    file = tmp_path / "orders.csv"
    file.write_text(
        '\ufeff;order_id ; customer_id;order_date;amount;note;Note;note;"a, b, c, d, e, f, g, h";\n', "utf-8"
    )
    with file.open("a") as rows:
        rows.write("0;1;a;2024-01-01;5;x;y;z;;\n;;;;;;;;;\n1;2;b;2024-01-01;6;x;y;z;;\n")
    for encoding in ("utf-8", "utf8", "utf-8-sig"):
        orders, _, left_out = read_file(file, "--encoding", encoding)
        assert [(doc["_id"], doc["total"]) for doc in orders] == [("1", 5), ("2", 6)]
        assert left_out == {}


def test_excel_with_ragged_and_blank_rows(tmp_path):
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (
        ["order_id", "customer_id", "order_date", "amount", None, None],
        ["v1.0", 1, datetime(2024, 1, 1), 5],
        [None, None, None, None, None, None, "beyond"],
        ["v1", 17850.0, datetime(2024, 1, 2, 3), 6.5],
    ):
        sheet.append(row)
    book.save(tmp_path / "a.XLSX")
    orders, _, left_out = read_file(tmp_path / "a.XLSX")
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("v1", "17850", 6.5),
        ("v1.0", "1", 5),
    ]
    assert left_out == {}


def test_online_retails_rules_stay_when_columns_are_added(tmp_path):
    file = tmp_path / "export.csv"
    file.write_text(
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "1,A,Mug,2,2010-12-01,5,7,EIRE\nC2,A,Mug,-1,2010-12-02,5,7,EIRE\nA3,B,Adjust,1,2010-12-03,99,,EIRE\n"
    )
    options = ("--columns", "category=Description", "--accept-rejects")
    orders, _, left_out = read_file(file, *options)
    assert [(doc["_id"], doc["status"], doc["total"]) for doc in orders] == [
        ("1", "completed", 10),
        ("C2/refund", "cancelled", -5),
    ]
    assert orders[0]["items"][0]["category"] == "Mug"
    assert left_out == {"adjustment, no sale": 1}


def test_quantity_and_price_named_go_before_an_amount_that_is_there(tmp_path):
    file = tmp_path / "lines.csv"
    file.write_text(
        "order_id,customer_id,order_date,qty,price,amount\n1,a,2024-01-01,1,5,5\n1,a,2024-01-01,1,6,6\n"
    )
    orders, _, _ = read_file(file, "--columns", "quantity=qty,unit_price=price")
    assert [doc["total"] for doc in orders] == [11]


def test_one_mark_cannot_be_both(tmp_path, capsys):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,a,2024-01-01,12.50\n")
    with pytest.raises(SystemExit) as stopped:
        read_file(file, "--thousands", ".")
    assert stopped.value.code == 2
    assert "both '.'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["broken.csv.gz", "broken.parquet", "broken.xlsx", "late.csv"])
def test_a_damaged_file_gets_a_sentence(tmp_path, capsys, name):
    content = gzip.compress((HEADER + "1,a,2024-01-01,5\n" * 9_000).encode())[:-20]
    if name == "late.csv":
        content = (HEADER + "1,a,2024-01-01,5\n" * 9_000 + "B\xfccher,a,2024-01-01,5\n").encode("latin-1")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        read_file(tmp_path / name)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert name in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("order_id=Nr", "has no column Nr among"),
        ("price=x", "--columns has 'price=x'"),
        ("order_id", "--columns has 'order_id'"),
    ],
)
def test_wrong_columns_get_a_sentence(tmp_path, capsys, columns, says):
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,a,2024-01-01,5\n")
    with pytest.raises(SystemExit) as stopped:
        read_file(file, "--columns", columns)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err
