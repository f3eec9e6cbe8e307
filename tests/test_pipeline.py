"""The three scripts as a person runs them: on the default shop, on real orders, on wrong input."""

import csv
import filecmp
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from conftest import SCRIPTS, environment, load_csv, run
from pymongo import MongoClient

from common import ROOT
from pulse.start import typed

GENERATE, ANALYSE, CHURN = SCRIPTS
SEEDS = (42, 1, 2, 3, 4)  # the first is the default one
FIGURES = {
    *("revenue_by_month.png", "segments.png", "rfm_grid.png", "cohort_retention.png", "revenue_drivers.png"),
    *("segment_moves.png", "repurchase.png"),
    *("churn_roc_precision_recall.png", "churn_calibration.png", "churn_confusion_matrix.png"),
    *("churn_odds_ratios.png", "churn_profit_curve.png"),
}


def metric(folder: Path) -> pd.Series:
    """churn_model_metrics.csv as a series indexed by population, model, metric."""
    table = pd.read_csv(folder / "churn_model_metrics.csv")
    return table.set_index(["population", "model", "metric"])["value"]


# --- the default shop ---


def test_the_default_shop_is_of_the_promised_size(shop):
    folder, _ = shop
    assert len(load_csv(folder / "customers.csv")) == 5_000
    quality = pd.read_csv(folder / "data_quality.csv").set_index("check")
    assert quality.loc["status completed, amount 0 or more", "rows"] > 50_000
    kpis = pd.read_csv(folder / "monthly_kpis.csv")
    assert len(kpis) == 36
    assert kpis["is_complete"].all()
    assert {path.name for path in (folder / "figures").iterdir()} == FIGURES
    runs = pd.read_csv(folder / "runs.csv", keep_default_na=False).set_index("script")
    assert (runs[["currency", "time_zone", "shop"]] == ["", "UTC", "simulated, seed 42"]).all(axis=None)
    assert runs["horizon_days"].to_dict() == {ANALYSE: "", CHURN: "90"}


def test_each_script_prints_a_line_per_stage_and_what_comes_next(shop):
    _, printed = shop
    stages = {
        script: [line.split()[0] for line in text.splitlines() if not line.startswith(" ")]
        for script, text in printed.items()
    }
    assert stages[GENERATE] == ["Loaded", "Into", "Next"]
    assert stages[ANALYSE] == ["Read", "Computed", "Checked", "Changed", "Saved", "Next"]
    own_lines = ["Read", "Fitted", "Tested", "Forecast", "Value", "Contact", "Saved", "Next"]
    assert stages[CHURN] == own_lines
    assert ANALYSE in printed[GENERATE].splitlines()[-1]
    assert CHURN in printed[ANALYSE].splitlines()[-1]
    assert re.search(r"5,000 customers and \d\d,\d{3} orders", printed[GENERATE])


def test_the_tables_agree_with_each_other(shop):
    folder, _ = shop
    rfm, kpis, cohorts, drivers, bands, predictions = (
        load_csv(folder / f"{name}.csv")
        for name in (
            "rfm_analysis",
            "monthly_kpis",
            "cohort_retention",
            "revenue_drivers",
            "rfm_score_bands",
            "churn_predictions",
        )
    )
    assert kpis["orders"].sum() == rfm["frequency"].sum() == cohorts["orders"].sum()
    for column in (rfm["monetary"], cohorts["net_revenue"]):
        assert column.sum() == pytest.approx(kpis["net_revenue"].sum(), abs=0.001)
    by_month = drivers.groupby("month")["revenue"].sum().round(2)
    assert by_month.tolist() == kpis["gross_revenue"].tolist()
    assert (
        len(rfm) == kpis["new_customers"].sum() == cohorts[cohorts["months_since_first"] == 0]["cohort_size"].sum()
    )
    assert (bands.groupby("metric")["customers"].sum() == len(rfm)).all()
    by_customer = predictions.sort_values("customer_id").reset_index(drop=True)
    assert by_customer[["customer_id", "segment"]].equals(rfm[["customer_id", "segment"]])
    forecast = pd.read_csv(folder / "revenue_forecast.csv")
    coming = forecast[forecast["actual"].isna()].set_index("part")["forecast"]
    assert predictions["expected_revenue"].sum() == pytest.approx(coming["known customers"], abs=0.001)
    assert coming["all"] == pytest.approx(coming.drop("all").sum(), abs=0.02)
    value = load_csv(folder / "customer_value.csv")
    assert sorted(value["customer_id"]) == sorted(predictions["customer_id"])
    last = cohorts[cohorts["activity_month"] == cohorts["activity_month"].max()]
    paid = (last["cumulative_revenue_per_customer"] * last["cohort_size"]).sum()
    assert paid == pytest.approx(rfm["monetary"].sum(), rel=1e-4)


