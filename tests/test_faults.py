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
from pathlib import Path

import pytest
from conftest import ROOT, SCRIPTS, run
from pymongo import MongoClient

import common

GENERATE, ANALYSE, CHURN = SCRIPTS
KILLS = 20
CUSTOMERS = "1000"


def summary(folder: Path) -> tuple:
    """What lies in a data folder's embedded database, as the scripts see it."""
    with common.embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
        db = client[common.MONGO_DB]
        orders, customers = db[common.current(db, "orders")], db[common.current(db, "customers")]
        cents = orders.aggregate([{"$group": {"_id": None, "sum": {"$sum": {"$round": ["$total", 2]}}}}])
        total = next(cents, {"sum": 0})["sum"]
        return orders.count_documents({}), customers.count_documents({}), round(total, 2)


def mongod_of(script: subprocess.Popen) -> int | None:
    """The process id of the mongod that a script has started: its grandchild."""
    for child in Path(f"/proc/{script.pid}/task/{script.pid}/children").read_text().split():
        for grandchild in Path(f"/proc/{child}/task/{child}/children").read_text().split():
            if "mongod" in Path(f"/proc/{grandchild}/comm").read_text():
                return int(grandchild)
    return None


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> tuple[Path, dict[str, tuple]]:
    """A data folder that holds shop 1, and what shops 1 and 2 look like."""
    shops = {}
    for seed in ("2", "1"):
        folder = tmp_path_factory.mktemp("faults")
        assert run(GENERATE, "--customers", CUSTOMERS, "--seed", seed, data_dir=folder).returncode == 0
        shops[seed] = summary(folder)
    return folder, shops


@pytest.mark.parametrize("victim", ["script", "mongod"])
def test_a_kill_at_any_moment_of_a_load_leaves_the_old_data_or_the_new(loaded, victim):
    """kill -9; afterwards the next script finds one of the two shops, whole, and no mongod is in its way."""
    folder, shops = loaded
    env = os.environ | {"MONGO_URI": "", "MONGO_DB": "", "DATA_DIR": str(folder)}
    moment = random.Random(victim)
    before = "1" if summary(folder) == shops["1"] else "2"
    started = time.monotonic()
    assert run(GENERATE, "--customers", CUSTOMERS, "--seed", before, data_dir=folder).returncode == 0
    whole = time.monotonic() - started
    for _ in range(KILLS):
        other = {"1": "2", "2": "1"}[before]
        command = [sys.executable, ROOT / GENERATE, "--customers", CUSTOMERS, "--seed", other]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as script:
            time.sleep(whole * moment.uniform(0.3, 1.0))
            target = script.pid if victim == "script" else mongod_of(script)
            if target and script.poll() is None:
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
    with common.embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
        names = client[common.MONGO_DB].list_collection_names()
    assert not [name for name in names if name.startswith(common.STAGING)]


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_load_stopped_between_two_renames_is_read_whole_and_then_mended(db, generation, moved, monkeypatch):
    """The only moments that are too short for a random kill."""
    for seed in (1, 2):
        generation.load(db, iter([block(seed)]), f"seed {seed}", {})
    new = block(3)
    with monkeypatch.context() as patch:
        patch.setattr(generation, "switch", lambda _: None)
        generation.load(db, iter([new]), "seed 3", {})
    staging = db[common.LOADS].find_one({"_id": common.SWITCHING})["staging"]
    for name in generation.COLLECTIONS[:moved]:
        db[staging[name]].rename(name, dropTarget=True)
    for name in generation.COLLECTIONS:
        assert list(db[common.current(db, name)].find()) == new[name]
    generation.switch(db)
    for name in generation.COLLECTIONS:
        assert common.current(db, name) == name
        assert list(db[name].find()) == new[name]
    assert db[common.LOADS].count_documents({}) == len(generation.COLLECTIONS)
    generation.refuse_foreign_collections(db)


def block(n: int) -> dict[str, list[dict]]:
    return {name: [{"_id": n, "total": float(n)}] for name in ("customers", "simulation_truth", "orders")}


def test_a_load_that_ends_while_orders_are_read_gives_the_old_or_the_new(db, generation, monkeypatch):
    """Another thread loads again and again; each reading must hold one load's customers and orders."""
    monkeypatch.setattr(common, "TRIES", 50)
    monkeypatch.setattr(common.time, "sleep", lambda _: None)

    def shop(n: int) -> dict[str, list[dict]]:
        names = ("customers", "simulation_truth", "orders")
        return {name: [{"_id": i, "n": n} for i in range(3000)] for name in names}

    generation.load(db, iter([shop(0)]), "0", {})
    ended = threading.Event()

    def keep_loading() -> None:
        for n in range(1, 20):
            generation.load(db, iter([shop(n)]), str(n), {})
        ended.set()

    loader = threading.Thread(target=keep_loading)
    loader.start()
    seen = set()
    while not ended.is_set():

        def read_both() -> set[int]:
            found = set()
            for name in ("customers", "orders"):
                rows = [row["n"] for row in db[common.current(db, name)].find({}, batch_size=500)]
                found |= set(rows)
                found.add(("rows", len(rows)))
            return found

        result = common.steadily(db, read_both)
        assert ("rows", 3000) in result, result
        assert len(result) == 2, result
        seen |= result
    loader.join()
    assert len(seen) > 3


