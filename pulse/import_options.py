"""The options of script 1 for files of one's own orders."""

from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import fail, show
from pulse.columns import parse_mapping
from pulse.layouts import CHOICES, COLUMNS, FOLDER, Layout, describe_layouts

ONLY_WITH_FILES = (
    *("check", "layout", "sheet", "columns", "no_order_ids", "sold", "not_sold", "dates", "decimal", "thousands"),
    *("encoding", "accept_rejects"),
)


def add_import_options(parser: ArgumentParser) -> None:
    """Add them to script 1's command line."""
    option = parser.add_argument_group("to load your own orders").add_argument
    files = "CSV (also .gz, .zip), Excel, Parquet or JSON; several of one layout"
    option("--import", type=existing_file, nargs="+", dest="files", metavar="FILE", help=files)
    option("--check", action="store_true", help="say what a load would do, and load nothing")
    names = ", ".join(sorted(path.stem for path in FOLDER.glob("*.toml")))
    layout = f"the export's, where its header does not tell: one of your own (shop.toml), or {names}"
    option("--layout", action=Layouts, metavar="NAME", help=f"{layout}; --layout list says what they are")
    option(
        "--sheet", metavar="NAME", help='the one sheet to read of a workbook, such as "Year 2010" (default: all)'
    )
    ours = f'ours=theirs, such as order_id=No,"amount=Total, net"; ours are {", ".join(COLUMNS)}'
    option("--columns", type=column_names, default={}, metavar="NAMES", help=ours)
    option("--no-order-ids", action="store_true", help="each row is an order: the file has customer, date, amount")
    option("--sold", default="", metavar="WORDS", help="statuses of orders that are sales, such as won,sent")
    option("--not-sold", default="", metavar="WORDS", help="statuses of orders that are none, such as lost,open")
    option("--dates", choices=CHOICES["dates"], help="how to read 03/04/2025")
    decimal, thousands = "decimal mark of a text's numbers (default .)", "such as . where --decimal is ,"
    option("--decimal", choices=CHOICES["decimal"], metavar="MARK", help=decimal)
    option("--thousands", choices=CHOICES["thousands"], metavar="MARK", help=thousands)
    encoding = "of a text file, such as cp1252 (default: UTF-8, UTF-16)"
    option("--encoding", metavar="NAME", help=encoding)
    option("--accept-rejects", action="store_true", help="load the rest where over 5%% of rows are unusable")


def refuse_without_files(args: Namespace) -> None:
    """Stop where an option of an import stands without --import: a simulated shop would be loaded instead."""
    given = [name for name in ONLY_WITH_FILES if getattr(args, name)]
    if given and not args.files:
        fail(f"--{given[0].replace('_', '-')} needs --import FILE: it says how that file is read.")


class Layouts(Action):
    """--layout list prints what there is and ends the script."""

    def __call__(
        self, parser: ArgumentParser, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        if values == "list":
            show(describe_layouts())
            parser.exit()
        setattr(namespace, self.dest, values)


def existing_file(text: str) -> Path:
    """An argparse type: the path of a file."""
    if not Path(text).is_file():
        raise ArgumentTypeError(f"{text} cannot be opened, there is no such file")
    return Path(text)


def column_names(text: str) -> dict[str, str]:
    """An argparse type: {our name: the file's column}."""
    return parse_mapping(text, COLUMNS, "--columns")


def with_options(layout: Layout, args: Namespace) -> Layout:
    """The layout, with what the command line says in its place."""
    given = {name: getattr(args, name) for name in ("dates", "decimal", "thousands") if getattr(args, name)}
    changed = replace(layout, **given)
    if changed.decimal == changed.thousands and "thousands" in given:
        fail(f"--decimal and --thousands are both {changed.decimal!r}: add --decimal , (or .) for the other mark.")
    return replace(changed, thousands="") if changed.decimal == changed.thousands else changed
