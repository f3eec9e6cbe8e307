"""pulse/grouping.py: which rows make an order, which a refund, what is a sale; every sum by hand."""

from datetime import datetime

import pytest
from loading import HEADER, KEY, LINES, load, load_text, totals

from pulse.grouping import ADJUSTMENT, NOTHING, REMARKS, SUPERSEDED, UNSOLD
from pulse.identity import hash_address
from pulse.import_report import FINER, REPEATED

OTHER = "order_id of another order (lines of an order need unit_price or line_total)"
ADA = hash_address("ada@example.com", KEY)


def by_id(orders: list[dict]) -> dict[str, dict]:
    """{order id: order}."""
    return {order["_id"]: order for order in orders}


# --- an amount of the whole order ---

ITEMS = "order_id,customer_id,order_date,amount,quantity,unit_price,product_id\n"


def test_an_orders_amount_stands_on_one_of_its_rows_or_alike_on_all(tmp_path):
    """With tax and shipping it is more than the sum of the lines, which stand beside it as items."""
    amounts = [("37.40", "", ""), ("37.40", "37.40", "37.40"), ("", "", "37.40"), ("37.40", "0", "0.00")]
    rows = ["2,10,Tea", "1,10,Honey", "1,0,Sample"]
    text = "".join(
        f"{n},a,2024-01-01,{amount},{row}\n"
        for n, each in enumerate(amounts)
        for amount, row in zip(each, rows, strict=True)
    )
    orders, _, left_out = load_text(tmp_path, ITEMS + text)
    assert totals(orders) == dict.fromkeys("0123", 37.4)
    for order in orders:
        assert [(item["product_id"], item["quantity"], item["unit_price"]) for item in order["items"]] == [
            ("Tea", 2, 10),
            ("Honey", 1, 10),
            ("Sample", 1, 0),
        ]
    assert left_out == {}


def test_amounts_that_differ_are_not_of_one_order(tmp_path):
    rows = "1,a,2024-01-01,5,1,5,x\n1,a,2024-01-01,6,1,6,y\n1,b,2024-01-01,5,1,5,x\n1,a,2024-01-02,5,1,5,x\n"
    orders, _, left_out = load_text(tmp_path, ITEMS + rows, "--accept-rejects")
    assert totals(orders) == {"1": 5}
    assert left_out == {OTHER: 3}


def test_a_row_again_is_a_duplicate_unless_it_tells_of_an_item(tmp_path):
    twice = "1,a,2024-01-01,5{0}\n1,a,2024-01-01,5{0}\n2,a,2024-01-01,7{0}\n"
    orders, _, left_out = load_text(tmp_path, HEADER + twice.format(""), "--accept-rejects")
    assert totals(orders) == {"1": 5, "2": 7}
    assert left_out == {"exact duplicate of an order": 1}
    orders, _, left_out = load_text(tmp_path, ITEMS + twice.format(",1,2.5,x"))
    assert totals(orders) == {"1": 5, "2": 7}
    assert [len(order["items"]) for order in orders] == [2, 1]
    assert left_out == {REPEATED: 1}


def test_an_order_without_an_amount_is_a_reject_unless_it_is_no_sale(tmp_path):
    rows = "1,a,2024-01-01,,paid\n2,a,2024-01-01,,cancelled\n3,a,2024-01-01,0,paid\n"
    orders, _, left_out = load_text(
        tmp_path, "order_id,customer_id,order_date,amount,status\n" + rows, "--accept-rejects"
    )
    assert [(order["_id"], order["total"], order["sold"]) for order in orders] == [("2", 0, False), ("3", 0, True)]
    assert left_out == {"no amount": 1}


def test_items_without_a_price_have_equal_parts_of_the_amount(tmp_path):
    text = "order_id,customer_id,order_date,amount,quantity,product_id\n"
    rows = "1,a,2024-01-01,12,2,x\n1,a,2024-01-01,12,,y\n2,a,2024-01-01,12,0,z\n"
    first, second = load_text(tmp_path, text + rows).orders
    assert [(item["quantity"], item["unit_price"]) for item in first["items"]] == [(2, 3), (1, 6)]
    assert [(item["quantity"], item["unit_price"]) for item in second["items"]] == [(0, 12)]