def test_retention_starts_high_and_levels(shop):
    """The simulated shop's retention is that of its documented process, not of a random walk."""
    cohorts = pd.read_csv(shop[0] / "cohort_retention.csv")
    sums = cohorts.groupby("months_since_first")[["active_customers", "cohort_size"]].sum()
    rate = sums["active_customers"] / sums["cohort_size"]
    assert rate[0] == 1
    assert 0.5 < rate[1] < 0.75
    assert 0.4 < rate[12] < rate[1]
    assert abs(rate[24] - rate[12]) < 0.05


def test_the_last_month_ends_with_the_segments_of_today(shop):
    """as_of is a month's end: who moved in it moved from the segment before to that of today."""
    rfm, moves = (load_csv(shop[0] / f"{name}.csv") for name in ("rfm_analysis", "segment_moves"))
    assert sorted(set(moves["month"])) == [f"2025-{month:02}-01" for month in range(1, 13)]
    last = moves[moves["month"] == "2025-12-01"].set_index(["from_segment", "to_segment"])["customers"]
    today = rfm.fillna({"previous_segment": "New"}).groupby(["previous_segment", "segment"]).size()
    assert last.to_dict() == today.to_dict()


def test_customers_months_are_those_of_the_other_tables(shop):
    months, customers, rfm = (
        load_csv(shop[0] / f"{name}.csv") for name in ("customer_months", "customers", "rfm_analysis")
    )
    assert len(months) == 50_983
    assert months[["customer_id", "month"]].equals(
        months[["customer_id", "month"]].sort_values(["customer_id", "month"])
    )
    by_customer = months.groupby("customer_id").agg(
        {"orders": "sum", "net_revenue": "sum", "last_order_date": "max"}
    )
    by_customer = by_customer[by_customer["orders"] > 0].round(2)
    known = rfm.set_index("customer_id")
    assert by_customer["orders"].to_dict() == known["frequency"].to_dict()
    assert by_customer["net_revenue"].to_dict() == known["monetary"].to_dict()
    assert by_customer["last_order_date"].to_dict() == known["last_order_date"].to_dict()
    first = months[months["orders"] > 0].groupby("customer_id")["month"].min()
    assert customers.set_index("customer_id")["cohort_month"].dropna().to_dict() == first.to_dict()


@pytest.mark.slow
def test_the_scripts_run_from_any_folder_and_with_nothing_but_their_files(tmp_path):
    """A copy of the scripts, common.py and pulse/ in a folder with a space and accents, called from elsewhere."""
    home = tmp_path / "my shop é"
    shutil.copytree(ROOT / "pulse", home / "pulse")
    for name in (*SCRIPTS, "common.py"):
        shutil.copy(ROOT / name, home)
    env = environment(tmp_path) | {"DATA_DIR": ""}
    command = [sys.executable, home / GENERATE, "--customers", "200", "--years", "1"]
    subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([sys.executable, home / ANALYSE], env=env, cwd=tmp_path, check=True, capture_output=True)
    assert (home / "data" / "rfm_analysis.csv").exists()


@pytest.fixture(scope="module")
def seeds(shop, tmp_path_factory) -> dict[int, Path]:
    """The default shop, and with four other SEEDS, through script 3: the data folders."""
    folders = {seed: tmp_path_factory.mktemp(f"seed{seed}") for seed in SEEDS[1:]}
    for seed, folder in folders.items():
        for script, args in ((GENERATE, ["--seed", str(seed)]), (CHURN, [])):
            done = run(script, *args, data_dir=folder)
            assert done.returncode == 0, done.stderr
    return folders | {SEEDS[0]: shop[0]}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_out_of_time_accuracy_beats_every_baseline(seeds, seed):
    """Established customers, default data: above 99%, the majority class and the best recency rule, and
    within a point of the ceiling, trees that are told who has lapsed."""
    value = metric(seeds[seed])["established"]
    model = value["logistic_regression"]
    assert model["accuracy"] > 0.99
    assert model["accuracy"] > value["recency_rule", "accuracy"]
    assert model["accuracy"] > value["majority_class", "accuracy"]
    assert model["accuracy"] >= value["informed_judge", "accuracy"] - 0.01
    assert model["roc_auc"] >= 0.995
    assert metric(seeds[seed])["all", "logistic_regression", "calibration_error"] < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("part", ["known customers", "all"])
