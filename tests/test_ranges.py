"""pulse/ranges.py: more orders than fit into memory. Ranges of customers give the same files, on any workers."""

import math
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from bson import Decimal128, Int64, ObjectId
from conftest import ROOT, SCRIPTS, VARIABLES, environment, free_ports, read_all, run
from pymongo import MongoClient

from common import Settings, read_settings
from pulse.identity import identify
from pulse.mongod import embedded_mongod
from pulse.planning import order_fields
from pulse.ranges import (
    concat_by_customer,
    filters_between,
    map_ranges,
    run_in_parallel,
    run_on_worker,
    split_by_customer,
)

GENERATE, ANALYSE, CHURN = SCRIPTS
DAY = datetime(2024, 3, 5, 12)


def csvs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@pytest.fixture(scope="module")
def shop_uri(tmp_path_factory) -> Iterator[str]:
    """A mongod with a shop of 16,000 orders, and 400 more of guests."""
    folder = tmp_path_factory.mktemp("ranges")
    with embedded_mongod(folder / "mongodb") as uri:
        done = run(
            GENERATE, "--customers", "1000", "--erratic", data_dir=folder, MONGO_URI=uri, RANGE_ORDERS="5000"
        )
        assert done.returncode == 0, done.stderr
        with MongoClient(uri) as client:
            orders = client[Settings.mongo_db].orders
            assert "customer_id_1" in orders.index_information()  # what step 1 makes for so many
            guests = list(orders.find({}, {"customer_id": 0}).sort("_id").limit(400))
            orders.insert_many([guest | {"_id": f"G{n}"} for n, guest in enumerate(guests)])
        yield uri


# --- the ranges ---


@pytest.mark.slow
def test_every_order_is_in_one_range_and_a_customers_are_all_in_the_same(db, monkeypatch):
    kinds = [*range(40), *(f"c{n}" for n in range(40)), *(ObjectId() for _ in range(40)), Int64(2**40), 1.5]
    kinds += [Decimal128("7.25"), "", "NULL", "$x", datetime(2024, 1, 1), True, "\u00e9"]
    rows = [{"customer_id": who, "order_date": DAY, "total": n} for n, who in enumerate(kinds * 5)]
    rows += [{"customer_id": None, "order_date": DAY.replace(day=n + 1), "total": n} for n in range(28)]
    rows += [{"order_date": when, "total": 1} for when in (DAY, None, "?", DAY)] + [{"total": 1}] * 3
    random.Random(0).shuffle(rows)
    db.orders.insert_many([dict(row) for row in rows])
    whole, whole_audit, _ = read_all(db)
    for size in ("1", "30", "300"):
        monkeypatch.setenv("RANGE_ORDERS", size)
        settings = read_settings()
        ranges = split_by_customer(db.orders, order_fields(settings), settings.orders_per_range)
        assert len(ranges) > 1
        ids = [doc["_id"] for where in ranges for doc in db.orders.find(where)]
        assert sorted(ids) == sorted(db.orders.distinct("_id"))
        found = [[doc.get("customer_id") for doc in db.orders.find(where)] for where in ranges]
        owners = [{repr(who) for who in of if identify(str(who), "")} for of in found]
        assert sum(map(len, owners)) == len(set().union(*owners))
        parts, audit, _ = read_all(db)
        assert sorted(parts["amount"]) == sorted(whole["amount"])
        assert (audit.orders, audit.fingerprint) == (whole_audit.orders, whole_audit.fingerprint)
        pd.testing.assert_frame_equal(audit.excluded, whole_audit.excluded)


def test_two_spellings_of_an_address_are_in_one_range(db):
    people = [f"{name}{n}@example.com" for n in range(50) for name in ("ann", "ANN", " Ann")]
    guests = ["0", "null", "-", None]
    db.orders.insert_many(
        [{"customer_id": who, "order_date": DAY} for who in (*people, *guests) for _ in range(3)]
    )
    ranges = split_by_customer(db.orders, order_fields(read_settings()), 30, addresses=True)
    assert len(ranges) > 4
    found = [[doc["customer_id"] for doc in db.orders.find(where)] for where in ranges]
    assert sum(map(len, found)) == 3 * (len(people) + len(guests))
    owners = [{who.strip().lower() for who in of if who and "@" in who} for of in found]
    assert sum(map(len, owners)) == 50


