"""SQL that makes typed rows of a file's texts: ids, dates, numbers, and what is wrong with each row."""

from pulse.identity import NOBODY
from pulse.layouts import ITEM_TEXTS, NUMBERS, ORDER_TEXTS, Columns, Layout, is_by_line
from pulse.parsing import (
    AMBIGUOUS_DATE,
    AMOUNT,
    DECIMAL,
    OFFSET,
    PRICE,
    QUANTITY,
    date_sql,
    id_sql,
    number_sql,
    sign_sql,
    unread_sql,
    zone_sql,
)

TEXTS = ("order_id", "customer_id", "customer_email", "order_date", "order_time", *ORDER_TEXTS, *ITEM_TEXTS)

SPACES = "' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(8239)"  # also those that do not break

# part, row: where a row stands; value: what it adds to its order; fault: why it cannot be used.
TYPED_SQL = """
CREATE TABLE typed AS
WITH named AS (
    SELECT part, row, {named} FROM file
), read AS (
    SELECT part, row, {order_id} AS order_id, {customer} AS customer, {email} AS email,
        {when} AS order_date, {numbers}, {unread} AS unread, {texts}, {date_text} AS date_text,
        {signs}
    FROM named WHERE coalesce({every_cell}) IS NOT NULL
)
SELECT * EXCLUDE (date_text, unread, customer, email), {value} AS value,
    if(contains(customer, '@'), NULL, customer) AS customer_id,
    lower(if(contains(customer, '@'), customer, email)) AS address,
    regexp_matches(date_text, '{offset}') AS has_offset,
    CASE WHEN order_id IS NULL THEN 'no ' || {order_id_name}
         WHEN order_date IS NULL AND {ask_dates} AND regexp_matches(date_text, '{ambiguous_date}')
         THEN {date_name} || ' reads in two ways: add --dates day-first or month-first'
         WHEN {zone}
         THEN {date_name} || ' ends with the abbreviation of a time zone: write an offset, such as +01:00'
         WHEN order_date IS NULL THEN 'unreadable ' || {date_name}
         WHEN unread IS NOT NULL THEN 'unreadable ' || unread
         WHEN {ignored} THEN 'adjustment, no sale' END AS fault
FROM read
"""


def typed_sql(columns: Columns, header: list[str], layout: Layout, typed_file: bool) -> str:
    """The statement that makes the table `typed` of the table `file`, with these columns of its header.

    A row of typed: part, row, order_id, customer_id (no address), address, order_date (UTC), NUMBERS,
    value (what it adds to its order), has_offset, ORDER_TEXTS, ITEM_TEXTS, fault; sign_amount_0 ... (the
    currency's sign in each column of numbers, NULL for none).
    """
    cells = {ours: [cell_sql(header.index(name)) for name in theirs] for ours, theirs in columns.items()}
    named = {name: cells[name][0] if name in cells else "NULL::VARCHAR" for name in TEXTS}
    named |= {f"{name}_{n}": cell for name in NUMBERS for n, cell in enumerate(cells.get(name, ()))}
    read = {name: read_sql(name, layout, typed_file) for name in named if name not in TEXTS}
    unread = [unread_case(part, number, columns, layout) for part, number in read.items()]
    date_text = "order_date"
    if "order_time" in columns:  # a workbook's date has a midnight
        date_text = "regexp_replace(order_date, ' 00:00:00$', '') || coalesce(' ' || order_time, '')"
    return TYPED_SQL.format(
        named=", ".join(f"{cell} AS {name}" for name, cell in named.items()),
        every_cell=", ".join(named),
        order_id=id_sql("order_id") if "order_id" in columns else "'row ' || part || '-' || row",
        customer=somebody_sql("customer_id"),
        email=somebody_sql("customer_email"),
        date_text=date_text,
        when=date_sql(f"({date_text})", layout.dates),
        numbers=", ".join(f"{sum_sql(name, read)} AS {name}" for name in NUMBERS),
        unread=f"CASE {' '.join(unread)} END",
        signs=", ".join(f"{sign_sql(part)} AS sign_{part}" for part in read),
        texts=", ".join((*ORDER_TEXTS, id_sql("product_id") + " AS product_id", "category")),
        value=value_sql(columns),
        order_id_name=name_sql("order_id", columns),
        date_name=name_sql("order_date", columns),
        offset=OFFSET,
        ask_dates=not layout.dates,
        ambiguous_date=AMBIGUOUS_DATE,
        zone=zone_sql("date_text"),
        ignored=f"starts_with(order_id, {quote(layout.ignore_prefix)})" if layout.ignore_prefix else "FALSE",
    )


