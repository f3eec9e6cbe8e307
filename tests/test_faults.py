"""Nothing lost: processes killed at random moments, loads that overlap a reading, a full disk. No mocks.

docs/Faults.md says how often each was tried.
"""

import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from conftest import SCRIPTS, Interruption, environment, run
from pymongo import MongoClient
from pymongo.database import Database

from common import ROOT, Settings
from pulse.database import TRIES, database
from pulse.loads import (
    COLLECTIONS,
    RECORDS,
    STAGING,
    SWITCH,
    Source,
    active_collection,
    complete,
    consistent_read,
    create_staging,
    finish_switch,
    insert_blocks,
    load,
    refuse_foreign_collections,
)
from pulse.mongod import embedded_mongod
from pulse.scratch import PREFIX

GENERATE, ANALYSE, CHURN = SCRIPTS
KILLS = 8  # of each kind
CUSTOMERS = "1000"
DAYS = ("2025-06-01", "2026-01-01")  # as_of of the CSV files that are there, and of those that are written
WRITING_S = 0.5  # from the first CSV file to the last, and a little more
LOADS = 10  # while another thread reads
SHOP_ROWS = 3000  # documents in each collection of shop()


def summary(folder: Path) -> tuple:
    """What lies in a data folder's embedded database, as the scripts see it."""
    with embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
        db = client[Settings.mongo_db]
        orders, customers = active_collection(db, "orders"), active_collection(db, "customers")
        cents = orders.aggregate([{"$group": {"_id": None, "sum": {"$sum": {"$round": ["$total", 2]}}}}])
        total = next(cents, {"sum": 0})["sum"]
        return orders.count_documents({}), customers.count_documents({}), round(total, 2)


def mongod_of(script: subprocess.Popen) -> int | None:
    """The process id of the mongod that a script has started: its grandchild."""
    with suppress(OSError):  # one of them has ended just now
        for child in Path(f"/proc/{script.pid}/task/{script.pid}/children").read_text().split():
            for grandchild in Path(f"/proc/{child}/task/{child}/children").read_text().split():
                if "mongod" in Path(f"/proc/{grandchild}/comm").read_text():
                    return int(grandchild)
    return None


def collection_files(folder: Path) -> set[str]:
    """The names of the files of an embedded database's collections."""
    return {path.name for path in (folder / "mongodb").glob("collection-*.wt")}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> tuple[Path, dict[str, tuple]]:
    """A data folder that holds shop 1, and what shops 1 and 2 look like."""
    shops = {}
    for seed in ("2", "1"):
        folder = tmp_path_factory.mktemp("faults")
        assert run(GENERATE, "--customers", CUSTOMERS, "--seed", seed, data_dir=folder).returncode == 0
        shops[seed] = summary(folder)
    return folder, shops


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["script", "mongod"])
def test_a_kill_at_any_moment_of_a_load_leaves_the_old_data_or_the_new(loaded, victim):
    """kill -9; afterwards the next script finds one of the two shops, whole, and no mongod is in its way."""
    folder, shops = loaded
    env = environment(folder)
    moment = random.Random(victim)
    before = "1" if summary(folder) == shops["1"] else "2"
    rest = None  # from its first new collection to its end
    for _ in range(1 + KILLS):
        other = {"1": "2", "2": "1"}[before]
        command = [sys.executable, ROOT / GENERATE, "--customers", CUSTOMERS, "--seed", other]
        pipe, old = subprocess.PIPE, collection_files(folder)
        with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as script:
            while collection_files(folder) <= old:
                assert script.poll() is None
                time.sleep(0.005)
            if rest is None:  # the first one is not killed
                began = time.monotonic()
                script.wait()
                rest = time.monotonic() - began
            time.sleep(rest * moment.random())
            target = script.pid if victim == "script" else mongod_of(script)
            if target and script.poll() is None:
                with suppress(ProcessLookupError):  # it has ended just now
                    os.kill(target, signal.SIGKILL)
            _, words = script.communicate(timeout=120)
        if victim == "mongod" and script.returncode:
            assert script.returncode == 2, words
            assert words.startswith("Error: The embedded MongoDB"), words
            assert words.count("\n") == 1
        seen = summary(folder)
        assert seen in (shops[before], shops[other]), (seen, shops)
        before = "1" if seen == shops["1"] else "2"
    done = run(GENERATE, "--customers", CUSTOMERS, "--seed", "1", data_dir=folder)
    assert done.returncode == 0, done.stderr
    assert summary(folder) == shops["1"]
    assert run(ANALYSE, data_dir=folder).returncode == 0
    with embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
        names = client[Settings.mongo_db].list_collection_names()
    assert not [name for name in names if name.startswith(STAGING)]


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_load_stopped_between_two_renames_is_read_whole_and_then_finished(db, settings, moved):
    """The only moments that are too short for a random kill."""
    for n in (1, 2):
        load(db, settings, Source(f"seed {n}", iter([block(n)]), {}))
    new, staging = block(3), {name: f"{STAGING}{name}_3" for name in COLLECTIONS}
    for name, place in staging.items():
        create_staging(db, name, place)
    counts = insert_blocks(db, settings, staging, iter([new]))
    complete(db, counts, staging, {"origin": "seed 3", "left_out": {}})
    assert db[RECORDS].find_one({"_id": SWITCH})["staging"] == staging
    for name in COLLECTIONS[:moved]:
        db[staging[name]].rename(name, dropTarget=True)
    for name in COLLECTIONS:
        assert list(active_collection(db, name).find()) == new[name]
    finish_switch(db)
    for name in COLLECTIONS:
        assert active_collection(db, name).name == name
        assert list(db[name].find()) == new[name]
    assert db[RECORDS].count_documents({}) == len(COLLECTIONS)
    refuse_foreign_collections(db)


