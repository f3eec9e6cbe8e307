"""Servers as others run them: a replica set whose primary is killed, users and passwords, TLS.

Real ones, on this computer alone: docs/Faults.md says how often each was tried.
"""

import contextlib
import errno
import filecmp
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_plus

import pytest
from conftest import SCRIPTS, Interruption, environment, free_ports, run, run_all
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure

from common import ROOT, Settings, read_settings
from pulse.columns import read_columns
from pulse.database import SERVER_TIMEOUT_MS, database, primary_database, retry
from pulse.loads import COLLECTIONS, STAGING, Block, Source, active_collection, load
from pulse.mongod import embedded_mongod, find_mongod

GENERATE, ANALYSE, CHURN = SCRIPTS
CUSTOMERS = ("--customers", "1000")
FAILOVERS = 3  # of each kind
PASSWORD = "swordfish/9:%@"  # with all that an address must not hold as it is
QUOTED = "swordfish%2F9%3A%25%40"
SECRETS = ("swordfish", "marlin")  # what begins the right password, and a wrong one
NOBODY = 65534
PATIENCE_S = 120  # how long a replica set may take to be whole again, on a busy computer
SAFE = {"w": "majority", "serverSelectionTimeoutMS": 20_000}


def start(folder: Path, port: int, *options: str) -> subprocess.Popen:
    """A mongod over the folder, on this port of this computer."""
    folder.mkdir(exist_ok=True)
    command = [find_mongod(), "--dbpath", folder, "--port", str(port), "--bind_ip", "127.0.0.1"]
    command += ["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket", *options]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[int]:
    """The port of a mongod of its own."""
    (port,) = free_ports(1)
    with start(folder, port, *options) as mongod:
        try:
            while not listens(port):
                assert mongod.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield port
        finally:
            mongod.terminate()


class ReplicaSet:
    """Three members, any of which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ports = folder, free_ports(3)
        self.members = {port: self.start(port) for port in self.ports}
        hosts = [f"127.0.0.1:{port}" for port in self.ports]
        self.uri = f"mongodb://{','.join(hosts)}/?replicaSet=pulse"
        self.client = MongoClient(self.uri, **SAFE)
        config = {
            "_id": "pulse",
            "members": [{"_id": n, "host": host} for n, host in enumerate(hosts)],
            "settings": {"electionTimeoutMillis": 1500, "heartbeatIntervalMillis": 300, "chainingAllowed": False},
        }
        for host in reversed(hosts):  # all answer before the first is told of the others
            with MongoClient(host, directConnection=True) as member:
                member.admin.command("ping")
        with MongoClient(hosts[0], directConnection=True) as first:
            first.admin.command("replSetInitiate", config)

    def start(self, port: int) -> subprocess.Popen:
        options = ("--replSet", "pulse", "--setParameter", "enableTestCommands=1", "--oplogSize", "200")
        return start(self.folder / str(port), port, *options)

    def kill_primary(self) -> None:
        port = int(self.client.admin.command("hello")["me"].split(":")[1])  # the driver finds the primary
        self.members[port].kill()
        self.members[port].wait()
        self.members[port] = self.start(port)

    def wait_until_whole(self) -> None:
        """Until there are a primary and two secondaries again, and the client knows of them."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            with contextlib.suppress(AutoReconnect, OperationFailure):
                states = [each["state"] for each in self.client.admin.command("replSetGetStatus")["members"]]
                if sorted(states) == [1, 2, 2] and len(self.client.secondaries) == 2:
                    return
            time.sleep(0.1)
        raise AssertionError(f"a member is not back: see the logs in {self.folder}")

    def summary(self, name: str) -> tuple:
        """What lies in a database of this name, as the scripts see it."""
        db = self.client[name]
        cents = active_collection(db, "orders").aggregate([{"$group": {"_id": None, "sum": {"$sum": "$total"}}}])
        n = [active_collection(db, kind).count_documents({}) for kind in ("customers", "orders")]
        return *n, round(next(cents)["sum"], 2)

    def close(self) -> None:
        self.client.close()
        for member in self.members.values():
            member.kill()
            member.wait()


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory) -> Iterator[ReplicaSet]:
    members = ReplicaSet(tmp_path_factory.mktemp("replica_set"))
    members.wait_until_whole()
    yield members
    members.close()


