"""pulse/origin.py: what data/mongodb.origin says at any moment, and what happens to damaged files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SCRIPTS, run
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener

from common import Settings
from pulse.database import database, with_database
from pulse.loads import COLLECTIONS, Source, active_collection, load, load_record
from pulse.mongod import embedded_mongod
from pulse.origin import DamagedError, is_simulated, put_aside, write_origin

GENERATE, ANALYSE, CHURN = SCRIPTS
SIMULATED, IMPORTED = "simulated, seed 1", "imported from orders.csv"


@pytest.fixture
def settings(tmp_path) -> Iterator[Settings]:
    """Those of an embedded database."""
    yield Settings(data_dir=str(tmp_path / "data"))
    shutil.rmtree(tmp_path)  # each folder of a MongoDB takes 300 MB


def source(origin: str) -> Source:
    """A small load, whose orders have the largest file."""
    noise = {"customers": 10, "simulation_truth": 10, "orders": 1000}
    block = {name: [{"_id": n, "text": os.urandom(noise[name])} for n in range(100)] for name in COLLECTIONS}
    return Source(origin, iter([block]), {})


def load_embedded(settings: Settings, origin: str) -> None:
    """Load as step 1 does."""
    with_database(settings, lambda db: load(db, settings, source(origin)))


def origin(settings: Settings) -> str:
    """What the file says, or nothing."""
    path = settings.data_path / "mongodb.origin"
    return path.read_text() if path.exists() else ""


def damage(settings: Settings, orders: bool = False) -> dict[str, bytes]:
    """Truncate the files of all collections, which shows at the start, or of the orders alone, which shows once
    they are counted; returns what these files then hold."""
    paths = sorted((settings.data_path / "mongodb").glob("collection-*.wt"), key=lambda path: path.stat().st_size)
    damaged = paths[-1:] if orders else paths
    for path in damaged:
        os.truncate(path, 100)
    return {path.name: path.read_bytes() for path in damaged}


def held(folder: Path) -> dict[str, bytes]:
    """What the files of the collections hold."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("collection-*.wt"))}


# --- what the file says ---


