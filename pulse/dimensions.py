"""By what figures are told apart (a country, a channel, a category): how many values keep a row of their own, and
what stands for a value that is not known.
"""

import pandas as pd

MOST_VALUES = 12  # with a row of their own
OTHER = "Other values"  # the rest, together
UNKNOWN = "Unknown"  # in place of a text that is not known


def fold_values(customers: pd.Series) -> pd.Series:
    """{value: the value, or OTHER} from the customers of each value, texts: the MOST_VALUES of most customers keep
    their name, ties by alphabet. A value that is itself called OTHER is with the others."""
    values = customers.index.astype("str")
    ranked = pd.Series(customers.to_numpy(), values).drop(OTHER, errors="ignore").sort_index()
    kept = ranked.sort_values(ascending=False, kind="stable").index[:MOST_VALUES]
    return pd.Series(values.where(values.isin(kept), OTHER), values)
