"""pulse/statuses.py: which words are sales, and who says so."""

import tomllib

import pytest

from pulse.statuses import (
    BLANK,
    FILE,
    MOST_SHOWN,
    Words,
    general_words,
    normalise,
    sold_words,
    user_words,
    word_set,
)


def test_words_are_compared_in_one_spelling():
    assert [
        normalise(word) for word in (" Paid ", "wc-on-hold", "WC-Failed", "E\u0301chou\u00e9e", "a \n b", " ")
    ] == [*("paid", "on-hold", "failed", "\u00e9chou\u00e9e", "a b", BLANK)]
    assert word_set("Won, picked  up,, (blank)") == {"won", "picked up", BLANK}


def test_the_lists_hold_each_word_once_as_it_is_compared():
    lists = tomllib.loads(FILE.read_text(encoding="utf-8"))
    words = [word for of in lists.values() for word in of]
    assert sorted(lists) == ["ambiguous", "not_sold", "sold"]
    assert len(set(words)) == len(words)
    assert [normalise(word) for word in words] == words


@pytest.mark.parametrize(
    ("word", "sold"),
    [("paid", True), ("true", True), ("livr\u00e9", True), ("false", False), ("anulowane", False)],
)
def test_general_words_mean_the_same_everywhere(word, sold):
    known = general_words()
    assert (word in known.sold, word in known.not_sold) == (sold, not sold)


def test_who_speaks_first_decides():
    user, layout = Words(sold=frozenset({"odd"})), Words(frozenset({"pending"}), frozenset({"odd", "paid"}))
    counts = {"odd": 1, "paid": 2, "pending": 3, "shipped": 4}
    assert sold_words(counts, [user, layout, general_words()], "") == {"odd", "pending", "shipped"}


def test_words_that_nobody_knows_are_listed_with_counts(capsys):
    with pytest.raises(SystemExit) as stopped:
        sold_words({"paid": 9, "pending": 2, "ann@example.com": 1, "won": 2000}, [general_words()], "Say so.")
    assert stopped.value.code == 2
    assert "are sales: won (2,000), pending (2), (an address) (1). Say so." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        sold_words({f"word{n}": 1 for n in range(MOST_SHOWN + 1)}, [], "")
    assert capsys.readouterr().err.count("word") == MOST_SHOWN


def test_a_user_cannot_say_both(capsys):
    assert user_words("a, B", "c", "X and Y") == Words(frozenset({"a", "b"}), frozenset({"c"}))
    with pytest.raises(SystemExit):
        user_words("a, b", "B", "X and Y")
    assert "X and Y have b both as sold and as not sold" in capsys.readouterr().err
