"""Whom to contact: the list, its reasons and segments, and the profit curve are what they say."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, HORIZON, make_orders

from pulse.contacts import (
    GONE,
    REASONS,
    Campaign,
    contact_list,
    explain,
    profit_curve,
    report_contacts,
    segments_of,
)
from pulse.exports import manifest_row, read_manifest, save, write_manifest_row
from pulse.orders import fingerprint
from pulse.start import typed

# --- the list ---


NO_REASONS = {"segment": "", "main_reason": "", "second_reason": ""}


def test_the_list_by_hand(churn, today, models):
    campaign = Campaign(contact_cost=2, offer_cost=10, success_rate=0.5, margin=0.2)
    told = explain(churn.predict(models, today, season=2.0), models.churn, today, HORIZON, churn.RISK_BANDS)
    names = {"segment": "S " + today.index, "main_reason": "1 " + today.index, "second_reason": "2 " + today.index}
    listed = contact_list(told.assign(**names), today, campaign, can_rank=True)
    assert listed["contact_profit"].is_monotonic_decreasing
    assert listed["rank"].tolist() == list(range(1, len(today) + 1))
    assert sorted(listed["customer_id"]) == sorted(today.index)
    for column, mark in (("segment", "S "), ("main_reason", "1 "), ("second_reason", "2 ")):
        assert (listed[column] == mark + listed["customer_id"]).all()
    assert (listed["as_of"] == AS_OF).all()
    assert set(listed["contact"]) == {"yes", "no"}
    assert (listed["contact"] == "yes").equals(listed["contact_profit"] > 0)
    listed = listed.set_index("customer_id").loc[today.index]
    gone = today["recency_days"] > 90
    assert 0 < gone.sum() < len(gone)
    p, value = told["churn_probability"], told["if_staying"]
    np.testing.assert_allclose(listed["churn_probability"], p, atol=1e-6)
    assert (listed.loc[gone, "revenue_at_risk"] == 0).all()
    np.testing.assert_allclose(listed["revenue_if_staying"], value, atol=0.006)
    np.testing.assert_allclose(listed["revenue_at_risk"], (p * value).where(~gone, 0), atol=0.011)
    np.testing.assert_allclose(listed["expected_revenue"], (1 - p) * value, atol=0.006)
    won = (p * 0.5 * (0.2 * value - 10)).where(~gone, 0)
    np.testing.assert_allclose(listed["contact_profit"], won - (1 - p) * 10 - 2, atol=0.006)
    bands = np.select([gone, p >= 0.7, p >= 0.3], [GONE, "high", "medium"], "low")
    assert (listed["risk_band"] == bands).all()
    assert set(bands) == {GONE, "high", "medium", "low"}


def test_customers_of_one_profit_stand_by_their_id(churn, today, models):
    told = churn.predict(models, today).assign(
        if_staying=0.0, churn_probability=0.5, risk_band="low", **NO_REASONS
    )
    listed = contact_list(told, today, churn.CAMPAIGN, can_rank=True)
    assert listed["customer_id"].tolist() == sorted(today.index)


def test_nobody_is_to_be_contacted_where_the_model_cannot_rank(churn, today, models, capsys):
    told = churn.predict(models, today).assign(risk_band="high", if_staying=1e6, **NO_REASONS)
    usual = contact_list(told, today, churn.CAMPAIGN, can_rank=True)
    assert (usual["contact"] == "yes").any()
    report_contacts(usual, can_rank=True)
    listed = contact_list(told, today, churn.CAMPAIGN, can_rank=False)
    assert (listed["contact"] == "no").all()
    assert profit_curve(listed).query("is_best")["customers_contacted"].tolist() == [0]
    report_contacts(listed, can_rank=False)
    first, second = capsys.readouterr().out.splitlines()
    n, worth = (usual["contact"] == "yes").sum(), usual.loc[usual["contact"] == "yes", "contact_profit"].sum()
    assert first == f"Contact   the first {n:,} of churn_predictions.csv: worth {worth:,.0f}"
    assert second == "Contact   nobody: the model cannot rank this shop's customers"


@pytest.mark.parametrize("places", [0, 3])
def test_amounts_have_the_decimals_of_the_currency(churn, today, models, places):
    told = churn.predict(models, today, places=places).assign(risk_band="high", **NO_REASONS)
    campaign = churn.CAMPAIGN._replace(places=places)
    listed = contact_list(told, today, campaign, can_rank=True)
    amounts = listed[["revenue_if_staying", "expected_revenue", "revenue_at_risk", "contact_profit"]]
    amounts = amounts.assign(profit=profit_curve(listed, places)["expected_profit"])
    assert (amounts.round(places) - amounts).abs().max().max() == 0
    assert ((amounts.round(max(places - 1, 0)) != amounts).any() | (places == 0)).all()


def test_whoever_has_the_file_can_work_the_profit_out(churn, today, models):
    """From the columns as they are written: the report does so for other costs."""
    told = churn.predict(models, today).assign(risk_band="high", if_staying=123456.789, **NO_REASONS)
    listed = contact_list(told, today, Campaign(1, 5, 0.1, 0.4, places=1), can_rank=True)
    p, value = listed["churn_probability"], listed["revenue_if_staying"]
    assert (value == 123456.8).all()
    assert (listed["contact_profit"] == (p * 0.1 * (0.4 * value - 5) - (1 - p) * 5 - 1).round(1)).all()
    assert (listed["revenue_at_risk"] == (p * value).round(1)).all()


def test_the_profit_curve_by_hand():
    listed = pd.DataFrame({"contact_profit": [5.0, 3.0, -1.0, -2.0, -4.0]})
    listed["contact"] = np.where(listed["contact_profit"] > 0, "yes", "no")
    curve = profit_curve(listed)
    assert curve["customers_contacted"].tolist() == [0, 1, 2, 3, 4, 5]
    assert curve["expected_profit"].tolist() == [0, 5, 8, 7, 5, 1]
    assert curve["is_best"].tolist() == [False, False, True, False, False, False]
    nobody = profit_curve(listed.assign(contact_profit=-1.0, contact="no"))
    assert nobody.loc[nobody["is_best"], "customers_contacted"].tolist() == [0]


def test_the_profit_curve_shows_as_many_again_in_a_hundred_steps():
    listed = pd.DataFrame({"contact_profit": np.r_[np.ones(333), -np.ones(667)]})
    listed["contact"] = np.where(listed["contact_profit"] > 0, "yes", "no")
    curve = profit_curve(listed)
    assert curve["customers_contacted"].max() == 666
    assert len(curve) in (101, 102)
    assert curve.loc[curve["is_best"], "customers_contacted"].tolist() == [333]
    few = listed.iloc[::-1].assign(contact="no").iloc[:150]
    assert profit_curve(few)["customers_contacted"].max() == 100


# --- segments ---


def run_of(script: str, orders: pd.DataFrame, as_of: pd.Timestamp) -> dict[str, str]:
    """The script's row in runs.csv, for these orders."""
    return manifest_row(script, as_of, len(orders), fingerprint(orders))


