"""By what a figure is told apart (a country, a channel, a category), and how many values each may show."""

import pandas as pd

MOST_VALUES = 12  # with a row of their own
OTHER = "Other values"  # the rest, together


def fold_values(customers: pd.Series) -> pd.Series:
    """{value: the value, or OTHER} from the customers of each value, texts: the MOST_VALUES of most customers keep
    their name, ties by alphabet. A value that is itself called OTHER is with the others."""
    values = customers.index.astype("str")
    ranked = pd.Series(customers.to_numpy(), values).drop(OTHER, errors="ignore").sort_index()
    kept = ranked.sort_values(ascending=False, kind="stable").index[:MOST_VALUES]
    return pd.Series(values.where(values.isin(kept), OTHER), values)
