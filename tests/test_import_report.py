"""pulse/import_report.py: rows left out by reason, what is odd, and what --check says of a file."""

import re
from types import SimpleNamespace

import pytest
from loading import HEADER, LINES, load_text, parse_options

from pulse.import_options import refuse_without_files
from pulse.import_report import name_rows

CHECKED = "order_id,customer_id,customer_email,order_date,amount,refunded,status,currency,channel\n"
ROWS = [
    "1,Ada Lovelace,ada@example.com,2023-11-01,1000,,paid,EUR,web",
    "2,,bo@example.com,2023-12-01,20,5,paid,EUR,web",
    "3,,,2024-01-01,30,,Shipped,EUR,ask@shop.example",
    "4,,,2024-02-01,40,,shipped,EUR,web",
    "5,,,2024-03-01,50,,voided,EUR,web",
    "6,c7,,2024-04-01,60,,paid,EUR,web",
    "7,c7,,2024-05-01,70,,paid,EUR,web",
    "8,c7,,2024-06-01,80.25,,paid,EUR,web",
    "9,c7,,2024-07-01,90.005,,paid,,web",
    "9,c7,,2024-07-11,-1,,paid,,web",
    *(f"{n},c7,,2024-07-01,1,,paid,EUR,web" for n in range(100, 119)),
    "10,c7,,soon,5,,paid,EUR,web",
]


@pytest.fixture
def checked(generation, tmp_path, clean_environment, monkeypatch, capsys):
    """A function: what script 1 prints with --check of this text; it must write nothing."""

    def check(text: str, *options: str) -> list[str]:
        file = tmp_path / "orders.csv"
        file.write_text(text)
        monkeypatch.setenv("MONGO_URI", "mongodb://localhost:1/")  # nobody is there
        monkeypatch.setattr("sys.argv", ["1_data_generation.py", "--import", str(file), "--check", *options])
        generation.main()
        assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]
        printed, errors = capsys.readouterr()
        assert errors == ""
        return printed.splitlines()

    return check


def test_check_says_what_a_load_would_do_and_loads_nothing(checked):
    lines = [re.sub(r"  +", "  ", line) for line in checked(CHECKED + "\n".join(ROWS))]
    assert lines[:4] == [
        "Layout  our own column names",
        "Noted  customers are told apart by address: a keyed hash stands in its place in every table",
        "Noted  1 of 30 rows: unreadable order_date (row 31)",
        "Noted  amount finer than the currency's smallest unit, rounded: 1",
    ]
    asks = "is customer_id the right column for customers?"
    assert lines[4] == f"Noted  one customer has 23 of the 25 orders: {asks}"
    assert set(lines[5:14]) == {
        "Column  order_id  order_id  1",
        "Column  customer_id  customer_id  (not shown)",  # a name
        "Column  customer_email  customer_email  (not shown)",
        "Column  order_date  order_date  2023-11-01",
        "Column  amount  amount  1000",
        "Column  refunded  refunded  5",
        "Column  status  status  paid",
        "Column  currency  currency  EUR",
        "Column  channel  channel  web",
    }
    assert lines[14:] == [
        "Currency  EUR (27 orders), (blank) (1 orders)",
        "Noted  amounts of several currencies are added up below; scripts 2 and 3 read one, REPORT_CURRENCY",
        "Status  paid  sold  25 orders  1,339.26",  # 1,000 + 20 + 60 + 70 + 80.25 + 90.01 + 19
        "Status  paid  sold  2 refunds  -6.00",
        "Status  Shipped  sold  1 orders  30.00",
        "Status  shipped  sold  1 orders  40.00",
        "Status  voided  not sold  1 orders  50.00",
        "Month  2023-11  1 orders  1,000.00 refunds  0.00",
        "Month  2023-12  1 orders  20.00 refunds  -5.00",
        "Month  2024-01  1 orders  30.00 refunds  0.00",
        "Month  ...",
        "Month  2024-05  1 orders  70.00 refunds  0.00",
        "Month  2024-06  1 orders  80.25 refunds  0.00",
        "Month  2024-07  20 orders  109.01 refunds  -1.00",
        "Sold  27 orders, gross 1,409.26",
        "  2 refunds -6.00, net 1,403.26",
        "Customers 3, and 2 orders of guests",  # one of an id, two addresses; 3 and 4 are of nobody
        "Checked  nothing was loaded: leave --check out to load",
    ]


def test_check_shows_neither_names_nor_addresses(checked):
    header = CHECKED.replace("\n", ",note\n")
    printed = "\n".join(checked(header + "1,ada@example.com,,2024-01-01,5,,paid,EUR,x@example.com,Bo Derek\n"))
    assert "@" not in printed
    assert "Bo Derek" not in printed  # no column of ours
    assert printed.count("(not shown)") == 2  # customer_id, channel
    assert "(blank)" in printed  # customer_email


def test_check_without_statuses_and_of_yen(checked):
    lines = checked("order_id,customer_id,order_date,amount,currency\n1,c1,2024-01-01,1200,JPY\n")
    assert any(re.fullmatch(r"Status +\(no such column\) +sold +1 orders +1,200", line) for line in lines)
    assert lines[-4:-2] == ["Sold      1 orders, gross 1,200", "          0 refunds 0, net 1,200"]
    assert max(map(len, lines)) <= 80


def test_check_of_what_cannot_be_loaded_stops_as_a_load_does(checked, capsys):
    with pytest.raises(SystemExit) as stopped:
        checked(HEADER + "1,a,soon,5\n")
    assert stopped.value.code == 2
    assert "orders.csv cannot be used, as row 2 (unreadable order_date)" in capsys.readouterr().err


