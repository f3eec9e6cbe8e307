"""As much of DAX as powerbi/ uses, on pandas: Model(tables, relationships, measures).value("[Customers]").

A filter context says, for each filtered column, which rows of its table may pass. Filters go from the one side
of a relationship to the many. A filter of CALCULATE replaces the one on its column, KEEPFILTERS keeps both, and
REMOVEFILTERS of a table clears its expanded table: its columns, and those of every table on the one side of it.
BLANK is None, or what pandas has for it. Whatever is not here is refused, so that it cannot agree by accident;
tests/test_dax.py has what is documented of it.
"""

import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<column>\w+\[[^\]]+\])|(?P<measure>\[[^\]]+\])|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<name>\w+)|(?P<sign>&&|\|\||==|<>|<=|>=|[-+*=<>(),&]))"""
)
COMPARE = {"=": operator.eq, "<>": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge}
COMPARE |= {"<=": operator.le, "==": operator.eq}
LEVELS = [{"||"}, {"&&"}, set(COMPARE), {"&"}, {"+", "-"}, {"*"}]  # loosest first
NUMBER_FORMAT = re.compile(r"([-+]?)(#,##)?0(\.0+)?(%?)")
DAY_FORMATS = {"mmm": "%b", "mmm yyyy": "%b %Y", "yyyy-mm-dd": "%Y-%m-%d"}
ZERO = {"text": "", "date": pd.Timestamp("1899-12-30"), "number": 0}
Column = tuple[str, str]
Context = dict[Column, pd.Series]  # by column: which rows of its table pass


class Rows(NamedTuple):
    """A row context: these rows of a table, each by itself, all at once."""

    table: str
    where: pd.Series


class Each(NamedTuple):
    """A row context: one value of a column."""

    column: Column
    value: object


class Relationship(NamedTuple):
    """From many rows to one."""

    table: str
    column: str
    to: str
    key: str


def is_blank(value):
    return pd.isna(value) if isinstance(value, pd.Series) else value is None or bool(pd.isna(value))


def scalar(value):
    return None if is_blank(value) else value


def kind(*values) -> str:
    """What the values are: the first that is not BLANK says it, and no other may differ."""
    found = set()
    for value in values:
        if isinstance(value, pd.Series):
            dtype = value.dtype
            is_number = pd.api.types.is_numeric_dtype(dtype)
            found.add("number" if is_number else "date" if dtype.kind == "M" else "text")
        elif not is_blank(value):
            is_date = isinstance(value, pd.Timestamp)
            found.add("date" if is_date else "text" if isinstance(value, str) else "number")
    if len(found) > 1:
        raise NotImplementedError(f"{found} side by side")
    return found.pop() if found else "number"


def filled(value, zero):
    if isinstance(value, pd.Series):
        value = value.fillna(zero)
        return value.str.lower() if zero == "" else value
    value = zero if is_blank(value) else value
    return value.lower() if zero == "" else value


def compare(sign: str, a, b):
    """BLANK is 0, "" or the first date; case does not count. == tells BLANK from these."""
    zero = ZERO[kind(a, b)]
    same = COMPARE[sign](filled(a, zero), filled(b, zero))
    return same & (is_blank(a) == is_blank(b)) if sign == "==" else same


def arithmetic(sign: str, a, b):
    """BLANK is 0 beside another term, and takes a product with it."""
    if kind(a, b) != "number":
        raise NotImplementedError(f"{sign} of what is no number")
    apply = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign]
    blank = is_blank(a) | is_blank(b) if sign == "*" else is_blank(a) & is_blank(b)
    found = apply(filled(a, 0), filled(b, 0))
    return found.mask(blank) if isinstance(found, pd.Series) else None if blank else found


def join(sign: str, a, b):
    either = {"&&": operator.and_, "||": operator.or_}[sign]
    return either(filled(a, False), filled(b, False))


def text_of_both(sign: str, a, b):
    """BLANK is no text beside one; FORMAT says how a number or a day is written."""
    if kind(a, b) != "text" or isinstance(a, pd.Series) or isinstance(b, pd.Series):
        raise NotImplementedError(f"{sign} of other than two texts")
    return "".join(each for each in (a, b) if not is_blank(each))


def written(value, form: str) -> str:
    """FORMAT, in the culture en-US; of the sections, that of the value's sign."""
    if is_blank(value):
        return ""
    if form in DAY_FORMATS and kind(value) == "date":
        return value.strftime(DAY_FORMATS[form])
    sections = form.split(";")
    at = 0 if len(sections) == 1 else 2 if value == 0 and len(sections) == 3 else int(value < 0)
    parts = NUMBER_FORMAT.fullmatch(sections[at])
    if not parts or len(sections) > 3 or kind(value) != "number" or isinstance(value, pd.Series | bool | np.bool_):
        raise NotImplementedError(f"FORMAT of {value} as {form}")
    sign, thousands, places, percent = parts.groups()
    exact = Decimal(f"{abs(value):.15g}") * (100 if percent else 1)
    rounded = exact.quantize(Decimal(f"1e-{len(places or '.') - 1}"), ROUND_HALF_UP)
    if value and not rounded and (len(sections) == 3 or (value < 0 and not sections[1:])):
        raise NotImplementedError(f"FORMAT of {value}, which is rounded to 0, as {form}")
    minus = "-" if value < 0 and not sections[1:] else ""
    return f"{minus}{sign}{rounded:{',' if thousands else ''}f}{percent}"


