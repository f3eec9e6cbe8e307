"""More orders than fit into memory: ranges of customers give the same files, one by one or on many workers."""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from bson import Decimal128, Int64, ObjectId
from conftest import ROOT, SCRIPTS, read_orders, run
from pymongo import MongoClient

import common

GENERATE, ANALYSE, CHURN = SCRIPTS
DAY = datetime(2024, 3, 5, 12)


def csvs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@pytest.fixture(scope="module")
def shop_uri(tmp_path_factory) -> Iterator[str]:
    """A mongod with a shop of 16,000 orders, and 400 more of guests."""
    folder = tmp_path_factory.mktemp("ranges")
    with common.embedded_mongod(folder / "mongodb") as uri:
        done = run(
            GENERATE, "--customers", "1000", "--erratic", data_dir=folder, MONGO_URI=uri, RANGE_ORDERS="5000"
        )
        assert done.returncode == 0, done.stderr
        with MongoClient(uri) as client:
            orders = client[common.MONGO_DB].orders
            assert "customer_id_1" in orders.index_information()  # what step 1 makes for so many
            guests = list(orders.find({}, {"customer_id": 0}).sort("_id").limit(400))
            orders.insert_many([guest | {"_id": f"G{n}"} for n, guest in enumerate(guests)])
        yield uri


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


@pytest.mark.parametrize(("size", "workers"), [("150", ""), ("6000", ""), ("2000", "2")])
def test_ranges_give_the_same_files(shop_uri, whole, tmp_path, size, workers):
    found, _ = analyse(tmp_path, shop_uri, RANGE_ORDERS=size, WORKERS=workers)
    assert len(found) == 14
    assert found == whole


def test_two_processes_share_the_embedded_server(shop, tmp_path):
    folder, _ = shop
    shutil.copytree(folder / "mongodb", tmp_path / "mongodb")
    done = run(ANALYSE, data_dir=tmp_path, RANGE_ORDERS="30000", WORKERS="2")
    assert done.returncode == 0, done.stderr
    for name, content in csvs(tmp_path).items():
        assert name == "runs.csv" or content == (folder / name).read_bytes()


@pytest.fixture
def cluster(shop_uri, tmp_path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A Dask scheduler's address, and three workers, each a process of its own that knows the mongod."""
    pytest.importorskip("distributed", reason="Dask is not here: pip install -r requirements-dev.txt brings it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, log = f"tcp://127.0.0.1:{port}", (tmp_path / "dask.log").open("wb")

    def start(module: str, *args: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{module}", *args, "--no-dashboard"]
        env = os.environ | {"MONGO_URI": shop_uri}
        return subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=env)

    processes = [start("scheduler", "--host", "127.0.0.1", "--port", str(port))]
    processes += [start("worker", address, "--nthreads", "1", "--no-nanny") for _ in range(3)]
    yield address, processes[1:]
    for process in processes:
        process.kill()
        process.wait()


def test_a_dask_cluster_gives_the_same_files_though_a_worker_is_killed(shop_uri, whole, cluster, tmp_path):
    address, workers = cluster
    for script, killed in ((ANALYSE, 0), (CHURN, 1)):
        env = os.environ | {"MONGO_URI": shop_uri, "MONGO_DB": "", "DATA_DIR": str(tmp_path)}
        env |= {"RANGE_ORDERS": "200", "WORKERS": address}
        command = [sys.executable, ROOT / script]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            while running.poll() is None and not busy(workers[killed]):
                time.sleep(0.05)
            time.sleep(random.Random(killed).uniform(0.2, 1))
            assert running.poll() is None, running.stderr.read()
            workers[killed].kill()
            printed, error = running.communicate(timeout=120)
        assert running.returncode == 0, error
        assert b"Read" in printed
    assert csvs(tmp_path) == whole


@pytest.mark.parametrize(
    ("address", "says"), [("", "no MONGO_URI"), ("mongodb://me:swordfish/9:%@host/?nosuch=1", "is not an address")]
)
def test_a_worker_says_what_is_wrong_with_its_address(monkeypatch, address, says):
    monkeypatch.setattr(common, "MONGO_URI", address)
    with pytest.raises(RuntimeError, match=says) as raised:
        common.on_a_worker("", "test", lambda *_: None, {})
    assert "swordfish" not in repr((raised.value, raised.value.__context__, raised.value.__cause__))


def busy(worker: subprocess.Popen) -> bool:
    """Whether a worker has loaded PyMongo, and so has begun with a range."""
    return "pymongo" in Path(f"/proc/{worker.pid}/maps").read_text()


def test_every_order_is_in_one_range_and_a_customers_are_all_in_the_same(db, monkeypatch):
    kinds = [*range(40), *(f"c{n}" for n in range(40)), *(ObjectId() for _ in range(40)), Int64(2**40), 1.5]
    kinds += [Decimal128("7.25"), "", "$x", datetime(2024, 1, 1), True, "\u00e9"]
    rows = [{"customer_id": who, "order_date": DAY, "total": n} for n, who in enumerate(kinds * 5)]
    rows += [{"customer_id": None, "order_date": DAY.replace(day=n + 1), "total": n} for n in range(28)]
    rows += [{"order_date": when, "total": 1} for when in (DAY, None, "?", DAY)] + [{"total": 1}] * 3
    random.Random(0).shuffle(rows)
    db.orders.insert_many([dict(row) for row in rows])
    whole, *_ = read_orders(db)
    for size in ("1", "30", "300"):
        monkeypatch.setattr(common, "RANGE_ORDERS", size)
        ranges = common.customer_ranges(db.orders, common.order_fields())
        assert len(ranges) > 1
        ids = [doc["_id"] for where in ranges for doc in db.orders.find(where)]
        assert sorted(ids) == sorted(db.orders.distinct("_id"))
        owners = [{repr(doc["customer_id"]) for doc in db.orders.find(where) if doc.get("customer_id") is not None}
                  for where in ranges]  # fmt: skip
        assert sum(map(len, owners)) == len(set().union(*owners))
        parts, *_ = read_orders(db)
        assert sorted(parts["amount"]) == sorted(whole["amount"])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"RANGE_ORDERS": "many"}, "RANGE_ORDERS: 'many' is no whole number from 1 to"),
        ({"RANGE_ORDERS": "0"}, "RANGE_ORDERS: '0' is no whole number from 1 to"),
        ({"RANGE_ORDERS": "5000", "WORKERS": "0"}, "WORKERS=0 "),
        ({"RANGE_ORDERS": "5000", "WORKERS": "two"}, "WORKERS=two "),
        ({"RANGE_ORDERS": "5000", "WORKERS": "tcp://127.0.0.1:1"}, "WORKERS=tcp://127.0.0.1:1 "),
    ],
)
def test_settings_that_cannot_be_get_a_sentence(shop_uri, tmp_path, settings, says):
    done = run(ANALYSE, data_dir=tmp_path, MONGO_URI=shop_uri, **settings)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert says in done.stderr
    assert csvs(tmp_path) == {}


def test_a_number_and_a_text_that_look_alike_are_no_customer_of_two_ranges(db, tmp_path, uri):
    rows = [{"customer_id": who, "order_date": DAY, "total": 1.0} for who in (*range(50), *map(str, range(50)))]
    db.orders.insert_many(rows)
    done = run(ANALYSE, data_dir=tmp_path, MONGO_URI=uri, MONGO_DB="test", RANGE_ORDERS="10")
    assert done.returncode == 2
    assert re.search("Customer [0-9]+ has ids of two types in orders", done.stderr)
