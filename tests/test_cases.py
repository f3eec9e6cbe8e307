"""Files as shops export them (../shared/cases), through scripts 1 and 2: the figures that their README states.

One process and one mongod; script 2's tables are made and saved as its main does, without the figures.
"""

import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from conftest import load_csv

from common import ROOT, read_settings
from pulse.customer_months import FILE, merge_parts
from pulse.exports import manifest_row, save
from pulse.loads import consistent_read
from pulse.reconcile import reconcile

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")
GERMAN = (
    *("--columns", "order_id=Bestellnummer,order_date=Datum,customer_id=Kunde,amount=Betrag"),
    *("--dates", "day-first", "--decimal", ","),
)
ADDRESS = re.compile(r"@\w+\.")


@pytest.fixture
def load(generation, db, monkeypatch, capsys):
    """A function: load these cases with script 1; returns what it printed."""

    def run(names: str, *options: str) -> str:
        files = [str(CASES / name) for name in names.split()]
        monkeypatch.setattr("sys.argv", ["1_data_generation.py", "--import", *files, *options])
        generation.main()
        printed, errors = capsys.readouterr()
        assert errors == ""
        assert not ADDRESS.search(printed)
        return printed

    return run


@pytest.fixture
def analyse(analysis, db, tmp_path, capsys):
    """A function: what script 2 makes of what is loaded, {name: table as saved}; no address is in any."""

    def run() -> dict[str, pd.DataFrame]:
        settings = read_settings()
        read = partial(analysis.read_shop, db, settings, tmp_path)
        shop = consistent_read(db, settings, read)
        tables = analysis.analyse(shop)
        sums = shop.sums | {"customer_months": merge_parts(shop.months, tmp_path / FILE)}
        tables["data_quality"] = reconcile(tables, sums, shop.audit.excluded, shop.rejects)
        row = manifest_row("2_data_analysis.py", shop.as_of, shop.audit.orders, shop.audit.fingerprint)
        save(tmp_path, tables, {}, row)
        assert not ADDRESS.search(capsys.readouterr().out)
        files = sorted(tmp_path.glob("*.csv"))
        assert len(files) == 15
        assert [path.name for path in files if "@" in path.read_text(encoding="utf-8")] == []
        return {path.stem: load_csv(path) for path in files}

    return run


