"""Order lines: revenue by month, country, channel and category, and what a customer bought first."""

import numpy as np
import pandas as pd

from pulse.dimensions import UNKNOWN
from pulse.months import first_day

NEARLY_NOTHING = 0.01  # of what an order's items and discounts come to: below, they get equal parts of revenue


def driver_sums(orders: pd.DataFrame, lines: pd.DataFrame, countries: pd.Series) -> pd.DataFrame:
    """orders, units and revenue by month, country, channel and category, of the completed orders and their lines
    (see revenue_by_line).

    An order counts once in every category that it holds; its country is its own, else its customer's.
    """
    # without the items: each line would hold all of its order's
    order = orders[["month", "customer_id", "country", "channel"]].loc[lines["order"]].set_axis(lines.index)
    home = countries.reindex(order["customer_id"].cat.categories)
    table = pd.DataFrame(
        {
            "month": order["month"],
            "country": order["country"],
            "home": home.array.take(order["customer_id"].cat.codes, allow_fill=True),
            "channel": order["channel"],
            "category": lines["category"].astype("category"),
            "orders": ~lines[["order", "category"]].duplicated(),
            "units": lines["quantity"].where(np.isfinite(lines["quantity"])),
            "revenue": lines["revenue"],
        }
    )
    table = table.groupby(["month", "country", "home", "channel", "category"], observed=True, dropna=False).sum()
    table = table.reset_index()
    names = table[["country", "home", "channel", "category"]].astype(object)
    names["country"] = names["country"].fillna(names.pop("home"))
    key = ["month", "country", "channel", "category"]
    table[key[1:]] = names.fillna(UNKNOWN)
    return table.groupby(key)[["orders", "units", "revenue"]].sum()


def revenue_by_line(orders: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """The lines of completed orders: order (its row), category (missing where blank), quantity, value, revenue.

    What was paid for an order is spread over its lines by their value, so that revenue adds up to gross
    revenue at so many places. An order without lines has one, of no category and no units. Lines that are free,
    or that discounts in lines of their own bring to about 0, get equal parts.
    """
    lines = orders["items"].list.flatten().struct.explode().rename_axis("order").reset_index()
    lines["value"] = lines["quantity"] * lines["unit_price"]
    bare = pd.DataFrame({"order": orders.index.difference(lines["order"]), "value": 1.0, "quantity": 0.0})
    lines = pd.concat([lines.astype({"value": float, "quantity": float}), bare], ignore_index=True)
    lines = lines[orders["completed"].to_numpy()[lines["order"]]]
    category = lines["category"].astype("str")
    order = lines["order"]
    value = lines["value"].where(np.isfinite(lines["value"]), 0)
    total, size = (values.groupby(order).transform("sum") for values in (value, value.abs()))
    value = value.where(total.abs() > NEARLY_NOTHING * size, 1)
    share = value.groupby(order).cumsum() / value.groupby(order).transform("sum")
    # smallest units are rounded on the running total, so that the parts add up
    so_far = (share * orders["gross"].to_numpy()[order]).round(places)
    revenue = so_far - so_far.groupby(order).shift(fill_value=0)
    return lines.assign(category=category.mask(category.str.strip() == ""), value=value, revenue=revenue)


def revenue_drivers(sums: pd.DataFrame, places: int = 2) -> pd.DataFrame:
    """One row per month, country, channel and category with a completed order: revenue_drivers.csv."""
    table = sums.round({"revenue": places, "units": 6}).reset_index()
    return table.assign(month=first_day(table["month"]))


def first_purchases(orders: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """first_category and first_channel by customer_id, of who has a completed order: the category of most value in
    the first one, and where that was placed; ties by the alphabet, several orders of one moment as one."""
    bought = orders.loc[
        orders["completed"] & orders["customer_id"].notna(), ["customer_id", "order_date", "channel"]
    ]
    start = bought.groupby("customer_id", observed=True)["order_date"].transform("min")
    first = bought[bought["order_date"] == start]
    channel = first.sort_values("channel").drop_duplicates("customer_id").set_index("customer_id")["channel"]
    lines = lines.loc[lines["order"].isin(first.index), ["order", "category", "value"]]
    category = lines["category"].astype("category")
    lines = lines.assign(category=category, customer_id=first["customer_id"].loc[lines["order"]].array)
    values = lines.groupby(["customer_id", "category"], observed=True)["value"].sum().reset_index()
    values = values.sort_values(["value", "category"], ascending=[False, True]).drop_duplicates("customer_id")
    category = values.set_index("customer_id")["category"]
    names = pd.DataFrame({"first_category": category.astype("str"), "first_channel": channel.astype("str")})
    return names.set_axis(names.index.astype("str"))
