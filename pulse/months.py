"""Calendar months as numbers, counted from January 1970, so that they subtract; the one definition of a month."""

import numpy as np
import pandas as pd


def month_number(dates: pd.Series) -> np.ndarray:
    """The month of each date."""
    return dates.to_numpy("datetime64[M]").astype(int)


def first_day(months: np.ndarray | pd.Series | pd.Index) -> np.ndarray:
    """The first days (datetime64[s]) of numbered months."""
    return np.asarray(months).astype("datetime64[M]").astype("datetime64[s]")


def last_month(as_of: pd.Timestamp) -> int:
    """The month of the last second before as_of."""
    return int(month_number(pd.Series([as_of - pd.Timedelta(1, "s")]))[0])


def last_complete_month(as_of: pd.Timestamp) -> int:
    """The last month that had ended at as_of."""
    return int(month_number(pd.Series([as_of]))[0]) - 1


def month_before(as_of: pd.Timestamp) -> pd.Timestamp:
    """The moment one calendar month before as_of."""
    return as_of - pd.DateOffset(months=1)


def is_in_progress(months: np.ndarray | pd.Series | pd.Index, as_of: pd.Timestamp) -> np.ndarray:
    """Whether as_of falls inside each month, so that some of it is yet to come."""
    return first_day(np.asarray(months) + 1) > as_of.to_datetime64()


def add_months(orders: pd.DataFrame) -> pd.DataFrame:
    """The orders with month and cohort (the customer's first month with a completed order, missing for who
    has none) as numbers, months_since_first (from one to the other), and first_of_month (whether it is the
    customer's first completed order of its month)."""
    orders = orders.assign(month=month_number(orders["order_date"]))
    bought = orders.loc[orders["completed"] & orders["customer_id"].notna(), ["customer_id", "month"]]
    orders["first_of_month"] = (~bought.duplicated()).reindex(orders.index, fill_value=False)
    active = orders["month"].where(orders["first_of_month"])
    orders["cohort"] = active.groupby(orders["customer_id"], observed=True).transform("min")
    orders["months_since_first"] = (orders["month"] - orders["cohort"]).clip(lower=0)
    return orders
