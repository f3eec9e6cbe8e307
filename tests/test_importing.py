"""pulse/importing.py: a file comes in whole, row for row; what cannot be used is counted and named."""

import csv
import gzip
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from loading import HEADER, KEY, LINES, load, load_text, parse_options, totals
from openpyxl import Workbook

from common import Settings
from pulse.grouping import SUPERSEDED
from pulse.identity import hash_address, identify
from pulse.import_report import REPEATED
from pulse.importing import MOST_LINES, as_source, open_import

STATUS = "order_id,customer_id,order_date,amount,status\n"
SECRET = "nobody's business"  # in rows: no message has it


def test_a_file_of_orders_becomes_documents(tmp_path):
    orders, customers, left_out = load_text(
        tmp_path,
        "order_id,customer_id,order_date,amount,status,category,country,channel\n"
        "1,0007,2024-01-31,10.50,completed,Toys,France,web\n"
        "2,0007,2024-02-29T23:30:00+01:00,-3,refunded,Books,Spain,app\n"
        '3,"a, b",2024-02-29 08:15,0,Cancelled,,Spain,\n'
        "4,,2024-02-29 08:15,7,paid,,,\n",
    )
    assert orders[0] == {
        "_id": "1",
        "customer_id": "0007",
        "order_date": datetime(2024, 1, 31),
        "status": "completed",
        "channel": "web",
        "country": "France",
        "sold": True,
        "items": [{"product_id": None, "category": "Toys", "quantity": 1, "unit_price": 10.5}],
        "total": 10.5,
    }
    times = [doc["order_date"].isoformat() for doc in orders[1:3]]
    assert times == ["2024-02-29T22:30:00", "2024-02-29T08:15:00"]
    assert (orders[2]["status"], orders[2]["sold"]) == ("Cancelled", False)
    assert orders[3]["customer_id"] is None
    assert customers == [{"_id": "0007", "country": "Spain"}, {"_id": "a, b", "country": "Spain"}]
    assert left_out == {}


def test_a_time_without_an_offset_is_local(tmp_path):
    text = HEADER + "1,a,2024-01-31,5\n2,a,2024-07-31 01:00,5\n3,a,2024-07-31T01:00:00Z,5\n"
    orders = load_text(tmp_path, text, report_timezone="America/New_York").orders
    times = [datetime(2024, 1, 31, 5), datetime(2024, 7, 31, 5), datetime(2024, 7, 31, 1)]
    assert [order["order_date"] for order in orders] == times


# --- what cannot be loaded ---


def assert_stops(tmp_path: Path, capsys, text: str, says: str, *options: str, **settings: str) -> None:
    """Assert that a load of this text stops with one such sentence, which tells nothing of a row."""
    with pytest.raises(SystemExit) as stopped:
        load_text(tmp_path, text, *options, **settings)
    assert stopped.value.code == 2
    printed, message = capsys.readouterr()
    assert says in message
    assert message.startswith("Error: ")
    assert message.count("\n") == 1
    assert SECRET not in printed + message
    assert "@" not in printed + message


