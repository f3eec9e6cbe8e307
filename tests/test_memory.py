"""Memory grows with what is read: with long orders, large customers and long ids, never with their square."""

import random
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import ROOT, SCRIPTS, environment

MOST = 1_000  # MB
HEADER = "order_id,customer_id,order_date,quantity,unit_price,category\n"
MEASURED = """
import re, runpy, sys
from pathlib import Path
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("MB:", int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def usual_orders() -> Iterator[str]:
    """Orders of 300 customers over two years, one line each; half of them stop coming after the first."""
    days = random.Random(1)
    for order in range(3_000):
        year, month = (2023, 1) if order % 300 > 150 else (days.choice((2023, 2024)), days.randrange(1, 13))
        yield f"O{order},C{order % 300},{year}-{month:02}-{days.randrange(1, 29):02},1,20.00,Toys\n"


def long_order() -> Iterator[str]:
    return ("CASH,TILL,2024-06-01,1,5.00,Books\n" for _ in range(100_000))


def large_customer() -> Iterator[str]:
    return (f"T{n},TILL,2024-{n % 12 + 1:02}-{n // 12 % 28 + 1:02},1,5.00,Books\n" for n in range(600_000))


def many_orders() -> Iterator[str]:
    """A line each, which takes DuckDB the most memory to group."""
    return (f"T{n},D{n % 60_000},2024-{n % 12 + 1:02}-01,1,5.00,Books\n" for n in range(1_500_000))


def long_ids() -> Iterator[str]:
    return (f"T{n},{'X' * 10_000}{n % 500},2024-{n % 12 + 1:02}-01,1,5.00,Books\n" for n in range(2_000))


@pytest.mark.slow
@pytest.mark.parametrize("odd", [many_orders, large_customer, long_order, long_ids])  # the longest first
def test_what_is_large_stays_within_memory(tmp_path, odd):
    file = tmp_path / "orders.csv"
    with file.open("w") as text:
        text.writelines([HEADER, *usual_orders()])
        text.writelines(odd())
    env = environment(tmp_path, RANGE_ORDERS="600000")  # the large ones are read in ranges of customers
    for script in SCRIPTS:
        arguments = ["--import", file] if script == SCRIPTS[0] else []
        command = [sys.executable, "-c", MEASURED, ROOT / script, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        peak = int(done.stdout.rpartition("MB:")[2])
        print(script, peak)
        assert peak < MOST, script
