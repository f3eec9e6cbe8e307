"""docs/Model_Card.md shows what a run gives: churn_peers.py and rolling_origins.py, in tests/benchmarks, print its
rows."""

import sys

import pytest
from conftest import ROOT

NO_PEERS = "BG/NBD is not here: pip install -r requirements-dev.txt brings it"
CARD = (ROOT / "docs" / "Model_Card.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "fixture", "populations"),
    [
        ("Default shop", "shop", ("established", "all")),
        ("Erratic shop", "erratic", ("all",)),
        ("CDNOW", "cdnow", ("all",)),
    ],
)
def test_the_card_shows_the_figures_of_a_run(request, monkeypatch, title, fixture, populations):
    pytest.importorskip("lifetimes", reason=NO_PEERS)
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests" / "benchmarks"), *sys.path])
    import churn_peers

    folder, _ = request.getfixturevalue(fixture)
    for table, rows in churn_peers.card(title, folder, populations).items():
        for row in rows:
            assert row in CARD, f"{table}: {row}"


@pytest.mark.slow
def test_the_card_shows_how_the_models_held_over_time(cdnow, monkeypatch):
    pytest.importorskip("lifetimes", reason=NO_PEERS)
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests" / "benchmarks"), *sys.path])
    import rolling_origins

    rows, weights = rolling_origins.roll(*rolling_origins.orders_of(cdnow[0]), rolling_origins.STEP)
    for table, lines in rolling_origins.card(rows, weights).items():
        for line in lines:
            assert line in CARD, f"{table}: {line}"
    mean = rows.groupby("model")[["roc_auc", "calibration_error"]].mean()
    assert mean.loc["logistic_regression", "calibration_error"] <= 0.03
    assert mean.loc["logistic_regression", "roc_auc"] >= mean["roc_auc"].max() - 0.005
    assert weights["condition"].max() < 100
    assert rolling_origins.sign_changes(weights) == []