def test_rows_of_payments_are_no_items(tmp_path):
    text = "order_id,customer_id,order_date,line_total\n1,a,2024-01-01,60\n1,a,2024-01-01,27\n"
    (order,) = load_text(tmp_path, text).orders
    assert (order["total"], "items" in order) == (87, False)


# --- lines ---


def test_lines_add_up_to_an_order(tmp_path):
    text = "order_id,customer_id,order_date,line_total,quantity\n1,a,2024-01-02,9,3\n1,a,2024-01-01 10:00,1.5,\n"
    (order,) = load_text(tmp_path, text).orders
    assert (order["total"], order["order_date"]) == (10.5, datetime(2024, 1, 1, 10))  # its first line's time
    assert [(item["quantity"], item["unit_price"]) for item in order["items"]] == [(3, 3), (1, 1.5)]


def test_a_line_total_goes_before_a_unit_price(tmp_path):
    text = LINES.replace("unit_price", "unit_price,line_total") + "1,a,2024-01-01,2,10,18\n1,a,2024-01-01,2,10,\n"
    (order,) = load_text(tmp_path, text).orders
    assert order["total"] == 38
    assert [item["unit_price"] for item in order["items"]] == [9, 10]


def test_free_items_and_free_orders_count_in_both_kinds_of_file(tmp_path):
    orders, _, left_out = load_text(
        tmp_path, LINES + "1,a,2024-01-01,1,0\n2,a,2024-01-01,0,5\n2,a,2024-01-01,1,5\n"
    )
    assert totals(orders) == {"1": 0, "2": 5}
    assert [len(order["items"]) for order in orders] == [1, 2]
    assert left_out == {}
    orders, _, left_out = load_text(tmp_path, HEADER + "1,a,2024-01-01,0\n2,a,2024-01-01,5\n")
    assert totals(orders) == {"1": 0, "2": 5}
    assert left_out == {}


def test_units_are_what_the_file_says(tmp_path):
    (order,) = load_text(tmp_path, LINES + "1,a,2024-01-01,0.25,20\n1,a,2024-01-01,1.5,2\n").orders
    assert order["total"] == 8
    assert [item["quantity"] for item in order["items"]] == [0.25, 1.5]


def test_a_line_of_another_customer_or_without_a_price_is_left_out(tmp_path):
    text = LINES + "1,a,2024-01-01,1,5\n1,b,2024-01-01,1,7\n1,a,2024-01-01,1,\n1,,2024-01-01,1,2\n"
    orders, customers, left_out = load_text(tmp_path, text, "--accept-rejects")
    assert totals(orders) == {"1": 7}
    assert left_out == {"order of another customer": 1, "no unit_price or quantity": 1}
    assert [customer["_id"] for customer in customers] == ["a"]


# --- discounts and refunds in rows ---


def test_a_negative_row_at_the_orders_own_time_is_a_discount(tmp_path):
    orders, _, left_out = load_text(
        tmp_path, LINES + "1,a,2024-01-01 10:00,2,50\n1,,2024-01-01 10:00,1,-10\n1,a,2024-01-01 10:00,-1,5\n"
    )
    assert totals(orders) == {"1": 85}
    assert left_out == {}
    orders = load_text(tmp_path, HEADER + "1,a,2024-01-01,100\n1,a,2024-01-01,-10\n").orders
    assert totals(orders) == {"1": 90}


def test_a_negative_row_at_another_time_is_a_refund_of_its_own_day(tmp_path):
    """Of a header of lines and of one of amounts; wherever the row stands; two on a day are one document."""
    for header, value in ((LINES, "1,{}"), (HEADER, "{}")):
        rows = [("2024-03-05 09:00", -7), ("2024-01-31 10:00", 100), ("2024-01-31 18:00", -20),
                ("2024-01-31 19:00", -5), ("2024-02-01", -1)]  # fmt: skip
        text = "".join(f"1,a,{when},{value.format(amount)}\n" for when, amount in rows)
        orders, _, left_out = load_text(tmp_path, header + text)
        assert totals(orders) == {"1": 100, "1/refund": -25, "1/refund/2024-02-01": -1, "1/refund/2024-03-05": -7}
        assert [order["order_date"] for order in orders] == [
            datetime(2024, 1, 31, 10),
            datetime(2024, 1, 31, 18),
            datetime(2024, 2, 1),
            datetime(2024, 3, 5, 9),
        ]
        assert {order["customer_id"] for order in orders} == {"a"}
        assert left_out == {}