def test_the_revenue_forecast_beats_the_naive_ones(seeds, part):
    closer = 0
    for folder in seeds.values():
        table = pd.read_csv(folder / "revenue_forecast.csv")
        window = table[table["part"] == part].iloc[-2]  # the kept-back one
        forecasts = window[["forecast", "naive_last_window", "naive_year_before"]].astype(float)
        miss = (forecasts / window["actual"] - 1).abs()
        assert miss["forecast"] < 0.1
        assert window["low"] < window["actual"] < window["high"]
        closer += miss["forecast"] == miss.min()
    assert closer >= 4


@pytest.mark.slow
def test_an_erratic_shop_is_hard_to_predict_and_the_report_says_so(shop, erratic):
    folder, printed = erratic
    regular, erratic = metric(shop[0])["all"], metric(folder)["all"]
    for name in ("accuracy", "roc_auc"):
        for model in ("logistic_regression", "informed_judge"):
            assert erratic[model, name] < regular[model, name] - 0.05
        assert erratic["logistic_regression", name] < erratic["informed_judge", name]
    assert erratic["logistic_regression", "calibration_error"] < 0.04
    assert erratic["logistic_regression", "roc_auc"] > erratic["gradient_boosting", "roc_auc"] - 0.005
    ceiling = f"{erratic['informed_judge', 'accuracy']:.1%} {erratic['informed_judge', 'roc_auc']:.3f}"
    assert re.search(rf"ceiling: told who has lapsed +{ceiling}", printed[CHURN])


# --- real orders ---


@pytest.mark.slow
def test_cdnow_rfm_is_a_plain_groupby_of_the_file(cdnow, cdnow_log):
    log = pd.read_csv(cdnow_log, dtype={"customer_id": str})
    plain = log.groupby("customer_id").agg(
        last_order_date=("order_date", "max"), frequency=("order_id", "size"), monetary=("amount", "sum")
    )
    rfm = load_csv(cdnow[0] / "rfm_analysis.csv").set_index("customer_id")
    assert (len(rfm), rfm["frequency"].sum()) == (2_357, 6_919)
    assert "0001" in rfm.index
    assert rfm.index.tolist() == plain.index.tolist()
    assert rfm["frequency"].equals(plain["frequency"])
    assert rfm["last_order_date"].tolist() == plain["last_order_date"].tolist()
    assert rfm["monetary"].tolist() == plain["monetary"].round(2).tolist()


@pytest.mark.slow
def test_cdnow_cohorts_are_a_plain_groupby_of_the_file(cdnow, cdnow_log):
    log = pd.read_csv(cdnow_log, dtype={"customer_id": str})
    log["activity_month"] = log["order_date"].str[:7] + "-01"
    log["cohort_month"] = log.groupby("customer_id")["activity_month"].transform("min")
    plain = log.groupby(["cohort_month", "activity_month"])["customer_id"].nunique()
    cohorts = pd.read_csv(cdnow[0] / "cohort_retention.csv")
    sizes = cohorts[cohorts["months_since_first"] == 0]["cohort_size"]
    assert (len(sizes), sizes.sum()) == (3, 2_357)
    found = cohorts.set_index(["cohort_month", "activity_month"])["active_customers"]
    assert found[found > 0].to_dict() == plain.to_dict()
    assert len(found) == 18 + 17 + 16


@pytest.mark.slow
def test_cdnow_churn_is_reported_as_hard_as_it_is(cdnow):
    folder, printed = cdnow
    value = metric(folder)["all"]
    model = value["logistic_regression"]
    assert model["roc_auc"] >= 0.83
    assert model["roc_auc"] >= value.xs("roc_auc", level="metric").max() - 0.005
    assert model["calibration_error"] <= 0.05
    assert "informed_judge" not in value.index.get_level_values("model")  # nobody knows the truth of a real shop
    accuracy, majority = value["logistic_regression", "accuracy"], value["majority_class", "accuracy"]
    assert accuracy == pytest.approx(0.89, abs=0.01)
    assert majority == pytest.approx(0.873, abs=0.001)
    assert re.search(rf"logistic regression +{accuracy:.1%} {model['roc_auc']:.3f}", printed[CHURN])
    assert re.search(rf"majority baseline +{majority:.1%} 0.500", printed[CHURN])


