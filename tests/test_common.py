"""common.py: the settings and the console."""

import ast
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from conftest import VARIABLES

from common import (
    ROOT,
    Settings,
    fail,
    fold,
    int_between,
    read_settings,
)

# --- settings ---


def python_beside_env(folder: Path, env_file: str, code: str, **variables: str) -> subprocess.CompletedProcess:
    """Run Python code beside a copy of common.py and a file .env; of our variables only these are set."""
    shutil.copy(ROOT / "common.py", folder)
    (folder / ".env").write_text(env_file)
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def settings_beside_env(folder: Path, env_file: str, **variables: str) -> Settings:
    code = "import dataclasses, common; print(dataclasses.asdict(common.read_settings()))"
    done = python_beside_env(folder, env_file, code, **variables)
    assert done.returncode == 0, done.stderr
    return Settings(**ast.literal_eval(done.stdout))


def test_without_variables_every_setting_has_its_default(tmp_path):
    assert settings_beside_env(tmp_path, "") == Settings()


def test_a_blank_variable_counts_as_not_set(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, " \t")
    assert read_settings() == Settings()


def test_blanks_around_a_value_do_not_count(clean_environment, monkeypatch):
    monkeypatch.setenv("MONGO_DB", " shop ")
    assert read_settings().mongo_db == "shop"


def test_the_environment_goes_before_the_file(tmp_path):
    env_file = "MONGO_DB=of_the_file\nWORKERS=2\nRANGE_ORDERS=5\n"
    found = settings_beside_env(tmp_path, env_file, MONGO_DB="of_the_environment", WORKERS="")
    # a variable that is set but blank takes back what the file says
    assert found == Settings(mongo_db="of_the_environment", workers="", range_orders="5")


def test_settings_are_as_they_are_when_they_are_read(tmp_path):
    """Nothing is read at import: neither the environment nor .env; and .env does not go into the environment."""
    code = """
import os
before = dict(os.environ)
import common
from pathlib import Path
Path(".env").write_text("MONGO_DB=later")
os.environ["WORKERS"] = "3"
settings = common.read_settings()
print(settings.mongo_db, settings.workers, dict(os.environ) == before | {"WORKERS": "3"})
"""
    done = python_beside_env(tmp_path, "MONGO_DB=sooner\n", code)
    assert (done.stdout, done.stderr) == ("later 3 True\n", "")


def test_wrong_settings_do_not_disturb_an_import(tmp_path):
    wrong = {"RANGE_ORDERS": "many", "REPORT_TIMEZONE": "Nowhere", "MONGO_URI": "?", "DATA_DIR": "/dev/null/x"}
    done = python_beside_env(tmp_path, "WORKERS=none\n", "import common", **wrong)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [".env", "common.py"]


def test_settings_that_are_printed_show_no_password(clean_environment, monkeypatch):
    monkeypatch.setenv("MONGO_URI", "mongodb://u:swordfish@host/")
    settings = read_settings()
    assert settings.mongo_uri == "mongodb://u:swordfish@host/"
    assert "swordfish" not in f"{settings} {settings!r} {[settings]}"


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().mongo_db = "other"


def test_every_setting_is_in_the_example_and_the_other_way_round():
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = [found[1] for line in lines if (found := re.match(r"# ([A-Z_]+)=", line))]
    assert sorted(names) == sorted(VARIABLES)


def test_without_an_address_the_database_is_embedded(clean_environment, monkeypatch):
    assert read_settings().embedded
    monkeypatch.setenv("MONGO_URI", "mongodb://host/")
    assert not read_settings().embedded


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ORDERS_COLLECTION", "sales"), ("CUSTOMERS_COLLECTION", "people")),
        *(("ORDER_FIELDS", "total=paid"), ("CUSTOMER_FIELDS", "customer_id=ref")),
    ],
)
def test_each_setting_of_orders_of_ones_own_is_told(clean_environment, monkeypatch, name, value):
    assert read_settings().own_orders == []
    monkeypatch.setenv(name, value)
    assert read_settings().own_orders == [name]


