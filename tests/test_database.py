"""pulse/database.py: the connection, its errors in words, and what is tried again."""

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from urllib.parse import unquote_plus

import pytest
from conftest import SCRIPTS, run
from pymongo import ReadPreference
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from common import Settings
from pulse.database import (
    CURSOR_LOST,
    SERVER_LOST,
    TRIES,
    ReplacedError,
    connect,
    database,
    describe_error,
    is_connection_lost,
    retry,
    server_label,
)
from pulse.loads import COLLECTIONS, Source, consistent_read, load

SERVER = Settings(mongo_uri="mongodb://host/")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mongodb://u:swordfish@host:1,b:2/db?x=y", "MongoDB at host:1,b:2"),
        ("mongodb://host/?tlsCertificateKeyFilePassword=ab@swordfish", "The MongoDB of MONGO_URI"),
        ("mongodb://u:12?swordfish=1@host/", "The MongoDB of MONGO_URI"),
        ("mongodb+srv://u:p%40@cluster.example.net", "MongoDB at cluster.example.net"),
        ("", "The embedded MongoDB"),
    ],
)
def test_no_password_is_in_the_servers_name(uri, said):
    assert server_label(Settings(mongo_uri=uri)) == said


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("mongodb://me:swordfish/9:%@host/", "is not an address"),
        ("mongodb://me:swordfish@host/?nosuch=1", "is not an address"),
        ("http://swordfish/", "is not an address"),
        ("mongodb://me:swordfish@host/?tls=true&tlsCAFile=/no/such/file", "is not readable"),
    ],
)
def test_a_wrong_address_is_described_without_its_password(uri, says):
    with pytest.raises(RuntimeError, match=says) as raised:
        connect(uri, Settings(mongo_uri=uri))
    assert "swordfish" not in repr((raised.value, raised.value.__context__, raised.value.__cause__))


def test_the_database_is_the_one_that_the_settings_name(settings):
    with database(settings) as found:
        assert found.name == "test"
        assert found.read_preference == ReadPreference.PRIMARY
        assert found.client.write_concern.document == {"w": "majority"}
        assert found.client.options.server_selection_timeout == 15


@pytest.mark.parametrize("script", ["generation", "analysis", "churn"])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        *((name, "that MongoDB keeps for itself") for name in ("admin", "Config", "LOCAL")),
        *((name, "is no name for a database") for name in ("$external", "ü" * 32)),
    ],
)
def test_a_database_of_mongodbs_own_is_refused_before_anything_else(
    request, clean_environment, monkeypatch, capsys, tmp_path, script, name, says
):
    monkeypatch.setenv("MONGO_DB", name)
    monkeypatch.setattr("sys.argv", ["script.py"])
    with pytest.raises(SystemExit) as stopped:
        request.getfixturevalue(script).main()
    assert stopped.value.code == 2
    assert f"MONGO_DB={name} " in (said := capsys.readouterr().err)
    assert says in said
    assert list(tmp_path.iterdir()) == []  # no MongoDB was started


def test_an_error_of_mongodb_ends_the_script_with_a_sentence(settings, capsys):
    with pytest.raises(SystemExit) as stopped, database(settings) as db:
        db.command("noSuchCommand")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: MongoDB at ")
    assert "reports: no such command" in error
    assert error.count("\n") == 1


def test_other_errors_are_nobodys_to_hide(settings):
    with pytest.raises(ZeroDivisionError), database(settings):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OperationFailure("auth", 18), "refuses the user name or the password"),
        (OperationFailure("bad auth", 8000), "refuses the user name or the password"),
        (OperationFailure("not authorized", 13), "lacks a right on the database ecommerce_pulse"),
        (AutoReconnect("host: SSL handshake failed"), "do not trust each other's TLS"),
        (AutoReconnect("connection refused"), "MongoDB at host does not answer"),
        (OperationFailure("disk is full, full error: {'secret': 1}", 14031), "reports: disk is full."),
        (WriteError('E11000 index: _id_ dup key: { _id: "secret@a.b" }', 11000), "reports: E11000 index: _id_."),
        (OperationFailure('cannot read "secret@a.b"', 2), 'reports: cannot read "(an address)".'),
    ],
)
def test_errors_get_a_sentence_that_says_what_to_do(error, says):
    settings = Settings(mongo_uri="mongodb://u:swordfish@host/")
    said = describe_error(error, settings)
    assert says in said
    assert "swordfish" not in said
    assert "secret" not in said