def rounded_to(value, places: int):
    """ROUND: half away from 0; of rows, each by itself."""
    if isinstance(value, pd.Series):
        return value.map(lambda each: rounded_to(each, places))
    if kind(value) != "number" or is_blank(value):
        raise NotImplementedError(f"ROUND of {value}")
    exact = Decimal(f"{value:.15g}")
    return float(exact.quantize(Decimal(f"1e{-places}"), ROUND_HALF_UP))


def logarithm(value, base):
    if is_blank(value) or value <= 0:
        raise NotImplementedError(f"LOG of {value}")
    return np.log(value) / np.log(base)


def divide(a, b, otherwise=None):
    return otherwise if filled(b, 0) == 0 else None if is_blank(a) else a / b


def edate(day, months):
    if is_blank(day):
        raise NotImplementedError("EDATE of BLANK")
    return day + pd.DateOffset(months=months)


def choose(test, yes, no):
    """IF: of a value, the one branch; of rows, each its own."""
    if not isinstance(test, pd.Series):
        return yes() if filled(test, False) else no()
    other = no()
    other = other if isinstance(other, pd.Series) else pd.Series(other, test.index)
    return other.mask(test, yes())


AGGREGATES: dict[str, Callable] = {  # of a column's visible values
    "SUM": lambda values: values.sum(min_count=1),
    "AVERAGE": lambda values: values.mean(),
    "MAX": lambda values: values.max(),
    "COUNT": lambda values: values.count() or None,
    "DISTINCTCOUNT": lambda values: values.nunique(dropna=False) or None,
    "HASONEVALUE": lambda values: values.nunique(dropna=False) == 1,
}
SCALARS: dict[str, Callable] = {
    "DIVIDE": divide,
    "ISBLANK": is_blank,
    "NOT": lambda value: ~value if isinstance(value, pd.Series) else not value,
    "TRUE": lambda: True,
    "FALSE": lambda: False,
    "BLANK": lambda: None,
    "EDATE": edate,
    "FORMAT": written,
    "LOG": logarithm,
    "ROUND": rounded_to,
    "YEAR": lambda day: day.dt.year if isinstance(day, pd.Series) else day.year,
    "MONTH": lambda day: day.dt.month if isinstance(day, pd.Series) else day.month,
}


