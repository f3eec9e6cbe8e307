"""Step 1: the simulated shop is what its docstring says, a file comes in whole, a load is all or nothing."""

import numpy as np
import pandas as pd
import pytest

START, END = pd.Timestamp("2023-01-01"), pd.Timestamp("2025-12-31")


def simulate(generation, n_customers: int, seed: int) -> dict[str, list[dict]]:
    """The whole shop: {collection: documents}."""
    blocks = list(generation.simulate(n_customers, START, END, seed))
    return {name: [doc for block in blocks for doc in block[name]] for name in generation.COLLECTIONS}


@pytest.fixture(scope="module")
def docs(generation):
    return simulate(generation, 3_000, seed=7)


@pytest.fixture(scope="module")
def orders(docs):
    return pd.DataFrame(docs["orders"])


def test_every_order_adds_up(docs):
    for order in docs["orders"]:
        goods = sum(item["quantity"] * item["unit_price"] for item in order["items"])
        assert order["items"]
        assert order["total"] == pytest.approx(goods - order["discount"] + order["shipping"], abs=0.0051)


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
    first = simulate(generation, generation.BLOCK, 7)
    assert docs["customers"][: generation.BLOCK] == first["customers"]
    assert docs["orders"][: len(first["orders"])] == first["orders"]


def test_no_email_can_reach_anybody(docs):
    assert all(doc["email"].endswith("@example.com") for doc in docs["customers"])


def test_the_demand_clock_keeps_the_years_length(generation):
    clock = generation.demand_clock(START, END)
    assert clock[0] == 0
    assert clock[-1] == pytest.approx(3 * 365 + 1)
    assert (np.diff(clock) > 0).all()


def test_a_load_that_fails_leaves_the_earlier_data(generation, db):
    def broken():
        yield {"orders": [{"_id": 2, "total": 2.0}]}
        raise RuntimeError

    generation.load(db, [{"orders": [{"_id": 1, "total": 1.0}]}], 1, "first")
    with pytest.raises(RuntimeError):
        generation.load(db, broken(), 2, "second")
    assert list(db.orders.find()) == [{"_id": 1, "total": 1.0}]
    generation.refuse_foreign_collections(db)
    generation.load(db, [{"orders": [{"_id": 3, "total": 3.0}]}], 1, "third")
    assert list(db.orders.find()) == [{"_id": 3, "total": 3.0}]
    assert sorted(db.list_collection_names()) == sorted([*generation.COLLECTIONS, generation.LOADS])


@pytest.mark.parametrize("name", ["customers", "orders", "simulation_truth"])
def test_collections_of_another_origin_are_refused(generation, db, name, capsys):
    generation.load(db, [{"orders": [{"_id": 1}]}], 1, "ours")
    db.drop_collection(name)
    db[name].insert_one({"_id": "theirs"})
    with pytest.raises(SystemExit) as stopped:
        generation.refuse_foreign_collections(db)
    assert stopped.value.code == 2
    assert f"The collection {name} " in capsys.readouterr().err
    assert db[name].count_documents({}) == 1


def test_documents_added_to_our_collection_are_of_another_origin(generation, db):
    generation.load(db, [{"orders": [{"_id": 1}]}], 1, "ours")
    db.orders.insert_one({"_id": "theirs"})
    with pytest.raises(SystemExit):
        generation.refuse_foreign_collections(db)


def test_a_file_of_orders_becomes_documents(generation, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text(
        "order_id,customer_id,order_date,amount,status,category,country,channel\n"
        "1,0007,2024-01-31,10.50,completed,Toys,France,web\n"
        "2,0007,2024-02-29T23:30:00+01:00,-3,refunded,Books,Spain,app\n"
        '3,"a, b",2024-02-29 08:15,0,Cancelled,,Spain,\n'
    )
    blocks = generation.read_order_file(file)
    orders = [doc for block in blocks for doc in block.get("orders", [])]
    assert orders[0] == {
        "_id": "1",
        "customer_id": "0007",
        "order_date": pd.Timestamp("2024-01-31").to_pydatetime(),
        "status": "completed",
        "channel": "web",
        "items": [{"category": "Toys", "quantity": 1, "unit_price": 10.5}],
        "total": 10.5,
    }
    assert [doc["order_date"].isoformat() for doc in orders[1:]] == [
        "2024-02-29T22:30:00",
        "2024-02-29T08:15:00",
    ]
    assert blocks[0]["customers"] == [
        {"_id": "0007", "country": "Spain"},
        {"_id": "a, b", "country": "Spain"},
    ]


HEADER = "order_id,customer_id,order_date,amount\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("order_id,customer_id,order_date\n1,a,2024-01-01\n", "has no column amount"),
        (HEADER + "1,a,2024-01-01,5\n2,a,soon,5\n", "row 3: order_date 'soon'"),
        (HEADER + "1,a,31/12/2024,5\n", "row 2: order_date '31/12/2024'"),
        (HEADER + "1,a,2024-02-30,5\n", "row 2: order_date '2024-02-30'"),
        (HEADER + '1,a,2024-01-01,"1,234.5"\n', "row 2: amount '1,234.5'"),
        (HEADER + "1,a,2024-01-01,nan\n", "row 2: amount 'nan'"),
        (HEADER + "1,a,2024-01-01,inf\n", "row 2: amount 'inf'"),
        (HEADER + "1,a,2024-01-01,5\n2,a,2024-01-01,5\n1,b,2024-01-02,6\n", "row 4: order_id '1'"),
        (HEADER + "1,,2024-01-01,5\n", "row 2: customer_id ''"),
        (HEADER, "no order"),
        ("", "is no CSV file"),
        ('a,b\n"1,2\n3', "is no CSV file"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_its_row(generation, tmp_path, capsys, text, says):
    file = tmp_path / "orders.csv"
    file.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        generation.read_order_file(file)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert says in message
    assert str(file) in message
    assert message.count("\n") == 1
