"""What the three scripts and the package pulse share: settings, the console, the command line.

Settings come from the environment, else from a file `.env` beside this one; .env.example lists them.
"""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import NoReturn
from zoneinfo import ZoneInfo

import pandas as pd
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parent
OWN_ORDERS = ("ORDERS_COLLECTION", "CUSTOMERS_COLLECTION", "ORDER_FIELDS", "CUSTOMER_FIELDS")


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
        """The folder for what the scripts write; DATA_DIR is relative to this file's folder."""
        return ROOT / self.data_dir

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone in which days and months begin."""
        try:
            return ZoneInfo(self.report_timezone)
        except (KeyError, ValueError, OSError):  # no such key; a key that is no path; a key that is a folder
            fail(f"REPORT_TIMEZONE={self.report_timezone} is no time zone: use a name such as Europe/Paris.")

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


def run(main: Callable[[], None]) -> None:
    """Run a script's main; Ctrl-C ends it with one word in place of a traceback, and exit code 130."""
    try:
        main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


def say(stage: str, text: str) -> None:
    """Print one line: the stage that is done, and its counts."""
    print(f"{stage:<10}{text}", flush=True)


def fail(sentence: str) -> NoReturn:
    """End the script over something its user can fix: one sentence on stderr, exit code 2."""
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(2)


def preload(*modules: str) -> None:
    """Import slow modules in a background thread, while MongoDB starts and answers."""

    def load() -> None:
        with suppress(Exception):  # the script's own import reports what fails here
            for name in modules:
                import_module(name)

    Thread(target=load).start()


# --- the command line ---


def as_of_parser(description: str) -> ArgumentParser:
    """The command line of scripts 2 and 3, so far: --as-of, or None for their default; --keep-odd-dates."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--as-of", type=iso_date, help="see only the orders before this day (YYYY-MM-DD)")
    odd = "take in orders dated far from all others"
    parser.add_argument("--keep-odd-dates", action="store_true", help=odd)
    return parser


def parse_arguments(parser: ArgumentParser) -> Namespace:
    """The command line; a wrong one gets one sentence, not argparse's two paragraphs."""
    parser.error = lambda message: fail(f"{message} (--help lists the options).")  # type: ignore[method-assign]
    return parser.parse_args()


def iso_date(text: str) -> pd.Timestamp:
    """An argparse type: a date such as 2025-12-31."""
    if not re.fullmatch(r"(19|20)\d\d-\d\d-\d\d", text) or pd.isna(pd.to_datetime(text, errors="coerce")):
        raise ArgumentTypeError(f"{text!r} is no date like 2025-12-31")
    return pd.to_datetime(text)


def int_between(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number in this range."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return parse
