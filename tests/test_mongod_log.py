"""pulse/mongod_log.py: what is wrong with the embedded mongod, made for real, gets a sentence of its own."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, environment

from common import Settings
from pulse.database import database
from pulse.loads import COLLECTIONS, Source, load
from pulse.mongod import find_mongod

ROWS = 3000
NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be somebody else")
MB = 2**20

READ = """
from common import read_settings
from pulse.database import database
with database(read_settings()) as db:
    print(sorted({db[name].count_documents({}) for name in db.list_collection_names()}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> Path:
    """A data folder whose embedded database holds a small load."""
    folder = tmp_path_factory.mktemp("loaded")
    settings = Settings(data_dir=str(folder))
    with database(settings) as db:
        noise = random.Random(1)
        shop = {name: [{"_id": n, "text": noise.randbytes(50)} for n in range(ROWS)] for name in COLLECTIONS}
        load(db, settings, Source("simulated, seed 1", iter([shop]), {}))
    for path in (folder / "mongodb" / "journal").iterdir():  # 100 MB each, most of it for later
        path.unlink() if "Prep" in path.name else os.truncate(path, 2**20)
    return folder


@pytest.fixture
def data(loaded, tmp_path) -> Iterator[Path]:
    """A copy of it, to be spoilt."""
    shutil.copytree(loaded, tmp_path / "data")
    yield tmp_path / "data"
    shutil.rmtree(tmp_path / "data")  # 300 MB each


def read(data: Path) -> set[int]:
    """How many documents each collection holds, read in this process."""
    with database(Settings(data_dir=str(data))) as db:
        return {len(list(db[name].find())) for name in COLLECTIONS}


def sentence(capsys, data: Path) -> str:
    """What a script says that stops over these files."""
    with pytest.raises(SystemExit) as stopped:
        read(data)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: The ")
    assert said.count("\n") == 1
    return said


def refusal(data: Path, **options) -> str:
    """What a script says that stops, in a process with these options of Popen (a user, a limit)."""
    command, env = [sys.executable, "-c", READ], environment(data, OPENBLAS_NUM_THREADS="1")
    done = subprocess.run(
        command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **options
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    return done.stderr


def limit(what: int, most: int) -> dict:
    """Options of Popen: the process, and mongod after it, may have no more."""
    return {"preexec_fn": lambda: resource.setrlimit(what, (most, most))}


# --- damage ---


def orders_file(folder: Path) -> Path:
    """The file of one of the loaded collections."""
    return max(folder.glob("collection-*.wt"), key=lambda path: path.stat().st_size)


def cut(name: str, size: int | None = None) -> Callable[[Path], None]:
    """Truncate files, to half of their size or to this one."""

    def spoil(folder: Path) -> None:
        for path in folder.glob(name):
            os.truncate(path, path.stat().st_size // 2 if size is None else size)

    return spoil


def garbage(name: str) -> Callable[[Path], None]:
    """Put random bytes in the place of what files hold."""

    def spoil(folder: Path) -> None:
        for path in folder.glob(name):
            path.write_bytes(random.Random(2).randbytes(max(100, path.stat().st_size)))

    return spoil


def gone(name: str) -> Callable[[Path], None]:
    """Remove files."""

    def spoil(folder: Path) -> None:
        for path in list(folder.glob(name)):
            path.unlink()

    return spoil


def spoil_pages(folder: Path) -> None:
    """Overwrite the middle of a collection."""
    path = orders_file(folder)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(random.Random(3).randbytes(8192))


def replace_by_folder(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


def replace_journal(folder: Path) -> None:
    shutil.rmtree(folder / "journal")
    (folder / "journal").write_text("a file")


def slow(*cases: object) -> list:
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.mark.parametrize(
    "spoil",
    [
        cut("WiredTiger.turtle", 0),
        lambda folder: os.truncate(orders_file(folder), 5000),  # shows once it is read
        *slow(
            *(spoil(name) for spoil in (cut, garbage, gone) for name in ("WiredTiger.wt", "WiredTigerHS.wt")),
            *(spoil(name) for spoil in (cut, garbage, gone) for name in ("_mdb_catalog.wt", "sizeStorer.wt")),
            *(spoil("WiredTiger.turtle") for spoil in (cut, garbage)),
            *(spoil("storage.bson") for spoil in (cut, garbage)),
            *(
                spoil("journal/*Log*")
                for spoil in (garbage, lambda name: cut(name, 100), lambda name: cut(name, 0))
            ),
            gone("WiredTiger"),
            replace_journal,
            replace_by_folder("mongod.lock"),
            replace_by_folder("storage.bson"),
            spoil_pages,
            lambda folder: orders_file(folder).unlink(),
            lambda folder: orders_file(folder).write_bytes(b"x" * 9000),
            cut("collection-*.wt"),
            cut("index-*.wt", 0),
            gone("*.wt"),
        ),
    ],
)
def test_damaged_files_are_called_damaged(data, spoil, capsys):
    spoil(data / "mongodb")
    said = sentence(capsys, data)
    assert f"The files of the embedded MongoDB in {data / 'mongodb'} are damaged: run step 1" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil",
    [
        garbage("mongod.lock"),
        gone("WiredTiger.lock"),
        garbage("WiredTiger.lock"),
        gone("storage.bson"),
        gone("WiredTiger.turtle"),
        gone("journal/*"),
        lambda folder: shutil.rmtree(folder / "journal"),
        lambda folder: shutil.rmtree(
            folder / "diagnostic.data", ignore_errors=True
        ),  # not there after a short run
        cut("WiredTiger"),
    ],
)
def test_what_mongod_mends_by_itself_is_no_damage(data, spoil):
    spoil(data / "mongodb")
    assert read(data) == {ROWS}


# --- other kinds ---


def checksum(data: bytes) -> int:
    """CRC32C before its last inversion, as WiredTiger's blocks have it."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state


def set_version(folder: Path, version: bytes) -> None:
    """Make the files those of another MongoDB: its version in them, the block's checksum kept by its last bytes,
    which nobody reads."""
    field = b"\x02version\0\x04\0\0\0"
    (path,) = [path for path in folder.glob("collection-*.wt") if field in path.read_bytes()]
    data = bytearray(path.read_bytes())
    place = data.index(field) + len(field)
    block = place // 4096 * 4096
    before = bytes(data[block : block + 4092])
    data[place : place + 3] = version
    change = checksum(before) ^ checksum(bytes(data[block : block + 4092]))
    data[block + 4092 : block + 4096] = change.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("version", ["7.9", *slow("4.4")])
def test_files_of_another_version_are_told_from_damaged_ones(data, version, capsys):
    set_version(data / "mongodb", version.encode())
    own = subprocess.run([find_mongod(), "--version"], capture_output=True, text=True, check=True).stdout
    said = sentence(capsys, data)
    assert f"is version {own.split()[2].removeprefix('v')} (" in said
    assert f"its files in {data / 'mongodb'} are of version {version}: " in said


def refusal_of_nobody(data: Path, processes: int = 0) -> str:
    """What a script says that stops, run by a user without rights who may have so many processes."""
    for parent in data.parents:
        if parent.owner() == "root" and not parent.stat().st_mode & 1:
            parent.chmod(0o711)  # the tests' own folders
    said = data.parent / "said"
    child = os.fork()  # not a new Python: this one may lie where only root can go
    if not child:
        code = 1
        try:
            with said.open("w") as file:
                os.dup2(file.fileno(), 2)
            sys.stderr = os.fdopen(2, "w")
            if processes:
                resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            read(data)
        except SystemExit as stopped:
            code = stopped.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if "no mongod on the PATH" in said.read_text():
        pytest.skip("mongod lies where only root can go")
    assert (code, said.read_text().count("\n")) == (2, 1), said.read_text()
    return said.read_text()


def give_away(data: Path) -> None:
    """Make the data folder a user's without rights."""
    for path in (data.parent, data, *data.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


@ROOT_ONLY
@pytest.mark.parametrize(
    "name",
    [
        ".",
        *slow("mongod.lock", "WiredTiger.turtle", "WiredTiger.wt", "storage.bson", "journal", "a collection"),
        *slow("the folder alone"),
    ],
)
def test_files_of_root_after_a_sudo_are_called_that(data, name):
    give_away(data)
    folder = data / "mongodb"
    if name == "the folder alone":
        os.chown(folder, 0, 0)
        folder.chmod(0o700)
    else:
        place = orders_file(folder) if name == "a collection" else folder / name
        for path in (place, *(place.rglob("*") if place.is_dir() else ())):
            os.chown(path, 0, 0)
            path.chmod(0o700 if path.is_dir() else 0o600)
    said = refusal_of_nobody(data)
    assert "some are another user's, as after a run with sudo, or read-only" in said
    assert f'make them yours (sudo chown -R "$USER" {folder})' in said


NO_MEMORY = "cannot get the memory or the processes that it needs"


@ROOT_ONLY
@pytest.mark.parametrize("most", [8, *slow(1, 2, 4, 12, 20, 25)])
def test_a_limit_on_processes_is_called_that(data, most):
    give_away(data)
    said = refusal_of_nobody(data, processes=most)
    assert NO_MEMORY in said or "cannot be started (Resource temporarily unavailable)" in said


@pytest.mark.slow
@pytest.mark.parametrize("most", [800, 1200, 2000, 2400])
def test_a_limit_on_memory_is_called_that(data, most):
    assert NO_MEMORY in refusal(data, **limit(resource.RLIMIT_AS, most * MB))


@pytest.mark.slow
@pytest.mark.parametrize("most", [20, 25, 30, 35, 40, 45])
def test_a_limit_on_open_files_is_called_that(data, most):
    assert "raise this shell's limit (ulimit -n 1024)" in refusal(data, **limit(resource.RLIMIT_NOFILE, most))


@pytest.mark.slow
@pytest.mark.parametrize("most", [100, 4096, 100_000, 1_000_000])
def test_a_limit_on_the_size_of_files_is_called_that(data, most):
    assert "lift this shell's limit (ulimit -f unlimited)" in refusal(data, **limit(resource.RLIMIT_FSIZE, most))


@pytest.fixture
def volume(data) -> Iterator[Path]:
    """The same data folder on a volume of its own, with its files."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=700m", "none", data / "mongodb"]
    elsewhere = data.parent / "elsewhere"
    shutil.copytree(data / "mongodb", elsewhere)
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("these tests may not mount a volume")
    shutil.copytree(elsewhere, data / "mongodb", dirs_exist_ok=True)
    yield data
    subprocess.run(["umount", "-l", data / "mongodb"], check=True)


@pytest.mark.slow
def test_a_full_disk_is_called_that(volume, capsys):
    with (volume / "mongodb" / "filler").open("wb") as filler:
        filler.write(bytes(shutil.disk_usage(volume / "mongodb").free))
    with pytest.raises(SystemExit), database(Settings(data_dir=str(volume))) as db:
        for n in range(100):
            db["more"].insert_many([{"text": random.Random(n).randbytes(1_000_000)} for _ in range(10)])
    assert "has no room left for its files in" in capsys.readouterr().err


@pytest.mark.slow
def test_a_volume_that_is_read_only_is_called_that(volume, capsys):
    subprocess.run(["mount", "-o", "remount,ro", volume / "mongodb"], check=True)
    assert "or read-only" in sentence(capsys, volume)


@pytest.mark.slow
def test_a_mongod_that_is_killed_in_the_middle_is_called_that(data, capsys):
    with pytest.raises(SystemExit), database(Settings(data_dir=str(data))) as db:
        os.kill(db.command("serverStatus")["pid"], signal.SIGKILL)
        list(db["orders"].find())
    assert "The embedded MongoDB was killed from outside, as the system does" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        (
            "/bin/mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file",
            127,
            ") needs libcurl.so.4, which this computer lacks: install the package that has it",
        ),
        (
            '{"s":"I","msg":"x"}\n{"s":"E","msg":"Why","attr":{"error":"nobody knows"}}\n{"s":"F","msg":"y"}',
            3,
            ") does not run (exit code 3: Why: nobody knows): run this again; where that does not help",
        ),
        ("something went wrong", 4, "(exit code 4: something went wrong)"),
        ("", 5, "(exit code 5: its log has no error)"),
    ],
)
def test_a_mongod_that_does_not_start_for_another_reason(data, says, code, words, monkeypatch, capsys):
    """Another program stands in its place on the PATH."""
    program = data / "bin" / "mongod"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert words in sentence(capsys, data)
