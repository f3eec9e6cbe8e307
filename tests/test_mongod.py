"""pulse/mongod.py: the embedded mongod, which nobody else can reach and which ends with its script."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from conftest import ROOT, SCRIPTS, environment, run
from pymongo import MongoClient

from common import Settings
from pulse.database import database
from pulse.mongod import CLOSING_TIMEOUT_S, choose_endpoint, embedded_mongod, find_mongod, start, stop

GENERATE, ANALYSE, CHURN = SCRIPTS
PATIENCE_S = 30  # how long a mongod may take to end, on a busy computer

HOLD = """
import sys, time
from pathlib import Path
from pulse.mongod import embedded_mongod
with embedded_mongod(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(600)
"""


def processes_of(folder: Path) -> list[int]:
    """The processes, watchdogs too, whose command names this database folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile
            continue
        if b"--dbpath" in command and str(folder).encode() in command:
            found.append(int(place.name))
    return found


def is_mongod(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("mongod")
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Whether this became so in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def ended_in_good_order(folder: Path) -> bool:
    """Whether mongod closed its files: it empties its lock then."""
    return (folder / "mongod.lock").read_bytes() == b""


@contextmanager
def started(*command: str | Path, **options) -> Iterator[subprocess.Popen]:
    """A script that runs while the block lasts, unless the block ends it; what it prints can be read."""
    command = (sys.executable, *command)
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options
    ) as script:
        try:
            yield script
        finally:
            script.kill()


@contextmanager
def holding(folder: Path, **options) -> Iterator[subprocess.Popen]:
    """A script that does nothing but hold an embedded mongod over this folder, which answers."""
    with started("-c", HOLD, str(folder), **options) as script:
        assert script.stdout.readline() == b"ready\n"
        yield script


@pytest.fixture
def temporary(monkeypatch, tmp_path) -> Iterator[Path]:  # tmp_path comes first: it is to lie where it always does
    """A short folder in place of /tmp, so that only the test's own private folders are in it."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)  # so that this process looks at TMPDIR again
        yield Path(folder)
        for left_behind in processes_of(tmp_path / "mongodb"):  # where the test has failed
            os.kill(left_behind, signal.SIGKILL)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, as a socket needs one."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as folder:
        yield Path(folder)


# --- while the block lasts ---


def test_the_embedded_mongod_is_private_and_ends_with_the_block(tmp_path):
    folder = tmp_path / "mongodb"
    with pytest.raises(KeyboardInterrupt), embedded_mongod(folder) as address:
        socket = Path(unquote_plus(address.removeprefix("mongodb://")))
        assert socket.is_socket()
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        (mongod,) = filter(is_mongod, processes_of(folder))
        assert listens_on(mongod) == [str(socket)]
        raise KeyboardInterrupt
    assert processes_of(folder) == []
    assert not Path(f"/proc/{mongod}").exists()
    assert not socket.parent.exists()
    assert ended_in_good_order(folder)


def listens_on(pid: int) -> list[str]:
    """The TCP addresses and the Unix sockets on which the process listens, from /proc."""
    inodes = {p.readlink().name for p in Path(f"/proc/{pid}/fd").iterdir() if p.is_symlink()}
    net = Path("/proc/net")
    tcp = [line.split() for kind in ("tcp", "tcp6") for line in (net / kind).read_text().splitlines()[1:]]
    local = [line.split() for line in (net / "unix").read_text().splitlines()[1:]]
    listening = [(row[9], row[1]) for row in tcp if row[3] == "0A"]
    listening += [(row[6], row[-1]) for row in local if row[3] == "00010000"]
    return [address for inode, address in listening if f"socket:[{inode}]" in inodes]


def test_mongod_and_its_watchdog_end_with_the_exit_code_0(temporary, tmp_path):
    (tmp_path / "mongodb").mkdir()
    endpoint = choose_endpoint(str(temporary))
    command = [find_mongod(), "--dbpath", str(tmp_path / "mongodb"), *endpoint.options]
    process = start(command, temporary / "mongod.log", temporary)
    assert wait_until(Path(endpoint.address).is_socket)
    stop(process)
    assert process.returncode == 0
    assert processes_of(tmp_path / "mongodb") == []
    assert temporary.exists()  # the script is alive: it removes the folder itself


def test_what_was_written_is_there_at_the_next_start(tmp_path):
    for n in (1, 2):
        with embedded_mongod(tmp_path / "mongodb") as address, MongoClient(address) as client:
            client.test.t.insert_one({"n": n})
            assert client.test.t.count_documents({}) == n


def test_a_long_temporary_folder_does_not_make_the_sockets_path_too_long(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with embedded_mongod(tmp_path / "mongodb") as address, MongoClient(address) as client:
        assert client.admin.command("ping")["ok"]
        assert list(long.iterdir()) == []


@pytest.mark.slow
def test_two_scripts_on_one_embedded_database_get_a_sentence(tmp_path):
    with embedded_mongod(tmp_path / "mongodb"):
        done = run(ANALYSE, data_dir=tmp_path)
    assert done.returncode == 2
    assert "in use by another script" in done.stderr
    assert "Waiting" in done.stdout


@pytest.mark.slow
def test_a_script_waits_for_the_end_of_another(tmp_path):
    with embedded_mongod(tmp_path / "mongodb"):
        command = [sys.executable, ROOT / ANALYSE]
        waiting = subprocess.Popen(
            command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert waiting.stdout.readline().startswith(b"Waiting")
    _, error = waiting.communicate(timeout=60)
    assert error.startswith(b"Error: The collection orders")  # it got as far as the empty database


def make_file(path: Path) -> None:
    path.write_text("orders")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


@pytest.mark.parametrize(
    "make", [make_file, make_socket, os.mkfifo, lambda path: path.symlink_to("nowhere"), lambda p: p.symlink_to(p)]
)
def test_what_stands_in_the_place_of_the_folder_stays_and_gets_a_sentence(short, make, capsys):
    make(short / "mongodb")
    before = (short / "mongodb").lstat()
    with pytest.raises(SystemExit) as stopped, embedded_mongod(short / "mongodb"):
        pass
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Error: {short / 'mongodb'} is no folder that can be used (")
    assert said.endswith("): move it elsewhere, or set DATA_DIR.\n")
    assert (short / "mongodb").lstat() == before


@pytest.mark.parametrize("data", ["file", "file/data", "link/data"])
def test_a_data_folder_that_lies_in_a_file_gets_a_sentence(short, data, capsys):
    make_file(short / "file")
    (short / "link").symlink_to("file")
    with pytest.raises(SystemExit) as stopped, database(Settings(data_dir=str(short / data))):
        pass
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert said.startswith(f"Error: The folder {short / data} cannot be written to (")


def test_a_link_to_a_folder_is_a_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mongodb").symlink_to("elsewhere")
    with embedded_mongod(tmp_path / "mongodb"):
        assert (tmp_path / "elsewhere" / "mongod.lock").exists()


def test_no_temporary_folder_gets_a_sentence(short, tmp_path, monkeypatch, capsys):
    gone = short / "gone"
    gone.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(gone))  # chosen when it was still there
    gone.rmdir()
    with pytest.raises(SystemExit), embedded_mongod(tmp_path / "mongodb"):
        pass
    assert "There is no temporary folder (No such file or directory): free space" in capsys.readouterr().err


# --- one that was stopped, or does not end ---

SOON_S = 5  # after Ctrl-C

WRITE = """
import sys
from common import Settings
from pulse.database import database
from pulse.loads import Source, load
def blocks():
    for n in range(10**6):
        yield {"orders": [{"_id": n * 1000 + i, "text": "x" * 500} for i in range(1000)]}
        print(n, flush=True)
settings = Settings(data_dir=sys.argv[1])
with database(settings) as db:
    load(db, settings, Source("simulated", blocks(), {}))
"""
WAIT = """
import sys
from common import Settings
from pulse.database import database
with database(Settings(data_dir=sys.argv[1])) as db:
    db.t.insert_many([{"text": "x" * 500} for n in range(3000)])
    with db.client.start_session() as session:
        for n in range(10**6):
            list(db.t.find(session=session, batch_size=100))
            print(n, flush=True)
"""


@pytest.mark.parametrize("program", [WRITE, pytest.param(WAIT, marks=pytest.mark.slow)])
def test_ctrl_c_ends_a_script_whose_mongod_was_stopped(tmp_path, program):
    """SIGSTOP while it waits for an answer, then SIGINT: it ends soon, and so does mongod, in good order."""
    folder = tmp_path / "mongodb"
    with started("-c", program, str(tmp_path)) as script:
        assert [script.stdout.readline() for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]
        (mongod,) = filter(is_mongod, processes_of(folder))
        os.kill(mongod, signal.SIGSTOP)
        time.sleep(0.5)
        script.send_signal(signal.SIGINT)
        assert script.wait(timeout=SOON_S) in (-signal.SIGINT, 128 + signal.SIGINT, 1)
    assert processes_of(folder) == []
    assert ended_in_good_order(folder)


@pytest.mark.parametrize(
    "send",
    [os.kill, pytest.param(lambda pid, number: os.killpg(os.getpgid(pid), number), marks=pytest.mark.slow)],
)
def test_a_mongod_that_was_stopped_is_closed_in_good_order(tmp_path, send):
    """Alone, or with its watchdog."""
    folder = tmp_path / "mongodb"
    with embedded_mongod(folder):
        (mongod,) = filter(is_mongod, processes_of(folder))
        send(mongod, signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < SOON_S
    assert processes_of(folder) == []
    assert ended_in_good_order(folder)


def test_a_mongod_that_was_stopped_ends_though_its_script_was_killed(tmp_path):
    folder = tmp_path / "mongodb"
    with holding(folder) as script:
        (mongod,) = filter(is_mongod, processes_of(folder))
        os.kill(mongod, signal.SIGSTOP)
        script.kill()
    assert wait_until(lambda: not processes_of(folder))
    assert ended_in_good_order(folder)


DEAF = ("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done", "--dbpath")


def start_deaf(folder: Path) -> subprocess.Popen:
    """A program that ignores SIGTERM, once it does: it stands for a mongod that hangs."""
    process = start([*DEAF, str(folder)], folder / "log", folder)
    assert wait_until(lambda: (folder / "log").read_bytes() == b"deaf\n")
    assert wait_until(lambda: len(processes_of(folder)) == 3)  # it, its watchdog and who waits for the pipe
    return process


@pytest.mark.slow
def test_what_does_not_end_is_killed_after_30_seconds(tmp_path):
    process = start_deaf(tmp_path)
    began = time.monotonic()
    stop(process)
    assert CLOSING_TIMEOUT_S <= time.monotonic() - began < CLOSING_TIMEOUT_S + 5
    assert processes_of(tmp_path) == []


def test_another_ctrl_c_kills_what_does_not_end(tmp_path):
    process = start_deaf(tmp_path)
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        stop(process)
    assert wait_until(lambda: not processes_of(tmp_path))


# --- where the script is ended ---


def nothing_is_left(folder: Path, temporary: Path) -> bool:
    """Whether neither a mongod over the folder nor a private folder is there, soon enough."""
    return wait_until(lambda: not processes_of(folder)) and wait_until(lambda: not list(temporary.glob("pulse-*")))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_mongod_is_left_behind_where_a_script_is_ended(temporary, tmp_path, number):
    """Ctrl-C, kill, a closed terminal, kill -9: mongod stops, its private folder goes, the next one can start."""
    folder = tmp_path / "mongodb"
    with started(ROOT / GENERATE, "--customers", "100000", env=environment(tmp_path)) as script:
        assert wait_until((folder / "WiredTiger.lock").exists)
        time.sleep(1)
        assert any(map(is_mongod, processes_of(folder)))
        assert len(list(temporary.glob("pulse-*"))) == 1
        script.send_signal(number)
        assert script.wait(timeout=30) in (-number, 128 + number)
    assert nothing_is_left(folder, temporary)
    assert ended_in_good_order(folder)
    assert run(ANALYSE, data_dir=tmp_path).stderr.startswith("Error: The collection orders")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_for_the_whole_terminal_leaves_no_mongod_behind(temporary, tmp_path, number):
    """A terminal sends Ctrl-C and its end to all that run in it: mongod and its watchdog are not among them."""
    folder = tmp_path / "mongodb"
    with holding(folder, start_new_session=True) as script:
        (mongod,) = filter(is_mongod, processes_of(folder))
        assert os.getsid(mongod) != os.getsid(script.pid)
        os.killpg(script.pid, number)
        script.wait(timeout=30)
    assert nothing_is_left(folder, temporary)
    assert ended_in_good_order(folder)


def test_a_private_folder_goes_though_nobody_asks_how_its_script_ended(temporary, tmp_path):
    """A killed script whose parent has not yet asked for its exit code is still in the list of processes."""
    folder = tmp_path / "mongodb"
    with holding(folder) as script:
        os.kill(script.pid, signal.SIGKILL)
        assert wait_until(lambda: not processes_of(folder))
        assert wait_until(lambda: not list(temporary.glob("pulse-*")), seconds=3)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 0, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0])
def test_a_kill_at_any_moment_of_the_start_leaves_no_mongod_behind(temporary, tmp_path, delay):
    """Kill -9, so many seconds after the watchdog has come up."""
    folder = tmp_path / "mongodb"
    with started("-c", HOLD, str(folder)) as script:
        assert wait_until(lambda: processes_of(folder))
        time.sleep(delay)
        script.kill()
    assert nothing_is_left(folder, temporary)


@pytest.mark.slow
def test_a_kill_while_processes_share_the_work_leaves_no_mongod_behind(temporary, tmp_path):
    """The processes of WORKERS outlive their script for a while: they must not hold the pipe open."""
    assert run(GENERATE, "--customers", "300", data_dir=tmp_path).returncode == 0
    folder = tmp_path / "mongodb"
    with started(ROOT / ANALYSE, env=environment(tmp_path, RANGE_ORDERS="100", WORKERS="2")) as script:
        children = Path(f"/proc/{script.pid}/task/{script.pid}/children")
        assert wait_until(lambda: len(children.read_text().split()) > 2)  # the watchdog, the processes and theirs
        script.kill()
        script.wait()
        assert nothing_is_left(folder, temporary)
        assert ended_in_good_order(folder)