def test_few_orders_are_one_range(db):
    db.orders.insert_many([{"customer_id": n, "order_date": DAY, "total": 1.0} for n in range(1, 101)])
    fields = order_fields(read_settings())
    assert split_by_customer(db.orders, fields, 100) == [{}]
    assert len(split_by_customer(db.orders, fields, 50)) == 2
    assert split_by_customer(db.nothing, fields, 50) == [{}]


@pytest.mark.slow
def test_ranges_are_about_as_large_as_asked_for(shop_uri):
    """Few customers are in each, so the sizes differ; the largest is what memory must hold."""
    with MongoClient(shop_uri) as client:
        orders = client[Settings.mongo_db].orders
        sizes = [
            orders.count_documents(where) for where in split_by_customer(orders, order_fields(Settings()), 2000)
        ]
        total = orders.count_documents({})
    assert sum(sizes) == total
    assert len(sizes) in (
        math.ceil(total / 2000),
        math.ceil(total / 2000) + 1,
    )  # a range with both has two filters
    assert max(sizes) < 3000


def test_filters_take_up_where_the_one_before_ends(db):
    db.t.insert_many([{"x": x} for x in (1, 5, 5, 7, 9)] + [{}])
    filters = filters_between("$x", [5, 5, 7], [])
    assert [db.t.count_documents(where) for where in filters] == [4, 1, 1]  # no x is below every number
    only_some = filters_between("$x", [5], [{"$gt": ["$x", 1]}])
    assert [db.t.count_documents(where) for where in only_some] == [2, 2]
    assert [db.t.count_documents(where) for where in filters_between("$x", [], [])] == [6]


def test_the_tables_of_ranges_become_one_sorted_table():
    parts = [pd.DataFrame({"n": ns}, index=pd.Index(ids, name="customer_id", dtype="str"))
             for ids, ns in ((["c", "a"], [3, 1]), ([], []), (["b"], [2]))]  # fmt: skip
    table = concat_by_customer(parts, Settings())
    assert list(table.index) == ["a", "b", "c"]
    assert list(table["n"]) == [1, 2, 3]


def test_a_customer_in_two_ranges_gets_a_sentence(capsys):
    part = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["7", "8"], name="customer_id", dtype="str"))
    with pytest.raises(SystemExit) as stopped:
        concat_by_customer([part, part.loc[["8"]]], Settings(orders_collection="sales"))
    assert stopped.value.code == 2
    assert "A customer's id is written in two ways in sales" in capsys.readouterr().err


@pytest.mark.slow
def test_a_number_and_a_text_that_look_alike_are_no_customer_of_two_ranges(db, tmp_path, uri):
    rows = [{"customer_id": who, "order_date": DAY, "total": 1.0} for who in (*range(50), *map(str, range(50)))]
    db.orders.insert_many(rows)
    done = run(ANALYSE, data_dir=tmp_path, MONGO_URI=uri, MONGO_DB="test", RANGE_ORDERS="10")
    assert done.returncode == 2
    assert "A customer's id is written in two ways in orders" in done.stderr


# --- the same figures from any number of ranges ---


def test_ranges_add_up_to_the_same_sums(analysis, shop_uri, clean_environment, monkeypatch, tmp_path):
    """What script 2 reads, from all orders at once and from ranges."""
    found = []
    with MongoClient(shop_uri) as client:
        for size in ("1000000", "6000", "1500"):
            monkeypatch.setenv("RANGE_ORDERS", size)
            found.append(analysis.read_shop(client[Settings.mongo_db], read_settings(), tmp_path))
    whole, *parts = found
    for shop in parts:
        assert (shop.as_of, shop.audit.fingerprint) == (whole.as_of, whole.audit.fingerprint)
        for name, table in whole.sums.items():
            pd.testing.assert_frame_equal(shop.sums[name], table, rtol=0, atol=1e-6, obj=name)


def analyse(folder: Path, uri: str, **settings: str) -> tuple[dict[str, bytes], str]:
    """The CSV files of scripts 2 and 3, and what they printed."""
    folder.mkdir(exist_ok=True)
    printed = ""
    for script in (ANALYSE, CHURN):
        done = run(script, data_dir=folder, MONGO_URI=uri, **settings)
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    return csvs(folder), printed


