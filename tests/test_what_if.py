"""Whom to contact under other costs, one customer, segments month by month: each figure equals pandas."""

from itertools import cycle, product

import numpy as np
import pandas as pd
import pytest
from dax import Model, split
from star import RELATIONSHIPS
from test_slicers import (
    CUSTOMER,
    MONTH,
    SEGMENT,
    STEP,
    TRUTH,
    WHAT_IF,
    Selection,
    load_both,
    same,
    values_of,
    with_guests,
)

CONTACT = ("Customers worth contacting", "Campaign profit", "Contact profit, one customer", "Contact rank")
ONE_CUSTOMER = ("Segment now", "Segment one month before", "Expected value with range", "Reasons")


@pytest.fixture(scope="module")
def both(shop, tmp_path_factory) -> tuple[dict[str, pd.DataFrame], Model]:
    return load_both(with_guests(shop[0], tmp_path_factory.mktemp("guests")))


def check(files: dict[str, pd.DataFrame], model: Model, measure: str, chosen: dict[str, list]):
    """The measure's value, which must equal pandas on the rows chosen."""
    found = model.value(f"[{measure}]", {split(field): values for field, values in chosen.items()})
    expected = TRUTH[measure](Selection(files, chosen))
    assert same(found, expected), f"{measure} for {chosen} is {found}, not {expected}"
    return found


