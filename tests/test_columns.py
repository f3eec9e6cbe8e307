"""pulse/columns.py: fields of MongoDB, whatever their types, as the columns of a table."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from bson import Decimal128, Int64, ObjectId

from pulse.columns import ITEM, LISTS, parse_mapping, read_columns, readable_as_they_are, to_local_time

DAY = datetime(2024, 3, 5, 12)


def test_fields_of_the_usual_types_are_read_as_when_the_server_converts_them(db):
    line = {"category": "x", "quantity": 2, "unit_price": 1.5}
    values = {
        "text": ["a", "", None, "\u00e9", "a"],
        "day": [DAY, None, datetime(1, 1, 1), datetime(9999, 12, 31)],
        "number": [1, 2.5, True, None, Int64(2**60), float("nan"), float("-inf")],
        "items": [[line, line], [], None, [{}], [{"category": None, "unit_price": 3}, line], "none", 3, line],
    }
    rows = [{name: value} for name, of in values.items() for value in of] + [{}]
    db.t.insert_many([row | {"nested": row} for row in rows])
    types = {"text": "label", "day": "date", "number": "double", "items": "items"}
    fields = {name: name for name in (*types, *ITEM)}
    nested = fields | {name: f"nested.{name}" for name in types}
    assert (readable_as_they_are(types, fields), readable_as_they_are(types, nested)) == (True, False)
    plain = read_columns(db.t, types, fields)
    converted = read_columns(db.t, types, nested)
    assert len(plain) == len(rows)
    assert [len(lines) for lines in plain["items"]][16:24] == [2, 0, 0, 1, 2, 0, 0, 0]  # what is no list has none
    pd.testing.assert_frame_equal(plain, converted, check_categorical=False)


def test_values_of_any_type_become_what_is_asked_for_or_nothing(db):
    """One value of another type, and the server converts them all."""
    oid = ObjectId()
    mixed = [7, "0007", oid, Int64(2**40), Decimal128("2.50"), None, True, DAY, "2024-03-05", {"a": 1}]
    db.t.insert_many([{"n": n, "text": value, "number": value, "day": value} for n, value in enumerate(mixed)])
    types = {"n": "double", "text": "string", "number": "double", "day": "date"}
    found = read_columns(db.t, types, {name: name for name in types}).sort_values("n")
    texts, numbers, days = (
        [None if pd.isna(value) else value for value in found[name]] for name in list(types)[1:]
    )
    assert texts[:7] == ["7", "0007", str(oid), str(2**40), "2.50", None, "true"]
    assert texts[7:9] == ["2024-03-05T12:00:00.000Z", "2024-03-05"]
    assert numbers[:7] == [7.0, 7.0, None, 2.0**40, 2.5, None, 1.0]
    assert (days[0], days[1], days[5], days[6], days[9]) == (None,) * 5
    assert (days[7], days[8]) == (pd.Timestamp(DAY), pd.Timestamp("2024-03-05"))
    only_texts = read_columns(db.t, {"text": "text"}, {"text": "text"})["text"]
    assert [text for text in only_texts if not pd.isna(text)] == ["0007", "2024-03-05"]


def test_only_the_documents_that_match_are_read(db):
    db.t.insert_many([{"a": n} for n in range(5)])
    for a in ("a", "nested.a"):  # read as they are, and converted by the server
        assert len(read_columns(db.t, {"x": "double"}, {"x": a}, {"a": {"$gte": 3}})) == 2
    assert len(read_columns(db.t, {"x": "double"}, {"x": "a"})) == 5


def test_an_empty_collection_is_a_table_without_rows(db):
    types = {"text": "label", "day": "date", "items": "items"}
    for fields in ({name: name for name in (*types, *ITEM)}, {name: f"n.{name}" for name in (*types, *ITEM)}):
        found = read_columns(db.t, types, fields)
        assert list(found) == list(types)
        assert len(found) == 0


@pytest.mark.parametrize(
    ("types", "fields", "readable"),
    [
        ({"a": "string"}, {"a": "x"}, True),
        ({"a": "string"}, {"a": "x.y"}, False),
        ({"a": "string", "b": "double"}, {"a": "x", "b": "x"}, False),  # a field for two columns
        ({"items": "items"}, {"items": "lines"} | {name: name for name in ITEM}, True),
        ({"items": "items"}, {"items": "order.lines"} | {name: name for name in ITEM} | {"quantity": "qty"}, True),
        ({"a": "string", "items": "items"}, {"a": LISTS[0], "items": "lines"}, False),  # a name of ours
    ],
)
def test_what_the_server_has_to_convert_is_told(types, fields, readable):
    assert readable_as_they_are(types, fields) is readable


def test_a_field_for_two_columns_is_in_both(db):
    db.t.insert_one({"x": 5})
    found = read_columns(db.t, {"a": "string", "b": "double"}, {"a": "x", "b": "x"})
    assert found.to_dict("records") == [{"a": "5", "b": 5.0}]


def test_local_times_follow_the_clock_change():
    utc = pd.Series(pd.to_datetime(["2024-03-31 00:30", "2024-03-31 01:30", None]))
    local = to_local_time(utc, ZoneInfo("Europe/Paris"))
    assert list(local[:2]) == [pd.Timestamp("2024-03-31 01:30"), pd.Timestamp("2024-03-31 03:30")]
    assert pd.isna(local[2])
    assert local.dt.tz is None


def test_a_mapping_is_pairs_of_names(capsys):
    names = ("total", "status")
    assert parse_mapping("", names, "X") == {}
    assert parse_mapping(" total = paid.sum ,, status=a=b, ", names, "X") == {"total": "paid.sum", "status": "a=b"}
    for wrong in ("price=paid", "total", "total=", "=paid"):
        with pytest.raises(SystemExit) as stopped:
            parse_mapping(f"status=state, {wrong}", names, "ORDER_FIELDS")
        assert stopped.value.code == 2
        said = f"ORDER_FIELDS has {wrong!r}: write name=other, with one of total, status as the name."
        assert said in capsys.readouterr().err


def test_a_name_with_a_comma_stands_in_quotes(capsys):
    names = ("amount", "status")
    quoted = parse_mapping('"amount=Total, incl. VAT", status=a=b', names, "--columns")
    assert quoted == {"amount": "Total, incl. VAT", "status": "a=b"}
    with pytest.raises(SystemExit):
        parse_mapping("amount=a,amount=b", names, "--columns")
    assert "--columns has amount twice" in capsys.readouterr().err
