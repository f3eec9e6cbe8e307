"""pulse/cohorts.py: the cells of cohorts by country, channel and first purchase."""

import pandas as pd
from conftest import make_orders

from pulse.cohorts import DIMENSIONS, breakdown_sums, fold_sums
from pulse.customer_months import month_rows
from pulse.months import add_months

JANUARY = 648


def customers_of(**countries: str | None) -> pd.DataFrame:
    """Customers who differ by country alone."""
    return pd.DataFrame({name: pd.Series(countries, dtype="str") for name in DIMENSIONS})


def test_cells_by_the_value_of_each_customer():
    rows = (
        ("a", "2024-01-05", 10.0),
        ("a", "2024-03-05", 5.0),
        ("b", "2024-01-06", 7.0),
        ("b", "2024-02-06", -2.0, "refunded"),
        ("c", "2024-01-01", -3.0, "refunded"),  # before its first order: counts in month 0
        ("c", "2024-02-05", 4.0),
        ("d", "2024-02-05", -1.0, "refunded"),  # in no cohort
        (None, "2024-02-05", 8.0),
    )
    sums = breakdown_sums(month_rows(add_months(make_orders(*rows))), customers_of(a="Chile", b="Peru", d="Peru"))
    found = sums.loc["country"].reset_index().values.tolist()
    assert found == [
        ["Chile", JANUARY, 0, 1, 1, 10.0],
        ["Chile", JANUARY, 2, 1, 1, 5.0],
        ["Peru", JANUARY, 0, 1, 1, 7.0],
        ["Peru", JANUARY, 1, 0, 0, -2.0],
        ["Unknown", JANUARY + 1, 0, 1, 1, 1.0],
    ]
    assert sums.loc["first_channel"].reset_index().values.tolist() == found
    assert sorted(set(sums.index.get_level_values("dimension"))) == sorted(DIMENSIONS)


def test_the_values_of_fewest_customers_are_one():
    """Of fourteen countries, twelve have two customers, whatever their revenue; the rest adds up."""
    names = [f"L{n:02}" for n in range(14)]
    homes = {f"c{n}{k}": name for n, name in enumerate(names) for k in range(1 if n in (3, 5) else 2)}
    rows = [(who, "2024-01-05", 900.0 if name in ("L03", "L05") else 1.0) for who, name in homes.items()]
    sums = breakdown_sums(month_rows(add_months(make_orders(*rows))), customers_of(**homes))
    folded = fold_sums(sums).loc["country"]["net"].droplevel(["cohort", "months_since_first"])
    assert folded.to_dict() == {name: 2.0 for name in names if name not in ("L03", "L05")} | {"Other values": 1800}
    assert fold_sums(sums)["orders"].sum() == 4 * len(rows)
