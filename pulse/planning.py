"""What will be read of the orders in MongoDB, decided before the first one is read.

One pass of the server counts the orders by currency, status and half-year. What it finds says which currency,
which statuses are sales, which dates are far from all others, and from when the shop is looked at.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
from pymongo.collection import Collection
from pymongo.database import Database

from common import Settings, fail, say
from pulse.columns import ITEM, convert, parse_mapping, to_local_time
from pulse.currencies import decimals
from pulse.database import read_session
from pulse.dates import LONGEST_GAP, YEARS, epochs, kept_span, order_dates
from pulse.identity import find_key, hash_address, is_address
from pulse.loads import active_collection, describe_source
from pulse.ranges import count_processes, split_by_customer
from pulse.records import RECORDS
from pulse.start import command
from pulse.statuses import BLANK, general_words, normalise, sold_words, user_words

NONE = "none"  # in place of a currency that is missing, or of a status where no order has one
HASHED = "customer ids are addresses: the tables show a keyed hash in place of each"
SHOWN = 3  # orders that are named
USUAL_LINES = 3  # of an order: where there are more, fewer orders fit into memory
HALF_A_YEAR = 180 * 86_400_000  # milliseconds
DAYS_OF_1970 = datetime(1970, 1, 3)  # later than its first midnight anywhere

Span = tuple[pd.Timestamp, pd.Timestamp]


@dataclass(frozen=True)
class Reading:
    """What will be read: decided before the first order is read, the same for every range and worker."""

    collection: str
    fields: dict[str, str]  # our name: the field's
    types: dict[str, str]  # our name: as in read_columns
    dates: str  # how they are written: one of pulse.dates.FORMS
    unit: int  # what the amounts are divided by
    time_zone: ZoneInfo
    currency: str
    blank: str  # the status of an order without one
    sold_words: frozenset[str]  # the statuses that are sales, where an order does not say whether it is sold
    span: Span  # local midnights: orders outside are far from all others
    as_of: pd.Timestamp  # only orders strictly before it
    addresses: bool  # whether customers' ids are, and come as hashes
    key: str = field(repr=False)  # of these hashes
    ranges: list[dict]  # MongoDB's filters: every order is in one, a customer's all in the same
    source: dict[str, str]  # see describe_source


def plan_reading(
    db: Database,
    settings: Settings,
    as_of: pd.Timestamp | None,
    keep_odd_dates: bool = False,
    items: bool = False,
) -> Reading:
    """The reading of all orders before `as_of`, by default the midnight after the last; a sentence where there
    are none, or their currency or what a status means is unclear."""
    collection, fields = active_collection(db, settings.orders_collection), order_fields(settings)
    dates, in_cents = order_dates(settings), amounts_in_cents(settings)
    counts = count_orders(collection, fields, dates, settings, items)
    per_range = range_size(counts["rows"].sum(), counts["lines"].sum(), settings)
    key, addresses = find_key(db, settings, RECORDS), bool(counts["addresses"].any())
    if addresses:
        hash_address("", key)  # stops where there is no key
        say("Noted", HASHED)
    currency = choose_currency(counts.groupby("currency")["rows"].sum(), settings.report_currency)
    counts = counts[counts["currency"] == currency]
    blank, words = choose_sold_words(counts, settings)
    first, last = choose_span(collection, fields, counts, keep_odd_dates, settings)
    span = first.normalize(), last.normalize() + pd.Timedelta(days=1)
    return Reading(
        collection=collection.name,
        fields=fields,
        types=choose_types(counts, items),
        dates=dates,
        unit=10 ** decimals(currency) if in_cents else 1,
        time_zone=settings.time_zone,
        currency=currency,
        blank=blank,
        sold_words=words,
        span=span,
        as_of=as_of or span[1],
        addresses=addresses,
        key=key,
        ranges=split_by_customer(collection, fields, per_range, addresses),
        source=describe_source(collection, settings, "" if currency == NONE else currency),
    )


# --- the settings ---


def order_fields(settings: Settings) -> dict[str, str]:
    """{our name: the field's} of an order and of its items."""
    texts = ("customer_id", "status", "currency", "channel", "country")
    names = (*texts, "order_date", "total", "sold", "items", *ITEM)
    return dict(zip(names, names, strict=True)) | parse_mapping(settings.order_fields, names, "ORDER_FIELDS")


def amounts_in_cents(settings: Settings) -> bool:
    """Whether ORDER_AMOUNTS says that amounts are in the currency's smallest unit; stops at another value."""
    if settings.order_amounts not in ("", "cents"):
        fail(f"ORDER_AMOUNTS={settings.order_amounts} is not cents: leave it out for amounts such as 19.99.")
    return bool(settings.order_amounts)


# --- what the server counts ---


def count_orders(
    collection: Collection, fields: dict[str, str], dates: str, settings: Settings, items: bool = False
) -> pd.DataFrame:
    """One row per currency (upper case), word (of the status), says_sold (whether the field sold is a boolean)
    and half_year (missing without a readable date): rows, lines (where `items` are counted, else 0), addresses
    (whether a customer id is one), first and last (order_date in UTC)."""
    sold, customer, when = f"${fields['sold']}", f"${fields['customer_id']}", usual_date(fields, dates, settings)
    lines = f"${fields['items']}"
    is_text, at = {"$eq": [{"$type": customer}, "string"]}, {"$indexOfBytes": [customer, "@"]}
    key = {
        "currency": convert("string", fields["currency"]),
        "status": convert("string", fields["status"]),
        "says_sold": {"$eq": [{"$type": sold}, "bool"]},
        "half_year": {"$floor": {"$divide": [{"$toLong": when}, HALF_A_YEAR]}},
    }
    sums = {
        "rows": {"$sum": 1},
        "lines": {"$sum": {"$cond": [{"$isArray": lines}, {"$size": lines}, 0]} if items else 0},
        "addresses": {"$max": {"$cond": [is_text, {"$gte": [at, 0]}, {"$literal": False}]}},
        "first": {"$min": when},
        "last": {"$max": when},
    }
    with read_session(collection) as (chosen, session):
        found = list(chosen.aggregate([{"$group": {"_id": key} | sums}], session=session))
    if not found:
        fail(
            f"The collection {settings.orders_collection} in the database {settings.mongo_db} is empty: run "
            f"{command('1_data_generation.py')} first, or name another database in MONGO_DB."
        )
    counts = pd.DataFrame([row.pop("_id") | row for row in found]).fillna({"currency": "", "status": ""})
    counts["currency"] = [text.upper() or NONE for text in counts["currency"]]
    counts["word"] = [normalise(text) for text in counts["status"]]
    return counts.astype({"first": "datetime64[ms]", "last": "datetime64[ms]"})


def usual_date(fields: dict[str, str], dates: str, settings: Settings) -> dict:
    """MongoDB's expression for an order's date, null where it has none that can be one."""

    def usual(value: str) -> dict:
        recent = {"$and": [{"$gte": [value, DAYS_OF_1970]}, {"$lt": [value, YEARS[1]]}]}
        no_date = {"$in": [value, epochs(settings.time_zone)]}
        early = {"$and": [{"$gte": [value, YEARS[0]]}, {"$lt": [value, DAYS_OF_1970]}, {"$not": [no_date]}]}
        return {"$or": [recent, early]}

    raw = f"${fields['order_date']}"
    converted = {"$cond": [usual("$$date"), "$$date", None]}
    otherwise = {"$let": {"vars": {"date": convert("date", fields["order_date"], dates=dates)}, "in": converted}}
    return {"$cond": [usual(raw), raw, otherwise]}  # most are dates already, and soon told


# --- what follows from it ---


def range_size(orders: float, lines: float, settings: Settings) -> int:
    """How many orders a range may have, so that all processes together hold RANGE_ORDERS of them, or as many
    lines as these usually have."""
    room = settings.orders_per_range / max(1.0, lines / orders / USUAL_LINES)
    return math.ceil(room if orders <= room else room / count_processes(settings))


def choose_types(counts: pd.DataFrame, items: bool) -> dict[str, str]:
    """{our name: type} of what is read of an order, as in read_columns."""
    labels = ("customer_id", "status", "currency", *(("channel", "country") if items else ()))
    types = dict.fromkeys(labels, "label") | {"order_date": "date", "total": "double"}
    types |= {"sold": "flag"} if counts["says_sold"].any() else {}
    return types | ({"items": "items"} if items else {})


def choose_currency(rows: pd.Series, wanted: str) -> str:
    """The only currency there is, or the one that REPORT_CURRENCY names; `rows` counts orders by currency."""
    largest_first = rows.sort_values(ascending=False, kind="stable")
    counts = ", ".join(f"{name} ({n:,})" for name, n in largest_first.items())
    if len(rows) > 1 and not wanted:
        fail(f"The orders are in several currencies, {counts}: choose one with REPORT_CURRENCY.")
    chosen = NONE if wanted.lower() == NONE else wanted.upper() or str(rows.index[0])
    if chosen not in rows.index:
        fail(f"No order is in the currency {chosen}, as REPORT_CURRENCY says: they are in {counts}.")
    return chosen


def choose_sold_words(counts: pd.DataFrame, settings: Settings) -> tuple[str, frozenset[str]]:
    """What stands for the status of an order without one, and the statuses that are sales; stops where it is not
    known of one whether it is. Where no order has a status, all are sales."""
    names = "SOLD_STATUSES and NOT_SOLD_STATUSES"
    users = user_words(settings.sold_statuses, settings.not_sold_statuses, names)
    if (counts["word"] == BLANK).all():
        return NONE, frozenset({NONE})
    words: dict = counts[~counts["says_sold"]].groupby("word")["rows"].sum().to_dict()
    return BLANK, sold_words(words, [users, general_words()], f"Say which are, in {names} of .env.")


def choose_span(
    collection: Collection, fields: dict[str, str], counts: pd.DataFrame, keep_odd_dates: bool, settings: Settings
) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first and the last order_date (local time) that is analysed; says which orders are far from them."""
    spans = counts.groupby("half_year").agg(first=("first", "min"), last=("last", "max"), rows=("rows", "sum"))
    if spans.empty:
        fail(
            f"No order in {settings.orders_collection} has a date in the field {fields['order_date']}: name it in "
            "ORDER_FIELDS, or say in ORDER_DATES how its texts or numbers are dates."
        )
    span = (spans["first"].iloc[0], spans["last"].iloc[-1]) if keep_odd_dates else kept_span(spans)
    odd = spans.loc[(spans["last"] < span[0]) | (spans["first"] > span[1]), "rows"].sum()
    if odd:
        named = name_orders(collection, fields, counts["currency"].iloc[0], span, settings)
        orders = f"{odd:,} of {spans['rows'].sum():,} orders, over {LONGEST_GAP.days} days from all others"
        say("Noted", f"left out {orders}{named}: --keep-odd-dates takes them in")
    first, last = to_local_time(pd.Series(span), settings.time_zone)
    return first, last


def name_orders(
    collection: Collection,
    fields: dict[str, str],
    currency: str,
    span: tuple[pd.Timestamp, pd.Timestamp],
    settings: Settings,
) -> str:
    """The ids of the first SHOWN orders of the currency outside the span, in brackets; those that are addresses
    are left out."""
    when = usual_date(fields, order_dates(settings), settings)
    dated = {"when": when, "currency": {"$toUpper": convert("string", fields["currency"])}}
    outside = [{"when": {"$lt": span[0], "$ne": None}}, {"when": {"$gt": span[1]}}]
    wanted = {"currency": "" if currency == NONE else currency, "$or": outside}
    pipeline: list[dict] = [{"$project": dated}, {"$match": wanted}, {"$sort": {"when": 1}}, {"$limit": SHOWN + 1}]
    with read_session(collection) as (chosen, session):
        ids = [str(row["_id"]) for row in chosen.aggregate(pipeline, session=session)]
    shown = [name for name in ids[:SHOWN] if not is_address(name)] + ["..."] * (len(ids) > SHOWN)
    return f" ({', '.join(shown)})" if shown else ""


def refuse_quiet_end(reading: Reading) -> None:
    """Stop where as_of is later than the last order: a customer's silence from then on could as well be orders
    that are not there yet."""
    end = reading.span[1]
    if reading.as_of > end:
        fail(
            f"The orders end before {end:%Y-%m-%d}, and --as-of can be that day at the latest: nothing is known "
            "of what customers do later, so a silence of theirs could not be told from missing orders."
        )
