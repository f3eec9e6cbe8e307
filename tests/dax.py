"""As much of DAX as the measures in powerbi/ use, on pandas: Model(tables, measures).value("Net revenue").

A context is {table: its visible rows}. CALCULATE narrows it by its conditions; REMOVEFILTERS brings a
table's rows back. Names that are not known, and DAX beyond this, raise.
"""

import operator
import re
from collections.abc import Callable

import pandas as pd

TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<column>\w+\[[^\]]+\])|(?P<measure>\[[^\]]+\])|(?P<number>\d+)"""
    r"""|(?P<name>\w+)|(?P<sign>&&|<>|<=|>=|[-+*/=<>(),]))"""
)
LEVELS = [  # loosest first
    {"&&": operator.and_},
    {"=": operator.eq, "<>": operator.ne, ">": operator.gt, "<": operator.lt},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv},
]
FUNCTIONS: dict[str, Callable] = {
    "SUM": lambda column: column.sum(),
    "AVERAGE": lambda column: column.mean(),
    "MAX": lambda column: column.max(),
    "COUNTROWS": len,
    "DIVIDE": lambda a, b: a / b if b else None,
    "ISBLANK": pd.isna,
    "TRUE": lambda: True,
    "FALSE": lambda: False,
    "EDATE": lambda day, months: day + pd.DateOffset(months=months),
}


class Model:
    """Tables by name, and measures' DAX by name."""

    def __init__(self, tables: dict[str, pd.DataFrame], measures: dict[str, str]):
        self.tables, self.measures = tables, measures

    def value(self, measure: str, context: dict[str, pd.DataFrame] | None = None):
        """The measure's value, by default over everything."""
        dax = self.measures[measure]
        assert not TOKEN.sub("", dax).strip(), f"{measure}: not understood"
        tokens = [(token.lastgroup, token[token.lastgroup]) for token in TOKEN.finditer(dax)]
        rest = list(reversed(tokens))
        expression = self.block(rest)
        assert not rest, f"{measure}: not understood from {rest[-1]}"
        return expression(context or self.tables, {})

    def block(self, rest: list) -> Callable:
        """VAR name = expression ... RETURN expression, or an expression alone."""
        variables = []
        while rest[-1] == ("name", "VAR"):
            rest.pop()
            name = rest.pop()[1]
            assert rest.pop()[1] == "="
            variables.append((name, self.level(rest, 0)))
        if not variables:
            return self.level(rest, 0)
        assert rest.pop()[1] == "RETURN"
        last = self.level(rest, 0)

        def run(context, known):
            for name, expression in variables:
                known = known | {name: expression(context, known)}
            return last(context, known)

        return run

    def level(self, rest: list, n: int) -> Callable:
        """A chain of operators of one precedence."""
        if n == len(LEVELS):
            return self.atom(rest)
        left = self.level(rest, n + 1)
        while rest and rest[-1][1] in LEVELS[n]:
            apply, right = LEVELS[n][rest.pop()[1]], self.level(rest, n + 1)
            left = lambda c, k, a=left, b=right, f=apply: f(a(c, k), b(c, k))  # noqa: E731
        return left

    def atom(self, rest: list) -> Callable:
        """A value, a name, a call, or an expression in brackets."""
        kind, text = rest.pop()
        if text == "(":
            inner = self.level(rest, 0)
            assert rest.pop()[1] == ")"
            return inner
        if kind == "name" and rest and rest[-1][1] == "(":
            return self.call(text, rest)
        if text == "-":
            inner = self.atom(rest)
        read = {
            "-": lambda c, k: -inner(c, k),
            "text": lambda c, k: text[1:-1],
            "number": lambda c, k: int(text),
            "measure": lambda c, k: self.value(text[1:-1], c),
            "column": lambda c, k: c[text.split("[")[0]][text[:-1].split("[")[1]],
            "name": lambda c, k: k[text] if text in k else c[text],
        }
        return read["-" if text == "-" else kind]

    def call(self, name: str, rest: list) -> Callable:
        """A function's call; CALCULATE, FILTER, SUMX and REMOVEFILTERS take their arguments unevaluated."""
        start = rest.pop()[1]
        arguments, named = [], []
        while start != ")":
            named.append(table_of(rest))
            if rest[-1][1] == ")":
                rest.pop()
                break
            arguments.append(self.level(rest, 0))
            start = rest.pop()[1]
        if name == "REMOVEFILTERS":
            return lambda c, k: {named[0]: self.tables.get(named[0])}
        if name == "FILTER":
            return lambda c, k: c[named[0]][arguments[1](c, k)]
        if name == "SUMX":
            return lambda c, k: arguments[1](c, k).sum()
        if name == "CALCULATE":

            def calculate(context, known):
                for table, condition in zip(named[1:], arguments[1:], strict=True):
                    kept = condition(context, known)
                    context = context | (kept if isinstance(kept, dict) else {table: context[table][kept]})
                return arguments[0](context, known)

            return calculate
        return lambda c, k: FUNCTIONS[name](*(argument(c, k) for argument in arguments))


def table_of(rest: list) -> str | None:
    """The table that the next argument names, or whose column it is about."""
    if rest[-1][0] == "name" and rest[-2][1] in ",)":
        return rest[-1][1]
    return next((text.split("[")[0] for kind, text in reversed(rest) if kind == "column"), None)
