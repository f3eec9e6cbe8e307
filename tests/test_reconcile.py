"""pulse/reconcile.py: every total that disagrees with the orders that were read stops the script."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_orders

from pulse.columns import ITEMS
from pulse.customer_months import FILE, merge_parts, write_part
from pulse.customers import TEXTS
from pulse.orders import Audit
from pulse.reconcile import (
    BUYERS,
    FINER,
    GROSS,
    GUESTS,
    NET,
    NET_OF_BUYERS,
    NO_SALES,
    REFUNDS,
    REFUNDS_OF_NOBODY,
    Check,
    reconcile,
    require_agreement,
    status_sums,
    table_checks,
    total_sums,
)

AS_OF = pd.Timestamp("2024-03-01")
# a and b buy, a gets some back; c has only cancelled, d only a refund; two guests.
ROWS = (
    ("a", "2024-01-05", 10.01),
    ("a", "2024-02-05", 20.0, "shipped"),
    ("a", "2024-02-06", -5.0, "refunded"),
    ("b", "2024-02-07", 7.5),
    ("c", "2024-02-08", 9.0, "cancelled"),
    ("d", "2024-02-09", -2.0, "refunded"),
    (None, "2024-02-10", 3.0),
    (None, "2024-02-11", -1.0, "refunded"),
)
EXCLUDED = pd.DataFrame({"rows": [4], "amount": [12.5]}, index=pd.Index(["no readable total"], name="check"))


Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def shop(analysis, tmp_path_factory) -> tuple[Tables, Tables]:
    """The tables of script 2 and the sums they are made of."""
    return tables_of(analysis, make_orders(*ROWS), tmp_path_factory.mktemp("months"))


def tables_of(analysis, orders: pd.DataFrame, folder: Path) -> tuple[Tables, Tables]:
    """The tables of script 2 of these orders, and the sums they are made of."""
    nothing = pd.Series(index=orders.index, dtype="category")
    items = pd.Series([[]] * len(orders), dtype=pd.ArrowDtype(ITEMS))
    homes = pd.DataFrame({"country": [], "acquisition_channel": []}, pd.Index([], dtype="str"), dtype="category")
    sums = analysis.order_sums(orders.assign(country=nothing, channel=nothing, items=items), AS_OF, homes)
    write_part(folder, 0, sums.pop("customer_months"))
    nobody = pd.DataFrame(columns=["customer_id", "signup_date", *TEXTS]).astype({"signup_date": "datetime64[s]"})
    audit = Audit(0, 0, True, pd.Series(), pd.DataFrame(), {})
    tables = analysis.analyse(analysis.Shop(nobody, AS_OF, 2, sums, folder, audit, {}))
    return tables, sums | {"customer_months": merge_parts(folder, folder / FILE)}


def test_totals_of_four_customers_and_two_guests():
    found = {name: (n, round(amount, 2)) for name, n, amount in total_sums(make_orders(*ROWS)).itertuples()}
    assert found == {
        FINER: (0, 0.0),
        REFUNDS: (3, -8.0),
        NO_SALES: (0, 0.0),
        GUESTS: (2, 2.0),
        REFUNDS_OF_NOBODY: (1, -2.0),
        NET: (4, 32.51),
        GROSS: (4, 40.51),
        NET_OF_BUYERS: (3, 32.51),
        BUYERS: (2, 0.0),
    }


def test_statuses_are_counted_without_refunds():
    found = status_sums(make_orders(*ROWS))
    assert found.round(2).to_dict("index") == {
        "cancelled": {"rows": 1, "amount": 9.0, "completed": 0},
        "completed": {"rows": 3, "amount": 20.51, "completed": 3},
        "refunded": {"rows": 0, "amount": 0.0, "completed": 0},
        "shipped": {"rows": 1, "amount": 20.0, "completed": 1},
    }


def test_honest_tables_agree_and_every_row_is_accounted_for(shop, capsys):
    quality = reconcile(*shop, EXCLUDED, {"unreadable amount": 3})
    assert list(quality) == ["check", "rows", "amount", "status"]
    assert quality.fillna({"amount": -999}).values.tolist() == [
        ["import: unreadable amount", 3, -999.0, "noted"],
        ["no readable total", 4, 12.5, "left out"],
        ["status cancelled, amount 0 or more", 1, 9.0, "counted"],
        ["status completed, amount 0 or more", 3, 20.51, "counted"],
        ["status refunded, amount 0 or more", 0, 0.0, "counted"],
        ["status shipped, amount 0 or more", 1, 20.0, "counted"],
        [REFUNDS, 3, -8.0, "counted"],
        [GUESTS, 2, 2.0, "counted"],
        [REFUNDS_OF_NOBODY, 1, -2.0, "counted"],
        ["orders in monthly_kpis", 4, 32.51, "reconciled"],
        ["orders in cohort_retention", 3, 32.51, "reconciled"],
        ["orders in rfm_analysis", 3, 32.51, "reconciled"],
        ["gross revenue in revenue_drivers", 4, 40.51, "reconciled"],
        ["customers in monthly_kpis", 2, 0.0, "reconciled"],
        ["customers in cohort_retention", 2, 0.0, "reconciled"],
        ["months or cells of customer_months and guest_months", 2, -999.0, "reconciled"],
        ["months or cells of cohort_breakdown by acquisition_channel", 3, -999.0, "reconciled"],
        ["months or cells of cohort_breakdown by country", 3, -999.0, "reconciled"],
        ["months or cells of cohort_breakdown by first_category", 3, -999.0, "reconciled"],
        ["months or cells of cohort_breakdown by first_channel", 3, -999.0, "reconciled"],
        ["months or cells of segment_moves", 2, -999.0, "reconciled"],
        ["months or cells of segment_moves beside the month before", 1, -999.0, "reconciled"],
    ]
    said = "Checked   4 orders completed, net revenue 32.51: all tables agree\n"
    assert capsys.readouterr().out == said + "          counted as completed: the status completed, shipped\n"


@pytest.mark.parametrize(
    "tampered",
    [
        *("monthly_kpis orders", "monthly_kpis net_revenue", "monthly_kpis new_customers"),
        *("cohort_retention orders", "cohort_retention net_revenue", "cohort_retention cohort_size"),
        *("rfm_analysis frequency", "rfm_analysis monetary", "revenue_drivers revenue"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_tampered_total_stops_the_run(shop, tampered, sign, capsys):
    """One figure of one table is a cent, or one, off: nothing comes back that could be saved."""
    tables, sums = shop
    name, column = tampered.split()
    table = tables[name].reset_index(drop=True)
    table.loc[0, column] += sign * (0.01 if table[column].dtype == float else 1)
    with pytest.raises(SystemExit) as stopped:
        reconcile(tables | {name: table}, sums, EXCLUDED, {})
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert "nothing was saved" in printed.err
    assert "all tables agree" not in printed.out


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("guest_months", "orders gross_revenue refunds net_revenue"),
        ("cohort_breakdown", "cohort_size active_customers orders net_revenue"),
        ("segment_moves", "customers net_revenue"),
        ("monthly_kpis", "gross_revenue refunds active_customers"),
        ("customer_months", "orders gross_revenue refunds net_revenue active_customers"),
    ],
)
def test_any_cell_that_is_off_stops_the_run(shop, name, columns, capsys):
    """A cent, or one, more in the first cell, in the last, or in one between."""
    tables, sums = shop
    for column in columns.split():
        last = len((tables | sums)[name]) - 1
        for row in {0, last // 2, last}:
            table = (tables | sums)[name].reset_index(drop=True).astype({column: float})
            table.loc[row, column] += 0.01 if column in ("gross_revenue", "refunds", "net_revenue") else 1
            changed = {name: table}
            with pytest.raises(SystemExit):
                reconcile(tables | changed, sums | changed if name in sums else sums, EXCLUDED, {})
            assert "This is a defect of the script" in capsys.readouterr().err, (column, row)


def test_what_went_from_one_cell_into_another_stops_the_run(shop, capsys):
    """Totals agree then; the cells do not."""
    tables, sums = shop
    cells = tables["cohort_breakdown"].copy()
    cells.loc[[0, 1], "net_revenue"] += np.array([1, -1])
    moves = tables["segment_moves"].copy()
    last = moves.index[moves["month"] == moves["month"].max()]
    assert moves.loc[last[0], "from_segment"] != "New"
    moves.loc[last[0], "from_segment"] = "Hibernating"
    for changed in ({"cohort_breakdown": cells}, {"segment_moves": moves}):
        with pytest.raises(SystemExit):
            reconcile(tables | changed, sums, EXCLUDED, {})
        assert f"figures of {next(iter(changed))}" in capsys.readouterr().err


def test_a_part_of_the_customers_months_that_is_off_stops_the_run(analysis, tmp_path, capsys):
    """Between the orders and the file: the file that was written is what is compared."""
    tables, sums = tables_of(analysis, make_orders(*ROWS), tmp_path)
    (part,) = tmp_path.glob("*.parquet")
    rows = pd.read_parquet(part)
    rows.loc[0, "net_revenue"] += 0.01
    rows.to_parquet(part)
    changed = sums | {"customer_months": merge_parts(tmp_path, tmp_path / FILE)}
    with pytest.raises(SystemExit):
        reconcile(tables, changed, EXCLUDED, {})
    assert "1 figures of customer_months and guest_months disagree with other tables" in capsys.readouterr().err


def test_figures_that_disagree_are_said(shop, capsys):
    tables, sums = shop
    checks = [*table_checks(tables), Check("orders in x", 5, 1234.5, NET)]
    with pytest.raises(SystemExit):
        require_agreement(checks, sums["totals"])
    assert "There are 5 orders in x worth 1,234.50, but 4 worth 32.51 were read" in capsys.readouterr().err


def test_half_a_cent_of_rounding_is_no_disagreement(shop):
    totals = shop[1]["totals"]
    require_agreement([Check("x", 4, 32.51 + 0.004, NET), Check("x", 4, 32.51 - 0.004, NET)], totals)
    for off in (0.006, -0.006):
        with pytest.raises(SystemExit):
            require_agreement([Check("x", 4, 32.51 + off, NET)], totals)


@pytest.mark.parametrize(("places", "unit"), [(3, 0.001), (0, 1.0)])
def test_half_a_smallest_unit_of_any_currency_is_no_disagreement(shop, places, unit, capsys):
    totals = shop[1]["totals"]
    require_agreement([Check("x", 4, 32.51 + 0.4 * unit, NET)], totals, places)
    with pytest.raises(SystemExit):
        require_agreement([Check("x", 4, 32.51 + 0.6 * unit, NET)], totals, places)
    assert f"worth {32.51:,.{places}f} were read" in capsys.readouterr().err


def test_rounded_amounts_are_counted_and_said(analysis, shop, capsys):
    tables, sums = shop
    orders = make_orders(*ROWS)
    rounded = sums | {"totals": total_sums(orders.assign(finer=orders["customer_id"] == "a"))}
    quality = reconcile(tables, rounded, EXCLUDED, {}).set_index("check")
    assert quality.loc[FINER].tolist() == [3, 25.01, "counted"]
    assert "Noted     3 amounts have more than their currency's 2 decimals" in capsys.readouterr().out


def test_a_sum_that_is_missing_stops_the_run(shop):
    with pytest.raises(SystemExit):
        require_agreement([Check("x", 4, float("nan"), NET)], shop[1]["totals"])


# --- amounts near the end of what doubles hold ---


@pytest.mark.parametrize(
    "amounts",
    [
        np.random.default_rng(1).uniform(0, 4e10, 2000),  # 4e13 in all: a double there is 0.008 from the next
        np.random.default_rng(2).choice([9e14, 0.01, 7.77], 2000),
        np.random.default_rng(3).uniform(-9e14, 9e14, 2000),  # refunds take nearly all of it away
    ],
)
def test_large_amounts_agree_as_far_as_doubles_do(analysis, amounts, tmp_path, capsys):
    days = pd.date_range("2021-01-01", "2024-02-28", periods=len(amounts)).strftime("%Y-%m-%d")
    rows = zip([f"c{n % 300}" for n in range(len(amounts))], days, amounts.round(2), strict=True)
    tables, sums = tables_of(analysis, make_orders(*rows), tmp_path)
    reconcile(tables, sums, EXCLUDED, {})
    said = capsys.readouterr().out
    assert "all tables agree" in said
    assert max(map(len, said.splitlines())) < 90
    most = amounts.max()
    tables["monthly_kpis"]["net_revenue"] += most
    with pytest.raises(SystemExit):  # an order is still missed
        reconcile(tables, sums, EXCLUDED, {})
    assert "This is a defect" in capsys.readouterr().err