def test_discounts_stay_in_their_order_and_returns_make_a_refund(tmp_path):
    rows = ["1,a,2024-01-01,2,50", "1,,2024-01-01,1,-10", "1,a,2024-01-05,-1,50", "1,a,2024-01-05,-1,-5"]
    orders, _, left_out = load_text(tmp_path, LINES + "\n".join(rows))
    assert [(doc["_id"], doc["customer_id"], doc["total"]) for doc in orders] == [
        ("1", "a", 95),  # two at 50, less 10; and 5 for a line of quantity and price below 0
        ("1/refund", "a", -50),
    ]
    assert [doc["order_date"].day for doc in orders] == [1, 5]
    assert left_out == {}


def test_a_refund_may_be_larger_than_the_amount_or_dated_before_it(tmp_path):
    rows = "1,a,2024-01-01,10\n1,a,2024-01-02,-12\n2,a,2024-01-05,10\n2,a,2024-01-02,-4\n"
    orders = load_text(tmp_path, HEADER + rows).orders
    assert totals(orders) == {"1": 10, "1/refund": -12, "2": 10, "2/refund": -4}
    assert [order["order_date"].day for order in orders] == [1, 2, 5, 2]


def test_a_negative_row_alone_is_money_given_back(tmp_path):
    """Its order was in an earlier file."""
    status = "order_id,customer_id,order_date,amount,status\n"
    orders = load_text(tmp_path, status + "9,a,2024-01-05,-4,refunded\n8,b,2024-01-05,6,paid\n").orders
    assert totals(orders) == {"8": 6, "9": -4}


def test_a_refund_of_an_order_that_is_no_sale_is_none(tmp_path):
    status = "order_id,customer_id,order_date,amount,status\n"
    rows = (
        "1,a,2024-01-01,10,voided\n1,a,2024-01-05,-4,completed\n2,a,2024-01-01,6,paid\n2,a,2024-01-05,-1,voided\n"
    )
    orders = load_text(tmp_path, status + rows).orders
    assert totals(orders) == {"2": 6, "2/refund": -1}
    assert {order["_id"]: order["total"] for order in orders if not order["sold"]} == {"1": 10, "1/refund": -4}


def test_a_refund_belongs_to_its_orders_customer(tmp_path):
    rows = "1,b,2024-01-03,-1\n1,a,2024-01-01,10\n1,,2024-01-02,-4\n"
    orders, customers, _ = load_text(tmp_path, HEADER + rows)
    assert [order["customer_id"] for order in orders] == ["a", "a", "a"]
    assert [customer["_id"] for customer in customers] == ["a"]


# --- refunds that a layout tells of ---

REFUND_LAYOUT = """
name = "Mine"
[columns]
order_id = "order_id"
order_date = "order_date"
customer_id = "customer_id"
{column}
status = "status"
[status]
sold = ["payment"]
refund = ["refund"]
"""


@pytest.mark.parametrize("column", ["amount", "line_total"])
def test_a_word_for_refunds_is_one_at_any_time_and_of_either_sign(tmp_path, column):
    (tmp_path / "mine.toml").write_text(REFUND_LAYOUT.format(column=f'{column} = "amount"'))
    text = "order_id,customer_id,order_date,amount,status\n"
    rows = (
        "1,a,2024-01-01 10:00,-5,Refund\n1,a,2024-01-01 10:00,20,Payment\n2,b,2024-01-01,10,Payment\n"
        "2,b,2024-02-01,3,refund\n3,c,2024-01-01,4,REFUND\n"
    )
    orders = load_text(tmp_path, text + rows, "--layout", str(tmp_path / "mine.toml")).orders
    assert totals(orders) == {"1": 20, "1/refund": -5, "2": 10, "2/refund": -3, "3/refund": -4}


