"""pulse/text_rows.py: every line of a file becomes a row, or the script stops and says where it would be lost."""

import csv
import gzip

import pytest
from opened import SECRET, read, refusal, texts

HEADER = "nr,name,amount\n"


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"1,{SECRET},2\n2,b,1,020.00\n", "row 3 of {file} has 4 fields, the header 3"),
        (f"1,{SECRET},1,020.00\n", "row 2 of {file} has 4 fields, the header 3"),
        (f"1,{SECRET},2\n\n2,{SECRET}\n", "row 4 of {file} has 2 fields, the header 3"),
        (f'1,"{SECRET},2\n3,c,4\n', "row 2 of {file} has a quotation mark"),
        (f'0,b,1\n1,"Big" {SECRET},2\n', "row 3 of {file} has a quotation mark"),
        (f'1,"Big pan,2\n2,"{SECRET}",3\n', "row 2 of {file} has a quotation mark"),
        # a mark that nobody closed, up to the next one: DuckDB and Python's csv would read one row
        (f'0,b,1\n1,"{SECRET},2\n2,b,3\n3,pan",4\n5,c,6\n', "row 3 of {file} has a quotation mark"),
        (f'0,"two\nlines",1\n1,"{SECRET},2\r\n3,pan",4\n', "row 3 of {file} has a quotation mark"),
        (f'1,"{SECRET}' + ",2\n3,c,4" * 30_000, "row 2 of {file} has a quotation mark"),
        ("1,b,2\r" + f"2,{SECRET}\rx,3\n", "row 3 of {file} has 2 fields"),
    ],
)
def test_what_would_lose_rows_is_named_with_its_row(tmp_path, capsys, name, text, says):
    file = tmp_path / name
    content = (HEADER + text).encode()
    file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert says.format(file=file) in refusal(capsys, file)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,b,2\n2,b,3\n\n\n", [2, 3]),
        ("1,b,2\n\n2,b,3\n", [2, 4]),
        ("1,b,2\r\n\r\n \r\n2,b,3", [2, 5]),
        ("\n1,b,2\n2,b,3\n", [3, 4]),
        ("1,b,2\r\n2,b,3\n", [2, 3]),  # two files in one
        ("1,b,2\n,,\n2,b,3\n", [2, 4]),
        ("1,b,2,\n2,b,3,\n", [2, 3]),
    ],
)
def test_blank_rows_are_none_but_count_in_row_numbers(tmp_path, text, numbers):
    (tmp_path / "a.csv").write_text(HEADER + text, newline="")
    rows = [row[1:] for row in read(tmp_path / "a.csv")[1] if any(row[2:])]
    assert rows == [(n, *fields) for n, fields in zip(numbers, [("1", "b", "2"), ("2", "b", "3")], strict=True)]


def test_one_column_may_have_blanks(tmp_path):
    (tmp_path / "a.csv").write_text("nr\n1\n\n3\n\n")
    assert [row for row in read(tmp_path / "a.csv")[1] if row[2]] == [(0, 2, "1"), (0, 4, "3")]


def test_a_macs_line_ends_are_line_ends(tmp_path):
    (tmp_path / "a.csv").write_text((HEADER + "1,b,2\n2,b,3\n").replace("\n", "\r"), newline="")
    assert read(tmp_path / "a.csv")[1] == [(0, 2, "1", "b", "2"), (0, 3, "2", "b", "3")]


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("separator", list(",;\t|"))
def test_any_text_in_quotation_marks_is_the_text(tmp_path, separator, quoting):
    hostile = [
        "a\nb",
        "a\r\nb",
        "\r",
        '"',
        '""',
        "'; --",
        ",;|",
        "\\",
        "\u202ea",
        "🎉",
        "\0",
        "x" * 10_000,
        "a, b\nc",
    ]
    rows = [(str(n), text, "1") for n, text in enumerate(hostile)]
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, quoting=quoting).writerows([("nr", "name", "amount"), *rows])
    assert read(tmp_path / "a.csv")[1] == [(0, n, *row) for n, row in enumerate(rows, 2)]


def test_a_field_of_many_separators_and_lines_need_not_be_rows(tmp_path):
    """The referee looks closer, and reads it."""
    (tmp_path / "a.csv").write_text(HEADER + '1,"a, b, c, d\ne, f",2\n2,b,3\n')
    assert texts(tmp_path / "a.csv") == [("1", "a, b, c, d\ne, f", "2"), ("2", "b", "3")]


def test_a_name_of_two_lines_is_a_name(tmp_path):
    (tmp_path / "a.csv").write_text('nr,"na\nme",amount\n1,"b\nc",2\n2,b,3\n')
    assert read(tmp_path / "a.csv") == (
        ["nr", "na\nme", "amount"],
        [(0, 2, "1", "b\nc", "2"), (0, 3, "2", "b", "3")],
    )


def test_a_copy_holds_every_line_break(tmp_path):
    """Blank rows call for a copy; its fields begin with one kind of line break or another."""
    rows = [("1", each, "x") for each in ("\n", "\r", "\r\n", '"\n', "")]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("nr", "name", "amount"), (), *rows])
    assert read(tmp_path / "a.csv")[1][1:] == [
        (0, n, one, name or None, x) for n, (one, name, x) in enumerate(rows, 3)
    ]
