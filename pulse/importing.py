"""A file of orders, or of order lines, as documents: DuckDB types, judges and groups its rows.

What exceeds DuckDB's share of memory waits on disk, so a file of any size can be read.
"""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tqdm import tqdm

from common import fail, parse_mapping, say
from pulse.files import TYPED, open_file
from pulse.layouts import COLUMNS, IDS, ONLINE_RETAIL, ORDER_TEXTS, choose_columns, is_by_line
from pulse.loads import Block, Source
from pulse.parsing import AMBIGUOUS_DATE, date_sql, number_sql, whole_id_sql

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection

REJECT_LIMIT = 0.05  # share of rows that may be left out before a load stops
REPEATED = "repeated line, kept"  # the one remark on rows that are not left out
MEMORY = "150MB"  # DuckDB's share; the rest of a file waits on disk
BATCH = 2_000  # documents at a time

# The file's rows, typed and judged. value: what a row adds to its order; key: the order's _id.
LINES_SQL = """
CREATE TABLE lines AS
WITH named AS (
    SELECT row_number() OVER () + 1 AS line, {named} FROM file  -- the header is row 1
), typed AS (
    SELECT * REPLACE (
        {order_date} AS order_date, {quantity} AS quantity, {unit_price} AS unit_price, {amount} AS amount,
        CASE WHEN {retail} THEN if(order_id LIKE 'C%', 'cancelled', 'completed') ELSE status END AS status
    ), order_date AS date_text
    FROM named WHERE coalesce({every_column}) IS NOT NULL
), judged AS MATERIALIZED (
    SELECT * EXCLUDE date_text,
        if({by_line}, quantity * unit_price, amount) AS value,
        if({by_line} AND quantity < 0, order_id || '/refund', order_id) AS key,
        CASE WHEN order_id IS NULL THEN 'no order_id'
             WHEN order_date IS NULL AND {ask_dates} AND regexp_matches(date_text, '{ambiguous_date}')
             THEN 'order_date reads in two ways: add --dates day-first or month-first'
             WHEN order_date IS NULL THEN 'unreadable order_date'
             WHEN {by_line} AND quantity IS NULL THEN 'unreadable quantity'
             WHEN {by_line} AND unit_price IS NULL THEN 'unreadable unit_price'
             WHEN value IS NULL THEN 'unreadable amount'
             WHEN {by_line} AND value = 0 THEN 'quantity or unit_price 0'
             WHEN {retail} AND order_id LIKE 'A%' THEN 'adjustment, no sale' END AS fault
    FROM typed
), first_said AS (  -- what each order's rows say first, blanks aside
    SELECT order_id, min(line) AS first_line, arg_min((order_date, value), line) AS first_row,
        arg_min(customer_id, line) AS customer, {first_texts}
    FROM judged WHERE fault IS NULL GROUP BY order_id
)
SELECT judged.* REPLACE (customer AS customer_id, {order_texts}),
    CASE WHEN fault IS NOT NULL THEN fault
         WHEN {by_line} AND judged.customer_id <> customer THEN 'order of another customer'
         WHEN {by_line} OR line = first_line THEN NULL
         WHEN judged.customer_id IS NOT DISTINCT FROM customer
          AND (order_date, value) IS NOT DISTINCT FROM first_row THEN 'exact duplicate of an order'
         ELSE 'order_id of another order (order lines need quantity and unit_price)' END AS problem
FROM judged LEFT JOIN first_said USING (order_id)
"""
ORDERS_SQL = """
SELECT key AS _id, any_value(customer_id) AS customer_id, min(order_date) AS order_date, {order_texts},
    round(sum(value), 6) AS total
FROM lines WHERE problem IS NULL GROUP BY key ORDER BY key
"""
ITEMS_SQL = "SELECT key, product_id, category, {item} FROM lines WHERE problem IS NULL ORDER BY key, line"
CUSTOMERS_SQL = """
SELECT customer_id AS _id, arg_max(country, order_date) AS country
FROM lines WHERE problem IS NULL AND customer_id IS NOT NULL GROUP BY ALL ORDER BY _id
"""
REJECTS_SQL = """
SELECT problem, count(*), min(line, 5) FROM lines WHERE problem IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
"""
REPEATED_SQL = """
SELECT count(*) - count(DISTINCT (key, product_id, category, quantity, unit_price))
FROM lines WHERE problem IS NULL
"""