@pytest.fixture(scope="module")
def shops(replica_set, tmp_path_factory) -> tuple[Path, dict[str, tuple], float]:
    """A data folder, what the shops 1 and 2 look like, and how long a load takes; shop 1 is loaded."""
    folder, seen = tmp_path_factory.mktemp("failover"), {}
    for seed in ("2", "1"):
        started = time.monotonic()
        done = run(GENERATE, *CUSTOMERS, "--seed", seed, data_dir=folder, MONGO_URI=replica_set.uri)
        assert done.returncode == 0, done.stderr
        seen[seed] = replica_set.summary(Settings.mongo_db)
    return folder, seen, time.monotonic() - started


def while_the_primary_is_killed(replica_set: ReplicaSet, after: float, *command: str, folder: Path) -> tuple:
    """Exit code and stderr of a script under which the primary is killed after so many seconds."""
    env = environment(folder, MONGO_URI=replica_set.uri)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, ROOT / command[0], *command[1:]], env=env, stdout=pipe, stderr=pipe, text=True
    ) as script:
        time.sleep(after)
        replica_set.kill_primary()
        _, errors = script.communicate(timeout=200)
    replica_set.wait_until_whole()
    return script.returncode, errors


@pytest.mark.slow
def test_a_load_outlives_the_primary_or_leaves_the_old_data(replica_set, shops):
    folder, seen, whole = shops
    moment, before = random.Random(1), "1"
    for _ in range(FAILOVERS):
        other = {"1": "2", "2": "1"}[before]
        code, errors = while_the_primary_is_killed(
            replica_set, whole * moment.uniform(0.4, 1.0), GENERATE, *CUSTOMERS, "--seed", other, folder=folder
        )
        after = replica_set.summary(Settings.mongo_db)
        if code == 0:
            assert after == seen[other]
        else:
            assert (code, errors.count("\n")) == (2, 1), errors
            assert after in (seen[before], seen[other])
        before = "1" if after == seen["1"] else "2"


@pytest.mark.slow
def test_a_reading_outlives_the_primary(replica_set, shops, tmp_path):
    """Script 2 writes the same bytes as without the failover."""
    folder, _, _ = shops
    seed = ("--seed", "1")
    assert run(GENERATE, *CUSTOMERS, *seed, data_dir=folder, MONGO_URI=replica_set.uri).returncode == 0
    started = time.monotonic()
    assert run(ANALYSE, data_dir=folder, MONGO_URI=replica_set.uri).returncode == 0
    whole = time.monotonic() - started
    expected = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    moment = random.Random(2)
    for n in range(FAILOVERS):
        place = tmp_path / str(n)
        code, errors = while_the_primary_is_killed(
            replica_set, whole * moment.uniform(0.2, 0.7), ANALYSE, folder=place
        )
        assert (code, errors) == (0, "")
        assert {path.name: path.read_bytes() for path in place.glob("*.csv")} == expected


@pytest.fixture
def here(replica_set, clean_environment, monkeypatch) -> Iterator[Database]:
    """A database on the replica set, as script 1 opens it; the environment's settings lead to it."""
    monkeypatch.setenv("MONGO_URI", replica_set.uri)
    monkeypatch.setenv("MONGO_DB", "here")
    replica_set.wait_until_whole()
    with database(read_settings()) as db:
        yield db
        replica_set.wait_until_whole()
        db.client.drop_database("here")


def shop(n: int) -> Block:
    """The documents of a small load, all marked n."""
    return {name: [{"_id": i, "n": n} for i in range(3000)] for name in COLLECTIONS}


def one_more(n: int) -> Block:
    """A second block of such a load."""
    return {name: [{"_id": -1, "n": n}] for name in COLLECTIONS}


