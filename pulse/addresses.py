"""The list for a campaign: those to contact with name and email, in a file outside data/ that its owner alone
can read.

Nothing else takes names and addresses out of MongoDB, and they go nowhere else: into no CSV in data/, onto no
console.
"""

import os
import tempfile
from argparse import ArgumentParser
from pathlib import Path

import pandas as pd
from pymongo.database import Database

from common import Settings, fail, read_settings, say
from pulse.columns import read_columns
from pulse.exports import require_writable, write_csv
from pulse.identity import is_address
from pulse.loads import active_collection
from pulse.orders import customer_fields, name_customers
from pulse.planning import Reading

COLUMNS = ["rank", "customer_id", "name", "email"]  # of the file, and from churn_predictions.csv:
COLUMNS += ["churn_probability", "revenue_at_risk", "contact_profit", "main_reason"]
OTHERS = 0o077  # the rights of everybody but the owner


# --- the file ---


def add_address_option(parser: ArgumentParser) -> None:
    """Add --with-addresses to the command line; None where it is not given."""
    about = "also write those to contact, with name and email, into this CSV file, which must lie outside data/"
    parser.add_argument("--with-addresses", type=private_file, metavar="FILE", help=about)


def private_file(text: str) -> Path:
    """An argparse type: the whole path of a file that lies outside DATA_DIR, by its name and by where its links
    lead, in a folder that can be written to; stops at another."""
    data = read_settings().data_path
    require_writable(data)
    named, path = Path(os.path.normpath(Path(text).absolute())), Path(os.path.realpath(text))
    try:
        around = {folder for place in (named, path) for folder in (place, *place.parents)}
        if any(folder.exists() and folder.samefile(data) for folder in around):
            fail(f"--with-addresses: {named} lies in the data folder, which never holds addresses: name another.")
        if path.exists() and not path.is_file():
            fail(f"--with-addresses: {named} is a folder or no plain file: name a file.")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        fail(f"--with-addresses: {named} cannot be written ({error.strerror}): name a file in another folder.")
    return path


def for_its_owner(path: str, flags: int) -> int:
    """An opener of a new file that nobody else can read, from the start."""
    return os.open(path, flags | os.O_EXCL, 0o600)


def write_addresses(file: Path | None, contacts: pd.DataFrame, people: pd.DataFrame | None) -> None:
    """Write those of churn_predictions.csv to contact, by rank, with what read_addresses found of each; nothing
    where there is no file to write."""
    if file is None or people is None:
        return
    listed = contacts[contacts["contact"] == "yes"].join(people, on="customer_id")[COLUMNS]
    write_csv(file, listed, for_its_owner)
    say("Saved", f"{len(listed):,} customers to contact, with name and email, in {file}")
    known, blank = listed["customer_id"].isin(people.index), listed["email"].isna()
    if blank.any():
        why = f"{(~known).sum():,} have no document in MongoDB, {(known & blank).sum():,} no address in theirs"
        say("Noted", f"the email of {blank.sum():,} is blank: {why}")
    note_readers(file)


def note_readers(file: Path) -> None:
    """Say where others may read the file: Windows, and some disks, know no owner's rights."""
    if file.stat().st_mode & OTHERS:
        say("Noted", f"{file} cannot be limited to its owner here: keep it in a folder that others cannot enter")


# --- names and addresses ---


def read_addresses(db: Database, settings: Settings, reading: Reading) -> pd.DataFrame:
    """One row per customer: name and email, missing where the field holds no text, or no address; indexed by
    customer_id (as in read_range). Stops where no document has an address."""
    fields = customer_fields(settings)
    types = {"customer_id": "string", "signup_date": "date", "name": "text", "email": "text"}
    collection = active_collection(db, settings.customers_collection)
    people = read_columns(collection, types, fields, dates=reading.dates).dropna(subset="customer_id")
    name, email = (people[column].str.strip().fillna("") for column in ("name", "email"))
    people["name"], people["email"] = name.where(name != ""), email.where(email.map(is_address).astype(bool))
    for column, what in (("email", "an address"), ("name", "a name")):
        if people[column].isna().all():
            lack = f"no document in {settings.customers_collection} has {what} in the field {fields[column]}"
            remedy = f"CUSTOMER_FIELDS in .env can name another, as {column}=<field>"
            if column == "email":
                fail(f"--with-addresses: {lack}: {remedy}.")
            say("Noted", f"{lack}: {remedy}")
    return name_customers(people, settings, reading).set_index("customer_id")[["name", "email"]]
