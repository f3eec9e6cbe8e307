"""pulse/drivers.py: revenue spread over the lines of an order, and what a customer bought first."""

import hypothesis
import pandas as pd
import pyarrow as pa
import pytest
from conftest import make_orders
from hypothesis import given
from hypothesis import strategies as st

from pulse.columns import ITEMS
from pulse.drivers import driver_sums, first_purchases, revenue_by_line

# --- revenue by item ---

LINES = st.lists(st.tuples(st.integers(-3, 5), st.sampled_from([0, 0.1, 0.2, 0.3, 1.25, 19.99])), max_size=5)


def spread(shop: list[tuple], places: int = 2) -> list[list[float]]:
    """What each item of each order brings; an order is (amount, [(quantity, unit_price)])."""
    orders = make_orders(*(("a", "2024-01-01", amount) for amount, _ in shop))
    items = [[{"category": "x", "quantity": n, "unit_price": each} for n, each in lines] for _, lines in shop]
    orders["items"] = pd.Series(items, dtype=pd.ArrowDtype(ITEMS))
    revenue = revenue_by_line(orders, places).groupby("order")["revenue"]
    return [list(map(float, revenue.get_group(row).round(places))) for row in range(len(shop))]


def test_memory_grows_with_the_lines_of_an_order_not_with_their_square():
    orders = make_orders(("a", "2024-01-01", 9.0))
    items = [[{"category": "x", "quantity": 1, "unit_price": 1.0}] * 6_000]
    orders["items"] = pd.Series(items, dtype=pd.ArrowDtype(ITEMS))
    orders = orders.assign(month=0, country=None, channel="web")
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    driver_sums(orders, revenue_by_line(orders), pd.Series(["France"], ["a"], dtype="category"))
    assert pool.max_memory() - before < 50_000_000  # 6,000 times 6,000 lines are 800 MB


@pytest.mark.parametrize(
    ("amount", "items", "places", "revenue"),
    [
        (10.0, [(1, 20.0), (2, 5.0)], 2, [6.67, 3.33]),
        (10.0, [(1, 20.0), (2, 5.0)], 3, [6.667, 3.333]),  # KWD
        (10.0, [(1, 20.0), (2, 5.0)], 0, [7.0, 3.0]),  # JPY
        (12.0, [(1, 10.0), (1, 0.0)], 2, [12.0, 0.0]),  # a free item beside another
        (0.0, [(1, 10.0), (1, 5.0)], 2, [0.0, 0.0]),  # a free order
        (5.0, [(1, 0.0), (3, 0.0)], 2, [2.5, 2.5]),  # nothing but free items
        (8.0, [(1, 10.0), (1, -2.0)], 2, [10.0, -2.0]),  # a discount as a line
        (16.0, [(1, 10.0), (-1, 2.0)], 2, [20.0, -4.0]),
        (5.0, [(1, 10.0), (-1, 10.0)], 2, [2.5, 2.5]),
        (9.0, [(1, 0.1), (1, 0.2), (-1, 0.3)], 2, [3.0, 3.0, 3.0]),  # 5.5e-17 in doubles
        (6.0, [(1, float("inf")), (1, 2.0)], 2, [0.0, 6.0]),
    ],
)
def test_revenue_follows_the_values_of_the_items(amount, items, places, revenue):
    assert spread([(amount, items)], places) == [pytest.approx(revenue, abs=1e-9)]


@hypothesis.settings(max_examples=40)
@given(st.sampled_from([0, 2, 3]), st.lists(st.tuples(st.integers(0, 10**7), LINES), min_size=1, max_size=8))
def test_revenue_of_the_items_adds_up_to_the_amount_in_every_currency(places, shop):
    shop = [(units / 10**places, lines) for units, lines in shop]
    for (amount, lines), revenue in zip(shop, spread(shop, places), strict=True):
        assert round(sum(revenue), places) == amount
        assert len(revenue) == max(len(lines), 1)
        assert all(abs(part) <= 100 * amount + 1 for part in revenue)


def test_the_country_is_the_orders_own_else_the_customers():
    orders = make_orders(*((who, "2024-01-01", 9.0) for who in ("a", "a", "b", None)))
    orders["country"] = pd.Series(["Peru", None, None, None], dtype="category")
    orders["items"] = pd.Series([[]] * 4, dtype=pd.ArrowDtype(ITEMS))
    orders = orders.assign(month=0, channel="web")
    homes = pd.Series(["Chile"], pd.Index(["a"]), dtype="category")
    sums = driver_sums(orders, revenue_by_line(orders), homes)
    found = sums["orders"].groupby("country").sum().to_dict()
    assert found == {"Chile": 1, "Peru": 1, "Unknown": 2}


# --- first purchases ---


def bought_first(*rows: tuple) -> dict[str, tuple[str, str]]:
    """{customer_id: (first_category, first_channel)}; a row is (customer_id, date, amount, status, channel,
    items), an item (category, quantity, unit_price)."""
    orders = make_orders(*(row[:4] for row in rows))
    orders["channel"] = pd.Series([row[4] for row in rows], dtype="category")
    names = ("category", "quantity", "unit_price")
    items = [[dict(zip(names, item, strict=True)) for item in row[5]] for row in rows]
    orders["items"] = pd.Series(items, dtype=pd.ArrowDtype(ITEMS))
    first = first_purchases(orders, revenue_by_line(orders)).astype(object)
    return {who: (*texts,) for who, *texts in first.where(first.notna(), None).itertuples()}


def test_the_first_category_is_that_of_most_value_in_the_first_sold_order():
    found = bought_first(
        ("a", "2024-01-09", 5.0, "completed", "app", [("Books", 1, 5.0)]),
        ("a", "2024-01-05", 9.0, "completed", "web", [("Toys", 1, 4.0), ("Tea", 3, 2.0)]),  # 4 and 6
        ("a", "2024-01-01", 7.0, "cancelled", "fax", [("Cars", 1, 7.0)]),
        ("b", "2024-01-01", 0.0, "completed", "web", [("Toys", 1, 5.0), ("Books", 1, 7.0)]),  # given away
        ("c", "2024-01-01", 8.0, "completed", None, []),
        (None, "2024-01-01", 8.0, "completed", "web", [("Toys", 1, 8.0)]),
        ("e", "2024-01-01", 8.0, "completed", "web", [("Air", float("inf"), 1.0), ("Toys", 1, 8.0)]),
        ("d", "2024-01-01", 8.0, "cancelled", "web", [("Toys", 1, 8.0)]),
    )
    assert found == {"a": ("Tea", "web"), "b": ("Books", "web"), "c": (None, None), "e": ("Toys", "web")}


def test_ties_go_by_the_alphabet_and_two_orders_of_one_moment_are_one():
    toys, books = ("Toys", 1, 5.0), ("Books", 1, 5.0)
    assert bought_first(("a", "2024-01-01", 10.0, "completed", "web", [toys, books])) == {"a": ("Books", "web")}
    twice = [
        ("a", "2024-01-01", 5.0, "completed", "web", [toys, (" ", 9, 9.0)]),  # a category that is not known
        ("a", "2024-01-01", 4.0, "completed", "app", [("Books", 1, 4.0)]),
    ]
    assert bought_first(*twice) == bought_first(*twice[::-1]) == {"a": ("Toys", "app")}