def load_blocks(db: Database, n: int, blocks: Iterator[Block] | None = None) -> None:
    """Load these blocks, by default shop(n)."""
    load(db, read_settings(), Source(f"shop {n}", blocks or iter([shop(n)]), {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "nth"),
    [
        pytest.param("create", 2, id="a staging collection"),
        pytest.param("update", 1, id="its record"),
        pytest.param("insert", 3, id="a batch"),
        pytest.param("aggregate", 2, id="counting the documents"),
        pytest.param("insert", 7, id="the switch"),
        pytest.param("renameCollection", 2, id="a rename"),
        pytest.param("delete", 1, id="forgetting the load before"),
    ],
)
def test_a_load_goes_on_where_the_primary_is_lost(replica_set, here, command, nth):
    """Killed just before this step: the n-th command of this name in a load of two blocks, which inserts six
    batches and then the switch."""
    load_blocks(here, 1)
    kill = Interruption(command, replica_set.kill_primary, nth)
    options = {"serverSelectionTimeoutMS": SERVER_TIMEOUT_MS, "w": "majority", "event_listeners": [kill]}
    with MongoClient(replica_set.uri, **options) as client:
        load_blocks(primary_database(client, "here"), 2, iter([shop(2), one_more(2)]))
    assert kill.left <= 0
    assert_loaded(here, [(i, 2) for i in range(-1, 3000)])


def assert_loaded(db: Database, expected: list[tuple]) -> None:
    """The collections hold these (_id, n), and none waits for its rename."""
    for name in COLLECTIONS:
        assert [(each["_id"], each["n"]) for each in db[name].find(sort=[("_id", 1)])] == expected
    assert db.list_collection_names(filter={"name": {"$regex": STAGING}}) == []


BROKEN = {"closeConnection": True}
STEPPED_DOWN = {"writeConcernError": {"code": 189, "errmsg": "PrimarySteppedDown"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "fault", "times"),
    [
        *((command, STEPPED_DOWN, 1) for command in ("create", "renameCollection", "delete")),
        *((command, BROKEN, 1) for command in ("create", "renameCollection")),
        *((command, BROKEN, 2) for command in ("insert", "aggregate", "update", "delete")),
        ("insert", STEPPED_DOWN, 2),
    ],
)
def test_a_load_goes_on_where_a_command_fails(replica_set, here, command, fault, times, capsys):
    """The server hangs up in the middle of a command, or does it and then says that it is no primary any
    more; twice where the driver tries again by itself."""
    load_blocks(here, 1)
    (host, port), data = replica_set.client.primary, {"failCommands": [command]} | fault
    with MongoClient(host, port, directConnection=True) as primary:

        def blocks():
            if command != "create":  # from here on: a batch is the first insert
                primary.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
            yield shop(2)

        if command == "create":
            primary.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
        load_blocks(here, 2, blocks())
        primary.admin.command("configureFailPoint", "failCommand", mode="off")
    assert capsys.readouterr().out.startswith("Waiting   the connection was lost: trying again (1 of 3)\n")
    assert_loaded(here, [(i, 2) for i in range(3000)])


@pytest.mark.slow
def test_a_reading_is_done_again_where_the_primary_is_lost(replica_set, here, capsys):
    """Killed with the first rows of a cursor read and the others still on the server."""
    load_blocks(here, 1)
    left = [1]

    def reading() -> list[int]:
        found = []
        for each in here.orders.find(batch_size=100):
            found.append(each["_id"])
            if len(found) == 50 and left:
                left.pop()
                replica_set.kill_primary()
        return found

    assert sorted(retry(reading, read_settings())) == list(range(3000))
    assert "the connection was lost: trying again (1 of 3)" in capsys.readouterr().out


@pytest.mark.slow
def test_where_the_majority_is_lost_a_load_gives_up_with_a_sentence(replica_set, here, capsys):
    """Two of three members are stopped; once they are back, the old data is there and a load succeeds."""
    load_blocks(here, 1)
    stopped = list(replica_set.members.values())[:2]

    def blocks() -> Iterator[Block]:
        yield shop(2)
        for member in stopped:
            member.send_signal(signal.SIGSTOP)
        yield one_more(2)

    impatient = {"serverSelectionTimeoutMS": 2000, "connectTimeoutMS": 2000, "w": "majority"}
    try:
        with (
            pytest.raises(SystemExit) as ended,
            database(read_settings()),  # puts the error of any client into words
            MongoClient(replica_set.uri, **impatient) as client,
        ):
            load_blocks(primary_database(client, "here"), 2, blocks())
    finally:
        for member in stopped:
            member.send_signal(signal.SIGCONT)
    said = capsys.readouterr()
    assert (ended.value.code, said.err.count("\n")) == (2, 1)
    assert "does not answer" in said.err
    assert said.out.count("the connection was lost: trying again") == 3
    replica_set.wait_until_whole()
    assert {each["n"] for each in here.orders.find()} == {1}
    load_blocks(here, 3)
    assert {each["n"] for each in here.orders.find()} == {3}


@pytest.mark.slow
def test_a_secondary_that_lags_behind_is_waited_for(replica_set, here):
    """Reading from the secondaries, as an address for analytics says: what was loaded last is read."""
    lagging = {"configureFailPoint": "rsSyncApplyStop", "mode": "alwaysOn"}
    load_blocks(here, 1)
    both = {"readPreference": "secondary", "localThresholdMS": 600_000}  # however slow one is to answer
    with (
        MongoClient(*min(replica_set.client.secondaries), directConnection=True) as secondary,
        MongoClient(replica_set.uri, **both) as client,
    ):
        while len(client.secondaries) < 2:  # until it knows both
            time.sleep(0.1)
        db = primary_database(client, "here")

        def read() -> set[float]:
            return set(read_columns(active_collection(db, "orders"), {"n": "double"}, {"n": "n"})["n"])

        assert read() == {1}
        secondary.admin.command(lagging)
        try:
            load_blocks(here, 2)
            seen = []
            readers = [threading.Thread(target=lambda: seen.append(read())) for _ in range(8)]
            for reader in readers:
                reader.start()
            time.sleep(1)
            assert len(seen) < len(readers)  # who asked the one that lags still waits
        finally:
            secondary.admin.command(lagging | {"mode": "off"})
        for reader in readers:
            reader.join()
    assert seen == [{2}] * len(readers)


# --- users and passwords ---


@pytest.fixture
def sentence(clean_environment, monkeypatch, capsys) -> Callable[[str, str], None]:
    """Checks what a script says that cannot use the database at this address: one line with these words,
    and no password."""

    def check(uri: str, words: str) -> None:
        monkeypatch.setenv("MONGO_URI", uri)
        with pytest.raises(SystemExit) as ended, database(read_settings()) as db:
            db.list_collection_names()
        said = capsys.readouterr()
        assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert words in said.err
        assert not [secret for secret in SECRETS if secret in said.err]

    return check


def add_user(port: int, name: str, role: str) -> None:
    """Let a user of this name into the database of the scripts."""
    with MongoClient("127.0.0.1", port) as client:
        client[Settings.mongo_db].command("createUser", name, pwd=PASSWORD, roles=[role])


def address(name: str, port: int) -> str:
    """What such a user puts into MONGO_URI."""
    return f"mongodb://{name}:{QUOTED}@127.0.0.1:{port}/?authSource={Settings.mongo_db}"


class Guarded(NamedTuple):
    """A mongod with --auth, and the addresses of a user who may write and of one who may read."""

    port: int
    writer: str
    reader: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with running(folder) as port:
        add_user(port, "writer", "readWrite")
        add_user(port, "reader", "read")
    with running(folder, "--auth") as port:
        yield Guarded(port, address("writer", port), address("reader", port))


@pytest.mark.slow
def test_a_server_gives_the_same_files_also_to_a_user_who_may_only_read(tmp_path, guarded, shop):
    """With --auth, and the same seed: the bytes are those that the embedded MongoDB gave. Nobody's password is in
    anything that the scripts print or write."""
    said = [run(GENERATE, data_dir=tmp_path, MONGO_URI=guarded.writer)]
    said += [run(script, data_dir=tmp_path, MONGO_URI=guarded.reader) for script in (ANALYSE, CHURN)]
    for done in said:
        assert (done.returncode, done.stderr) == (0, "")
    files = sorted(path.relative_to(shop[0]) for path in shop[0].rglob("*") if path.suffix in (".csv", ".png"))
    assert len(files) == 23 + 12
    _, different, missing = filecmp.cmpfiles(shop[0], tmp_path, files, shallow=False)
    assert (different, missing) == ([], [])
    assert not (tmp_path / "mongodb").exists()
    refused = run(GENERATE, data_dir=tmp_path, MONGO_URI=guarded.reader)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "lacks a right" in refused.stderr
    printed = "".join(done.stdout + done.stderr for done in (*said, refused))
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert written
    for secret in SECRETS:
        assert secret not in printed
        assert secret.encode() not in written


def test_a_wrong_password_is_told_from_a_missing_user(guarded, sentence):
    sentence(guarded.reader.replace("swordfish", "marlin"), "refuses the user name or the password")
    sentence(f"mongodb://127.0.0.1:{guarded.port}/", "names no user")


@pytest.mark.parametrize(
    ("user", "words"),
    [
        pytest.param(f"writer:{PASSWORD}", "MONGO_URI is not an address", id="a password that is not encoded"),
        pytest.param(
            "writer:12?swordfish=1", "MONGO_URI is not an address", id="half a password taken as an option"
        ),
    ],
)
def test_an_address_that_cannot_be_read_gets_a_sentence_without_the_password(sentence, user, words):
    sentence(f"mongodb://{user}@127.0.0.1:1/?authSource=admin", words)


@pytest.mark.slow
def test_a_server_that_does_not_know_tls_gets_a_sentence_without_the_password(guarded, sentence):
    sentence(guarded.writer + "&tls=true&serverSelectionTimeoutMS=1000", "TLS")


def test_a_traceback_shows_no_password(tmp_path):
    """A defect in the middle of a run: the traceback, with what PyMongo knows of the address."""
    code = (
        "from common import read_settings\n"
        "from pulse.database import database, server_label\n"
        "settings = read_settings()\n"
        "with database(settings) as db:\n"
        "    raise RuntimeError(repr((settings, db, db.client, server_label(settings))))\n"
    )
    with running(tmp_path / "mongod") as port:
        add_user(port, "writer", "readWrite")
        env = environment(tmp_path, MONGO_URI=address("writer", port), PYTHONPATH=str(ROOT))
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "RuntimeError" in done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert "swordfish" not in done.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_another_user_cannot_reach_the_embedded_mongod(tmp_path):
    with embedded_mongod(tmp_path / "mongodb") as uri:
        path = unquote_plus(uri.removeprefix("mongodb://"))
        assert error_of_connecting(path, os.getuid()) == 0
        assert error_of_connecting(path, NOBODY) == errno.EACCES


def error_of_connecting(path: str, user: int) -> int:
    """The error number that a process of this user gets from the socket, 0 for none."""
    child = os.fork()
    if not child:
        os.setuid(user)
        os._exit(socket.socket(socket.AF_UNIX).connect_ex(path))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- TLS ---


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Path:
    """A folder with the certificate ca.pem of a private authority, and server.pem that it has signed."""
    folder = tmp_path_factory.mktemp("tls")
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    extension = "subjectAltName=IP:127.0.0.1"
    for command in (
        ("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=private authority"),
        ("req", *key[:3], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1"),
        ("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", *key[3:],
         "-out", "server.crt", "-extfile", "extension"),
    ):  # fmt: skip
        (folder / "extension").write_text(extension)
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    (folder / "server.pem").write_bytes(
        b"".join((folder / f"server.{kind}").read_bytes() for kind in ("key", "crt"))
    )
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="makes certificates with openssl")
def test_tls_with_a_private_authority(tmp_path, authority, sentence):
    options = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(authority / "server.pem"))
    with running(tmp_path / "mongod", *options, "--tlsAllowConnectionsWithoutCertificates",
                 "--tlsCAFile", str(authority / "ca.pem")) as port:  # fmt: skip
        plain = f"mongodb://127.0.0.1:{port}/?"
        trusted = f"{plain}tls=true&tlsCAFile={authority / 'ca.pem'}"
        run_all(tmp_path / "data", *CUSTOMERS, MONGO_URI=trusted)
        for uri, words in (
            (plain + "tls=true", "tlsCAFile"),
            (plain, "does not answer"),
            (plain + f"tls=true&tlsCAFile={tmp_path / 'none.pem'}", "tlsCAFile"),
        ):
            sentence(uri, words)
