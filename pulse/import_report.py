"""What an import says of the files: rows left out, what is odd, and with --check what a load would do."""

from argparse import Namespace
from typing import TYPE_CHECKING

from common import Settings, fail, say
from pulse import grouping
from pulse.currencies import FINER, as_text, decimals
from pulse.engine import count, execute
from pulse.files import Opened
from pulse.identity import doubt_customers, hide_addresses
from pulse.layouts import Columns
from pulse.progress import clock
from pulse.rows import cell_sql

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection

REJECT_LIMIT = 0.05  # share of rows that may be left out before a load stops
UNREADABLE = ", or say how numbers are written (1.234,50 with --decimal , --thousands .)"
LARGEST_DOCUMENT = 16 * 2**20  # bytes: what MongoDB takes
LINE_BYTES, TEXT_BYTES = 73, 5  # of an item in BSON; more for each text, beside its own
REPEATED = "repeated line, kept"  # remarks on what is kept

LARGEST_SQL = f"""
SELECT min({{'part': part, 'row': row}}), count(*) FROM lines WHERE problem IS NULL GROUP BY key
HAVING count(*) * {LINE_BYTES} + count(product_id) * {TEXT_BYTES} + count(category) * {TEXT_BYTES}
    + coalesce(sum(strlen(product_id)), 0) + coalesce(sum(strlen(category)), 0) > {LARGEST_DOCUMENT}
ORDER BY 1 LIMIT 1
"""
FAR_APART_SQL = """
SELECT count(*) FROM (
    SELECT key FROM lines WHERE problem IS NULL GROUP BY key
    HAVING max(order_date) > min(order_date) + INTERVAL 7 DAY
)
"""


@clock("Checking")
def report_rejects(con: "DuckDBPyConnection", opened: Opened, args: Namespace) -> dict[str, int]:
    """{reason: rows left out}, said on the console with the first few; stops where too many are unusable."""
    total = count(con, "SELECT count(*) FROM lines")
    if not total:
        fail(f"{opened.labels[0]} holds no order, only a header: export it again, with its rows.")
    noted = execute(con, grouping.REJECTS_SQL).fetchall()
    places = {problem: name_rows(opened, first) for problem, _, first in noted}
    for problem, n, first in noted:
        say("Noted", f"{n:,} of {total:,} rows: {problem} ({places[problem]}{' ...' if n > len(first) else ''})")
    rejects = [(problem, n) for problem, n, _ in noted if problem not in grouping.REMARKS]
    unusable = sum(n for _, n in rejects)
    if unusable > REJECT_LIMIT * total and not args.accept_rejects:
        problem = rejects[0][0]
        hint = UNREADABLE if problem.endswith("another mark") else ""
        place = places[problem].split(",")[0]
        fail(
            f"{unusable:,} of {total:,} rows of {', '.join(opened.labels)} cannot be used, as {place} ({problem})"
            f": fix them{hint}, or load the others with --accept-rejects."
        )
    return {problem: n for problem, n, _ in noted}


def refuse_large_orders(con: "DuckDBPyConnection", opened: Opened, columns: Columns) -> None:
    """Stop at an order with more lines than MongoDB takes in one document."""
    for first, n in execute(con, LARGEST_SQL).fetchall():
        fail(
            f"{opened.labels[first['part']]}, row {first['row']}: this order has {n:,} rows, more than the 16 MB "
            f"that MongoDB takes: is {columns['order_id'][0]} a till's or a customer's id? Name the column that "
            "tells orders apart (--columns order_id=...), or load each row as an order (--no-order-ids)."
        )


def name_rows(opened: Opened, places: list[dict]) -> str:
    """Rows of the files in words; the file is named where there are several."""
    several = len(opened.labels) > 1
    rows = [
        f"{opened.labels[place['part']]} row {place['row']}" if several else str(place["row"]) for place in places
    ]
    return ", ".join(rows) if several else "row " + ", ".join(rows)


@clock("Checking")
def count_remarks(con: "DuckDBPyConnection", columns: Columns) -> dict[str, int]:
    """{remark: rows or orders} of what is kept, said on the console; without those of none."""
    found = {
        REPEATED: count(con, grouping.REPEATED_SQL) if "product_id" in columns else 0,
        FINER: count(con, grouping.finer_sql(columns)),
    }
    for remark, n in found.items():
        if n:
            say("Noted", f"{remark}: {n:,}")
    return {remark: n for remark, n in found.items() if n}


