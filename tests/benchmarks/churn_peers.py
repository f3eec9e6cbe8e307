"""The tables of docs/Model_Card.md: the churn model beside its peers, in the same run.

    python tests/benchmarks/churn_peers.py

Runs the three scripts on the default shop, on an erratic one and on the CDNOW log. BG/NBD comes from
the library lifetimes; its rows are left out where that is not installed.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from pymongo import MongoClient
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
from conftest import find_log, run_all  # noqa: E402
from nbd import bg_nbd, gamma_gamma, summary  # noqa: E402

from common import Settings  # noqa: E402
from pulse.customer_value import customer_value  # noqa: E402
from pulse.evaluation import MODEL, from_probability, point_metrics  # noqa: E402
from pulse.features import (  # noqa: E402
    FEATURES,
    YEAR,
    add_gaps,
    combine_histories,
    features,
    labelled_features,
    snapshot_at,
    snapshots,
)
from pulse.mongod import embedded_mongod  # noqa: E402
from pulse.orders import read_range  # noqa: E402
from pulse.planning import plan_reading  # noqa: E402

HORIZON = pd.Timedelta(days=import_module("3_churn_model").HORIZON_DAYS)
MODELS = {
    "logistic_regression": "**logistic regression**",
    "gradient_boosting": "gradient boosted trees",
    "bg_nbd": "BG/NBD",
    "recency_rule": "recency rule",
    "majority_class": "majority baseline",
    "informed_judge": "ceiling",
}
METRICS = {  # name: decimals
    **dict.fromkeys(("accuracy", "roc_auc", "average_precision", "brier_score", "log_loss"), 3),
    "calibration_error": 3,
    "lift_top_decile": 2,
}


def orders_of(folder: Path) -> tuple[pd.DataFrame, pd.Timestamp]:
    """The customers' orders in a data folder's embedded database, and as_of."""
    settings = Settings()  # as run_all runs the scripts: the defaults
    with embedded_mongod(folder / "mongodb") as uri, MongoClient(uri) as client:
        db = client[settings.mongo_db]
        reading = plan_reading(db, settings, None)
        orders = pd.concat([read_range(db, reading, where)[0] for where in reading.ranges])
    return orders, reading.as_of


def snapshot(orders: pd.DataFrame, cutoff: pd.Timestamp) -> pd.DataFrame:
    """What the model's features are made of."""
    return snapshot_at(add_gaps(orders.dropna(subset="customer_id")), cutoff, HORIZON)


def evaluation_rows(folder: Path, orders: pd.DataFrame, as_of: pd.Timestamp, population: str) -> list[str]:
    """Rows of the card's evaluation table: one per model."""
    table = pd.read_csv(folder / "churn_model_metrics.csv").query("population == @population")
    found = {model: rows.set_index("metric") for model, rows in table.groupby("model")}
    if find_spec("lifetimes"):
        cutoff = as_of - HORIZON
        known = labelled_features({cutoff: snapshot(orders, cutoff)}, cutoff, HORIZON)
        chance, _ = bg_nbd(summary(orders, cutoff).loc[known.index], HORIZON)
        chosen = known["tenure_days"] >= (HORIZON.days if population == "established" else 0)
        answers = from_probability(chance[chosen].to_numpy())
        found["bg_nbd"] = pd.DataFrame({"value": point_metrics(known.loc[chosen, "churned"].to_numpy(), answers)})
    return [row(model, found[model]) for model in MODELS if model in found]


def row(model: str, of: pd.DataFrame) -> str:
    """A model's row: its metrics, and the 95% intervals of the logistic regression's accuracy and AUC."""
    cells = []
    for name, decimals in METRICS.items():
        cell = f"{of.loc[name, 'value']:.{decimals}f}"
        if model == MODEL and name in ("accuracy", "roc_auc"):
            cell += f" ({of.loc[name, 'low']:.3f} to {of.loc[name, 'high']:.3f})"
        cells.append(cell)
    return f"| {MODELS[model]} | {' | '.join(cells)} |"