def test_the_default_collections_are_no_orders_of_ones_own(clean_environment, monkeypatch):
    monkeypatch.setenv("ORDERS_COLLECTION", "orders")
    monkeypatch.setenv("CUSTOMERS_COLLECTION", "customers")
    assert read_settings().own_orders == []


def test_data_dir_is_relative_to_the_folder_of_the_scripts(tmp_path):
    assert Settings().data_path == ROOT / "data"
    assert Settings(data_dir=str(tmp_path)).data_path == tmp_path


def test_data_dir_may_begin_with_a_home(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    assert Settings(data_dir="~/shop data").data_path == tmp_path / "shop data"
    assert Settings(data_dir="~").data_path == tmp_path
    assert Settings(data_dir="a~b").data_path == ROOT / "a~b"
    with pytest.raises(SystemExit) as stopped:
        _ = Settings(data_dir="~no-such-user/data").data_path
    assert stopped.value.code == 2
    assert "DATA_DIR=~no-such-user/data names a home that is not known" in capsys.readouterr().err


def test_the_time_zone_is_one_of_the_iana_names(capsys):
    assert Settings().time_zone == ZoneInfo("UTC")
    assert Settings(report_timezone="Pacific/Auckland").time_zone == ZoneInfo("Pacific/Auckland")
    for name in ("pacific/auckland", "PACIFIC/AUCKLAND"):
        assert Settings(report_timezone=name).time_zone == ZoneInfo("Pacific/Auckland")
    assert Settings(report_timezone="utc").time_zone == ZoneInfo("UTC")
    for wrong in ("Mars/Olympus", "../etc/passwd", "Europe", "/", "\0"):  # Europe is a folder of zones
        with pytest.raises(SystemExit) as stopped:
            _ = Settings(report_timezone=wrong).time_zone
        assert stopped.value.code == 2
        assert f"REPORT_TIMEZONE={wrong} is no time zone" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["many", "0", "-5", "1.5", "1e6", "10000000000", "1 000"])
def test_orders_per_range_is_a_whole_number(wrong, capsys):
    assert Settings().orders_per_range == 1_000_000
    with pytest.raises(SystemExit) as stopped:
        _ = Settings(range_orders=wrong).orders_per_range
    assert stopped.value.code == 2
    said = f"Error: RANGE_ORDERS: '{wrong}' is no whole number from 1 to 1000000000.\n"
    assert capsys.readouterr().err == said


# --- the console ---


def test_a_failure_is_one_sentence_on_stderr(capsys):
    with pytest.raises(SystemExit) as stopped:
        fail("This is wrong: do that.")
    assert stopped.value.code == 2
    assert capsys.readouterr() == ("", "Error: This is wrong: do that.\n")


def test_a_line_is_folded_to_fit_a_terminal():
    line = "Noted     " + "left out 3 of 903 orders, over 365 days from all others (x0, x1, x2): --keep-odd-dates"
    assert fold(line, 10, 200) == (
        "Noted     left out 3 of 903 orders, over 365 days from all others (x0, x1, x2):\n"
        "          --keep-odd-dates"
    )
    table = "Month     2024-01         83 orders           1,234.50 refunds              0.00"
    assert fold(table, 10, 80) == table
    path = f"Saved     {'/very/long' * 12}"
    assert fold(path, 10, 80).split() == path.split()
    lines = fold(line, 10, 60).splitlines()
    assert all(len(each) <= 60 and (each.startswith(" " * 10) or each is lines[0]) for each in lines)
    assert fold("Read      1 order", 10, 1) == "Read      1 order"
    assert fold(f"{table}\n{line}", 10, 80) == f"{table}\n{fold(line, 10, 80)}"


# --- what settings and options may hold ---


def test_whole_numbers_have_bounds():
    parse = int_between(2, 10)
    assert [parse("2"), parse("10")] == [2, 10]
    for wrong in ("1", "11", "-3", "2.0", "two", "", "²"):
        with pytest.raises(ArgumentTypeError, match="is no whole number from 2 to 10"):
            parse(wrong)
