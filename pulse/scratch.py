"""Where scripts 1 and 2 keep what exceeds memory: a private folder beside the data, gone at the script's end."""

import errno
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from common import fail, say

PREFIX = "pulse-scratch-"
IN_USE = b"in use"
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
FULL_WORDS = ("No space left", "File too large", "quota exceeded", "not enough space", "max_temp_directory_size")


@contextmanager
def scratch_folder(data: Path, needed: str) -> Iterator[Path]:
    """A folder in `data` that only this user can enter, for as long as the block lasts.

    What a killed script left in `data` is removed first. Where nothing can be written there (a look with
    --check, a load into a server), the folder is the system's temporary one. A full disk stops the script with a
    sentence, which says how much is `needed`.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        remove_abandoned(data)
        place = tempfile.TemporaryDirectory(prefix=PREFIX, dir=data)
    except OSError as error:
        place = tempfile.TemporaryDirectory(prefix="pulse-")
        where = tempfile.gettempdir()
        say("Noted", f"{data} cannot be written to ({error.strerror}): what exceeds memory goes to {where}")
    with place as name:
        lock = None
        with suppress(OSError):  # a disk that knows no locks
            lock = take(Path(name) / "lock", "wb")
            lock.write(IN_USE)
        try:
            yield Path(name)
        except Exception as error:
            if not is_full(error):
                raise
            fail(
                f"The disk of {Path(name).parent} is full: what exceeds memory is kept there. Free {needed}, or "
                "let DATA_DIR name a folder on another disk."
            )
        finally:
            if lock:
                lock.truncate(0)  # this script removes its folder, no other
                lock.close()  # Windows removes no open file


def remove_abandoned(data: Path) -> None:
    """Remove the folders in `data` whose script was killed.

    Their lock is free and says that they are in use. One that says nothing is of a script that is about to take
    it, or to remove its folder.
    """
    for path in data.glob(f"{PREFIX}*/lock"):  # a folder without one is somebody else's
        with suppress(OSError):  # its script is still running, or has just removed it
            if path.stat().st_size == 0:
                continue
            with take(path, "r+b") as lock:
                abandoned = lock.read() == IN_USE
            if abandoned:
                shutil.rmtree(path.parent, ignore_errors=True)  # another start may be at it too


def take(path: Path, mode: str) -> IO[bytes]:
    """The lock of this file, given back when this process ends at the latest; an OSError where another has it."""
    lock = path.open(mode, buffering=0)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def is_full(error: Exception) -> bool:
    """Whether the system, or DuckDB in its words, says that there is no room left on a disk."""
    return getattr(error, "errno", None) in FULL or any(words in str(error) for words in FULL_WORDS)
