"""Orders and customers out of MongoDB, as tables; what a completed order, gross, refund and net are.

A reading is planned first (plan_reading), then carried out a range of customers at a time (read_range):
memory holds the orders of one range. Fields may have any name and lie in subdocuments: ORDER_FIELDS and
CUSTOMER_FIELDS in .env say which is which.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pymongo.collection import Collection
from pymongo.database import Database

from common import Settings, fail, parse_mapping, say
from pulse.columns import ITEM, convert, read_columns, to_local_time
from pulse.database import read_session
from pulse.loads import active_collection, load_record
from pulse.ranges import split_by_customer

NOT_COMPLETED = ("cancelled", "canceled", "voided", "failed", "refunded")  # order statuses, in any case
YEARS = (datetime(1900, 1, 1), datetime(2100, 1, 1))  # a date outside is an error
NONE = "none"  # in place of a missing status or currency


@dataclass(frozen=True)
class Reading:
    """What will be read: decided before the first order is read, the same for every range and worker."""

    collection: str
    fields: dict[str, str]  # our name: the field's
    types: dict[str, str]  # our name: as in read_columns
    time_zone: ZoneInfo
    currency: str
    as_of: pd.Timestamp  # only orders strictly before it
    ranges: list[dict]  # MongoDB's filters: every order is in one, a customer's all in the same


class Audit(NamedTuple):
    """What a range held, in figures that add up over ranges."""

    orders: int  # those that are analysed
    fingerprint: int  # the sum of their hashes modulo 2**64: the same for the same orders in any order
    has_buyers: bool  # whether a customer completed one of them
    excluded: pd.DataFrame  # rows, amount of the others, by reason (the index, named check)


# --- planning ---


def plan_reading(db: Database, settings: Settings, as_of: pd.Timestamp | None, items: bool = False) -> Reading:
    """The reading of all orders before `as_of`, by default the midnight after the last; a sentence where
    there are none, their currency is unclear, or as_of is later than that midnight."""
    collection, fields = active_collection(db, settings.orders_collection), order_fields(settings)
    currencies = count_currencies(collection, fields, settings.time_zone)
    if not len(currencies):
        fail(
            f"The collection {settings.orders_collection} in the database {settings.mongo_db} is empty: run "
            "1_data_generation.py first, or name another database in MONGO_DB."
        )
    labels = ("customer_id", "status", "currency", *(("channel", "country") if items else ()))
    types = dict.fromkeys(labels, "label") | {"order_date": "date", "total": "double"}
    return Reading(
        collection=collection.name,
        fields=fields,
        types=types | ({"items": "items"} if items else {}),
        time_zone=settings.time_zone,
        currency=choose_currency(currencies["rows"], settings.report_currency),
        as_of=choose_as_of(currencies["last"], as_of, fields, settings),
        ranges=split_by_customer(collection, fields, settings.orders_per_range),
    )


def order_fields(settings: Settings) -> dict[str, str]:
    """{our name: the field's} of an order and of its items."""
    names = ("customer_id", "order_date", "total", "status", "currency", "channel", "country", "items", *ITEM)
    return dict(zip(names, names, strict=True)) | parse_mapping(settings.order_fields, names, "ORDER_FIELDS")


def count_currencies(collection: Collection, fields: dict[str, str], zone: ZoneInfo) -> pd.DataFrame:
    """By currency, upper case: rows, last (order_date, local time)."""
    when, currency = convert("date", fields["order_date"]), convert("string", fields["currency"])
    usual = {"$and": [{"$gte": [when, YEARS[0]]}, {"$lt": [when, YEARS[1]]}]}
    group = {"_id": currency, "rows": {"$sum": 1}, "last": {"$max": {"$cond": [usual, when, None]}}}
    with read_session(collection) as (chosen, session):
        found = chosen.aggregate([{"$group": group}], session=session)
        table = pd.DataFrame(found, columns=["_id", "rows", "last"])
    table["last"] = to_local_time(pd.to_datetime(table["last"]), zone)
    names = table["_id"].replace({"": None}).astype("str").str.upper().fillna(NONE)
    return table.groupby(names).agg(rows=("rows", "sum"), last=("last", "max"))


def choose_currency(rows: pd.Series, wanted: str) -> str:
    """The only currency there is, or the one that REPORT_CURRENCY names; `rows` counts orders by currency."""
    if len(rows) > 1 and not wanted:
        largest_first = rows.sort_values(ascending=False, kind="stable")
        counts = ", ".join(f"{name} ({n:,})" for name, n in largest_first.items())
        fail(f"The orders are in several currencies, {counts}: choose one with REPORT_CURRENCY.")
    return NONE if wanted.lower() == NONE else wanted.upper() or str(rows.index[0])


def choose_as_of(
    last: pd.Series, wanted: pd.Timestamp | None, fields: dict[str, str], settings: Settings
) -> pd.Timestamp:
    """The day asked for, or the midnight after the last order; `last` is the latest order_date by currency."""
    if last.isna().all():
        field = fields["order_date"]
        fail(f"No order in {settings.orders_collection} has a date in the field {field}: name it in ORDER_FIELDS.")
    end = last.max().normalize() + pd.Timedelta(days=1)
    if wanted and wanted > end:
        fail(
            f"The orders in {settings.mongo_db} end before {end:%Y-%m-%d}: --as-of can be that day at the latest."
        )
    return wanted or end


# --- carrying it out ---


def read_range(db: Database, reading: Reading, where: dict) -> tuple[pd.DataFrame, Audit]:
    """The orders of one range before as_of, one row each, and what they were with those left out.

    Columns: customer_id (text, whatever it is in the database; missing for a guest), order_date (local
    time), amount (paid, to the cent), status (lower case), completed, gross, refund, net; where the
    reading has items also channel, country and items (lists of structs of ITEM). Texts are sorted
    categories.
    """
    raw = read_columns(db[reading.collection], reading.types, reading.fields, where)
    orders = clean(raw, reading.time_zone)
    reasons = {
        "no readable order_date": orders["order_date"].isna(),
        "no readable total": orders["amount"].isna(),
        "in another currency": orders["currency"] != reading.currency,
        "on or after as_of": orders["order_date"] >= reading.as_of,
    }
    code = np.select(list(reasons.values()), range(len(reasons)), -1)
    reason = pd.Series(pd.Categorical.from_codes(code, pd.Index(reasons)), orders.index)
    excluded = pd.DataFrame({"rows": 1, "amount": orders["amount"]}).groupby(reason, observed=True).sum()
    orders = orders[code < 0].drop(columns="currency").reset_index(drop=True)
    has_buyers = bool((orders["completed"] & orders["customer_id"].notna()).any())
    return orders, Audit(len(orders), fingerprint(orders), has_buyers, excluded.rename_axis("check"))


def clean(raw: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """The orders as read_range has them, with currency; what is no date, no amount or no text is missing."""
    orders = raw.rename(columns={"total": "amount"})
    when = orders["order_date"]
    orders["order_date"] = to_local_time(when.where((when >= YEARS[0]) & (when < YEARS[1])), zone)
    orders["amount"] = orders["amount"].round(2).replace([np.inf, -np.inf], np.nan)
    for name in orders.select_dtypes("category"):
        orders[name] = relabel(orders[name], lambda text: text or None)
    orders["currency"] = relabel(orders["currency"], str.upper, missing=NONE)
    orders["status"] = relabel(orders["status"], lambda text: text.strip().lower().removeprefix("wc-"), NONE)
    return add_revenue(orders)


def add_revenue(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with completed (a sale that counts), gross (the amount of one, else 0), refund (a negative
    amount, else 0) and net (gross + refund), from status and amount."""
    completed = ~orders["status"].isin(NOT_COMPLETED) & (orders["amount"] >= 0)
    gross, refund = orders["amount"].where(completed, 0.0), orders["amount"].clip(upper=0)
    return orders.assign(completed=completed, gross=gross, refund=refund, net=gross + refund)


def relabel(labels: pd.Series, rename: Callable[[str], str | None], missing: str | None = None) -> pd.Series:
    """The categories renamed, sorted, and those of an equal name united; `missing` for what is missing."""
    renamed = [*map(rename, labels.cat.categories), missing]
    codes, names = pd.factorize(np.array(renamed, dtype=object), sort=True)
    # a missing value has the code -1, which picks the last of `codes`, that of `missing`
    values = pd.Categorical.from_codes(codes[labels.cat.codes], pd.Index(names, dtype="str"))
    return pd.Series(values, labels.index)


def fingerprint(orders: pd.DataFrame) -> int:
    """A number modulo 2**64 that tells these orders from others, in whatever order they come."""
    facts = orders[["customer_id", "order_date", "amount", "status"]]
    return int(pd.util.hash_pandas_object(facts, index=False).sum())


def add_audits(audits: list[Audit], reading: Reading, settings: Settings) -> Audit:
    """The audit of all ranges, said on the console; stops where no customer completed an order."""
    orders, fingerprints, buyers, tables = zip(*audits, strict=True)
    excluded = pd.concat(tables).groupby(level=0, observed=True).sum()
    if not any(buyers):
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in excluded["rows"].items())
        fail(
            f"No completed order of a customer lies before {reading.as_of:%Y-%m-%d} in {settings.mongo_db} (left "
            f"out: {reasons or 'none'}): check --as-of, REPORT_CURRENCY and ORDER_FIELDS, or load some."
        )
    say("Read", f"{sum(orders):,} orders before {reading.as_of:%Y-%m-%d}, {excluded['rows'].sum():,} left out")
    return Audit(sum(orders), sum(fingerprints) % 2**64, True, excluded)


# --- customers ---


def read_customers(db: Database, settings: Settings) -> pd.DataFrame:
    """One row per customer: customer_id, signup_date (a day), country, city, acquisition_channel."""
    texts = ("country", "city", "acquisition_channel")
    fields = {"customer_id": "_id"} | {name: name for name in ("signup_date", *texts)}
    fields |= parse_mapping(settings.customer_fields, tuple(fields), "CUSTOMER_FIELDS")
    types = {"customer_id": "string", "signup_date": "date"} | dict.fromkeys(texts, "string")
    collection = active_collection(db, settings.customers_collection)
    customers = read_columns(collection, types, fields).dropna(subset="customer_id")
    twice = customers.loc[customers["customer_id"].duplicated(), "customer_id"]
    if len(twice):
        fail(
            f"Two documents in {settings.customers_collection} have the customer id {twice.iloc[0]} (as text): "
            "make them differ."
        )
    days = customers["signup_date"].dt.normalize()
    if (customers["signup_date"] > days).any():  # times, not days
        days = to_local_time(customers["signup_date"], settings.time_zone).dt.normalize()
    return customers.assign(signup_date=days)


def read_truth(db: Database, settings: Settings) -> pd.DataFrame | None:
    """What the generator knows of a simulated shop, for script 3's report alone; None for a real shop.

    One row per customer, indexed by customer_id: persona (a number), lapsed_on.
    """
    if not load_record(db, active_collection(db, settings.orders_collection).name):
        return None
    fields = {"customer_id": "_id", "persona": "persona", "lapsed_on": "lapsed_on"}
    types = {"customer_id": "string", "persona": "string", "lapsed_on": "date"}
    truth = read_columns(active_collection(db, "simulation_truth"), types, fields).set_index("customer_id")
    return truth.assign(persona=truth["persona"].astype("category").cat.codes) if len(truth) else None
