"""Whom to contact: the list, its reasons and segments, and the profit curve are what they say."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import AS_OF, HORIZON, make_orders

from pulse.contacts import REASONS, Campaign, contact_list, profit_curve, reasons, segments_of
from pulse.exports import manifest_row, read_manifest, save, write_manifest_row
from pulse.orders import fingerprint
from pulse.start import typed

# --- the list ---


def test_the_list_by_hand(churn, today, models):
    campaign = Campaign(contact_cost=2, offer_cost=10, success_rate=0.5, margin=0.2)
    told = churn.predict(models, today, season=2.0)
    names = {"segment": "S " + today.index, "main_reason": "1 " + today.index, "second_reason": "2 " + today.index}
    listed = contact_list(told.assign(**names), today, HORIZON, campaign, churn.RISK_BANDS)
    assert listed["revenue_at_risk"].is_monotonic_decreasing
    assert sorted(listed["customer_id"]) == sorted(today.index)
    for column, mark in (("segment", "S "), ("main_reason", "1 "), ("second_reason", "2 ")):
        assert (listed[column] == mark + listed["customer_id"]).all()
    assert (listed["as_of"] == AS_OF).all()
    listed = listed.set_index("customer_id").loc[today.index]
    gone = today["recency_days"] > 90
    assert 0 < gone.sum() < len(gone)
    p, value = told["churn_probability"], told["if_staying"]
    np.testing.assert_allclose(listed["churn_probability"], p, atol=1e-6)
    assert (listed.loc[gone, "revenue_at_risk"] == 0).all()
    np.testing.assert_allclose(listed["revenue_at_risk"], (p * value).where(~gone, 0), atol=0.006)
    np.testing.assert_allclose(listed["expected_revenue"], (1 - p) * value, atol=0.006)
    won = (p * 0.5 * (0.2 * value - 10)).where(~gone, 0)
    np.testing.assert_allclose(listed["contact_profit"], won - (1 - p) * 10 - 2, atol=0.006)
    assert (listed["risk_band"] == "high").equals(listed["churn_probability"] >= 0.7)
    assert (listed["risk_band"] == "low").equals(listed["churn_probability"] < 0.3)


@pytest.mark.parametrize("places", [0, 3])
def test_amounts_have_the_decimals_of_the_currency(churn, today, models, places):
    told = churn.predict(models, today, places=places).assign(segment="", main_reason="", second_reason="")
    campaign = churn.CAMPAIGN._replace(places=places)
    listed = contact_list(told, today, HORIZON, campaign, churn.RISK_BANDS)
    amounts = listed[["expected_revenue", "revenue_at_risk", "contact_profit"]]
    amounts = amounts.assign(profit=profit_curve(listed, places)["expected_profit"])
    assert (amounts.round(places) - amounts).abs().max().max() == 0
    assert ((amounts.round(max(places - 1, 0)) != amounts).any() | (places == 0)).all()


def test_the_profit_curve_by_hand():
    listed = pd.DataFrame({"contact_profit": [5.0, -1.0, 3.0, -4.0, -2.0], "revenue_at_risk": [9, 8, 7, 6, 0]})
    curve = profit_curve(listed)
    assert curve["customers_contacted"].tolist() == [0, 1, 2, 3, 4]
    assert curve["expected_profit"].tolist() == [0, 5, 4, 7, 3]
    assert curve["is_best"].tolist() == [False, False, False, True, False]
    nobody = profit_curve(listed.assign(contact_profit=-1.0))
    assert nobody.loc[nobody["is_best"], "customers_contacted"].tolist() == [0]


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
    save(tmp_path, {"rfm_analysis": rfm}, {}, run_of("2_data_analysis.py", orders[::-1], AS_OF))
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


# --- reasons ---


def test_reasons_are_those_of_the_features_that_speak_for_the_prediction(churn, today, models):
    probability = churn.predict(models, today)["churn_probability"].to_numpy()
    main, second = reasons(models.churn, today, probability)
    for_churn, for_staying = (set(main[probability >= 0.5]), set(main[probability < 0.5]))
    assert for_churn | set(second) <= {words for pair in REASONS.values() for words in pair} | {None}
    says = {"late": "long overdue by the customer's own rhythm", "few": "few orders for the time as a customer"}
    assert for_churn & set(says.values())
    assert not for_staying & set(says.values())
    assert "many orders for the time as a customer" in for_staying
    assert (main != second).all()
    stays, goes = today[probability < 0.5], today[probability >= 0.5]
    late = today.index[(main == says["late"]) | (second == says["late"])]
    assert len(late)
    assert (today.loc[late, "overdue"] > stays["overdue"].mean()).all()
    assert set(late) <= set(goes.index)


def test_what_all_customers_share_is_nobodys_reason(churn, today, models):
    known = today.assign(refunds=0.9)  # far beyond what the model learnt from
    probability = churn.predict(models, known)["churn_probability"].to_numpy()
    assert not {"many refunds", "few refunds"} & set(np.ravel(reasons(models.churn, known, probability)))
