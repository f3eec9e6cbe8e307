"""Step 1: put customers and orders into MongoDB, either simulated or from a CSV file of your own.

    python 1_data_generation.py                       a synthetic shop, the same for the same seed
    python 1_data_generation.py --import orders.csv   your orders in its place

The simulated shop is a documented process. A customer of one of three personas signs up, orders at
gamma-distributed gaps, and after each order may lapse for good: likely in the first few orders,
rarely once a habit has formed. Seasons bend time itself: the shop's clock runs fast in November.
In an erratic shop gaps have no rhythm, and who lapses fades away slowly: churn is hard to foretell.
"""

import csv
import gzip
import re
import shutil
import sys
import zlib
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from glob import escape
from itertools import chain, count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4
from zipfile import BadZipFile

import duckdb
import numpy as np
import pandas as pd
from faker import Faker
from openpyxl import load_workbook
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.write_concern import WriteConcern
from tqdm import tqdm

from common import (
    LOADS,
    MAPPINGS,
    MONGO_DB,
    MONGO_URI,
    STAGING,
    SWITCHING,
    collection_id,
    database,
    iso_date,
    load_record,
    pairs,
    parse,
    patiently,
    range_orders,
    say,
    server,
    setting,
    stop,
    time_zone,
    whole,
)

# --- the knobs of the simulation ---

PERSONAS = {  # share of customers; typical days between orders and the gamma shape of that gap (the
    # higher, the more regular); chance to lapse after each of the first EARLY_ORDERS, and after a later one
    "one-off": {"share": 0.25, "gap": 30, "shape": 4, "early_lapse": 0.85, "later_lapse": 0.500},
    "regular": {"share": 0.45, "gap": 28, "shape": 6, "early_lapse": 0.14, "later_lapse": 0.002},
    "loyal": {"share": 0.30, "gap": 16, "shape": 6, "early_lapse": 0.04, "later_lapse": 0.001},
}
EARLY_ORDERS = 3
ERRATIC_SHAPE = 1  # with --erratic, in place of the persona's shape: gaps without any rhythm
ERRATIC_FADING = 1.5  # there, who lapses fades away: each further gap is longer by this factor
NEVER_ORDERS = 0.03  # share of customers who sign up and leave it at that
DAYS_TO_FIRST_ORDER = 2  # mean, from the sign-up
SIGNUPS_YEAR_ON_YEAR = 0.85  # not 1: a launch that cools down; revenue grows by those who stay

BY_MONTH = (0.90, 0.88, 0.95, 0.97, 1.00, 0.97, 0.92, 0.90, 0.98, 1.05, 1.27, 1.21)  # demand, Jan-Dec
BY_WEEKDAY = (1.04, 0.99, 0.97, 0.97, 0.95, 0.97, 1.11)  # Mon-Sun
BY_HOUR = (4, 2, 1, 1, 1, 2, 5, 9, 14, 18, 21, 22, 24, 23, 22, 22, 22, 23, 26, 32, 37, 36, 26, 13)

CATEGORIES = {  # share of order lines, typical unit price, months of doubled demand
    "Electronics": (0.14, 119, (11, 12)),
    "Fashion": (0.24, 39, (3, 9)),
    "Home & Kitchen": (0.18, 34, ()),
    "Beauty": (0.14, 19, ()),
    "Sports": (0.10, 45, (1, 5)),
    "Books": (0.09, 14, ()),
    "Toys": (0.07, 24, (11, 12)),
    "Garden": (0.04, 29, (4, 5, 6)),
}
PRODUCTS_PER_CATEGORY = 24
MORE_LINES = 0.8  # mean number of order lines beyond the first
QUANTITY = (0.85, 0.11, 0.04)  # the chances of 1, 2 and 3 units in a line
DISCOUNTS = {0.00: 0.80, 0.10: 0.12, 0.20: 0.08}  # rate: share of orders
SHIPPING, FREE_SHIPPING_FROM = 4.95, 50
CANCELLED, REFUNDED = 0.02, 0.015  # shares of orders; a refunded one is returned as a whole
CREDIT_NOTES, DAYS_TO_CREDIT = 0.02, 21  # share of orders with a line returned; days at the most

APP_SHARE, MARKETPLACE_SHARE = (0.20, 0.45), 0.15  # of orders; the app's at the start and at the end
ACQUISITION = {
    "organic search": 0.30, "paid search": 0.22, "social": 0.18,
    "email": 0.12, "referral": 0.11, "affiliate": 0.07,
}  # fmt: skip
COUNTRIES = {  # share of customers, and Faker's locale for their names and cities
    "United States": (0.34, "en_US"), "United Kingdom": (0.18, "en_GB"), "Germany": (0.16, "de_DE"),
    "France": (0.12, "fr_FR"), "Spain": (0.08, "es_ES"), "Poland": (0.07, "pl_PL"), "Sweden": (0.05, "sv_SE"),
}  # fmt: skip
CITIES_PER_COUNTRY = 12
NAMES_PER_COUNTRY = 200
BLOCK = 1_000  # customers simulated at a time: memory stays flat, however many they are

# --- the rules of an import ---