def block(n: int) -> dict[str, list[dict]]:
    """One document for each collection."""
    return {name: [{"_id": n, "total": float(n)}] for name in COLLECTIONS}


# --- loads while orders are read ---


def load_shop(db: Database, settings: Settings, n: int) -> None:
    """Load documents that are all marked n."""
    shop = {name: [{"_id": i, "n": n} for i in range(SHOP_ROWS)] for name in COLLECTIONS}
    load(db, settings, Source(f"shop {n}", iter([shop]), {}))


def read_both(db: Database) -> tuple[list[int], list[int]]:
    """The marks of the customers, then of the orders, a batch of 500 at a time."""
    customers, orders = (
        [row["n"] for row in active_collection(db, name).find({}, batch_size=500)]
        for name in ("customers", "orders")
    )
    return customers, orders


# In one try, the reader looks for collections (listCollections) when it begins, before the customers, before the
# orders and at its end; and it asks for more (getMore) 6 times for the customers, then 6 times for the orders.
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([("getMore", 2)], id="among the customers"),
        pytest.param([("listCollections", 3)], id="between customers and orders"),
        pytest.param([("getMore", 8)], id="among the orders"),
        pytest.param(
            [("listCollections", 3), ("getMore", 14)], id="in the first try and the second", marks=pytest.mark.slow
        ),
    ],
)
def test_a_load_that_ends_while_orders_are_read_gives_the_new_one_whole(uri, db, settings, moments, capsys):
    """The last load must be read, with its customers and its orders, after one more try per load."""
    load_shop(db, settings, 0)
    loads = [
        Interruption(command, partial(load_shop, db, settings, n), nth)
        for n, (command, nth) in enumerate(moments, start=1)
    ]
    with MongoClient(uri, event_listeners=loads) as client:
        read = consistent_read(client["test"], settings, partial(read_both, client["test"]))
    assert read == ([len(moments)] * SHOP_ROWS, [len(moments)] * SHOP_ROWS)
    assert [each.left <= 0 for each in loads] == [True] * len(moments)
    assert capsys.readouterr().out.count("trying again") == len(moments)


