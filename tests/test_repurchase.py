"""pulse/repurchase.py: how soon the next order follows, those counted who have not come back yet."""

from math import exp, log

import pandas as pd
import pytest
from conftest import make_orders
from pandas.testing import assert_frame_equal

from pulse.dimensions import OTHER
from pulse.repurchase import ALL, KEY, WITHIN_DAYS, gap_sums, repurchase

pytestmark = pytest.mark.filterwarnings("error")

AS_OF = pd.Timestamp("2024-03-01")
FIVE = [  # days to the second order, or those until the end of 29 February
    *(("a", "2024-01-01", 1.0), ("a", "2024-01-11", 1.0)),  # 10
    *(("b", "2024-01-01", 1.0), ("b", "2024-01-31", 1.0)),  # 30
    ("c", "2024-01-01", 1.0),  # 59 without
    ("d", "2024-02-20", 1.0),  # 9 without
    *(("e", "2024-02-01", 1.0), ("e", "2024-02-11", 1.0)),  # 10
]
CATEGORIES = pd.Series({"a": "Toys", "b": "Toys", "c": "Books", "d": "Toys"}, dtype="str")


def sums_of(*rows: tuple, as_of: pd.Timestamp = AS_OF, categories: pd.Series = CATEGORIES) -> pd.DataFrame:
    return gap_sums(make_orders(*rows), categories, as_of)


def rows_of(table: pd.DataFrame, number: str = "1", category: str = ALL) -> pd.DataFrame:
    """The rows of an order number and a category, by within_days."""
    chosen = table[(table["order_number"] == number) & (table["first_category"] == category)]
    assert tuple(chosen["within_days"]) == WITHIN_DAYS
    return chosen.set_index("within_days")


def blanks(table: pd.DataFrame) -> pd.DataFrame:
    return table[["share", "low", "high", "median_days"]].isna()


# --- the estimate ---


def test_five_customers_by_hand():
    """After 9 days one is lost sight of; two of the four others come back after 10, one of two after 30. Until day
    59 the last stays away; of day 60 nothing is known."""
    found = rows_of(repurchase(sums_of(*FIVE)))
    after_10, after_30 = 1 - 2 / 4, (1 - 2 / 4) * (1 - 1 / 2)
    shares = [0.0, 1 - after_10, 1 - after_30, None, None, None, None]
    assert found["share"].astype(object).where(found["share"].notna(), None).tolist() == shares
    assert found[["customers", "orders", "came_back", "median_days"]].drop_duplicates().values.tolist() == [
        [5, 5, 3, 10]  # of four, exactly half
    ]
    for within, stays, greenwood in (
        (14, after_10, 2 / (4 * 2)),
        (30, after_30, 2 / (4 * 2) + 1 / (2 * 1)),
    ):
        width = 1.959964 * greenwood**0.5 / abs(log(stays))
        limits = [1 - stays ** exp(-width), 1 - stays ** exp(width)]
        assert found.loc[within, ["low", "high"]].tolist() == pytest.approx(limits, abs=2e-6)
    assert blanks(found)["low"].tolist() == [True, False, False, True, True, True, True]


def test_nobody_came_back_yet():
    """After the second of two orders nobody was seen for longer than 49 days."""
    found = rows_of(repurchase(sums_of(*FIVE)), "2")
    assert found["share"].tolist()[:3] == [0.0, 0.0, 0.0]
    assert blanks(found)["share"].tolist() == [False] * 3 + [True] * 4
    assert blanks(found)[["low", "high", "median_days"]].all(axis=None)  # the formula has no limits of 0
    assert found["came_back"].tolist() == [0] * 7


def test_where_all_came_back_on_the_same_day_nobody_is_left_to_come_later():
    rows = [(customer, f"2024-01-05T{hour}:30", 1.0) for customer in "ab" for hour in ("09", "22")]
    found = rows_of(repurchase(sums_of(*rows)))
    assert (found["share"] == 1).all()
    assert (found["median_days"] == 0).all()
    assert blanks(found)[["low", "high"]].all(axis=None)


def test_one_order_each_leaves_the_later_orders_blank_and_countable():
    table = repurchase(sums_of(("a", "2023-01-01", 1.0)))
    assert rows_of(table)["share"].tolist() == [0.0] * 7  # watched for 424 days
    for number in ("2", "3", "4 and more"):
        found = rows_of(table, number)
        assert (found[["customers", "orders", "came_back"]] == 0).all(axis=None)
        assert blanks(found).all(axis=None)


def test_the_last_one_watched_does_not_stand_for_all():
    """c came back after 20 days, when a and b were no longer watched: the estimate jumps to 1 there."""
    rows = [(customer, "2024-02-20", 1.0) for customer in "ab"]
    rows += [("c", "2024-01-01", 1.0), ("c", "2024-01-21", 1.0)]
    found = rows_of(repurchase(sums_of(*rows)))
    assert found["share"].tolist()[:2] == [0.0, 0.0]
    assert blanks(found)["share"].tolist() == [False] * 2 + [True] * 5
    assert blanks(found)["median_days"].all()
    assert (rows_of(repurchase(sums_of(*rows[2:])))["share"].tolist()) == [0.0, 0.0] + [1.0] * 5


