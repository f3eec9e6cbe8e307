"""docs/images/dashboard_preview.png: the charts of scripts 2 and 3, page by page, as the dashboard orders them.

    python powerbi/preview.py        after the three scripts

For those without Windows, and for README. Same palette, same order; the interactive pages are the
Power BI project beside this file.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from common import fail, read_settings, say  # noqa: E402
from pulse.charts import BLUE  # noqa: E402

PAGES = {
    "Overview": ("revenue_by_month", "revenue_drivers"),
    "Segments": ("segments", "segment_moves"),
    "Retention": ("cohort_retention", "repurchase"),
    "Churn": ("churn_profit_curve", "churn_odds_ratios"),
    "Model and data quality": ("churn_calibration", "churn_roc_precision_recall"),
}


def main() -> None:
    missing = [name for names in PAGES.values() for name in names if not chart(name).exists()]
    if missing:
        fail(f"{chart(missing[0])} is not there: run the three scripts first.")
    figure = Figure((16, 5.2 * len(PAGES)), layout="constrained", facecolor="white")
    for (title, names), strip in zip(PAGES.items(), figure.subfigures(len(PAGES), 1), strict=True):
        strip.suptitle(title, x=0.01, ha="left", weight="bold", size=22, color=BLUE)
        for axes, name in zip(strip.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            axes.imshow(imread(chart(name)))
            axes.axis("off")
    path = ROOT / "docs" / "images" / "dashboard_preview.png"
    figure.savefig(path, dpi=90, metadata={"Software": None})
    say("Saved", f"{path.relative_to(ROOT)}")


def chart(name: str) -> Path:
    """Where a script puts a chart."""
    return read_settings().data_path / "figures" / f"{name}.png"


if __name__ == "__main__":
    main()
