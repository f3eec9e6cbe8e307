"""SQL that makes orders of typed rows (pulse/rows.py): what belongs together, what is a sale, what a refund.

Each table is made of those before it: addresses, words and last_parts; the view told (typed rows with what
these say of them); orders (what an order's rows say first, blanks aside); lines (a row per row of the
file: the document that it belongs to, what it adds there, and why it is left out).
"""

from pulse.currencies import DECIMALS
from pulse.layouts import ITEM_TEXTS, ORDER_TEXTS, Columns, Layout, is_by_line
from pulse.parsing import DECIMAL
from pulse.rows import quote

SUPERSEDED = "order taken from a later file"
UNSOLD = "line with a status that is no sale, of an order that is one"
ADJUSTMENT = "adjustment, no sale"
NOTHING = "nothing given back, no sale"
REMARKS = (SUPERSEDED, UNSOLD, ADJUSTMENT, NOTHING)  # of rows that are rightly left out: they are no rejects

ADDRESSES_SQL = """
CREATE TABLE addresses AS
SELECT address, count(DISTINCT customer_id) <> 1 AS hashed,
    if(hashed, hash_address(address), min(customer_id)) AS somebody
FROM typed WHERE address IS NOT NULL AND fault IS NULL GROUP BY address
"""  # an address that stands beside exactly one id is that customer's
LAST_PARTS_SQL = """
CREATE TABLE last_parts AS
SELECT order_id, coalesce(max(part) FILTER (NOT coalesce(refund, FALSE) AND coalesce(value, 0) >= 0), max(part))
    AS last_part
FROM typed LEFT JOIN words USING (status) WHERE fault IS NULL GROUP BY order_id HAVING min(part) < last_part
"""  # an order that stands in several files is taken whole from the last one; a refund of it may come later
TOLD_SQL = """
CREATE VIEW told AS
SELECT typed.* REPLACE ({customer} AS customer_id), {sold} AS sold,
    (order_date AT TIME ZONE 'UTC')::DATE AS day, {says_refund} AS says_refund,
    says_refund OR {is_refund_id} AS gives_back,
    NOT gives_back AND coalesce(value, 0) >= 0 AS of_sale, {superseded} AS superseded
FROM typed {joins}
"""
FIRST_SQL = """
CREATE TABLE orders AS
WITH said AS (
    SELECT order_id, coalesce(min(row) FILTER (of_sale), min(row)) AS first_row,
        count(*) FILTER (of_sale) AS n_rows,
        coalesce(arg_min(customer_id, row) FILTER (of_sale), arg_min(customer_id, row)) AS customer,
        coalesce(min(order_date) FILTER (of_sale), min(order_date)) AS ordered_at,
        arg_min(amount, row) FILTER (of_sale) AS order_amount, arg_min(address, row) AS email,
        bool_or(of_sale) AS has_sale, {is_sold} AS by_word, {given_back} AS given_back, {texts}
    FROM told WHERE fault IS NULL AND NOT superseded GROUP BY order_id
)
SELECT * EXCLUDE by_word, NOT has_sale OR {has_no_status} OR coalesce(by_word, {blank_is_sold}) AS order_sold
FROM said
"""
LINES_SQL = """
CREATE TABLE lines AS
WITH judged AS (
    SELECT told.*, orders.* EXCLUDE (order_id, email, {texts}),
        fault IS NULL AND (gives_back OR (value < 0 AND order_date <> ordered_at)) AS refund
    FROM told LEFT JOIN orders USING (order_id)
)
SELECT part, row, order_id, customer_id, order_date, day, product_id, category, refund, {value} AS value,
    {given_back} AS given_back, {quantity} AS quantity, {price} AS price,
    if(refund, order_id || '/refund/' || day, order_id) AS key,
    CASE WHEN fault IS NOT NULL THEN fault
         WHEN superseded THEN {superseded}
         WHEN refund THEN CASE WHEN value IS NULL THEN 'no amount' WHEN value = 0 THEN {nothing} END
         {problems} END AS problem
FROM judged
"""
FIRST_REFUNDS_SQL = """
UPDATE lines SET key = lines.order_id || '/refund' FROM (
    SELECT order_id, min(day) AS day FROM lines WHERE refund AND problem IS NULL GROUP BY order_id
) AS earliest
WHERE refund AND lines.order_id = earliest.order_id AND lines.day = earliest.day
"""
BY_LINE = """
         WHEN value = 0 AND quantity < 0 THEN {nothing}
         WHEN customer_id <> customer THEN 'order of another customer'
         WHEN order_sold AND has_sale AND NOT sold THEN {unsold}
         WHEN order_sold AND value IS NULL THEN {no_value}
"""
BY_ORDER = """
         WHEN row = first_row THEN if(order_sold AND value IS NULL AND order_amount IS NULL, 'no amount', NULL)
         WHEN value < 0 THEN NULL
         WHEN customer_id <> customer OR day <> (ordered_at AT TIME ZONE 'UTC')::DATE
           OR (value <> 0 AND value <> order_amount)
         THEN 'order_id of another order (lines of an order need unit_price or line_total)'
         WHEN NOT {itemised} THEN 'exact duplicate of an order'
"""
# Documents: the sums of rows, and what a column says was given back beyond such rows. exact: not yet rounded.
ORDERS_SQL = """
WITH totals AS (
    SELECT key, any_value(order_id) AS order_id, bool_or(refund) AS refund, min(order_date) AS refunded_at,
        coalesce(sum(value), 0) AS exact
    FROM lines WHERE problem IS NULL GROUP BY key
)
SELECT key AS _id, customer AS customer_id, if(refund, refunded_at, ordered_at) AS order_date, {texts}
    order_sold AS sold, {total} AS total
FROM totals JOIN orders USING (order_id) WHERE TRUE {where} ORDER BY key
"""
REFUNDS_SQL = """
WITH sums AS (
    SELECT order_id, sum(value) FILTER (refund) AS by_row,
        -(sum(given_back) + coalesce(by_row, 0)) AS exact
    FROM lines WHERE problem IS NULL GROUP BY order_id HAVING exact < 0
)
SELECT order_id || if(by_row IS NULL, '/refund', '/refund/rest') AS _id, customer AS customer_id,
    ordered_at AS order_date, {texts} TRUE AS sold, {total} AS total
FROM sums JOIN orders USING (order_id) WHERE order_sold {where} ORDER BY _id
"""
ITEMS_SQL = """
SELECT key, product_id, category, quantity::DOUBLE, price::DOUBLE
FROM lines WHERE problem IS NULL ORDER BY key, row
"""
CUSTOMERS_SQL = """
SELECT customer AS _id, arg_max(country, ordered_at) AS country {email}
FROM orders WHERE customer IS NOT NULL GROUP BY customer ORDER BY customer
"""
REJECTS_SQL = """
SELECT problem, count(*), min({'part': part, 'row': row}, 5) FROM lines WHERE problem IS NOT NULL
GROUP BY problem ORDER BY 2 DESC, 1
"""
REPEATED_SQL = """
SELECT count(*) - count(DISTINCT hash(key, product_id, category, quantity, price)) FROM lines WHERE problem IS NULL
"""
CONCENTRATION_SQL = """
SELECT coalesce(sum(n), 0)::BIGINT, coalesce(max(n), 0) FROM (
    SELECT count(*) AS n FROM orders WHERE has_sale AND customer IS NOT NULL GROUP BY customer
)
"""
BY_CURRENCY_SQL = "SELECT upper(currency), count(*) FROM orders GROUP BY 1 ORDER BY 2 DESC, 1"
BY_STATUS_SQL = """
SELECT status, sold, count(*), sum(total) FROM documents GROUP BY 1, 2, total < 0 ORDER BY 3 DESC, 1, 4 DESC
"""
REFUNDS_UNSOLD_SQL = """
SELECT count(DISTINCT order_id) FROM orders JOIN told USING (order_id)
WHERE NOT has_sale AND fault IS NULL AND NOT gives_back AND NOT told.sold
"""
BY_MONTH_SQL = """
SELECT strftime(order_date AT TIME ZONE 'UTC', '%Y-%m') AS month, count(*) FILTER (total >= 0),
    coalesce(sum(total) FILTER (total >= 0), 0), coalesce(sum(total) FILTER (total < 0), 0)
FROM documents WHERE sold GROUP BY month ORDER BY month
"""
SUMS_SQL = """
SELECT count(*) FILTER (total >= 0), coalesce(sum(total) FILTER (total >= 0), 0),
    coalesce(sum(total) FILTER (total < 0), 0), count(*) FILTER (total < 0),
    count(DISTINCT customer_id) FILTER (total >= 0), count(*) FILTER (total >= 0 AND customer_id IS NULL)
FROM documents WHERE sold
"""
STATUSES_SQL = """
SELECT status, count(DISTINCT order_id) FROM typed WHERE fault IS NULL AND status IS NOT NULL GROUP BY status
"""
BLANK_STATUS_SQL = """
SELECT count(*) FROM (SELECT order_id FROM typed WHERE fault IS NULL GROUP BY order_id HAVING max(status) IS NULL)
"""


