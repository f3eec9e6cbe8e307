"""pulse/files.py: CSV, Excel and Parquet files come in as the same texts, whatever their names and quirks."""

import gzip
from datetime import datetime
from pathlib import Path
from zipfile import ZipFile

import duckdb
import pandas as pd
import pytest
from openpyxl import Workbook

from pulse.files import EXCEL_ROWS, open_file

HEADER = "order_id,customer_id,order_date,amount\n"


@pytest.fixture
def con():
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def read(con: duckdb.DuckDBPyConnection, file: Path, encoding: str = "utf-8-sig") -> tuple[list[str], list[tuple]]:
    """The file's header, and its rows as texts."""
    scratch = file.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    header = open_file(con, file, encoding, scratch)
    return header, con.execute("SELECT COLUMNS(*)::VARCHAR FROM file").fetchall()


@pytest.mark.parametrize("name", ["a[1].csv", "ab?.csv", "it's.csv", "A.CSV", "a[1].parquet", "it's.PARQUET"])
def test_a_files_name_is_no_pattern(con, tmp_path, name):
    others, this = pd.DataFrame({"order_id": ["9"]}), pd.DataFrame({"order_id": ["1"]})
    for stem in ("a1", "ab1"):
        others.to_csv(tmp_path / f"{stem}.csv", index=False)
        others.to_parquet(tmp_path / f"{stem}.parquet")
    if name.lower().endswith(".csv"):
        this.to_csv(tmp_path / name, index=False)
    else:
        this.to_parquet(tmp_path / name)
    assert read(con, tmp_path / name) == (["order_id"], [("1",)])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("name", "encoding"), [("a.csv", "utf-8"), ("a.csv.gz", "utf8"), ("a.csv", "cp1252"), ("a.csv.gz", "latin-1")]
)
def test_every_separator_and_encoding_gives_the_same_rows(con, tmp_path, separator, name, encoding):
    rows = [("1", "Bücher, CDs; DVDs"), ("2", 'a "big" one\nin two lines')]
    pd.DataFrame(rows, columns=["Nr", "Gruppe"]).to_csv(
        tmp_path / name, index=False, sep=separator, encoding=encoding
    )
    assert read(con, tmp_path / name, encoding) == (["Nr", "Gruppe"], rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf8", "utf-8-sig", "UTF_8"])
def test_a_header_may_have_anything_in_it(con, tmp_path, encoding):
    """A mark at the start of the file, a name that is empty, twins, spaces, a separator in quotes."""
    file = tmp_path / "orders.csv"
    names = ["", "order_id", "customer_id", "order_date", "amount", "note", "Note", "note"]
    file.write_text(
        '\ufeff;order_id ; customer_id;order_date;amount;note;Note;note;"a, b, c, d, e, f, g, h";\n'
        "0;1;a;2024-01-01;5;x;y;z;;\n",
        "utf-8",
    )
    header, rows = read(con, file, encoding)
    assert header == [*names, "a, b, c, d, e, f, g, h", ""]
    assert rows == [("0", "1", "a", "2024-01-01", "5", "x", "y", "z", None, None)]


def test_excel_rows_may_be_ragged_and_blank(con, tmp_path):
    """Cells beyond the header are none of ours; a row that ends early goes on with nothing."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (
        ["order_id", " customer_id ", None, "order_date"],
        ["v1.0", 1, None, datetime(2024, 1, 1)],
        [None, None, None, None, None, "beyond"],
        ["v1"],
        *([n] for n in range(EXCEL_ROWS)),
    ):
        sheet.append(row)
    book.create_sheet().append(["of", "a", "second", "sheet"])
    book.save(tmp_path / "a.XLSX")
    header, rows = read(con, tmp_path / "a.XLSX")
    assert header == ["order_id", "customer_id", "None", "order_date"]
    assert rows[:3] == [("v1.0", "1", None, "2024-01-01 00:00:00"), (None,) * 4, ("v1", None, None, None)]
    assert [row[0] for row in rows[3:]] == [str(n) for n in range(EXCEL_ROWS)]


def test_parquet_columns_are_known_by_their_place(con, tmp_path):
    rows = pd.DataFrame({"Kunde": [17850.0, None], 'a "b".c': ["x", "y"], "c0": [1, 2]})
    rows.to_parquet(tmp_path / "a.parquet")
    assert read(con, tmp_path / "a.parquet") == (
        ["Kunde", 'a "b".c', "c0"],
        [("17850.0", "x", "1"), (None, "y", "2")],
    )


def test_an_empty_file_has_no_columns(con, tmp_path):
    (tmp_path / "a.csv").touch()
    assert open_file(con, tmp_path / "a.csv", "utf-8", tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "encoding"),
    [
        ("no_file.csv", None, "utf-8"),
        ("no_zip.xlsx", HEADER.encode(), "utf-8"),
        ("no_gzip.csv.gz", HEADER.encode(), "utf-8"),
        ("cut.csv.gz", gzip.compress((HEADER * 9_000).encode())[:-20], "latin-1"),
        ("damaged.csv.gz", gzip.compress(HEADER.encode())[:12] + b"\xff" * 20, "utf-8"),
        ("latin.csv", "Bücher\n".encode("latin-1"), "utf-8"),
        ("late.csv", (HEADER * 9_000 + "Ж\n").encode(), "ascii"),
        ("a.csv", HEADER.encode(), "no-such-encoding"),
        ("long.csv", b"x" * 200_000, "utf-8"),
    ],
)
def test_a_file_that_cannot_be_opened_gets_a_sentence(con, tmp_path, capsys, name, content, encoding):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        read(con, tmp_path / name, encoding)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"Error: {tmp_path / name} cannot be ")
    assert message.count("\n") == 1


def test_an_empty_workbook_has_no_columns(con, tmp_path):
    Workbook().save(tmp_path / "a.xlsx")
    assert open_file(con, tmp_path / "a.xlsx", "utf-8", tmp_path) == []


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("xl/worksheets/sheet1.xml", b"</sheetData>", b"<"),
        ("xl/workbook.xml", b"</workbook>", b""),
        ("xl/worksheets/sheet1.xml", b"<v>5</v>", b"<v>five</v>"),
    ],
)
def test_a_damaged_workbook_gets_a_sentence(con, tmp_path, capsys, part, old, new):
    book = Workbook()
    book.active.append(["amount"])
    book.active.append([5])
    book.save(tmp_path / "whole.xlsx")
    with ZipFile(tmp_path / "whole.xlsx") as whole, ZipFile(tmp_path / "a.xlsx", "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            assert name != part or old in content
            damaged.writestr(name, content.replace(old, new) if name == part else content)
    with pytest.raises(SystemExit) as stopped:
        read(con, tmp_path / "a.xlsx")
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
