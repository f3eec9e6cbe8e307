"""pulse/exports.py: files written whole or not at all, which no spreadsheet runs; the manifest, the contract."""

import csv
import io
import json
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from common import ROOT
from pulse.exports import (
    atomic_write,
    manifest_row,
    read_manifest,
    require_writable,
    save,
    write_csv,
    write_manifest_row,
)

RUN = {"script": "t", "as_of": "2024-01-01", "orders": "1", "orders_id": "0"}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let this process write no file larger than this: the system stops it halfway, as a full disk does.

    For tests with capsys alone, since pytest may else catch what they print in a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_csv_is_written_whole_or_not_at_all(tmp_path, capsys):
    save(tmp_path, {"t": pd.DataFrame({"a": [1]})}, {}, RUN)
    before = contents(tmp_path)
    assert before["runs.csv"].endswith(b",complete\n")
    with files_up_to(50_000), pytest.raises(SystemExit) as stopped:
        save(tmp_path, {"t": pd.DataFrame({"a": range(100_000)})}, {}, RUN)
    assert stopped.value.code == 2
    assert "t.csv cannot be written" in capsys.readouterr().err
    after = contents(tmp_path)
    assert after.keys() == before.keys()  # no half of a file is left
    assert after["t.csv"] == before["t.csv"]
    assert after["runs.csv"].endswith(b",writing\n")  # the files are not of this run


def test_a_manifest_that_cannot_be_written_stops_before_any_table(tmp_path, capsys):
    save(tmp_path, {"t": pd.DataFrame({"a": [1]})}, {}, RUN)
    before = contents(tmp_path)
    with files_up_to(10), pytest.raises(SystemExit) as stopped:
        save(tmp_path, {"t": pd.DataFrame({"a": [2]})}, {}, RUN)
    assert stopped.value.code == 2
    assert "runs.csv cannot be written" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_figure_is_written_whole_or_not_at_all(tmp_path, capsys):
    save(tmp_path, {}, {"f": Figure()}, RUN)
    before = contents(tmp_path)
    figure = Figure()
    figure.subplots().plot(range(100))
    with files_up_to(6_000), pytest.raises(SystemExit) as stopped:
        save(tmp_path, {}, {"f": figure}, RUN)
    assert stopped.value.code == 2
    assert "f.png cannot be written" in capsys.readouterr().err
    after = contents(tmp_path)
    assert after.keys() == before.keys() == {"runs.csv", "datapackage.json", "figures/f.png"}
    assert after["figures/f.png"] == before["figures/f.png"]


def test_an_error_inside_the_block_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text("after")
        _ = 1 / 0
    assert contents(tmp_path) == {"t.csv": b"before"}


def test_the_same_content_gives_the_same_bytes(tmp_path):
    found = []
    for name in ("a", "b"):
        figure = Figure()
        figure.subplots().plot([1, 2])
        save(tmp_path / name, {"t": pd.DataFrame({"a": [1.5, None], "b": ["x", None]})}, {"f": figure}, RUN)
        found.append(contents(tmp_path / name))
    assert found[0] == found[1]
    assert found[0].keys() == {"t.csv", "figures/f.png", "runs.csv", "datapackage.json"}


def test_a_csv_has_commas_points_and_iso_dates(tmp_path):
    days = pd.to_datetime(["2024-01-05", None])
    table = pd.DataFrame(
        {"day": days, "name": ["é, ü", None], "amount": [1234.5, None], "n": [1, 2], "done": [True, False]}
    )
    write_csv(tmp_path / "t.csv", table)
    expected = 'day,name,amount,n,done\n2024-01-05,"é, ü",1234.5,1,True\n,,,2,False\n'
    assert (tmp_path / "t.csv").read_bytes() == expected.encode()


def test_saving_is_said_with_a_short_path_inside_the_project(tmp_path, capsys):
    save(tmp_path, {"t": pd.DataFrame({"a": [1]})}, {}, RUN)
    assert capsys.readouterr().out == f"Saved     1 CSV files and 0 figures in {tmp_path}\n"
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".pytest_") as inside:
        save(Path(inside), {}, {}, RUN)
        assert capsys.readouterr().out == f"Saved     0 CSV files and 0 figures in {Path(inside).name}\n"


hostile = st.one_of(
    st.text(),
    st.sampled_from(["'=1+1", "''=1+1"]),
    st.sampled_from(
        ["=1+1", "-2", "+3", "@x", "\r=1", "a\nb", "a\r\nb", "\0", '"', "'", ",", "\u202ea", "🎉", "x" * 10_000]
    ),
)


@given(st.lists(hostile, min_size=1))
def test_any_text_comes_back_from_a_csv_and_runs_as_no_formula(texts):
    """Read by pandas and by Python's csv: the same rows, a line each, and different ids stay different."""
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "t.csv", pd.DataFrame({"a": texts, "n": range(len(texts))}))
        raw = (Path(folder) / "t.csv").read_bytes().decode()
    assert raw.count("\n") == 1 + len(texts)
    frame = pd.read_csv(io.StringIO(raw), dtype=str, keep_default_na=False)
    rows = list(csv.DictReader(io.StringIO(raw, newline="")))
    assert [row["a"] for row in rows] == frame["a"].tolist()
    assert frame["n"].tolist() == [str(n) for n in range(len(texts))]
    pictures = {n: 0x2400 + n for n in range(32)} | {127: 0x2421}
    assert frame["a"].nunique() == len({text.translate(pictures) for text in texts})
    for before, after in zip(texts, frame["a"], strict=True):
        assert not after.startswith(("=", "+", "-", "@", "\t", "\r"))
        formula = before.lstrip("'").startswith(("=", "+", "-", "@"))
        plain = after.removeprefix("'") if formula else after
        assert plain.translate({0x2400 + n: n for n in range(32)} | {0x2421: 127}) == before.translate(
            {0x2400 + n: n for n in range(32)} | {0x2421: 127}
        )