def test_segments_are_those_of_the_same_orders_or_none(tmp_path, capsys):
    orders = make_orders(
        ("007", "2024-12-30 10:00", 1.0), ("=NA", "2024-12-31 23:59", 1.0), ("NA", "2024-12-31", 1.0)
    )
    customers = pd.Index(["007", "=NA", "NA"], name="customer_id")
    mine = run_of("3_churn_model.py", orders, AS_OF)
    assert segments_of(customers, mine, tmp_path).isna().all()
    advice = typed(Path(sys.argv[0]).with_name("2_data_analysis.py"), "--as-of", "2025-01-01")
    assert f"{advice} on the same orders" in capsys.readouterr().out
    segments = {"007": "Champions", "=NA": "Promising", "NA": "At Risk"}
    rfm = pd.DataFrame({"customer_id": list(segments), "segment": list(segments.values())})
    theirs = run_of("2_data_analysis.py", orders[::-1], AS_OF) | {"shop": "a.orders", "horizon_days": ""}
    save(tmp_path, {"rfm_analysis": rfm}, {}, theirs)
    assert segments_of(customers, mine, tmp_path).to_dict() == segments
    stopped = read_manifest(tmp_path)["2_data_analysis.py"] | {"state": "writing"}  # on the way
    write_manifest_row(tmp_path, stopped)
    assert segments_of(customers, mine, tmp_path).isna().all()
    cent_more = orders.assign(amount=orders["amount"] + [0, 0, 0.01])
    for run in (
        run_of("2_data_analysis.py", orders, AS_OF) | {"as_of": "2024-10-03"},
        run_of("2_data_analysis.py", cent_more, AS_OF),
        run_of("2_data_analysis.py", orders.assign(customer_id=pd.Categorical(["007", "=NA", "=NA"])), AS_OF),
    ):
        save(tmp_path, {"rfm_analysis": rfm}, {}, run)
        assert segments_of(customers, mine, tmp_path).isna().all()


# --- risk and reasons ---


def test_reasons_are_those_for_churn_of_those_at_risk(churn, today, models):
    told = explain(churn.predict(models, today), models.churn, today, HORIZON, churn.RISK_BANDS)
    at_risk = told["risk_band"].isin(["medium", "high"])
    assert 0 < at_risk.sum() < len(told)
    assert told.loc[~at_risk, ["main_reason", "second_reason"]].isna().all(axis=None)
    words = {words for pair in REASONS.values() for words in pair} - {None}
    found = told.loc[at_risk, ["main_reason", "second_reason"]]
    assert set(found.stack()) <= words
    assert found["main_reason"].notna().mean() > 0.9
    assert (found["main_reason"] != found["second_reason"]).all()
    safe = today[told["risk_band"] == "low"]
    for words, column, sign in (
        ("long overdue by the customer's own rhythm", "overdue", 1),
        ("few orders of late", "late", -1),
    ):
        late = today[(found == words).any(axis=1).reindex(today.index, fill_value=False)]
        assert len(late), words
        assert (sign * (late[column] - safe[column].mean()) > 0).all(), words


def test_what_all_customers_share_is_nobodys_reason(churn, today, models):
    known = today.assign(irregularity=3.0)  # far beyond what the model learnt from
    told = explain(churn.predict(models, today), models.churn, known, HORIZON, churn.RISK_BANDS)
    assert not set(REASONS["irregularity"]) & set(told[["main_reason", "second_reason"]].stack())


def test_where_everybody_is_at_risk_they_are_compared_with_each_other(churn, today, models):
    told = churn.predict(models, today).assign(churn_probability=0.9)
    told = explain(told, models.churn, today, HORIZON, churn.RISK_BANDS)
    assert set(told["risk_band"]) == {"high", GONE}
    assert told.loc[told["risk_band"] == "high", "main_reason"].notna().any()
