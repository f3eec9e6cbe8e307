"""pulse/files.py: files of every kind come in, several at once; what cannot be opened gets one sentence."""

import gzip
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from opened import SECRET, read, refusal, texts

from pulse.files import unchanged

HEADER = "order_id,customer_id,order_date,amount\n"
PLAIN = b"order_id,amount\n1,5\n"


@pytest.mark.parametrize("name", ["a[1].csv", "ab?.csv", "it's.csv", "A.CSV", "a[1].parquet", "it's.PARQUET"])
def test_a_files_name_is_no_pattern(tmp_path, name):
    others, this = pd.DataFrame({"order_id": ["9"]}), pd.DataFrame({"order_id": ["1"]})
    for stem in ("a1", "ab1"):
        others.to_csv(tmp_path / f"{stem}.csv", index=False)
        others.to_parquet(tmp_path / f"{stem}.parquet")
    if name.lower().endswith(".csv"):
        this.to_csv(tmp_path / name, index=False)
    else:
        this.to_parquet(tmp_path / name)
    assert read(tmp_path / name) == (["order_id"], [(0, 2, "1")])


def test_parquet_columns_are_known_by_their_place(tmp_path):
    rows = pd.DataFrame({"Kunde": [17850.0, None], 'a "b".c': ["x", "y"], "c0": [1, 2]})
    rows.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == (
        ["Kunde", 'a "b".c', "c0"],
        [(0, 2, "17850.0", "x", "1"), (0, 3, None, "y", "2")],
    )


def test_several_files_follow_each_other_whatever_the_order_of_their_columns(tmp_path):
    (tmp_path / "jan.csv").write_text("order_id,amount,,\n1,5,x,\n2,6,,\n")
    (tmp_path / "feb.txt").write_text("Report\n\namount;order_id\n7;3\n")
    with gzip.open(tmp_path / "mar.csv.gz", "wt") as file:
        file.write("amount\torder_id\n8\t4\n")
    assert read(*(tmp_path / name for name in ("jan.csv", "feb.txt", "mar.csv.gz"))) == (
        ["order_id", "amount", "", ""],
        [
            (0, 2, "1", "5", "x", None),
            (0, 3, "2", "6", None, None),
            (1, 4, "3", "7", None, None),
            (2, 2, "4", "8", None, None),
        ],
    )


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "json"])
def test_several_files_whose_numbers_are_numbers(tmp_path, kind):
    for name, rows in (("a", {"id": ["1"], "n": [5]}), ("b", {"n": [7.5], "id": ["2"]})):
        table = pd.DataFrame(rows)
        if kind == "xlsx":
            table.to_excel(tmp_path / f"{name}.xlsx", index=False)
        elif kind == "parquet":
            table.to_parquet(tmp_path / f"{name}.parquet")
        else:
            table.to_json(tmp_path / f"{name}.json", orient="records")
    assert texts(tmp_path / f"a.{kind}", tmp_path / f"b.{kind}") == [("1", "5"), ("2", "7.5")]


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ("order_id,amount\n", "order_id,total\n", "b.csv lacks a column amount, unlike"),
        ("order_id,amount\n", "order_id,amount,tax\n", "b.csv has a column tax, unlike"),
        ("order_id,amount\n", "order_id,amount,amount\n", "b.csv has two columns amount"),
        ("note,order_id, note\n", "note,order_id\n", "a.csv has two columns note"),
    ],
)
def test_files_whose_columns_differ_cannot_come_together(tmp_path, capsys, first, second, says):
    (tmp_path / "a.csv").write_text(first)
    (tmp_path / "b.csv").write_text(second)
    assert says in refusal(capsys, tmp_path / "a.csv", tmp_path / "b.csv")


def test_text_and_numbers_do_not_mix_and_only_workbooks_have_sheets(tmp_path, capsys):
    (tmp_path / "a.csv").write_bytes(PLAIN)
    (tmp_path / "a.json").write_text('{"order_id":1,"amount":5}')
    assert "cannot come together" in refusal(capsys, tmp_path / "a.csv", tmp_path / "a.json")
    assert "--sheet names a sheet of a workbook" in refusal(capsys, tmp_path / "a.csv", sheet="x")


def pack(path: Path, **files: bytes) -> Path:
    """A zip of these files, with what macOS and its users put beside them."""
    with ZipFile(path, "w") as box:
        box.mkdir("exports")
        for name in ("__MACOSX/a.csv", "exports/.DS_Store", "exports/._a.csv", "exports/terms.pdf"):
            box.writestr(name, b"\0")
        for name, content in files.items():
            box.writestr(f"exports/{name}", content)
    return path


