"""What the words of an order's status say: whether the order is a sale.

A word is judged by what the user says of it (SOLD_STATUSES, --sold ...), then by the layout of the file it
comes from, then by statuses.toml: words that mean the same on every platform. A word that none of them
knows stops the run.
"""

import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from common import fail
from pulse.identity import hide_addresses

BLANK = "(blank)"  # the word of an order that has none, where others have one
FILE = Path(__file__).with_suffix(".toml")
MOST_SHOWN = 20  # words in a message: more are no statuses


class Words(NamedTuple):
    """Status words, in lower case, that are sales, and that are none."""

    sold: frozenset[str] = frozenset()
    not_sold: frozenset[str] = frozenset()


def normalise(word: str) -> str:
    """A status as it is compared: lower case, single spaces, without WooCommerce's wc-; BLANK for none."""
    return " ".join(unicodedata.normalize("NFC", word).lower().split()).removeprefix("wc-") or BLANK


def word_set(words: str | Iterable[str]) -> frozenset[str]:
    """The words of a list, or of a text that separates them by commas."""
    listed = words.split(",") if isinstance(words, str) else words
    return frozenset(normalise(word) for word in listed if word.strip())


def general_words() -> Words:
    """The words that mean the same on every platform."""
    known = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Words(word_set(known["sold"]), word_set(known["not_sold"]))


def sold_words(counts: Mapping[str, int], authorities: Iterable[Words], remedy: str) -> frozenset[str]:
    """Those of these words that are sales, as the first of the authorities has it that knows the word.

    `counts` says how many orders have each word (see normalise). Stops where no authority knows a word;
    `remedy` says how to.
    """
    sold, unknown = set(), []
    ranked = list(authorities)
    for word in counts:
        judge = next((words for words in ranked if word in words.sold | words.not_sold), None)
        if judge is None:
            unknown.append(word)
        elif word in judge.sold:
            sold.add(word)
    if unknown:
        most_first = sorted(unknown, key=lambda word: (-counts[word], word))
        shown = [f"{hide_addresses(word)} ({counts[word]:,})" for word in most_first[:MOST_SHOWN]]
        listed = ", ".join(shown) + (
            f" and {len(unknown) - MOST_SHOWN:,} more" if len(unknown) > MOST_SHOWN else ""
        )
        fail(f"It is not known whether orders of these statuses are sales: {listed}. {remedy}")
    return frozenset(sold)


def user_words(sold: str, not_sold: str, source: str) -> Words:
    """What the user says, two lists separated by commas; stops where a word is in both."""
    words = Words(word_set(sold), word_set(not_sold))
    both = words.sold & words.not_sold
    if both:
        fail(f"{source} have {min(both)} both as sold and as not sold: leave it in one of them.")
    return words
