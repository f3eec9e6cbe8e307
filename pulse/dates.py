"""When an order was placed: which values in MongoDB are dates, and which are far from all others.

A text is a date where it is ISO 8601 or as ORDER_DATES says, a number only as ORDER_DATES says: neither is
guessed. Without an offset, texts are of UTC.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pandas as pd
from bson import Int64

from common import Settings, fail

YEARS = (datetime(1900, 1, 1), datetime(2100, 1, 1))  # a date outside is an error
PLACES = {"day-first": (0, 1), "month-first": (1, 0)}  # ORDER_DATES: the places of day and month in a text
UNITS = {"epoch-seconds": 1000, "epoch-milliseconds": 1}  # the milliseconds in the unit of a number
FORMS = ("", *PLACES, *UNITS)  # the values of ORDER_DATES
ISO = r"^\s*\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)?)?\s*$"
DAY_AND_MONTH = (  # 31/12/2024 14:05:06 or 2:05 PM, also with points or hyphens
    r"^\s*(\d\d?)[/.-](\d\d?)[/.-](\d{4}|\d\d)"
    r"(?:,?[T ]\s*(?!(?:1[3-9]|2\d)\D.*[ap])([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?:\s*([ap])\.?m\.?)?)?\s*$"
)
LONGEST_GAP = pd.Timedelta(days=365)  # without an order, in one shop's history
FEW = (3, 0.005)  # what lies beyond a longer one: so many orders, or this share of them, at most


# --- MongoDB's expressions ---


def order_dates(settings: Settings) -> str:
    """The setting ORDER_DATES; stops where it is none of FORMS."""
    if settings.order_dates not in FORMS:
        fail(f"ORDER_DATES={settings.order_dates} is none of {', '.join(FORMS[1:])}.")
    return settings.order_dates


def date_expression(value: str | dict, form: str = "") -> dict:
    """MongoDB's expression for a value as a date, null where it is none in this of FORMS."""
    kind = {"$type": value}
    iso = {"$and": [{"$eq": [kind, "string"]}, {"$regexMatch": {"input": value, "regex": ISO}}]}
    known = {"$or": [{"$in": [kind, ["date", "timestamp"]]}, iso]}
    other: dict | None = None
    if form in UNITS:
        numbers = ["string", "int", "long", "double", "decimal"]
        other = {"$cond": [{"$in": [kind, numbers]}, from_number(value, UNITS[form]), None]}
    elif form in PLACES:
        other = {"$cond": [{"$eq": [kind, "string"]}, from_text(value, PLACES[form]), None]}
    return {"$cond": [known, to("date", value), other]}


def to(kind: str, value: str | dict) -> dict:
    """MongoDB's expression for a value as this type, null where it cannot be that."""
    return {"$convert": {"input": value, "to": kind, "onError": None, "onNull": None}}


def from_number(value: str | dict, unit: int) -> dict:
    """A number, or its text, of units (milliseconds) since 1970, as a date."""
    return to("date", to("long", {"$multiply": [to("decimal", value), Int64(unit)]}))


def from_text(value: str | dict, places: tuple[int, int]) -> dict:
    """A text with day and month in these places as a date; null for the 31st of February."""
    part = [{"$arrayElemAt": ["$$found.captures", n]} for n in range(7)]
    day, month = (part[place] for place in places)
    century = {"$cond": [{"$eq": [{"$strLenBytes": part[2]}, 2]}, "20", ""]}
    text = {"$concat": [century, part[2], "-", month, "-", day]}
    date = {"$dateFromString": {"dateString": text, "format": "%Y-%m-%d", "onError": None}}
    hour, minute, second = ({"$ifNull": [to("int", part[n]), 0]} for n in (3, 4, 5))
    half_day = {"$cond": [{"$in": [part[6], ["p", "P"]]}, 12, 0]}
    hour = {"$cond": [{"$lte": [part[6], None]}, hour, {"$add": [{"$mod": [hour, 12]}, half_day]}]}
    seconds = {"$add": [{"$multiply": [{"$add": [{"$multiply": [hour, 60]}, minute]}, 60]}, second]}
    found = {"$regexFind": {"input": value, "regex": DAY_AND_MONTH, "options": "i"}}
    when = {"$add": [date, {"$multiply": [seconds, 1000]}]}
    return {"$let": {"vars": {"found": found}, "in": {"$cond": [{"$lte": ["$$found", None]}, None, when]}}}


# --- what is no date of an order ---


def epochs(zone: ZoneInfo) -> list[datetime]:
    """The first midnight of 1970, in UTC and in the zone, as UTC: what programs write for no date."""
    midnight = datetime(1970, 1, 1)
    return [midnight, midnight.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)]


def kept_span(spans: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first and the last order_date that is not far from all others.

    `spans` has first, last and rows of the orders of each half-year, by time. Far is what lies beyond a gap
    longer than LONGEST_GAP, where it is FEW and less than the rest.
    """
    begin, end, total = 0, len(spans), spans["rows"].sum()
    most = max(FEW[0], FEW[1] * total)
    for place in range(1, len(spans)):
        before = spans["rows"].iloc[:place].sum()
        after = total - before
        if spans["first"].iloc[place] - spans["last"].iloc[place - 1] > LONGEST_GAP:
            if before <= most and before < after:
                begin = place
            elif after <= most and after < before:
                end = min(end, place)
    return spans["first"].iloc[begin], spans["last"].iloc[end - 1]
