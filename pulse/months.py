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


def month_before(as_of: pd.Timestamp) -> pd.Timestamp:
    """The moment one calendar month before as_of."""
    return as_of - pd.DateOffset(months=1)


def is_in_progress(months: np.ndarray | pd.Series | pd.Index, as_of: pd.Timestamp) -> np.ndarray:
    """Whether as_of falls inside each month, so that some of it is yet to come."""
    return first_day(np.asarray(months) + 1) > as_of.to_datetime64()
