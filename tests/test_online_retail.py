"""An export in Online Retail's layout, with its kinds of mess, against plain SQL of the stated rules."""

import csv
import random
import sqlite3
from datetime import datetime, timedelta

import pandas as pd
import pytest
from conftest import load_csv, run

HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
START = datetime(2010, 12, 1, 8)


def write_export(path, rng: random.Random) -> None:
    """About 2,000 lines: cancellations, guests, zero prices, adjustments, repeats, invoices over midnight."""
    rows = []
    for number in range(536_365, 536_965):
        when = START + timedelta(minutes=rng.randrange(200 * 24 * 60))
        customer = rng.choice(["", *range(12_346, 12_466)])
        country = rng.choice(["United Kingdom", "France", "EIRE"])
        invoice, sign = (f"C{number}", -1) if rng.random() < 0.15 else (str(number), 1)
        if rng.random() < 0.02:
            rows.append(
                (f"A{number}", "B", "Adjust bad debt", 1, when, rng.choice([-11062.06, 11062.06]), "", country)
            )
            continue
        for n in range(rng.randrange(1, 7)):
            minute = when + timedelta(minutes=97 * n) if number % 2 else when  # some run over midnight
            price = 0 if rng.random() < 0.03 else rng.randrange(42, 1500) / 100
            quantity = sign * rng.randrange(1, 25)
            code = rng.choice(["85123A", "71053", "POST", "22423"])
            rows.append((invoice, code, 'CREAM "HEART", PINK', quantity, minute, price, customer, country))
            if rng.random() < 0.03:
                rows.append(rows[-1])
        if rng.random() < 0.03:
            rows.append((str(number), "22423", "damaged", -5, when, 0, "", country))
    with path.open("w", newline="", encoding="latin-1") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for row in rows:
            when = row[4]
            writer.writerow(
                [*row[:4], f"{when.month}/{when.day}/{when.year} {when.hour}:{when.minute:02}", *row[5:]]
            )


def plain_sql(path) -> sqlite3.Connection:
    """The file's lines, its orders (neither C nor A) and what was given back (C); what is free counts as 0."""
    con = sqlite3.connect(":memory:")
    con.execute(f"CREATE TABLE lines ({', '.join(HEADER)}, day)")
    with path.open(newline="", encoding="latin-1") as file:
        for row in csv.DictReader(file):
            when = datetime.strptime(row["InvoiceDate"], "%m/%d/%Y %H:%M")
            values = [*row.values(), when.isoformat()]
            values[3], values[5] = int(values[3]), float(values[5])
            con.execute(f"INSERT INTO lines VALUES ({', '.join('?' * 9)})", values)
    con.execute(
        """CREATE TABLE orders AS
        SELECT InvoiceNo, CustomerID, round(sum(Quantity * UnitPrice), 2) AS amount, min(day) AS day,
            substr(min(day), 1, 7) || '-01' AS month FROM lines
        WHERE InvoiceNo NOT LIKE 'C%' AND InvoiceNo NOT LIKE 'A%' AND NOT (Quantity < 0 AND UnitPrice = 0)
        GROUP BY InvoiceNo"""
    )
    con.execute(
        """CREATE TABLE refunds AS
        SELECT InvoiceNo, round(sum(Quantity * UnitPrice), 2) AS amount, substr(min(day), 1, 7) || '-01' AS month
        FROM lines WHERE InvoiceNo LIKE 'C%' GROUP BY InvoiceNo"""
    )
    return con


@pytest.fixture(scope="module")
def retail(tmp_path_factory):
    """The CSVs of the imported export, the export's plain SQL, and what the import printed."""
    folder = tmp_path_factory.mktemp("retail")
    write_export(folder / "export.csv", random.Random(1))
    options = ("--dates", "month-first", "--encoding", "latin-1")
    imported = run("1_data_generation.py", "--import", str(folder / "export.csv"), *options, data_dir=folder)
    assert imported.returncode == 0, imported.stderr
    analysed = run("2_data_analysis.py", data_dir=folder)
    assert analysed.returncode == 0, analysed.stderr
    return folder, plain_sql(folder / "export.csv"), imported.stdout


def test_customers_orders_and_revenue_are_those_of_sql(retail):
    folder, con, _ = retail
    rfm = load_csv(folder / "rfm_analysis.csv")
    expected = con.execute(
        """SELECT CustomerID, count(*), substr(min(day), 1, 10), substr(max(day), 1, 10) FROM orders
        WHERE CustomerID <> '' GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    columns = ["customer_id", "frequency", "first_order_date", "last_order_date"]
    assert list(rfm[columns].itertuples(index=False, name=None)) == expected
    assert len(expected) > 80


def test_every_month_is_that_of_sql(retail):
    folder, con, _ = retail
    kpis = pd.read_csv(folder / "monthly_kpis.csv")
    expected = con.execute(
        """SELECT month, round(sum(amount), 2), count(*), count(DISTINCT nullif(CustomerID, '')),
            sum(CustomerID = '') FROM orders GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    columns = ["month", "gross_revenue", "orders", "active_customers", "guest_orders"]
    assert list(kpis[columns].itertuples(index=False, name=None)) == expected
    refunds = con.execute("SELECT month, round(sum(amount), 2) FROM refunds GROUP BY 1 ORDER BY 1").fetchall()
    assert list(kpis[["month", "refunds"]].itertuples(index=False, name=None)) == refunds


def test_every_cohort_cell_is_that_of_sql(retail):
    folder, con, _ = retail
    cohorts = pd.read_csv(folder / "cohort_retention.csv")
    expected = con.execute(
        """WITH cohort AS (SELECT CustomerID, min(month) AS first FROM orders WHERE CustomerID <> '' GROUP BY 1)
        SELECT first, month, count(DISTINCT CustomerID), count(*) FROM orders JOIN cohort USING (CustomerID)
        GROUP BY 1, 2 ORDER BY 1, 2"""
    ).fetchall()
    columns = ["cohort_month", "activity_month", "active_customers", "orders"]
    assert list(cohorts[cohorts["orders"] > 0][columns].itertuples(index=False, name=None)) == expected


def test_what_is_no_sale_is_counted(retail):
    folder, con, printed = retail
    ((adjustments, free, lost),) = con.execute(
        "SELECT sum(InvoiceNo LIKE 'A%'), sum(UnitPrice = 0), sum(UnitPrice = 0 AND Quantity < 0) FROM lines"
    ).fetchall()
    quality = pd.read_csv(folder / "data_quality.csv").set_index("check")["rows"]
    assert quality["import: adjustment, no sale"] == adjustments > 3
    assert quality["import: repeated line, kept"] > 20
    assert quality["import: nothing given back, no sale"] == lost > 0
    assert sum(quality.index.str.startswith("import: ")) == 3  # of no kind are lines that cost nothing
    assert free > 20
    assert f"{adjustments} of " in printed
    customers = set(load_csv(folder / "customers.csv")["customer_id"])
    assert customers == {
        row[0] for row in con.execute("SELECT DISTINCT CustomerID FROM lines WHERE CustomerID <> ''")
    }
