"""The exports we know, a TOML file each in layouts/: which column is which, and what its status words mean.

CONTRIBUTING.md says how to write one. A file in none of these layouts has our own column names, or
--columns names them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import fail
from pulse.statuses import Words, word_set

FOLDER = Path(__file__).parent / "layouts"
ORDER_TEXTS = ("status", "channel", "country", "currency")  # of an order, alike on all of its rows
ITEM_TEXTS = ("product_id", "category")
NUMBERS = ("amount", "line_total", "unit_price", "quantity", "refunded", "paid_after_refunds")
COLUMNS = (
    *("order_id", "customer_id", "customer_email", "order_date", "order_time"),
    *NUMBERS,
    *ORDER_TEXTS,
    *ITEM_TEXTS,
)
OF_A_LINE = {"line_total", "unit_price", "quantity"}
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
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fail(f"{path} is no layout ({error}): see 'Add a layout' in CONTRIBUTING.md.")


def parse_layout(found: dict[str, Any]) -> Layout:
    """The layout of a TOML document; ValueError, KeyError or TypeError where it is none."""
    parts = {name: found.pop(name, {}) for name in ("columns", "format", "status", "order_id")}
    columns = {ours: (theirs,) if isinstance(theirs, str) else tuple(theirs)
               for ours, theirs in parts["columns"].items()}  # fmt: skip
    status = parts["status"]
    words = Words(word_set(status.pop("sold", ())), word_set(status.pop("not_sold", ())))
    refund, blank = word_set(status.pop("refund", ())), status.pop("blank", None)
    if blank:
        words = words._replace(**{blank: getattr(words, blank) | word_set(["(blank)"])})
    both = sorted(words.sold & words.not_sold | refund & (words.sold | words.not_sold))
    wrong = sorted(set(columns) - set(COLUMNS)) + sorted(status)
    wrong += [name for name, value in parts["format"].items() if value not in CHOICES.get(name, (value,))]
    if both or wrong:
        raise ValueError(f"{(both + wrong)[0]!r} is " + ("in two lists of words" if both else "not known there"))
    header = tuple(found.pop("header", ()))
    layout = Layout(found.pop("name"), header=header, columns=columns, words=words, refund=refund)
    return replace(layout, **found, **parts["format"], **parts["order_id"])


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
    return next(iter(found.values()), Layout("our own column names", columns={name: (name,) for name in COLUMNS}))


def choose_columns(
    file: str, header: list[str], layout: Layout, chosen: dict[str, str], with_order_ids: bool = True
) -> Columns:
    """The file's columns: as --columns has `chosen`, else as the layout has them, else texts of our own names;
    stops where one that is needed is missing."""
    texts = {name: (name,) for name in (*ORDER_TEXTS, *ITEM_TEXTS, "customer_email")}
    columns = {
        ours: theirs for ours, theirs in (texts | dict(layout.columns)).items() if set(theirs) <= set(header)
    }
    if chosen.keys() & OF_A_LINE and "amount" not in chosen:
        columns.pop("amount", None)
    columns |= {ours: (theirs,) for ours, theirs in chosen.items()}
    if not with_order_ids:
        columns.pop("order_id", None)
    require_columns(file, header, layout, columns, with_order_ids)
    return columns


def require_columns(file: str, header: list[str], layout: Layout, columns: Columns, with_order_ids: bool) -> None:
    """Stop where a column that is needed, or named, is missing in the header."""
    needed = ["order_id"] * with_order_ids + ["order_date"]
    no_customers = layout.columns and not {"customer_id", "customer_email"} & layout.columns.keys()
    if "customer_email" not in columns and not no_customers:
        needed.append("customer_id")
    if not {"line_total", "unit_price"} & columns.keys():
        needed.append("unit_price" if "quantity" in columns and "amount" not in columns else "amount")
    for name in (*needed, *columns):
        wanted = columns.get(name) or layout.columns.get(name, (name,))
        missing = [theirs for theirs in wanted if theirs not in header]
        if missing:
            hint = " (a file without order ids: --no-order-ids)" if name == "order_id" else ""
            fail(
                f"{file} has no column {missing[0]} among {', '.join(header)}: say which one it is with "
                f"--columns {name}=...{hint}"
            )


def is_by_line(columns: Columns) -> bool:
    """Whether a row's amount is its own, of an order line, and not the whole order's."""
    return "amount" not in columns