def test_check_needs_a_file(capsys):
    with pytest.raises(SystemExit) as stopped:
        refuse_without_files(parse_options("--check"))
    assert stopped.value.code == 2
    assert "--check needs --import FILE" in capsys.readouterr().err


# --- rejects ---


def test_a_row_is_named_with_its_file_where_there_are_several():
    places = [{"part": 0, "row": 2}, {"part": 1, "row": 3}]
    assert name_rows(SimpleNamespace(labels=["a.csv", "b.csv"]), places) == "a.csv row 2, b.csv row 3"
    assert name_rows(SimpleNamespace(labels=["a.csv"]), places[:1] * 2) == "row 2, 2"


def test_the_first_five_rows_of_a_reason_are_named_and_the_most_frequent_comes_first(tmp_path, capsys):
    good = "".join(f"{n},a,2024-01-01,5\n" for n in range(200))
    bad = "x,a,2024-01-01,five\n" * 3 + "y,a,soon,5\n" * 6
    left_out = load_text(tmp_path, HEADER + bad + good).left_out
    assert list(left_out.items()) == [("unreadable order_date", 6), ("unreadable amount: no digit", 3)]
    printed = capsys.readouterr().out
    assert "6 of 209 rows: unreadable order_date (row 5, 6, 7, 8, 9 ...)\n" in printed
    assert "3 of 209 rows: unreadable amount: no digit (row 2, 3, 4)\n" in printed


def test_one_in_twenty_may_be_left_out_and_no_more(tmp_path, capsys):
    def rows(good: int) -> str:
        return HEADER + "x,a,soon,5\n" + "".join(f"{n},a,2024-01-01,5\n" for n in range(good))

    assert len(load_text(tmp_path, rows(19)).orders) == 19
    with pytest.raises(SystemExit):
        load_text(tmp_path, rows(18))
    assert "or load the others with --accept-rejects" in capsys.readouterr().err


# --- what is odd ---


def noted(capsys) -> list[str]:
    """What was noted since."""
    return [line[10:] for line in capsys.readouterr().out.splitlines() if line.startswith("Noted")]


def orders_of(*customers: str) -> str:
    """Orders of these customers, one each."""
    return HEADER + "".join(f"{n},{customer},2024-01-01,5\n" for n, customer in enumerate(customers))


def test_a_customer_with_over_a_fifth_of_the_orders_earns_a_question(tmp_path, capsys):
    others = [f"c{n % 40}" for n in range(80)]
    load_text(tmp_path, orders_of(*others, *["x"] * 20))
    assert noted(capsys) == []  # a fifth
    load_text(tmp_path, orders_of(*others, *["x"] * 21))
    asks = "is customer_id the right column for customers?"
    assert noted(capsys) == [f"one customer has 21 of the 101 orders: {asks}"]
    load_text(tmp_path, orders_of(*others, *[""] * 50))
    assert noted(capsys) == []  # guests are no customer
    load_text(tmp_path, orders_of(*["x"] * 19))
    assert noted(capsys) == []  # a small shop


def test_nobody_with_two_orders_among_many_earns_a_question(tmp_path, capsys):
    load_text(tmp_path, orders_of(*(f"c{n}" for n in range(100)), "", ""))
    assert noted(capsys) == ["nobody has two of the 100 orders: is customer_id the right column for customers?"]
    load_text(tmp_path, orders_of(*(f"c{n}" for n in range(99))))
    load_text(tmp_path, orders_of(*(f"c{n}" for n in range(100)), "c0"))
    assert noted(capsys) == []


def test_orders_of_nobody_are_noted(tmp_path, capsys):
    load_text(tmp_path, orders_of("", "0", "NULL"))
    assert noted(capsys) == ["no order has a customer: scripts 2 and 3 need customer_id (or customer_email)"]


def test_offsets_without_a_time_zone_are_noted(tmp_path, capsys):
    text = HEADER + "1,a,2024-12-26 17:05:27 -0500,5\n"
    says = "times have offsets, and months begin in UTC: set REPORT_TIMEZONE to the shop's time zone"
    load_text(tmp_path, text)
    assert noted(capsys) == [says]
    load_text(tmp_path, text, report_timezone="America/New_York")
    load_text(tmp_path, HEADER + "1,a,2024-12-26T17:05:27Z,5\n")
    assert noted(capsys) == []


def test_an_order_of_more_than_16_mb_is_refused(tmp_path, capsys):
    """A line of no texts is 73 bytes in MongoDB: 230,000 are 16.8 million."""
    with pytest.raises(SystemExit) as stopped:
        load_text(tmp_path, LINES + "1,A,2024-01-01,1,5.00\n" + "TILL,A,2024-01-01,1,5.00\n" * 230_000)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "row 3: this order has 230,000 rows" in said
    assert "is order_id a till's or a customer's id?" in said
    assert "TILL" not in said


def test_an_order_of_many_days_earns_a_question(tmp_path, capsys):
    near, far = (f"1,A,2024-01-01,1,5\n1,A,2024-01-{day},1,5\n" for day in ("08", "09"))
    load_text(tmp_path, LINES + near)
    assert "week" not in capsys.readouterr().out
    load_text(tmp_path, LINES + far)
    said = "Noted     orders with lines over a week apart, dated by the earliest: 1; "
    assert said + "is order_id their own id, or a till's?" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("amount", "advised"), [("5,00", True), ("5 EUR", False), ("1e400", False)])
def test_how_to_read_numbers_is_said_where_that_helps(tmp_path, capsys, amount, advised):
    with pytest.raises(SystemExit):
        load_text(tmp_path, HEADER + f'1,A,2024-01-01,"{amount}"\n')
    assert ("--decimal ," in capsys.readouterr().err) is advised
