"""Figures that others published for the CDNOW log, from this pipeline: `pytest -m published`.

docs/Verification.md shows ours and theirs side by side; the last test keeps it true.
"""

import re
import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, load_csv, run
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

pytestmark = [pytest.mark.published, pytest.mark.slow]

CALIBRATION_ENDS = pd.Timestamp("1997-09-30")  # 39 weeks
BG_NBD = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}  # Fader, Hardie and Lee (2005), table 1


@pytest.fixture(scope="module")
def rfm_39_weeks(cdnow, tmp_path_factory) -> pd.DataFrame:
    """rfm_analysis.csv as of the end of the calibration period."""
    folder = shutil.copytree(cdnow[0], tmp_path_factory.mktemp("weeks") / "data")
    done = run("2_data_analysis.py", "--as-of", "1997-10-01", data_dir=folder)
    assert done.returncode == 0, done.stderr
    return load_csv(folder / "rfm_analysis.csv")


def negative_log_likelihood(logs: np.ndarray, x: np.ndarray, t_x: np.ndarray, total: np.ndarray) -> float:
    """Of the BG/NBD model at exp(logs) = r, alpha, a, b: Fader, Hardie and Lee (2005), equation 6."""
    r, alpha, a, b = np.exp(logs)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + total)
    gone = betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b) - (r + x) * np.log(alpha + t_x)
    return -np.sum(common + np.where(x > 0, np.logaddexp(alive, gone), alive))


@pytest.fixture(scope="module")
def summary(cdnow_log) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeat purchase days, weeks to the last and weeks observed, of each customer in 39 weeks."""
    log = pd.read_csv(cdnow_log, dtype={"customer_id": str}, parse_dates=["order_date"])
    days = (
        log[log["order_date"] <= CALIBRATION_ENDS]
        .groupby("customer_id")["order_date"]
        .agg(["min", "max", "nunique"])
    )
    weeks = [(later - days["min"]).dt.days.to_numpy() / 7 for later in (days["max"], CALIBRATION_ENDS)]
    return days["nunique"].to_numpy() - 1, *weeks


@pytest.fixture(scope="module")
def ours(cdnow, rfm_39_weeks, summary) -> dict[str, str]:
    """Each figure of docs/Verification.md, as this pipeline gives it."""
    rfm = load_csv(cdnow[0] / "rfm_analysis.csv")
    fit = minimize(
        negative_log_likelihood, np.zeros(4), args=summary, method="Nelder-Mead", options={"maxiter": 4000}
    )
    return {
        "customers": f"{len(rfm):,}",
        "orders, January 1997 to June 1998": f"{rfm['frequency'].sum():,}",
        "customers without a repeat purchase day in 39 weeks": f"{one_day(rfm_39_weeks):,}",
        **{f"BG/NBD {name}": f"{value:.3f}" for name, value in zip(BG_NBD, np.exp(fit.x), strict=True)},
        "BG/NBD log-likelihood": f"{-fit.fun:.1f}",
    }


def one_day(rfm: pd.DataFrame) -> int:
    """Customers whose first and last completed order fell on one day."""
    return int((rfm["first_order_date"] == rfm["last_order_date"]).sum())


def test_customers_who_did_not_come_back(rfm_39_weeks):
    assert len(rfm_39_weeks) == 2_357
    assert one_day(rfm_39_weeks) == 1_411


def test_the_log_likelihood_at_the_published_parameters(summary):
    at = negative_log_likelihood(np.log(list(BG_NBD.values())), *summary)
    assert -at == pytest.approx(-9582.4, abs=0.05)


def test_the_cohort_triangle_is_that_of_sql(cdnow, cdnow_log):
    con = sqlite3.connect(":memory:")
    pd.read_csv(cdnow_log, dtype={"customer_id": str}).to_sql("log", con)
    expected = con.execute(
        """WITH months AS (SELECT customer_id, substr(order_date, 1, 7) || '-01' AS month, amount FROM log),
        cohort AS (SELECT customer_id, min(month) AS first FROM months GROUP BY 1)
        SELECT first, month, count(DISTINCT customer_id), count(*), round(sum(amount), 2)
        FROM months JOIN cohort USING (customer_id) GROUP BY 1, 2 ORDER BY 1, 2"""
    ).fetchall()
    cohorts = pd.read_csv(cdnow[0] / "cohort_retention.csv")
    columns = ["cohort_month", "activity_month", "active_customers", "orders", "net_revenue"]
    assert list(cohorts[columns].itertuples(index=False, name=None)) == expected


def test_the_document_shows_these_figures(ours):
    text = (ROOT / "docs" / "Verification.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \| [^|]+ \|$", text, flags=re.MULTILINE))
    assert {name: shown.get(name) for name in ours} == ours