# --- wrong input: one sentence, exit code 2, and what was there stays ---


def assert_sentence(done: subprocess.CompletedProcess, *parts: str) -> None:
    """The script stopped with exit code 2 and one line that holds these parts."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.fixture
def call(tmp_path, clean_environment, monkeypatch, capsys):
    """As `run`, in this process, for a script that is to stop: no second is spent on its imports."""

    def within(script: str, *args: str, **variables: str) -> subprocess.CompletedProcess:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", [script, *args])
        with pytest.raises(SystemExit) as stopped:
            import_module(script.removesuffix(".py")).main()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(script, stopped.value.code, out, err)

    return within


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("localhost", marks=pytest.mark.slow),  # it is waited for
        "mongodb://ann:sec:ret@localhost",
        "mongodb://ann:secr@et@localhost",
        "mongodb://ann:sec/ret@localhost",
        "mongodb://ann:secret@localhost:port",
        "mongodb+srv://<user>:<secret>@<cluster>.mongodb.net/?retryWrites=true&w=majority",
    ],
)
def test_a_wrong_uri(call, address):
    done = call(GENERATE, MONGO_URI=address)
    assert_sentence(done, "MONGO_URI")
    assert "sec" not in done.stderr + done.stdout


def test_a_server_that_does_not_answer(tmp_path):
    uri = "mongodb://ann:secret%2F9%3A%25%40@127.0.0.1:1/?authSource=shop&serverSelectionTimeoutMS=500"
    done = run(ANALYSE, data_dir=tmp_path, MONGO_URI=uri)
    assert_sentence(done, "MongoDB at 127.0.0.1:1 does not answer", "MONGO_URI")
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("script", [ANALYSE, CHURN])
def test_an_empty_database_or_scripts_out_of_order(tmp_path, script):
    assert_sentence(run(script, data_dir=tmp_path), "orders", "empty", f"{typed(ROOT / GENERATE)} first")
    assert list(tmp_path.glob("*.csv")) == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_unwritable_data_folder(call, tmp_path, script):
    (tmp_path / "file").touch()
    assert_sentence(
        call(script, DATA_DIR=str(tmp_path / "file" / "data")), str(tmp_path / "file" / "data"), "DATA_DIR"
    )


@pytest.mark.parametrize(
    ("script", "args", "says"),
    [
        (GENERATE, ["--colour", "red"], "--colour"),
        (GENERATE, ["--customers", "0"], "'0' is no whole number from 1 to"),
        (GENERATE, ["--customers", "many"], "'many' is no whole number from 1"),
        (GENERATE, ["--years", "-1"], "'-1' is no whole number from 1"),
        (GENERATE, ["--seed", "-1"], "'-1' is no whole number from 0"),
        (GENERATE, ["--years", "2025"], "'2025' is no whole number from 1 to 50"),
        (GENERATE, ["--end-date", "0001-01-01"], "'0001-01-01' is no date"),
        (GENERATE, ["--dates", "guess"], "--dates"),
        (GENERATE, ["--end-date", "31.12.2025"], "'31.12.2025' is no date like 2025-12-31"),
        (GENERATE, ["--import"], "--import"),
        (GENERATE, ["--import", "nowhere.csv"], "nowhere.csv cannot be opened"),
        (ANALYSE, ["--as-of", "yesterday"], "'yesterday' is no date"),
        (CHURN, ["--as-of", "2025-02-30"], "'2025-02-30' is no date"),
        (CHURN, ["extra"], "extra"),
    ],
)
def test_a_wrong_command_line(call, tmp_path, script, args, says):
    assert_sentence(call(script, *args), says)
    assert list(tmp_path.iterdir()) == []


def test_a_time_zone_that_is_none(shop):
    done = run(ANALYSE, data_dir=shop[0], REPORT_TIMEZONE="Mars/Olympus")
    assert_sentence(done, "REPORT_TIMEZONE=Mars/Olympus", "Europe/Paris")


@pytest.mark.slow
def test_an_as_of_after_the_last_order(shop):
    assert_sentence(run(CHURN, "--as-of", "2026-01-02", data_dir=shop[0]), "end before 2026-01-01")


@pytest.mark.slow
def test_an_as_of_before_the_first_order(shop):
    before = (shop[0] / "rfm_analysis.csv").read_bytes()
    assert_sentence(run(ANALYSE, "--as-of", "2020-01-01", data_dir=shop[0]), "2020-01-01")
    assert (shop[0] / "rfm_analysis.csv").read_bytes() == before


@pytest.mark.slow
def test_too_short_a_history_writes_no_half_made_csvs(tmp_path, uri):
    settings = {"MONGO_URI": uri, "MONGO_DB": "short"}
    assert run(GENERATE, "--customers", "50", "--years", "1", data_dir=tmp_path, **settings).returncode == 0
    done = run(CHURN, "--as-of", "2025-07-01", data_dir=tmp_path, **settings)
    assert_sentence(done, "needs 270")
    assert list(tmp_path.glob("*.csv")) == []


@pytest.mark.slow
def test_too_few_who_churned_write_no_half_made_csvs(tmp_path, uri):
    settings = {"MONGO_URI": uri, "MONGO_DB": "few"}
    assert run(GENERATE, "--customers", "100", data_dir=tmp_path, **settings).returncode == 0
    done = run(CHURN, data_dir=tmp_path, **settings)
    assert_sentence(done, "customers churned within the horizon", "times as many customers", "--horizon")
    assert list(tmp_path.glob("*.csv")) == []


def test_a_wrong_file_leaves_the_loaded_orders(tmp_path, uri):
    settings = {"MONGO_URI": uri, "MONGO_DB": "kept"}
    assert run(GENERATE, "--customers", "50", "--years", "1", data_dir=tmp_path, **settings).returncode == 0
    with MongoClient(uri) as client:
        before = list(client["kept"].orders.find())
        (tmp_path / "bad.csv").write_text(
            "order_id,customer_id,order_date,amount\n1,a,2024-01-01,5\n1,a,2024-01-02,5\n"
        )
        assert_sentence(
            run(GENERATE, "--import", str(tmp_path / "bad.csv"), data_dir=tmp_path, **settings), "row 3"
        )
        assert list(client["kept"].orders.find()) == before


HOSTILE = [
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@x",
    "a\nb",
    'say "hi", ok',
    "\0",
    "x" * 10_000,
    "\u202eabc",
    "🎉 café",
    "$a.b",
    "a\rb",
]


@pytest.mark.slow
def test_hostile_ids_and_texts_come_out_as_the_same_rows(tmp_path, uri):
    """In MongoDB, as ids, countries, channels and categories; amounts and dates that are none are counted."""
    with MongoClient(uri) as client:
        orders = client["hostile"].orders
        day = datetime(2024, 5, 1)
        orders.insert_many(
            {
                **{
                    "_id": f"{n}/{k}",
                    "customer_id": text,
                    "order_date": day + timedelta(days=13 * k),
                    "total": 10.0,
                },
                **{"country": text, "channel": text, "$x.y": text},
                "items": [{"category": text, "quantity": 1, "unit_price": 10.0}],
            }
            for n, text in enumerate(HOSTILE)
            for k in range(7)
        )
        for n, (when, amount) in enumerate(
            [(day, float("nan")), (day, float("inf")), (datetime(1, 1, 1), 1.0), (datetime(9999, 12, 31), 1.0)]
        ):
            orders.insert_one({"_id": n, "customer_id": "odd", "order_date": when, "total": amount})
    settings = {"MONGO_URI": uri, "MONGO_DB": "hostile", "CUSTOMER_KEY": "k"}  # @x is an address
    done = run(ANALYSE, "--as-of", "2024-07-21", data_dir=tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    rfm = load_csv(tmp_path / "rfm_analysis.csv").set_index("customer_id")
    assert len(rfm) == len(HOSTILE)
    assert (rfm["frequency"] == 7).all()
    left_out = pd.read_csv(tmp_path / "data_quality.csv").set_index("check")["rows"]
    assert left_out["no readable order_date"] == 2
    assert left_out["no readable total"] == 2
    drivers = pd.read_csv(tmp_path / "revenue_drivers.csv")
    assert drivers["revenue"].sum() == 10 * 7 * len(HOSTILE)
    for path in tmp_path.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as lines:
            rows = list(csv.reader(lines))
        assert len(rows) == path.read_bytes().count(b"\n")
        assert {len(row) for row in rows} == {len(rows[0])}
        texts = [cell for row in rows for cell in row if cell and not re.fullmatch(r"-?[\d.]+", cell)]
        assert not [cell for cell in texts if cell[0] in "=+-@\t\r"]


@pytest.mark.slow
def test_orders_of_ones_own_are_read_and_nothing_is_written(tmp_path, uri, shop):
    """Any field layout, by a name for each; step 1 refuses, steps 2 and 3 leave the database as it was."""
    settings = {"MONGO_URI": uri, "MONGO_DB": "own"}
    assert run(GENERATE, data_dir=tmp_path, **settings).returncode == 0
    with MongoClient(uri) as client:
        own = client["own"]
        rename = {
            "customer_id": "$customer_id",
            "at": "$order_date",
            "paid": {"$toDecimal": "$total"},
            "state": "$status",
        }
        columns = rename | {"channel": 1, "items": 1}
        own.orders.aggregate([{"$sort": {"total": 1}}, {"$project": columns}, {"$out": "sales"}])  # in any order
        own.customers.rename("people")
        for name in ("orders", "simulation_truth", "pulse_loads"):
            own.drop_collection(name)
        before = {name: client["own"][name].count_documents({}) for name in own.list_collection_names()}
        mapping = {
            "ORDERS_COLLECTION": "sales",
            "CUSTOMERS_COLLECTION": "people",
            "ORDER_FIELDS": "order_date=at, total=paid, status=state",
        }
        assert_sentence(run(GENERATE, data_dir=tmp_path, **settings, **mapping), "ORDERS_COLLECTION", "own")
        for script in (ANALYSE, CHURN):
            done = run(script, data_dir=tmp_path, **settings, **mapping)
            assert done.returncode == 0, done.stderr
        assert {name: own[name].count_documents({}) for name in own.list_collection_names()} == before
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert set(runs.pop("shop")) == {"own.sales"}
    assert runs.equals(pd.read_csv(shop[0] / "runs.csv").drop(columns="shop"))
    names = {path.name for path in shop[0].glob("*.csv")} - {"churn_model_metrics.csv", "runs.csv"}
    _, different, missing = filecmp.cmpfiles(shop[0], tmp_path, names, shallow=False)
    assert (different, missing) == ([], [])
    assert metric(tmp_path).equals(
        metric(shop[0]).drop("informed_judge", level="model")
    )  # nobody knows this truth


def test_a_database_of_another_origin_stays(tmp_path, uri):
    with MongoClient(uri) as client:
        client["theirs"].orders.insert_one({"_id": 1})
        done = run(GENERATE, data_dir=tmp_path, MONGO_URI=uri, MONGO_DB="theirs")
        assert_sentence(done, "orders", "theirs", "name another database in MONGO_DB")
        assert client["theirs"].list_collection_names() == ["orders"]
        assert list(client["theirs"].orders.find()) == [{"_id": 1}]


def test_no_mongod_anywhere(tmp_path):
    """An interpreter that sees every package but the bundled mongod, and an empty PATH."""
    code = (
        "import sys, runpy; sys.modules['fiftyone'] = None; sys.argv = sys.argv[1:];"
        f"sys.path.insert(0, {str(ROOT)!r}); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    env = environment(tmp_path, PATH="")
    command = [sys.executable, "-c", code, ROOT / ANALYSE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert_sentence(done, "MONGO_URI", "install MongoDB")


def test_a_mongod_that_does_not_start(tmp_path):
    """A mongod on the PATH goes first; this one lacks a library, and says so."""
    binary = tmp_path / "bin" / "mongod"
    binary.parent.mkdir()
    binary.write_text(
        "#!/bin/sh\necho 'mongod: error while loading shared libraries: libcurl.so.4' >&2\nexit 127\n"
    )
    binary.chmod(0o755)
    done = run(ANALYSE, data_dir=tmp_path / "data", PATH=f"{binary.parent}{os.pathsep}{os.environ['PATH']}")
    assert_sentence(done, str(binary), "libcurl.so.4", "MONGO_URI")
