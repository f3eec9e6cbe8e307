"""How long an import of order lines takes, and how much memory, beside the plainest way in the same run.

    python tests/benchmarks/import_lines.py [LINES]

The plainest way: pandas reads the file with its dates, PyMongo inserts the finished orders. Both write
to one mongod.
"""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from pymongo import MongoClient

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
from conftest import environment  # noqa: E402

from common import ROOT  # noqa: E402
from pulse.mongod import embedded_mongod  # noqa: E402

MEASURED = """
import re, runpy, sys, time
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv.pop(0))
import duckdb, faker, openpyxl, pulse.importing  # the imports are not what is measured
start = time.perf_counter()
runpy.run_path(sys.argv[0], run_name="__main__")
seconds = time.perf_counter() - start
peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1)
print(seconds, int(peak) / 1024)
"""


def write_lines(path: Path, n: int) -> None:
    """A file in Online Retail's layout: n lines of about n / 22 invoices."""
    rng = np.random.default_rng(0)
    n_orders = n // 22
    order = np.sort(rng.integers(0, n_orders, n))
    minutes = np.sort(rng.integers(0, 374 * 24 * 60, n_orders)).astype("timedelta64[m]")
    customer = np.where(rng.random(n_orders) < 0.25, "", rng.integers(12_000, 20_000, n_orders).astype(str))
    when = pd.DatetimeIndex((np.datetime64("2010-12-01T08:00") + minutes)[order])
    lines = {
        "InvoiceNo": 536_365 + order,
        "StockCode": rng.integers(10_000, 14_000, n),
        "Description": np.array(["WHITE HANGING HEART T-LIGHT HOLDER", "JUMBO BAG RED RETROSPOT"])[order % 2],
        "Quantity": rng.integers(1, 20, n),
        "InvoiceDate": when.strftime("%m/%d/%Y %H:%M"),
        "UnitPrice": rng.integers(50, 2_000, n) / 100,
        "CustomerID": customer[order],
        "Country": np.array(["United Kingdom", "France", "EIRE"])[order % 3],
    }
    pd.DataFrame(lines).to_csv(path, index=False)


def run_script(file: Path, folder: Path, uri: str) -> tuple[float, float]:
    """Script 1 on the file: seconds, and MB of memory at the most."""
    options = ["--import", file, "--dates", "month-first"]
    command = [sys.executable, "-c", MEASURED, ROOT, ROOT / "1_data_generation.py", *options]
    env = environment(folder, MONGO_URI=uri, MONGO_DB="ours")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    seconds, memory = map(float, done.stdout.split()[-2:])
    return seconds, memory


def run_plainly(file: Path, client: MongoClient, orders: list[dict]) -> tuple[float, float]:
    """The plainest way: seconds to read the file, and to insert the finished orders."""
    start = time.perf_counter()
    pd.read_csv(file, dtype={"CustomerID": str}, parse_dates=["InvoiceDate"], date_format="%m/%d/%Y %H:%M")
    read = time.perf_counter() - start
    client["plain"].orders.drop()
    start = time.perf_counter()
    client["plain"].orders.insert_many(orders, ordered=False)
    return read, time.perf_counter() - start


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    ratios = []
    with TemporaryDirectory() as place:
        folder = Path(place)
        file = folder / "lines.csv"
        write_lines(file, n)
        with embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
            for turn in range(5):
                ours, memory = run_script(file, folder, uri)
                orders = list(client["ours"].orders.find())
                read, insert = run_plainly(file, client, orders)
                ratios.append(ours / (read + insert))
                print(
                    f"run {turn + 1}: {n:,} lines, {len(orders):,} orders: {ours:.1f} s and {memory:.0f} MB; "
                    f"pandas reads in {read:.1f} s, PyMongo inserts in {insert:.1f} s: {ratios[-1]:.2f} times"
                )
    print(f"median of {len(ratios)} runs: {np.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