def told_sql(layout: Layout, known: set[str]) -> str:
    """The statement that makes the view `told`; `known` are the tables before it that are not empty."""
    keys = {"addresses": "address", "words": "status", "last_parts": "order_id"}
    prefix = layout.refund_prefix
    return TOLD_SQL.format(
        customer="coalesce(customer_id, somebody)" if "addresses" in known else "customer_id",
        sold="words.sold" if "words" in known else "NULL::BOOLEAN",
        says_refund="coalesce(words.refund, FALSE)" if "words" in known else "FALSE",
        is_refund_id=f"starts_with(order_id, {quote(prefix)})" if prefix else "FALSE",
        superseded="coalesce(part < last_part, FALSE)" if "last_parts" in known else "FALSE",
        joins=" ".join(f"LEFT JOIN {table} USING ({key})" for table, key in keys.items() if table in known),
    )


def first_sql(columns: Columns, blank_is_sold: bool) -> str:
    """The statement that makes the table `orders`.

    An order of lines is sold where one of its lines is; an order of one amount, where its first row is.
    """
    by_line = is_by_line(columns)
    given_back = "max(abs(refunded))"
    if "paid_after_refunds" in columns:
        given_back = "arg_min(amount, row) FILTER (of_sale) - max(paid_after_refunds)"
    wanted = "sold" if by_line else "of_sale AND amount IS NOT NULL"  # a line that is sold; the row of the amount
    first_text = f"coalesce(arg_min({{0}}, row) FILTER ({wanted}), arg_min({{0}}, row) FILTER (of_sale)"
    first_text += ", arg_min({0}, row))"
    return FIRST_SQL.format(
        is_sold="bool_or(sold) FILTER (of_sale)" if by_line else first_text.format("sold"),
        given_back=given_back,
        texts=", ".join(f"{first_text.format(name)} AS {name}" for name in ORDER_TEXTS),
        has_no_status="status" not in columns,
        blank_is_sold=blank_is_sold,
    )


