"""pulse/contract.py: the CSV files are as tables.toml says, in datapackage.json and in the documents."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pulse.contract import draw_section, package_json, read_tables, renew_dictionary

KINDS = {  # of a cell that is not blank
    "string": r".+",
    "integer": r"-?\d+",
    "number": r"-?\d+(\.\d+)?(e[-+]?\d+)?",
    "date": r"\d{4}-\d\d-\d\d",
    "boolean": "True|False",
}


@pytest.fixture(scope="module")
def files(shop) -> dict[str, pd.DataFrame]:
    """{table: its file as text}."""
    return {path.stem: pd.read_csv(path, dtype=str, na_filter=False) for path in shop[0].glob("*.csv")}


# --- the files are as it says ---


def test_every_file_has_its_columns_in_order_and_cells_of_their_types(files):
    assert sorted(files) == sorted(read_tables())
    for name, table in read_tables().items():
        assert list(files[name]) == list(table["columns"]), name
        for column, text in table["columns"].items():
            cells = files[name].loc[files[name][column] != "", column]
            assert cells.str.fullmatch(KINDS[text.kind]).all(), f"{name}.{column}"
            if text.kind == "date":
                pd.to_datetime(cells, format="%Y-%m-%d")


def test_keys_tell_rows_apart_and_lead_to_rows(files):
    for name, table in read_tables().items():
        keys = files[name][table["key"]] if "key" in table else files[name].index.to_frame().astype(str)
        assert not keys.duplicated().any(), name
        assert (keys != "").all(axis=None), name
        assert "key" in table or len(files[name]) == 1, name
        for column, other in table.get("refers", {}).items():
            (key,) = read_tables()[other]["key"]
            assert set(files[name][column]) <= set(files[other][key]), f"{name}.{column}"


def test_the_package_of_a_whole_run_lists_every_file(shop):
    text = (shop[0] / "datapackage.json").read_text(encoding="utf-8")
    assert text == package_json(read_tables())
    assert [Path(each["path"]).stem for each in json.loads(text)["resources"]] == list(read_tables())


# --- the package ---


def resources(*names: str) -> dict[str, dict]:
    """{table: its resource in the package of these tables}."""
    return {each["name"]: each for each in json.loads(package_json(names))["resources"]}


def test_a_resource_by_hand():
    assert resources("churn_calibration") == {
        "churn_calibration": {
            "name": "churn_calibration",
            "type": "table",
            "description": "Grain: one row per tenth of the test customers, by rising predicted probability; "
            "those with equal probabilities are shared out evenly. Source: the test at the latest cutoff.",
            "path": "churn_calibration.csv",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "dialect": {"delimiter": ",", "lineTerminator": "\n"},
            "schema": {
                "fields": [
                    {"name": "bin", "type": "integer", "description": "1 (lowest) to 10 (number)"},
                    {"name": "customers", "type": "integer", "description": "How many are in it (customers)"},
                    {
                        "name": "mean_predicted",
                        "type": "number",
                        "description": "Mean of their predicted probabilities (share)",
                    },
                    {
                        "name": "observed_rate",
                        "type": "number",
                        "description": "The share of them that churned (share)",
                    },
                ],
                "primaryKey": ["bin"],
            },
        }
    }


def test_foreign_keys_lead_to_files_that_are_listed():
    assert "foreignKeys" not in resources("cohort_retention")["cohort_retention"]["schema"]
    months = {"resource": "monthly_kpis", "fields": ["month"]}
    assert resources("cohort_retention", "monthly_kpis")["cohort_retention"]["schema"]["foreignKeys"] == [
        {"fields": ["cohort_month"], "reference": months},
        {"fields": ["activity_month"], "reference": months},
    ]
    assert "primaryKey" not in resources("campaign")["campaign"]["schema"]  # one row


# --- the documents ---


def test_a_heading_alone_gets_its_table_and_what_stands_around_it_stays():
    around = (
        "# Title\n\n## Words\n\n| word | meaning |\n| --- | --- |\n| a | b |\n\n{}\n**Grid.** Text:\n\n| | F 1 |\n"
    )
    whole = around.format(draw_section("campaign"))
    assert "| `places` | Decimals of an amount in the orders' currency | number | |\n\n**Grid.**" in whole
    assert renew_dictionary("## campaign.csv\n\n## Words\n") == f"{draw_section('campaign')}\n## Words\n"
    assert renew_dictionary(whole) == whole
    assert renew_dictionary(whole.replace("goods", "wares").replace("Grain: one row", "Old")) == whole
