"""pulse/addresses.py: names and addresses go into one file outside data/, its owner's alone, and nowhere else."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread

import pandas as pd
import pytest
from conftest import Interruption, load_csv
from pymongo import MongoClient
from test_exports import files_up_to

from common import read_settings
from pulse.addresses import note_readers, private_file, read_addresses, write_addresses
from pulse.identity import hash_address
from pulse.orders import read_customers
from pulse.planning import plan_reading

DAY = datetime(2024, 3, 5)
KEY = "k"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contacts_of(*customers: str) -> pd.DataFrame:
    """churn_predictions.csv of these customers, all of whom are to be contacted."""
    table = {"rank": range(1, len(customers) + 1), "customer_id": pd.array(customers, dtype="str")}
    table |= {"churn_probability": 0.5, "revenue_at_risk": 10.0, "contact_profit": 1.25, "contact": "yes"}
    return pd.DataFrame(table).assign(main_reason="small orders", second_reason=None)


def people_of(**people: tuple) -> pd.DataFrame:
    """What read_addresses finds, from customer_id=(name, email)."""
    frame = pd.DataFrame.from_dict(people, orient="index", columns=["name", "email"], dtype="str")
    return frame.rename_axis("customer_id")


# --- a shop, through script 3 ---


@pytest.fixture
def odd_shop(generation, db, monkeypatch) -> dict[str, tuple]:
    """A simulated shop whose customers are of every kind: {customer_id in the tables: (name, email)} of those
    that have a document; blank is None."""
    monkeypatch.setenv("CUSTOMER_KEY", KEY)
    found, addresses = {}, {}
    for block in generation.simulate(800, pd.Timestamp("2023-01-01"), pd.Timestamp("2024-12-31"), seed=3):
        people = []
        for n, person in enumerate(block["customers"]):
            who = shown = person["_id"]
            if n % 5 == 0:  # the id is an address
                addresses[who] = f"{who}@Example.COM"
                person["_id"], shown = f"{who}@example.com".lower(), hash_address(addresses[who], KEY)
            elif n % 5 == 1:
                person["name"], person["email"] = "=1+1", "+x@example.com"
            elif n % 5 == 2:
                person["name"], person["email"] = 7, ["a@example.com"]
            elif n % 5 == 3:
                continue  # no document
            texts = (value if isinstance(value, str) else None for value in (person["name"], person["email"]))
            people.append(person)
            found[shown] = tuple(texts)
        for order in block["orders"]:
            order["customer_id"] = addresses.get(order["customer_id"], order["customer_id"])
        db.customers.insert_many(people)
        db.orders.insert_many(block["orders"])
    return found


def test_those_to_contact_come_with_name_and_email(churn, odd_shop, monkeypatch, tmp_path, capsys):
    """Equal to a list made by hand; the console, and the files in data/, hold no name and no address."""
    data, file = tmp_path / "data", tmp_path / "out" / "list.csv"
    file.parent.mkdir()
    monkeypatch.setenv("DATA_DIR", str(data))
    monkeypatch.setattr("sys.argv", ["3_churn_model.py", "--with-addresses", str(file)])
    churn.main()
    said = capsys.readouterr()
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    predictions = pd.read_csv(data / "churn_predictions.csv", dtype=str, keep_default_na=False)
    chosen = predictions[predictions["contact"] == "yes"].reset_index(drop=True)
    assert len(chosen) >= 20
    assert list(table)[:4] == ["rank", "customer_id", "name", "email"]
    common = [column for column in table if column not in ("name", "email")]
    pd.testing.assert_frame_equal(table[common], chosen[common])
    assert table["rank"].astype(int).is_monotonic_increasing
    expected = [odd_shop.get(who, (None, None)) for who in chosen["customer_id"]]
    escaped = {"=1+1": "'=1+1", "+x@example.com": "'+x@example.com", None: ""}
    assert [escaped.get(name, name) for name, _ in expected] == table["name"].tolist()
    assert [escaped.get(email, email) for _, email in expected] == table["email"].tolist()
    unknown, blank = sum(who not in odd_shop for who in chosen["customer_id"]), (table["email"] == "").sum()
    assert 0 < unknown < blank < len(table)
    assert f"{len(table):,} customers to contact, with name and email, in {file}" in said.out
    why = f"{unknown:,} have no document in MongoDB, {blank - unknown:,} no address in theirs"
    assert f"Noted     the email of {blank:,} is blank: {why}" in said.out
    assert mode(file) == 0o600
    written = [path for path in data.rglob("*") if path.is_file()]
    assert {"churn_predictions.csv", "runs.csv"} <= {path.name for path in written}
    texts = [said.out, said.err, *(path.read_text("utf-8") for path in written if path.suffix == ".csv")]
    people = {name for name, _ in odd_shop.values() if name}
    assert not any("@" in text or any(name in text for name in people) for text in texts)
    assert [path.name for path in file.parent.iterdir()] == ["list.csv"]


def test_customers_are_read_only_where_the_option_is_given(churn, odd_shop, uri, monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for options, reads in (([], False), (["--with-addresses", str(tmp_path / "list.csv")], True)):
        seen = []
        listener = Interruption("find", lambda: None)
        listener.started = lambda event, seen=seen: seen.append(event.command.get("find"))
        monkeypatch.setattr("sys.argv", ["3_churn_model.py", *options])
        with MongoClient(uri, event_listeners=[listener]) as client:
            shop = churn.read_shop(client["test"], read_settings(), churn.arguments())
        assert ("customers" in seen) == reads
        assert (shop.people is not None) == reads


# --- reading ---


def people_in(db, *customers: dict) -> pd.DataFrame:
    """What read_addresses finds of these documents, beside an order."""
    db.orders.insert_one({"customer_id": "a", "order_date": DAY, "total": 1.0})
    if customers:
        db.customers.insert_many(customers)
    settings = read_settings()
    return read_addresses(db, settings, plan_reading(db, settings, None))


def test_fields_have_any_name_and_lie_anywhere(db, monkeypatch):
    monkeypatch.setenv("CUSTOMER_FIELDS", "customer_id=ref, name=full.name, email=contact.mail")
    people = people_in(db, {"ref": 7, "full": {"name": " Ann "}, "contact": {"mail": " ann@example.com\n"}})
    assert people.loc["7"].tolist() == ["Ann", "ann@example.com"]
    settings = read_settings()
    others = read_customers(db, settings, plan_reading(db, settings, None))  # script 2's, which takes neither
    assert list(others) == ["customer_id", "signup_date", "country", "city", "acquisition_channel"]


def test_the_id_can_be_the_address(db, monkeypatch):
    """An id in capitals here and not there; one field for two columns."""
    monkeypatch.setenv("CUSTOMER_FIELDS", "email=_id")
    monkeypatch.setenv("CUSTOMER_KEY", KEY)
    people = people_in(db, {"_id": "ANN@example.com", "name": "Ann"})
    assert people.loc[hash_address("ann@example.com", KEY)].tolist() == ["Ann", "ANN@example.com"]


@pytest.mark.parametrize("odd", [7, True, None, DAY, ["x@example.com"], {"mail": "x@example.com"}, "", "none yet"])
def test_what_is_no_text_or_no_address_is_blank(db, odd):
    people = people_in(db, {"_id": "a", "name": odd, "email": odd}, {"_id": "b", "name": "B", "email": "b@b.com"})
    assert pd.isna(people.loc["a", "email"])
    assert people.loc["a", "name"] == odd if odd == "none yet" else pd.isna(people.loc["a", "name"])
    assert people.loc["b"].tolist() == ["B", "b@b.com"]


@pytest.mark.parametrize(
    "customers", [(), ({"_id": "a", "name": "Ann"},), ({"_id": "a", "mail": "a@example.com"},)]
)
def test_a_field_that_nobody_has_gets_a_sentence(db, monkeypatch, customers, capsys):
    monkeypatch.setenv("CUSTOMER_FIELDS", "email=e_mail")
    with pytest.raises(SystemExit) as stopped:
        people_in(db, *customers)
    assert stopped.value.code == 2
    says = "no document in customers has an address in the field e_mail: CUSTOMER_FIELDS in .env can name another"
    assert says in capsys.readouterr().err


def test_where_nobody_has_a_name_that_is_noted(db, capsys):
    people = people_in(db, {"_id": "a", "email": "a@example.com"})
    assert people["name"].isna().all()
    assert "no document in customers has a name in the field name: CUSTOMER_FIELDS" in capsys.readouterr().out


# --- where the file may lie ---


def refused(text: Path | str, capsys) -> str:
    """The sentence that script 3 stops with over this file."""
    with pytest.raises(SystemExit) as stopped:
        private_file(str(text))
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def test_the_file_lies_outside_data_by_any_path(clean_environment, tmp_path, monkeypatch, capsys):
    data, elsewhere = tmp_path / "real" / "data", tmp_path / "elsewhere"
    (data / "figures").mkdir(parents=True)
    elsewhere.mkdir()
    (tmp_path / "data").symlink_to(data)  # DATA_DIR itself is a link
    (elsewhere / "in").symlink_to(data / "figures")
    (elsewhere / "list.csv").symlink_to(data / "list.csv")  # which is not there
    (data / "away").symlink_to(elsewhere)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(data)
    inside = [
        *(data / "x.csv", data / "figures" / "x.csv", tmp_path / "data" / "x.csv", data / "none" / "x.csv", data),
        *(elsewhere / "in" / "x.csv", elsewhere / "in" / ".." / "x.csv", elsewhere / "list.csv"),
        *(elsewhere / ".." / "data" / "x.csv", data / "away" / "x.csv", "x.csv", "../data/x.csv"),
    ]
    for place in inside:
        assert "lies in the data folder, which never holds addresses" in refused(place, capsys), place
    outside = [elsewhere / "x.csv", data / ".." / "x.csv", "../x.csv", tmp_path / "data.csv"]
    for place in outside:
        assert private_file(str(place)) == Path(os.path.realpath(place))
    assert sorted(path.name for path in tmp_path.rglob("*.csv")) == ["list.csv"]  # nothing was written


def test_a_file_that_cannot_be_written_gets_a_sentence(clean_environment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "file").touch()
    assert "cannot be written (No such file or directory)" in refused(tmp_path / "none" / "x.csv", capsys)
    assert "cannot be written (Not a directory)" in refused(tmp_path / "file" / "x.csv", capsys)
    assert "cannot be written (File name too long)" in refused(tmp_path / ("x" * 300), capsys)
    assert "is a folder or no plain file" in refused(tmp_path, capsys)
    assert "is a folder or no plain file" in refused("/dev/null", capsys)
    if os.geteuid():  # root writes anywhere
        (tmp_path / "shut").mkdir(mode=0o500)
        assert "cannot be written (Permission denied)" in refused(tmp_path / "shut" / "x.csv", capsys)


def test_the_wrong_place_stops_script_3_before_any_work(churn, db, monkeypatch, tmp_path, capsys):
    """The database has no orders: another sentence would say so."""
    for option in ("x.csv", "none/x.csv"):
        monkeypatch.setattr("sys.argv", ["3_churn_model.py", "--with-addresses", str(tmp_path / option)])
        with pytest.raises(SystemExit) as stopped:
            churn.main()
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith("Error: --with-addresses: ")


# --- the file ---


@contextmanager
def watching(folder: Path) -> Iterator[dict[str, set[int]]]:
    """{name: its modes} of every file that is ever seen in the folder while the block runs."""
    seen: dict[str, set[int]] = {}
    over = Event()

    def watch() -> None:
        while not over.is_set():
            for entry in os.scandir(folder):
                try:
                    seen.setdefault(entry.name, set()).add(stat.S_IMODE(entry.stat().st_mode))
                except FileNotFoundError:  # renamed since
                    continue

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_nobody_else_can_read_the_file_at_any_moment(tmp_path, capsys):
    """Even where new files are everybody's; an earlier one of the name is replaced, whatever its mode."""
    file, n = tmp_path / "list.csv", 20_000
    ids = [f"c{number}" for number in range(n)]
    people = people_of(**{who: (who, f"{who}@example.com") for who in ids})
    before = os.umask(0)
    try:
        with watching(tmp_path) as seen:
            write_addresses(file, contacts_of(*ids), people)
        assert set().union(*seen.values()) == {0o600}
        assert {name.endswith(".tmp") for name in seen} >= {True}
        file.chmod(0o666)
        write_addresses(file, contacts_of("c1"), people)
    finally:
        os.umask(before)
    assert mode(file) == 0o600
    assert file.read_text("utf-8").splitlines()[1:] == ["1,c1,c1,c1@example.com,0.5,10.0,1.25,small orders"]
    assert "Noted" not in capsys.readouterr().out