class Model:
    """Tables by name, how they relate, measures' and calculated columns' DAX by name."""

    def __init__(
        self,
        tables: dict[str, pd.DataFrame],
        relationships: list[tuple[str, str, str, str]],
        measures: dict[str, str],
        calculated: dict[Column, str] | None = None,
    ):
        self.tables = {name: frame.reset_index(drop=True) for name, frame in tables.items()}
        self.measures = measures
        self.ones: dict[str, dict[str, pd.Series]] = {name: {} for name in tables}  # to the row on the one side
        for each in map(Relationship._make, relationships):
            keys = pd.Index(filled(self.tables[each.to][each.key], ZERO[kind(self.tables[each.to][each.key])]))
            many = self.tables[each.table][each.column]
            if not keys.is_unique:
                raise ValueError(f"{each.to}[{each.key}] says something twice")
            at = pd.Series(keys.get_indexer(filled(many, ZERO[kind(many)])), many.index)
            if (at < 0).any():
                raise ValueError(f"rows of {each.table} have no {each.to}: there would be a blank row")
            self.ones[each.table][each.to] = at
        self.parse = cache(lambda dax: Parser(dax).whole())
        for (table, column), dax in (calculated or {}).items():
            everything = Rows(table, pd.Series(True, self.tables[table].index))
            self.tables[table][column] = self.parse(dax)(self, {}, everything, {})

    def value(self, dax: str, filters: dict[Column, list] | None = None):
        """What it says, where these columns have one of these values."""
        context = {(t, c): self.tables[t][c].isin(values) for (t, c), values in (filters or {}).items()}
        return scalar(self.parse(dax)(self, context, None, {}))

    def visible(self, table: str, context: Context) -> pd.Series:
        """Which rows of the table pass its own filters, and those of the tables on the one side of it."""
        passes = np.ones(len(self.tables[table]), dtype=bool)
        for (owner, _), where in context.items():
            if owner == table:
                passes &= where.to_numpy()
        for one, at in self.ones[table].items():
            if not self.expanded(one).isdisjoint(owner for owner, _ in context):
                passes &= self.visible(one, context).to_numpy()[at]
        return pd.Series(passes, self.tables[table].index)

    def expanded(self, table: str) -> set[str]:
        """The table, and all on the one side of it."""
        return {table}.union(*map(self.expanded, self.ones[table]))

    def values(self, column: Column, context: Context) -> pd.Series:
        table, name = column
        return self.tables[table][name][self.visible(table, context)]

    def related(self, rows: Rows, column: Column) -> pd.Series:
        """RELATED: the value on the one side, a step away."""
        table, name = column
        at = self.ones[rows.table][table][rows.where]
        return pd.Series(self.tables[table][name].to_numpy()[at], at.index)


