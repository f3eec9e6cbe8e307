"""How long each stage takes, and how much memory, beside its floor and the plain way, all in one run.

    python tests/benchmarks/scale.py [ORDERS ...]      (default 50000 1000000 10000000)

Each stage is a process of its own on one mongod: seconds without imports, peak memory with them. The
floors are what the parts underneath take for the same: ready documents inserted, raw batches drained,
the same sums in Polars (pip install polars). The plain way is what tutorials do. Prints a table in
Markdown.
"""

import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from pymongo import MongoClient  # noqa: E402

from common import read_settings  # noqa: E402
from pulse.columns import ITEM  # noqa: E402
from pulse.database import database  # noqa: E402
from pulse.mongod import embedded_mongod  # noqa: E402
from pulse.orders import Audit, add_audits, read_range  # noqa: E402
from pulse.planning import Reading, plan_reading  # noqa: E402
from pulse.ranges import map_ranges  # noqa: E402

ORDERS_PER_CUSTOMER = 16.7  # of the simulated shop in three years
FIELDS = {"_id": 0, "customer_id": 1, "order_date": 1, "total": 1}
ITEMS = FIELDS | dict.fromkeys(("status", "currency", "channel", "country"), 1)
ITEMS |= {f"items.{name}": 1 for name in ITEM}
PLAIN_LIMIT = 1_000_000  # the plain way holds every document in memory: no further


def script(name: str, *arguments: str):
    """Run a script as a person does."""
    sys.argv = [name, *arguments]
    for module in ("duckdb", "faker", "openpyxl", "matplotlib.pyplot", "sklearn.ensemble", "sklearn.linear_model"):
        import_module(module)
    return lambda _: runpy.run_path(str(ROOT / name), run_name="__main__")


def insert_ready(n: int):
    """Ready documents, like the simulated ones, into one collection: at the most 200,000, from memory."""
    start = pd.Timestamp("2023-01-01")
    shop = import_module("1_data_generation").simulate(12_000, start, start + pd.DateOffset(years=3), 1)
    orders = [order for block in shop for order in block["orders"]][: min(n, 200_000)]

    def insert(db):
        for first in range(0, len(orders), 17_000):
            db.floor.insert_many(orders[first : first + 17_000], ordered=False)
        return len(orders)

    return insert


def drain(fields: dict):
    """These fields of every order, as raw batches that nobody decodes."""

    def all_of_it(db):
        return sum(len(batch) for batch in db.orders.find_raw_batches({}, fields))

    with database(read_settings()) as db:
        all_of_it(db)  # the first reading warms MongoDB's cache, for all that follow
    return all_of_it


def read(items: bool):
    """Planned and read as the scripts do, a range of customers at a time, with nothing done about the orders."""

    def all_of_it(db):
        settings = read_settings()
        reading = plan_reading(db, settings, None, items=items)
        audits = map_ranges(partial(range_audit, reading=reading), db, settings, reading.ranges)
        return add_audits(audits, reading, settings).orders

    return all_of_it


def range_audit(db, where: dict, reading: Reading) -> Audit:
    """What one range held; its orders are dropped."""
    return read_range(db, reading, where)[1]


def frame_of(db) -> pd.DataFrame:
    """The customers' orders, as read_range hands them out, in one frame."""
    os.environ["RANGE_ORDERS"] = "1000000000"
    reading = plan_reading(db, read_settings(), None)
    orders, _ = read_range(db, reading, reading.ranges[0])
    return orders.dropna(subset="customer_id")


def in_polars(_):
    """RFM sums by customer, and by cohort and month and by month, on a frame that is there."""
    import polars as pl

    with database(read_settings()) as db:
        frame = pl.from_pandas(frame_of(db)[["customer_id", "order_date", "amount", "completed"]])

    def sums(_):
        done = pl.col("completed")
        month = pl.col("order_date").dt.truncate("1mo").alias("month")
        known = frame.group_by("customer_id").agg(
            pl.col("order_date").filter(done).min().alias("first"), pl.col("order_date").filter(done).max(),
            done.sum().alias("n"), pl.col("amount").sum(),
        )  # fmt: skip
        by_month = frame.group_by("customer_id", month).agg(done.sum(), pl.col("amount").sum())
        cells = by_month.join(known.select("customer_id", pl.col("first").dt.truncate("1mo")), on="customer_id")
        cells.group_by("first", "month").agg(pl.len(), pl.col("amount").sum())
        frame.group_by(month).agg(pl.len(), pl.col("amount").sum())

    return sums


def in_pandas(_):
    """The same as script 2 does it, with what else monthly_kpis.csv and cohort_retention.csv hold."""
    analysis = import_module("2_data_analysis")
    with database(read_settings()) as db:
        orders = frame_of(db)

    def sums(_):
        known = analysis.add_months(orders)
        analysis.customer_sums(known)
        analysis.cohort_sums(known)
        analysis.month_sums(known)

    return sums


