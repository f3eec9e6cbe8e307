"""pulse/database.py: the connection, its errors in words, and what is tried again."""

import pytest
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, PyMongoError, WriteError

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
