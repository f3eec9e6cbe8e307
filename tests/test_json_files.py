"""pulse/json_files.py: documents as mongoexport writes them become rows of plain texts, to the last digit."""

import gzip
import json

import pytest
from opened import SECRET, read, refusal

from pulse.json_files import CHUNK

RELAXED = """{"_id":{"$oid":"65a000000000000000000001"},"at":{"$date":"2024-01-31T23:30:00+01:00"},
"n":9007199254740993,"total":{"$numberDecimal":"10.10"},"price":12.50,"paid":true,
"user":{"name":"Zoë","id":7},"note":null}"""
CANONICAL = """{"_id":{"$oid":"65a000000000000000000001"},"at":{"$date":{"$numberLong":"1706740200000"}},
"n":{"$numberLong":"9007199254740993"},"total":{"$numberDecimal":"10.10"},
"price":{"$numberDouble":"12.50"},"paid":true,
"user":{"name":"Zoë","id":{"$numberInt":"7"}},"note":null}"""
HEADER = ["_id", "at", "n", "total", "price", "paid", "user.name", "user.id", "note"]
ROW = (
    *("65a000000000000000000001", "2024-01-31T22:30:00Z", "9007199254740993", "10.10", "12.50"),
    *("true", "Zoë", "7", None),
)


@pytest.mark.parametrize("document", [RELAXED, CANONICAL])
@pytest.mark.parametrize("form", ["{0}\n{0}\n", "{0}{0}", "[{0},{0}]\n", "[\n{0},\n{0}\n]", "\ufeff {0}\r\n{0}"])
@pytest.mark.parametrize("name", ["a.json", "a.ndjson.gz", "a.JSONL"])
def test_both_forms_of_extended_json_give_the_same_rows(tmp_path, document, form, name):
    content = form.replace("{0}", document).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read(tmp_path / name) == (HEADER, [(0, 1, *ROW), (0, 2, *ROW)])


def test_fields_that_some_documents_lack_are_blank_there(tmp_path, capsys):
    """However late they come; lists are left out and named."""
    first = '{"a":1}\n{}\n' + '{"a":1}\n' * 5_000
    (tmp_path / "a.json").write_text(first + '{"b":"two\\nlines","tags":["x"],"c":{"d":{"$binary":{}},"e":[]}}\n')
    header, rows = read(tmp_path / "a.json")
    assert header == ["a", "b"]
    assert rows[0] == (0, 1, "1", None)
    assert rows[1] == (0, 2, None, None)
    assert rows[-1] == (0, 5_003, None, "two\nlines")
    says = f"Noted     {tmp_path / 'a.json'}: lists and the like are left out (c.d, c.e, tags)\n"
    assert capsys.readouterr().out == says


def test_a_long_array_is_read_a_piece_at_a_time(tmp_path):
    documents = [{"n": n, "text": f"{n} [{{" * 99} for n in range(CHUNK // 200)]
    (tmp_path / "a.json").write_text(json.dumps(documents))
    _, rows = read(tmp_path / "a.json")
    assert [row[1:] for row in rows] == [(n + 1, str(n), each["text"]) for n, each in enumerate(documents)]


@pytest.mark.parametrize(
    ("date", "text"),
    [
        ('"2024-01-31T10:00:00.123Z"', "2024-01-31T10:00:00.123000Z"),
        ('"2024-01-31T10:00:00.000+0000"', "2024-01-31T10:00:00Z"),
        ("1706695200000", "2024-01-31T10:00:00Z"),
        ('{"$numberLong":"-1"}', "1969-12-31T23:59:59.999000Z"),
        ('{"$numberLong":"999999999999999"}', "$date 999999999999999"),
        ('"soon"', "$date soon"),
    ],
)
def test_dates_are_iso_8601_in_utc(tmp_path, date, text):
    (tmp_path / "a.json").write_text(f'{{"at":{{"$date":{date}}},"n":1}}')
    assert read(tmp_path / "a.json")[1] == [(0, 1, text, "1")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no document"),
        ("[]", "holds no document"),
        ('{"a":1}\n{"b":"' + SECRET, "document 2 of"),
        ('[{"a":1},{"a":2}', "document 3 of"),  # cut off between two documents
        (f'{{"a":1}}\n{SECRET}\n{{"a":2}}', "document 2 of"),
        (f'[["{SECRET}"]]', "document 1 of"),
        (f'"{SECRET}"', "document 1 of"),
        ('{"a":' * 100_000, "document 1 of"),
        ('{"a":1," a":2}', "two columns a"),
    ],
)
def test_what_is_no_document_gets_a_sentence(tmp_path, capsys, text, says):
    (tmp_path / "a.json").write_text(text)
    assert says in refusal(capsys, tmp_path / "a.json")


def test_a_document_in_another_encoding(tmp_path, capsys):
    (tmp_path / "a.json").write_bytes('{"a":"Zoë"}'.encode("utf-16"))
    assert read(tmp_path / "a.json") == (["a"], [(0, 1, "Zoë")])
    (tmp_path / "a.json").write_bytes('{"a":"Zoë"}'.encode("cp1252"))
    assert read(tmp_path / "a.json", encoding="cp1252") == (["a"], [(0, 1, "Zoë")])
    assert "cannot be read as UTF-8" in refusal(capsys, tmp_path / "a.json")