COLUMNS = (
    *("order_id", "customer_id", "order_date", "amount", "quantity", "unit_price", "status"),
    *("product_id", "category", "channel", "country", "currency"),
)
IDS, HEAD = {"order_id", "customer_id", "product_id"}, ("status", "channel", "country", "currency")
ONLINE_RETAIL = {  # the UCI data set's columns; there C begins the id of a cancellation, A of an adjustment
    "order_id": "InvoiceNo",
    "product_id": "StockCode",
    "quantity": "Quantity",
    "order_date": "InvoiceDate",
    "unit_price": "UnitPrice",
    "customer_id": "CustomerID",
    "country": "Country",
}
TWO_WAYS = "^[0-9][0-9]?[./-][0-9][0-9]?[./-][0-9]"  # 03/04/2025, in March or in April
REJECT_LIMIT = 0.05  # share of rows that may be left out before a load stops
REPEATED = "repeated line, kept"  # the one remark on rows that are not left out
IMPORT_MEMORY = "150MB"  # DuckDB's share; the rest of a file waits on disk
EXCEL = (".xlsx", ".xlsm")
BATCH = 2_000  # documents, or rows of Excel, at a time

COLLECTIONS = ("customers", "simulation_truth", "orders")  # what a load replaces, orders last
NO_SUCH_COLLECTION = 26  # MongoDB's code


def main() -> None:
    args = arguments()
    refuse_mapped_database()
    left_out = {}
    with database() as db:
        refuse_foreign_collections(db)
        switch(db)  # what an interrupted run had left complete
        if args.file:
            blocks = import_orders(args, left_out)
            origin = f"imported from {args.file.name}"
        else:
            start = args.end_date + pd.Timedelta(days=1) - pd.DateOffset(years=args.years)
            blocks = simulate(args.customers, start, args.end_date, args.seed, args.erratic)
            origin = f"simulated, seed {args.seed}" + ", erratic" * args.erratic
        counts = load(db, blocks, origin, left_out)
    say("Loaded", f"{counts['customers']:,} customers and {counts['orders']:,} orders ({origin})")
    say("Into", f"{server()}, database {MONGO_DB}")
    say("Next", "python 2_data_analysis.py")


def arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    option = parser.add_argument_group("to simulate a shop").add_argument
    option("--customers", type=whole(1, 10**8), default=5_000, help="how many (default 5000)")
    option("--years", type=whole(1, 50), default=3, help="of history (default 3)")
    option("--seed", type=whole(0, 2**32), default=42, help="the same seed, the same shop (default 42)")
    option("--end-date", type=iso_date, default="2025-12-31", help="its last day (default 2025-12-31)")
    option("--erratic", action="store_true", help="irregular gaps and slow fading: churn is hard to foretell")
    option = parser.add_argument_group("to load your own orders").add_argument
    option("--import", type=existing_file, dest="file", metavar="FILE", help="CSV (also .gz), Parquet or Excel")
    option("--columns", type=column_names, default={}, help="order_id=InvoiceNo,customer_id=Client,...")
    option("--dates", choices=("day-first", "month-first"), help="how to read 03/04/2025")
    option(
        "--decimal",
        choices=(".", ","),
        default=".",
        metavar="MARK",
        help="decimal mark of a CSV's numbers (default .)",
    )
    option(
        "--thousands", choices=(",", ".", " ", "'"), default="", metavar="MARK", help="their thousands separator"
    )
    option("--encoding", default="utf-8-sig", help="of a CSV (default UTF-8; latin-1, cp1252 ...)")
    option("--accept-rejects", action="store_true", help="load the rest where over 5%% of rows are unusable")
    args = parse(parser)
    if args.decimal == args.thousands:
        stop(f"--decimal and --thousands are both {args.decimal!r}: add --decimal , (or .) for the other mark.")
    return args


def existing_file(text: str) -> Path:
    """An argparse type: the path of a file."""
    if not Path(text).is_file():
        raise ArgumentTypeError(f"{text} cannot be opened, there is no such file")
    return Path(text)


def column_names(text: str) -> dict[str, str]:
    """An argparse type: {our name: the file's column}."""
    return pairs(text, COLUMNS, "--columns")


# --- simulating a shop ---


