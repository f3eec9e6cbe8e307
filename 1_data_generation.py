"""Step 1: put customers and orders into MongoDB, simulated or from your files.

    python 1_data_generation.py                       a synthetic shop
    python 1_data_generation.py --import orders.csv   your own orders

The simulated shop is a documented process. A customer of one of three personas signs up, orders at
gamma-distributed gaps, and after each order may lapse for good: likely in the first few orders,
rarely once a habit has formed. Seasons bend time itself: the shop's clock runs fast in November.
In an erratic shop gaps have no rhythm, and who lapses fades away slowly: churn is hard to predict.
"""

from pulse.start import command, require, run

require()
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
from faker import Faker
from pymongo.database import Database

from common import Settings, fail, int_between, read_settings, say
from pulse.database import server_label, with_database
from pulse.documents import documents, items_of_orders, numbered
from pulse.identity import make_key
from pulse.import_options import add_import_options, refuse_without_files
from pulse.import_report import say_check
from pulse.importing import as_source, open_import
from pulse.loads import RECORDS, Block, Source, load, prepare
from pulse.options import iso_date, parse_arguments, script_parser
from pulse.progress import bar

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
CUSTOMERS_PER_BLOCK = 1_000  # simulated at a time: memory stays flat, however many they are


def main() -> None:
    args, settings = arguments(), read_settings()
    refuse_without_files(args)
    if args.check:
        check(args, settings)
        return
    refuse_own_orders(settings)
    with_database(settings, partial(replace_orders, args, settings))
    say("Into", f"{server_label(settings)}, database {settings.mongo_db}")
    say("Next", command("2_data_analysis.py"))


def arguments() -> Namespace:
    """The command line."""
    parser = script_parser(__doc__)
    option, end = parser.add_argument_group("to simulate a shop").add_argument, "2025-12-31"
    option("--customers", type=int_between(1, 10**8), default=5_000, metavar="NUMBER", help="default 5000")
    option("--years", type=int_between(1, 50), default=3, metavar="NUMBER", help="of history (default 3)")
    option("--seed", type=int_between(0, 2**32), default=42, metavar="NUMBER", help="of the shop (default 42)")
    option("--end-date", type=iso_date, default=end, metavar="DATE", help=f"its last day (default {end})")
    option("--erratic", action="store_true", help="irregular gaps and slow fading: churn is hard to predict")
    add_import_options(parser)
    return parse_arguments(parser)


def refuse_own_orders(settings: Settings) -> None:
    """Stop where .env says that the database is one to read."""
    if settings.own_orders:
        fail(
            f"{settings.own_orders[0]} says that {settings.mongo_db} holds orders of your own, which this "
            "script never touches: unset it."
        )


def check(args: Namespace, settings: Settings) -> None:
    """Say what a load of args.files would do; no MongoDB is needed for it."""
    with open_import(args, settings, lambda: "any") as found:
        say_check(found.con, found.opened, found.columns)


def replace_orders(args: Namespace, settings: Settings, db: Database) -> None:
    """Put what the command line names in place of the earlier load."""
    prepare(db, settings)
    with open_source(args, settings, db) as source:
        counts = load(db, settings, source)
    say("Loaded", f"{counts['customers']:,} customers and {counts['orders']:,} orders ({source.origin})")


@contextmanager
def open_source(args: Namespace, settings: Settings, db: Database) -> Iterator[Source]:
    """The documents to load: those of files, or a simulated shop's."""
    if args.files:
        with open_import(args, settings, partial(make_key, db, settings, RECORDS)) as found:
            yield as_source(found)
        return
    start = args.end_date + pd.Timedelta(days=1) - pd.DateOffset(years=args.years)
    origin = f"simulated, seed {args.seed}" + (", erratic" if args.erratic else "")
    yield Source(origin, simulate(args.customers, start, args.end_date, args.seed, args.erratic), {})


# --- simulating a shop ---


