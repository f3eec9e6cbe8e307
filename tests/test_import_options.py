"""pulse/import_options.py: what script 1's command line takes of files."""

from pathlib import Path

import pytest
from loading import parse_options

from pulse.import_options import refuse_without_files
from pulse.layouts import known_layouts


def test_without_options_nothing_is_said(tmp_path):
    args = parse_options()
    assert args.files is None
    assert vars(args) == {
        **dict.fromkeys(("files", "layout", "sheet", "dates", "decimal", "thousands", "encoding")),
        **dict.fromkeys(("check", "no_order_ids", "accept_rejects"), False),
        **{"columns": {}, "sold": "", "not_sold": ""},
    }


def test_several_files_and_every_option(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    args = parse_options(
        *("--import", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")),
        *("--columns", 'order_id=Nr, "amount=Total, incl. VAT",status=a=b', "--sold", "a,b", "--not-sold", "c d"),
        *("--thousands", " ", "--decimal", ",", "--dates", "day-first", "--layout", "stripe", "--sheet", "2024"),
    )
    assert args.files == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert args.columns == {"order_id": "Nr", "amount": "Total, incl. VAT", "status": "a=b"}
    assert (args.sold, args.not_sold, args.layout, args.sheet) == ("a,b", "c d", "stripe", "2024")
    assert (args.thousands, args.decimal, args.dates) == (" ", ",", "day-first")


def test_layout_list_prints_every_layout_and_ends(capsys):
    with pytest.raises(SystemExit) as ended:
        parse_options("--layout", "list")
    assert ended.value.code == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(known_layouts())


@pytest.mark.parametrize(
    "options",
    [
        ("--import", str(Path("no such file.csv"))),
        ("--import", "."),
        ("--dates", "year-first"),
        ("--decimal", ";"),
        ("--thousands", ";"),
        ("--columns", "order_number=Nr"),
        ("--columns", "order_id=Nr,order_id=No"),
        ("--import",),
    ],
)
def test_wrong_options_stop(options):
    with pytest.raises(SystemExit) as stopped:
        parse_options(*options)
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    "option", [["--sold", "a"], ["--layout", "shopify"], ["--columns", "amount=x"], ["--no-order-ids"]]
)
def test_an_option_of_files_without_one_stops(option, capsys):
    """A simulated shop would take the place of what was loaded."""
    with pytest.raises(SystemExit) as stopped:
        refuse_without_files(parse_options(*option))
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"Error: {option[0]} needs --import FILE: it says how that file is read.\n"
