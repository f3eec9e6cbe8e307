"""pulse/identity.py: nobody, addresses and their hashes, and the key."""

import hashlib
import hmac
import stat

import pytest

from common import read_settings
from pulse.identity import doubt_customers, find_key, hash_address, hide_addresses, identify, make_key
from pulse.loads import RECORDS

NOBODIES = ["", " ", "0", "0.0", "NULL", "null", "\\N", "nan", "None", "-", "#N/A", " N/A "]


@pytest.mark.parametrize("text", NOBODIES)
def test_what_stands_for_nobody_is_no_customer(text):
    assert identify(text, "k") is None


def test_an_address_becomes_a_keyed_hash_and_other_ids_stay():
    wanted = hmac.new(b"k", b"ann@example.com", hashlib.sha256).hexdigest()[:16]
    assert identify(" Ann@Example.COM ", "k") == identify("ann@example.com", "k") == wanted
    assert identify("ann@example.com", "other") != wanted
    assert [identify(text, "k") for text in (" C1 ", "0007", "00", "Null Ltd")] == ["C1", "0007", "00", "Null Ltd"]


def test_no_address_is_hashed_without_a_key(capsys):
    with pytest.raises(SystemExit) as stopped:
        hash_address("ann@example.com", "")
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "set CUSTOMER_KEY in .env" in said
    assert "ann" not in said


def test_a_message_loses_its_addresses_and_nothing_else():
    said = 'dup "ann.b+c@example.com", (x@y) and E11000 {_id: "a\'b@c.de"}'
    assert "@" not in hide_addresses(said)
    assert hide_addresses("on (ann@example.com), code 5") == "on ((an address)), code 5"
    assert hide_addresses("nothing to hide") == "nothing to hide"


# --- the key ---


def test_a_servers_key_lies_in_its_records(db, settings, monkeypatch):
    assert find_key(db, settings, RECORDS) == ""
    key = make_key(db, settings, RECORDS)
    assert len(key) == 64
    assert make_key(db, settings, RECORDS) == find_key(db, settings, RECORDS) == key
    monkeypatch.setenv("CUSTOMER_KEY", "mine")
    assert make_key(db, read_settings(), RECORDS) == find_key(db, read_settings(), RECORDS) == "mine"


def test_the_embedded_servers_key_is_a_file_that_only_its_user_reads(db, monkeypatch, tmp_path):
    monkeypatch.setenv("MONGO_URI", "")
    settings = read_settings()
    assert find_key(db, settings, RECORDS) == ""
    key = make_key(db, settings, RECORDS)
    assert (tmp_path / "customer_key").read_text() == key
    assert stat.S_IMODE((tmp_path / "customer_key").stat().st_mode) == 0o600
    assert make_key(db, settings, RECORDS) == find_key(db, settings, RECORDS) == key
    assert db[RECORDS].count_documents({}) == 0


# --- doubts ---


@pytest.mark.parametrize(
    ("orders", "says"),
    [
        ([4, *[1] * 16], ""),  # a fifth of 20
        ([5, *[1] * 16], "one customer has 5 of the 21 orders: is Kunde the right column for customers?"),
        ([10, 9], ""),  # too few to tell
        ([1] * 99, ""),
        ([1] * 100, "nobody has two of the 100 orders: is Kunde the right column for customers?"),
        ([2, *[1] * 100], ""),
        ([], ""),
    ],
)
def test_customers_that_look_wrong_are_noted(orders, says, capsys):
    doubt_customers(sum(orders), max(orders, default=0), "Kunde")
    said = capsys.readouterr().out
    assert said == (f"Noted     {says}\n" if says else "")