def say_what_is_odd(con: "DuckDBPyConnection", columns: Columns, settings: Settings) -> None:
    """Note what is likely a wrong column, or a setting left out."""
    if settings.time_zone.key == "UTC" and count(con, "SELECT count(*) FROM typed WHERE has_offset"):
        say("Noted", "times have offsets, and months begin in UTC: set REPORT_TIMEZONE to the shop's time zone")
    unsold = count(con, grouping.REFUNDS_UNSOLD_SQL)
    if unsold:
        say("Noted", f"{unsold:,} orders below 0, by themselves, whose status is no sale, count as refunds")
    far_apart = count(con, FAR_APART_SQL)
    if far_apart:
        whose = f"is {columns['order_id'][0]} their own id, or a till's?"
        say("Noted", f"orders with lines over a week apart, dated by the earliest: {far_apart:,}; {whose}")
    of_customers, most = execute(con, grouping.CONCENTRATION_SQL).fetchall()[0]
    if not of_customers:
        say("Noted", "no order has a customer: scripts 2 and 3 need customer_id (or customer_email)")
    doubt_customers(of_customers, most, (columns.get("customer_id") or columns.get("customer_email", ("it",)))[0])


# --- --check ---


@clock("Adding up")
def say_check(con: "DuckDBPyConnection", opened: Opened, columns: Columns) -> None:
    """Print what a load would do: columns with an example each, statuses, months and sums of the orders."""
    for ours, theirs in columns.items():
        say("Column", f"{ours:<19}{' + '.join(theirs):<26}{example(con, opened, ours, theirs[0]):.25}")
    con.execute(f"CREATE VIEW documents AS {grouping.all_documents_sql(columns)}")
    currencies = execute(con, grouping.BY_CURRENCY_SQL).fetchall()
    places = max(decimals(currency) for currency, _ in currencies)
    if "currency" in columns:
        say("Currency", ", ".join(f"{hide_addresses(name or '(blank)')} ({n:,} orders)" for name, n in currencies))
    if len(currencies) > 1:
        say("Noted", "amounts of several currencies are added up below; scripts 2 and 3 read one, REPORT_CURRENCY")
    blank = "(blank)" if "status" in columns else "(no such column)"
    for status, sold, n, amount in execute(con, grouping.BY_STATUS_SQL).fetchall():
        kind = "sold" if sold else "not sold"
        kinds = "refunds" if amount < 0 else "orders"
        name = hide_addresses(status or blank)
        say("Status", f"{name:<22}{kind:<9}{n:>10,} {kinds:<8}{as_text(amount, places):>19}")
    months = execute(con, grouping.BY_MONTH_SQL).fetchall()
    for number, (month, n, *amounts) in enumerate(months, 1):
        if number <= 3 or number > len(months) - 3:
            gross, refunds = (as_text(amount, places) for amount in amounts)
            say("Month", f"{month:<8}{n:>10,} orders{gross:>19} refunds{refunds:>18}")
        elif number == 4:
            say("Month", "...")
    n, gross, refunds, returned, customers, guests = execute(con, grouping.SUMS_SQL).fetchall()[0]
    net = as_text(gross + refunds, places)
    say("Sold", f"{n:,} orders, gross {as_text(gross, places)}")
    say("", f"{returned:,} refunds {as_text(refunds, places)}, net {net}")
    say("Customers", f"{customers:,}, and {guests:,} orders of guests")
    say("Checked", "nothing was loaded: leave --check out to load")


def example(con: "DuckDBPyConnection", opened: Opened, ours: str, theirs: str) -> str:
    """A value of the column, unless it may be a name or an address."""
    cell = cell_sql(opened.header.index(theirs))
    found = con.execute(f"SELECT {cell} FROM file WHERE {cell} IS NOT NULL LIMIT 1").fetchall()
    text = str(found[0][0]) if found else "(blank)"
    private = ours == "customer_email" or "@" in text
    if ours == "customer_id":  # a name has no digit
        private |= " " in text or not any(map(str.isdigit, text))
    return "(not shown)" if found and private else text