OF_A_ROW = [
    (HEADER + f"1,{SECRET},2024-01-01,5\n2,a,{SECRET},5\n",
     "orders.csv cannot be used, as row 3 (unreadable order_date)"),
    (HEADER + f"1,{SECRET},31/12/2024,5\n", "row 2 (order_date reads in two ways: add --dates day-first or"),
    (HEADER + f"1,{SECRET},9999-12-31,5\n", "row 2 (unreadable order_date)"),
    (HEADER + f"1,{SECRET},1970-01-01,5\n", "row 2 (unreadable order_date)"),
    (HEADER + f"1,{SECRET},2024-07-01 00:30:00 BST,5\n",
     "row 2 (order_date ends with the abbreviation of a time zone"),
    (HEADER + f'1,{SECRET},2024-01-01,"1,234.5"\n', "row 2 (unreadable amount: another mark)"),
    (HEADER + f"1,a@example.com,2024-01-01,{SECRET}\n", "row 2 (unreadable amount: no digit)"),
    (HEADER + f"1,{SECRET},2024-01-01,\n", "row 2 (no amount)"),
    (HEADER + f"{SECRET},a,2024-01-01,5\n2,a,2024-01-01,5\n{SECRET},b,2024-01-02,6\n",
     "row 4 (order_id of another order"),
    (HEADER + f"1,{SECRET},2024-01-01,5\n1,{SECRET},2024-01-01,5\n", "row 3 (exact duplicate of an order)"),
    (HEADER + f",{SECRET},2024-01-01,5\n", "row 2 (no order_id)"),
    (LINES + f"1,{SECRET},2024-01-01,1,\n", "row 2 (no unit_price or quantity)"),
    (LINES + f"1,{SECRET},2024-01-01,1,5\n1,a@example.com,2024-01-01,1,5\n", "row 3 (order of another customer)"),
    (HEADER + f"1,{SECRET},2024-01-01,5\n2,8.1E+12,2024-01-01,5\n",
     "orders.csv, row 3: customer_id has a number such as 8.1E+12, whose last digits a spreadsheet has dropped"),
    (HEADER + f'"8,10003E+12",{SECRET},2024-01-01,5\n', "orders.csv, row 2: order_id has a number such as"),
    (HEADER + f"1,{SECRET},2024-01-01,$5\n2,a,2024-01-01,€5\n", "amount has amounts in several currencies ($, €)"),
    (STATUS + f"1,{SECRET},2024-01-01,5,In limbo\n2,a,2024-01-01,5,Odd\n3,a,2024-01-01,5,odd\n",
     "of these statuses are sales: odd (2), in limbo (1). Say which are with --sold a,b and which are not"),
    (HEADER, "orders.csv holds no order, only a header"),
    (HEADER + "\n,,,\n", "orders.csv holds no order, only a header"),
    ("order_id,customer_id,order_date\n1,a,2024-01-01\n", "orders.csv has no column amount among"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), OF_A_ROW)
def test_a_file_that_cannot_be_loaded_is_named_with_its_row_and_column(tmp_path, capsys, text, says):
    assert_stops(tmp_path, capsys, text, says)


def test_our_name_of_a_column_stands_beside_the_files(tmp_path, capsys):
    text = "Nr,Kunde,Datum,Betrag\n1,a,bald,5\n"
    columns = "order_id=Nr,customer_id=Kunde,order_date=Datum,amount=Betrag"
    assert_stops(tmp_path, capsys, text, "row 2 (unreadable order_date (Datum))", "--columns", columns)
    text = "Nr,Kunde,Datum,Betrag\n1,8.1E+12,2024-01-01,5\n"
    assert_stops(tmp_path, capsys, text, "row 2: Kunde has a number such as", "--columns", columns)


def test_a_few_unusable_rows_are_counted_and_many_need_a_word(tmp_path, capsys):
    good = [f"{n},a,2024-01-01,5" for n in range(57)]
    orders, _, left_out = load_text(
        tmp_path, HEADER + "\n".join([*good, "a,b,soon,5", "b,b,soon,5", "c,b,2024-01-01,five"])
    )
    assert len(orders) == 57
    assert left_out == {"unreadable order_date": 2, "unreadable amount: no digit": 1}
    printed = capsys.readouterr().out
    assert "2 of 60 rows: unreadable order_date (row 59, 60)" in printed
    assert "1 of 60 rows: unreadable amount: no digit (row 61)" in printed

    text = HEADER + "\n".join([*good[:-1], "a,b,soon,5", "b,b,soon,5", "c,b,2024-01-01,five"])
    assert_stops(tmp_path, capsys, text, "3 of 59 rows")
    orders, _, left_out = load_text(tmp_path, text, "--accept-rejects")
    assert (len(orders), sum(left_out.values())) == (56, 3)


