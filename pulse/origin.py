"""Where the embedded database's orders came from (data/mongodb.origin), and what that allows once it is damaged.

A simulated shop can be made again, so step 1 puts its damaged files aside by itself. Everything else
stays where it is, and the user is told what to do.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pymongo.database import Database

from common import Settings, fail, say
from pulse.exports import atomic_write

SIMULATED, IMPORTED = "simulated", "imported"  # what the file says; without one, nobody knows
SYSTEM_DATABASES = ("admin", "config", "local")  # MongoDB's own; it tells none apart by case


class DamagedError(Exception):
    """The embedded database's files are damaged; holds the folder's inode, which tells it from a later one."""


def files_of(settings: Settings) -> Path:
    """The folder of the embedded database's files."""
    return settings.data_path / "mongodb"


def origin_file(settings: Settings) -> Path:
    """The file that says where the orders in that folder came from."""
    return settings.data_path / "mongodb.origin"


def write_origin(settings: Settings, origin: str) -> None:
    """Note, on the disk, where the orders come from."""
    with atomic_write(origin_file(settings)) as path, path.open("w", encoding="ascii") as file:
        file.write(f"{origin}\n")
        file.flush()
        os.fsync(file.fileno())


def is_simulated(settings: Settings) -> bool:
    """Whether all that the folder holds can be simulated again."""
    with suppress(OSError, ValueError):
        return origin_file(settings).read_text(encoding="ascii").strip() == SIMULATED
    return False


def holds_more(db: Database, collections: set[str]) -> bool:
    """Whether the server holds anything but these collections of this database."""
    databases = {*db.client.list_database_names()} - {db.name, *SYSTEM_DATABASES}
    return bool(databases or {*db.list_collection_names()} - collections)


def fail_damaged(settings: Settings, moved: str = "") -> NoReturn:
    """End the script: the files are damaged, and what to do. `moved` says why they could not be put aside."""
    remedy = "run step 1, which puts them aside and loads anew"
    if moved or not is_simulated(settings):
        remedy = "nothing was moved. Move that folder away, and load your orders again with step 1"
    fail(f"The files of the embedded MongoDB in {files_of(settings)} are damaged{moved}: {remedy}.")


def put_aside(settings: Settings, damaged: DamagedError) -> None:
    """Move the damaged files of a simulated shop to mongodb.damaged-1 (-2, ...)."""
    folder, n = files_of(settings), 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}.damaged-{n}")):
        n += 1
    try:
        if folder.stat().st_ino == damaged.args[0]:  # else another run of step 1 has done it
            folder.rename(aside)
            say("Noted", f"the simulated shop's files were damaged, and are in {aside} now: delete them at will")
    except OSError as error:
        fail_damaged(settings, f", and cannot be moved ({error.strerror})")
