"""SQL (DuckDB's) that reads dates, numbers and ids as people write them; NULL where a text is none."""

import re

AMBIGUOUS_DATE = "^[0-9][0-9]?[./-][0-9][0-9]?[./-][0-9]"  # 03/04/2025, in March or in April


def date_sql(day_order: str | None) -> str:
    """SQL that reads order_date: ISO 8601 and, day and month in the given order, also 31/12/2025 8:05 PM."""
    iso = "order_date"
    if day_order:
        month_day = {"day-first": r"\2-\1", "month-first": r"\1-\2"}[day_order]
        for digits, year in ((4, r"\3-"), (2, r"20\3-")):
            slashed = rf"^([0-9]{{1,2}})[./-]([0-9]{{1,2}})[./-]([0-9]{{{digits}}})\b,?"
            iso = f"regexp_replace({iso}, '{slashed}', '{year}{month_day}')"
    readings = (
        f"try_cast({iso} AS TIMESTAMPTZ)",
        f"try_cast(regexp_replace({iso}, ' ([+-][0-9:]+)$', '\\1') AS TIMESTAMPTZ)",  # 10:23:45 +0100
        f"try_strptime({iso}, ['%Y-%m-%d %I:%M %p', '%Y-%m-%d %I:%M:%S %p', '%Y-%m-%d %I:%M:%S%p'])::TIMESTAMPTZ",
    )
    time = f"timezone('UTC', coalesce({', '.join(readings)}))"
    return f"if(regexp_matches({iso}, '^(19|20)[0-9]{{2}}[-/]'), {time}, NULL)"  # 9999-12-31 is no date


def number_sql(name: str, decimal: str, thousands: str) -> str:
    """SQL that reads a number with the decimal mark and the thousands separator given, each in its place."""
    group = thousands.replace("'", "''")  # as SQL writes it
    digits = f"[0-9]{{1,3}}({re.escape(group)}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
    number = f"[-+]?({digits})?({re.escape(decimal)}[0-9]*)?([eE][-+]?[0-9]+)?"
    plain = f"translate({name}, '{decimal}{group}', '.')"  # the decimal mark to a point, the other away
    return f"if(regexp_full_match({name}, '{number}'), try_cast({plain} AS DOUBLE), NULL)"


def whole_id_sql(text: str) -> str:
    """SQL that reads an id which a spreadsheet holds as a number: 17850.0 is 17850."""
    return f"regexp_replace({text}, '^([0-9]+)[.]0$', '\\1')"
