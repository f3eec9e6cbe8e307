"""DuckDB for an import: what exceeds its share of memory waits on disk.

The share grows with the rows, since orders are grouped in it, and with what they take.
"""

from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:  # slow to import, and a simulated shop does not need it
    from duckdb import DuckDBPyConnection

MEMORY_MB, MORE_MB = 130, 100  # the share, and for each million rows beyond the first
MOST_MEMORY = "60%"  # of the machine's


def connect(scratch: Path, zone: ZoneInfo) -> "DuckDBPyConnection":
    """A database in memory, and beyond it in `scratch`; times without an offset are of this zone."""
    import duckdb

    con = duckdb.connect(config={"memory_limit": f"{MEMORY_MB}MB", "threads": 2, "temp_directory": str(scratch)})
    con.execute(f"SET TimeZone = '{zone}'")
    return con


def share_memory(con: "DuckDBPyConnection", rows: int) -> None:
    """Set the share to what so many rows need."""
    con.execute(f"SET memory_limit = '{MEMORY_MB + MORE_MB * max(rows / 1e6 - 1, 0):.0f}MB'")


def execute(con: "DuckDBPyConnection", query: str) -> "DuckDBPyConnection":
    """Execute it; where the share is too small, as for many orders of a line each, with more."""
    from duckdb import OutOfMemoryException

    try:
        return con.execute(query)
    except OutOfMemoryException:
        con.execute(f"SET memory_limit = '{MOST_MEMORY}'")
        return con.execute(query)


def count(con: "DuckDBPyConnection", query: str) -> int:
    """The one number that the query gives."""
    return execute(con, query).fetchall()[0][0]