def test_a_day_that_is_not_over_has_not_been_watched():
    """x ordered the day before as_of: nothing is known of whether x came back within a day."""
    rows = [("x", "2024-02-29T23:00", 1.0), ("y", "2024-01-01", 1.0), ("y", "2024-01-02", 1.0)]
    for as_of in ("2024-03-01", "2024-03-01T12:00"):
        sums = sums_of(*rows, as_of=pd.Timestamp(as_of)).reset_index()
        first = sums[sums["order_number"] == 1]
        assert sorted(zip(first["days"], first["came_back"], strict=True)) == [(0, False), (1, True)]
        assert blanks(rows_of(repurchase(sums.set_index(KEY)))).all(axis=None)
    today = sums_of(("x", "2024-03-01T09:00", 1.0), as_of=pd.Timestamp("2024-03-01T12:00"))
    assert today.index.get_level_values("days").tolist() == [0]


def test_the_median_is_the_first_day_on_which_half_have_come_back():
    """Twelve factors, whose product is a half but for its last digit."""
    rows = [(f"c{n:02}", "2023-01-01", 1.0) for n in range(24)]
    rows += [(f"c{n:02}", f"2023-01-{2 + n:02}", 1.0) for n in range(12)]
    assert set(rows_of(repurchase(sums_of(*rows)))["median_days"]) == {12}
    assert blanks(rows_of(repurchase(sums_of(*rows[:-1]))))["median_days"].all()


# --- which orders ---


def test_the_fourth_order_and_later_ones_are_one_group_without_limits():
    rows = [("a", f"2024-01-{1 + 3 * n:02}", 1.0) for n in range(6)] + [("b", "2024-01-01", 1.0)]
    table = repurchase(sums_of(*rows))
    facts = ["customers", "orders", "came_back"]
    assert [rows_of(table, number)[facts].iloc[0].tolist() for number in ("1", "2", "3", "4 and more")] == [
        *([2, 2, 1], [1, 1, 1], [1, 1, 1], [1, 3, 2]),
    ]
    late = rows_of(table, "4 and more")
    assert (late.loc[7, "share"], late.loc[7, "median_days"]) == (0.666667, 3)
    assert blanks(late)[["low", "high"]].all(axis=None)
    assert not rows_of(table)[["low", "high"]].loc[7].isna().any()


def test_guests_refunds_and_what_was_not_sold_are_no_orders():
    others = [(None, "2024-01-02", 1.0), ("a", "2024-01-03", -1.0), ("c", "2024-01-04", 1.0, "cancelled")]
    assert_frame_equal(sums_of(*FIVE, *others), sums_of(*FIVE))
    assert sums_of(*others).empty


def test_the_order_of_the_rows_does_not_matter():
    orders = make_orders(*FIVE, *FIVE[:3])
    shuffled = orders.sample(frac=1, random_state=1)
    assert_frame_equal(gap_sums(shuffled, CATEGORIES, AS_OF), gap_sums(orders, CATEGORIES, AS_OF))


def test_sums_of_ranges_add_up():
    parts = [sums_of(*FIVE[:4]), sums_of(*FIVE[4:]), sums_of((None, "2024-01-02", 1.0))]
    together = pd.concat(parts).groupby(level=list(range(4))).sum()
    assert_frame_equal(together, sums_of(*FIVE))


# --- categories ---


def test_first_orders_are_told_apart_by_category():
    table = repurchase(sums_of(*FIVE))
    keys = table[["order_number", "first_category"]].drop_duplicates().values.tolist()
    assert keys == [
        *(
            ["1", "All"],
            ["1", "Toys"],
            ["1", "Books"],
            ["1", "Unknown"],
        ),  # most customers first, then the alphabet
        *(["2", "All"], ["3", "All"], ["4 and more", "All"]),
    ]
    assert rows_of(table, category="Toys").loc[14, ["customers", "came_back", "share"]].tolist() == [3, 2, 0.5]
    assert rows_of(table, category="Unknown").loc[14, ["customers", "share"]].tolist() == [1, 1.0]


def test_beyond_twelve_categories_the_rest_are_together_and_one_called_all_with_them():
    rows = [(f"c{n:02}", "2024-01-01", 1.0) for n in range(15)]
    names = [*"nmlkjihgfedcba", ALL]
    table = repurchase(sums_of(*rows, categories=pd.Series(names, [row[0] for row in rows])))
    first = table[table["order_number"] == "1"]
    assert first["first_category"].drop_duplicates().tolist() == [ALL, *"abcdefghijkl", OTHER]
    assert rows_of(table, category=OTHER)["customers"].unique().tolist() == [3]
    assert rows_of(table)["customers"].unique().tolist() == [15]