def campaigns(files: dict[str, pd.DataFrame]) -> list[dict[str, list]]:
    """Nothing chosen; the lowest, a middle and the highest value of each what-if; of all at once; two of one."""
    values = {field: values_of(field, files) for field in WHAT_IF.values()}
    alone = [{field: [found[at]]} for field, found in values.items() for at in (0, len(found) // 2, -1)]
    cheap = {field: [found[0 if "cost" in field else -1]] for field, found in values.items()}
    dear = {field: [found[-1 if "cost" in field else 0]] for field, found in values.items()}
    some = {field: [found[n + 1]] for n, (field, found) in enumerate(values.items())}
    several = {field: found[:2] for field, found in values.items()}
    return [{}, *alone, cheap, dear, some, several]


def test_whom_to_contact_is_the_list_that_script_3_would_make(both):
    """How many, what they are worth, and the places of some: of all, of one country, of two bands."""
    files, model = both
    parts = cycle(({}, {"dim_country[Country]": ["Germany"]}, {"dim_customer[Risk band]": ["medium", "low"]}))
    counts = set()
    for campaign, part in zip(campaigns(files), parts, strict=False):
        chosen = campaign | part
        listed = Selection(files, chosen).listed
        profits = listed.loc[listed["contact"] == "yes", "contact_profit"]
        for measure, value in ((CONTACT[0], len(profits)), (CONTACT[1], profits.sum(min_count=1))):
            found = model.value(f"[{measure}]", {split(field): values for field, values in chosen.items()})
            assert same(found, value), f"{measure} for {chosen} is {found}, not {value}"
        counts.add(len(profits))
        for row in listed.iloc[[0, len(profits) // 2, min(len(profits), len(listed) - 1)]].itertuples():
            one = {split(field): values for field, values in (chosen | {CUSTOMER: [row.customer_id]}).items()}
            pays = row.contact == "yes"
            assert model.value(f"[{CONTACT[2]}]", one) == (row.contact_profit if pays else None)
            place = 1 + (profits > row.contact_profit).sum()
            assert model.value(f"[{CONTACT[3]}]", one) == (place if pays else None), (chosen, row)
    assert len(counts) > 10
    assert 0 in counts


def test_ties_share_the_better_place(both):
    files, model = both
    listed = Selection(files, {}).listed.query("contact == 'yes'")
    ties = listed[listed["contact_profit"].duplicated(keep=False)]
    assert len(ties) > 1
    for row in ties.head(4).itertuples():
        best = listed.loc[listed["contact_profit"] == row.contact_profit, "rank"].min()
        assert check(files, model, "Contact rank", {CUSTOMER: [row.customer_id]}) == best


def test_with_nothing_chosen_it_is_the_list_of_the_file(both):
    files, model = both
    for chosen in ({}, *({SEGMENT: [segment]} for segment in values_of(SEGMENT, files))):
        filters = {split(field): values for field, values in chosen.items()}
        rows = Selection(files, chosen).customers.query("contact == 'yes'")
        assert model.value("[Customers worth contacting]", filters) == len(rows)
        assert same(model.value("[Campaign profit]", filters), rows["contact_profit"].sum(min_count=1))
    first = files["customers"].set_index("rank").loc[1.0, "customer_id"]
    assert check(files, model, "Contact rank", {CUSTOMER: [first]}) == 1


def test_nobody_is_worth_contacting_where_the_model_cannot_rank(both):
    """Although for many a contact would pay."""
    files, model = both
    chance = {"fact_metrics": model.tables["fact_metrics"].assign(low=0.5)}
    model = Model(model.tables | chance, RELATIONSHIPS, model.measures)
    files = files | {"metrics": files["metrics"].assign(low=0.5)}
    one = {CUSTOMER: [files["customers"].set_index("rank").loc[1.0, "customer_id"]]}
    assert check(files, model, "Customers worth contacting", {}) == 0
    for measure, chosen in (("Campaign profit", {}), ("Contact profit, one customer", one), ("Contact rank", one)):
        assert check(files, model, measure, chosen) is None


def test_profits_have_the_decimals_of_the_currency(both):
    files, model = both
    whole = model.tables["dim_customer"].round({"Revenue if staying": 0})
    tables = model.tables | {
        "dim_customer": whole,
        "fact_campaign": model.tables["fact_campaign"].assign(places=0),
    }
    files = files | {"campaign": files["campaign"].assign(places=0)}
    profit = check(files, Model(tables, RELATIONSHIPS, model.measures), "Campaign profit", {})
    assert profit == round(profit)


def test_what_can_be_chosen_is_what_the_model_offers(both):
    files, model = both
    for name, field in WHAT_IF.items():
        table, column = split(field)
        np.testing.assert_array_equal(model.tables[table][column], files[name][name])
        for value in files[name][name]:
            measure = f"{name.replace('_', ' ').capitalize()} used"
            assert check(files, model, measure, {field: [value]}) == value
        assert check(files, model, measure, {}) == files["campaign"][name].iloc[0]
        assert check(files, model, measure, {field: [*files[name][name][:2]]}) == files["campaign"][name].iloc[0]


def test_the_page_of_one_customer(both):
    files, model = both
    known = files["customers"]
    some = known.iloc[:: len(known) // 60]["customer_id"]
    odd = [known[known["segment"] == "No order yet"], known[known["second_reason"].notna()]]
    odd += [known[known["main_reason"].notna() & known["second_reason"].isna()], known[known["rank"] == 1]]
    for customer in [*some, *(rows["customer_id"].iloc[0] for rows in odd if len(rows))]:
        for measure in ONE_CUSTOMER:
            check(files, model, measure, {CUSTOMER: [customer]})
    one, alike = {CUSTOMER: [*some[:1]]}, known[known["rank"] <= 2]
    assert alike[["segment", "previous_segment", "main_reason", "contact"]].drop_duplicates().shape == (1, 4)
    two = {CUSTOMER: [*alike["customer_id"]]}
    for measure in (*ONE_CUSTOMER, *CONTACT[2:]):
        assert check(files, model, measure, two) is None
    for month in values_of(MONTH, files):
        check(files, model, "Completed orders", one | {MONTH: [month]})


def test_segments_month_by_month(both):
    files, model = both
    months, segments = files["kpis"]["month"], values_of(SEGMENT, files)
    choices = [{MONTH: [month]} for month in months[-14:]] + [{}, {MONTH: [*months[-3:]]}, {MONTH: [*months[:3]]}]
    for chosen, segment in product(choices, ({}, {SEGMENT: segments[:1]}, {SEGMENT: segments[2:4]})):
        check(files, model, "Customers at month end", chosen | segment)
        check(files, model, "Customers who changed segment", chosen | segment)
    last = {MONTH: [files["moves"]["month"].max()]}
    assert check(files, model, "Customers at month end", last) == model.value("[Customers]")
    assert check(files, model, "Customers who changed segment", {}) == model.value("[Customers who moved]")


def test_the_model_s_charts(both):
    files, model = both
    for measure, field in (
        ("Best point", "fact_profit_curve[Customers contacted]"),
        ("Doublings of the odds", STEP),
        ("Odds in words", STEP),
        ("Perfect calibration", "fact_calibration[Tenth of customers]"),
        ("Model AUC, low", "dim_country[Country]"),
    ):
        said = {check(files, model, measure, {field: [value]}) for value in values_of(field, files)}
        assert len(said) > 1 or measure == "Model AUC, low"
        check(files, model, measure, {})
