"""What the tests share: the scripts, run as a person runs them, and a real mongod."""

import atexit
import dataclasses
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import SystemRandom

import hypothesis
import pandas as pd
import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from common import ROOT, Settings, read_settings
from pulse.dashboard import CACHE, write_dashboard
from pulse.features import History, combine_histories, features, labelled_features, snapshots
from pulse.mongod import embedded_mongod
from pulse.orders import Audit, add_audits, add_revenue, read_range
from pulse.planning import Reading, plan_reading
from pulse.statuses import general_words
from pulse.terms import Form

# a shell that starts the tests in the background has them ignore Ctrl-C (nohup: the end of the terminal too), and
# so would the scripts that they start
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(getattr(signal, "SIGHUP", signal.SIGTERM), signal.SIG_DFL)

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)  # the same examples at any speed
hypothesis.settings.load_profile("steady")

SCRIPTS = ("1_data_generation.py", "2_data_analysis.py", "3_churn_model.py")
SHARED_LOG = ROOT.parent / "shared" / "data" / "cdnow_sample.csv"
CHOICES = tomllib.loads((ROOT / "tests" / "data" / "choices.toml").read_text(encoding="utf-8"))
VARIABLES = tuple(field.name.upper() for field in dataclasses.fields(Settings))
NO_SETTINGS = dict.fromkeys(VARIABLES, "") | {"WORKERS": "1"}  # starting processes takes seconds; goes before .env


# which tests use the fixtures shop, erratic and cdnow, which take a minute: one process runs them all
SHOPS = tuple(f"tests/test_{name}" for name in ("pipeline", "contract", "docs", "drivers", "model_card", "powerbi",
              "published", "reconcile", "sentences", "slicers", "text_fit", "what_if",
              "servers.py::test_a_server_gives_the_same_files"))  # fmt: skip
APART = ("tests/test_layouts", "tests/test_memory")  # share nothing and take long: any process takes the next
LONGEST = (*SHOPS, *(f"tests/test_{name}.py" for name in ("servers", "faults", "dashboard")), *APART)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: else one process works on alone in the end."""
    items.sort(key=lambda item: [not item.nodeid.startswith(name) for name in LONGEST])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """One process runs all tests of the SHOPS; else one runs a file's, but for those APART. (Groups by mark are
    no way: pytest 9.2 does not see those of pytest-xdist 3.8, which then shares out test by test.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(APART):
                return nodeid
            return "shops" if nodeid.startswith(SHOPS) else nodeid.partition("::")[0]

    return ByFile(config, log)


@cache
def dashboard_cache() -> Path:
    """What scripts 2 and 3 keep for their dashboard, made once: else each takes seconds for it in a new folder."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)  # scripts run as other users too
    with redirect_stdout(io.StringIO()):
        write_dashboard(folder)
    for path in (folder / CACHE).iterdir():
        path.chmod(0o644)
    return folder / CACHE


def environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """The environment of a script: these settings, and none of the developer's."""
    return os.environ | NO_SETTINGS | {"DATA_DIR": str(data_dir)} | variables


def run(script: str, *args: str, data_dir: Path, **variables: str) -> subprocess.CompletedProcess:
    """Run a script in a process of its own."""
    if script != SCRIPTS[0] and data_dir.is_dir() and not (data_dir / CACHE).exists():
        (data_dir / CACHE).symlink_to(dashboard_cache())
    command = [sys.executable, ROOT / script, *args]
    env = environment(data_dir, **variables)
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


