"""What the tests share: the scripts, run as a person runs them, and a real mongod."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pandas as pd
import pytest
from pymongo import MongoClient

import common

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)  # the same examples at any speed
hypothesis.settings.load_profile("steady")

ROOT = Path(common.__file__).parent
SCRIPTS = ("1_data_generation.py", "2_data_analysis.py", "3_churn_model.py")
SHARED_LOG = ROOT.parent / "shared" / "data" / "cdnow_sample.csv"


def run(script: str, *args: str, data_dir: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run a script in a process of its own, with these settings and none of the developer's."""
    settings = ("MONGO_URI", "MONGO_DB", "REPORT_TIMEZONE", "REPORT_CURRENCY", "RANGE_ORDERS", "WORKERS")
    blank = dict.fromkeys((*settings, *common.MAPPINGS), "")  # goes before .env too
    env = os.environ | blank | {"DATA_DIR": str(data_dir)} | variables
    command = [sys.executable, ROOT / script, *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)


def run_all(data_dir: Path, *args: str, **variables: str) -> dict[str, str]:
    """Run the three scripts (step 1 with args): {script: what it printed}."""
    printed = {}
    for script in SCRIPTS:
        done = run(script, *(args if script == SCRIPTS[0] else ()), data_dir=data_dir, **variables)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", f"{script} warns: {done.stderr}"
        printed[script] = done.stdout
    return printed


def load_csv(path: Path) -> pd.DataFrame:
    """A CSV as written, ids as text."""
    return pd.read_csv(path, dtype={"customer_id": str})


def make_orders(*rows: tuple) -> pd.DataFrame:
    """Orders as read_orders hands them out, from (customer_id, date, amount[, status])."""
    frame = pd.DataFrame(
        [(*row, "completed")[:4] for row in rows], columns=["customer_id", "order_date", "amount", "status"]
    )
    frame["order_date"] = pd.to_datetime(frame["order_date"], format="ISO8601")
    frame["completed"] = (frame["status"] == "completed") & (frame["amount"] >= 0)
    return frame.astype({"customer_id": "category", "status": "category"})


def read_orders(db, as_of: pd.Timestamp | None = None, items: bool = False) -> tuple:
    """All orders, the rest, as_of, and what run_of wants, as common.read_orders has them."""
    parts, rest, as_of, seen = common.read_orders(db, as_of, lambda orders, _: orders, items=items)
    return pd.concat(parts, ignore_index=True), rest, as_of, seen


@pytest.fixture(scope="session")
def generation():
    return import_module("1_data_generation")


@pytest.fixture(scope="session")
def analysis():
    return import_module("2_data_analysis")


@pytest.fixture(scope="session")
def churn():
    return import_module("3_churn_model")


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The default shop through all three scripts: the data folder, and what each script printed."""
    folder = tmp_path_factory.mktemp("shop")
    return folder, run_all(folder)


def find_log(folder: Path) -> Path | None:
    """The CDNOW purchase log as a CSV of orders: from beside the project, or put into `folder` from the
    package lifetimes; None without both."""
    if SHARED_LOG.exists():
        return SHARED_LOG
    package = find_spec("lifetimes")
    if not package:
        return None
    log = Path(package.origin).parent / "datasets" / "CDNOW_sample.txt"
    names = ["master_id", "customer_id", "order_date", "cds", "amount"]
    orders = pd.read_csv(log, sep=r"\s+", names=names, dtype=str)[["customer_id", "order_date", "amount"]]
    orders["order_date"] = pd.to_datetime(orders["order_date"], format="%Y%m%d").dt.strftime("%Y-%m-%d")
    orders.insert(0, "order_id", [f"S{number:05}" for number in range(1, len(orders) + 1)])
    path = folder / "cdnow_sample.csv"
    orders.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def erratic(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The erratic shop through all three scripts: the data folder, and what each script printed."""
    folder = tmp_path_factory.mktemp("erratic")
    return folder, run_all(folder, "--erratic")


@pytest.fixture(scope="session")
def cdnow_log(tmp_path_factory) -> Path:
    """The CDNOW purchase log as a CSV of orders."""
    path = find_log(tmp_path_factory.mktemp("log"))
    if not path:
        pytest.skip("the CDNOW log is not here: pip install -r requirements-dev.txt brings it")
    return path


@pytest.fixture(scope="session")
def cdnow(tmp_path_factory, cdnow_log) -> tuple[Path, dict[str, str]]:
    """The CDNOW log through all three scripts."""
    folder = tmp_path_factory.mktemp("cdnow")
    return folder, run_all(folder, "--import", str(cdnow_log))


@pytest.fixture(scope="session")
def uri(tmp_path_factory) -> str:
    """The address of a real mongod."""
    folder = tmp_path_factory.mktemp("mongod")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "DATA_DIR", folder)
        with common.embedded_mongod(folder / "mongodb") as address:
            yield address


@pytest.fixture
def db(uri, monkeypatch, tmp_path):
    """An empty database on the real mongod; common and the scripts point at it, and at tmp_path."""
    monkeypatch.setattr(common, "MONGO_URI", uri)
    monkeypatch.setattr(common, "MONGO_DB", "test")
    monkeypatch.setattr(common, "DATA_DIR", tmp_path)
    with MongoClient(uri) as client:
        yield client["test"]
        client.drop_database("test")