def test_an_orders_texts_are_those_of_its_sale(tmp_path):
    """Square writes the newest row first."""
    (tmp_path / "mine.toml").write_text(REFUND_LAYOUT.format(column='amount = "amount"'))
    text = "order_id,customer_id,order_date,amount,status\n1,a,2024-01-09,-5,Refund\n1,a,2024-01-01,20,Payment\n"
    orders = load_text(tmp_path, text, "--layout", str(tmp_path / "mine.toml")).orders
    assert by_id(orders)["1"]["status"] == "Payment"


def test_online_retails_letters(tmp_path):
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "1,A,Mug,2,2010-12-01,5,7.0,EIRE\nC2,A,Mug,-1,2010-12-02,5,7.0,EIRE\nA3,B,Adjust,1,2010-12-03,99,,EIRE\n"
    )
    orders, _, left_out = load_text(tmp_path, text, "--columns", "category=Description")
    assert [(doc["_id"], doc["status"], doc["sold"], doc["total"]) for doc in orders] == [
        ("1", None, True, 10),
        ("C2/refund", None, True, -5),
    ]
    assert orders[0]["items"][0]["category"] == "Mug"
    assert left_out == {ADJUSTMENT: 1}  # which is no reject, though it is a third of the rows


def test_a_refund_of_nothing_is_no_order(tmp_path):
    text = "InvoiceNo,StockCode,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
    orders = load_text(tmp_path, text + "1,A,2,2010-12-01,5,7\nC2,A,-1,2010-12-02,0,7\n").orders
    assert totals(orders) == {"1": 10}


# --- refunds in a column ---

REFUNDED = "order_id,customer_id,order_date,amount,refunded,status\n"


def test_what_was_given_back_of_a_sale_is_a_document_of_its_own(tmp_path):
    rows = [
        "1,a,2024-01-31 10:00,50,8.5,partially_refunded",
        "2,a,2024-02-01,18,18,paid",  # all of it, of an order that is paid: a sale with a refund
        "3,b,2024-02-01,12,12,refunded",  # in full by its status: neither
        "4,,2024-02-01,9,0,paid",
        "5,,2024-02-01,9,,paid",
        "6,,2024-02-01,9,-2,paid",  # some write it so
        "7,c,2024-02-01,5,6,paid",  # more than was paid
    ]
    orders, _, left_out = load_text(tmp_path, REFUNDED + "\n".join(rows))
    assert totals(orders) == {
        **{"1": 50, "2": 18, "4": 9, "5": 9, "6": 9, "7": 5},
        **{"1/refund": -8.5, "2/refund": -18, "6/refund": -2, "7/refund": -6},
    }
    refund = by_id(orders)["1/refund"]
    assert (refund["customer_id"], refund["order_date"], refund["items"]) == ("a", datetime(2024, 1, 31, 10), [])
    assert refund["status"] == "partially_refunded"
    assert [order["_id"] for order in orders if not order["sold"]] == ["3"]
    assert left_out == {}


def test_a_refund_in_a_column_is_the_orders_and_of_lines_each_ones(tmp_path):
    for column, total in (("amount", -3), ("line_total", -6)):
        text = f"order_id,customer_id,order_date,{column},product_id,refunded\n"
        orders = load_text(tmp_path, text + "1,a,2024-01-01,20,x,3\n1,a,2024-01-01,20,y,3\n").orders
        assert by_id(orders)["1/refund"]["total"] == total


def test_a_refund_in_rows_and_in_a_column_counts_once(tmp_path):
    """The column's sum is the order's; what no row accounts for is dated at the order."""
    rows = [
        "1,a,2024-01-01,100,30,paid",
        "1,a,2024-02-05,-20,,paid",
        "2,a,2024-01-01,100,30,paid",
        "2,a,2024-02-05,-30,,paid",
    ]
    orders = load_text(tmp_path, REFUNDED + "\n".join(rows)).orders
    assert totals(orders) == {
        **{"1": 100, "1/refund": -20, "1/refund/rest": -10},
        **{"2": 100, "2/refund": -30},
    }
    dates = {order["_id"]: order["order_date"].month for order in orders}
    assert (dates["1/refund"], dates["1/refund/rest"]) == (2, 1)


