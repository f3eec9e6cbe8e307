"""pulse/dimensions.py: which values keep a row of their own."""

import pandas as pd

from pulse.dimensions import MOST_VALUES, OTHER, fold_values


def customers(**by_value: int) -> pd.Series:
    return pd.Series(by_value)


def test_the_values_of_most_customers_keep_their_name():
    many = {f"v{n:02}": 100 - n for n in range(MOST_VALUES + 3)}
    folded = fold_values(customers(**dict(reversed(many.items()))))
    assert sorted(folded[folded != OTHER].index) == sorted(many)[:MOST_VALUES]
    assert all(folded[folded != OTHER].index == folded[folded != OTHER])
    assert sorted(folded[folded == OTHER].index) == sorted(many)[MOST_VALUES:]


def test_of_equally_many_customers_the_alphabet_decides():
    folded = fold_values(customers(**dict.fromkeys("nmlkjihgfedcba", 1)))
    assert sorted(folded[folded == OTHER].index) == ["m", "n"]


def test_a_few_values_all_keep_their_name_and_so_does_what_is_not_known():
    assert fold_values(customers(Spain=1, Unknown=5)).to_dict() == {"Spain": "Spain", "Unknown": "Unknown"}
    assert fold_values(pd.Series(dtype=int)).empty


def test_a_value_called_as_the_others_takes_no_place_from_a_value():
    folded = fold_values(customers(**{OTHER: 99} | {f"v{n:02}": 1 for n in range(MOST_VALUES + 1)}))
    assert sorted(folded[folded == OTHER].index) == [OTHER, f"v{MOST_VALUES:02}"]


def test_categories_are_taken_as_texts():
    values = pd.Series([3, 1], pd.CategoricalIndex(["b", "a"], categories=["c", "b", "a"]))
    assert fold_values(values).to_dict() == {"a": "a", "b": "b"}
