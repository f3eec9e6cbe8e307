"""How the churn model and the revenue forecast hold over time: rolling origins, beside their peers.

    python tests/benchmarks/rolling_origins.py orders.csv [more.csv ...]
    python tests/benchmarks/rolling_origins.py              the CDNOW log and two simulated shops

Each file is imported as script 1 does it, alone. At every origin, STEP apart back from the last order, all is
done anew from the orders before it: the model is tested on the window that ends there, as script 3 tests it,
and the forecast is the one made where that window began. Prints rows of the tables in docs/Model_Card.md, and
what the coefficients did.
"""

import sys
import warnings
from argparse import ArgumentParser
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from lifetimes.utils import ConvergenceError

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
from churn_peers import HORIZON, orders_of  # noqa: E402
from conftest import find_log, run  # noqa: E402
from nbd import bg_nbd, gamma_gamma, pareto_nbd, summary  # noqa: E402

from common import Settings  # noqa: E402
from pulse.evaluation import from_probability, point_metrics, recency_rule  # noqa: E402
from pulse.features import FEATURES, combine_histories, snapshots  # noqa: E402
from pulse.forecasts import KNOWN  # noqa: E402
from pulse.terms import coefficients  # noqa: E402

churn = import_module("3_churn_model")
STEP = pd.Timedelta(days=30)  # for simulated shops, of which there are many, a horizon
CLEAR = 0.1  # a coefficient beyond it should keep its sign


# --- origins ---


def at_origin(orders: pd.DataFrame, as_of: pd.Timestamp) -> tuple[list[dict], pd.DataFrame]:
    """One row per model: its metrics of churn, and for those that forecast, forecast, low, high and actual; and
    the tested model's coefficients. SystemExit where script 3 would stop, ConvergenceError where a peer does."""
    past = orders[orders["order_date"] < as_of]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        history = combine_histories([snapshots(past, as_of, HORIZON, 1.0)], Settings())
        learned = churn.learn(history, as_of, HORIZON)
    test, forecast = learned.test, learned.forecast[learned.forecast["part"] == KNOWN]
    window, customers = forecast.iloc[-2], summary(past, test["cutoff"].iloc[0]).loc[test.index]
    told = {
        "logistic_regression": from_probability(learned.tested.churn.predict_proba(test[FEATURES])[:, 1]),
        "recency_rule": recency_rule(learned.train, test)[1],
    }
    forecasts = {
        "logistic_regression": window["forecast"],
        "as in the window before": window["naive_last_window"],
        "as a year before": window["naive_year_before"],
    }
    for name, model in (("bg_nbd", bg_nbd), ("pareto_nbd", pareto_nbd)):
        with redirect_stdout(StringIO()):
            none, n = model(customers, HORIZON)
            forecasts[name] = (n * gamma_gamma(customers)).sum()
        told[name] = from_probability(none.clip(1e-6, 1 - 1e-6).to_numpy())
    churned = test["churned"].to_numpy()
    rows = [{"model": name, **point_metrics(churned, answers)} for name, answers in told.items()]
    table = (
        pd.DataFrame(rows).set_index("model").reindex([*told, *(name for name in forecasts if name not in told)])
    )
    table = table.assign(forecast=pd.Series(forecasts), actual=window["actual"])
    table.loc["logistic_regression", ["low", "high"]] = window["low"], window["high"]
    cutoff = test["cutoff"].iloc[0]
    weights = coefficients(learned.tested.churn, learned.train).assign(cutoff=cutoff)
    terms = learned.tested.churn[:-1].transform(learned.train[FEATURES]).to_numpy()
    weights["condition"] = np.linalg.cond(terms[:, terms.std(axis=0) > 0])
    return table.assign(cutoff=cutoff).reset_index().to_dict("records"), weights


def roll(orders: pd.DataFrame, as_of: pd.Timestamp, step: pd.Timedelta) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All origins' rows, and their coefficients."""
    first = orders.loc[orders["completed"] & orders["customer_id"].notna(), "order_date"].min()
    rows: list[dict] = []
    weights, left_out = [], 0
    while as_of - 3 * HORIZON >= first:
        try:
            found, terms = at_origin(orders, as_of)
            rows += found
            weights.append(terms)
        except (SystemExit, ConvergenceError):
            left_out += 1
        as_of -= step
    print(
        f"{left_out} origins left out: too few churned or stayed, or a peer could not be fitted", file=sys.stderr
    )
    return pd.DataFrame(rows), pd.concat(weights)


# --- tables ---


def churn_rows(rows: pd.DataFrame) -> list[str]:
    """Of the card: a model's mean over the origins, and how far its calibration error varied."""
    lines = []
    for name, of_model in rows.dropna(subset="roc_auc").groupby("model", sort=False):
        mean, error = of_model.mean(numeric_only=True), of_model["calibration_error"]
        cells = (
            f"{len(of_model)} | {mean['accuracy']:.3f} | {mean['roc_auc']:.3f} | {mean['log_loss']:.3f} | "
            f"{error.min():.3f} to {error.max():.3f}"
        )
        lines.append(f"| {str(name).replace('_', ' ')} | {cells} |")
    return lines


def forecast_rows(rows: pd.DataFrame) -> list[str]:
    """Of the card: the mean of log (forecast / actual), absolute and with its sign, and how many lay inside."""
    lines = []
    rows = rows[(rows["forecast"] > 0) & (rows["actual"] > 0)]
    for name, of_model in rows.groupby("model", sort=False):
        miss = np.log(of_model["forecast"] / of_model["actual"])
        inside = of_model["actual"].between(of_model["low"], of_model["high"])
        held = f"{inside.sum()} of {len(of_model)} " if of_model["low"].notna().all() else ""
        title = "this forecast" if name == "logistic_regression" else str(name).replace("_", " ")
        lines.append(f"| {title} | {len(of_model)} | {miss.abs().mean():.3f} | {miss.mean():+.3f} | {held}|")
    return lines


def sign_changes(weights: pd.DataFrame) -> list[str]:
    """The terms whose coefficient lay beyond CLEAR on both sides, with its range."""
    span = weights.groupby("feature")["coefficient"].agg(["min", "max"])
    both = span[(span["min"] < -CLEAR) & (span["max"] > CLEAR)]
    return [f"{name} ({low:.2f} to {high:.2f})" for name, low, high in both.itertuples()]


def card(rows: pd.DataFrame, weights: pd.DataFrame) -> dict[str, list[str]]:
    """Rows of the card, by table, from those of roll."""
    return {
        "churn": churn_rows(rows),
        "revenue": forecast_rows(rows),
        "coefficients": [
            f"condition number at most {weights['condition'].max():.0f}; "
            f"of both signs beyond {CLEAR}: {', '.join(sign_changes(weights)) or 'none'}"
        ],
    }


def main() -> None:
    warnings.filterwarnings("ignore", module="lifetimes|autograd")
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    with TemporaryDirectory() as place:
        log = find_log(Path(place))
        shops = {path.stem: ("--import", str(path.resolve())) for path in args.files}
        shops = shops or {"CDNOW": ("--import", str(log)), "Default shop": (), "Erratic shop": ("--erratic",)}
        for title, load in shops.items():
            folder = Path(place, title)
            folder.mkdir()
            done = run("1_data_generation.py", *load, data_dir=folder)
            assert done.returncode == 0, done.stderr
            found = roll(*orders_of(folder), STEP if "--import" in load else HORIZON)
            for table, lines in card(*found).items():
                print(f"\n{title}, {table}", *lines, sep="\n")


if __name__ == "__main__":
    main()