def test_an_order_that_is_a_reject_has_no_refund(tmp_path):
    rows = "1,a,2024-01-01,,5,paid\n2,a,2024-01-01,7,,paid\n"
    orders = load_text(tmp_path, REFUNDED + rows, "--accept-rejects").orders
    assert totals(orders) == {"2": 7}


def test_what_was_paid_after_refunds(tmp_path):
    text = "order_id,customer_id,order_date,amount,after\n"
    rows = "1,a,2024-01-01,20,12\n2,a,2024-01-01,18,18\n3,a,2024-01-01,27,\n"
    options = ("--columns", "paid_after_refunds=after")
    assert totals(load_text(tmp_path, text + rows, *options).orders) == {"1": 20, "1/refund": -8, "2": 18, "3": 27}


def test_nothing_was_adjusted_where_some_files_have_0(tmp_path):
    """As etsy.toml says; an order refunded in full says so in its status."""
    text = "order_id,customer_id,order_date,amount,after\n1,a,2024-01-01,20,0.00\n2,a,2024-01-01,18,12\n"
    orders = load_text(tmp_path, text, "--columns", "paid_after_refunds=after").orders
    assert totals(orders) == {"1": 20, "2": 18, "2/refund": -6}


# --- what is a sale ---

STATUS = "order_id,customer_id,order_date,amount,status\n"
STATUS_LINES = "order_id,customer_id,order_date,quantity,unit_price,status\n"


def test_sold_is_written_beside_the_platforms_status(tmp_path):
    words = ["Completed", " wc-PROCESSING ", "Partially   Refunded", "WC-cancelled", "Pending  payment", "livré"]
    rows = [f"{n},a,2024-01-01,5,{word}" for n, word in enumerate(words)]
    orders = load_text(tmp_path, STATUS + "\n".join(rows)).orders
    assert [(order["status"], order["sold"]) for order in orders] == [
        ("Completed", True),
        ("wc-PROCESSING", True),
        ("Partially   Refunded", True),
        ("WC-cancelled", False),
        ("Pending  payment", False),
        ("livré", True),
    ]


def test_without_a_column_of_statuses_every_order_is_sold(tmp_path):
    orders = load_text(tmp_path, HEADER + "1,a,2024-01-01,5\n").orders
    assert [(order["status"], order["sold"]) for order in orders] == [(None, True)]


def test_a_blank_status_is_a_word_and_one_on_some_rows_is_not(tmp_path, capsys):
    some = (
        STATUS_LINES
        + "1,a,2024-01-01,1,5,\n1,a,2024-01-01,1,5,cancelled\n2,a,2024-01-01,1,5,paid\n2,a,2024-01-01,1,5,\n"
    )
    orders = load_text(tmp_path, some).orders
    assert [(order["_id"], order["total"], order["status"], order["sold"]) for order in orders] == [
        ("1", 10, "cancelled", False),
        ("2", 10, "paid", True),
    ]
    blank = STATUS + "1,a,2024-01-01,5,\n2,a,2024-01-01,5, \n3,a,2024-01-01,7,paid\n"
    with pytest.raises(SystemExit) as stopped:
        load_text(tmp_path, blank)
    assert stopped.value.code == 2
    assert "sales: (blank) (2). Say which are with --sold a,b" in capsys.readouterr().err
    assert totals(load_text(tmp_path, blank, "--sold", "(blank)").orders) == {"1": 5, "2": 5, "3": 7}
    assert totals(load_text(tmp_path, blank, "--not-sold", "(BLANK)").orders) == {"3": 7}