def sums(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """The figures of the README."""
    kpis = tables["monthly_kpis"].sum(numeric_only=True).round(2)
    return {
        "orders": int(kpis["orders"]),
        "gross": float(kpis["gross_revenue"]),
        "refunds": float(kpis["refunds"]),
        "net": float(kpis["net_revenue"]),
        "customers": len(tables["rfm_analysis"]),
        "guests": int(kpis["guest_orders"]),
        "of_guests": float(kpis["guest_revenue"]),
    }


def case(names: str, orders: int, gross: float, customers: int, *options: str, **others) -> object:
    """A row of the README; refunds are 0 unless `others` has them."""
    refunds = others.pop("refunds", 0.0)
    right = {"orders": orders, "gross": gross, "customers": customers, "refunds": refunds}
    right |= {"net": round(gross + refunds, 2)} | others
    return pytest.param(names, options, right, id=names.split(maxsplit=1)[0])


@pytest.mark.parametrize(
    ("names", "options", "right"),
    [
        case("shopify_orders_export.csv", 424, 19_823.77, 58, refunds=-695.24),
        case("online_retail_II.xlsx", 760, 34_168.85, 60, refunds=-2_043.95, guests=11),
        case("olist_payments.csv", 285, 38_580.60, 107),
        case("olist_items.csv", 285, 38_580.60, 107),
        case("woocommerce_orders.csv", 405, 26_013.00, 75, guests=114, of_guests=7_239.90),
        case("stripe_payments.csv", 201, 96_025.00, 0, refunds=-2_517.00),
        case("refund_rows.csv", 300, 15_981.05, 49, refunds=-313.29),
        case("ids_null.csv", 0, 5_281.23, 36, guests=53, of_guests=1_413.36),
        case("excel_sep_line.csv", 120, 562_322.00, 30, *GERMAN, "--thousands", "."),
        case("excel_euro_sign.csv", 120, 562_322.00, 30, *GERMAN, "--thousands", " "),
        case("excel_title_rows.xlsx", 120, 562_322.00, 0),
        case("status_prestashop_fr.csv", 157, 8_188.42, 0),
        case("status_bigcommerce.csv", 157, 8_188.42, 0),
        case("month_jan.csv month_feb.csv", 4, 100.00, 3),
        case("units_weight.csv", 200, 2_554.00, 0),
    ],
)
def test_a_case_gives_the_figures_of_the_readme(load, analyse, names, options, right):
    load(names, *options)
    found = sums(analyse())
    assert {name: found[name] for name, value in right.items() if value or name == "refunds"} == {
        name: value for name, value in right.items() if value or name == "refunds"
    }


# --- what else a row of the README says ---


def test_shopifys_units_are_those_of_sold_orders(load, analyse):
    printed = load("shopify_orders_export.csv")
    assert "Layout    Shopify orders\n" in printed
    assert "Noted     times have offsets, and months begin in UTC: set REPORT_TIMEZONE" in printed
    assert analyse()["revenue_drivers"]["units"].sum() == 1_221


def shopify_by_pandas(path: Path) -> tuple[pd.Series, pd.Series]:
    """By the stated rules: net revenue by month in New York, and orders by customer (an address)."""
    rows = pd.read_csv(path, dtype=str)
    orders = rows[rows["Financial Status"].notna()]  # an order's fields are on its first row alone
    orders = orders[~orders["Financial Status"].isin(["voided", "refunded"])]
    local = pd.to_datetime(orders["Created at"], utc=True).dt.tz_convert("America/New_York")
    net = orders["Total"].astype(float) - orders["Refunded Amount"].astype(float)
    by_month = net.groupby(local.dt.strftime("%Y-%m-01")).sum().round(2)
    return by_month, orders.groupby(orders["Email"].str.lower()).size()


def test_shopifys_months_and_customers_are_those_of_pandas(load, analyse, monkeypatch):
    monkeypatch.setenv("REPORT_TIMEZONE", "America/New_York")
    assert "months begin in UTC" not in load("shopify_orders_export.csv")
    tables = analyse()
    months, customers = shopify_by_pandas(CASES / "shopify_orders_export.csv")
    kpis = tables["monthly_kpis"].set_index("month")["net_revenue"]
    assert len(months) == 24
    assert kpis[kpis != 0].to_dict() == months.to_dict()
    assert sorted(tables["rfm_analysis"]["frequency"]) == sorted(customers)
    assert tables["rfm_analysis"]["customer_id"].str.fullmatch("[0-9a-f]{16}").all()


def test_customers_have_the_same_hash_in_a_later_load(load, db):
    load("shopify_orders_export.csv")
    first = sorted(doc["_id"] for doc in db["customers"].find())
    load("shopify_orders_export.csv")
    assert sorted(doc["_id"] for doc in db["customers"].find()) == first
    assert db["orders"].count_documents({"customer_id": {"$regex": "@"}}) == 0
    assert db["customers"].count_documents({"email": {"$regex": "@"}}) == len(first)  # there, and nowhere else


def test_what_is_no_sale_is_counted_and_named(load):
    assert "adjustment, no sale" in load("online_retail_II.xlsx")


def test_all_sheets_of_online_retail_are_read(load, db):
    printed = load("online_retail_II.xlsx")
    assert "Layout    Online Retail II\n" in printed
    assert db["orders"].count_documents({"_id": {"$regex": "^C.*/refund$"}}) == 40
    assert db["orders"].count_documents({"_id": {"$regex": "^A"}}) == 0
    assert db["customers"].count_documents({"_id": {"$regex": r"\.0$"}}) == 0  # 12001.0 is 12001


def test_a_row_of_totals_is_a_reject(load):
    printed = load("excel_title_rows.xlsx")
    rejects = [line for line in printed.splitlines() if re.search(r"1 of 121 rows: .*\(row \d+\)", line)]
    assert len(rejects) == 1


def test_units_are_kilograms(load, analyse):
    load("units_weight.csv")
    drivers = analyse()["revenue_drivers"]
    assert drivers.groupby("category")["units"].sum().round(2).to_dict() == {"Cheese": 61.51, "Nuts": 66.19}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "ids_scientific.csv",
            "customer_id has a number such as 8.1E+12, whose last digits a spreadsheet has dropped",
        ),
        ("timezone_bst.csv", "row 2 (order_date ends with the abbreviation of a time zone: write an offset"),
    ],
)
def test_a_case_that_cannot_be_read_right_stops_and_the_earlier_load_stays(
    load, db, generation, monkeypatch, capsys, name, says
):
    load("refund_rows.csv")
    before = list(db["orders"].find(sort=[("_id", 1)]))
    monkeypatch.setattr("sys.argv", ["1_data_generation.py", "--import", str(CASES / name)])
    with pytest.raises(SystemExit) as stopped:
        generation.main()
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert name in message
    assert says in message
    assert message.count("\n") == 1
    assert list(db["orders"].find(sort=[("_id", 1)])) == before
    assert len(before) == 312  # 300 orders and 12 refunds


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*.csv")) if CASES.is_dir() else [])
def test_check_of_a_case_tells_nothing_of_a_customer(
    generation, clean_environment, tmp_path, monkeypatch, capsys, name
):
    options = [*GERMAN, "--thousands", "."] if name.startswith("excel") else []
    monkeypatch.setattr("sys.argv", ["1_data_generation.py", "--import", str(CASES / name), "--check", *options])
    try:
        generation.main()
    except SystemExit as stopped:
        assert stopped.code == 2
    printed, message = capsys.readouterr()
    assert not ADDRESS.search(printed + message)
    assert list(tmp_path.iterdir()) == []


# --- script 3 ---


@pytest.fixture
def forecast(churn, db, monkeypatch, tmp_path):
    """A function: load a case, and what script 3 makes of it: its tables, by name."""

    def run(load, name: str) -> dict[str, pd.DataFrame]:
        load(name, "--accept-rejects")
        monkeypatch.setattr("sys.argv", ["3_churn_model.py"])
        churn.main()
        return {path.stem: load_csv(path) for path in tmp_path.glob("*.csv")}

    return run


@pytest.mark.slow
def test_a_lone_early_order_moves_no_forecast(load, forecast):
    """A year's shop, alone and with one order of long before."""
    totals = []
    names = ("shop_of_one_year.csv", "lone_order_before_opening.csv", "lone_order_1970.csv")
    for name, customers in zip(names, (300, 301, 300), strict=True):
        tables = forecast(load, name)
        assert len(tables["churn_predictions"]) == customers
        coming = tables["revenue_forecast"].query("part == 'known customers'").iloc[-1]
        assert coming["low"] < coming["forecast"] < coming["high"]
        totals.append(coming["forecast"])
    assert totals[1:] == pytest.approx([totals[0]] * 2, rel=0.1)
