"""Servers as others run them: a replica set whose primary is killed, users and passwords, TLS.

Real ones, on this computer alone: docs/Faults.md says how often each was tried.
"""

import contextlib
import errno
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from conftest import ROOT, SCRIPTS, run, run_all
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, OperationFailure

import common

GENERATE, ANALYSE, CHURN = SCRIPTS
CUSTOMERS = ("--customers", "1000")
FAILOVERS = 5  # of each kind
PASSWORD = "swordfish/9:%@"  # with all that an address must not hold as it is
QUOTED = "swordfish%2F9%3A%25%40"
NOBODY = 65534
SAFE = {"w": "majority", "serverSelectionTimeoutMS": 20_000}


def start(folder: Path, port: int, *options: str) -> subprocess.Popen:
    """A mongod over the folder, on this port of this computer."""
    folder.mkdir(exist_ok=True)
    command = [common.find_mongod(), "--dbpath", folder, "--port", str(port), "--bind_ip", "127.0.0.1"]
    command += ["--wiredTigerCacheSizeGB", "0.25", "--nounixsocket", *options]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(n)]


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[int]:
    """The port of a mongod of its own."""
    (port,) = free_ports(1)
    with start(folder, port, *options) as mongod:
        try:
            while socket.socket().connect_ex(("127.0.0.1", port)):
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
        with MongoClient(hosts[0], directConnection=True) as first:
            first.admin.command("replSetInitiate", config)

    def start(self, port: int) -> subprocess.Popen:
        options = ("--replSet", "pulse", "--setParameter", "enableTestCommands=1", "--oplogSize", "200")
        return start(self.folder / str(port), port, *options)

    def kill_primary(self) -> None:
        _, port = self.client.primary
        self.members[port].kill()
        self.members[port].wait()
        self.members[port] = self.start(port)

    def wait_until_whole(self) -> None:
        """Until there are a primary and two secondaries again."""
        while True:
            with contextlib.suppress(AutoReconnect, OperationFailure):
                states = [each["state"] for each in self.client.admin.command("replSetGetStatus")["members"]]
                if sorted(states) == [1, 2, 2]:
                    return
            time.sleep(0.1)

    def summary(self, name: str) -> tuple:
        """What lies in a database of this name, as the scripts see it."""
        db = self.client[name]
        cents = db[common.current(db, "orders")].aggregate([{"$group": {"_id": None, "sum": {"$sum": "$total"}}}])
        n = [db[common.current(db, kind)].count_documents({}) for kind in ("customers", "orders")]
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
        seen[seed] = replica_set.summary(common.MONGO_DB)
    return folder, seen, time.monotonic() - started


def while_the_primary_is_killed(replica_set: ReplicaSet, after: float, *command: str, folder: Path) -> tuple:
    """Exit code and stderr of a script under which the primary is killed after so many seconds."""
    env = os.environ | {"MONGO_URI": replica_set.uri, "MONGO_DB": "", "DATA_DIR": str(folder)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, ROOT / command[0], *command[1:]], env=env, stdout=pipe, stderr=pipe, text=True
    ) as script:
        time.sleep(after)
        replica_set.kill_primary()
        _, errors = script.communicate(timeout=200)
    replica_set.wait_until_whole()
    return script.returncode, errors


def test_a_load_outlives_the_primary_or_leaves_the_old_data(replica_set, shops):
    folder, seen, whole = shops
    moment, before = random.Random(1), "1"
    for _ in range(FAILOVERS):
        other = {"1": "2", "2": "1"}[before]
        code, errors = while_the_primary_is_killed(
            replica_set, whole * moment.uniform(0.4, 1.0), GENERATE, *CUSTOMERS, "--seed", other, folder=folder
        )
        after = replica_set.summary(common.MONGO_DB)
        if code == 0:
            assert after == seen[other]
        else:
            assert (code, errors.count("\n")) == (2, 1), errors
            assert after in (seen[before], seen[other])
        before = "1" if after == seen["1"] else "2"


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
def here(replica_set, monkeypatch) -> Iterator:
    """A database on the replica set, as script 1 opens it; the scripts' functions point at it."""
    monkeypatch.setattr(common, "MONGO_URI", replica_set.uri)
    monkeypatch.setattr(common, "MONGO_DB", "here")
    replica_set.wait_until_whole()
    with common.database() as db:
        yield db
        replica_set.wait_until_whole()
        db.client.drop_database("here")


def shop(n: int) -> dict[str, list[dict]]:
    """The documents of a small load, all marked n."""
    return {
        name: [{"_id": i, "n": n} for i in range(3000)] for name in ("customers", "simulation_truth", "orders")
    }