@pytest.mark.slow
def test_a_load_that_ends_in_every_try_to_read_stops_the_script_with_a_sentence(settings, capsys):
    tries = []
    with pytest.raises(SystemExit) as ended, database(settings) as db:

        def read_slowly() -> None:
            load_shop(db, settings, len(tries))
            tries.append(read_both(db))

        consistent_read(db, settings, read_slowly)
    said = capsys.readouterr()
    assert (ended.value.code, len(tries), said.err.count("\n")) == (2, TRIES, 1)
    assert (
        "The orders were replaced during every try to read them: run this again when step 1 has ended." in said.err
    )
    assert said.out.count("the orders were replaced while they were read: trying again") == TRIES - 1


@pytest.mark.slow
def test_a_load_that_ends_while_orders_are_read_gives_the_old_or_the_new(db, settings, capsys):
    """Another thread loads again and again; each reading must hold one load's customers and orders."""
    load_shop(db, settings, 0)
    pause, has_read, ended = random.Random(5), threading.Event(), threading.Event()

    def keep_loading() -> None:
        try:
            for n in range(1, LOADS + 1):
                time.sleep(pause.uniform(0, 0.5))
                load_shop(db, settings, n)
                has_read.clear()  # a load ends in one try at most: TRIES are enough, however slow this computer is
                has_read.wait(timeout=60)
        finally:
            ended.set()

    loader = threading.Thread(target=keep_loading, daemon=True)
    loader.start()
    seen = set()
    while not ended.is_set():
        customers, orders = consistent_read(db, settings, partial(read_both, db))
        assert len(customers) == len(orders) == SHOP_ROWS
        assert len({*customers, *orders}) == 1
        seen.add(customers[0])
        has_read.set()
    loader.join()
    assert len(seen) > 3
    assert "trying again" in capsys.readouterr().out  # a load did end in a reading
    assert read_both(db) == ([LOADS] * SHOP_ROWS, [LOADS] * SHOP_ROWS)


# --- files half written, a full disk ---


def csvs(folder: Path) -> dict[str, bytes]:
    """What the CSV files hold."""
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def writing(state: dict[str, bytes]) -> bytes:
    """What runs.csv holds while these files are written."""
    return state["runs.csv"].replace(b",complete\n", b",writing\n")