class Witness(CommandListener):
    """Notes before and after each command what a script killed at that moment would leave: what the file says,
    and where the orders that count came from."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.db, self.settings, self.seen = db, settings, []

    def note(self, event) -> None:
        record = load_record(self.db, active_collection(self.db, "orders").name) or {}
        self.seen.append((origin(self.settings), record.get("origin")))

    started = succeeded = failed = note


def test_a_load_killed_at_any_moment_never_leaves_simulated_over_imported_orders(settings):
    with embedded_mongod(settings.data_path / "mongodb") as uri, MongoClient(uri) as other:
        witness = Witness(other["ecommerce_pulse"], settings)
        with MongoClient(uri, event_listeners=[witness]) as client:
            for each in (IMPORTED, SIMULATED, IMPORTED, SIMULATED):
                load(client["ecommerce_pulse"], settings, source(each))
                assert origin(settings) == f"{each.split()[0].removesuffix(',')}\n"
    assert len(witness.seen) > 200
    assert {each for _, each in witness.seen} == {None, IMPORTED, SIMULATED}
    assert ("simulated\n", IMPORTED) not in witness.seen
    assert ("", IMPORTED) not in witness.seen


def test_a_simulated_shop_beside_imported_orders_is_not_called_simulated(settings):
    load_embedded(settings, IMPORTED)
    beside = Settings(data_dir=settings.data_dir, mongo_db="another")
    load_embedded(beside, SIMULATED)
    assert origin(settings) == "imported\n"


@pytest.mark.slow
def test_a_simulated_shop_beside_another_collection_is_not_called_simulated(settings):
    with database(settings) as db:
        db["my_notes"].insert_one({})
        load(db, settings, source(SIMULATED))
    assert origin(settings) == "imported\n"


def test_a_load_on_a_server_writes_no_such_file(db, tmp_path):
    on_server = Settings(mongo_uri="mongodb://host/", data_dir=str(tmp_path / "data"))
    load(db, on_server, source(IMPORTED))
    load(db, on_server, source(SIMULATED))
    assert not on_server.data_path.exists()


@pytest.mark.parametrize("says", [b"imported\n", b"", b"\xff", b"simulated or not\n", None])
def test_only_the_word_simulated_says_so(settings, says):
    path = settings.data_path / "mongodb.origin"
    write_origin(settings, "simulated")
    assert is_simulated(settings)
    path.unlink()
    path.mkdir() if says is None else path.write_bytes(says)
    assert not is_simulated(settings)


# --- damaged files ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("in_the_middle", "then", "taken", "place"),
    [
        (True, IMPORTED, [], "mongodb.damaged-1"),
        (False, SIMULATED, ["1", "2"], "mongodb.damaged-3"),
    ],
)
def test_damaged_files_of_a_simulated_shop_are_put_aside(settings, in_the_middle, then, taken, place, capsys):
    """Whether the damage shows at the start, or in the middle of the load."""
    load_embedded(settings, SIMULATED)
    for n in taken:
        (settings.data_path / f"mongodb.damaged-{n}").symlink_to("nowhere")
    before = damage(settings, orders=in_the_middle)
    load_embedded(settings, then)
    aside = settings.data_path / place
    assert held(aside).items() >= before.items()
    assert f"the simulated shop's files were damaged, and are in {aside} now" in capsys.readouterr().out
    with database(settings) as db:
        assert db["orders"].count_documents({}) == 100
    assert origin(settings) == then.split()[0].removesuffix(",") + "\n"


@pytest.mark.parametrize("known", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_damaged_files_of_other_orders_stay_where_they_are(settings, known, capsys):
    load_embedded(settings, IMPORTED)
    if not known:  # an earlier version's load
        (settings.data_path / "mongodb.origin").unlink()
    before = damage(settings)
    with pytest.raises(SystemExit) as stopped:
        load_embedded(settings, SIMULATED)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith(
        f"{settings.data_path / 'mongodb'} are damaged: nothing was moved. Move that folder away, and load your "
        "orders again with step 1.\n"
    )
    assert held(settings.data_path / "mongodb").items() >= before.items()
    assert [path.name for path in settings.data_path.glob("mongodb.damaged*")] == []


def test_a_folder_that_another_run_has_put_in_place_meanwhile_is_not_moved(settings):
    load_embedded(settings, SIMULATED)
    put_aside(settings, DamagedError(settings.data_path.stat().st_ino))
    assert [path.name for path in settings.data_path.glob("mongodb*")] == ["mongodb", "mongodb.origin"]


@pytest.mark.slow
def test_files_that_cannot_be_moved_stay_and_the_sentence_says_why(settings, capsys):
    """They are a volume of their own."""
    folder = settings.data_path / "mongodb"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=700m", "none", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("these tests may not mount a volume")
    try:
        load_embedded(settings, SIMULATED)
        before = damage(settings)
        with pytest.raises(SystemExit):
            load_embedded(settings, SIMULATED)
        said = capsys.readouterr().err
        assert "are damaged, and cannot be moved (Device or resource busy): nothing was moved. Move" in said
        assert held(folder).items() >= before.items()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_the_three_scripts_over_damaged_files(tmp_path):
    """Scripts 2 and 3 say it and move nothing; script 1 simulates, or imports, anew."""
    simulate = [GENERATE, "--customers", "50"]
    assert run(*simulate, data_dir=tmp_path).returncode == 0
    damage(Settings(data_dir=str(tmp_path)))
    for script in (ANALYSE, CHURN):
        done = run(script, data_dir=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert done.stderr.endswith("are damaged: run step 1, which puts them aside and loads anew.\n")
        assert not (tmp_path / "mongodb.damaged-1").exists()
    done = run(*simulate, data_dir=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Noted     the simulated shop's files were damaged" in done.stdout
    assert run(ANALYSE, data_dir=tmp_path).returncode == 0
    orders = tmp_path / "orders.csv"
    orders.write_text("order_id,customer_id,order_date,amount\n1,a,2024-01-01,5\n2,b,2024-01-02,6\n")
    damage(Settings(data_dir=str(tmp_path)))
    assert run(GENERATE, "--import", str(orders), data_dir=tmp_path).returncode == 0
    assert (tmp_path / "mongodb.origin").read_text() == "imported\n"
    damage(Settings(data_dir=str(tmp_path)))
    done = run(*simulate, data_dir=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing was moved" in done.stderr
