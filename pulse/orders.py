"""Orders and customers out of MongoDB, as tables; what a completed order, gross, refund and net are.

A reading is planned first (pulse/planning.py), then carried out a range of customers at a time (read_range):
memory holds the orders of one range. Fields may have any name and lie in subdocuments: ORDER_FIELDS and
CUSTOMER_FIELDS in .env say which is which.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from pymongo.database import Database

from common import Settings, fail, say
from pulse.columns import parse_mapping, read_columns, to_local_time
from pulse.currencies import LARGEST, decimals, is_finer, round_half_up
from pulse.dates import YEARS, epochs
from pulse.identity import hide_addresses, identify, is_address
from pulse.loads import active_collection
from pulse.planning import HASHED, NONE, Reading
from pulse.records import load_record
from pulse.statuses import BLANK, normalise

NO_DATE, NO_TOTAL, OTHER_CURRENCY = "no readable order_date", "no readable total", "in another currency"
UNREADABLE_LIMIT = 0.05  # share of the orders of the currency that is analysed


class Audit(NamedTuple):
    """What a range held, in figures that add up over ranges."""

    orders: int  # those that are analysed
    fingerprint: int  # the sum of their hashes modulo 2**64: the same for the same orders in any order
    has_buyers: bool  # whether a customer completed one of them
    others: pd.Series  # where none did: how many there are by what they are
    excluded: pd.DataFrame  # rows, amount of the others, by reason (the index, named check)
    source: dict[str, str]  # see describe_source: of all ranges the same


# --- orders ---


def read_range(db: Database, reading: Reading, where: dict) -> tuple[pd.DataFrame, Audit]:
    """The orders of one range before as_of, one row each, and what they were with those left out.

    Columns: customer_id (text, a hash for an address; missing for a guest), order_date (local time), amount
    (paid, in its currency's smallest unit), finer (whether it was rounded to that), status (lower case),
    completed, gross, refund, net; where the reading has items also channel, country and items (lists of
    structs of ITEM). Texts are sorted categories.
    """
    raw = read_columns(db[reading.collection], reading.types, reading.fields, where, reading.dates)
    orders = clean(raw, reading)
    reasons = {
        OTHER_CURRENCY: orders["currency"] != reading.currency,
        NO_DATE: orders["order_date"].isna(),
        NO_TOTAL: orders["amount"].isna(),
        "date far from all others": ~orders["order_date"].between(*reading.span, inclusive="left"),
        "on or after as_of": orders["order_date"] >= reading.as_of,
    }
    code = np.select(list(reasons.values()), range(len(reasons)), -1)
    reason = pd.Series(pd.Categorical.from_codes(code, pd.Index(reasons)), orders.index)
    excluded = pd.DataFrame({"rows": 1, "amount": orders["amount"]}).groupby(reason, observed=True).sum()
    orders = orders[code < 0].drop(columns="currency").reset_index(drop=True)
    has_buyers = bool((orders["completed"] & orders["customer_id"].notna()).any())
    others = count_kinds(orders[:0] if has_buyers else orders)
    excluded = excluded.rename_axis("check")
    return orders, Audit(len(orders), fingerprint(orders), has_buyers, others, excluded, reading.source)


def count_kinds(orders: pd.DataFrame) -> pd.Series:
    """How many of these orders, none of them a customer's completed one, are what."""
    status = orders["status"].astype(object).map(hide_addresses)
    kinds = np.select([orders["completed"], orders["amount"] < 0], ["of guests", "below 0"], "not sold: " + status)
    return pd.Series(kinds, dtype=object).value_counts()


def clean(raw: pd.DataFrame, reading: Reading) -> pd.DataFrame:
    """The orders as read_range has them, with currency; what is no date, no amount or no text is missing."""
    orders = raw.rename(columns={"total": "amount"})
    when = orders["order_date"]
    usual = (when >= YEARS[0]) & (when < YEARS[1]) & ~when.isin(epochs(reading.time_zone))
    orders["order_date"] = to_local_time(when.where(usual), reading.time_zone)
    named: dict = {"customer_id": partial(identify, key=reading.key)}
    for name in orders.select_dtypes("category"):
        orders[name] = relabel(orders[name], named.get(name, lambda text: text if text.strip() else None))
    orders["currency"] = relabel(orders["currency"], str.upper, missing=NONE)
    exact = orders["amount"] / reading.unit
    exact = exact.where(exact.abs() < LARGEST)
    places = np.array([decimals(currency) for currency in orders["currency"].cat.categories], int)
    orders["amount"] = round_half_up(exact, places[orders["currency"].cat.codes])
    orders["finer"] = is_finer(exact, orders["amount"])
    words = {BLANK: reading.blank}
    orders["status"] = relabel(
        orders["status"], lambda text: words.get(normalise(text), normalise(text)), reading.blank
    )
    return add_revenue(orders, reading.sold_words)


def add_revenue(orders: pd.DataFrame, sold_words: frozenset[str]) -> pd.DataFrame:
    """The orders with completed (a sale that counts), gross (the amount of one, else 0), refund (a negative
    amount, else 0) and net (gross + refund), from status, amount and, where there is one, the column sold.

    Where `sold` says nothing, the status decides; there a negative amount is always a refund.
    """
    amount, sold = orders["amount"], orders["status"].isin(sold_words)
    refunded = amount < 0
    if "sold" in orders:
        said = orders["sold"]
        refunded, sold = refunded & said.fillna(True).astype(bool), said.fillna(sold).astype(bool)
    completed = sold & (amount >= 0)
    gross, refund = amount.where(completed, 0.0), amount.where(refunded, 0.0)
    orders = orders.drop(columns="sold", errors="ignore")
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
    facts = orders[["customer_id", "order_date", "amount", "status", "completed", "net"]]
    return int(pd.util.hash_pandas_object(facts, index=False).sum())


def add_audits(audits: list[Audit], reading: Reading, settings: Settings) -> Audit:
    """The audit of all ranges, said on the console; stops where too many orders cannot be read, or where no
    customer completed one."""
    orders, fingerprints, buyers, others, tables, _ = zip(*audits, strict=True)
    excluded: pd.DataFrame = pd.concat(tables).groupby(level=0, observed=True).sum()
    require_readable(excluded["rows"], sum(orders), reading)
    if not any(buyers):
        kinds = [f"{n:,} {kind}" for kind, n in pd.concat(others).groupby(level=0).sum().items()]
        kinds += [f"{n:,} left out, {reason}" for reason, n in excluded["rows"].items()]
        fail(
            f"No completed order of a customer lies before {reading.as_of:%Y-%m-%d} in {settings.mongo_db} "
            f"({'; '.join(kinds)}): check --as-of, REPORT_CURRENCY, ORDER_FIELDS and SOLD_STATUSES, or load some."
        )
    say("Read", f"{sum(orders):,} orders before {reading.as_of:%Y-%m-%d}, {excluded['rows'].sum():,} left out")
    return Audit(sum(orders), sum(fingerprints) % 2**64, True, pd.concat(others), excluded, reading.source)


def require_readable(excluded: pd.Series, analysed: int, reading: Reading) -> None:
    """Stop where over UNREADABLE_LIMIT of the currency's orders have no readable date or total; `excluded` counts
    orders by reason."""
    total = analysed + excluded.drop(OTHER_CURRENCY, errors="ignore").sum()
    no_date, no_total = (excluded.get(reason, 0) for reason in (NO_DATE, NO_TOTAL))
    if no_date + no_total > UNREADABLE_LIMIT * total:
        fail(
            f"Of {total:,} orders, {no_date:,} have no readable date (field {reading.fields['order_date']}) and "
            f"{no_total:,} others no readable total (field {reading.fields['total']}), over "
            f"{UNREADABLE_LIMIT:.0%}: name the right fields in ORDER_FIELDS, or say in ORDER_DATES how texts or "
            "numbers are dates."
        )


# --- customers ---


def customer_fields(settings: Settings) -> dict[str, str]:
    """{our name: the field's} of a customer; pulse/addresses.py alone reads name and email."""
    names = ("customer_id", "signup_date", "country", "city", "acquisition_channel", "name", "email")
    fields = dict(zip(names, names, strict=True)) | {"customer_id": "_id"}
    return fields | parse_mapping(settings.customer_fields, names, "CUSTOMER_FIELDS")


def read_customers(db: Database, settings: Settings, reading: Reading) -> pd.DataFrame:
    """One row per customer: customer_id (as in read_range), signup_date (a day), country, city,
    acquisition_channel."""
    types = {"customer_id": "string", "signup_date": "date"}
    types |= dict.fromkeys(("country", "city", "acquisition_channel"), "string")
    collection, fields = active_collection(db, settings.customers_collection), customer_fields(settings)
    customers = read_columns(collection, types, fields, dates=reading.dates).dropna(subset="customer_id")
    customers = name_customers(customers, settings, reading)
    days = customers["signup_date"].dt.normalize()
    if (customers["signup_date"] > days).any():  # times, not days
        days = to_local_time(customers["signup_date"], settings.time_zone).dt.normalize()
    return customers.assign(signup_date=days)


def name_customers(customers: pd.DataFrame, settings: Settings, reading: Reading) -> pd.DataFrame:
    """The customers under their ids in the tables, without nobody; of several with one address, who signed up
    first. Stops where two others have one id."""
    addresses = customers["customer_id"].map(is_address).astype(bool)
    ids = pd.array([identify(text, reading.key) for text in customers["customer_id"]], dtype="str")
    customers = customers.assign(customer_id=ids).dropna(subset="customer_id")
    if customers.loc[~addresses, "customer_id"].duplicated().any():
        fail(f"Two documents in {settings.customers_collection} have one customer id (as text): make them differ.")
    if addresses.any() and not reading.addresses:
        say("Noted", HASHED)
    by_signup = customers.sort_values("signup_date", kind="stable")
    once = by_signup.drop_duplicates("customer_id").sort_index()
    if len(once) < len(customers):
        twice = f"{len(customers) - len(once):,} documents in {settings.customers_collection}"
        say("Noted", f"{twice} have the address of another: who signed up first is counted")
    return once


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