class Parser:
    """DAX text to a function of (model, context, row context, variables)."""

    def __init__(self, dax: str):
        if TOKEN.sub("", dax).strip():
            raise NotImplementedError(f"not understood: {TOKEN.sub('', dax).strip()} in {dax}")
        self.rest = [(token.lastgroup, token[token.lastgroup]) for token in TOKEN.finditer(dax)][::-1]
        self.dax = dax

    def next(self, *expected: str) -> str:
        text = self.rest.pop()[1]
        if expected and text not in expected:
            raise NotImplementedError(f"{text} in place of {expected} in {self.dax}")
        return text

    def peek(self) -> str:
        return self.rest[-1][1] if self.rest else ""

    def whole(self) -> Callable:
        found = self.expression()
        if self.rest:
            raise NotImplementedError(f"not understood from {self.peek()} in {self.dax}")
        return found

    def expression(self) -> Callable:
        """VAR name = expression ... RETURN expression, or an expression alone."""
        variables = []
        while self.peek() == "VAR":
            self.next()
            name = self.next()
            self.next("=")
            variables.append((name, self.level(0)))
        if variables:
            self.next("RETURN")
        last = self.level(0)

        def run(model, context, row, known):
            for name, expression in variables:
                known = known | {name: expression(model, context, row, known)}
            return last(model, context, row, known)

        return run

    def level(self, n: int) -> Callable:
        """A chain of operators of one precedence, from the left."""
        if n == len(LEVELS):
            return self.atom()
        left = self.level(n + 1)
        while self.peek() in LEVELS[n]:
            sign = self.next()
            apply = (join, join, compare, text_of_both, arithmetic, arithmetic)[n]
            left = operation(apply, sign, left, self.level(n + 1))
        return left

    def atom(self) -> Callable:
        """A value, a name, a call, or an expression in brackets."""
        what, text = self.rest.pop()
        if what == "name" and self.peek() == "(":
            self.next("(")
            return getattr(self, text.lower() + "_", self.other)(text)
        if text in ("(", "-"):
            inner = self.level(0) if text == "(" else self.atom()
            if text == "-":
                return lambda *at: arithmetic("*", -1, inner(*at))
            self.next(")")
            return inner
        read = {
            "column": lambda model, context, row, known: at_row(model, row, split(text)),
            "measure": lambda model, context, row, known: scalar(
                model.parse(model.measures[text[1:-1]])(model, transition(model, context, row), None, {})
            ),
            "text": lambda *at: text[1:-1],
            "number": lambda *at: float(text) if "." in text else int(text),
            "name": lambda model, context, row, known: known[text],
        }
        if what not in read:
            raise NotImplementedError(f"{text} in {self.dax}")
        return read[what]

    def other(self, name: str) -> Callable:
        """An aggregate of a column, or a function of values."""
        if name in AGGREGATES:
            column = self.column()
            self.next(")")
            return lambda model, context, row, known: scalar(AGGREGATES[name](model.values(column, context)))
        if name not in SCALARS:
            raise NotImplementedError(f"{name} in {self.dax}")
        arguments = self.arguments()
        return lambda *at: SCALARS[name](*(argument(*at) for argument in arguments))

    def if_(self, _: str) -> Callable:
        test, yes, no = self.arguments()
        return lambda *at: choose(test(*at), lambda: yes(*at), lambda: no(*at))

    def switch_(self, _: str) -> Callable:
        """SWITCH(TRUE(), ...): the value beside the first test that holds, or the last."""
        what, *cases = self.arguments()

        def run(*at):
            if what(*at) is not True:
                raise NotImplementedError(f"SWITCH of other than TRUE() in {self.dax}")
            rest = cases
            while len(rest) > 1 and not choose(rest[0](*at), lambda: True, lambda: False):
                rest = rest[2:]
            return rest[-1 if len(rest) == 1 else 1](*at) if rest else None

        return run

    def related_(self, _: str) -> Callable:
        column = self.column()
        self.next(")")
        return lambda model, context, row, known: model.related(row, column)

    def countrows_(self, _: str) -> Callable:
        rows = self.table()
        self.next(")")
        return lambda *at: sum(map(rows_in, rows(*at))) or None

    def sumx_(self, name: str) -> Callable:
        """SUMX and MINX: BLANK in a row counts as none."""
        rows = self.table()
        self.next(",")
        inner = self.expression()
        self.next(")")
        return lambda model, context, row, known: overall(
            name, [inner(model, context, each, known) for each in rows(model, context, row, known)]
        )

    minx_ = sumx_

    def rankx_(self, _: str) -> Callable:
        """RANKX: how many rows say more than the value, and 1."""
        rows = self.table()
        self.next(",")
        inner, value = self.arguments()

        def run(model, context, row, known):
            (found,) = rows(model, context, row, known)
            mine = filled(value(model, context, row, known), 0)
            return 1 + (filled(inner(model, context, found, known), 0) > mine).sum()

        return run

    def selectedvalue_(self, _: str) -> Callable:
        """SELECTEDVALUE: the one value; of several or none the second argument, or BLANK."""
        column = self.column()
        (otherwise,) = self.arguments() if self.next(",", ")") == "," else (lambda *at: None,)

        def run(model, context, row, known):
            values = model.values(column, context)
            one = values.nunique(dropna=False) == 1
            return scalar(values.iloc[0]) if one else otherwise(model, context, row, known)

        return run

    def arguments(self) -> list[Callable]:
        """Expressions up to the closing bracket."""
        found = []
        while self.peek() != ")":
            found.append(self.level(0))
            if self.peek() == ",":
                self.next()
        self.next(")")
        return found

    def column(self) -> Column:
        what, text = self.rest.pop()
        if what != "column":
            raise NotImplementedError(f"{text} where a column belongs in {self.dax}")
        return split(text)

    def table(self) -> Callable:
        """A table, FILTER or CALCULATETABLE of one, or VALUES of a column: to row contexts."""
        name = self.next()
        if self.peek() != "(":
            return lambda model, context, row, known: [Rows(name, model.visible(name, context))]
        self.next("(")
        if name == "VALUES":
            column = self.column()
            self.next(")")
            return lambda model, context, row, known: [
                Each(column, scalar(value)) for value in model.values(column, context).unique()
            ]
        if name == "CALCULATETABLE":
            return self.calculated(self.table())
        if name != "FILTER":
            raise NotImplementedError(f"{name} in {self.dax}")
        rows = self.table()
        self.next(",")
        test = self.level(0)
        self.next(")")

        def kept(model, context, row, known):
            (found,) = rows(model, context, row, known)
            passes = test(model, context, found, known)
            return [Rows(found.table, found.where & passes.reindex(found.where.index, fill_value=False))]

        return kept

    def calculate_(self, _: str) -> Callable:
        return self.calculated(self.level(0))

    def calculated(self, inner: Callable) -> Callable:
        """CALCULATE: filters are read in the context from outside; what is removed goes first."""
        removed: list[str] = []
        filters: list[tuple[Column, Callable, bool]] = []
        while self.next(",", ")") == ",":
            if self.peek() in ("REMOVEFILTERS", "ALL"):
                self.next()
                self.next("(")
                removed.append(self.next())
                self.next(")")
                continue
            keep = self.peek() == "KEEPFILTERS"
            if keep:
                self.next()
                self.next("(")
            before = len(self.rest)
            used = self.rest[::-1]
            predicate = self.level(0)
            columns = {text for what, text in used[: before - len(self.rest)] if what in ("column", "measure")}
            if len(columns) != 1 or not (column := columns.pop()).partition("[")[0]:
                raise NotImplementedError(f"a filter of other than one column in {self.dax}")
            if keep:
                self.next(")")
            filters.append((split(column), predicate, keep))

        def run(model, context, row, known):
            inside = transition(model, context, row)
            inside = {
                c: where for c, where in inside.items() if not any(clears(model, each, c) for each in removed)
            }
            added: Context = {}
            for column, predicate, keep in filters:
                everything = Rows(column[0], pd.Series(True, model.tables[column[0]].index))
                where = predicate(model, context, everything, known)
                if column in added:
                    where = where & added[column]  # filters of one CALCULATE hold together
                elif keep and column in inside:
                    where = where & inside[column]
                added[column] = where
            return inner(model, inside | added, None, known)

        return run


