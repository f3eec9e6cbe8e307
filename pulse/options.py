"""The command line, as far as the three scripts share it."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter

import pandas as pd

from common import fail

ON_ALERT = 3  # the exit code of --fail-on-alert; 2 is an error's


def script_parser(about: str) -> ArgumentParser:
    """The command line of a script, so far its --help: the first two paragraphs of what its docstring is about."""
    description = "\n\n".join(about.split("\n\n")[:2])
    return ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)


def as_of_parser(about: str) -> ArgumentParser:
    """The command line of scripts 2 and 3, so far: --as-of, or None for their default; --keep-odd-dates."""
    parser = script_parser(about)
    as_of = "see only the orders before this day, such as 2025-07-01 (default: all)"
    parser.add_argument("--as-of", type=iso_date, metavar="DATE", help=as_of)
    odd = "take in the few orders dated over 365 days from all others, which are else left out"
    parser.add_argument("--keep-odd-dates", action="store_true", help=odd)
    return parser


def analysis_parser(about: str) -> ArgumentParser:
    """The command line of script 2: as_of_parser's, and --fail-on-alert."""
    parser = as_of_parser(about)
    alert = f"exit with code {ON_ALERT} where alerts.csv, which is saved first, says that a figure moved"
    parser.add_argument("--fail-on-alert", action="store_true", help=alert)
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