MOST = 1e26  # an amount beyond is none
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
        orders, _, left_out = load(file, "--accept-rejects")
    expected, unusable = [], 0
    for n, (*texts, when, amount) in enumerate(rows):
        if 1900 <= when.year <= 2099 and abs(amount) < MOST:
            customer, channel, country = (text.strip(" \t\n\r\xa0\u202f") or None for text in texts)
            customer = identify(customer, KEY) if customer and customer.strip() else customer
            expected.append((str(n), customer, channel, country, amount))
        else:
            unusable += 1
    found = [
        (each["_id"], each["customer_id"], each["channel"], each["country"], each["total"]) for each in orders
    ]
    assert sorted(found, key=lambda each: int(each[0])) == [
        (*each[:4], pytest.approx(each[4], abs=0.0051)) for each in expected
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


# --- options ---


@pytest.mark.parametrize(
    ("date", "amount", "options", "found"),
    [
        ("3/4/2024", "5", ("--dates", "day-first"), (datetime(2024, 4, 3), 5.0)),
        ("3/4/2024", "5", ("--dates", "month-first"), (datetime(2024, 3, 4), 5.0)),
        ("2024-01-01", "1.234,50", ("--decimal", ",", "--thousands", "."), (datetime(2024, 1, 1), 1234.5)),
        ("2024-01-01", "1\u202f234,50 €", ("--decimal", ",", "--thousands", " "), (datetime(2024, 1, 1), 1234.5)),
        ("31/12/2024", "5", ("--dates", "month-first"), None),
        ("2024-01-01", "1,5", (), None),
        ("2024-01-01", "1.5", ("--decimal", ",", "--thousands", "."), None),
    ],
)
def test_dates_and_amounts_are_read_as_the_options_say(tmp_path, date, amount, options, found):
    text = HEADER.replace(",", ";") + f"1;a;{date};{amount}\n"
    if found:
        (order,) = load_text(tmp_path, text, *options).orders
        assert (order["order_date"], order["total"]) == found
    else:
        with pytest.raises(SystemExit):
            load_text(tmp_path, text, *options)


def test_an_option_goes_before_the_layouts_own(tmp_path):
    """Etsy's dates are month-first, but a copy may have been saved with others."""
    header = "Sale Date,Order ID,Buyer User ID,Order Total,Order Net,Adjusted Order Total,Status\n"
    row = '04/03/24,1,b,"1.234,50",1,,\n'
    (order,) = load_text(
        tmp_path, header + row, "--dates", "day-first", "--decimal", ",", "--thousands", "."
    ).orders
    assert (order["order_date"], order["total"]) == (datetime(2024, 3, 4), 1234.5)


def test_quantity_and_price_named_go_before_an_amount_that_is_there(tmp_path):
    text = "order_id,customer_id,order_date,qty,price,amount\n1,a,2024-01-01,1,5,5\n1,a,2024-01-01,1,6,6\n"
    orders = load_text(tmp_path, text, "--columns", "quantity=qty,unit_price=price").orders
    assert [doc["total"] for doc in orders] == [11]


def test_a_column_with_a_comma_and_an_equals_sign_can_be_named(tmp_path):
    text = 'order_id,customer_id,order_date,"Total, incl. VAT","a=b"\n1,a,2024-01-01,5,Toys\n'
    options = ("--columns", '"amount=Total, incl. VAT", category=a=b')
    (order,) = load_text(tmp_path, text, *options).orders
    assert (order["total"], order["items"][0]["category"]) == (5, "Toys")


def test_one_mark_cannot_be_both(tmp_path, capsys):
    text = HEADER + '1,a,2024-01-01,"12,50"\n'
    assert_stops(tmp_path, capsys, text, "both '.'", "--thousands", ".")
    assert load_text(tmp_path, text, "--decimal", ",").orders[0]["total"] == 12.5


def test_a_decimal_mark_takes_the_place_of_the_layouts_separator(tmp_path):
    """PrestaShop's own separator is a comma: --decimal , alone says that there is none."""
    text = "ID;Reference;New client;Total;Payment;Status;Date\n1;A;0;1234,50 €;x;Shipped;2024-04-01\n"
    assert load_text(tmp_path, text, "--decimal", ",").orders[0]["total"] == 1234.5


def test_a_log_without_order_ids(tmp_path, capsys):
    text = "customer_id,order_date,amount\na,1997-01-01,5\na,1997-01-01,5\nb,19970102,7\n"
    assert_stops(tmp_path, capsys, text, "(a file without order ids: --no-order-ids)")
    orders, customers, left_out = load_text(tmp_path, text, "--no-order-ids")
    assert sorted(order["total"] for order in orders) == [5, 5, 7]  # equal rows are two orders
    assert len({order["_id"] for order in orders}) == 3
    assert [customer["_id"] for customer in customers] == ["a", "b"]
    assert left_out == {}
    orders = load_text(tmp_path, HEADER + "1,a,1997-01-01,5\n1,a,1997-01-02,5\n", "--no-order-ids").orders
    assert len(orders) == 2  # though a column has their name


def test_who_says_what_a_status_means(tmp_path, capsys):
    """The command line, then .env, then the layout, then the words that everybody means alike."""
    text = STATUS + "1,a,2024-01-01,1,paid\n2,a,2024-01-01,2,Odd one\n3,a,2024-01-01,4,cancelled\n"
    assert_stops(tmp_path, capsys, text, "sales: odd one (1).")
    assert totals(load_text(tmp_path, text, "--sold", "ODD ONE").orders) == {"1": 1, "2": 2}
    assert totals(load_text(tmp_path, text, not_sold_statuses="odd one, paid").orders) == {}
    assert totals(load_text(tmp_path, text, "--sold", "odd one", not_sold_statuses="odd one").orders) == {
        "1": 1,
        "2": 2,
    }
    assert_stops(tmp_path, capsys, text, "have odd one both as sold", "--sold", "odd one", "--not-sold", "Odd one")
    pending = STATUS + "1,a,2024-01-01,1,pending\n"
    assert_stops(tmp_path, capsys, pending, "sales: pending (1).")  # platforms differ
    (tmp_path / "mine.toml").write_text(
        'name = "Mine"\n[columns]\norder_id="order_id"\ncustomer_id="customer_id"\norder_date="order_date"\n'
        'amount="amount"\nstatus="status"\n[status]\nsold=["pending", "cancelled"]\nnot_sold=["paid"]\n'
    )
    options = ("--layout", str(tmp_path / "mine.toml"))
    assert totals(load_text(tmp_path, pending, *options).orders) == {"1": 1}
    assert totals(load_text(tmp_path, pending, *options, not_sold_statuses="pending").orders) == {}
    assert totals(load_text(tmp_path, text, *options, "--not-sold", "odd one").orders) == {"3": 4}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("order_id=Nr", "has no column Nr among"),
        ("price=x", "--columns has 'price=x'"),
        ("order_id", "--columns has 'order_id'"),
    ],
)
def test_wrong_columns_get_a_sentence(tmp_path, capsys, columns, says):
    assert_stops(tmp_path, capsys, HEADER + "1,a,2024-01-01,5\n", says, "--columns", columns)