def simulate(
    n_customers: int, start: pd.Timestamp, end: pd.Timestamp, seed: int, erratic: bool = False
) -> Iterator[Block]:
    """The shop's documents, a block of customers at a time.

    Each block draws from a random stream of its own, so it does not depend on the one before.
    """
    clock = demand_clock(start, end)
    first_ids = range(0, n_customers, CUSTOMERS_PER_BLOCK)
    shared, *streams = np.random.SeedSequence(seed).spawn(1 + len(first_ids))
    blocks = bar(list(zip(first_ids, streams, strict=True)), "Simulating", "block")
    catalogue, names = make_catalogue(np.random.default_rng(shared)), make_names(seed)
    n_orders = 0
    for first, stream in blocks:
        rng, n = np.random.default_rng(stream), min(CUSTOMERS_PER_BLOCK, n_customers - first)
        ids = numbered("C", first, n)
        persona = rng.choice(list(PERSONAS), n, p=[p["share"] for p in PERSONAS.values()])
        signup = signup_times(n, clock, rng)
        buyer, bought, lapsed = purchases(persona, signup, clock[-1], rng, erratic)
        dates = to_dates(bought, clock, start)
        lines = choose_lines(dates, catalogue, rng)
        orders = price_orders(buyer, dates, bought / clock[-1], lines, rng)
        orders, lines = add_credit_notes(orders, lines, end, rng)
        orders["customer_id"] = ids[orders["customer_id"]]
        orders.insert(0, "_id", numbered("O", n_orders, len(orders)))
        orders["items"] = items_of_orders(lines, len(orders))
        n_orders += len(orders)
        profiles = make_profiles(ids, to_dates(signup, clock, start), names, rng)
        truth = pd.DataFrame({"_id": ids, "persona": persona, "lapsed_on": to_dates(lapsed, clock, start)})
        tables = {"customers": profiles, "orders": orders, "simulation_truth": truth}
        yield {name: documents(table) for name, table in tables.items()}


