"""customers.csv: who the customers are, and what they bought first."""

import pandas as pd

from pulse.drivers import UNKNOWN

TEXTS = ("country", "city", "acquisition_channel")
FIRST = ("first_category", "first_channel")


def with_known_texts(customers: pd.DataFrame) -> pd.DataFrame:
    """The customers with UNKNOWN in place of texts that are missing or empty."""
    texts = {name: customers[name].mask(customers[name] == "").fillna(UNKNOWN) for name in TEXTS}
    return customers.assign(**texts)


def known_customers(customers: pd.DataFrame, sums: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """One row per customer who had signed up or ordered (the index of customer_sums) before as_of: the columns of
    customers.csv."""
    bought = sums[[*FIRST, "last_order_date"]].reset_index()
    bought["cohort_month"] = sums["first_order_date"].to_numpy("datetime64[M]").astype("datetime64[s]")
    everyone = customers.merge(bought, how="outer", on="customer_id")
    signup = everyone["signup_date"]
    known = everyone["customer_id"].isin(sums.index) | signup.isna() | (signup < as_of)
    everyone = everyone[known].sort_values("customer_id", ignore_index=True)
    return everyone.fillna(dict.fromkeys((*TEXTS, *FIRST), UNKNOWN))[
        ["customer_id", "signup_date", *TEXTS, "cohort_month", *FIRST, "last_order_date"]
    ]