def simulate(
    n_customers: int, start: pd.Timestamp, end: pd.Timestamp, seed: int, erratic: bool = False
) -> Iterator[dict]:
    """The shop's documents, a block of customers at a time: {collection: documents}.

    Each block draws from a random stream of its own, so it does not depend on the one before.
    """
    days = demand_clock(start, end)
    shared, *streams = np.random.SeedSequence(seed).spawn(1 + -(-n_customers // BLOCK))
    catalogue, names = make_catalogue(np.random.default_rng(shared)), make_names(seed)
    n_orders = 0
    blocks = list(zip(range(0, n_customers, BLOCK), streams, strict=True))
    for first, stream in tqdm(blocks, "Simulating", unit="block", disable=None, leave=False):
        rng, n = np.random.default_rng(stream), min(BLOCK, n_customers - first)
        ids = numbered("C", first, n)
        persona = rng.choice(list(PERSONAS), n, p=[p["share"] for p in PERSONAS.values()])
        signup = signup_times(n, days, rng)
        buyer, bought, lapsed = purchases(persona, signup, days[-1], rng, erratic)
        when = to_dates(bought, days, start)
        orders, lines = fill_baskets(buyer, when, bought / days[-1], catalogue, rng)
        orders, lines = add_credit_notes(orders, lines, end, rng)
        orders["customer_id"] = ids[orders["customer_id"]]
        orders.insert(0, "_id", numbered("O", n_orders, len(orders)))
        orders["items"] = items_of_orders(lines, len(orders))
        n_orders += len(orders)
        people = make_profiles(ids, to_dates(signup, days, start), names, rng)
        truth = {"_id": ids, "persona": persona, "lapsed_on": to_dates(lapsed, days, start)}
        yield {
            "customers": documents(people),
            "orders": documents(orders),
            "simulation_truth": documents(pd.DataFrame(truth)),
        }


def demand_clock(start: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
    """The shop's own time at every midnight from `start` to the one after `end`, in average days.

    Where demand is twice the average, the clock runs twice as fast and orders come twice as close.
    """
    dates = pd.date_range(start, end)
    demand = np.array(BY_MONTH)[dates.month - 1] * np.array(BY_WEEKDAY)[dates.day_of_week]
    return np.append(0, demand.cumsum() / demand.mean())


def to_dates(times: np.ndarray, days: np.ndarray, start: pd.Timestamp) -> np.ndarray:
    """The calendar days (datetime64[D]; NaT for NaN) of times on the demand clock."""
    missing = np.isnan(times)
    day = np.searchsorted(days, np.where(missing, 0, times), side="right") - 1
    dates = np.datetime64(start, "D") + day
    dates[missing] = np.datetime64("NaT")
    return dates


def signup_times(n: int, days: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """n times on the demand clock, their density changing by SIGNUPS_YEAR_ON_YEAR."""
    growth = SIGNUPS_YEAR_ON_YEAR ** (len(days) / 365.25)
    return np.log1p(rng.random(n) * (growth - 1)) / np.log(growth) * days[-1]


def purchases(
    persona: np.ndarray, signup: np.ndarray, end: float, rng: np.random.Generator, erratic: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every order's customer (a row number) and time, in that order; every customer's lapse or NaN."""
    buyers, times, lapsed = [], [], np.full(len(signup), np.nan)
    for name, knobs in PERSONAS.items():
        members = np.flatnonzero(persona == name)
        shape, fading = (ERRATIC_SHAPE, ERRATIC_FADING) if erratic else (knobs["shape"], np.inf)
        expected = end / knobs["gap"]
        most = int(expected + 6 * np.sqrt(expected / shape) + 6)  # nobody fits in more
        gaps = rng.gamma(shape, knobs["gap"] / shape, (len(members), most))
        gaps[:, 0] = rng.exponential(DAYS_TO_FIRST_ORDER, len(members))
        chance = np.where(np.arange(most) < EARLY_ORDERS, knobs["early_lapse"], knobs["later_lapse"])
        lapse = rng.random(gaps.shape) < chance
        lost_before = np.cumsum(lapse, axis=1) - lapse > 0
        gaps *= fading ** np.cumsum(lost_before, axis=1)
        time = signup[members, None] + gaps.cumsum(axis=1)
        placed = time < end
        placed[rng.random(len(members)) < NEVER_ORDERS] = False
        row, column = np.nonzero(placed & lapse & ~lost_before)  # the order after which they lapse
        lapsed[members[row]] = time[row, column]
        buyers.append(members[np.nonzero(placed)[0]])
        times.append(time[placed])
    buyers, times = np.concatenate(buyers), np.concatenate(times)
    order = np.lexsort((times, buyers))
    return buyers[order], times[order], lapsed


def make_catalogue(rng: np.random.Generator) -> pd.DataFrame:
    """One row per product: product_id, category, unit_price; the best sellers of a category first."""
    category = np.repeat(list(CATEGORIES), PRODUCTS_PER_CATEGORY)
    typical = np.repeat([price for _, price, _ in CATEGORIES.values()], PRODUCTS_PER_CATEGORY)
    price = np.ceil(typical * rng.lognormal(0, 0.4, len(typical))) - 0.01
    return pd.DataFrame({"product_id": numbered("P", 0, len(price)), "category": category, "unit_price": price})


def fill_baskets(
    buyer: np.ndarray,
    dates: np.ndarray,
    elapsed: np.ndarray,
    catalogue: pd.DataFrame,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What is in each order, and what it costs; `elapsed` runs from 0 to 1 over the whole history.

    Orders: customer_id (row number), order_date, status, channel, discount, shipping, total.
    Lines: order (row number), product_id, category, quantity, unit_price; sorted by order.
    """
    n = len(buyer)
    order = np.repeat(np.arange(n), 1 + rng.poisson(MORE_LINES, n))
    month = dates.astype("datetime64[M]").astype(int) % 12
    demand = np.array(
        [[share * (2 if m in peak else 1) for share, _, peak in CATEGORIES.values()] for m in range(1, 13)]
    )
    cumulative = demand.cumsum(axis=1) / demand.sum(axis=1, keepdims=True)
    category = (rng.random((len(order), 1)) > cumulative[month[order]]).sum(axis=1)
    popularity = 1 / np.arange(2, PRODUCTS_PER_CATEGORY + 2)  # Zipf's law, its head cut off
    product = rng.choice(PRODUCTS_PER_CATEGORY, len(order), p=popularity / popularity.sum())
    lines = catalogue.iloc[category * PRODUCTS_PER_CATEGORY + product].reset_index(drop=True)
    lines.insert(0, "order", order)
    lines.insert(3, "quantity", rng.choice(len(QUANTITY), len(order), p=QUANTITY) + 1)

    goods = np.bincount(order, lines["quantity"] * lines["unit_price"], minlength=n)
    discount = (goods * rng.choice(list(DISCOUNTS), n, p=list(DISCOUNTS.values()))).round(2)
    shipping = np.where(goods - discount < FREE_SHIPPING_FROM, SHIPPING, 0.0)
    hour = rng.choice(24, n, p=np.array(BY_HOUR) / sum(BY_HOUR))
    app_share = np.interp(elapsed, (0, 1), APP_SHARE)
    channel = rng.random(n)
    orders = pd.DataFrame(
        {
            "customer_id": buyer,
            "order_date": dates + (hour * 3600 + rng.integers(3600, size=n)).astype("timedelta64[s]"),
            "status": rng.choice(
                ["cancelled", "refunded", "completed"], n, p=[CANCELLED, REFUNDED, 1 - CANCELLED - REFUNDED]
            ),
            "channel": np.select(
                [channel < app_share, channel < app_share + MARKETPLACE_SHARE], ["app", "marketplace"], "web"
            ),
            "discount": discount,
            "shipping": shipping,
            "total": (goods - discount + shipping).round(2),
        }
    )
    return orders, lines


def add_credit_notes(
    orders: pd.DataFrame, lines: pd.DataFrame, end: pd.Timestamp, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The orders and lines, followed by credit notes: the first line of some completed orders comes
    back, for what was paid for it, as an order of a negative total dated when it happened."""
    chosen = np.flatnonzero((rng.random(len(orders)) < CREDIT_NOTES) & (orders["status"] == "completed"))
    notes = orders.iloc[chosen].assign(status="refunded", shipping=0.0)
    notes["order_date"] += pd.to_timedelta(rng.integers(1, DAYS_TO_CREDIT + 1, len(notes)), unit="D")
    goods = np.bincount(lines["order"], lines["quantity"] * lines["unit_price"], minlength=len(orders))
    returned = lines.drop_duplicates("order").iloc[chosen].assign(quantity=lambda f: -f["quantity"])
    value = (returned["quantity"] * returned["unit_price"]).to_numpy()
    notes["discount"] = (value * notes["discount"] / goods[chosen]).round(2)
    notes["total"] = (value - notes["discount"]).round(2)
    in_time = (notes["order_date"] < end + pd.Timedelta(days=1)).to_numpy()
    returned["order"] = len(orders) + np.cumsum(in_time) - 1
    return (
        pd.concat([orders, notes[in_time]], ignore_index=True),
        pd.concat([lines, returned[in_time]], ignore_index=True),
    )


def make_names(seed: int) -> dict[str, np.ndarray]:
    """Faker's first names, last names and cities: {kind: array of one row per country}."""
    names = {"first": [], "last": [], "city": []}
    for _, locale in COUNTRIES.values():
        faker = Faker(locale)
        faker.seed_instance(seed)
        names["first"].append([faker.first_name() for _ in range(NAMES_PER_COUNTRY)])
        names["last"].append([faker.last_name() for _ in range(NAMES_PER_COUNTRY)])
        names["city"].append([faker.unique.city() for _ in range(CITIES_PER_COUNTRY)])
    return {kind: np.array(rows, dtype=object) for kind, rows in names.items()}


def make_profiles(
    ids: np.ndarray, signup_date: np.ndarray, names: dict[str, np.ndarray], rng: np.random.Generator
) -> pd.DataFrame:
    """One row per customer: the columns of the collection customers."""
    n = len(ids)
    country = rng.choice(len(COUNTRIES), n, p=[share for share, _ in COUNTRIES.values()])
    first, last = (names[kind][country, rng.integers(NAMES_PER_COUNTRY, size=n)] for kind in ("first", "last"))
    size = 1 / np.arange(1, CITIES_PER_COUNTRY + 1)
    city = names["city"][country, rng.choice(CITIES_PER_COUNTRY, n, p=size / size.sum())]
    return pd.DataFrame(
        {
            "_id": ids,
            "name": first + " " + last,
            "email": [f"{customer.lower()}@example.com" for customer in ids],
            "country": np.array(list(COUNTRIES), dtype=object)[country],
            "city": city,
            "signup_date": signup_date,
            "acquisition_channel": rng.choice(list(ACQUISITION), n, p=list(ACQUISITION.values())),
        }
    )


def items_of_orders(lines: pd.DataFrame, n_orders: int) -> list[list[dict]]:
    """Each order's lines as a list of documents, which equal lines share; the lines are sorted by order."""
    ends = np.bincount(lines["order"], minlength=n_orders).cumsum().tolist()
    kind = lines.groupby(["product_id", "quantity"], sort=False).ngroup()
    kinds = documents(lines[~kind.duplicated()].drop(columns="order"))
    items = [kinds[n] for n in kind]
    return [items[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def numbered(letter: str, first: int, n: int) -> np.ndarray:
    """n ids that sort as text in their own order: the letter and eight digits, from first + 1."""
    return np.array([f"{letter}{number:08}" for number in range(first + 1, first + n + 1)], dtype=object)


# --- importing a file of orders ---

LINES_SQL = """  -- the file's rows, typed and judged; value: what a row adds to its order; key: the order's _id
CREATE TABLE lines AS
WITH named AS (
    SELECT row_number() OVER () + 1 AS line, {named} FROM file  -- the header is row 1
), typed AS (
    SELECT * REPLACE (
        {order_date} AS order_date, {quantity} AS quantity, {unit_price} AS unit_price, {amount} AS amount,
        CASE WHEN {retail} THEN if(order_id LIKE 'C%', 'cancelled', 'completed') ELSE status END AS status
    ), order_date AS said
    FROM named WHERE coalesce({every_column}) IS NOT NULL
), judged AS MATERIALIZED (
    SELECT * EXCLUDE said,
        if({by_line}, quantity * unit_price, amount) AS value,
        if({by_line} AND quantity < 0, order_id || '/refund', order_id) AS key,
        CASE WHEN order_id IS NULL THEN 'no order_id'
             WHEN order_date IS NULL AND {ask_dates} AND regexp_matches(said, '{two_ways}')
             THEN 'order_date reads in two ways: add --dates day-first or month-first'
             WHEN order_date IS NULL THEN 'unreadable order_date'
             WHEN {by_line} AND quantity IS NULL THEN 'unreadable quantity'
             WHEN {by_line} AND unit_price IS NULL THEN 'unreadable unit_price'
             WHEN value IS NULL THEN 'unreadable amount'
             WHEN {by_line} AND value = 0 THEN 'quantity or unit_price 0'
             WHEN {retail} AND order_id LIKE 'A%' THEN 'adjustment, no sale' END AS fault
    FROM typed
), begun AS (  -- what each order's rows say first, blanks aside
    SELECT order_id, min(line) AS first_line, arg_min((order_date, value), line) AS first_row,
        arg_min(customer_id, line) AS customer, {heads}
    FROM judged WHERE fault IS NULL GROUP BY order_id
)
SELECT judged.* REPLACE (customer AS customer_id, {replaced}),
    CASE WHEN fault IS NOT NULL THEN fault
         WHEN {by_line} AND judged.customer_id <> customer THEN 'order of another customer'
         WHEN {by_line} OR line = first_line THEN NULL
         WHEN judged.customer_id IS NOT DISTINCT FROM customer
          AND (order_date, value) IS NOT DISTINCT FROM first_row THEN 'exact duplicate of an order'
         ELSE 'order_id of another order (order lines need quantity and unit_price)' END AS problem
FROM judged LEFT JOIN begun USING (order_id)
"""
ORDERS_SQL = """
SELECT key AS _id, any_value(customer_id) AS customer_id, min(order_date) AS order_date, {head},
    round(sum(value), 6) AS total, count(*) AS lines
FROM lines WHERE problem IS NULL GROUP BY key ORDER BY key
"""
CUSTOMERS_SQL = """
SELECT customer_id AS _id, arg_max(country, order_date) AS country
FROM lines WHERE problem IS NULL AND customer_id IS NOT NULL GROUP BY ALL ORDER BY _id
"""


def import_orders(args: Namespace, left_out: dict[str, int]) -> Iterator[dict]:
    """The documents of a file of orders or of order lines, a batch at a time: {collection: documents}.

    DuckDB reads and groups the file, with what exceeds its share of memory on disk. `left_out` fills
    with {reason: rows}; too many of them stop the load, unless args.accept_rejects.
    """
    with TemporaryDirectory(prefix="pulse-") as disk:
        settings = {"memory_limit": IMPORT_MEMORY, "threads": 2, "temp_directory": disk}
        try:
            con = duckdb.connect(config=settings)
            con.execute(f"SET enable_progress_bar = {sys.stdout.isatty()}")
            con.execute(f"SET TimeZone = '{time_zone()}'")  # of times without an offset
            header = open_file(con, args, disk)
            columns = choose_columns(args, header)
            con.execute(lines_sql(columns, header, args))
            left_out |= count_left_out(con, args)
            for batch in order_documents(con, columns, left_out):
                yield {"orders": batch}
            for batch in fetch_documents(con, CUSTOMERS_SQL):
                yield {"customers": batch}
        except duckdb.Error as error:
            what = " ".join(str(error).splitlines()[:3])
            stop(f"{args.file} cannot be read (is --encoding right?): {what}")


def open_file(con: duckdb.DuckDBPyConnection, args: Namespace, disk: str) -> list[str]:
    """Let the connection know the file as `file`, with columns c0, c1 ...; their names in the file."""
    kind = args.file.suffix.lower()
    try:
        if kind == ".parquet":
            rows = con.read_parquet(escape(str(args.file)))
            numbered_columns = (
                duckdb.ColumnExpression(name).alias(f"c{n}") for n, name in enumerate(rows.columns)
            )
            rows.select(*numbered_columns).create_view("file")
            return rows.columns
        return (open_excel if kind in EXCEL else open_csv)(con, args.file, args.encoding, disk)
    except OSError as error:
        stop(
            f"{args.file} cannot be opened ({error.strerror or error}): is it whole, and of the kind it is named?"
        )
    except (UnicodeError, LookupError, BadZipFile, EOFError, zlib.error, csv.Error) as error:
        stop(f"{args.file} cannot be read ({error}): is it a CSV, Parquet or Excel file, and --encoding right?")


def open_excel(con: duckdb.DuckDBPyConnection, path: Path, _encoding: str, _disk: str) -> list[str]:
    """Copy the first sheet of a workbook into the table `file`."""
    rows = load_workbook(path, read_only=True, data_only=True).worksheets[0].iter_rows(values_only=True)
    header = [str(name).strip() for name in next(rows, ())]
    names = [f"c{n}" for n in range(len(header))]
    con.execute(f"CREATE TABLE file ({', '.join(f'{name} VARCHAR' for name in names)})")
    while batch := [[None if cell is None else str(cell) for cell in row] for row in islice(rows, BATCH)]:
        whole_rows = [[*row, *[None] * len(names)][: len(names)] for row in batch]
        con.append("file", pd.DataFrame(whole_rows, columns=names))
    return header


def open_csv(con: duckdb.DuckDBPyConnection, path: Path, encoding: str, disk: str) -> list[str]:
    """Make a view `file` of a CSV, or of a copy in UTF-8; its first line tells what separates columns."""
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig" if utf8 else encoding, newline="") as text:
        first = text.readline()
        if not utf8:
            path = Path(disk, "file.csv")
            with path.open("w", encoding="utf-8", newline="") as copy:
                copy.write(first)
                shutil.copyfileobj(text, copy)
    headers = {separator: next(csv.reader([first], delimiter=separator), []) for separator in ",;\t|"}
    separator, header = max(headers.items(), key=lambda item: len(item[1]))
    if header:
        columns = {f"c{n}": "VARCHAR" for n in range(len(header))}
        rules = {"sep": separator, "quotechar": '"', "escapechar": '"', "auto_detect": False}
        con.read_csv(escape(str(path)), columns=columns, header=True, **rules).create_view("file")
    return [name.strip() for name in header]


def choose_columns(args: Namespace, header: list[str]) -> dict[str, str]:
    """{our name: the file's column}: as --columns says, else as in Online Retail, else as they are named."""
    columns = {name: name for name in COLUMNS if name in header}
    if set(ONLINE_RETAIL.values()) <= set(header):
        columns = ONLINE_RETAIL | columns
    if {"quantity", "unit_price"} & set(args.columns):
        columns.pop("amount", None)
    columns |= args.columns
    amounts = ("quantity", "unit_price") if "quantity" in columns and "amount" not in columns else ("amount",)
    for name in ("order_id", "customer_id", "order_date", *amounts, *columns):
        if columns.get(name) not in header:
            stop(
                f"{args.file} has no column {columns.get(name, name)} among {', '.join(header)}: say which one "
                f"it is with --columns {name}=..."
            )
    return columns


def lines_sql(columns: dict[str, str], header: list[str], args: Namespace) -> str:
    """LINES_SQL for these columns: those that the file lacks are NULL."""
    named = {name: f"nullif(trim(c{header.index(source)}::VARCHAR), '')" for name, source in columns.items()}
    if args.file.suffix.lower() in (".parquet", *EXCEL):  # they hold an id such as 17850 as the number 17850.0
        named |= {name: f"regexp_replace({named[name]}, '^([0-9]+)[.]0$', '\\1')" for name in IDS & set(named)}
    return LINES_SQL.format(
        named=", ".join(f"{named.get(name, 'NULL::VARCHAR')} AS {name}" for name in COLUMNS),
        every_column=", ".join(COLUMNS),
        heads=", ".join(f"arg_min({name}, line) AS first_{name}" for name in HEAD),
        replaced=", ".join(f"first_{name} AS {name}" for name in HEAD),
        order_date=date_sql(args.dates),
        **{name: number_sql(name, args) for name in ("quantity", "unit_price", "amount")},
        by_line="amount" not in columns,
        retail=ONLINE_RETAIL.items() <= columns.items(),
        ask_dates=not args.dates,
        two_ways=TWO_WAYS,
    )


def date_sql(order: str | None) -> str:
    """SQL that reads order_date: ISO 8601 and, day and month in the given order, also 31/12/2025 8:05 PM."""
    iso = "order_date"
    if order:
        month_day = {"day-first": r"\2-\1", "month-first": r"\1-\2"}[order]
        for digits, year in ((4, r"\3-"), (2, r"20\3-")):
            slashed = rf"^([0-9]{{1,2}})[./-]([0-9]{{1,2}})[./-]([0-9]{{{digits}}})\b,?"
            iso = f"regexp_replace({iso}, '{slashed}', '{year}{month_day}')"
    readings = (
        f"try_cast({iso} AS TIMESTAMPTZ)",
        f"try_cast(regexp_replace({iso}, ' ([+-][0-9:]+)$', '\\1') AS TIMESTAMPTZ)",  # 10:23:45 +0100
        f"try_strptime({iso}, ['%Y-%m-%d %I:%M %p', '%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M:%S%p'])::TIMESTAMPTZ",
    )
    time = f"timezone('UTC', coalesce({', '.join(readings)}))"
    return f"if(regexp_matches({iso}, '^(19|20)[0-9]{{2}}[-/]'), {time}, NULL)"  # 9999-12-31 is no date


def number_sql(name: str, args: Namespace) -> str:
    """SQL that reads a number with the decimal mark and the thousands separator given, each in its place."""
    decimal, thousands = (args.decimal, args.thousands)
    if args.file.suffix.lower() in (".parquet", *EXCEL):
        decimal, thousands = ".", ""
    group = thousands.replace("'", "''")  # as SQL writes it
    digits = f"[0-9]{{1,3}}({re.escape(group)}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
    number = f"[-+]?({digits})?({re.escape(decimal)}[0-9]*)?([eE][-+]?[0-9]+)?"
    plain = f"translate({name}, '{decimal}{group}', '.')"  # the decimal mark to a point, the other away
    return f"if(regexp_full_match({name}, '{number}'), try_cast({plain} AS DOUBLE), NULL)"


def order_documents(
    con: duckdb.DuckDBPyConnection, columns: dict[str, str], left_out: dict[str, int]
) -> Iterator[list[dict]]:
    """The orders with their items, in batches; counts the lines that repeat another of their order."""
    by_line = "amount" not in columns
    item = "quantity, unit_price" if by_line else "1, value"
    items = f"SELECT product_id, category, {item} FROM lines WHERE problem IS NULL ORDER BY key, line"
    rows = chain.from_iterable(fetch_rows(con.cursor().execute(items), 10 * BATCH))
    head = [f"any_value({name}) AS {name}" for name in HEAD if name in columns or name == "status"]
    n_orders = con.execute("SELECT count(DISTINCT key) FROM lines WHERE problem IS NULL").fetchone()[0]
    repeated = 0
    with tqdm(total=n_orders, desc="Loading", unit=" orders", disable=None, leave=False) as bar:
        for batch in fetch_documents(con, ORDERS_SQL.format(head=", ".join(head))):
            for order in batch:
                lines = list(islice(rows, order.pop("lines")))
                repeated += len(lines) - len(set(lines)) if "product_id" in columns else 0
                if by_line or "category" in columns:
                    order["items"] = [
                        {"product_id": product, "category": category, "quantity": quantity, "unit_price": price}
                        for product, category, quantity, price in lines
                    ]
            yield batch
            bar.update(len(batch))
    if repeated:
        say("Noted", f"{repeated:,} rows: {REPEATED}")
        left_out[REPEATED] = repeated


def fetch_documents(con: duckdb.DuckDBPyConnection, query: str) -> Iterator[list[dict]]:
    """The query's rows as documents, a batch at a time."""
    result = con.execute(query)
    names = [column[0] for column in result.description]
    for rows in fetch_rows(result, BATCH):
        yield [dict(zip(names, row, strict=True)) for row in rows]


def fetch_rows(result: duckdb.DuckDBPyConnection, size: int) -> Iterator[list[tuple]]:
    """The result's rows, so many at a time."""
    while rows := result.fetchmany(size):
        yield rows


def count_left_out(con: duckdb.DuckDBPyConnection, args: Namespace) -> dict[str, int]:
    """{reason: rows}, said on the console with the first few rows; stops where they are too many."""
    total = con.execute("SELECT count(*) FROM lines").fetchone()[0]
    if not total:
        stop(f"{args.file} holds no order, only a header: export it again, with its rows.")
    noted = con.execute(
        "SELECT problem, count(*), min(line, 5) FROM lines WHERE problem IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    for problem, n, first in noted:
        rows = ", ".join(map(str, first)) + (" ..." if n > len(first) else "")
        say("Noted", f"{n:,} of {total:,} rows: {problem} (row {rows})")
    unusable = sum(n for _, n, _ in noted)
    if unusable > REJECT_LIMIT * total and not args.accept_rejects:
        problem, _, first = noted[0]
        stop(
            f"{unusable:,} of {total:,} rows of {args.file} cannot be used, as row {first[0]} ({problem}): mend "
            "them, or load the others with --accept-rejects."
        )
    return {problem: n for problem, n, _ in noted}


# --- loading ---


def refuse_mapped_database() -> None:
    """Stop where .env says that the database is one to read."""
    for name in MAPPINGS:
        if setting(name, ""):
            stop(
                f"{name} says that {MONGO_DB} holds orders of your own, which this script never touches: unset it."
            )


def refuse_foreign_collections(db: Database) -> None:
    """Stop where a load would replace documents that this script did not write."""
    for name in set(COLLECTIONS) & set(db.list_collection_names()):
        record = load_record(db, name)
        if not record or record["documents"] != db[name].count_documents({}):
            stop(
                f"The collection {name} of the database {MONGO_DB} holds documents that this script did not "
                "write, and stays as it is: name another database in MONGO_DB."
            )


def load(db: Database, blocks: Iterator[dict], origin: str, left_out: dict) -> dict[str, int]:
    """Put the blocks' documents in place of the earlier ones, all or nothing; returns their numbers.

    They go into staging collections of a name that no other load has. Once these are complete and on
    disk, one note makes them count (see common.current), and they are renamed over the old ones. Each
    step can be done twice.
    """
    counts = dict.fromkeys(COLLECTIONS, 0)
    patiently(lambda: drop_left_behind(db))
    staging = {name: f"{STAGING}{name}_{uuid4().hex[:12]}" for name in COLLECTIONS}
    for name, place in staging.items():
        patiently(lambda name=name, place=place: make_staging(db, name, place))
    with ThreadPoolExecutor(1) as writer:  # a block is on its way while the next one is made
        written = writer.submit(dict)  # nothing yet
        for block in blocks:
            for name, batch in block.items():
                counts[name] += len(batch)
            written.result()
            written = writer.submit(insert_block, db, staging, block)
        written.result()
    if counts["orders"] > range_orders():  # steps 2 and 3 will read ranges of customers
        patiently(lambda: db[staging["orders"]].create_index("customer_id"))
    patiently(lambda: complete(db, counts, staging, {"origin": origin, "left_out": left_out}))
    patiently(lambda: switch(db))
    return counts


def drop_left_behind(db: Database) -> None:
    """Drop what a killed run has left. On a server, another run may still be at it, for up to a day."""
    old = {"begun": {"$lt": datetime.now(UTC) - timedelta(days=1 if MONGO_URI else 0)}}
    for place in db.list_collection_names(filter={"name": {"$regex": f"^{STAGING}"}}):
        record = load_record(db, place)
        ours = {"_id": collection_id(db, place)} | old
        if db[LOADS].delete_one(ours).deleted_count or not (record or MONGO_URI or db[place].find_one()):
            db.drop_collection(place)


def make_staging(db: Database, name: str, place: str) -> None:
    """Make an empty collection and note that it is ours."""
    if place not in db.list_collection_names():
        db.create_collection(place)
    notes = {"collection": name, "staging": place, "begun": datetime.now(UTC)}
    db[LOADS].update_one({"_id": collection_id(db, place)}, {"$set": notes}, upsert=True)


def insert_block(db: Database, staging: dict[str, str], block: dict[str, list[dict]]) -> None:
    """Insert the documents of each collection into its staging one."""
    for name, batch in block.items():
        if batch:
            insert(db[staging[name]], batch)


def insert(into: Collection, batch: list[dict]) -> None:
    """Insert the documents, each once, however often the connection is lost."""
    tries = count()

    def once() -> None:
        if next(tries):  # what came in before the connection was lost
            into.delete_many({"_id": {"$in": [document["_id"] for document in batch]}})
        into.insert_many(batch, ordered=False)

    patiently(once)


def complete(db: Database, counts: dict[str, int], staging: dict[str, str], notes: dict) -> None:
    """Once every document is there, write the note that makes the new ones count, onto the disk."""
    loads = [collection_id(db, place) for place in staging.values()]
    if db[LOADS].find_one({"_id": SWITCHING, "loads": loads}):
        return  # an earlier try did it
    for load_id, (name, place) in zip(loads, staging.items(), strict=True):
        found = db[place].count_documents({})
        if found != counts[name]:
            stop(f"{found:,} of {counts[name]:,} new {name} are in {place}: who changed that? Run this again.")
        db[LOADS].update_one({"_id": load_id}, {"$set": {"documents": found, **notes}})
    switch(db)  # what another run has just completed
    refuse_foreign_collections(db)  # somebody may have written there since
    old = [collection_id(db, name) for name in COLLECTIONS]
    on_disk = db[LOADS].with_options(write_concern=WriteConcern("majority", j=True))
    try:
        on_disk.insert_one({"_id": SWITCHING, "staging": staging, "loads": loads, "replaced": old})
    except DuplicateKeyError:
        stop(f"Another run has loaded {MONGO_DB} at the same moment: run this again, if it is still wanted.")


def switch(db: Database) -> None:
    """Put a complete load that still waits into its place, and forget the one before."""
    if note := db[LOADS].find_one({"_id": SWITCHING}):
        for name, place in note["staging"].items():
            if place in db.list_collection_names():
                try:
                    db[place].rename(name, dropTarget=True)
                except OperationFailure as error:
                    if error.code != NO_SUCH_COLLECTION:  # else another run has moved it since
                        raise
        db[LOADS].delete_many({"_id": {"$in": note["replaced"]}})
        db[LOADS].delete_one({"_id": SWITCHING, "loads": note["loads"]})


def documents(frame: pd.DataFrame) -> list[dict]:
    """One document per row, of plain Python values; what is missing becomes None."""
    names = list(frame)
    columns = []
    for name in names:
        if frame[name].dtype.kind == "M":
            columns.append(frame[name].to_numpy("datetime64[ms]").tolist())
        elif isinstance(frame[name].dtype, pd.StringDtype):
            columns.append(frame[name].to_numpy(object, na_value=None).tolist())
        else:
            columns.append(frame[name].tolist())
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


if __name__ == "__main__":
    main()