def lines_sql(columns: Columns) -> str:
    """The statement that makes the table `lines`."""
    by_line = is_by_line(columns)
    quantity = "coalesce(quantity, 1)" if "quantity" in columns else "1"
    divisor = f"if({quantity} = 0, 1, {quantity})"
    value = "CASE WHEN refund OR value < 0 THEN -abs(value) WHEN row = first_row THEN order_amount ELSE 0 END"
    price = f"coalesce(line_total / {divisor}, unit_price)"
    if not {"line_total", "unit_price"} & columns.keys():  # the items have equal parts of the amount
        price = f"order_amount / (n_rows * {divisor})"
    needed = [name for name in ("line_total", "unit_price", "quantity") if name in columns]
    return LINES_SQL.format(
        texts=", ".join(ORDER_TEXTS),
        value="if(says_refund, -abs(value), value)" if by_line else value,
        quantity=quantity,
        price=price,
        given_back="abs(refunded)" if by_line else "if(row = first_row, given_back, NULL)",
        superseded=quote(SUPERSEDED),
        nothing=quote(NOTHING),
        problems=(BY_LINE if by_line else BY_ORDER).format(
            unsold=quote(UNSOLD),
            nothing=quote(NOTHING),
            no_value=quote("no " + " or ".join(needed)),
            itemised=is_itemised(columns),
        ),
    )


def is_itemised(columns: Columns) -> bool:
    """Whether a row tells of an item, so that an order of one amount may have several rows."""
    return bool({*ITEM_TEXTS, "unit_price", "line_total"} & columns.keys())


def has_items(columns: Columns) -> bool:
    """Whether orders have items, be it their number alone; rows of payments are none."""
    return bool({*ITEM_TEXTS, "unit_price", "quantity"} & columns.keys())


def rounded_sql(exact: str, kind: str) -> str:
    """A sum in its currency's smallest unit, a half rounded away from zero."""
    places = sorted(set(DECIMALS.values()))
    cases = [
        f"WHEN upper(currency) IN ({', '.join(quote(c) for c, d in DECIMALS.items() if d == n)}) "
        f"THEN round({exact}, {n})::{kind}"
        for n in places
    ]
    return f"CASE {' '.join(cases)} ELSE round({exact}, 2)::{kind} END"


def documents_sql(query: str, columns: Columns) -> str:
    """ORDERS_SQL or REFUNDS_SQL for these columns: the texts that the file has, and the status."""
    texts = "".join(f"{name}, " for name in ORDER_TEXTS if name in columns or name == "status")
    return query.format(texts=texts, total=rounded_sql("exact", "DOUBLE"), where="")


def all_documents_sql(columns: Columns) -> str:
    """The documents of orders and of refunds, in no order."""
    return " UNION ALL ".join(f"({documents_sql(query, columns)})" for query in queries(columns))


def finer_sql(columns: Columns) -> str:
    """The number of documents whose amount has more decimals than its currency."""
    where = f"AND exact <> {rounded_sql('exact', DECIMAL)}"
    counted = (query.format(texts="", total="0", where=where) for query in queries(columns))
    return f"SELECT count(*) FROM ({' UNION ALL '.join(f'({query})' for query in counted)})"


def queries(columns: Columns) -> list[str]:
    """The queries for documents that these columns make."""
    return [ORDERS_SQL, REFUNDS_SQL] if {"refunded", "paid_after_refunds"} & columns.keys() else [ORDERS_SQL]