def plain_generation(n: int):
    """Faker in a loop, a document at a time, at the most 5,000 of them."""
    from faker import Faker

    def generate(db):
        fake, rng = Faker(), np.random.default_rng(0)
        orders = []
        for _ in range(min(n, 5_000)):
            line = {"product_id": fake.ean8(), "category": fake.word(), "quantity": 1, "unit_price": 9.5}
            when = fake.date_time_between("-3y")
            orders.append({"customer_id": int(rng.integers(5_000)), "order_date": when, "status": "completed",
                           "items": [line], "total": float(rng.random()), "channel": fake.word()})  # fmt: skip
        db.plain.insert_many(orders)
        return len(orders)

    return generate


def plain_reading(_):
    """list(find()) into a data frame."""
    return lambda db: pd.DataFrame(list(db.orders.find({}, FIELDS)))


def plain_rfm(_):
    """RFM with a function per customer (groupby.apply)."""
    with database(read_settings()) as db:
        frame = frame_of(db)
    frame, last = frame.astype({"customer_id": "str"}), frame["order_date"].max()

    def one(orders: pd.DataFrame) -> pd.Series:
        return pd.Series([(last - orders["order_date"].max()).days, len(orders), orders["amount"].sum()])

    return lambda _: frame.groupby("customer_id")[["order_date", "amount"]].apply(one)


def lifetimes_summary(_):
    """lifetimes.summary_data_from_transaction_data."""
    from lifetimes.utils import summary_data_from_transaction_data as summary

    with database(read_settings()) as db:
        frame = frame_of(db).astype({"customer_id": "str"})
    return lambda _: summary(frame, "customer_id", "order_date", monetary_value_col="amount")


def generate(n: int):
    """Script 1, with as many customers as give about n orders."""
    return script("1_data_generation.py", "--customers", str(round(n / ORDERS_PER_CUSTOMER)))


STAGES = {  # name: (what it is, the stage that it is compared with)
    "ready documents inserted": (insert_ready, None),
    "**script 1**: generate and load": (generate, "ready documents inserted"),
    "plain: Faker in a loop": (plain_generation, "ready documents inserted"),
    "raw batches drained": (lambda n: drain(FIELDS), None),
    "**reading**, as script 3 does": (lambda n: read(items=False), "raw batches drained"),
    "raw batches drained, with items": (lambda n: drain(ITEMS), None),
    "**reading**, with items, as script 2 does": (lambda n: read(items=True), "raw batches drained, with items"),
    "plain: list(find())": (plain_reading, "raw batches drained"),
    "sums in Polars": (in_polars, None),
    "**sums of script 2**": (in_pandas, "sums in Polars"),
    "plain: RFM by groupby.apply": (plain_rfm, "sums in Polars"),
    "lifetimes' summary": (lifetimes_summary, "sums in Polars"),
    "**script 2**, all of it": (lambda n: script("2_data_analysis.py"), None),
    "**script 3**, all of it": (lambda n: script("3_churn_model.py"), None),
}


def measure(stage: str, n: int) -> dict:
    """Run one stage in this process: seconds, rows where it did not do all, peak memory in MB."""
    action = STAGES[stage][0](n)
    with database(read_settings()) as db:
        start = time.perf_counter()
        rows = action(db)
        seconds = time.perf_counter() - start
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)
    return {"seconds": seconds, "rows": rows if isinstance(rows, int) else n, "MB": int(peak) // 1024}


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] in STAGES:
        result = measure(sys.argv[1], int(sys.argv[2]))
        print(json.dumps(result), file=sys.stderr)
        return
    head = ("orders", "stage", "seconds", "a second", "peak MB", "times its floor")
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for n in map(int, sys.argv[1:] or (50_000, 1_000_000, 10_000_000)):
        with tempfile.TemporaryDirectory() as folder, embedded_mongod(Path(folder, "mongodb")) as uri:
            env = os.environ | {"MONGO_URI": uri, "DATA_DIR": folder}
            done = {}
            for stage, (_, floor) in STAGES.items():
                if n > PLAIN_LIMIT and (stage.startswith(("plain", "lifetimes")) or "sums" in stage):
                    continue
                command = [sys.executable, __file__, stage, str(n)]
                run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
                if run.returncode:
                    print(f"| {n:,} | {stage} | {run.stderr.splitlines()[-1]} | | | |", flush=True)
                    continue
                result = json.loads(run.stderr.splitlines()[-1])
                if stage.startswith("**script 1"):
                    with MongoClient(uri) as client:
                        loaded = result["rows"] = client[read_settings().mongo_db].orders.count_documents({})
                if "drain" in stage or "reading" in stage:
                    result["rows"] = loaded
                done[stage] = result
                each = result["seconds"] / result["rows"]
                ratio = f"{each / (done[floor]['seconds'] / done[floor]['rows']):.2f}" if floor in done else ""
                cells = (
                    f"{n:,}",
                    stage,
                    f"{result['seconds']:.2f}",
                    f"{1 / each:,.0f}",
                    f"{result['MB']:,}",
                    ratio,
                )
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
