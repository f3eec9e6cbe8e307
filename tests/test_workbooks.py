"""pulse/workbooks.py: the sheets of a workbook that have one header come in together, all cells as texts."""

from datetime import datetime, time
from pathlib import Path
from zipfile import ZipFile

import pytest
from opened import SECRET, read, refusal, texts
from openpyxl import Workbook


def save(path: Path, **sheets: list[list]) -> Path:
    """A workbook with these sheets."""
    book = Workbook(write_only=True)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_are_texts_and_rows_may_be_ragged_and_blank(tmp_path):
    """Cells beyond the header are none of ours; a row that ends early goes on with nothing."""
    rows = [
        ["id", " name ", None, "when", None],
        ["v1.0", 1, None, datetime(2024, 1, 1)],
        [],
        [None, None, None, None, None, "beyond"],
        ["a\nb", 0.1 + 0.2, "#N/A", time(9, 15)],
        [True, 17850.5, " ", 2**53],
    ]
    header, found = read(save(tmp_path / "a.XLSX", one=rows))
    assert header == ["id", "name", "", "when"]
    assert found == [
        (0, 2, "v1.0", "1", None, "2024-01-01 00:00:00"),
        (0, 3, None, None, None, None),
        (0, 4, None, None, None, None),
        (0, 5, "a\nb", "0.3", "#N/A", "09:15:00"),
        (0, 6, "true", "17850.5", " ", str(2**53)),
    ]


def test_sheets_of_one_header_are_read_in_order_and_others_are_named(tmp_path, capsys):
    book = save(
        tmp_path / "a.xlsx",
        empty=[],
        y24=[["id", "amount"], [1, 5]],
        notes=[["id", "remark"], [1, "x"]],
        y25=[["Report"], [], ["amount", "id"], [6, 2], [7, 3]],
    )
    assert read(book) == (["id", "amount"], [(0, 2, "1", "5"), (1, 4, "2", "6"), (1, 5, "3", "7")])
    assert capsys.readouterr().out.splitlines() == [
        f"Noted     sheet notes of {book} has other columns and is left out",
        f"Noted     the header of {book}, sheet y25 is row 3",
    ]
    assert texts(book, sheet="notes") == [("1", "x")]
    assert capsys.readouterr().out == ""
    assert f"{book} has no sheet y26: choose --sheet among empty, y24, notes, y25" in refusal(
        capsys, book, sheet="y26"
    )
    assert "holds no table" in refusal(capsys, book, sheet="empty")


def test_a_workbook_without_cells_holds_no_table(tmp_path, capsys):
    assert "holds no table" in refusal(capsys, save(tmp_path / "a.xlsx", one=[]))


def test_a_sheet_whose_size_is_written_wrongly_is_read_whole(tmp_path):
    save(tmp_path / "a.xlsx", one=[["id", "amount"], [1, 5]])
    with ZipFile(tmp_path / "a.xlsx") as whole, ZipFile(tmp_path / "b.xlsx", "w") as other:
        for name in whole.namelist():
            content = whole.read(name)
            other.writestr(name, content.replace(b"<sheetData>", b'<dimension ref="A1"/><sheetData>'))
    assert texts(tmp_path / "b.xlsx") == [("1", "5")]


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("xl/worksheets/sheet1.xml", b"</sheetData>", b"<"),
        ("xl/workbook.xml", b"</workbook>", b""),
        ("xl/worksheets/sheet1.xml", b"<v>5</v>", b"<v>" + SECRET.encode() + b"</v>"),
    ],
)
def test_a_damaged_workbook_gets_a_sentence(tmp_path, capsys, part, old, new):
    book = Workbook()
    book.active.append(["amount"])
    book.active.append([5])
    book.save(tmp_path / "whole.xlsx")
    with ZipFile(tmp_path / "whole.xlsx") as whole, ZipFile(tmp_path / "a.xlsx", "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            assert name != part or old in content
            damaged.writestr(name, content.replace(old, new) if name == part else content)
    assert f"{tmp_path / 'a.xlsx'} cannot be read" in refusal(capsys, tmp_path / "a.xlsx")