def forecast_row(title: str, folder: Path) -> str:
    """The kept-back window's forecast, against what came and against the naive ones."""
    tested = pd.read_csv(folder / "revenue_forecast.csv").iloc[-2]
    off = [tested[name] / tested["actual"] - 1 for name in ("forecast", "naive_last_window", "naive_year_before")]
    amounts = [f"{tested[name]:,.0f}" for name in ("actual", "forecast")]
    between = f"{tested['low']:,.0f} to {tested['high']:,.0f}"
    return f"| {title} | {' | '.join(amounts)} | {between} | {' | '.join(f'{miss:+.1%}' for miss in off)} |"


def value_rows(title: str, orders: pd.DataFrame, as_of: pd.Timestamp) -> list[str]:
    """Of the year before as_of, by what was known at its start: how far off the total was, the rank correlation,
    and the share of customers inside their interval; beside BG/NBD x Gamma-Gamma. None of a shop too young."""
    history = combine_histories([snapshots(orders, as_of, HORIZON, 1.0)], Settings())
    current = features(history.snapshots[as_of], as_of, HORIZON)
    _, test = customer_value(history, current, as_of, HORIZON, 2)
    if test is None or not find_spec("lifetimes"):
        return []
    known, actual = summary(orders, test.cutoff), history.years[test.cutoff]["future_revenue"]
    peer = (bg_nbd(known, YEAR)[1] * gamma_gamma(known))[actual.index]
    rank = peer.corr(actual, method="spearman")
    return [
        f"| {title} | customer value | {test.total:+.1%} | {test.rank:.2f} | {test.inside:.0%} |",
        f"| {title} | BG/NBD x Gamma-Gamma | {peer.sum() / actual.sum() - 1:+.1%} | {rank:.2f} | |",
    ]


def leaky_accuracy(orders: pd.DataFrame, as_of: pd.Timestamp) -> float:
    """Of the usual mistake: churned = away for more than 90 days today, recency among the features."""
    known = features(snapshot(orders, as_of), as_of, HORIZON)
    seen = known[["recency_days", *FEATURES]]
    split = train_test_split(seen, known["recency_days"] > HORIZON.days, test_size=0.3, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(split[0], split[2])
    return model.score(split[1], split[3])


def leaky_row(title: str, folder: Path, orders: pd.DataFrame, as_of: pd.Timestamp) -> str:
    """What the leaky variant claims, and what the same customers' churn was predicted with."""
    honest = pd.read_csv(folder / "churn_model_metrics.csv").set_index(["population", "model", "metric"])["value"]
    model, guess = (honest["all", name, "accuracy"] for name in ("logistic_regression", "majority_class"))
    return f"| {title} | {leaky_accuracy(orders, as_of):.1%} | {model:.1%} | {guess:.1%} |"


def card(title: str, folder: Path, populations: tuple[str, ...] = ("all",)) -> dict[str, list[str]]:
    """Every row of the card that this shop gives, by table."""
    orders, as_of = orders_of(folder)
    tables = {f"{title}, {name}": evaluation_rows(folder, orders, as_of, name) for name in populations}
    tables["Revenue"] = [forecast_row(title, folder)]
    tables["Customer value"] = value_rows(title, orders, as_of)
    tables["The leaky variant"] = [leaky_row(title, folder, orders, as_of)]
    return tables


def main() -> None:
    with TemporaryDirectory() as place:
        log = find_log(Path(place))
        for title, args, populations in (
            ("Default shop", (), ("established", "all")),
            ("Erratic shop", ("--erratic",), ("all",)),
            ("CDNOW", ("--import", str(log)), ("all",)),
        ):
            folder = Path(place, title)
            folder.mkdir()
            run_all(folder, *args)
            for table, rows in card(title, folder, populations).items():
                print(f"\n{table}", *rows, sep="\n")


if __name__ == "__main__":
    main()
