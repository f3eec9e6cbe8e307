"""pulse/options.py: what the command lines of the scripts hold, and their --help."""

import re
from argparse import ArgumentTypeError
from importlib import import_module

import pandas as pd
import pytest
from conftest import SCRIPTS

from pulse.layouts import COLUMNS, known_layouts
from pulse.options import ON_ALERT, analysis_parser, as_of_parser, iso_date, parse_arguments


def test_a_date_is_written_year_month_day():
    assert iso_date("2024-02-29") == pd.Timestamp("2024-02-29")
    for wrong in (
        "2023-02-29",
        "31.12.2025",
        "2025-1-1",
        "20250101",
        "1850-01-01",
        "2025-12-31 10:00",
        "today",
        "",
    ):
        with pytest.raises(ArgumentTypeError, match="is no date like 2025-12-31"):
            iso_date(wrong)


@pytest.mark.parametrize("args", [["--as-of", "soon"], ["--no-such-option"], ["more"]])
def test_a_wrong_command_line_is_one_sentence(monkeypatch, capsys, args):
    monkeypatch.setattr("sys.argv", ["script.py", *args])
    with pytest.raises(SystemExit) as stopped:
        parse_arguments(as_of_parser("What it does."))
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.endswith(" (--help lists the options).\n")
    assert error.count("\n") == 1


def test_as_of_is_a_day_or_left_out(monkeypatch):
    monkeypatch.setattr("sys.argv", ["script.py"])
    assert parse_arguments(as_of_parser("What it does.")).as_of is None
    monkeypatch.setattr("sys.argv", ["script.py", "--as-of", "2024-03-01"])
    assert parse_arguments(as_of_parser("What it does.")).as_of == pd.Timestamp("2024-03-01")


def test_only_the_analysis_may_fail_on_an_alert(monkeypatch):
    assert ON_ALERT == 3  # as README says; an error's is 2
    monkeypatch.setattr("sys.argv", ["script.py"])
    assert parse_arguments(analysis_parser("What it does.")).fail_on_alert is False
    monkeypatch.setattr("sys.argv", ["script.py", "--fail-on-alert", "--as-of", "2024-03-01"])
    args = parse_arguments(analysis_parser("What it does."))
    assert (args.fail_on_alert, args.as_of) == (True, pd.Timestamp("2024-03-01"))
    with pytest.raises(SystemExit):
        parse_arguments(as_of_parser("What it does."))


# --- --help ---


@pytest.fixture(params=SCRIPTS)
def help_text(request, monkeypatch, capsys) -> str:
    """What a script prints of itself, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", [request.param, "--help"])
    script = import_module(request.param.removesuffix(".py"))
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert f"python {request.param}" in printed  # an example of its own
    return printed


def test_help_fits_80_columns_and_says_what_a_placeholder_is(help_text):
    assert max(map(len, help_text.splitlines())) <= 80
    placeholders = set(re.findall(r"^  --[a-z-]+ ([A-Z_]+)", help_text, flags=re.MULTILINE))
    assert placeholders <= {"DATE", "DAYS", "NUMBER", "FILE", "NAME", "NAMES", "WORDS", "MARK"}
    for option in re.findall(r"^  --[a-z-]+ DATE +.*\n.*", help_text, flags=re.MULTILINE):
        assert re.search(r"\d{4}-\d\d-\d\d", option)


def test_help_of_an_import_lists_columns_and_layouts(monkeypatch, capsys, generation):
    monkeypatch.setattr("sys.argv", ["1_data_generation.py", "--help"])
    with pytest.raises(SystemExit):
        generation.main()
    listed = re.split(r"[\s,;]+", capsys.readouterr().out)
    assert not {*COLUMNS, *known_layouts()} - set(listed)
