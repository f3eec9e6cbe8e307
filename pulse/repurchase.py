"""How soon the next order follows: Kaplan-Meier estimates, in which those who have not come back yet count too.

The mean over those who did come back is too short: whoever takes long is not among them yet.
"""

import warnings

import numpy as np
import pandas as pd

from pulse.dimensions import OTHER, UNKNOWN, fold_values

ALL = "All"
WITHIN_DAYS = (7, 14, 30, 60, 90, 180, 365)
NUMBERS = {1: "1", 2: "2", 3: "3", 4: "4 and more"}  # which order of its customer, as the table says it
DAYS = 100_000  # more than there are from 1900 to 2099
KEY = ["order_number", "first_category", "days", "came_back"]


# --- sums, a range of customers at a time ---


def gap_sums(orders: pd.DataFrame, first_category: pd.Series, as_of: pd.Timestamp) -> pd.DataFrame:
    """After how many days customers' completed orders were followed by the next, or how many they were not.

    `orders` are those of read_range, `first_category` is by customer_id. Indexed by KEY: order_number (4 for the
    fourth and all later ones), first_category (of first orders alone, else ALL), days and came_back: whole
    calendar days to the customer's next order where it came back, else the days that have passed since in whole,
    so that an order of the day before as_of has been watched for 0. Columns, which add up over ranges: orders, and
    customers, each counted once per order_number.
    """
    bought = orders.loc[orders["completed"] & orders["customer_id"].notna(), ["customer_id", "order_date"]]
    day = day_number(bought["order_date"].to_numpy())
    customer, day = divmod(np.sort(bought["customer_id"].cat.codes.to_numpy("int64") * DAYS + day), DAYS)
    position, is_first = np.arange(len(day)), np.diff(customer, prepend=-1) > 0
    number = position - np.maximum.accumulate(np.where(is_first, position, 0)) + 1
    came_back = np.diff(customer, append=-1) == 0
    watched = day_number(as_of.to_datetime64()) - 1 - day  # as_of's own day is not over
    days = np.where(came_back, np.diff(day, append=0), watched.clip(0))
    known = first_category.reindex(bought["customer_id"].cat.categories).astype("str")
    names = known.fillna(UNKNOWN).to_numpy(object)
    table = pd.DataFrame(
        {
            "order_number": number.clip(max=4),
            "first_category": np.where(is_first, names[customer], ALL),
            "days": days,
            "came_back": came_back,
            "orders": 1,
            "customers": (number <= 4).astype(int),
        }
    )
    return table.astype({"first_category": "str"}).groupby(KEY).sum()


def day_number(dates: np.ndarray | np.datetime64) -> np.ndarray:
    """The calendar day of each date, counted from 1900."""
    return (dates.astype("datetime64[D]") - np.datetime64("1900-01-01")).astype("int64")


# --- the table ---


def repurchase(sums: pd.DataFrame) -> pd.DataFrame:
    """The columns of repurchase.csv from the sums of gap_sums: for each order_number, and for first orders each
    first_category (those of most customers first), a row per WITHIN_DAYS."""
    gaps = sums.reset_index()
    # a category that is called ALL would share its rows' key with all of them
    first = gaps[gaps["order_number"] == 1].replace({"first_category": {ALL: OTHER}})
    shown = fold_values(first.groupby("first_category")["customers"].sum())
    first = first.assign(first_category=first["first_category"].map(shown))
    size = first.groupby("first_category")["customers"].sum().sort_values(ascending=False, kind="stable")
    categories = [*size.index.drop(OTHER, errors="ignore"), *size.index.intersection([OTHER])]
    parts = [describe(gaps[gaps["order_number"] == 1], 1, ALL)]
    parts += [describe(first[first["first_category"] == name], 1, name) for name in categories]
    parts += [describe(gaps[gaps["order_number"] == number], number, ALL) for number in (2, 3, 4)]
    return pd.concat(parts, ignore_index=True)


def describe(gaps: pd.DataFrame, number: int, category: str) -> pd.DataFrame:
    """The rows of one order_number and first_category. Blank is what cannot be known: a share after more days than
    anybody has been watched, a share of 1 that rests on the last who were watched alone, limits of a share of 0
    or 1, and of order 4 and more, where one customer counts several times."""
    curve, all_came_back = return_curve(gaps), gaps["came_back"].all()
    if not all_came_back:  # of those who were watched for less, nobody knows whether they come back
        curve["share"] = curve["share"].where(curve["share"] < 1)
    reached = curve.index[curve["share"] >= 0.5 - 1e-9]  # a half, but for the last digit of a product
    rows = curve.reindex(WITHIN_DAYS)
    if len(curve) and all_came_back:  # nobody is left to come back later
        rows["share"] = rows["share"].fillna(1.0)
    if number == 4:
        rows[["low", "high"]] = np.nan
    facts = {
        "order_number": NUMBERS[number],
        "first_category": category,
        "within_days": rows.index,
        "customers": gaps["customers"].sum(),
        "orders": gaps["orders"].sum(),
        "came_back": gaps.loc[gaps["came_back"], "orders"].sum(),
    }
    median = pd.array([reached[0] if len(reached) else None] * len(rows), "Int64")
    return pd.DataFrame(facts, rows.index).join(rows.round(6)).assign(median_days=median)


def return_curve(gaps: pd.DataFrame) -> pd.DataFrame:
    """The share that comes back within each number of days, from 0 to the longest that anybody has been watched,
    and its 95% limits by the exponential Greenwood formula (missing for shares of 0 and 1, for which it is not
    defined); no row without orders."""
    if gaps.empty:
        return pd.DataFrame(columns=["share", "low", "high"], dtype=float)
    from scipy.stats import CensoredData, ecdf

    back, not_yet = (
        np.repeat(part["days"].to_numpy(float), part["orders"])
        for part in (gaps[gaps["came_back"]], gaps[~gaps["came_back"]])
    )
    found = ecdf(CensoredData(back, right=not_yet)).cdf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined")  # at 0 and 1: see above
        limits = found.confidence_interval(0.95, method="log-log")
    days = np.arange(gaps["days"].max() + 1)
    share = found.evaluate(days)
    between = (share > 0) & (share < 1)
    low, high = (np.where(between, limit.evaluate(days), np.nan) for limit in limits)
    return pd.DataFrame({"share": share, "low": low, "high": high}, days)