def csvs(folder: Path) -> dict[str, bytes]:
    """What the CSV files hold."""
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def assert_old_or_new(found: dict[str, bytes], old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """Each CSV is whole, and runs.csv tells whether all are of one run; returns the state it gives."""
    assert found.keys() == old.keys() == new.keys()
    for name in found.keys() - {"runs.csv"}:
        assert found[name] in (old[name], new[name]), name
    if found["runs.csv"] in [each["runs.csv"].replace(b",complete\n", b",writing\n") for each in (old, new)]:
        return "writing"
    assert found in (old, new)
    return "complete"


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


@pytest.mark.skipif(os.name != "posix", reason="limits of a process, volumes in memory")
def test_a_disk_that_is_full_leaves_each_csv_old_or_new(small_disk, tmp_path):
    folder, fill = small_disk
    place = tmp_path / "elsewhere"
    assert run(GENERATE, "--customers", CUSTOMERS, data_dir=place).returncode == 0
    with common.embedded_mongod(place / "mongodb") as uri:
        states = []
        for data_dir, as_of in ((place, "2026-01-01"), (folder, "2025-06-01")):
            done = run(ANALYSE, "--as-of", as_of, data_dir=data_dir, MONGO_URI=uri)
            assert done.returncode == 0, done.stderr
            states.append(csvs(data_dir))
        new, old = states
        for size in (1_000, 10_000, 50_000, 100_000):
            (folder / "filler").unlink(missing_ok=True)
            env = os.environ | {"MONGO_URI": uri, "MONGO_DB": "", "DATA_DIR": str(folder)}
            command = [sys.executable, ROOT / ANALYSE]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, **fill(size))
            assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
            assert re.search(r"\((File too large|No space left on device)\)", done.stderr)
            assert_old_or_new(csvs(folder), old, new)
            assert not list(folder.rglob("*.tmp"))
        (folder / "filler").unlink(missing_ok=True)
        assert run(ANALYSE, data_dir=folder, MONGO_URI=uri).returncode == 0
        assert csvs(folder) == new


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
        assert done.stderr.startswith("Error: The embedded MongoDB")
        (folder / "filler").unlink()
        assert summary(folder) == before
    assert run(GENERATE, "--customers", CUSTOMERS, "--seed", "2", data_dir=folder).returncode == 0
    assert summary(folder) != before


def test_a_kill_at_any_moment_of_writing_leaves_each_csv_old_or_new(tmp_path):
    folder = tmp_path / "data"
    assert run(GENERATE, "--customers", CUSTOMERS, data_dir=folder).returncode == 0
    states = {}
    for as_of in ("2025-06-01", "2026-01-01"):
        started = time.monotonic()
        assert run(ANALYSE, "--as-of", as_of, data_dir=folder).returncode == 0
        whole = time.monotonic() - started
        states[as_of] = csvs(folder)
    moment, unfinished = random.Random(4), 0
    for n in range(KILLS):
        as_of = list(states)[n % 2]
        command = [sys.executable, ROOT / ANALYSE, "--as-of", as_of]
        env = os.environ | {"MONGO_URI": "", "MONGO_DB": "", "DATA_DIR": str(folder)}
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as script:
            time.sleep(whole * moment.uniform(0.6, 1.0))
            script.kill()
        old, new = states[list(states)[1 - n % 2]], states[as_of]
        unfinished += assert_old_or_new(csvs(folder), old, new) == "writing"
    assert run(ANALYSE, data_dir=folder).returncode == 0
    assert csvs(folder) == states["2026-01-01"]
    assert unfinished > 0


def test_two_scripts_at_once_on_the_embedded_database_both_work(tmp_path):
    assert run(GENERATE, "--customers", CUSTOMERS, data_dir=tmp_path).returncode == 0
    env = os.environ | {"MONGO_URI": "", "MONGO_DB": "", "DATA_DIR": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, ROOT / script], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for script in (ANALYSE, CHURN)
    ]
    for script in both:
        _, errors = script.communicate(timeout=120)
        assert (script.returncode, errors) == (0, b"")