def operation(apply: Callable, sign: str, left: Callable, right: Callable) -> Callable:
    return lambda *at: apply(sign, left(*at), right(*at))


def split(text: str) -> Column:
    table, _, column = text[:-1].partition("[")
    return table, column


def at_row(model: Model, row: Rows | Each | None, column: Column):
    """A column's value in the row context; without one there is none."""
    if isinstance(row, Rows) and row.table == column[0]:
        return model.tables[row.table][column[1]][row.where]
    if isinstance(row, Each) and row.column == column:
        return row.value
    raise NotImplementedError(f"{column} outside a row of its table")


def transition(model: Model, context: Context, row: Rows | Each | None) -> Context:
    """A row context becomes a filter, for a measure or CALCULATE."""
    if isinstance(row, Rows):
        raise NotImplementedError("a measure or CALCULATE in the rows of a table")
    if row is None:
        return context
    column = model.tables[row.column[0]][row.column[1]]
    return context | {row.column: column.isna() if row.value is None else column == row.value}


def clears(model: Model, removed: str, column: Column) -> bool:
    """Whether REMOVEFILTERS of a column, or of a table expanded, clears this column's filter."""
    return split(removed) == column if "[" in removed else column[0] in model.expanded(removed)


def rows_in(row: Rows | Each) -> int:
    return int(row.where.sum()) if isinstance(row, Rows) else 1


def overall(name: str, found: list):
    """SUMX or MINX of what each row context says."""
    if not found:
        return None
    parts = [each if isinstance(each, pd.Series) else pd.Series([each], dtype=float) for each in found]
    values = pd.concat(parts)
    return scalar(values.sum(min_count=1) if name == "SUMX" else values.min())
