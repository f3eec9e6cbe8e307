"""customers.csv: who the customers are, and what they bought first."""

import pandas as pd

from pulse.dimensions import UNKNOWN

TEXTS = ("country", "city", "acquisition_channel")
FIRST = ("first_category", "first_channel")


def with_known_texts(customers: pd.DataFrame) -> pd.DataFrame:
    """The customers with UNKNOWN in place of texts that are missing or blank."""
    texts = {name: customers[name].mask(customers[name].str.strip() == "").fillna(UNKNOWN) for name in TEXTS}
    return customers.assign(**texts)


def known_customers(customers: pd.DataFrame, sums: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per customer who had signed up or ordered (the index of customer_sums) before as_of: the columns of
    customers.csv."""
    bought = sums[[*FIRST, "last_order_date"]]
    bought.insert(0, "cohort_month", sums["first_order_date"].to_numpy("datetime64[M]").astype("datetime64[s]"))
    everyone = customers.set_index("customer_id")
    signup = everyone["signup_date"]
    ids = everyone.index[signup.isna() | (signup < as_of)].union(sums.index)
    table = pd.concat([everyone[["signup_date", *TEXTS]].reindex(ids), bought.reindex(ids)], axis="columns")
    return table.fillna(dict.fromkeys((*TEXTS, *FIRST), UNKNOWN)).rename_axis("customer_id").reset_index()