def free_ports(n: int) -> list[int]:
    """Ports of this computer on which nobody listens, below those that the system gives to clients: who is killed
    finds its own free again."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < n:
            port = SystemRandom().randrange(10_000, 32_000)
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
        return found


def load_csv(path: Path) -> pd.DataFrame:
    """A CSV as written, ids as text."""
    return pd.read_csv(path, dtype={"customer_id": str})


def make_orders(*rows: tuple) -> pd.DataFrame:
    """Orders as read_range hands them out, from (customer_id, date, amount[, status])."""
    frame = pd.DataFrame(
        [(*row, "completed")[:4] for row in rows], columns=["customer_id", "order_date", "amount", "status"]
    )
    frame["order_date"] = pd.to_datetime(frame["order_date"], format="ISO8601")
    frame = frame.astype({"customer_id": "category", "status": "category"}).assign(finer=False)
    return add_revenue(frame, general_words().sold)


def read_all(
    db, as_of: pd.Timestamp | None = None, items: bool = False, keep_odd_dates: bool = False
) -> tuple[pd.DataFrame, Audit, Reading]:
    """All orders that the settings of the environment lead to, in one table, what they were, and the reading."""
    settings = read_settings()
    reading = plan_reading(db, settings, as_of, keep_odd_dates, items)
    tables, audits = zip(*(read_range(db, reading, where) for where in reading.ranges), strict=True)
    return pd.concat(tables, ignore_index=True), add_audits(list(audits), reading, settings), reading


class Interruption(CommandListener):
    """Does something just before a client sends a command of this name, once, the n-th time that it does."""

    def __init__(self, command: str, action: Callable[[], None], nth: int = 1) -> None:
        self.command, self.action, self.left = command, action, nth

    def started(self, event) -> None:
        if event.command_name == self.command:
            self.left -= 1
            if self.left == 0:
                self.action()

    def succeeded(self, event) -> None: ...

    def failed(self, event) -> None: ...


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
def uri(tmp_path_factory) -> Iterator[str]:
    """The address of a real mongod."""
    with embedded_mongod(tmp_path_factory.mktemp("mongod") / "mongodb") as address:
        yield address


@pytest.fixture
def clean_environment(monkeypatch, tmp_path) -> None:
    """No setting but DATA_DIR, which is tmp_path, and WORKERS."""
    for name, value in NO_SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


@pytest.fixture
def db(uri, clean_environment, monkeypatch):
    """An empty database on the real mongod, which the environment's settings lead to."""
    monkeypatch.setenv("MONGO_URI", uri)
    monkeypatch.setenv("MONGO_DB", "test")
    with MongoClient(uri) as client:
        yield client["test"]
        client.drop_database("test")


@pytest.fixture
def settings(db) -> Settings:
    """The settings that lead to `db`."""
    return read_settings()


# --- a simulated shop, for the churn model ---

CUTOFF, AS_OF = pd.Timestamp("2024-06-01"), pd.Timestamp("2025-01-01")
HORIZON = pd.Timedelta(days=90)


@pytest.fixture(scope="session")
def simulated(generation) -> pd.DataFrame:
    """The orders of a simulated shop before AS_OF, as read_range hands them out."""
    blocks = generation.simulate(800, pd.Timestamp("2023-01-01"), pd.Timestamp("2024-12-31"), seed=3)
    documents = [document for block in blocks for document in block["orders"]]
    return make_orders(*((d["customer_id"], d["order_date"], d["total"], d["status"]) for d in documents))


@pytest.fixture(scope="session")
def history(simulated) -> History:
    """What the simulated orders say at every cutoff."""
    return combine_histories([snapshots(simulated, AS_OF, HORIZON, 1.0)], Settings())


@pytest.fixture(scope="session")
def learning(churn, history) -> list[pd.DataFrame]:
    """The labelled features at each cutoff to learn from and be tested at."""
    cutoffs = churn.choose_cutoffs(history.first_order, AS_OF, HORIZON)
    return [labelled_features(history.snapshots, cutoff, HORIZON) for cutoff in cutoffs]


@pytest.fixture(scope="session")
def today(history) -> pd.DataFrame:
    """The features as of AS_OF."""
    return features(history.snapshots[AS_OF], AS_OF, HORIZON)


@pytest.fixture(scope="session")
def models(churn, learning) -> tuple:
    """Both models, fitted at all cutoffs but the last."""
    return churn.fit(pd.concat(learning[:-1]), Form())
