"""pulse/currencies.py: amounts in their currency's smallest unit, by their text and not by the nearest double."""

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.currencies import FINEST, as_text, decimals, is_finer, round_half_up


@pytest.mark.parametrize(
    ("currency", "places"),
    [("EUR", 2), ("KWD", 3), ("jpy", 0), ("CLF", 4), ("none", 2), ("", 2), (None, 2), ("a currency", 2)],
)
def test_a_currency_has_its_decimals(currency, places):
    assert decimals(currency) == places <= FINEST


@pytest.mark.parametrize(
    ("amount", "places", "rounded"),
    [
        *((1.005, 2, 1.01), (2.675, 2, 2.68), (0.125, 2, 0.13), (1.115, 2, 1.12), (1.00499, 2, 1.0)),
        *((-1.005, 2, -1.01), (-2.674, 2, -2.67), (0.0005, 3, 0.001), (1.0005, 3, 1.001), (8.0015, 3, 8.002)),
        *((0.5, 0, 1.0), (2.5, 0, 3.0), (-2.5, 0, -3.0), (2.49, 0, 2.0), (1.00005, 4, 1.0001)),
        *((123456789012.345, 2, 123456789012.35), (3.0, 2, 3.0), (0.0, 3, 0.0), (1e300, 2, 1e300)),
    ],
)
def test_a_half_goes_away_from_zero(amount, places, rounded):
    assert round_half_up(pd.Series([amount]), places).tolist() == [rounded]


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=6), min_size=1, max_size=20)
    | st.lists(st.decimals(-100, 100, places=3), min_size=1, max_size=20),
    st.integers(0, FINEST),
)
def test_an_amount_is_rounded_as_its_text_is(texts, places):
    unit = Decimal(1).scaleb(-places)
    found = round_half_up(pd.Series([float(text) for text in texts]), places)
    assert found.tolist() == [float(text.quantize(unit, ROUND_HALF_UP)) for text in texts]


@given(st.lists(st.integers(-(10**14), 10**14), min_size=1, max_size=20), st.integers(0, FINEST))
def test_an_amount_in_smallest_units_stays_as_it_is(units, places):
    amounts = pd.Series(units) / 10**places
    assert round_half_up(amounts, places).equals(amounts)
    assert not is_finer(amounts, amounts).any()


def test_each_amount_has_its_own_places_and_the_index_stays():
    amounts = pd.Series([1.0005, 1.005, 0.5], index=[7, 3, 5])
    assert round_half_up(amounts, np.array([3, 2, 0])).to_dict() == {7: 1.001, 3: 1.01, 5: 1.0}


def test_finer_is_what_rounding_changes_and_no_noise_of_doubles():
    amounts = pd.Series([1.005, 1.001, -2.000001, 0.1 + 0.2, 1.0, np.nan, 123456789.01 + 1e-8])
    rounded = round_half_up(amounts, 2)
    assert is_finer(amounts, rounded).tolist() == [True, True, True, False, False, False, False]
    assert rounded.isna().tolist() == amounts.isna().tolist()


@pytest.mark.parametrize(
    ("amount", "places", "text"),
    [
        *((1234.5, 2, "1,234.50"), (-0.5, 0, "-0"), (999999999999999, 0, "999,999,999,999,999")),
        *((1e15, 2, "1e+15"), (-1.23456789e22, 2, "-1.23457e+22"), (1e300, 0, "1e+300"), (np.nan, 2, "nan")),
    ],
)
def test_an_amount_is_shown_with_the_digits_that_it_has(amount, places, text):
    assert as_text(amount, places) == text
