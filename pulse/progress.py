"""What a terminal shows while something takes long; nothing where the output goes elsewhere."""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

from tqdm import tqdm

PATIENCE_S = 1  # what ends sooner needs no word

Item = TypeVar("Item")


def bar(items: Collection[Item], what: str, unit: str) -> "tqdm[Item]":
    """The items, with a bar that shows how many of them are done."""
    return tqdm(items, what, unit=unit, disable=None, leave=False)


@contextmanager
def clock(what: str) -> Iterator[None]:
    """Show what is going on, and for how long, until the block ends; also a decorator."""
    done = Event()
    thread = Thread(target=tick, args=(what, done))
    if sys.stderr.isatty():
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.ident:
            thread.join()  # the line is clear again


def tick(what: str, done: Event) -> None:
    """The clock's line, second by second."""
    if not done.wait(PATIENCE_S):
        with tqdm(desc=what, bar_format="{desc}: {elapsed}", leave=False) as line:
            line.start_t -= PATIENCE_S
            line.refresh()
            while not done.wait(1):
                line.refresh()
