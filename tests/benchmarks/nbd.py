"""The buy-till-you-die models, as peers: BG/NBD (Fader, Hardie and Lee 2005), Pareto/NBD (Schmittlein, Morrison
and Colombo 1987) and, for amounts, Gamma-Gamma (Fader and Hardie 2013), all from the library lifetimes."""

import numpy as np
import pandas as pd

WEEK = pd.Timedelta(weeks=1)


def summary(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """What the peers see of each customer: days with an order after the first (x), weeks to the last of them
    (t_x) and to the cutoff (age), and the mean amount of these days (paid)."""
    past = orders[orders["completed"] & (orders["order_date"] < cutoff)]
    days = past.groupby([past["customer_id"].astype(str), past["order_date"].dt.normalize()])["net"].sum()
    days = days.reset_index()
    by_customer = days.groupby("customer_id")["order_date"]
    first, last = by_customer.min(), by_customer.max()
    again = days[days["order_date"] > days["customer_id"].map(first)]
    table = {
        "x": by_customer.size() - 1,
        "t_x": (last - first) / WEEK,
        "age": (cutoff - first) / WEEK,
        "paid": again.groupby("customer_id")["net"].mean(),
    }
    return pd.DataFrame(table)


def bg_nbd(known: pd.DataFrame, horizon: pd.Timedelta) -> tuple[pd.Series, pd.Series]:
    """Each customer's probability of no order day within the horizon, and their expected number.

    Alive with the probability of the paper's equation 7, and then at a rate that is gamma distributed with
    r + x and alpha + age.
    """
    from lifetimes import BetaGeoFitter

    seen, ahead = (known["x"], known["t_x"], known["age"]), horizon / WEEK
    model = BetaGeoFitter().fit(*seen)
    alive = model.conditional_probability_alive(*seen)
    r, alpha = model.params_["r"], model.params_["alpha"]
    none = ((alpha + known["age"]) / (alpha + known["age"] + ahead)) ** (r + known["x"])
    n = model.conditional_expected_number_of_purchases_up_to_time(ahead, *seen)
    return 1 - alive * (1 - none), pd.Series(n, known.index)


def pareto_nbd(known: pd.DataFrame, horizon: pd.Timedelta) -> tuple[pd.Series, pd.Series]:
    """The same, by Pareto/NBD."""
    from lifetimes import ParetoNBDFitter

    seen, ahead = (known["x"], known["t_x"], known["age"]), horizon / WEEK
    np.random.seed(0)  # noqa: NPY002, it draws where it begins
    model = ParetoNBDFitter().fit(*seen)
    none = model.conditional_probability_of_n_purchases_up_to_time(0, ahead, *seen)
    n = model.conditional_expected_number_of_purchases_up_to_time(ahead, *seen)
    return pd.Series(none, known.index), pd.Series(n, known.index)


def gamma_gamma(known: pd.DataFrame) -> pd.Series:
    """What an order day of each customer is expected to bring."""
    from lifetimes import GammaGammaFitter

    repeat = known[(known["x"] > 0) & (known["paid"] > 0)]
    unit = repeat["paid"].mean()  # the penalty weighs the same in every currency
    model = GammaGammaFitter(penalizer_coef=0.001).fit(repeat["x"], repeat["paid"] / unit)
    return unit * model.conditional_expected_average_profit(known["x"], known["paid"].fillna(0) / unit)