# --- customers ---


def test_the_key_is_asked_for_where_customers_have_addresses(tmp_path):
    asked = []

    def find_key() -> str:
        asked.append(1)
        return KEY

    for customer, times in (("a", 0), ("Ada@example.com", 1)):
        (tmp_path / "orders.csv").write_text(HEADER + f"1,{customer},2024-01-01,5\n")
        args = parse_options("--import", str(tmp_path / "orders.csv"))
        with open_import(args, Settings(), find_key) as found:
            (block, *_) = found.con.execute("SELECT customer FROM orders").fetchall()
        assert len(asked) == times
    assert block == (hash_address("ada@example.com", KEY),)


# --- several files ---


def test_several_files_are_one_load(tmp_path):
    (tmp_path / "jan.csv").write_text(HEADER + "1,a,2024-01-05,10\n2,b,2024-01-07,20\n")
    (tmp_path / "feb.csv").write_text("amount,order_id,order_date,customer_id\n30,3,2024-02-05,a\n")
    orders, customers, _ = load([tmp_path / "jan.csv", tmp_path / "feb.csv"])
    assert totals(orders) == {"1": 10, "2": 20, "3": 30}
    assert [customer["_id"] for customer in customers] == ["a", "b"]


def test_an_order_in_several_files_is_taken_whole_from_the_last(tmp_path, capsys):
    files = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    rows = [
        "1,a,2024-01-05,1,10\n1,a,2024-01-05,1,5\n2,a,2024-01-06,1,7\n",
        "1,a,2024-01-05,1,11\n3,a,2024-01-06,1,2\n",
        "1,a,2024-01-05,1,12\n1,a,2024-02-05,-1,2\n",
    ]
    for file, text in zip(files, rows, strict=True):
        file.write_text(LINES + text)
    orders, _, left_out = load(files)
    assert totals(orders) == {"1": 12, "1/refund": -2, "2": 7, "3": 2}
    assert left_out == {SUPERSEDED: 3}
    printed = capsys.readouterr().out.replace(f"{tmp_path}/", "")
    assert f"3 of 7 rows: {SUPERSEDED} (a.csv row 2, a.csv row 3, b.csv row 2)" in printed
    assert totals(load(files[::-1]).orders) == {"1": 15, "2": 7, "3": 2}


