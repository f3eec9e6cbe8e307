"""The exports we know, a TOML file each in layouts/: which column is which, and what its status words mean.

CONTRIBUTING.md says how to write one. A file in none of these layouts has our own column names, or
--columns names them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from common import fail, say
from pulse.identity import hide_addresses
from pulse.statuses import BLANK, Words, word_set

FOLDER = Path(__file__).parent / "layouts"
OWN_NAMES = "our own column names"  # the name of the layout of files in none
ORDER_TEXTS = ("status", "channel", "country", "currency")  # of an order, alike on all of its rows
ITEM_TEXTS = ("product_id", "category")
NUMBERS = ("amount", "line_total", "unit_price", "quantity", "refunded", "paid_after_refunds")
COLUMNS = (
    *("order_id", "customer_id", "customer_email", "order_date", "order_time"),
    *NUMBERS,
    *ORDER_TEXTS,
    *ITEM_TEXTS,
)
KEYS: dict[str, dict[str, Any]] = {  # of a layout's file: the tables, "" for what stands above them
    "": {
        "name": str,
        "page": str,
        "header": list,
        "columns": dict,
        "format": dict,
        "status": dict,
        "order_id": dict,
    },
    "columns": dict.fromkeys(COLUMNS, str) | dict.fromkeys(NUMBERS, (str, list)),
    "format": dict.fromkeys(("dates", "decimal", "thousands", "encoding", "quote"), str),
    "status": {"sold": list, "not_sold": list, "refund": list, "blank": str},
    "order_id": {"refund_prefix": str, "ignore_prefix": str},
}
CHOICES = {
    "dates": ("day-first", "month-first"),
    "decimal": (".", ","),
    "thousands": (",", ".", " ", "'"),
    "blank": ("sold", "not_sold"),
}

NO_WORDS = Words()

Columns = dict[str, tuple[str, ...]]  # {our name: the file's, several are added up}


@dataclass(frozen=True)
class Layout:
    """How one kind of file is read."""

    name: str
    page: str = ""  # where its publisher describes it
    header: tuple[str, ...] = ()  # a file with all of these columns is recognised
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # as in Columns; some may be absent
    dates: str | None = None
    decimal: str = "."
    thousands: str = ""
    encoding: str = ""  # of a file that is not UTF-8
    quote: str | None = None  # None: as the file has it
    words: Words = NO_WORDS
    refund: frozenset[str] = frozenset()  # words of rows that give money back
    refund_prefix: str = ""  # of the ids of orders that give money back
    ignore_prefix: str = ""  # of the ids of what is no order at all


def known_layouts() -> dict[str, Layout]:
    """{name of the file: layout}, sorted."""
    return {path.stem: read_layout(path) for path in sorted(FOLDER.glob("*.toml"))}


def read_layout(path: Path) -> Layout:
    """The layout of a TOML file; a sentence where it is none."""
    try:
        return parse_layout(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        fail(
            f"{path} cannot be opened ({error.strerror}): --layout takes a TOML file, or a name of --layout list."
        )
    except ValueError as error:
        fail(f"{path} is no layout ({error}): see 'Add a layout' in CONTRIBUTING.md.")


def parse_layout(found: dict[str, Any]) -> Layout:
    """The layout of a TOML document; ValueError where it is none."""
    check_keys(found)
    columns = {ours: (theirs,) if isinstance(theirs, str) else tuple(theirs)
               for ours, theirs in found.get("columns", {}).items()}  # fmt: skip
    lists = {key: word_set(found.get("status", {}).get(key, ())) for key in ("sold", "not_sold", "refund")}
    if blank := found.get("status", {}).get("blank"):
        lists[blank] |= {BLANK}
    twice = [word for one, other in combinations(lists.values(), 2) for word in one & other]
    if twice:
        raise ValueError(f"{min(twice)!r} is in two lists of words")
    marks = found.get("format", {})
    if marks.get("decimal", ".") == marks.get("thousands"):
        raise ValueError("decimal and thousands are the same mark")
    return Layout(
        found["name"],
        page=found.get("page", ""),
        header=tuple(found.get("header", ())),
        columns=columns,
        words=Words(lists["sold"], lists["not_sold"]),
        refund=lists["refund"],
        **found.get("format", {}),
        **found.get("order_id", {}),
    )


def check_keys(found: dict[str, Any]) -> None:
    """ValueError where a TOML document has a key, or a value, that no layout has."""
    for table, known in KEYS.items():
        part = found.get(table, {}) if table else found
        if not isinstance(part, dict):
            raise ValueError(f"{table} is a table: write [{table}] above its lines")
        for key, value in part.items():
            if key not in known:
                raise ValueError(
                    f"{f'[{table}]' if table else 'it'} has {key}, which is none of {', '.join(known)}"
                )
            texts = value if isinstance(value, list) else []
            if (
                value not in CHOICES.get(key, (value,))
                or not isinstance(value, known[key])
                or not all(isinstance(text, str) for text in texts)
            ):
                raise ValueError(f"the value of {key} is none that it can have")
    if "name" not in found:
        raise ValueError("it has no name")


def describe_layouts() -> str:
    """The layouts we know, a line each: what --layout takes, and what it stands for."""
    return "\n".join(f"{name:<18}{layout.name}" for name, layout in known_layouts().items())


def choose_layout(wanted: str | None, header: list[str]) -> Layout:
    """The layout asked for, else the one that recognises the header, else our own column names."""
    if wanted and wanted.endswith(".toml"):
        return read_layout(Path(wanted))
    layouts = known_layouts()
    if wanted:
        if wanted not in layouts:
            fail(f"There is no layout {wanted!r}: --layout takes {', '.join(layouts)}, or a TOML file.")
        return layouts[wanted]
    found = {name: layout for name, layout in layouts.items() if set(layout.header) <= set(header)}
    if len(found) > 1:
        fail(f"The columns are those of several layouts: choose one of {', '.join(found)} with --layout.")
    return next(iter(found.values()), Layout(OWN_NAMES, columns={name: (name,) for name in COLUMNS}))


def choose_columns(
    file: str, header: list[str], layout: Layout, chosen: dict[str, str], with_order_ids: bool = True
) -> Columns:
    """The file's columns: as --columns has `chosen`, else as the layout has them, else by our own names, but for
    numbers; stops where one that is needed is missing, and says which others are."""
    own = {name: (name,) for name in COLUMNS if name not in NUMBERS}
    columns = {ours: theirs for ours, theirs in (own | dict(layout.columns)).items() if set(theirs) <= set(header)}
    if chosen.keys() & {"line_total", "unit_price"} and "amount" not in chosen:
        columns.pop("amount", None)
    columns |= {ours: (theirs,) for ours, theirs in chosen.items()}
    if not with_order_ids:
        if "order_id" in chosen or layout.refund_prefix or layout.ignore_prefix:
            fail("--no-order-ids is for a file without them, and this one's are named: leave it out.")
        columns.pop("order_id", None)
    require_columns(file, header, layout, columns, with_order_ids)
    expected = layout.columns if layout.name != OWN_NAMES else {}
    absent = [f"{ours} ({' + '.join(theirs)})" for ours, theirs in expected.items()
              if ours not in columns and (with_order_ids or ours != "order_id")]  # fmt: skip
    if absent:
        say("Noted", f"columns of this layout that the file lacks: {', '.join(absent)}")
    return columns


def require_columns(file: str, header: list[str], layout: Layout, columns: Columns, with_order_ids: bool) -> None:
    """Stop where a column that is needed, or named, is missing in the header."""
    needed = ["order_id"] * with_order_ids + ["order_date"]
    if "customer_email" not in columns and layout.name == OWN_NAMES:  # a known export may have no customers
        needed.append("customer_id")
    if not {"line_total", "unit_price"} & columns.keys():
        needed.append("unit_price" if "quantity" in columns and "amount" not in columns else "amount")
    for name in (*needed, *columns):
        wanted = columns.get(name) or layout.columns.get(name, (name,))
        missing = [theirs for theirs in wanted if theirs not in header or name not in columns]
        if missing:
            hint = " (a file without order ids: --no-order-ids)" if name == "order_id" else ""
            fail(
                f"{file} has no column {missing[0]} among {list_names(header)}: say which one it is with "
                f"--columns {name}=...{hint}"
            )
    if "paid_after_refunds" in columns and is_by_line(columns):
        fail(f"{file}: paid_after_refunds is of an order's amount, and there is none: name amount with --columns.")


def list_names(header: list[str]) -> str:
    """The header in words; a row that is none, of numbers or addresses, is not shown."""
    if any("@" in name or name.replace(".", "").isdigit() for name in header):
        return "its first row, which is no header: put the columns' names there"
    return hide_addresses(", ".join(header))


def is_by_line(columns: Columns) -> bool:
    """Whether a row's amount is its own, of an order line, and not the whole order's."""
    return "amount" not in columns
