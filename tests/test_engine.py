"""pulse/engine.py: DuckDB's share of memory, and more where a query takes it."""

from datetime import datetime
from zoneinfo import ZoneInfo

import duckdb
import pytest

from pulse.engine import connect, count, execute, share_memory

NUMBERS = "SELECT len(list(range)) FROM range({})"  # a list cannot wait on disk


def share(con: duckdb.DuckDBPyConnection) -> str:
    """The share of memory that is set, in DuckDB's words."""
    return con.execute("SELECT current_setting('memory_limit')").fetchall()[0][0]


def test_the_share_grows_with_the_rows(tmp_path):
    with connect(tmp_path, ZoneInfo("UTC")) as con:
        assert share(con) == "123.9 MiB"  # 130 MB
        share_memory(con, 1_000)
        assert share(con) == "123.9 MiB"
        share_memory(con, 3_000_000)
        assert share(con) == "314.7 MiB"  # 330 MB


def test_a_query_that_takes_more_gets_more(tmp_path):
    with connect(tmp_path, ZoneInfo("UTC")) as con:
        con.execute("SET memory_limit = '10MB'")
        with pytest.raises(duckdb.OutOfMemoryException):
            con.execute(NUMBERS.format(3_000_000))
        assert count(con, NUMBERS.format(1_000)) == 1_000
        assert share(con) == "9.5 MiB"
        assert count(con, NUMBERS.format(3_000_000)) == 3_000_000
        assert share(con) != "9.5 MiB"


def test_times_without_an_offset_are_of_the_zone(tmp_path):
    with connect(tmp_path, ZoneInfo("America/New_York")) as con:
        query = "SELECT '2025-01-01 12:00'::TIMESTAMPTZ AT TIME ZONE 'UTC'"
        assert execute(con, query).fetchall() == [(datetime(2025, 1, 1, 17),)]