# --- the command line ---


def add_import_options(parser: ArgumentParser) -> None:
    """Add the options for a file of one's own to script 1's command line."""
    option = parser.add_argument_group("to load your own orders").add_argument
    option("--import", type=existing_file, dest="file", metavar="FILE", help="CSV (also .gz), Parquet or Excel")
    option("--columns", type=column_names, default={}, help="order_id=InvoiceNo,customer_id=Client,...")
    option("--dates", choices=("day-first", "month-first"), help="how to read 03/04/2025")
    decimal = "decimal mark of a CSV's numbers (default .)"
    option("--decimal", choices=(".", ","), default=".", metavar="MARK", help=decimal)
    thousands = "their thousands separator"
    option("--thousands", choices=(",", ".", " ", "'"), default="", metavar="MARK", help=thousands)
    option("--encoding", default="utf-8-sig", help="of a CSV (default UTF-8; latin-1, cp1252 ...)")
    option("--accept-rejects", action="store_true", help="load the rest where over 5%% of rows are unusable")


def existing_file(text: str) -> Path:
    """An argparse type: the path of a file."""
    if not Path(text).is_file():
        raise ArgumentTypeError(f"{text} cannot be opened, there is no such file")
    return Path(text)


def column_names(text: str) -> dict[str, str]:
    """An argparse type: {our name: the file's column}."""
    return parse_mapping(text, COLUMNS, "--columns")


# --- the file's rows ---


@contextmanager
def open_import(args: Namespace, zone: ZoneInfo) -> Iterator[Source]:
    """The orders of args.file, ready to be loaded while the block lasts.

    Times without an offset are of the zone. Too many unusable rows stop the script, unless
    args.accept_rejects.
    """
    import duckdb

    if args.decimal == args.thousands:
        fail(f"--decimal and --thousands are both {args.decimal!r}: add --decimal , (or .) for the other mark.")
    with TemporaryDirectory(prefix="pulse-") as scratch:
        try:
            con = duckdb.connect(config={"memory_limit": MEMORY, "threads": 2, "temp_directory": scratch})
            con.execute(f"SET enable_progress_bar = {sys.stdout.isatty()}")
            con.execute(f"SET TimeZone = '{zone}'")
            header = open_file(con, args.file, args.encoding, Path(scratch))
            columns = choose_columns(args.file, header, args.columns)
            con.execute(lines_sql(columns, header, args))
            rejects = report_rejects(con, args) | count_repeated(con, columns)
            yield Source(f"imported from {args.file.name}", import_blocks(con, columns), rejects)
        except duckdb.Error as error:
            problem = " ".join(str(error).splitlines()[:3])
            fail(f"{args.file} cannot be read (is --encoding right?): {problem}")


def lines_sql(columns: dict[str, str], header: list[str], args: Namespace) -> str:
    """LINES_SQL for these columns: those that the file lacks are NULL."""
    named = {name: f"nullif(trim(c{header.index(source)}::VARCHAR), '')" for name, source in columns.items()}
    decimal, thousands = args.decimal, args.thousands
    if args.file.suffix.lower() in TYPED:  # they hold an id such as 17850 as the number 17850.0
        named |= {name: whole_id_sql(named[name]) for name in IDS if name in named}
        decimal, thousands = ".", ""
    return LINES_SQL.format(
        named=", ".join(f"{named.get(name, 'NULL::VARCHAR')} AS {name}" for name in COLUMNS),
        every_column=", ".join(COLUMNS),
        first_texts=", ".join(f"arg_min({name}, line) AS first_{name}" for name in ORDER_TEXTS),
        order_texts=", ".join(f"first_{name} AS {name}" for name in ORDER_TEXTS),
        order_date=date_sql(args.dates),
        **{name: number_sql(name, decimal, thousands) for name in ("quantity", "unit_price", "amount")},
        by_line=is_by_line(columns),
        retail=ONLINE_RETAIL.items() <= columns.items(),
        ask_dates=not args.dates,
        ambiguous_date=AMBIGUOUS_DATE,
    )


