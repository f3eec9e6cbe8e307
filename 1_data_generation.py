"""Step 1: put customers and orders into MongoDB, either simulated or from a CSV file of your own.

    python 1_data_generation.py                       a synthetic shop, the same for the same seed
    python 1_data_generation.py --import orders.csv   your orders in its place

The simulated shop is a documented process. A customer of one of three personas signs up, orders at
gamma-distributed gaps, and after each order may lapse for good: likely in the first few orders,
rarely once a habit has formed. Seasons bend time itself: the shop's clock runs fast in November.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from faker import Faker
from pymongo.database import Database
from tqdm import tqdm

from common import MONGO_DB, database, iso_date, parse, say, server, stop

# --- the knobs of the simulation ---

PERSONAS = {  # share of customers; typical days between orders and the gamma shape of that gap (the
    # higher, the more regular); chance to lapse after each of the first EARLY_ORDERS, and after a later one
    "one-off": {"share": 0.25, "gap": 30, "shape": 4, "early_lapse": 0.85, "later_lapse": 0.500},
    "regular": {"share": 0.45, "gap": 28, "shape": 6, "early_lapse": 0.14, "later_lapse": 0.002},
    "loyal": {"share": 0.30, "gap": 16, "shape": 6, "early_lapse": 0.04, "later_lapse": 0.001},
}
EARLY_ORDERS = 3
NEVER_ORDERS = 0.03  # share of customers who sign up and leave it at that
DAYS_TO_FIRST_ORDER = 2  # mean, from the sign-up
SIGNUPS_YEAR_ON_YEAR = 0.85  # a launch that cools down; revenue grows by those who stay

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

COLLECTIONS = ("customers", "orders", "simulation_truth")  # what a load replaces
LOADS = "pulse_loads"  # one document per collection that this script wrote: how it knows its own


def main() -> None:
    args = arguments()
    if args.file:
        blocks = read_order_file(args.file)
        n_blocks, origin = len(blocks), f"imported from {args.file.name}"
    else:
        start = args.end_date + pd.Timedelta(days=1) - pd.DateOffset(years=args.years)
        blocks = simulate(args.customers, start, args.end_date, args.seed)
        n_blocks, origin = -(-args.customers // BLOCK), f"simulated, seed {args.seed}"
    with database() as db:
        refuse_foreign_collections(db)
        counts = load(db, blocks, n_blocks, origin)
    say("Loaded", f"{counts['customers']:,} customers and {counts['orders']:,} orders ({origin})")
    say("Into", f"{server()}, database {MONGO_DB}")
    say("Next", "python 2_data_analysis.py")


def arguments() -> Namespace:
    """The command line."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=at_least(1), default=5_000, help="how many (default 5000)")
    parser.add_argument("--years", type=at_least(1), default=3, help="of history (default 3)")
    parser.add_argument(
        "--seed", type=at_least(0), default=42, help="the same seed, the same shop (default 42)"
    )
    parser.add_argument(
        "--end-date", type=iso_date, default="2025-12-31", help="its last day (default 2025-12-31)"
    )
    parser.add_argument(
        "--import",
        type=Path,
        dest="file",
        metavar="FILE",
        help="load this CSV instead: order_id, customer_id, order_date, amount; "
        "and status, category, channel, country if it has them",
    )
    return parse(parser)


