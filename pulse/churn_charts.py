"""The figures of script 3."""

import textwrap
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pulse.charts import BLUE, GREY, ORANGE, format_amount, new_figure
from pulse.currencies import as_text
from pulse.evaluation import MODEL, THRESHOLD
from pulse.features import FEATURES
from pulse.progress import clock

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@clock("Drawing")
def draw_churn(
    test: pd.DataFrame, scores: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> "dict[str, Figure]":
    """Every figure of script 3 by its name; `scores` are the churn probabilities of the test rows."""
    metrics = tables["churn_model_metrics"].set_index(["population", "model", "metric"])["value"].sort_index()
    model = metrics["all", MODEL]
    return {
        "churn_roc_precision_recall": draw_curves(test, scores, model["roc_auc"]),
        "churn_calibration": draw_calibration(tables["churn_calibration"], model["calibration_error"]),
        "churn_confusion_matrix": draw_confusion(test["churned"], scores[MODEL] >= THRESHOLD),
        "churn_odds_ratios": draw_odds(tables["churn_coefficients"]),
        "churn_profit_curve": draw_profit(tables["churn_profit_curve"]),
    }


def draw_curves(test: pd.DataFrame, scores: pd.DataFrame, auc: float) -> "Figure":
    """The ROC and the precision-recall curve of the model and of recency alone."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    churned = test["churned"]
    figure, (left, right) = new_figure(f"The model ranks a churner above a stayer {auc:.1%} of the time", ncols=2)
    ranks = (("recency alone", test["recency_days"], GREY), ("model", scores[MODEL], BLUE))
    for label, rank, colour in ranks:
        false_alarms, found, _ = roc_curve(churned, rank)
        left.plot(false_alarms, found, color=colour, lw=2.5, label=label)
        precision, recall, _ = precision_recall_curve(churned, rank)
        right.plot(recall, precision, color=colour, lw=2.5, label=label)
    left.plot([0, 1], [0, 1], color=GREY, ls=":", label="chance")
    right.axhline(churned.mean(), color=GREY, ls=":", label="chance")
    left.set(title="ROC", xlabel="Stayers called churned", ylabel="Churners called churned")
    right.set(title="Precision and recall", xlabel="Recall", ylabel="Precision", ylim=(0, 1.02))
    left.legend(frameon=False, loc="lower right")
    return figure


def draw_calibration(bins: pd.DataFrame, error: float) -> "Figure":
    """How often customers churned, against how often the model said they would."""
    figure, axes = new_figure(f"Predicted and observed churn differ by {100 * error:.1f} points on average")
    axes.plot([0, 1], [0, 1], color=GREY, ls=":", label="as predicted")
    axes.scatter(bins["mean_predicted"], bins["observed_rate"], color=BLUE, s=90, label="as observed")
    axes.set(xlabel=f"Mean predicted probability, in {len(bins)} groups of customers", ylabel="Share that churned")
    axes.legend(frameon=False)
    return figure


def draw_confusion(churned: pd.Series, predicted: pd.Series) -> "Figure":
    """Who churned against who was predicted to."""
    from sklearn.metrics import ConfusionMatrixDisplay

    right, n = (churned == predicted).sum(), len(churned)
    figure, axes = new_figure(f"The model was right about {right:,} of {n:,} customers ({right / n:.1%})")
    ConfusionMatrixDisplay.from_predictions(
        churned,
        predicted,
        display_labels=["stayed", "churned"],
        values_format=",d",
        cmap="Blues",
        colorbar=False,
        im_kw={"aspect": "auto", "vmin": 0},
        ax=axes,
    )
    axes.set(xlabel="Predicted", ylabel="Observed")
    return figure


def draw_odds(terms: pd.DataFrame) -> "Figure":
    """What a step of each feature multiplies the odds of churn by, with its 95% interval, for the average
    customer; squares and products say nothing of that one."""
    from matplotlib.ticker import LogLocator

    shown = terms[terms["feature"].isin(FEATURES)].sort_values("odds_ratio")
    top = shown.loc[np.log(shown["odds_ratio"]).abs().idxmax()]
    figure, axes = new_figure(f"{top['meaning']}: {two_digits(top['odds_ratio'])} times the odds of churn")
    names = shown["meaning"].map(partial(textwrap.fill, width=30))
    colours = np.select([shown["low"] > 1, shown["high"] < 1], [ORANGE, BLUE], GREY)
    axes.hlines(names, shown["low"], shown["high"], color=colours, lw=3)
    axes.scatter(shown["odds_ratio"], names, color=colours, s=90)
    for row, odds in enumerate(shown["odds_ratio"]):
        axes.annotate(two_digits(odds), (odds, row), (0, 10), textcoords="offset points", ha="center", size=11)
    axes.axvline(1, color=GREY, lw=1)
    label = "What the odds of churn are multiplied by (95% interval; grey: unclear)"
    axes.set(xscale="log", xlabel=label)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xticks([], minor=True)
    axes.margins(x=0.1, y=0.1)
    return figure


def two_digits(ratio: float) -> str:
    """A ratio in two digits, as people write it: 0.25, 7, 130."""
    return f"{float(f'{ratio:.2g}'):,g}"


def draw_profit(curve: pd.DataFrame) -> "Figure":
    """What contacting the list from the top is worth, and where to stop."""
    n, worth = curve.loc[curve["is_best"], ["customers_contacted", "expected_profit"]].iloc[0]
    title = f"Contacting the first {n:,.0f} of the list is worth {as_text(worth, 0)}"
    figure, axes = new_figure(title if n else "Nobody to contact: it does not pay, or nobody can be ranked")
    axes.plot(curve["customers_contacted"], curve["expected_profit"], color=BLUE, lw=2.5)
    axes.axhline(0, color=GREY, lw=1)
    axes.scatter([n], [worth], color=ORANGE, s=90, zorder=3)
    axes.set(xlabel="Customers contacted, those worth most first", ylabel="Expected profit")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(format_amount)
    return figure
