"""Connecting to MongoDB, its errors in words, and trying again what a change of the primary disturbs."""

import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar
from urllib.parse import parse_qsl

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
    NetworkTimeout,
    PyMongoError,
)

from common import Settings, fail, say
from pulse.exports import require_writable
from pulse.identity import hide_addresses
from pulse.mongod import embedded_mongod
from pulse.origin import SYSTEM_DATABASES, DamagedError, fail_damaged, files_of, is_simulated, put_aside

SERVER_TIMEOUT_MS = 15_000  # how long a server may take to answer
EMBEDDED_TIMEOUT_MS = 3_000  # one that is gone does not come back
SILENCE_TIMEOUT_MS = 300_000  # how long nothing may come from a server, unless socketTimeoutMS says otherwise
TRIES = 4  # how often to try what a change of the primary, or a load, can disturb

CURSOR_LOST = (43, 175, 237)  # MongoDB's codes: the cursor's collection was dropped, say
SERVER_LOST = (6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)  # those the driver retries once
WRONG_PASSWORD = (18, 8000)  # AuthenticationFailed, here and on Atlas
UNAUTHORIZED = 13
LONGEST_NAME = 63  # bytes

Result = TypeVar("Result")


class ReplacedError(PyMongoError):
    """A load ended in the middle of a reading."""


@contextmanager
def database(settings: Settings) -> Iterator[Database]:
    """The database MONGO_DB at MONGO_URI, or else in a mongod that lives as long as the block.

    An error of MongoDB's inside the block ends the script with a sentence.
    """
    try:
        with open_database(settings) as db:
            yield db
    except DamagedError:
        fail_damaged(settings)


def with_database(settings: Settings, load: Callable[[Database], Result]) -> Result:
    """What `load` returns, given the database; over the damaged files of a simulated shop, given a new one."""
    simulated = is_simulated(settings)  # before the load, which may note that it is not
    try:
        with open_database(settings) as db:
            return load(db)
    except DamagedError as damaged:
        if not simulated:
            fail_damaged(settings)
        put_aside(settings, damaged)
    with database(settings) as db:
        return load(db)


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """The same as `database`, but a DamagedError is left to the caller."""
    refuse_name(settings)
    if settings.embedded:
        require_writable(settings.data_path)
    embedded = embedded_mongod(files_of(settings)) if settings.embedded else nullcontext(settings.mongo_uri)
    try:
        with embedded as uri:
            try:
                client = connect(uri, settings)
            except RuntimeError as error:
                fail(str(error))
            with client:
                client.admin.command("ping")
                yield primary_database(client, settings.mongo_db)
    except ReplacedError:
        fail("The orders were replaced during every try to read them: run this again when step 1 has ended.")
    except PyMongoError as error:
        fail(describe_error(error, settings))


def refuse_name(settings: Settings) -> None:
    """Stop where MONGO_DB names one of MongoDB's own databases, or has no name that MongoDB takes."""
    name = settings.mongo_db
    if name.lower() in SYSTEM_DATABASES:
        fail(f"MONGO_DB={name} is a database that MongoDB keeps for itself: name another, such as shop.")
    if name.startswith("$") or len(name.encode()) > LONGEST_NAME:
        fail(describe_error(InvalidName(), settings))


def connect(uri: str, settings: Settings) -> MongoClient:
    """A client of the server; a RuntimeError says, without the password, what is wrong with the address."""
    usual, silence = EMBEDDED_TIMEOUT_MS if settings.embedded else SERVER_TIMEOUT_MS, silence_limit(settings)
    wait = chosen_ms(settings, "serverSelectionTimeoutMS", usual) or usual  # 0 would be no try at all
    try:
        with warnings.catch_warnings():  # of an unknown option
            warnings.simplefilter("error", UserWarning)
            return MongoClient(uri, serverSelectionTimeoutMS=wait, socketTimeoutMS=silence, w="majority")
    except OSError as error:
        sentence = f"A file that MONGO_URI names, such as tlsCAFile, is not readable ({error.strerror}): fix it."
    except (InvalidURI, ValueError, UserWarning):  # their words may quote the password
        sentence = (
            "MONGO_URI is not an address, with options, that MongoDB's driver knows: it should look like "
            "mongodb+srv://user:password@cluster.example.net/, special characters of the "
            "password percent-encoded (@ is %40)."
        )
    except PyMongoError as error:  # a name that the DNS does not know
        sentence = describe_error(error, settings)
    raise RuntimeError(sentence)


def silence_limit(settings: Settings) -> float:
    """After how many milliseconds without a byte from the server a command fails; 0 for never."""
    if settings.embedded:  # no network that could fall silent, and a sum over many orders takes its time
        return 0
    return chosen_ms(settings, "socketTimeoutMS", SILENCE_TIMEOUT_MS)