def demand_clock(start: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
    """The shop's own time at every midnight from `start` to the one after `end`, in average days.

    Where demand is twice the average, the clock runs twice as fast and orders come twice as close.
    """
    dates = pd.date_range(start, end)
    demand = np.array(BY_MONTH)[dates.month - 1] * np.array(BY_WEEKDAY)[dates.day_of_week]
    return np.append(0, demand.cumsum() / demand.mean())


def to_dates(times: np.ndarray, clock: np.ndarray, start: pd.Timestamp) -> np.ndarray:
    """The calendar days (datetime64[D]; NaT for NaN) of times on the demand clock."""
    missing = np.isnan(times)
    day = np.searchsorted(clock, np.where(missing, 0, times), side="right") - 1
    dates = np.datetime64(start, "D") + day
    dates[missing] = np.datetime64("NaT")
    return dates


def signup_times(n: int, clock: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """n times on the demand clock, their density changing by SIGNUPS_YEAR_ON_YEAR."""
    growth = SIGNUPS_YEAR_ON_YEAR ** (len(clock) / 365.25)
    return np.log1p(rng.random(n) * (growth - 1)) / np.log(growth) * clock[-1]  # the density's inverse


def purchases(
    persona: np.ndarray, signup: np.ndarray, end: float, rng: np.random.Generator, erratic: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every order's customer (a row number) and time, in that order; every customer's lapse or NaN."""
    buyers, times, lapsed = [], [], np.full(len(signup), np.nan)
    for name, knobs in PERSONAS.items():
        members = np.flatnonzero(persona == name)
        shape = ERRATIC_SHAPE if erratic else knobs["shape"]
        expected = end / knobs["gap"]
        most = int(expected + 6 * np.sqrt(expected / shape) + 6)  # nobody fits in more
        gaps = rng.gamma(shape, knobs["gap"] / shape, (len(members), most))
        gaps[:, 0] = rng.exponential(DAYS_TO_FIRST_ORDER, len(members))
        chance = np.where(np.arange(most) < EARLY_ORDERS, knobs["early_lapse"], knobs["later_lapse"])
        lapse = rng.random(gaps.shape) < chance
        lost_before = np.cumsum(lapse, axis=1) - lapse > 0
        if erratic:
            gaps *= ERRATIC_FADING ** np.cumsum(lost_before, axis=1)
        else:
            gaps[lost_before] = np.inf  # never again
        time = signup[members, None] + gaps.cumsum(axis=1)
        placed = time < end
        placed[rng.random(len(members)) < NEVER_ORDERS] = False
        row, column = np.nonzero(placed & lapse & ~lost_before)  # the order after which they lapse
        lapsed[members[row]] = time[row, column]
        buyers.append(members[np.nonzero(placed)[0]])
        times.append(time[placed])
    all_buyers, all_times = np.concatenate(buyers), np.concatenate(times)
    by_customer = np.lexsort((all_times, all_buyers))
    return all_buyers[by_customer], all_times[by_customer], lapsed


def make_catalogue(rng: np.random.Generator) -> pd.DataFrame:
    """One row per product: product_id, category, unit_price; the best sellers of a category first."""
    category = np.repeat(list(CATEGORIES), PRODUCTS_PER_CATEGORY)
    typical = np.repeat([price for _, price, _ in CATEGORIES.values()], PRODUCTS_PER_CATEGORY)
    price = np.ceil(typical * rng.lognormal(0, 0.4, len(typical))) - 0.01
    return pd.DataFrame({"product_id": numbered("P", 0, len(price)), "category": category, "unit_price": price})


def choose_lines(dates: np.ndarray, catalogue: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """What is in each order of these dates, sorted by order: order (its position), product_id, category,
    quantity, unit_price."""
    order = np.repeat(np.arange(len(dates)), 1 + rng.poisson(MORE_LINES, len(dates)))
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
    return lines


def price_orders(
    buyer: np.ndarray, dates: np.ndarray, elapsed: np.ndarray, lines: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """The orders with these lines: customer_id (row number), order_date, status, channel, discount, shipping,
    total, sold (whether it is a sale); `elapsed` runs from 0 to 1 over the whole history."""
    n = len(buyer)
    goods = np.bincount(lines["order"], lines["quantity"] * lines["unit_price"], minlength=n)
    discount = (goods * rng.choice(list(DISCOUNTS), n, p=list(DISCOUNTS.values()))).round(2)
    shipping = np.where(goods - discount < FREE_SHIPPING_FROM, SHIPPING, 0.0)
    hour = rng.choice(24, n, p=np.array(BY_HOUR) / sum(BY_HOUR))
    channel, app_share = rng.random(n), np.interp(elapsed, (0, 1), APP_SHARE)
    is_channel = [channel < app_share, channel < app_share + MARKETPLACE_SHARE]
    second = rng.integers(3600, size=n)
    chances = [CANCELLED, REFUNDED, 1 - CANCELLED - REFUNDED]
    return pd.DataFrame(
        {
            "customer_id": buyer,
            "order_date": dates + (hour * 3600 + second).astype("timedelta64[s]"),
            "status": rng.choice(["cancelled", "refunded", "completed"], n, p=chances),
            "channel": np.select(is_channel, ["app", "marketplace"], "web"),
            "discount": discount,
            "shipping": shipping,
            "total": (goods - discount + shipping).round(2),
        }
    ).assign(sold=lambda orders: orders["status"] == "completed")


def add_credit_notes(
    orders: pd.DataFrame, lines: pd.DataFrame, end: pd.Timestamp, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The orders and lines, followed by credit notes: the first line of some completed orders comes
    back, for what was paid for it, as an order of a negative total dated when it happened, sold as it was."""
    chosen = np.flatnonzero((rng.random(len(orders)) < CREDIT_NOTES) & (orders["status"] == "completed"))
    notes = orders.iloc[chosen].assign(status="refunded", shipping=0.0)
    notes["order_date"] += pd.to_timedelta(rng.integers(1, DAYS_TO_CREDIT + 1, len(notes)), unit="D")
    goods = np.bincount(lines["order"], lines["quantity"] * lines["unit_price"], minlength=len(orders))
    returned = lines.drop_duplicates("order").iloc[chosen].assign(quantity=lambda f: -f["quantity"])
    value = (returned["quantity"] * returned["unit_price"]).to_numpy()
    notes["discount"] = (value * notes["discount"] / goods[chosen]).round(2)
    notes["total"] = (value - notes["discount"]).round(2)
    in_time = (notes["order_date"] < end + pd.Timedelta(days=1)).to_numpy()
    returned["order"] = len(orders) + np.cumsum(in_time) - 1  # those that are not in time are dropped below
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


if __name__ == "__main__":
    run(main)