def at_least(minimum: int) -> Callable[[str], int]:
    """An argparse type: a whole number from `minimum`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise ArgumentTypeError(f"{text!r} is no whole number from {minimum}")
        return int(text)

    return number


# --- simulating a shop ---


def simulate(n_customers: int, start: pd.Timestamp, end: pd.Timestamp, seed: int) -> Iterator[dict]:
    """The shop's documents, a block of customers at a time: {collection: documents}.

    Each block draws from a random stream of its own, so it does not depend on the one before.
    """
    days = demand_clock(start, end)
    shared, *streams = np.random.SeedSequence(seed).spawn(1 + -(-n_customers // BLOCK))
    catalogue, names = make_catalogue(np.random.default_rng(shared)), make_names(seed)
    n_orders = 0
    for first, stream in zip(range(0, n_customers, BLOCK), streams, strict=True):
        rng, n = np.random.default_rng(stream), min(BLOCK, n_customers - first)
        ids = numbered("C", first, n)
        persona = rng.choice(list(PERSONAS), n, p=[p["share"] for p in PERSONAS.values()])
        signup = signup_times(n, days, rng)
        buyer, bought, lapsed = purchases(persona, signup, days[-1], rng)
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
    persona: np.ndarray, signup: np.ndarray, end: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every order's customer (a row number) and time, in that order; every customer's lapse or NaN."""
    buyers, times, lapsed = [], [], np.full(len(signup), np.nan)
    for name, knobs in PERSONAS.items():
        members = np.flatnonzero(persona == name)
        expected = end / knobs["gap"]
        most = int(expected + 6 * np.sqrt(expected / knobs["shape"]) + 6)  # nobody fits in more
        gaps = rng.gamma(knobs["shape"], knobs["gap"] / knobs["shape"], (len(members), most))
        gaps[:, 0] = rng.exponential(DAYS_TO_FIRST_ORDER, len(members))
        time = signup[members, None] + gaps.cumsum(axis=1)
        chance = np.where(np.arange(most) < EARLY_ORDERS, knobs["early_lapse"], knobs["later_lapse"])
        lapse = rng.random(time.shape) < chance
        lost_before = np.cumsum(lapse, axis=1) - lapse > 0
        placed = ~lost_before & (time < end)
        placed[rng.random(len(members)) < NEVER_ORDERS] = False
        row, column = np.nonzero(placed & lapse)  # one at the most: the order after which they lapse
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
    return pd.DataFrame(
        {"product_id": numbered("P", 0, len(price)), "category": category, "unit_price": price}
    )


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
    first, last = (
        names[kind][country, rng.integers(NAMES_PER_COUNTRY, size=n)] for kind in ("first", "last")
    )
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
    """Each order's lines as a list of documents; the lines are sorted by order."""
    ends = np.bincount(lines["order"], minlength=n_orders).cumsum().tolist()
    items = documents(lines.drop(columns="order"))
    return [items[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def numbered(letter: str, first: int, n: int) -> np.ndarray:
    """n ids that sort as text in their own order: the letter and eight digits, from first + 1."""
    return np.array([f"{letter}{number:08}" for number in range(first + 1, first + n + 1)], dtype=object)


# --- reading a file of orders ---


def read_order_file(path: Path) -> list[dict]:
    """The documents of a CSV of orders, in blocks: {collection: documents}.

    Stops at the first row that cannot be used. A time without an offset is taken to be UTC.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except OSError as error:
        stop(f"{path} cannot be opened ({error.strerror}): check the path after --import.")
    except ValueError as error:  # a ParserError or a UnicodeDecodeError among them
        stop(f"{path} is no CSV file in UTF-8 ({error}): save it as one, with a header.")
    for column in ("order_id", "customer_id", "order_date", "amount"):
        if column not in rows:
            stop(f"{path} has no column {column} among {', '.join(rows)}: rename the one that holds it.")
    if rows.empty:
        stop(f"{path} holds no order, only a header: export it again, with its rows.")
    rows = rows.apply(lambda column: column.str.strip())
    date = pd.to_datetime(rows["order_date"], format="ISO8601", errors="coerce", utc=True)
    amount = pd.to_numeric(rows["amount"], errors="coerce")
    for column, bad, remedy in (
        ("order_id", rows["order_id"] == "", "is empty: give every order an id"),
        ("order_id", rows["order_id"].duplicated(), "stands in an earlier row too: give each order one row"),
        ("customer_id", rows["customer_id"] == "", "is empty: give every order a customer"),
        ("order_date", date.isna(), "is no date: write it like 2025-12-31 or 2025-12-31 23:59:59"),
        ("amount", ~np.isfinite(amount), "is no number: write it like 1234.50"),
    ):
        if bad.any():
            row = int(bad.argmax())
            stop(f"{path}, row {row + 2}: {column} {rows[column].iloc[row]!r} {remedy}.")

    orders = rows.filter(["customer_id", "status", "channel"])
    orders.insert(0, "_id", rows["order_id"])
    orders["order_date"] = date.dt.tz_localize(None)
    if "category" in rows:
        item = pd.DataFrame({"category": rows["category"], "quantity": 1, "unit_price": amount})
        orders["items"] = [[line] for line in documents(item)]
    orders["total"] = amount
    customers = rows.filter(["customer_id", "country"]).drop_duplicates("customer_id", keep="last")
    customers = customers.rename(columns={"customer_id": "_id"})
    blocks = [{"orders": documents(orders[at : at + BLOCK])} for at in range(0, len(orders), BLOCK)]
    return [{"customers": documents(customers)}, *blocks]


# --- loading ---


def refuse_foreign_collections(db: Database) -> None:
    """Stop where a load would replace documents that this script did not write."""
    for found in db.list_collections(filter={"name": {"$in": list(COLLECTIONS)}}):
        name, uuid = found["name"], found["info"].get("uuid")
        written = db[LOADS].find_one({"_id": uuid})
        if not written or written["documents"] != db[name].count_documents({}):
            stop(
                f"The collection {name} of the database {MONGO_DB} holds documents that this script did not "
                "write, and stays as it is: name another database in MONGO_DB."
            )


def load(db: Database, blocks: list | Iterator, n_blocks: int, origin: str) -> dict[str, int]:
    """Put the blocks' documents in place of the earlier ones, all or nothing; returns their numbers.

    They go into staging collections, which are renamed over the old ones once they are complete.
    """
    staging = {name: f"pulse_staging_{name}" for name in COLLECTIONS}
    counts = dict.fromkeys(COLLECTIONS, 0)
    for name in staging.values():
        db.drop_collection(name)  # an interrupted run's
        db.create_collection(name)
    for block in tqdm(blocks, "Loading", total=n_blocks, unit="block", disable=None, leave=False):
        for name, batch in block.items():
            if batch:
                db[staging[name]].insert_many(batch, ordered=False)
            counts[name] += len(batch)
    uuids = {found["name"]: found["info"]["uuid"] for found in db.list_collections()}
    db[LOADS].insert_many(
        {"_id": uuids[staging[name]], "collection": name, "documents": count, "origin": origin}
        for name, count in counts.items()
    )
    for name in COLLECTIONS:
        db[staging[name]].rename(name, dropTarget=True)
    db[LOADS].delete_many({"_id": {"$nin": [uuids[name] for name in staging.values()]}})
    return counts


def documents(frame: pd.DataFrame) -> list[dict]:
    """One document per row, of plain Python values (NaT becomes None)."""
    names = list(frame)
    kinds = ["datetime64[ms]" if frame[name].dtype.kind == "M" else None for name in names]
    columns = [frame[name].to_numpy(kind).tolist() for name, kind in zip(names, kinds, strict=True)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


if __name__ == "__main__":
    main()