def chosen_ms(settings: Settings, option: str, usual: float) -> float:
    """The milliseconds that MONGO_URI gives for this option, read as MongoDB's driver does, else `usual`."""
    pairs = parse_qsl(settings.mongo_uri.partition("?")[2].replace(";", "&"))
    chosen = {name.lower(): value for name, value in pairs}
    try:
        return float(chosen[option.lower()])
    except (KeyError, ValueError):  # of a value that is no number the driver complains
        return usual


def primary_database(client: MongoClient, name: str) -> Database:
    """The database, read on the primary unless `read_session` chooses otherwise."""
    return client.get_database(name, read_preference=ReadPreference.PRIMARY)


@contextmanager
def read_session(collection: Collection) -> Iterator[tuple[Collection, ClientSession]]:
    """The collection with MONGO_URI's read preference, and a session whose reads see the last load."""
    db = collection.database
    with db.client.start_session(causal_consistency=True) as session:
        db.command("ping", session=session)  # on the primary: a secondary first catches up with this
        yield collection.with_options(read_preference=db.client.read_preference), session


# --- trying again ---


def retry(action: Callable[[], Result], settings: Settings) -> Result:
    """What `action` returns, in at most TRIES, each after a longer pause, where what stopped it will pass.

    pulse/loads.py calls this for every step of a load, and for a whole reading (consistent_read).
    """
    limit = silence_limit(settings) / 1000
    for attempt in range(1, TRIES):
        began = time.monotonic()
        try:
            return action()
        except PyMongoError as error:
            lost = is_connection_lost(error)
            silent = isinstance(error, NetworkTimeout) and 0 < limit <= time.monotonic() - began
            if settings.embedded or silent or not (lost or isinstance(error, ReplacedError)):
                raise  # who has waited out a silence is not made to wait again
        reason = "the connection was lost" if lost else "the orders were replaced while they were read"
        say("Waiting", f"{reason}: trying again ({attempt} of {TRIES - 1})")
        time.sleep(2**attempt / 2)
    return action()


def is_connection_lost(error: PyMongoError) -> bool:
    """Whether the primary, the connection or a cursor went away, so that the next try may succeed."""
    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"])
    return isinstance(error, AutoReconnect) or getattr(error, "code", None) in (*CURSOR_LOST, *SERVER_LOST)


# --- errors in words ---


def describe_error(error: PyMongoError, settings: Settings) -> str:
    """What is wrong with MongoDB and what to do, in one sentence that shows no password and no address."""
    code, server = getattr(error, "code", None), server_label(settings)
    if code in WRONG_PASSWORD:
        return "MongoDB refuses the user name or the password in MONGO_URI: check both."
    if code == UNAUTHORIZED:
        return (
            f"MONGO_URI names no user, or one who lacks a right on the database {settings.mongo_db}: step 1 needs "
            "the role readWrite, steps 2 and 3 the role read."
        )
    if isinstance(error, InvalidName):
        return f"MONGO_DB={settings.mongo_db} is no name for a database: use up to 63 letters, digits and _."
    if "SSL" in str(error) or "TLS" in str(error):
        return (
            f"{server} and this computer do not trust each other's TLS: check tls and tlsCAFile (the file of "
            "the authority that signed the server's certificate) in MONGO_URI."
        )
    if isinstance(error, (ConnectionFailure, ConfigurationError)):
        return f"{server} does not answer{describe_loss(error, settings)}"
    said = re.split(", full error| dup key: ", str(error))[0]  # what comes then holds ids
    return f"{server} reports: {hide_addresses(said)}."


def describe_loss(error: PyMongoError, settings: Settings) -> str:
    """The end of a sentence on a server that does not answer: what to do."""
    if settings.embedded:
        return ": run this again."
    if isinstance(error, NetworkTimeout):
        return (
            f" any more: the connection has fallen silent (socketTimeoutMS is {silence_limit(settings):.0f}). "
            "Check the network, and run this again; a greater socketTimeoutMS in MONGO_URI lets sums take longer."
        )
    return (
        ": check MONGO_URI, that the server runs and that it lets this computer in (Atlas: Network Access), or "
        "leave MONGO_URI out to use the embedded one."
    )


def server_label(settings: Settings) -> str:
    """Where the data lies, in words; a password stands before an @."""
    if settings.embedded:
        return "The embedded MongoDB"
    address, *options = re.split("[/?]", settings.mongo_uri.partition("://")[2], maxsplit=1)
    unclear = "@" in "".join(options)  # an option's value, or a password with / or ? as they are
    return "The MongoDB of MONGO_URI" if unclear else "MongoDB at " + address.rpartition("@")[2]