def report_rejects(con: "DuckDBPyConnection", args: Namespace) -> dict[str, int]:
    """{reason: rows}, said on the console with the first few rows; stops where they are too many."""
    total = count(con, "SELECT count(*) FROM lines")
    if not total:
        fail(f"{args.file} holds no order, only a header: export it again, with its rows.")
    noted = con.execute(REJECTS_SQL).fetchall()
    for problem, n, first in noted:
        rows = ", ".join(map(str, first)) + (" ..." if n > len(first) else "")
        say("Noted", f"{n:,} of {total:,} rows: {problem} (row {rows})")
    unusable = sum(n for _, n, _ in noted)
    if unusable > REJECT_LIMIT * total and not args.accept_rejects:
        problem, _, first = noted[0]
        fail(
            f"{unusable:,} of {total:,} rows of {args.file} cannot be used, as row {first[0]} ({problem}): fix "
            "them, or load the others with --accept-rejects."
        )
    return {problem: n for problem, n, _ in noted}


def count_repeated(con: "DuckDBPyConnection", columns: dict[str, str]) -> dict[str, int]:
    """{REPEATED: rows} that repeat another line of their order, said on the console; {} for none."""
    repeated = count(con, REPEATED_SQL) if "product_id" in columns else 0
    if not repeated:
        return {}
    say("Noted", f"{repeated:,} rows: {REPEATED}")
    return {REPEATED: repeated}


def count(con: "DuckDBPyConnection", query: str) -> int:
    """The one number that the query gives."""
    return con.execute(query).fetchall()[0][0]


# --- documents ---


def import_blocks(con: "DuckDBPyConnection", columns: dict[str, str]) -> Iterator[Block]:
    """The documents of the collections orders and customers, a batch at a time."""
    for orders in order_documents(con, columns):
        yield {"orders": orders}
    for customers in fetch_documents(con, CUSTOMERS_SQL):
        yield {"customers": customers}


def order_documents(con: "DuckDBPyConnection", columns: dict[str, str]) -> Iterator[list[dict]]:
    """The orders, in batches, with their items where the file tells of any."""
    by_line = is_by_line(columns)
    item = "quantity, unit_price" if by_line else "1, value"
    lines = chain.from_iterable(fetch_rows(con.cursor(), ITEMS_SQL.format(item=item), 10 * BATCH))
    lines_by_key = groupby(lines, key=itemgetter(0))  # sorted by key, as the orders are
    texts = [f"any_value({name}) AS {name}" for name in ORDER_TEXTS if name in columns or name == "status"]
    n_orders = count(con, "SELECT count(DISTINCT key) FROM lines WHERE problem IS NULL")
    with tqdm(total=n_orders, desc="Loading", unit=" orders", disable=None, leave=False) as bar:
        for batch in fetch_documents(con, ORDERS_SQL.format(order_texts=", ".join(texts))):
            if by_line or "category" in columns:
                # the batch first: at its end, zip must not take a key
                for order, (key, lines_of_key) in zip(batch, lines_by_key, strict=False):
                    order["items"] = order_items(order["_id"], key, lines_of_key)
            yield batch
            bar.update(len(batch))


def order_items(order_id: str, key: str, lines: Iterator[tuple]) -> list[dict]:
    """The items of an order, from its lines in ITEMS_SQL."""
    if key != order_id:
        raise AssertionError("orders and lines must come in the same order")
    return [
        {"product_id": product, "category": category, "quantity": quantity, "unit_price": price}
        for _, product, category, quantity, price in lines
    ]


def fetch_documents(con: "DuckDBPyConnection", query: str) -> Iterator[list[dict]]:
    """The query's rows as documents, a batch at a time."""
    for rows in fetch_rows(con, query, BATCH):
        names = [column[0] for column in con.description]
        yield [dict(zip(names, row, strict=True)) for row in rows]


def fetch_rows(con: "DuckDBPyConnection", query: str, size: int) -> Iterator[list[tuple]]:
    """The query's rows, so many at a time."""
    result = con.execute(query)
    while rows := result.fetchmany(size):
        yield rows
