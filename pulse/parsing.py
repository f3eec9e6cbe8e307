"""SQL (DuckDB's) that reads dates, numbers and ids as people write them; NULL where a text is none.

Numbers are decimals, never doubles, so that a half cent is rounded from what the file says.
"""

import re

DECIMAL = "DECIMAL(38, 12)"  # of amounts that are added up
AMOUNT = "DECIMAL(27, 12)"  # of one, below 10 ** 15: a double has its cents, and any number of them a sum
PRICE, QUANTITY = "DECIMAL(24, 10)", "DECIMAL(14, 6)"  # of a line: their product is exact, and a DECIMAL
AMBIGUOUS_DATE = "^[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]"  # 03/04/2025, in March or in April
ZONE_NAME = r":[0-9]{2}(?:\.[0-9]+)? ?(?:[AaPp][Mm] )?([A-Za-z]{2,5})$"  # BST: Britain's, and Bangladesh's
CLEAR_ZONES = ("utc", "gmt", "am", "pm")
OFFSET = r":[0-9]{2}(\.[0-9]+)? ?[+-][0-9]{2}:?([0-9]{2})?$"
CUT_ID = r"[0-9]([.,][0-9]+)?[eE]\+[0-9]+"  # 8.1E+12: a spreadsheet has dropped the other digits
CURRENCY_SIGN = r"\p{Sc}"
TEXT_DATES = (
    *("%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M:%S%p"),  # 2025-12-31 8:05 PM
    *("%b %d, %Y, %I:%M:%S %p", "%b %d, %Y, %I:%M %p"),  # Sep 27, 2024, 9:15:00 AM
    *("%b %d, %Y %I:%M:%S %p", "%b %d, %Y %I:%M %p", "%b %d, %Y %H:%M:%S", "%b %d, %Y %H:%M", "%b %d, %Y"),
    *("%B %d, %Y %I:%M:%S %p", "%B %d, %Y %I:%M %p", "%B %d, %Y %H:%M:%S", "%B %d, %Y %H:%M", "%B %d, %Y"),
    *("%d %b %Y %H:%M:%S", "%d %b %Y %H:%M", "%d %b %Y", "%d-%b-%Y", "%d-%b-%Y %H:%M:%S"),
    *("%d %B %Y %H:%M:%S", "%d %B %Y %H:%M", "%d %B %Y"),
    *("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M", "%Y%m%d %H%M%S"),  # ISO 8601's basic form
)
BASIC_UTC = r"^([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})([+-][0-9]{2}(:?[0-9]{2})?)$"


def date_sql(text: str, order: str | None) -> str:
    """SQL that reads a date, a time of the session's zone where it has no offset, as UTC.

    ISO 8601; with day and month in the given order also 31/12/2025 8:05 PM; names of months; Excel's days
    since 1900, seconds and milliseconds since 1970, which their size tells apart. 1970-01-01 is what a
    missing date looks like, and is none.
    """
    iso = f"regexp_replace({text}, ' *(UTC|GMT|Z)$', '+00', 'i')"
    iso = f"regexp_replace({iso}, ' ([+-][0-9:]+)$', '\\1')"  # 10:23:45 +0100
    iso = f"regexp_replace({iso}, '{BASIC_UTC}', '\\1-\\2-\\3T\\4:\\5:\\6\\7')"
    iso = f"CASE WHEN regexp_matches({text}, '[A-Za-z+]| -') THEN {iso} ELSE {text} END"
    if order:
        month_day = {"day-first": r"\2-\1", "month-first": r"\1-\2"}[order]
        long, short = (rf"^([0-9]{{1,2}})[./-]([0-9]{{1,2}})[./-]([0-9]{{{digits}}})\b,?" for digits in (4, 2))
        in_full, of_2000 = (f"regexp_replace({iso}, '{long}', '\\3-{month_day}')",
                            f"regexp_replace({iso}, '{short}', '20\\3-{month_day}')")  # fmt: skip
        iso = f"CASE WHEN regexp_matches({text}, '{short}') THEN {of_2000} ELSE {in_full} END"
    formats = ", ".join(f"'{each}'" for each in TEXT_DATES)
    number = f"try_cast({text} AS DOUBLE)"
    is_iso = f"regexp_matches({iso}, '^(19|20)[0-9]{{2}}[-/]')"  # 9999-12-31 is no date
    readings = (
        f"CASE WHEN {is_iso} THEN try_cast({iso} AS TIMESTAMPTZ) END",
        f"try_strptime({iso}, [{formats}])::TIMESTAMPTZ",
        f"CASE WHEN {number} BETWEEN 20000 AND 73050 "  # Excel: 1954 to 2099
        f"THEN (TIMESTAMP '1899-12-30' + to_seconds(round({number} * 86400)))::TIMESTAMPTZ "
        f"WHEN regexp_matches({text}, '^(19|20)[0-9]{{8}}([0-9]{{2}})?$') THEN NULL "  # 202501021230, or seconds?
        f"WHEN {number} BETWEEN 1e8 AND 4.1e9 THEN to_timestamp({number}) "
        f"WHEN {number} BETWEEN 1e11 AND 4.1e12 THEN to_timestamp({number} / 1000) END",
    )
    return plausible_sql(f"coalesce({', '.join(readings)})")


