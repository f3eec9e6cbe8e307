"""pulse/customers.py: who is in customers.csv, and what is said of whom nothing is known."""

import pandas as pd
from conftest import make_orders

from pulse.customers import FIRST, TEXTS, known_customers, with_known_texts
from pulse.months import add_months

AS_OF = pd.Timestamp("2024-03-01")


def signed_up(**dates: str | None) -> pd.DataFrame:
    """The collection of customers, of whom no text is known, as read_customers hands it out."""
    days = pd.to_datetime(pd.Series(list(dates.values()), dtype="str")).astype("datetime64[s]")
    texts = {name: pd.Series([None] * len(dates), dtype="str") for name in TEXTS}
    return pd.DataFrame({"customer_id": pd.Series(list(dates), dtype="str"), "signup_date": days, **texts})


def bought(analysis, *rows: tuple) -> pd.DataFrame:
    """The sums of these customers, who bought toys first."""
    sums = analysis.customer_sums(add_months(make_orders(*rows)))
    return sums.assign(**{name: pd.Series(["Toys"] * len(sums), sums.index, dtype="str") for name in FIRST})


def test_a_text_that_is_missing_or_blank_is_unknown():
    customers = signed_up(a=None, b=None, c=None).assign(city=pd.Series([" ", None, "Lima"], dtype="str"))
    assert with_known_texts(customers)["city"].tolist() == ["Unknown", "Unknown", "Lima"]
    assert with_known_texts(customers)["country"].tolist() == ["Unknown"] * 3


def test_in_the_file_is_who_had_signed_up_or_ordered(analysis):
    """z signs up later than as_of and has ordered already, y has not; b is known by an order alone."""
    customers = with_known_texts(signed_up(z="2024-03-05", y="2024-03-01", x="2024-02-29", w=None))
    table = known_customers(customers, bought(analysis, ("z", "2024-02-10", 5.0), ("b", "2024-01-31", 5.0)), AS_OF)
    assert table["customer_id"].tolist() == ["b", "w", "x", "z"]
    by_customer = table.set_index("customer_id")
    assert by_customer["country"].tolist() == ["Unknown"] * 4
    assert by_customer["first_category"].tolist() == ["Toys", "Unknown", "Unknown", "Toys"]
    months = by_customer["cohort_month"].dt.strftime("%Y-%m-%d").fillna("").tolist()
    assert months == ["2024-01-01", "", "", "2024-02-01"]
    assert by_customer["last_order_date"].notna().tolist() == [True, False, False, True]