def test_lines_of_one_order_may_differ_in_status(tmp_path, capsys):
    rows = ["1,a,2024-01-01,1,5,shipped", "1,a,2024-01-01,1,7,cancelled", "1,a,2024-01-01,1,2,Shipped",
            "2,a,2024-01-01,1,3,cancelled", "2,a,2024-01-01,1,4,returned"]  # fmt: skip
    orders, _, left_out = load_text(tmp_path, STATUS_LINES + "\n".join(rows))
    assert [(order["_id"], order["total"], order["sold"], len(order["items"])) for order in orders] == [
        ("1", 7, True, 2),
        ("2", 7, False, 2),
    ]
    assert left_out == {UNSOLD: 1}  # noted, and no reject
    assert f"1 of 5 rows: {UNSOLD} (row 3)" in capsys.readouterr().out
    amounts = STATUS + "1,a,2024-01-01,5,shipped\n1,a,2024-01-01,,cancelled\n2,a,2024-01-01,6,cancelled\n"
    orders = load_text(tmp_path, amounts, "--accept-rejects").orders
    assert totals(orders) == {"1": 5}  # an order of one amount is what its first row says


def test_a_line_that_is_no_sale_has_no_refund(tmp_path):
    text = STATUS_LINES.replace("status", "status,refunded")
    orders = load_text(tmp_path, text + "1,a,2024-01-01,1,5,paid,\n1,a,2024-01-01,1,7,refunded,7\n").orders
    assert totals(orders) == {"1": 5}


# --- customers ---

EMAILS = "order_id,customer_id,customer_email,order_date,amount\n"


def test_an_address_beside_one_id_is_that_customers(tmp_path):
    rows = [
        "1,7.0,ada@example.com,2024-01-01,1",
        "2,,ADA@Example.com ,2024-01-02,2",  # the same address
        "3,0,ada@example.com,2024-01-03,3",
        "4,NULL,,2024-01-04,4",
        "5,,,2024-01-05,5",
        "6,8,ada@example.com,soon,6",  # a reject tells nothing
    ]
    orders, customers, _ = load_text(tmp_path, EMAILS + "\n".join(rows), "--accept-rejects")
    assert [order["customer_id"] for order in orders] == ["7", "7", "7", None, None]
    assert customers == [{"_id": "7", "country": None, "email": "ada@example.com"}]


def test_an_address_beside_two_ids_or_none_is_a_hash(tmp_path, capsys):
    rows = [
        "1,7,ada@example.com,2024-01-01,1",
        "2,8,ada@example.com,2024-01-02,2",
        "3,,Ada@example.com,2024-01-03,3",  # 7's or 8's: not guessed
        "4,,bo@example.com,2024-01-04,4",
        "5,BO@example.com,,2024-01-05,5",  # an address in place of an id
    ]
    orders, customers, _ = load_text(tmp_path, EMAILS + "\n".join(rows))
    bo = hash_address("bo@example.com", KEY)
    assert [order["customer_id"] for order in orders] == ["7", "8", ADA, bo, bo]
    assert not any("@" in str(order) for order in orders)
    assert {customer["_id"]: customer["email"] for customer in customers} == {
        **{"7": "ada@example.com", "8": "ada@example.com", ADA: "ada@example.com", bo: "bo@example.com"},
    }
    assert capsys.readouterr().out.count("customers are told apart by address: a keyed hash stands") == 1


def test_an_order_has_the_customer_that_any_of_its_rows_names(tmp_path):
    text = LINES.replace("unit_price", "unit_price,customer_email")
    rows = "1,,2024-01-01,1,5,\n1,,2024-01-01,1,5,ada@example.com\n2,,2024-01-01,1,5,\n2,b,2024-01-01,1,5,\n"
    orders, _, left_out = load_text(tmp_path, text + rows)
    assert [(order["customer_id"], order["total"]) for order in orders] == [(ADA, 10), ("b", 10)]
    assert left_out == {}


def test_a_customers_country_is_the_latest_orders(tmp_path):
    text = HEADER.replace("amount", "amount,country")
    rows = "1,a,2024-03-01,1,Spain\n2,a,2024-01-01,1,France\n3,b,2024-01-01,1,\n4,a,2024-04-01,1,\n"
    _, customers, _ = load_text(tmp_path, text + rows)
    assert customers == [{"_id": "a", "country": "Spain"}, {"_id": "b", "country": None}]


