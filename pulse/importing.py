"""Files of orders, or of order lines, as documents: DuckDB types, judges and groups their rows."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common import Settings, fail, say
from pulse import grouping
from pulse.engine import connect, count, execute, share_memory
from pulse.files import Opened, create_file_table, open_headers, unchanged
from pulse.identity import hash_address
from pulse.import_options import with_options
from pulse.import_report import count_remarks, refuse_large_orders, report_rejects, say_what_is_odd
from pulse.layouts import NUMBERS, Columns, Layout, choose_columns, choose_layout
from pulse.loads import Block, Source
from pulse.parsing import CUT_ID
from pulse.progress import bar, clock
from pulse.rows import quote, typed_sql
from pulse.scratch import scratch_folder
from pulse.statuses import BLANK, general_words, normalise, sold_words, user_words

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection

ROOM = "about ten times the size of the files"  # of the disk, at the most
BATCH = 2_000  # documents at a time
MOST_LINES = 20_000  # of orders: from so many on, a batch is full


class Import(NamedTuple):
    """Files whose rows are in DuckDB's tables (pulse/grouping.py), ready to become documents."""

    con: "DuckDBPyConnection"
    files: str  # their names
    opened: Opened
    columns: Columns
    remarks: dict[str, int]  # {why rows were left out or noted: rows}


@contextmanager
def open_import(args: Namespace, settings: Settings, find_key: Callable[[], str]) -> Iterator[Import]:
    """The orders of args.files, while the block lasts; `find_key` is asked where customers have addresses.

    Times without an offset are of the settings' zone. Too many unusable rows stop the script, unless
    args.accept_rejects.
    """
    import duckdb

    names = ", ".join(path.name for path in args.files)
    try:
        with scratch_folder(settings.data_path, ROOM) as scratch, connect(scratch, settings.time_zone) as con:
            opened, columns, layout = read_files(con, names, args, scratch)
            type_rows(con, opened, columns, layout)
            refuse_unclear_cells(con, opened, columns)
            read_unused_zeros(con, columns)
            identify_customers(con, find_key)
            blank_is_sold = classify_statuses(con, columns, layout, args, settings)
            group_rows(con, columns, layout, blank_is_sold)
            if grouping.has_items(columns):
                refuse_large_orders(con, opened, columns)
            remarks = report_rejects(con, opened, args)
            remarks |= count_remarks(con, columns)
            say_what_is_odd(con, columns, settings)
            yield Import(con, names, opened, columns, remarks)
    except duckdb.OutOfRangeException:
        fail(f"{names} has amounts that are too large to add up: is each column the right one (--columns)?")
    except duckdb.OutOfMemoryException:
        fail(f"{names} takes more memory than an import may have: leave out its oldest years, or long columns.")
    except duckdb.Error as error:  # its text may hold a row
        fail(f"{names} cannot be read: {type(error).__name__} in DuckDB. Is --encoding right?")


def read_files(
    con: "DuckDBPyConnection", names: str, args: Namespace, scratch: Path
) -> tuple[Opened, Columns, Layout]:
    """Make the view `file` of all rows; which column is which, and how they are read."""
    with unchanged(args.files):
        opened = open_headers(args.files, args.encoding, args.sheet, scratch)
        layout = with_options(choose_layout(args.layout, opened.header), args)
        columns = choose_columns(names, opened.header, layout, args.columns, not args.no_order_ids)
        say("Layout", layout.name)
        create_file_table(con, opened, args.encoding or layout.encoding, layout.quote, scratch)
    return opened, columns, layout


# --- rows ---


@clock("Reading")
def type_rows(con: "DuckDBPyConnection", opened: Opened, columns: Columns, layout: Layout) -> None:
    """Make the table typed."""
    con.execute(typed_sql(columns, opened.header, layout, opened.typed))
    share_memory(con, count(con, "SELECT count(*) FROM typed"))


@clock("Reading")
def refuse_unclear_cells(con: "DuckDBPyConnection", opened: Opened, columns: Columns) -> None:
    """Stop at ids that a spreadsheet has cut, and at two currencies' signs in a column."""
    for name in ("order_id", "customer_id"):
        cut = f"SELECT part, row FROM typed WHERE regexp_full_match({name}, {quote(CUT_ID)}) ORDER BY 1, 2 LIMIT 1"
        for part, row in con.execute(cut).fetchall():
            fail(
                f"{opened.labels[part]}, row {row}: {columns[name][0]} has a number such as 8.1E+12, whose last "
                "digits a spreadsheet has dropped: export it again, that column as text."
            )
    for number, n in [(name, n) for name in NUMBERS for n in range(len(columns.get(name, ())))]:
        sign = f"sign_{number}_{n}"
        signs = con.execute(f"SELECT DISTINCT {sign} FROM typed WHERE {sign} IS NOT NULL ORDER BY 1").fetchall()
        if len(signs) > 1:
            found = ", ".join(sign for (sign,) in signs)
            fail(
                f"{columns[number][n]} has amounts in several currencies ({found}): load a file of each, into a "
                "MONGO_DB of its own."
            )


