"""The options of script 1 for files of one's own orders."""

from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from common import fail
from pulse.columns import parse_mapping
from pulse.layouts import CHOICES, COLUMNS, describe_layouts

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
    layout = "the export's, where its header does not tell: a name of --layout list, or a TOML file of your own"
    option("--layout", action=Layouts, metavar="NAME", help=layout)
    option("--sheet", metavar="NAME", help="the one sheet to read of a workbook (default: all of the same header)")
    option("--columns", type=column_names, default={}, help='order_id=InvoiceNo,"amount=Total, incl. VAT",...')
    option("--no-order-ids", action="store_true", help="each row is an order: the file has customer, date, amount")
    option("--sold", default="", metavar="A,B", help="statuses of orders that are sales")
    option("--not-sold", default="", metavar="C,D", help="statuses of orders that are none")
    option("--dates", choices=CHOICES["dates"], help="how to read 03/04/2025")
    option(
        "--decimal",
        choices=CHOICES["decimal"],
        metavar="MARK",
        help="decimal mark of a text's numbers (default .)",
    )
    option("--thousands", choices=CHOICES["thousands"], metavar="MARK", help="their thousands separator")
    option("--encoding", help="of a text file (default UTF-8 or UTF-16; latin-1, cp1252 ...)")
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
            print(describe_layouts())
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
