"""pulse/text_files.py: separator, header, quotation marks and encoding are found as a reader would find them."""

import gzip

import pytest
from opened import read, refusal, texts

from pulse.text_files import swallows

ROWS = [("1", "Bücher, CDs; DVDs"), ("2", 'a "big" one\nin two lines')]
TEXT = 'Nr{0}Gruppe\n1{0}"Bücher, CDs; DVDs"\n2{0}"a ""big"" one\nin two lines"\n'


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-8-sig", "utf8"),
        ("utf-16", None),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "CP1252"),
        ("latin-1", "latin-1"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.TXT.GZ"])
def test_every_separator_and_encoding_gives_the_same_rows(tmp_path, separator, written, said, name):
    content = TEXT.format(separator).encode(written)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
    header, rows = read(tmp_path / name, encoding=said)
    assert header == ["Nr", "Gruppe"]
    assert rows == [(0, n, *row) for n, row in enumerate(ROWS, 2)]


def test_utf16_that_begins_with_its_big_end_is_known_by_its_mark(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeff".encode("utf-16-be") + TEXT.format(";").encode("utf-16-be"))
    assert texts(tmp_path / "a.csv") == ROWS


def test_a_layouts_encoding_counts_where_the_file_is_not_utf8_and_the_users_always(tmp_path, capsys):
    file = tmp_path / "a.csv"
    file.write_bytes("nr,name\n1,Zoë\n".encode("cp1252"))
    assert texts(file, layout_encoding="cp1252") == [("1", "Zoë")]
    assert f"{file} cannot be read as UTF-8: add --encoding cp1252 (or what it is)." in refusal(capsys, file)
    assert "cannot be read as utf-8" in refusal(capsys, file, encoding="utf-8", layout_encoding="cp1252")
    file.write_bytes("nr,name\n1,Zoë\n".encode())
    assert texts(file, layout_encoding="cp1252") == [("1", "Zoë")]
    assert texts(file, encoding="cp1252") == [("1", "ZoÃ«")]


@pytest.mark.parametrize(
    ("content", "encoding", "says"),
    [
        ("nr,größe\n1,2\n".encode("cp1252"), None, "cannot be read as UTF-8"),
        (b"nr,name\n" * 90_000 + "1,Ж\n".encode(), "ascii", "cannot be read as ascii"),
        (b"nr,name\n", "no-such", "--encoding no-such is no encoding"),
        (b"nr,name\n", "rot13", "--encoding rot13 is no encoding"),
        (b"PK\x03\x04" + b"x" * 100, None, "is no text"),
        (b"", None, "has no header"),
        (b"\n\n\n", None, "has no header"),
        (b"x" * 300_000, None, "has no header"),
    ],
)
def test_a_file_that_is_no_such_text_gets_a_sentence(tmp_path, capsys, content, encoding, says):
    (tmp_path / "a.csv").write_bytes(content)
    assert says in refusal(capsys, tmp_path / "a.csv", encoding=encoding)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_line_that_names_the_separator_is_no_row(tmp_path, capsys, mark):
    """No spreadsheet shows it, so it does not count."""
    (tmp_path / "a.csv").write_text(mark + "sep=|\r\na;b|c\r\n1;2|3\r\n", "utf-8", newline="")
    assert read(tmp_path / "a.csv") == (["a;b", "c"], [(0, 2, "1;2", "3")])
    assert capsys.readouterr().out == ""


def test_rows_above_the_header_are_no_orders_and_count_in_row_numbers(tmp_path, capsys):
    title = 'Sales, all shops;;;\r\n"May\r\nand June"\r\n\r\n'
    (tmp_path / "a.csv").write_text(title + "Nr;Datum;Kunde;Betrag\r\n1;2;a;3,50\r\n2;3;b;1,20\r\n", newline="")
    header, rows = read(tmp_path / "a.csv")
    assert header == ["Nr", "Datum", "Kunde", "Betrag"]
    assert rows == [(0, 5, "1", "2", "a", "3,50"), (0, 6, "2", "3", "b", "1,20")]
    assert capsys.readouterr().out == f"Noted     the header of {tmp_path / 'a.csv'} is row 4\n"


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Nr;Betrag\n1;2,50\n2;3,50\n", ["Nr", "Betrag"]),
        ("Nr,Art\n1,a;b;c;d\n2,a;b;c;d\n", ["Nr", "Art"]),
        ('Nr,"a; b; c; d"\n1,2\n', ["Nr", "a; b; c; d"]),
        ("only\n1\n", ["only"]),
        ("\ufeff;Nr ; Kunde;Note;note;\n0;1;a;x;y;\n", ["", "Nr", "Kunde", "Note", "note", ""]),
    ],
)
def test_the_separator_is_the_one_that_rows_agree_on(tmp_path, text, header):
    (tmp_path / "a.csv").write_text(text, "utf-8")
    assert read(tmp_path / "a.csv")[0] == header


@pytest.mark.parametrize(
    ("fields", "quote", "found"),
    [
        (['12" pan', 'a "big" one'], None, ['12" pan', 'a "big" one']),
        (['"Big" pan', "x"], None, ['"Big" pan', "x"]),
        (['"inch', 'inch"'], None, ['"inch', 'inch"']),  # the marks would swallow a row
        (['"a ""big"" one"', "x"], None, ['a "big" one', "x"]),
        (['"quoted"', "x"], "", ['"quoted"', "x"]),
        (['"quoted"', "x"], '"', ["quoted", "x"]),
        (["x", "y"], '"', ["x", "y"]),
    ],
)
def test_quotation_marks_between_tabs_are_inches_unless_all_of_them_enclose(tmp_path, fields, quote, found):
    rows = [f"{n}\t{field}\t{n}.5" for n, field in enumerate(fields)]
    (tmp_path / "a.txt").write_text("\n".join(["order-id\tproduct-name\tprice", *rows, ""]))
    assert texts(tmp_path / "a.txt", quote=quote) == [(f"{n}", text, f"{n}.5") for n, text in enumerate(found)]


def test_a_header_in_quotation_marks_says_that_a_file_with_tabs_is_quoted(tmp_path):
    (tmp_path / "a.tsv").write_text('"nr"\t"name"\n"1"\t"a\tb"\n')
    assert read(tmp_path / "a.tsv") == (["nr", "name"], [(0, 2, "1", "a\tb")])


def test_a_field_swallows_rows_where_its_lines_have_their_separators():
    assert swallows("Big pan,2\n3,pan", ",", 3, place=1)
    assert swallows("pan,2,x\n3,c,4,5\n4,b", ",", 4, place=1)
    assert not swallows("pan,2,x\n3,c,4,5\n4,b", ",", 4, place=2)
    assert not swallows("a, b\nc", ",", 4)
    assert not swallows("a, b, c", ",", 3)
    assert not swallows("1 Main St\nParis, FR", ",", 2)  # in two columns, anything could be