def test_a_row_of_several_files_is_named_with_its_file(tmp_path, capsys):
    (tmp_path / "jan.csv").write_text(HEADER + "1,a,2024-01-05,10\n")
    (tmp_path / "feb.csv").write_text(HEADER + "2,a,soon,10\n")
    with pytest.raises(SystemExit) as stopped:
        load([tmp_path / "jan.csv", tmp_path / "feb.csv"])
    assert stopped.value.code == 2
    message = capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert "1 of 2 rows of jan.csv, feb.csv cannot be used, as feb.csv row 2 (unreadable order_date)" in message


def test_without_order_ids_rows_of_several_files_are_orders_each(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("customer_id,order_date,amount\na,1997-01-01,5\n")
    orders = load([tmp_path / "a.csv", tmp_path / "b.csv"], "--no-order-ids").orders
    assert [order["total"] for order in orders] == [5, 5]


# --- large, odd and damaged files ---


def test_lines_scattered_over_a_file_come_together(tmp_path, capsys):
    rows = [f"{n % 4_000},c{n % 4_000},2024-01-{n // 4_000 + 1:02} 10:00,1,2.5,p{n}" for n in range(20_000)]
    rows += ["0,stranger,2024-01-09,1,1,p", "1,c1,2024-01-09,1,2.5,p1", "2,c2,2024-01-09,0,1,p"]
    text = "order_id,customer_id,order_date,quantity,unit_price,product_id\n" + "\n".join(rows)
    orders, _, left_out = load_text(tmp_path, text)
    assert len(orders) == 4_000
    by_id = {order["_id"]: order for order in orders}
    assert by_id["7"]["total"] == 12.5
    assert [item["product_id"] for item in by_id["7"]["items"]] == ["p7", "p4007", "p8007", "p12007", "p16007"]
    assert by_id["7"]["order_date"] == datetime(2024, 1, 1, 10)
    assert by_id["1"]["total"] == 15  # a repeated line may be meant: it is counted, and kept
    assert [item["quantity"] for item in by_id["2"]["items"]] == [1, 1, 1, 1, 1, 0]
    assert left_out == {"order of another customer": 1, REPEATED: 1}
    assert "order of another customer (row 20002)" in capsys.readouterr().out


def test_what_an_order_says_on_any_line_counts(tmp_path):
    """Exports that fill an order's fields on one of its lines alone, wherever that line stands."""
    rows = [
        "1,,2024-01-01,1,5,,",
        "1,a,2024-01-01,1,5,cancelled,EUR",
        "1,,2024-01-01,-1,5,,",  # a discount
        "1,,2024-01-09,-1,1,,",  # a refund, of an order that is no sale
        "2,b,2024-01-01,1,5,paid,",
    ]
    text = "order_id,customer_id,order_date,quantity,unit_price,status,currency\n"
    orders = load_text(tmp_path, text + "\n".join(rows)).orders
    said = [
        tuple(doc[name] for name in ("_id", "customer_id", "status", "currency", "total", "sold"))
        for doc in orders
    ]
    assert said == [
        ("1", "a", "cancelled", "EUR", 5, False),
        ("1/refund", "a", "cancelled", "EUR", -1, False),
        ("2", "b", "paid", None, 5, True),
    ]


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
        load(tmp_path / name, "--columns", names, *options)
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


def test_columns_that_are_not_used_do_not_matter(tmp_path):
    """An index without a name, near twins, a trailing comma, spaces in the header, a separator in quotes."""
    file = tmp_path / "orders.csv"
    file.write_text(
        '\ufeff;order_id ; customer_id;order_date;amount;note;Note;"a, b, c, d, e, f, g, h";\n', "utf-8"
    )
    with file.open("a") as rows:
        rows.write("0;1;a;2024-01-01;5;x;y;z;\n;;;;;;;;\n1;2;b;2024-01-01;6;x;y;z;\n")
    for encoding in ("utf-8", "utf8", "utf-8-sig"):
        orders, _, left_out = load(file, "--encoding", encoding)
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
    orders, _, left_out = load(tmp_path / "a.XLSX")
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("v1", "17850", 6.5),
        ("v1.0", "1", 5),
    ]
    assert left_out == {}