def test_the_file_is_written_whole_or_not_at_all(tmp_path, capsys):
    file, people = tmp_path / "list.csv", people_of(a=("A", "a@example.com"))
    write_addresses(file, contacts_of("a"), people)
    before = file.read_bytes()
    with files_up_to(50_000), pytest.raises(SystemExit) as stopped:
        write_addresses(file, contacts_of(*["a"] * 5_000), people)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert "list.csv cannot be written" in said.err
    assert "@" not in said.out + said.err
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]
    assert file.read_bytes() == before


def test_with_nobody_to_contact_an_earlier_list_goes(tmp_path, capsys):
    file, people = tmp_path / "list.csv", people_of(a=("A", "a@example.com"))
    write_addresses(file, contacts_of("a"), people)
    write_addresses(file, contacts_of("a").assign(contact="no"), people)
    assert load_csv(file).empty
    assert "0 customers to contact" in capsys.readouterr().out
    write_addresses(None, contacts_of("a"), None)
    assert capsys.readouterr().out == ""


def test_a_disk_without_owners_is_noted(tmp_path, capsys):
    """As on Windows, where every file has the mode of everybody's."""
    file = tmp_path / "list.csv"
    file.touch()
    file.chmod(0o666)
    note_readers(file)
    assert "cannot be limited to its owner here" in capsys.readouterr().out