def read_unused_zeros(con: "DuckDBPyConnection", columns: Columns) -> None:
    """Where no row shows an order that was not adjusted (a blank, or the amount again), 0 is what shows it."""
    if "paid_after_refunds" not in columns:
        return
    shown = "paid_after_refunds IS NULL OR paid_after_refunds = amount"
    if count(con, f"SELECT count(*) FROM typed WHERE amount <> 0 AND ({shown})"):
        return
    con.execute("UPDATE typed SET paid_after_refunds = NULL WHERE paid_after_refunds = 0")
    say(
        "Noted", f"{columns['paid_after_refunds'][0]} is never blank: 0 is read as 'not adjusted', not as a refund"
    )


def identify_customers(con: "DuckDBPyConnection", find_key: Callable[[], str]) -> None:
    """Make the table addresses: whom each address stands for."""
    has_addresses = count(con, "SELECT count(address) FROM typed")
    key = find_key() if has_addresses else ""
    con.create_function("hash_address", lambda address: hash_address(address, key), ["VARCHAR"], "VARCHAR")
    execute(con, grouping.ADDRESSES_SQL)
    unnamed = "SELECT count(*) FROM typed JOIN addresses USING (address) WHERE hashed AND customer_id IS NULL"
    if has_addresses and count(con, unnamed):
        say("Noted", "customers are told apart by address: a keyed hash stands in its place in every table")


def classify_statuses(
    con: "DuckDBPyConnection", columns: Columns, layout: Layout, args: Namespace, settings: Settings
) -> bool:
    """Make the table words: what each status says; returns whether an order without one is sold."""
    texts = execute(con, grouping.STATUSES_SQL).fetchall()
    blank = count(con, grouping.BLANK_STATUS_SQL) if "status" in columns else 0
    counts = {BLANK: blank} if blank else {}
    for text, n in texts:
        counts[normalise(text)] = counts.get(normalise(text), 0) + n
    authorities = (
        user_words(args.sold, args.not_sold, "--sold and --not-sold"),
        user_words(settings.sold_statuses, settings.not_sold_statuses, "SOLD_STATUSES and NOT_SOLD_STATUSES"),
        layout.words._replace(not_sold=layout.words.not_sold | layout.refund),
        general_words(),
    )
    sold = sold_words(counts, authorities, "Say which are with --sold a,b and which are not with --not-sold c,d.")
    con.execute("CREATE TABLE words (status VARCHAR, sold BOOLEAN, refund BOOLEAN)")
    for text, _ in texts:
        word = normalise(text)
        con.execute("INSERT INTO words VALUES (?, ?, ?)", [text, word in sold, word in layout.refund])
    return BLANK in sold


@clock("Grouping")
def group_rows(con: "DuckDBPyConnection", columns: Columns, layout: Layout, blank_is_sold: bool) -> None:
    """Make the tables orders and lines."""
    execute(con, grouping.LAST_PARTS_SQL)
    known = {name for name in ("addresses", "words", "last_parts") if count(con, f"SELECT count(*) FROM {name}")}
    con.execute(grouping.told_sql(layout, known))
    execute(con, grouping.first_sql(columns, blank_is_sold))
    execute(con, grouping.lines_sql(columns))
    execute(con, grouping.FIRST_REFUNDS_SQL)


# --- documents ---


def as_source(found: Import) -> Source:
    """The files' documents, and what was left out."""
    return Source(f"imported from {found.files}", import_blocks(found.con, found.columns), found.remarks)


def import_blocks(con: "DuckDBPyConnection", columns: Columns) -> Iterator[Block]:
    """The documents of the collections orders and customers, a batch at a time."""
    for orders in order_documents(con, columns):
        yield {"orders": orders}
    for query in grouping.queries(columns)[1:]:
        for refunds in fetch_documents(con, grouping.documents_sql(query, columns)):
            yield {"orders": [refund | {"items": []} for refund in refunds]}
    email = ", arg_max(email, ordered_at) AS email" if count(con, "SELECT count(*) FROM addresses") else ""
    for customers in fetch_documents(con, grouping.CUSTOMERS_SQL.format(email=email)):
        yield {"customers": customers}


def order_documents(con: "DuckDBPyConnection", columns: Columns) -> Iterator[list[dict]]:
    """The orders, in batches, with their items where the file tells of any."""
    has_items = grouping.has_items(columns)
    lines = chain.from_iterable(fetch_rows(con.cursor(), grouping.ITEMS_SQL, 10 * BATCH)) if has_items else ()
    lines_by_key = groupby(lines, key=itemgetter(0))  # sorted by key, as the orders are
    n_orders = count(con, "SELECT count(DISTINCT key) FROM lines WHERE problem IS NULL")
    with bar(range(n_orders), "Loading", " orders") as shown:
        for batch in fetch_documents(con, grouping.documents_sql(grouping.ORDERS_SQL, columns)):
            yield from add_items(batch, lines_by_key) if has_items else [batch]
            shown.update(len(batch))


def add_items(orders: list[dict], lines_by_key: Iterator[tuple[str, Iterator[tuple]]]) -> Iterator[list[dict]]:
    """The orders with their items, in smaller batches where these are many."""
    batch, n_lines = [], 0
    # the orders first: at their end, zip must not take a key
    for order, (key, lines_of_key) in zip(orders, lines_by_key, strict=False):
        order["items"] = order_items(order["_id"], key, lines_of_key)
        batch.append(order)
        n_lines += len(order["items"])
        if n_lines >= MOST_LINES:
            yield batch
            batch, n_lines = [], 0
    yield batch


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
    result = execute(con, query)
    while rows := result.fetchmany(size):
        yield rows