def test_zero_has_no_sign(tmp_path):
    """115.28 paid and refunded in two parts comes to 0.0 or -0.0, as the parts are added."""
    write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [-0.0, 0.0, -1.5, None], "b": ["x", None, "y", "z"]}))
    assert (tmp_path / "t.csv").read_text() == "a,b\n0.0,x\n0.0,\n-1.5,y\n,z\n"


def test_a_file_is_moved_to_its_place_and_counted(tmp_path, capsys):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "big.csv").write_text("old")
    (tmp_path / "scratch" / "big.csv").write_text("new")
    save(tmp_path, {"t": pd.DataFrame({"a": [1]})}, {}, RUN, [tmp_path / "scratch" / "big.csv"])
    assert (tmp_path / "big.csv").read_text() == "new"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert capsys.readouterr().out == f"Saved     2 CSV files and 0 figures in {tmp_path}\n"


# --- the manifest ---


@pytest.mark.parametrize("raw", [b"", b"script;as_of\n2;3\n", b"\xff\xfe", b'a\n"b', b"script,as_of\nx,y\n"])
def test_a_runs_csv_that_is_none_of_ours_is_written_anew(tmp_path, raw):
    (tmp_path / "runs.csv").write_bytes(raw)
    assert read_manifest(tmp_path) == {}
    row = manifest_row("2", pd.Timestamp("2024-02-01"), 1, 0)
    save(tmp_path, {}, {}, row)
    nothing_said = dict.fromkeys(("currency", "time_zone", "horizon_days", "shop"), "")
    assert read_manifest(tmp_path) == {"2": row | nothing_said | {"state": "complete"}}


def test_each_script_has_one_row_in_the_manifest(tmp_path):
    assert read_manifest(tmp_path) == {}
    for script, day, orders, orders_id in (
        ("3.py", "2024-02-01", 5, 255),
        ("2.py", "2024-02-01", 5, 255),
        ("3.py", "2024-03-01", 6, 2**64 - 1),
    ):
        row = manifest_row(script, pd.Timestamp(day), orders, orders_id, script == "3.py")
        source = {"currency": "EUR", "time_zone": "UTC", "shop": "=a.orders"}
        save(tmp_path, {}, {}, row | source | ({"horizon_days": "60"} if script == "3.py" else {}))
    assert (tmp_path / "runs.csv").read_text() == (
        "script,as_of,odd_dates,orders,orders_id,currency,time_zone,horizon_days,shop,state\n"
        "2.py,2024-02-01,left out,5,00000000000000ff,EUR,UTC,,'=a.orders,complete\n"
        "3.py,2024-03-01,kept,6,ffffffffffffffff,EUR,UTC,60,'=a.orders,complete\n"
    )


# --- the contract ---


def test_the_contract_lists_the_files_of_complete_runs_of_the_same_orders(tmp_path):
    def saved(script: str, *tables: str, orders: int = 5, **others: str) -> list[str]:
        row = manifest_row(script, pd.Timestamp("2024-02-01"), orders, 7, others.pop("odd_dates", "") == "kept")
        save(tmp_path, {name: pd.DataFrame({"a": [1]}) for name in tables}, {}, row | others)
        return listed()

    def listed() -> list[str]:
        found = json.loads((tmp_path / "datapackage.json").read_text(encoding="utf-8"))["resources"]
        assert all((tmp_path / each["path"]).exists() for each in found)
        return [each["name"] for each in found]

    second, third = "2_data_analysis.py", "3_churn_model.py"
    assert saved(second, "customers", "monthly_kpis", "of_no_entry") == ["customers", "monthly_kpis", "runs"]
    assert saved(third, "campaign", horizon_days="60") == ["customers", "monthly_kpis", "runs", "campaign"]
    both = read_manifest(tmp_path)
    write_manifest_row(tmp_path, both[second] | {"state": "writing"})  # and is killed
    assert listed() == ["runs", "campaign"]
    write_manifest_row(tmp_path, both[third] | {"state": "writing"})
    assert listed() == ["runs"]
    assert saved(second) == ["customers", "monthly_kpis", "runs"]
    assert saved(third) == ["customers", "monthly_kpis", "runs", "campaign"]
    assert saved(second, orders=6) == ["customers", "monthly_kpis", "runs"]
    write_manifest_row(tmp_path, both[third] | {"state": "writing"})
    assert listed() == ["customers", "monthly_kpis", "runs"]
    assert saved(third) == ["runs", "campaign"]
    assert saved(second, odd_dates="kept") == ["customers", "monthly_kpis", "runs"]
    (tmp_path / "customers.csv").unlink()
    assert saved(second) == ["monthly_kpis", "runs", "campaign"]


def test_a_text_in_the_manifest_comes_back_as_it_was(tmp_path):
    save(tmp_path, {}, {}, RUN | {"shop": "NA", "currency": ""})
    assert (read_manifest(tmp_path)["t"]["shop"], read_manifest(tmp_path)["t"]["currency"]) == ("NA", "")


# --- the folder ---


def test_a_folder_is_made_where_there_is_none(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written_to_gets_a_sentence(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        require_writable(tmp_path / "file" / "data")
    assert stopped.value.code == 2
    assert "cannot be written to (Not a directory): make it writable, or set DATA_DIR" in capsys.readouterr().err
