"""Amounts in their currency's smallest unit, a half rounded up from the decimal text."""

import numpy as np
import pandas as pd

# ISO 4217's decimals of the currencies that have not two
# (https://www.six-group.com/en/products-services/financial-information/data-standards.html)
UNUSUAL = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DECIMALS = {currency: places for places, currencies in UNUSUAL.items() for currency in currencies.split()}
FINEST = max(UNUSUAL)  # rounded to so many decimals, a sum of any currency's amounts is the same in any order
SCALE = 10.0 ** np.arange(FINEST + 1)  # smallest units in 1, by decimals
FINER = "amount finer than the currency's smallest unit, rounded"  # how both ways in call it
WHOLE = 2.0**52  # from here on, a double has no decimals
LARGEST = 1e15  # from here on, a double has no digit left for cents: an amount is none


def decimals(currency: str | None) -> int:
    """How many decimals an amount of this currency has; 2 where it is not known."""
    return DECIMALS.get((currency or "").upper(), 2)


def round_half_up(amounts: pd.Series, places: int | np.ndarray) -> pd.Series:
    """Amounts (doubles) rounded to so many decimals (one number, or one per amount), halves away from 0:
    1.005 is 1.01 and -1.005 is -1.01, as their texts say, though the nearest doubles are closer to 0.

    A double's text, of up to 15 digits, is that of a half or of more just where the double is not below the one
    nearest to that half, which is what a quotient of two whole numbers gives.
    """
    exact = amounts.to_numpy(float)
    size, scale = np.abs(exact), np.broadcast_to(SCALE[places], len(exact))
    with np.errstate(over="ignore", invalid="ignore"):  # infinite amounts, and those beyond WHOLE
        scaled = size * scale
        units = np.rint(scaled)
        close = np.flatnonzero(np.abs(scaled - units) >= 0.25)  # to a half: few, where amounts are in units
        below = np.floor(scaled[close])
        units[close] = below + (size[close] >= (2 * below + 1) / (2 * scale[close]))
    rounded = np.where(scaled < WHOLE, np.copysign(units / scale, exact), exact)
    return pd.Series(rounded, amounts.index, name=amounts.name)


def as_text(amount: float, places: int) -> str:
    """An amount for people: 1,234.50, or 1.2345e+15 where further digits say nothing."""
    return f"{amount:,.{places}f}" if abs(amount) < LARGEST else f"{amount:.6g}"


def is_finer(amounts: pd.Series, rounded: pd.Series) -> np.ndarray:
    """Which amounts rounding has changed, by more than a sum of doubles is off."""
    return ~np.isclose(amounts, rounded, rtol=1e-14, atol=1e-7, equal_nan=True)
