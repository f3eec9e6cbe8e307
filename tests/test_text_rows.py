"""pulse/text_rows.py: every line of a file becomes a row, or the script stops and says where it would be lost."""

import csv
import gzip
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from opened import SECRET, read, refusal, texts

from pulse.parts import LONGEST_ROW

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


# --- what DuckDB itself would drop, or say in its own words ---

LINES = [f"{n},b,1\n" for n in range(900)]


def write(path: Path, content: bytes) -> Path:
    """A file as its name says: plain, .gz or .zip."""
    if path.suffix == ".zip":
        with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as box:
            box.writestr("a.csv", content)
    else:
        path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip"])
@pytest.mark.parametrize(
    ("place", "size", "mark"),
    [(900, 33_000_000, ""), (450, 33_000_000, ""), (900, 33_000_000, '"'), (450, 3_000_000, '"')],
)
def test_a_row_beyond_all_measure_is_named(tmp_path, capsys, name, place, size, mark):
    """At the end of a file, DuckDB drops one of over 32 MB."""
    row = f"900,{mark}{SECRET}{'x' * size}{mark},1\n"
    content = HEADER + "".join([*LINES[:place], row, *LINES[place:]])
    file = write(tmp_path / name, content.encode())
    said = refusal(capsys, file)
    assert f"row {place + 2} of {file}" in said
    assert "has over 2,000,000 characters: is a quotation mark not closed there?" in said
    for advice in ("parallel", "max_line_size", "Exception"):
        assert advice not in said


def test_many_long_fields_are_a_long_row_too(tmp_path, capsys):
    names = ",".join(f"x{n}" for n in range(30))
    long = f",{'x' * 80_000}" * 30
    (tmp_path / "a.csv").write_text(f"{HEADER.strip()},{names}\n1,b,2{',' * 30}\n1,b,2{long}\n")
    assert f"row 3 of {tmp_path / 'a.csv'} has over 2,000,000 characters" in refusal(capsys, tmp_path / "a.csv")


@pytest.mark.parametrize("blank", ["", "\n"])
def test_a_long_row_within_measure_is_read(tmp_path, blank):
    """Blank lines call for Python's csv, whose own limit is lower."""
    text = '"é' * (LONGEST_ROW // 4)
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER + blank)
        csv.writer(file).writerow(("1", text, "2"))
    assert texts(tmp_path / "a.csv")[-1] == ("1", text, "2")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zip"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("size", [128, 40 << 20])
@pytest.mark.parametrize("place", [900, 450])
def test_bytes_of_0_in_place_of_text_are_named(tmp_path, capsys, name, encoding, size, place):
    """As a crash, or a copy that broke off, leaves them: to DuckDB, much of it is a part of an id, or nothing."""
    if size > 128 and (name, encoding) != ("a.csv", "utf-8"):
        size = 1 << 20
    content = (HEADER + "".join(LINES[:place])).encode(encoding) + bytes(size)
    content += "".join(LINES[place:]).encode(encoding.replace("16", "16-le"))
    file = write(tmp_path / name, content)
    said = refusal(capsys, file)
    assert f"has bytes of 0 in place of text in line {place + 2}: it is damaged, export it again." in said


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_bytes_of_0_in_the_header_are_another_encoding(tmp_path, capsys, encoding):
    (tmp_path / "a.csv").write_bytes((HEADER + LINES[0]).encode(encoding))
    assert "cannot be read as UTF-8: add --encoding" in refusal(capsys, tmp_path / "a.csv")
    assert texts(tmp_path / "a.csv", encoding=encoding) == [("0", "b", "1")]


@pytest.mark.parametrize(
    ("end", "says"),
    [("900,b", "row 902 of {file} has 2 fields"), ('900,"b', "row 902 of {file} has a quotation mark")],
)
def test_a_file_that_ends_in_a_row_is_not_whole(tmp_path, capsys, end, says):
    (tmp_path / "a.csv").write_text(HEADER + "".join(LINES) + end)
    assert says.format(file=tmp_path / "a.csv") in refusal(capsys, tmp_path / "a.csv")