def test_a_zip_of_one_table_is_that_table(tmp_path, capsys):
    pd.DataFrame({"order_id": [1], "amount": [5]}).to_excel(tmp_path / "a.xlsx", index=False)
    (tmp_path / "bad.csv").write_bytes(PLAIN)
    for name, content in (
        ("a.csv", PLAIN),
        ("a [1].CSV.gz", gzip.compress(PLAIN)),
        ("a.xlsx", (tmp_path / "a.xlsx").read_bytes()),
        ("a.jsonl", b'{"order_id":1,"amount":5}'),
    ):
        assert texts(pack(tmp_path / "a.ZIP", **{name: content})) == [("1", "5")]
    ragged = pack(tmp_path / "a.zip", **{"a.csv": PLAIN + f"1,{SECRET},2\n".encode()})
    assert f"row 3 of {ragged}, file a.csv has 3 fields" in refusal(capsys, ragged)


def test_a_zip_of_no_table_or_of_several_is_refused(tmp_path, capsys):
    assert "holds no table" in refusal(capsys, pack(tmp_path / "a.zip"))
    several = pack(tmp_path / "a.zip", **{"a.csv": PLAIN, "b.csv": PLAIN})
    assert "holds 2 tables (exports/a.csv, exports/b.csv)" in refusal(capsys, several)
    locked = pack(tmp_path / "a.zip", **{"a.csv": PLAIN})
    content = bytearray(locked.read_bytes())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b"exports/a.csv"))
    content[place + 8] |= 1  # the bit that says encrypted, in the zip's list
    locked.write_bytes(content)
    assert "asks for a password" in refusal(capsys, locked)


@pytest.mark.parametrize("name", ["a.xls", "a.XLSB", "a.ods"])
def test_other_spreadsheets_are_refused_with_what_to_do(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0")
    assert "save it as .xlsx or CSV" in refusal(capsys, tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("no_file.csv", None),
        ("no_zip.xlsx", HEADER.encode()),
        ("no_zip.zip", HEADER.encode()),
        ("cut.zip", b"PK\x03\x04 cut"),
        ("no_parquet.parquet", HEADER.encode()),
        ("no_gzip.csv.gz", HEADER.encode()),
        ("no_gzip.json.gz", HEADER.encode()),
        ("cut.csv.gz", gzip.compress((HEADER * 9_000).encode(), mtime=0)[:-20]),
        ("late.csv.gz", gzip.compress((HEADER * 90_000).encode(), mtime=0)[:-20]),
        ("damaged.csv.gz", gzip.compress(HEADER.encode(), mtime=0)[:12] + b"\xff" * 20),
    ],
)
def test_a_file_that_cannot_be_opened_gets_a_sentence(tmp_path, capsys, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert f"{tmp_path / name} cannot be read (" in refusal(capsys, tmp_path / name)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz", "a.xlsx"])
def test_a_row_beyond_all_measure_is_named_in_files_of_every_kind(tmp_path, capsys, name):
    long, file = f"{SECRET}{'x' * 2_100_000}", tmp_path / name
    if name.endswith("xlsx"):  # other programs write longer cells than Excel's 32,767 characters
        pd.DataFrame({"order_id": ["1", "LONG"], "amount": ["5", "5"]}).to_excel(tmp_path / "b.xlsx", index=False)
        with ZipFile(tmp_path / "b.xlsx") as box, ZipFile(file, "w") as copy:
            for part in box.namelist():
                copy.writestr(part, box.read(part).replace(b"LONG", long.encode()))
    else:
        content = f'{{"order_id":"1"}}\n{{"order_id":"{long}"}}'.encode()
        file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    row = 3 if name.endswith("xlsx") else 2
    assert f"row {row} of {file}" in (said := refusal(capsys, file))
    assert "has over 2,000,000 characters" in said


@pytest.mark.parametrize("change", ["grows", "shrinks", "goes", "is replaced"])
def test_a_file_that_changes_while_it_is_read_stops_the_script(tmp_path, capsys, change):
    file, other, third = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"
    for path in (file, other, third):
        path.write_bytes(PLAIN)
    with unchanged([other, file]):
        pass
    with pytest.raises(SystemExit) as stopped, unchanged([other, file]):
        if change == "grows":
            file.write_bytes(PLAIN + b"2,5\n")
        elif change == "shrinks":
            file.write_bytes(PLAIN[:-4])
        elif change == "goes":
            file.unlink()
        else:
            third.replace(file)
    assert stopped.value.code == 2
    assert (
        f"{file} changed while it was read: run this again when it is written whole.\n" in capsys.readouterr().err
    )