@pytest.mark.parametrize("moment", ["make_staging", "a batch", "complete", "switch", "a rename"])
def test_a_load_goes_on_where_the_primary_is_lost(replica_set, here, generation, moment, monkeypatch):
    generation.load(here, iter([shop(1)]), "1", {})
    left = [moment]

    def kill_once() -> None:
        if left:
            left.pop()
            replica_set.kill_primary()

    def first_killed(step):
        return lambda *args, **options: (kill_once(), step(*args, **options))[1]

    def blocks():
        yield shop(2)
        if moment == "a batch":
            kill_once()
        yield {name: [{"_id": -1, "n": 2}] for name in shop(2)}

    if moment == "a rename":
        monkeypatch.setattr(Collection, "rename", first_killed(Collection.rename))
    elif moment != "a batch":
        monkeypatch.setattr(generation, moment, first_killed(getattr(generation, moment)))
    generation.load(here, blocks(), "2", {})
    assert not left
    assert_loaded(here, generation, [(i, 2) for i in range(-1, 3000)])


def assert_loaded(db, generation, expected: list[tuple]) -> None:
    for name in generation.COLLECTIONS:
        assert [(each["_id"], each["n"]) for each in db[name].find(sort=[("_id", 1)])] == expected
    assert db.list_collection_names(filter={"name": {"$regex": common.STAGING}}) == []


BROKEN = {"closeConnection": True}
STEPPED_DOWN = {"writeConcernError": {"code": 189, "errmsg": "PrimarySteppedDown"}}


@pytest.mark.parametrize(
    ("command", "fault", "times"),
    [
        *((command, STEPPED_DOWN, 1) for command in ("create", "renameCollection", "delete")),
        *((command, BROKEN, 1) for command in ("create", "renameCollection")),
        *((command, BROKEN, 2) for command in ("insert", "aggregate", "update", "delete")),
        ("insert", STEPPED_DOWN, 2),
    ],
)
def test_a_load_goes_on_where_a_command_fails(replica_set, here, generation, command, fault, times, capsys):
    """The server hangs up in the middle of a command, or does it and then says that it is no primary any
    more; twice where the driver tries again by itself."""
    generation.load(here, iter([shop(1)]), "1", {})
    (host, port), data = replica_set.client.primary, {"failCommands": [command]} | fault
    with MongoClient(host, port, directConnection=True) as primary:

        def blocks():
            if command != "create":  # from here on: a batch is the first insert
                primary.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
            yield shop(2)

        if command == "create":
            primary.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
        generation.load(here, blocks(), "2", {})
        primary.admin.command("configureFailPoint", "failCommand", mode="off")
    assert capsys.readouterr().out.startswith("Waiting   the connection was lost: trying again (1 of 3)\n")
    assert_loaded(here, generation, [(i, 2) for i in range(3000)])


def test_a_reading_is_done_again_where_the_primary_is_lost(replica_set, here, generation, capsys):
    """Killed with the first rows of a cursor read and the others still on the server."""
    generation.load(here, iter([shop(1)]), "1", {})
    left = [1]

    def reading() -> list[int]:
        found = []
        for each in here.orders.find(batch_size=100):
            found.append(each["_id"])
            if len(found) == 50 and left:
                left.pop()
                replica_set.kill_primary()
        return found

    assert sorted(common.steadily(here, reading)) == list(range(3000))
    assert "the connection was lost: trying again (1 of 3)" in capsys.readouterr().out


def test_where_the_majority_is_lost_a_load_gives_up_with_a_sentence(replica_set, here, generation, monkeypatch):
    """Two of three members are stopped; once they are back, the old data is there and a load succeeds."""
    generation.load(here, iter([shop(1)]), "1", {})
    monkeypatch.setattr(common, "SERVER_TIMEOUT_S", 2)
    monkeypatch.setattr(common, "MONGO_URI", replica_set.uri + "&connectTimeoutMS=2000")
    stopped = [member for port, member in replica_set.members.items()][:2]

    def blocks():
        yield shop(2)
        for member in stopped:
            member.send_signal(signal.SIGSTOP)
        yield {name: [{"_id": -1, "n": 2}] for name in shop(2)}

    try:
        with pytest.raises(SystemExit) as ended, common.database() as db:
            generation.load(db, blocks(), "2", {})
    finally:
        for member in stopped:
            member.send_signal(signal.SIGCONT)
    assert ended.value.code == 2
    replica_set.wait_until_whole()
    assert {each["n"] for each in here.orders.find()} == {1}
    generation.load(here, iter([shop(3)]), "3", {})
    assert {each["n"] for each in here.orders.find()} == {3}


