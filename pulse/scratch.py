"""Where the scripts keep what exceeds memory: a private folder beside the data, gone at the script's end.

Beside each folder lies its lock, which the system frees when its script ends, however it does. Whoever holds it,
the script or a later one's start, removes first the folder, then the lock.
"""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from common import fail, say

PREFIX, LOCK = "pulse-scratch-", ".lock"
FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
FULL_WORDS = ("No space left", "File too large", "quota exceeded", "not enough space", "max_temp_directory_size")
FULL_KINDS = ("IOException", "OutOfMemoryException")  # DuckDB's; another kind's words may be those of a row


@contextmanager
def scratch_folder(data: Path, needed: str) -> Iterator[Path]:
    """A folder in `data` that only this user can enter, for as long as the block lasts.

    What killed scripts left in `data` is removed first. Where nothing can be written there (a look with
    --check, a load into a server), the folder is the system's temporary one. A full disk stops the script with a
    sentence, which says how much is `needed`.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        path, lock = make_lock(data)
    except OSError as error:
        where = tempfile.gettempdir()
        say("Noted", f"{data} cannot be written to ({error.strerror}): what exceeds memory goes to {where}")
        path, lock = make_lock(Path(where))
    folder = path.with_suffix("")
    try:
        folder.mkdir(mode=0o700)
        yield folder
    except Exception as error:
        if not is_full(error):
            raise
        fail(
            f"The disk of {folder.parent} is full: what exceeds memory is kept there. Free {needed}, or "
            "let DATA_DIR name a folder on another disk."
        )
    finally:
        remove(path, lock)


def make_lock(place: Path) -> tuple[Path, IO[bytes]]:
    """A lock of this script alone, in a place from which what killed scripts left is removed."""
    remove_abandoned(place)
    while True:
        number, name = tempfile.mkstemp(LOCK, PREFIX, place)
        lock = os.fdopen(number, "r+b")
        with suppress(OSError):  # a disk that knows no locks
            take(lock, wait=True)
        if Path(name).exists():
            return Path(name), lock
        lock.close()  # another start took it for a killed script's, and removed it


def remove_abandoned(place: Path) -> None:
    """Remove the folders in `place` whose script was killed."""
    for path in place.glob(f"{PREFIX}*{LOCK}"):
        with suppress(OSError), path.open("r+b") as lock:  # its script is still running, or has ended just now
            take(lock, wait=False)
            remove(path, lock)


def remove(path: Path, lock: IO[bytes]) -> None:
    """Remove the folder, then its lock: what is left of them where this is killed too, the next start finds."""
    folder = path.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    if sys.platform == "win32":  # which removes no open file
        lock.close()
    if not folder.exists():
        with suppress(OSError):  # another start is looking at it: it removes it
            path.unlink()
    lock.close()


def take(lock: IO[bytes], wait: bool) -> None:
    """Lock the file for as long as it is open; an OSError where another has it and this is not to wait."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(lock.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def is_full(error: Exception) -> bool:
    """Whether the system, or DuckDB in its words, says that there is no room left on a disk."""
    said = type(error).__name__ in FULL_KINDS and any(words in str(error) for words in FULL_WORDS)
    return said or getattr(error, "errno", None) in FULL