def read_sql(name: str, layout: Layout, typed_file: bool) -> str:
    """SQL that reads a column of numbers such as amount_0; in a typed file a number, or a text as in any other."""
    ways = dict.fromkeys([*([(".", "")] if typed_file else []), (layout.decimal, layout.thousands)])
    read = ", ".join(number_sql(name, *marks, kind_of(name.rpartition("_")[0])) for marks in ways)
    if len(ways) > 1 and layout.thousands == ".":  # 1.234 is a number, or a text for 1234
        unclear = f"regexp_full_match({name}, '-?[1-9][0-9]{{0,2}}([.][0-9]{{3}})+')"
        return f"CASE WHEN NOT {unclear} THEN coalesce({read}) END"
    return f"coalesce({read})"


def unread_case(part: str, number: str, columns: Columns, layout: Layout) -> str:
    """A case for a text of this column, such as amount_0, that is no number: the column's name, and what it is."""
    kind = unread_sql(part, layout.decimal, layout.thousands)
    name = name_sql(part.rpartition("_")[0], columns)
    return f"WHEN {part} IS NOT NULL AND {number} IS NULL THEN {name} || ': ' || {kind}"


def quote(text: str) -> str:
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def name_sql(name: str, columns: Columns) -> str:
    """A column in words: our name and, where it differs, the file's."""
    theirs = " + ".join(columns.get(name, (name,)))
    return quote(name if theirs == name else f"{name} ({theirs})")


def cell_sql(position: int) -> str:
    """A cell's text without the spaces around it, NULL for none."""
    text = f"c{position}::VARCHAR"
    bare = (
        f"left({text}, 1) BETWEEN '!' AND '~' AND right({text}, 1) BETWEEN '!' AND '~'"  # most are, and soon told
    )
    return f"CASE WHEN {bare} THEN {text} ELSE nullif(trim({text}, {SPACES}), '') END"


def kind_of(name: str) -> str:
    """The type in which a column of numbers is read."""
    return {"unit_price": PRICE, "quantity": QUANTITY}.get(name, AMOUNT)


def sum_sql(name: str, read: dict[str, str]) -> str:
    """The file's columns that make up a number of ours, added up; NULL where all are blank."""
    parts = [number for part, number in read.items() if part.rpartition("_")[0] == name]
    kind = kind_of(name).replace(AMOUNT, DECIMAL)
    if len(parts) < 2:
        return f"{parts[0] if parts else 'NULL'}::{kind}"
    return f"CASE WHEN coalesce({', '.join(parts)}) IS NOT NULL THEN " + " + ".join(
        f"coalesce({part}, 0)" for part in parts
    ) + f" END::{kind}"  # fmt: skip


def somebody_sql(name: str) -> str:
    """A customer's id or address; NULL for what stands for nobody."""
    nobody = ", ".join(quote(word) for word in NOBODY)
    return f"CASE WHEN lower({name}) NOT IN ({nobody}) THEN {id_sql(name)} END"


def value_sql(columns: Columns) -> str:
    """What a row adds to its order, by itself."""
    if not is_by_line(columns):
        return "amount"
    product = f"({'quantity' if 'quantity' in columns else 1} * unit_price)::{DECIMAL}"
    return f"coalesce(line_total, {product})" if "line_total" in columns else product