def assert_old_or_new(found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """Each CSV is whole, and runs.csv tells whether all are of one run; returns the state it gives."""
    assert found.keys() == old.keys() == new.keys()
    for name in found.keys() - {"runs.csv"}:
        assert found[name] in (old[name], new[name]), name
    if found["runs.csv"] in (writing(old), writing(new)):
        return "writing"
    assert found in (old, new)
    return "complete"


@pytest.fixture(scope="module")
def analysed(tmp_path_factory) -> Iterator[tuple[str, Path, dict[str, bytes], dict[str, bytes]]]:
    """A shop's address, a folder with its files as of the first of DAYS, and the CSV files of each day."""
    place = tmp_path_factory.mktemp("analysed")
    folders = [place / as_of for as_of in DAYS]
    with embedded_mongod(place / "mongodb") as uri:
        assert run(GENERATE, "--customers", CUSTOMERS, data_dir=place, MONGO_URI=uri).returncode == 0
        for as_of, folder in zip(DAYS, folders, strict=True):
            done = run(ANALYSE, "--as-of", as_of, data_dir=folder, MONGO_URI=uri)
            assert done.returncode == 0, done.stderr
        yield uri, folders[0], *map(csvs, folders)


@pytest.fixture(params=["a limit", "a volume"])
def small_disk(request, tmp_path) -> Iterator[tuple[Path, Callable]]:
    """A data folder and what makes it full but for so many bytes: returns options for the script's process.

    The system refuses the process files beyond a size; and, where the tests may mount one, a real volume.
    """
    folder = tmp_path / "data"
    folder.mkdir()
    if request.param == "a limit":
        yield (
            folder,
            lambda size: {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))},
        )
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=500m", "none", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("these tests may not mount a volume")

    def fill(left: int) -> dict:
        with (folder / "filler").open("wb") as filler:
            filler.write(bytes(shutil.disk_usage(folder).free - left))
        return {}

    yield folder, fill
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of a process, volumes in memory")
@pytest.mark.parametrize(
    ("small_disk", "sizes"),
    [("a limit", (1_000, 100_000, 600_000)), ("a volume", (10_000, 100_000, 1_000_000))],
    indirect=["small_disk"],
)
def test_a_disk_that_is_full_leaves_each_csv_old_or_new(small_disk, sizes, analysed):
    """It is full before any file is written, where what exceeds memory is kept, or with a file half written."""
    folder, fill = small_disk
    uri, before, old, new = analysed
    shutil.copytree(before, folder, dirs_exist_ok=True)
    half_written = []
    for size in sizes:
        (folder / "filler").unlink(missing_ok=True)
        env = environment(folder, MONGO_URI=uri)
        command = [sys.executable, ROOT / ANALYSE]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, **fill(size))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        half_written.append(bool(re.search(r"\((File too large|No space left on device)\)", done.stderr)))
        assert half_written[-1] or f"The disk of {folder} is full: what exceeds memory" in done.stderr
        assert_old_or_new(csvs(folder), old, new)
        assert not [*folder.rglob("*.tmp"), *folder.glob(f"{PREFIX}*")]
    assert half_written == [False, False, True]
    (folder / "filler").unlink(missing_ok=True)
    assert run(ANALYSE, data_dir=folder, MONGO_URI=uri).returncode == 0
    assert csvs(folder) == new


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", ["a volume"], indirect=True)
def test_a_disk_that_is_full_leaves_the_loaded_orders(small_disk):
    """The embedded MongoDB itself finds no room; with some again, the earlier shop is there and can change."""
    folder, fill = small_disk
    assert run(GENERATE, "--customers", CUSTOMERS, "--seed", "1", data_dir=folder).returncode == 0
    before = summary(folder)
    for left in (5_000_000, 1_000_000):  # the load takes some 50 MB, and as much for its journal
        fill(left)
        done = run(GENERATE, "--customers", "40000", "--seed", "2", data_dir=folder)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.startswith("Error: The embedded MongoDB has no room left for its files in")
        (folder / "filler").unlink()
        assert summary(folder) == before
    assert run(GENERATE, "--customers", CUSTOMERS, "--seed", "2", data_dir=folder).returncode == 0
    assert summary(folder) != before


@pytest.mark.slow
def test_a_kill_at_any_moment_of_writing_leaves_each_csv_old_or_new(analysed, tmp_path):
    """Killed so long after the first file says that others follow; they take WRITING_S."""
    uri, before, *states = analysed
    folder = shutil.copytree(before, tmp_path / "data")
    env = environment(folder, MONGO_URI=uri)
    moment, unfinished = random.Random(4), 0
    for n in range(KILLS):
        old, new = states if n % 2 == 0 else reversed(states)
        command = [sys.executable, ROOT / ANALYSE, "--as-of", DAYS[(n + 1) % 2]]
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as script:
            while (folder / "runs.csv").read_bytes() != writing(new):
                assert script.poll() is None
                time.sleep(0.002)
            time.sleep(moment.uniform(0, WRITING_S))
            script.kill()
        unfinished += assert_old_or_new(csvs(folder), old, new) == "writing"
    assert run(ANALYSE, data_dir=folder, MONGO_URI=uri).returncode == 0
    assert csvs(folder) == states[1]
    assert not list(folder.glob(f"{PREFIX}*"))  # what the killed ones left
    assert unfinished > 0


@pytest.mark.slow
def test_two_scripts_at_once_on_the_embedded_database_both_work(tmp_path):
    assert run(GENERATE, "--customers", CUSTOMERS, data_dir=tmp_path).returncode == 0
    env = environment(tmp_path)
    both = [
        subprocess.Popen([sys.executable, ROOT / script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for script in (ANALYSE, CHURN)
    ]
    for script in both:
        _, errors = script.communicate(timeout=120)
        assert (script.returncode, errors) == (0, b"")