@pytest.mark.parametrize("name", ["broken.csv.gz", "broken.parquet", "broken.xlsx", "late.csv"])
def test_a_damaged_file_gets_a_sentence(tmp_path, capsys, name):
    content = gzip.compress((HEADER + "1,a,2024-01-01,5\n" * 9_000).encode())[:-20]
    if name == "late.csv":
        content = (HEADER + "1,a,2024-01-01,5\n" * 9_000 + "B\xfccher,a,2024-01-01,5\n").encode("latin-1")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        load(tmp_path / name)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert name in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("amount", "total"),
    [('"12,50"', 12.5), ('"1.234,50"', 1234.5), ("1234.5", 1234.5), ("0.125", 0.13), ('"1.234"', None)],
)
def test_a_text_in_a_typed_file_is_read_by_the_marks_given(tmp_path, amount, total):
    """And 1.234, a number or a text for 1234, is not guessed."""
    file = tmp_path / "orders.json"
    file.write_text(f'{{"order_id": "1", "customer_id": "a", "order_date": "2024-01-01", "amount": {amount}}}\n')
    options = ("--decimal", ",", "--thousands", ".")
    if total is None:
        with pytest.raises(SystemExit):
            load(file, *options)
    else:
        assert [order["total"] for order in load(file, *options).orders] == [total]


def test_orders_of_many_lines_come_in_small_batches(tmp_path):
    """Memory holds a batch, whose lines count, not only its orders."""
    lines = "".join(f"{order},A,2024-01-01,1,5.00\n" for order in range(30) for _ in range(2_000))
    (tmp_path / "orders.csv").write_text(LINES + lines)
    args = parse_options("--import", str(tmp_path / "orders.csv"))
    with open_import(args, Settings(), lambda: KEY) as found:
        sizes = [
            sum(len(order["items"]) for order in block.get("orders", ())) for block in as_source(found).blocks
        ]
    assert sum(sizes) == 60_000
    assert max(sizes) <= MOST_LINES + 2_000