@pytest.fixture(scope="module")
def whole(shop_uri, tmp_path_factory) -> dict[str, bytes]:
    """The CSV files, from all orders at once."""
    return analyse(tmp_path_factory.mktemp("whole"), shop_uri, RANGE_ORDERS="", WORKERS="")[0]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "workers"), [("1000", "1"), ("6000", ""), ("2000", "3")])
def test_ranges_give_the_same_files(shop_uri, whole, tmp_path, size, workers):
    found, _ = analyse(tmp_path, shop_uri, RANGE_ORDERS=size, WORKERS=workers)
    assert len(found) == 23
    assert found == whole


@pytest.mark.slow
def test_two_processes_share_the_embedded_server(tmp_path):
    assert run(GENERATE, "--customers", "300", data_dir=tmp_path).returncode == 0
    found = []
    for settings in ({}, {"RANGE_ORDERS": "1000", "WORKERS": "2"}):
        done = run(ANALYSE, data_dir=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
        found.append(csvs(tmp_path))
    assert len(found[0]) == 15
    assert found[0] == found[1]


# --- a Dask cluster ---


class Cluster:
    """A Dask scheduler and workers, each a process of its own that knows the mongod but not our code."""

    def __init__(self, folder: Path, mongo_uri: str) -> None:
        from distributed import Client

        (folder / "elsewhere").mkdir()
        self.folder, self.mongo_uri = folder / "elsewhere", mongo_uri
        self.workers: dict[str, subprocess.Popen] = {}
        (port,) = free_ports(1)
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", str(port))
        self.client = Client(self.address, timeout=60)

    def start(self, module: str, *args: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{module}", *args, "--no-dashboard"]
        foreign = {name: value for name, value in os.environ.items() if name not in (*VARIABLES, "PYTHONPATH")}
        with (self.folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, env=foreign | {"MONGO_URI": self.mongo_uri}
            )

    def add_worker(self, name: str) -> None:
        options = ("--nthreads", "1", "--no-nanny", "--name", name)
        self.workers[name] = self.start("worker", self.address, *options)
        while name not in self.addresses():
            assert self.workers[name].poll() is None, (self.folder / "dask.log").read_text()
            time.sleep(0.1)

    def addresses(self) -> dict[str, str]:
        """{name: address} of the workers that the scheduler knows."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return {worker["name"]: address for address, worker in workers.items()}

    def is_busy(self, name: str) -> bool:
        """Whether the worker has tasks to do right now."""
        return bool(self.client.processing().get(self.addresses().get(name, "")))

    def ask(self, question: Callable[[], object]) -> list:
        """What each worker answers; a function inside a function travels by value."""
        return list(self.client.run(question).values())

    def close(self) -> None:
        self.client.close()
        for process in (self.scheduler, *self.workers.values()):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(shop_uri, tmp_path) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="Dask is not here: pip install -r requirements-dev.txt brings it")
    cluster = Cluster(tmp_path, shop_uri)
    for name in ("first", "second", "third"):
        cluster.add_worker(name)
    yield cluster
    cluster.close()


def can_import_ours() -> Callable[[], bool]:
    def answer() -> bool:
        from importlib.util import find_spec

        return bool(find_spec("common") or find_spec("pulse"))

    return answer


def places_of_ours() -> Callable[[], set[str]]:
    def answer() -> set[str]:
        import sys

        names = [name for name in sys.modules if name == "common" or name.partition(".")[0] == "pulse"]
        return {str(sys.modules[name].__file__).partition("pulse.zip")[0] for name in names}

    return answer


@pytest.mark.slow
def test_a_dask_cluster_gives_the_same_files_though_a_worker_is_killed(shop_uri, whole, cluster, tmp_path):
    """The workers run in another folder, without PYTHONPATH: they get our code from the script."""
    assert cluster.ask(can_import_ours()) == [False] * 3
    data = tmp_path / "data"
    data.mkdir()
    for script, victim in ((ANALYSE, "first"), (CHURN, "second")):
        env = environment(data, MONGO_URI=shop_uri, RANGE_ORDERS="500", WORKERS=cluster.address)
        command = [sys.executable, ROOT / script]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            while running.poll() is None and not cluster.is_busy(victim):
                time.sleep(0.02)
            time.sleep(random.Random(victim).uniform(0, 0.5))
            assert running.poll() is None, running.stderr.read()
            cluster.workers[victim].kill()
            printed, error = running.communicate(timeout=300)
        assert running.returncode == 0, error
        assert b"Read" in printed
        assert victim not in cluster.addresses()
    assert csvs(data) == whole
    places = set().union(*cluster.ask(places_of_ours()))
    assert places
    assert not any(place.startswith(str(ROOT)) for place in places)
    cluster.add_worker("late")  # one that comes when the script has sent its code already
    assert cluster.ask(can_import_ours()) == [True] * 2


@pytest.mark.slow
def test_a_dask_cluster_forgets_the_code_of_an_earlier_version(shop_uri, whole, cluster, tmp_path):
    archive = tmp_path / "pulse.zip"
    with ZipFile(archive, "w") as package:
        for path in (ROOT / "common.py", *(ROOT / "pulse").glob("*.py")):
            text = path.read_text()
            if path.name == "orders.py":
                text += '\n\ndef read_range(db, reading, where):\n    raise RuntimeError("an earlier version")\n'
            package.writestr(str(path.relative_to(ROOT)), text)
    cluster.client.upload_file(str(archive))

    def use() -> bool:
        import pulse.orders

        return hasattr(pulse.orders, "read_range")

    assert cluster.ask(use) == [True] * 3
    found, _ = analyse(tmp_path / "data", shop_uri, RANGE_ORDERS="5000", WORKERS=cluster.address)
    assert found == whole


# --- what can go wrong ---


@pytest.mark.parametrize(
    ("address", "says"), [("", "no MONGO_URI"), ("mongodb://me:swordfish/9:%@host/?nosuch=1", "is not an address")]
)
def test_a_worker_says_what_is_wrong_with_its_address(clean_environment, monkeypatch, address, says):
    monkeypatch.setenv("MONGO_URI", address)
    with pytest.raises(RuntimeError, match=says) as raised:
        run_on_worker("", "test", lambda *_: None, {})
    assert "swordfish" not in repr((raised.value, raised.value.__context__, raised.value.__cause__))


def test_a_worker_uses_its_own_address_or_that_of_the_embedded_server(db, uri, monkeypatch):
    db.t.insert_one({"x": 1})
    assert run_on_worker("mongodb://nobody/", "test", lambda db, where: db.t.count_documents(where), {"x": 1}) == 1
    monkeypatch.setenv("MONGO_URI", "")
    assert run_on_worker(uri, "test", lambda db, where: db.t.count_documents(where), {"x": 2}) == 0


def test_without_workers_the_ranges_are_done_here_one_by_one(db, settings):
    seen = []

    def task(database, where: dict) -> int:
        seen.append((database is db, where["n"]))
        return where["n"] * 2

    assert list(map_ranges(task, db, settings, [{"n": 1}, {"n": 2}])) == [2, 4]
    assert seen == [(True, 1), (True, 2)]


@pytest.mark.parametrize("size", ["many", "0"])
def test_a_size_of_ranges_that_is_none_gets_a_sentence(db, monkeypatch, capsys, size):
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0})
    monkeypatch.setenv("RANGE_ORDERS", size)
    with pytest.raises(SystemExit) as stopped:
        read_all(db)
    assert stopped.value.code == 2
    assert f"RANGE_ORDERS: '{size}' is no whole number from 1 to" in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["0", "two", pytest.param("tcp://127.0.0.1:1", marks=pytest.mark.slow)])
def test_workers_that_cannot_be_get_a_sentence(workers, capsys):
    with pytest.raises(SystemExit) as stopped:
        list(run_in_parallel([(abs, -1)], workers))
    assert stopped.value.code == 2
    assert f"WORKERS={workers} cannot do the work" in capsys.readouterr().err


def test_who_needs_no_more_hears_no_warning():
    """As where the disk is full in the middle; what is still under way ends."""
    with warnings.catch_warnings(action="always", record=True) as heard:
        results = run_in_parallel([(time.sleep, 0.3)] * 8, "2")
        next(results)
        results.close()
    assert heard == []
