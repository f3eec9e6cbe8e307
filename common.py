"""What the three scripts and the package pulse share: settings and the console.

Settings come from the environment, else from a file `.env` beside this one; .env.example lists them.
"""

import os
import shutil
import sys
import textwrap
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NoReturn, TextIO
from zoneinfo import ZoneInfo, available_timezones

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent
OWN_ORDERS = ("ORDERS_COLLECTION", "CUSTOMERS_COLLECTION", "ORDER_FIELDS", "CUSTOMER_FIELDS")
COLUMNS = 80  # of a line on a terminal, at the most


# --- settings ---


@dataclass(frozen=True)
class Settings:
    """One value for each variable of .env.example, as text; "" where there is no default."""

    mongo_uri: str = field(default="", repr=False)  # it may hold a password
    mongo_db: str = "ecommerce_pulse"
    orders_collection: str = "orders"
    customers_collection: str = "customers"
    order_fields: str = ""
    customer_fields: str = ""
    report_currency: str = ""
    report_timezone: str = "UTC"
    sold_statuses: str = ""
    not_sold_statuses: str = ""
    order_dates: str = ""
    order_amounts: str = ""
    customer_key: str = field(default="", repr=False)
    data_dir: str = "data"
    range_orders: str = "1000000"
    workers: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the scripts start a MongoDB of their own."""
        return not self.mongo_uri

    @property
    def own_orders(self) -> list[str]:
        """The settings that point to the user's own collections; while one is set, script 1 refuses to run."""
        return [name for name in OWN_ORDERS if getattr(self, name.lower()) != getattr(Settings, name.lower())]

    @property
    def data_path(self) -> Path:
        """The folder for what the scripts write; DATA_DIR is relative to this file's folder, or to a home (~)."""
        try:
            return ROOT / Path(self.data_dir).expanduser()
        except RuntimeError:  # there is no such user, or the user has no home
            fail(f"DATA_DIR={self.data_dir} names a home that is not known: write the folder's whole path.")

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone in which days and months begin, its name in any case."""
        wanted = self.report_timezone
        with suppress(KeyError, ValueError, OSError):  # no such key; a key that is no path; a key that is a folder
            return ZoneInfo(wanted)
        for name in available_timezones():
            if name.lower() == wanted.lower():
                return ZoneInfo(name)
        fail(f"REPORT_TIMEZONE={wanted} is no time zone: use a name such as Europe/Paris.")

    @property
    def orders_per_range(self) -> int:
        """How many orders scripts 2 and 3 hold in memory at a time."""
        try:
            return int_between(1, 10**9)(self.range_orders)
        except ArgumentTypeError as error:
            fail(f"RANGE_ORDERS: {error}.")


def read_settings() -> Settings:
    """The settings as they are now. The environment overrides .env; a blank variable is not set."""
    values = dotenv_values(ROOT / ".env") | os.environ
    found = {each.name: (values.get(each.name.upper()) or "").strip() for each in fields(Settings)}
    return Settings(**{name: value for name, value in found.items() if value})


# --- the console ---


class OutputError(Exception):
    """What a script says cannot be written. Not an OSError: those are about the files that it reads and writes."""


def say(stage: str, text: str) -> None:
    """Print one line: the stage that is done, and its counts."""
    show(f"{stage:<10}{text}")


def show(text: str) -> None:
    """Print the text; an OutputError where that is not possible."""
    try:
        put(text, 10, sys.stdout)
    except OSError as error:
        raise OutputError from error


def fail(sentence: str) -> NoReturn:
    """End the script over something its user can fix: one sentence on stderr, exit code 2."""
    with suppress(OSError):  # nobody can read it
        put(f"Error: {sentence}", 7, sys.stderr)
    sys.exit(2)


def put(text: str, indent: int, stream: TextIO) -> None:
    """Print the text: on a terminal in lines that fit, so many columns in, above any bar; elsewhere as it is."""
    if not stream.isatty():
        print(text, file=stream, flush=True)
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(stream):
        print(fold(text, indent, shutil.get_terminal_size().columns), file=stream, flush=True)


def fold(text: str, indent: int, columns: int) -> str:
    """Each line as lines of so many columns, at most COLUMNS; a path stays whole, to be copied."""
    wrapper = textwrap.TextWrapper(max(40, min(COLUMNS, columns)), subsequent_indent=" " * indent)
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return "\n".join(map(wrapper.fill, text.split("\n")))


# --- what settings and options may hold ---


def int_between(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number in this range."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return parse