def test_a_secondary_that_lags_behind_is_waited_for(replica_set, here, generation):
    """Reading from the secondaries, as an address for analytics says: what was loaded last is read."""
    secondaries = [MongoClient(*member, directConnection=True) for member in replica_set.client.secondaries]
    lagging = {"configureFailPoint": "rsSyncApplyStop", "mode": "alwaysOn"}
    read = partial(common.read, kinds={"n": "double"}, fields={"n": "n"})
    generation.load(here, iter([shop(1)]), "1", {})
    with MongoClient(replica_set.uri, readPreference="secondary") as client:
        db = client.get_database("here", read_preference=ReadPreference.PRIMARY)
        assert set(read(db[common.current(db, "orders")])["n"]) == {1}
        secondaries[0].admin.command(lagging)
        try:
            generation.load(here, iter([shop(2)]), "2", {})
            seen = []
            readers = [
                threading.Thread(target=lambda: seen.append(set(read(db["orders"])["n"]))) for _ in range(8)
            ]
            for reader in readers:
                reader.start()
            time.sleep(1)
            assert len(seen) < len(readers)  # who asked the one that lags still waits
        finally:
            secondaries[0].admin.command(lagging | {"mode": "off"})
        for reader in readers:
            reader.join()
    assert seen == [{2}] * len(readers)


# --- users and passwords ---


@pytest.fixture
def sentence(monkeypatch, capsys) -> Callable[[str, str], str]:
    """What a script says that cannot use the database at this address: one line with these words."""

    def say(uri: str, words: str) -> str:
        monkeypatch.setattr(common, "MONGO_URI", uri)
        monkeypatch.setattr(common, "SERVER_TIMEOUT_S", 2)
        with pytest.raises(SystemExit) as ended, common.database() as db:
            db.list_collection_names()
        said = capsys.readouterr()
        assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert words in said.err
        return said.err

    return say


def add_user(port: int, name: str, role: str, **options) -> str:
    """Let a user of this name into the database of the scripts: the address to do it with."""
    with MongoClient("127.0.0.1", port, **options) as client:
        client[common.MONGO_DB].command("createUser", name, pwd=PASSWORD, roles=[role])
    return f"mongodb://{name}:{QUOTED}@127.0.0.1:{port}/?authSource={common.MONGO_DB}"


def test_a_user_who_may_only_read_can_run_scripts_2_and_3(tmp_path, sentence):
    """With --auth. Nobody's password is in anything that the scripts print or write."""
    folder = tmp_path / "mongod"
    with running(folder) as port:
        writer, reader = add_user(port, "writer", "readWrite"), add_user(port, "reader", "read")
    with running(folder, "--auth") as port:
        writer, reader = (re.sub(r":\d+/", f":{port}/", uri) for uri in (writer, reader))
        data = tmp_path / "data"
        said = [run(GENERATE, data_dir=data, MONGO_URI=writer)]
        said += [run(script, data_dir=data, MONGO_URI=reader) for script in (ANALYSE, CHURN)]
        for done in said:
            assert (done.returncode, done.stderr) == (0, "")
        done = run(GENERATE, data_dir=data, MONGO_URI=reader)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "lacks a right" in done.stderr
        sentences = done.stderr
        for uri, words in (
            (reader.replace("swordfish", "marlin"), "refuses the user name or the password"),
            (f"mongodb://127.0.0.1:{port}/", "names no user"),
            (writer.replace(str(port), "1"), "does not answer"),
            (writer + "&tls=true", "TLS"),
            (writer.replace(QUOTED, PASSWORD), "MONGO_URI"),
            (f"mongodb://writer:12?swordfish=1@127.0.0.1:{port}/", "MONGO_URI is not an address"),
        ):
            sentences += sentence(uri, words)
    printed = sentences + "".join(done.stdout + done.stderr for done in said)
    written = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    for secret in ("swordfish", "marlin"):
        assert secret not in printed
        assert secret.encode() not in written


def test_a_traceback_shows_no_password(tmp_path):
    """A defect in the middle of a run: the traceback, with what PyMongo knows of the address."""
    with running(tmp_path / "mongod") as port:
        uri = add_user(port, "writer", "readWrite")
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); import common\n"
            f"with common.database() as db: raise RuntimeError(repr((db, db.client, common.server())))"
        )
        env = os.environ | {"MONGO_URI": uri, "DATA_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "RuntimeError" in done.stderr
    assert "swordfish" not in done.stderr


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_another_user_cannot_reach_the_embedded_mongod(tmp_path):
    with common.embedded_mongod(tmp_path / "mongodb") as uri:
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