def plausible_sql(time: str) -> str:
    """SQL that gives the time in UTC, NULL for one outside 1900 to 2099 and for midnight of 1970-01-01."""
    epoch = "(TIMESTAMPTZ '1970-01-01', TIMESTAMPTZ '1970-01-01 00:00+00')"  # in the zone, and in UTC
    return (
        f"CASE WHEN year({time}) BETWEEN 1900 AND 2099 AND {time} NOT IN {epoch} THEN timezone('UTC', {time}) END"
    )


def zone_sql(text: str) -> str:
    """SQL that says whether a date ends with the abbreviation of a time zone that is not clear."""
    clear = ", ".join(f"'{zone}'" for zone in CLEAR_ZONES)
    return f"lower(regexp_extract({text}, '{ZONE_NAME}', 1)) NOT IN ('', {clear})"


def number_sql(text: str, decimal: str, thousands: str, kind: str = DECIMAL) -> str:
    """SQL that reads a number with the decimal mark and the thousands separator given, each in its place.

    A currency sign is dropped, and spaces beside the number's sign; (5.00), 5.00- and a minus of U+2212 are
    negative; any kind of space can separate thousands where a space does.
    """
    group, bare = group_pattern(thousands), bare_sql(text)
    plain = f"replace({bare}, '{decimal}', '.')"
    if group:
        plain = f"replace(regexp_replace({bare}, '{group}', '', 'g'), '{decimal}', '.')"
    is_number = f"regexp_full_match({bare}, '{number_pattern(decimal, group)}')"
    read = f"CASE WHEN {is_number} THEN try_cast({plain} AS {kind}) END"
    if decimal != ".":
        return read
    return f"CASE WHEN {is_simple_sql(text)} THEN try_cast({text} AS {kind}) ELSE {read} END"


def group_pattern(thousands: str) -> str:
    """The thousands separator as a pattern."""
    return r"\p{Zs}" if thousands == " " else re.escape(thousands).replace("'", "''")


def number_pattern(decimal: str, group: str) -> str:
    """The pattern of a number with such marks."""
    digits = f"[0-9]{{1,3}}({group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
    return f"[-+]?({digits})?({re.escape(decimal)}[0-9]*)?([eE][-+]?[0-9]+)?"


def bare_sql(text: str) -> str:
    """SQL that gives a number's text with a minus in front, where it is negative, and without a currency sign."""
    bare = rf"replace(trim({text}), '{chr(0x2212)}', '-')"
    bare = rf"regexp_replace({bare}, '^([-+(]?)\p{{Zs}}*{CURRENCY_SIGN}?\p{{Zs}}*', '\1')"
    bare = rf"regexp_replace({bare}, '\p{{Zs}}*{CURRENCY_SIGN}?\p{{Zs}}*([-)]?)$', '\1')"
    bare = rf"regexp_replace({bare}, '^\((.+)\)$', '-\1')"  # accountants'
    return rf"regexp_replace({bare}, '^([^-].*)-$', '-\1')"


def unread_sql(text: str, decimal: str, thousands: str) -> str:
    """SQL that says of which kind a text is that number_sql does not read, and never the text."""
    group, beside = group_pattern(thousands), r"[-+()\p{Pd}\p{Sc}\p{Sm}\p{Zs}]*"
    number = number_pattern(decimal, group)
    kinds = {
        r"[-+]?(nan|inf|infinity|\x{221E})": "no finite number",
        "[^0-9]*": "no digit",
        number: "too large",
        r".*\p{L}.*": "letters",
        f"{beside}{number}{beside}": "an unclear sign",
    }
    cases = (
        f"WHEN regexp_full_match({bare_sql(text)}, '{kind}', 'i') THEN '{words}'" for kind, words in kinds.items()
    )
    return f"CASE {' '.join(cases)} ELSE 'another mark' END"


def is_simple_sql(text: str) -> str:
    """SQL that says whether a text is a number as a computer writes it: most are, and need no more care."""
    return f"regexp_full_match({text}, '-?[0-9]{{1,12}}([.][0-9]{{1,12}})?')"


def sign_sql(text: str) -> str:
    """SQL that gives the currency's sign in an amount; NULL for none."""
    sign = f"nullif(regexp_extract({text}, '{CURRENCY_SIGN}'), '')"
    return f"CASE WHEN NOT {is_simple_sql(text)} THEN {sign} END"


def id_sql(text: str) -> str:
    """SQL that reads an id: one that a spreadsheet holds as a number, 17850.0, is 17850."""
    return f"regexp_replace({text}, '^([0-9]+)[.]0$', '\\1')"