# --- trying again ---


def action_that_fails(*errors: Exception):
    """A function that raises these errors, one a call, and then returns how often it was called."""
    waiting = list(errors)

    def action() -> int:
        if waiting:
            raise waiting.pop(0)
        return len(errors) + 1

    return action


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (AutoReconnect("lost"), "the connection was lost: trying again (1 of 3)"),
        (ReplacedError("replaced"), "the orders were replaced while they were read: trying again (1 of 3)"),
    ],
)
def test_what_will_pass_is_tried_again(error, says, capsys):
    assert retry(action_that_fails(error), SERVER) == 2
    assert says in capsys.readouterr().out


@pytest.mark.slow
def test_the_last_try_raises_what_stopped_it():
    errors = [AutoReconnect(f"try {n}") for n in range(1, TRIES + 1)]
    with pytest.raises(AutoReconnect, match="try 4"):
        retry(action_that_fails(*errors), SERVER)


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (OperationFailure("not authorized", 13), SERVER),  # this will not pass
        (PyMongoError("unknown"), SERVER),
        (AutoReconnect("lost"), Settings()),  # an embedded server that is gone does not come back
    ],
)
def test_what_will_not_pass_is_not_tried_again(error, settings, capsys):
    with pytest.raises(type(error)):
        retry(action_that_fails(error), settings)
    assert capsys.readouterr().out == ""


def test_a_lost_connection_is_told_from_other_errors():
    lost = [OperationFailure("", code) for code in (*CURSOR_LOST, *SERVER_LOST)]
    lost += [AutoReconnect(""), BulkWriteError({"writeConcernErrors": [{"code": 64}]})]
    other = [
        OperationFailure("", 13),
        PyMongoError(""),
        ReplacedError(""),
        BulkWriteError({"writeConcernErrors": []}),
    ]
    assert all(map(is_connection_lost, lost))
    assert not any(map(is_connection_lost, other))


# --- a connection that falls silent ---

SECOND = "socketTimeoutMS=1000"
SILENT = "does not answer any more: the connection has fallen silent (socketTimeoutMS is 1000)."


@pytest.mark.parametrize(
    ("uri", "seconds"),
    [
        ("mongodb://host/", 300),
        ("mongodb://host/?retryWrites=true&w=majority", 300),
        ("mongodb://host/?socketTimeoutMS=2000", 2),
        ("mongodb://host/?w=1&sockettimeoutms=2000", 2),
        ("mongodb://host/?socketTimeoutMS=0", None),
        ("mongodb://host/?socketTimeoutMS=2e3&w=1", 2),  # as the driver reads it
        ("mongodb://host/?w=1;socketTimeoutMS=%32000", 2),
    ],
)
def test_a_silence_ends_after_300_seconds_or_what_the_address_says(uri, seconds):
    with connect(uri, Settings(mongo_uri=uri)) as client:
        assert client.options.pool_options.socket_timeout == seconds


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        (Settings(mongo_uri="mongodb://host/"), 15),
        (Settings(mongo_uri="mongodb://host/?w=1&serverselectiontimeoutms=60000"), 60),
        (Settings(mongo_uri="mongodb://host/?serverSelectionTimeoutMS=60_000"), 60),
        (Settings(mongo_uri="mongodb://host/?serverSelectionTimeoutMS=0"), 15),
        (Settings(), 3),
    ],
)
def test_a_server_has_15_seconds_to_answer_or_what_the_address_says(settings, seconds):
    with connect("mongodb://host/", settings) as client:
        assert client.options.server_selection_timeout == seconds


