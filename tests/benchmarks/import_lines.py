"""How long an import of order lines takes, and how much memory, beside the plainest way in the same run.

    python tests/benchmarks/import_lines.py [LINES]

The plainest way: pandas reads the file with its dates, PyMongo inserts the finished orders. Both write
to one mongod.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pymongo import MongoClient

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import common  # noqa: E402

MEASURED = """
import re, runpy, sys, time
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv.pop(0))
import common, duckdb, faker, numpy, openpyxl, pandas, tqdm  # the imports are not what is measured
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


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = Path(tempfile.mkdtemp())
    file = folder / "lines.csv"
    write_lines(file, n)
    common.DATA_DIR = folder
    ratios = []
    with common.embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
        for turn in range(5):
            script = ROOT / "1_data_generation.py"
            command = [sys.executable, "-c", MEASURED, ROOT, script, "--import", file, "--dates", "month-first"]
            env = os.environ | {"MONGO_URI": uri, "MONGO_DB": "ours", "DATA_DIR": str(folder)}
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            ours, memory = map(float, done.stdout.split()[-2:])

            orders = list(client["ours"].orders.find())
            start = time.perf_counter()
            pd.read_csv(file, dtype={"CustomerID": str}, parse_dates=["InvoiceDate"], date_format="%m/%d/%Y %H:%M")
            read = time.perf_counter() - start
            client["plain"].orders.drop()
            start = time.perf_counter()
            client["plain"].orders.insert_many(orders, ordered=False)
            insert = time.perf_counter() - start
            ratios.append(ours / (read + insert))
            print(
                f"run {turn + 1}: {n:,} lines, {len(orders):,} orders: {ours:.1f} s and {memory:.0f} MB; pandas "
                f"reads in {read:.1f} s, PyMongo inserts in {insert:.1f} s: {ratios[-1]:.2f} times"
            )
    print(f"median of {len(ratios)} runs: {np.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
