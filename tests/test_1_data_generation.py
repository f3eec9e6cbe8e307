"""Script 1: the simulated shop is what its docstring says."""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from common import Settings
from pulse.loads import COLLECTIONS, Block

START, END = pd.Timestamp("2023-01-01"), pd.Timestamp("2025-12-31")


def gather(blocks: Iterator[Block]) -> Block:
    """All blocks in one: {collection: documents}."""
    found = list(blocks)
    return {name: [doc for block in found for doc in block[name]] for name in COLLECTIONS}


def simulate(generation, n_customers: int, seed: int) -> Block:
    """The whole shop."""
    return gather(generation.simulate(n_customers, START, END, seed))


@pytest.fixture(scope="module")
def docs(generation):
    return simulate(generation, 3_000, seed=7)


@pytest.fixture(scope="module")
def orders(docs):
    return pd.DataFrame(docs["orders"])


# --- the simulated shop ---


def test_every_order_adds_up(docs):
    for order in docs["orders"]:
        goods = sum(item["quantity"] * item["unit_price"] for item in order["items"])
        assert order["items"]
        assert order["total"] == pytest.approx(goods - order["discount"] + order["shipping"], abs=0.0051)


def test_every_order_says_whether_it_is_sold(orders):
    """A completed order is, and so is a credit note, which is refunded and below 0."""
    assert orders["sold"].dtype == bool
    counts = orders.groupby(["status", orders["total"] < 0, "sold"]).size().index.tolist()
    assert counts == [
        ("cancelled", False, False),
        ("completed", False, True),
        ("refunded", False, False),
        ("refunded", True, True),
    ]


def test_orders_lie_in_the_period_and_after_the_sign_up(docs, orders):
    assert orders["order_date"].min() >= START
    assert orders["order_date"].max() < END + pd.Timedelta(days=1)
    signup = pd.DataFrame(docs["customers"]).set_index("_id")["signup_date"]
    assert (orders["order_date"] >= orders["customer_id"].map(signup)).all()
    assert orders["_id"].is_unique


def test_nobody_orders_after_the_lapse(docs, orders):
    bought = orders[orders["total"] >= 0]  # a credit note may come later
    lapse = pd.DataFrame(docs["simulation_truth"]).set_index("_id")["lapsed_on"]
    last = bought.groupby("customer_id")["order_date"].max().dt.normalize()
    lapsed = lapse.dropna()
    assert len(lapsed) > 500
    assert (last.loc[lapsed.index] == lapsed).all()


def test_the_mess_of_a_shop_is_there(orders):
    share = orders["status"].value_counts(normalize=True)
    assert 0.015 < share["cancelled"] < 0.025
    assert 0.02 < share["refunded"] < 0.05
    credit = orders[orders["total"] < 0]
    assert set(credit["status"]) == {"refunded"}
    assert 0.01 < len(credit) / len(orders) < 0.03
    assert set(orders["channel"]) == {"web", "app", "marketplace"}


def test_seasons_growth_and_hours_show(orders):
    done = orders[orders["status"] == "completed"]
    by_year = done.groupby(done["order_date"].dt.year).size()
    assert by_year.is_monotonic_increasing
    last = done[done["order_date"].dt.year == 2025].groupby(done["order_date"].dt.month).size()
    assert last[11] > 1.15 * last[9]
    hours = done["order_date"].dt.hour.value_counts()
    assert hours[20] > 5 * hours[3]
    days = done["order_date"].dt.day_of_week.value_counts()
    assert days[6] > days[4]


def test_gaps_follow_their_persona(generation, docs, orders):
    """The typical days between orders of the loyal and the regular are the documented ones."""
    persona = pd.DataFrame(docs["simulation_truth"]).set_index("_id")["persona"]
    bought = orders[orders["total"] >= 0].sort_values(["customer_id", "order_date"])
    gaps = bought.groupby("customer_id")["order_date"].diff() / pd.Timedelta(days=1)
    mean = gaps.groupby(bought["customer_id"].map(persona)).mean()
    for name in ("regular", "loyal"):
        assert mean[name] == pytest.approx(generation.PERSONAS[name]["gap"], rel=0.05)


def test_a_seed_gives_one_shop_and_another_seed_another(generation):
    assert simulate(generation, 300, 1) == simulate(generation, 300, 1)
    assert simulate(generation, 300, 1)["orders"] != simulate(generation, 300, 2)["orders"]


def test_a_block_does_not_depend_on_how_many_follow(generation, docs):
    first = simulate(generation, generation.CUSTOMERS_PER_BLOCK, 7)
    assert docs["customers"][: generation.CUSTOMERS_PER_BLOCK] == first["customers"]
    assert docs["orders"][: len(first["orders"])] == first["orders"]


def test_no_email_can_reach_anybody(docs):
    assert all(doc["email"].endswith("@example.com") for doc in docs["customers"])


def test_the_demand_clock_keeps_the_years_length(generation):
    clock = generation.demand_clock(START, END)
    assert clock[0] == 0
    assert clock[-1] == pytest.approx(3 * 365 + 1)
    assert (np.diff(clock) > 0).all()


# --- the script ---


def test_the_command_line_says_which_shop_is_simulated(generation, monkeypatch):
    """One customer more than a block holds, two years up to a leap day, erratic."""
    customers = generation.CUSTOMERS_PER_BLOCK + 1
    options = ["--customers", str(customers), "--years", "2", "--end-date", "2024-02-29", "--seed", "9"]
    monkeypatch.setattr(sys, "argv", ["1_data_generation.py", *options, "--erratic"])
    with generation.open_source(generation.arguments(), Settings(), None) as source:
        docs = gather(source.blocks)
    assert (source.origin, source.rejects) == ("simulated, seed 9, erratic", {})
    assert len(docs["customers"]) == len(docs["simulation_truth"]) == customers
    start, end = pd.Timestamp("2022-03-01"), pd.Timestamp("2024-02-29")
    days = pd.DataFrame(docs["orders"])["order_date"].dt.normalize()
    assert start <= days.min() < start + pd.Timedelta(days=7)
    assert end - pd.Timedelta(days=7) < days.max() <= end
    assert docs == gather(generation.simulate(customers, start, end, 9, erratic=True))
    assert docs != gather(generation.simulate(customers, start, end, 9))


def test_without_options_the_default_shop_is_simulated(generation, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["1_data_generation.py"])
    args = generation.arguments()
    assert (args.customers, args.years, args.seed, args.end_date) == (5_000, 3, 42, END)
    assert not args.erratic
    with generation.open_source(args, Settings(), None) as source:
        assert source.origin == "simulated, seed 42"


@pytest.mark.parametrize("name", ["orders_collection", "customers_collection", "order_fields", "customer_fields"])
def test_orders_of_ones_own_are_never_written_to(generation, capsys, name):
    generation.refuse_own_orders(Settings())
    with pytest.raises(SystemExit) as stopped:
        generation.refuse_own_orders(Settings(**{name: "total=price"}))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"Error: {name.upper()} says that ecommerce_pulse holds orders")