def test_the_embedded_server_may_take_its_time():
    with connect("mongodb://host/", Settings()) as client:
        assert client.options.pool_options.socket_timeout is None


def test_who_has_waited_out_a_silence_is_not_made_to_wait_again(capsys):
    def wait_for(seconds: float) -> None:
        time.sleep(seconds)
        raise NetworkTimeout("timed out")

    impatient = Settings(mongo_uri="mongodb://host/?socketTimeoutMS=100")
    with pytest.raises(NetworkTimeout):
        retry(partial(wait_for, 0.1), impatient)
    assert capsys.readouterr().out == ""
    assert retry(action_that_fails(NetworkTimeout("while connecting, say")), impatient) == 2


@contextmanager
def proxy(uri: str, most: int) -> Iterator[str]:
    """The address of a proxy before a Unix socket, which forwards so many bytes each way, and then none."""
    left = {"there": most, "back": most}

    def pump(way: str, source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):  # the other end is gone
            while (chunk := source.recv(4096)) and left[way] > 0:
                left[way] -= len(chunk)
                to.sendall(chunk)
        threading.Event().wait()  # silent, and open

    def accept() -> None:
        while True:
            client, server = listener.accept()[0], socket.socket(socket.AF_UNIX)
            server.connect(unquote_plus(uri.removeprefix("mongodb://")))
            for way, source, to in (("there", client, server), ("back", server, client)):
                threading.Thread(target=pump, args=(way, source, to), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"mongodb://127.0.0.1:{listener.getsockname()[1]}/?directConnection=true"


def shop(rows: int) -> Source:
    """About a kB a document."""
    return Source(
        "a shop", iter([{name: [{"_id": n, "text": "x" * 1000} for n in range(rows)] for name in COLLECTIONS}]), {}
    )


@pytest.mark.parametrize("reading", [True, False])
def test_a_connection_that_falls_silent_half_way_ends_with_a_sentence(uri, db, settings, reading, capsys):
    """While orders are read, and while they are loaded; well before the driver or we would try it all again."""
    load(db, settings, shop(1000))
    with proxy(uri, 500_000) as address:
        silent = dataclasses.replace(settings, mongo_uri=f"{address}&{SECOND}")
        began = time.monotonic()
        with pytest.raises(SystemExit) as stopped, database(silent) as through:
            if reading:
                consistent_read(through, silent, lambda: list(through["orders"].find()))
            else:
                load(through, silent, shop(1000))
        assert time.monotonic() - began < 4
    said = capsys.readouterr()
    assert (stopped.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert SILENT in said.err
    assert db["orders"].count_documents({}) == 1000


@pytest.mark.slow
def test_scripts_1_and_2_over_a_connection_that_falls_silent(uri, db, tmp_path):
    before = run(SCRIPTS[0], "--customers", "1000", data_dir=tmp_path, MONGO_URI=uri, MONGO_DB="test")
    assert before.returncode == 0
    for script in SCRIPTS[:2]:
        with proxy(uri, 2_000_000) as address:
            done = run(script, data_dir=tmp_path, MONGO_URI=f"{address}&{SECOND}", MONGO_DB="test")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert SILENT in done.stderr
    assert run(SCRIPTS[1], data_dir=tmp_path, MONGO_URI=uri, MONGO_DB="test").returncode == 0


@pytest.mark.slow
def test_a_sum_that_takes_longer_than_the_limit_is_told_how_to_get_more(uri, db, settings, capsys):
    db["orders"].insert_one({})
    sleep = {"$function": {"body": "function() { sleep(3000) }", "args": [], "lang": "js"}}
    impatient = dataclasses.replace(settings, mongo_uri=f"{uri}/?{SECOND}")
    with pytest.raises(SystemExit), database(impatient) as here:
        consistent_read(here, impatient, lambda: list(here["orders"].aggregate([{"$project": {"n": sleep}}])))
    said = capsys.readouterr()
    assert said.out == ""
    assert "a greater socketTimeoutMS in MONGO_URI lets sums take longer" in said.err