# --- small units ---


AMOUNTS = [  # amount, currency, what is stored, whether that is another number
    ("1.005", "EUR", 1.01, True),  # the nearest double is below it
    ("1.004999", "", 1.0, True),
    ("-1.005", "USD", -1.01, True),
    ("2.675", "XYZ", 2.68, True),
    ("1.50", "eur", 1.5, False),
    ("10.5", "JPY", 11, True),
    ("10.4", "jpy", 10, True),
    ("10", "JPY", 10, False),
    ("1.2345", "KWD", 1.235, True),
    ("1.234", "KWD", 1.234, False),
    ("1.00005", "CLF", 1.0001, True),
    ("0.0049", "EUR", 0, True),
]


def test_amounts_have_their_currencys_smallest_unit(tmp_path):
    rows = [f"{n:02},a,2024-01-01,{amount},{currency}" for n, (amount, currency, *_) in enumerate(AMOUNTS)]
    orders, _, left_out = load_text(tmp_path, HEADER.replace("amount", "amount,currency") + "\n".join(rows))
    assert [order["total"] for order in orders] == [total for _, _, total, _ in AMOUNTS]
    assert left_out == {FINER: sum(finer for *_, finer in AMOUNTS)}


def test_a_sum_is_rounded_once_and_from_its_decimals(tmp_path, capsys):
    rows = "1,a,2024-01-01,3,0.335\n2,a,2024-01-01,1,0.004\n2,a,2024-01-01,1,0.004\n3,a,2024-01-01,7,1.15\n"
    orders, _, left_out = load_text(tmp_path, LINES + rows)
    assert totals(orders) == {"1": 1.01, "2": 0.01, "3": 8.05}
    assert left_out == {FINER: 2}
    assert f"{FINER}: 2\n" in capsys.readouterr().out


def test_what_was_given_back_is_rounded_alike(tmp_path):
    orders = load_text(tmp_path, REFUNDED + "1,a,2024-01-01,20,1.005,paid\n").orders
    assert totals(orders) == {"1": 20, "1/refund": -1.01}


def test_what_was_given_back_is_counted_where_it_is_finer(tmp_path):
    assert load_text(tmp_path, REFUNDED + "1,a,2024-01-01,20,1.005,paid\n").left_out == {FINER: 1}


def test_remarks_are_those_that_are_no_rejects():
    assert set(REMARKS) == {SUPERSEDED, UNSOLD, ADJUSTMENT, NOTHING}


# --- several files, and rows that are odd ---


def test_a_refund_in_a_later_file_leaves_its_sale(tmp_path):
    """Square's files of each month: a payment in January, what was given back of it in February."""
    january, february = tmp_path / "jan.csv", tmp_path / "feb.csv"
    january.write_text(HEADER + "1,a,2024-01-31,20\n2,a,2024-01-31,5\n")
    february.write_text(HEADER + "1,a,2024-02-01,-20\n2,a,2024-02-02,6\n")
    found = load([january, february])
    assert totals(found.orders) == {"1": 20, "1/refund": -20, "2": 6}
    assert found.left_out == {SUPERSEDED: 1}


def test_the_row_of_the_amount_says_the_status(tmp_path):
    text = "order_id,customer_id,order_date,amount,status,product_id\n"
    rows = "1,a,2024-01-01,,cancelled,p\n1,a,2024-01-01,10,paid,q\n"
    (order,) = load_text(tmp_path, text + rows).orders
    assert (order["status"], order["sold"], order["total"]) == ("paid", True, 10)


def test_an_amount_below_0_by_itself_is_a_refund_and_named(tmp_path, capsys):
    orders = load_text(tmp_path, STATUS + "1,a,2024-01-01,10,paid\n2,a,2024-01-02,-4,cancelled\n").orders
    assert [(doc["_id"], doc["total"], doc["sold"]) for doc in orders] == [("1", 10, True), ("2", -4, True)]
    said = "Noted     1 orders below 0, by themselves, whose status is no sale, count as refunds\n"
    assert said in capsys.readouterr().out
