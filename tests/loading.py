"""What the tests of imports share: files through script 1's own options, as documents."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common import Settings
from pulse.import_options import add_import_options
from pulse.importing import as_source, open_import

HEADER = "order_id,customer_id,order_date,amount\n"
LINES = "order_id,customer_id,order_date,quantity,unit_price\n"
KEY = "a key of the tests"


class Loaded(NamedTuple):
    """What an import makes of files."""

    orders: list[dict]
    customers: list[dict]
    left_out: dict[str, int]  # {reason: rows}


def parse_options(*args: str) -> Namespace:
    """Script 1's command line, as far as imports go."""
    parser = ArgumentParser()
    add_import_options(parser)
    return parser.parse_args(args)


def load(files: Path | Sequence[Path], *options: str, **settings: str) -> Loaded:
    """The documents of the file or files, with these options and settings."""
    paths = [files] if isinstance(files, Path) else files
    args = parse_options("--import", *map(str, paths), *options)
    beside = {"data_dir": str(paths[0].parent)}
    with open_import(args, Settings(**beside | settings), lambda: KEY) as found:
        source = as_source(found)
        blocks = list(source.blocks)
    assert source.origin == f"imported from {', '.join(path.name for path in paths)}"
    orders, customers = ([doc for block in blocks for doc in block.get(n, ())] for n in ("orders", "customers"))
    return Loaded(orders, customers, source.rejects)


def load_text(folder: Path, text: str, *options: str, **settings: str) -> Loaded:
    """The documents of a CSV with this text."""
    file = folder / "orders.csv"
    file.write_text(text, encoding="utf-8")
    return load(file, *options, **settings)


def totals(orders: list[dict]) -> dict[str, float]:
    """{order id: total} of the sold orders and refunds."""
    return {order["_id"]: order["total"] for order in orders if order["sold"]}
