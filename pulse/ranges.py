"""Sharing large shops out: ranges of customers, done here one by one, by processes or by a Dask cluster.

Everything the scripts compute of orders is a sum over customers, so what is summed by range adds up.
"""

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote_plus
from zipfile import ZipFile

import pandas as pd
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.collection import Collection
from pymongo.database import Database

from common import ROOT, Settings, fail, read_settings
from pulse.database import SERVER_TIMEOUT_MS, connect, primary_database, read_session
from pulse.dates import to
from pulse.identity import NOBODY, hide_addresses
from pulse.progress import bar
from pulse.start import typed

SAMPLE = 400  # orders per range, to find its bounds
MOST_PROCESSES = 4  # unless WORKERS says another number: each takes about 0.2 GB beside its orders

RangeTask = Callable[[Database, dict], Any]  # what is computed of one range: task(db, filter)


# --- the ranges ---


def split_by_customer(
    orders: Collection, fields: dict[str, str], orders_per_range: int, addresses: bool = False
) -> list[dict]:
    """Filters ($match) that share the orders out, about so many to each, a customer's all to one; where ids are
    `addresses`, two that differ by case are one customer's.

    The bounds come from a sample. Guests, who are nobody, are cut by date.
    """
    total = orders.estimated_document_count()
    n = math.ceil(total / orders_per_range)
    if n < 2:
        return [{}]
    raw, date = f"${fields['customer_id']}", f"${fields['order_date']}"
    text = {"$toLower": {"$trim": {"input": to("string", raw)}}}  # "" for null, and for no such field
    customer: str | dict = text if addresses else raw
    is_guest = {"$in": [text, list(NOBODY)]}
    sample = sample_bounds(orders, {"guest": is_guest, "at": {"$cond": [is_guest, date, customer]}}, n / total)
    if not sample:  # after a crash, MongoDB's estimate may be wrong
        return [{}]
    bounds = [sample[k * len(sample) // n] for k in range(1, n)]
    cuts = {kind: [row["at"] for row in bounds if row["guest"] is kind and row["at"] is not None]
            for kind in (False, True)}  # fmt: skip
    if not sample[-1]["guest"]:  # the sample is sorted, guests last
        return filters_between(customer, cuts[False], [])
    is_customer = {"$not": [is_guest]}
    return filters_between(customer, cuts[False], [is_customer]) + filters_between(date, cuts[True], [is_guest])


def sample_bounds(orders: Collection, key: dict, ranges_per_order: float) -> list[dict]:
    """A fair sample of SAMPLE orders per range: guest, at; sorted by both."""
    pipeline = [
        {"$match": {"$sampleRate": min(1.0, SAMPLE * ranges_per_order)}},  # $sample hardly sees the latest
        {"$project": {"_id": 0, **key}},
        {"$sort": {"guest": 1, "at": 1}},
    ]
    any_year: CodecOptions = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    with read_session(orders) as (chosen, session):
        found = chosen.with_options(any_year).aggregate(pipeline, session=session)
        return [{"at": None} | row for row in found]


def filters_between(field: str | dict, cuts: list, conditions: list[dict]) -> list[dict]:
    """Filters of the values up to the first cut, between two cuts, and beyond the last; `conditions` hold
    for all of them. Equal cuts count once."""
    edges = [None, *(cut for cut, _ in groupby(cuts)), None]
    filters = []
    for low, high in pairwise(edges):
        above = [] if low is None else [{"$gt": [field, {"$literal": low}]}]
        up_to = [] if high is None else [{"$lte": [field, {"$literal": high}]}]
        filters.append({"$expr": {"$and": [*conditions, *above, *up_to]}})
    return filters


def add_sums(parts: list[dict[str, pd.DataFrame]], settings: Settings) -> dict[str, pd.DataFrame]:
    """The tables of all ranges of customers as one of each, sorted: those by customer_id put together, others
    added up."""
    sums = {}
    for name, first in parts[0].items():
        tables = [part[name] for part in parts]
        if first.index.name == "customer_id":  # each customer is in one range
            sums[name] = concat_by_customer(tables, settings)
        else:
            sums[name] = pd.concat(tables).groupby(level=list(range(first.index.nlevels))).sum()
    return sums


def concat_by_customer(tables: list[pd.DataFrame], settings: Settings) -> pd.DataFrame:
    """The tables of all ranges, indexed by customer_id, as one, sorted."""
    table = pd.concat(tables)
    table = table.iloc[table.index.array.argsort()]  # an index would keep what it looks rows up with
    ids = table.index.array
    twice = ids[1:][ids[1:] == ids[:-1]]
    if len(twice):
        fail(
            f"A customer's id is written in two ways in {settings.orders_collection}, say as a number and as a "
            "text: make them alike, or set RANGE_ORDERS to more than there are orders."
        )
    return table


# --- who goes through them ---


def count_processes(settings: Settings) -> int:
    """How many processes of this computer share the ranges: as WORKERS says, else one for each core, up to
    MOST_PROCESSES; 1 where the workers are a Dask cluster's, each with memory of its own."""
    if settings.workers:
        return max(1, int(settings.workers)) if settings.workers.isdecimal() else 1
    from joblib import cpu_count

    return min(cpu_count(), MOST_PROCESSES)


def map_ranges(task: RangeTask, db: Database, settings: Settings, ranges: list[dict]) -> Iterator:
    """task(db, range) of each, in their order: here, or shared among processes or a Dask cluster's WORKERS through
    joblib.

    The task and what it returns are pickled: functions of a script travel by value, those of pulse by
    name, and workers get the package.
    """
    workers = settings.workers or str(count_processes(settings))
    if workers == "1" or len(ranges) == 1:
        shown = bar(ranges, "Ranges", "range") if len(ranges) > 1 else ranges
        return (task(db, where) for where in shown)
    address = embedded_address(db) if settings.embedded else ""
    return run_in_parallel([(run_on_worker, address, db.name, task, where) for where in ranges], workers)


def run_in_parallel(calls: list[tuple], workers: str) -> Iterator:
    """What each (function, *arguments) returns, from so many processes, or a Dask scheduler at this address."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor

    faults: tuple[type[Exception], ...] = (OSError, RuntimeError, ValueError)
    try:
        if workers.isdecimal():
            config = {"backend": "loky", "n_jobs": int(workers)}
        else:
            from dask.distributed import Client, KilledWorker

            faults = (*faults, KilledWorker)
            cluster = Client(workers, timeout=SERVER_TIMEOUT_MS / 1000)
            send_package(cluster)
            config = {"backend": "dask", "client": cluster}
        with parallel_config(**config):
            found = Parallel(batch_size=1, return_as="generator")(delayed(call[0])(*call[1:]) for call in calls)
            try:
                for result, _ in zip(found, bar(calls, "Ranges", "range"), strict=True):
                    yield result
            finally:
                with warnings.catch_warnings(action="ignore"):  # of calls that nobody waits for any more
                    found.close()
        if workers.isdecimal():
            get_reusable_executor().shutdown()  # idle processes would keep their memory
    except ImportError:
        fail(
            f"WORKERS={workers} is the address of a Dask scheduler, and Dask is missing: run "
            f"{typed(sys.executable, '-m', 'pip', 'install', 'distributed')}."
        )
    except faults as error:
        said = hide_addresses(str(error))
        fail(f"WORKERS={workers} cannot do the work ({said}): check the address, and what the workers report.")


def send_package(cluster: Any) -> None:
    """Give common and pulse to every worker of a Dask cluster, in place of what an earlier version sent."""

    def forget() -> None:  # inside a function, so that it travels by value
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] in ("common", "pulse")]:
            del sys.modules[name]

    cluster.run(forget)
    with TemporaryDirectory() as folder:
        archive = Path(folder, "pulse.zip")
        with ZipFile(archive, "w") as package:
            for path in (ROOT / "common.py", *(ROOT / "pulse").glob("*.py")):
                package.write(path, path.relative_to(ROOT))
        cluster.upload_file(str(archive))


def embedded_address(db: Database) -> str:
    """The address of the embedded server, for processes of this computer."""
    host, port = db.client.address or ("", None)
    return f"mongodb://{quote_plus(host)}" + (f":{port}" if port else "")


def run_on_worker(embedded: str, name: str, task: RangeTask, where: dict) -> Any:
    """The task, on the worker's own connection: to its own MONGO_URI, so that no password travels."""
    settings = read_settings()
    if not (settings.mongo_uri or embedded):
        raise RuntimeError("a worker has no MONGO_URI in its environment")
    with connect(settings.mongo_uri or embedded, settings) as client:
        return task(primary_database(client, name), where)
