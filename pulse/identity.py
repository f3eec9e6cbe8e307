"""Who a customer is: what stands for nobody, and the keyed hash that takes the place of an address.

An id that holds an @ is an address. It comes into a table only as HMAC-SHA-256 of its lower case, cut to 16
hex digits: the same person in every load that has the same key, and nobody's address to who has no key.
"""

import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress

from pymongo.database import Database

from common import Settings, fail, say

NOBODY = ("", "0", "0.0", "null", "\\n", "nan", "nat", "none", "n/a", "#n/a", "<na>", "-")  # in lower case
KEY_ID = "customer_key"  # of the document in pulse_loads that holds the key, and the name of its file
DIGITS = 16
LARGE_SHARE, FEW_ORDERS = 0.2, 20  # of one customer, among at least so many orders
MANY_ORDERS = 100  # among so many, somebody should have two


def is_address(customer: str) -> bool:
    """Whether the id is an address."""
    return "@" in customer


def hash_address(address: str, key: str) -> str:
    """What stands for an address in every table: 16 hex digits; stops without a key."""
    if not key:
        fail("Customer ids are addresses, which no table shows: set CUSTOMER_KEY in .env to a long random text.")
    message = address.strip().lower().encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()[:DIGITS]


def identify(customer: str, key: str) -> str | None:
    """A customer's id as it is written: None for nobody, a hash for an address."""
    text = customer.strip()
    if text.lower() in NOBODY:
        return None
    return hash_address(text, key) if is_address(text) else text


def hide_addresses(text: str) -> str:
    """The text, a message of another program's, say, without its addresses."""
    return re.sub(r"[^\s\"'<>(){}\[\],;]*@[^\s\"'<>(){}\[\],;]*", "(an address)", text)


def doubt_customers(total: int, most: int, column: str) -> None:
    """Say where customers look as if their ids were something else: `total` orders of customers, the `most`
    that one of them has, and the column or field of the ids."""
    doubt = ""
    if total >= FEW_ORDERS and most > LARGE_SHARE * total:
        doubt = f"one customer has {most:,} of the {total:,} orders"
    elif total >= MANY_ORDERS and most == 1:
        doubt = f"nobody has two of the {total:,} orders"
    if doubt:
        say("Noted", f"{doubt}: is {column} the right column for customers?")


def find_key(db: Database, settings: Settings, records: str) -> str:
    """The key that CUSTOMER_KEY or an earlier load has set; "" for none. `records` is records.RECORDS."""
    if settings.customer_key:
        return settings.customer_key
    if settings.embedded:
        with suppress(FileNotFoundError):
            return (settings.data_path / KEY_ID).read_text(encoding="ascii").strip()
        return ""
    found = db[records].find_one({"_id": KEY_ID, "key": {"$type": "string"}}, {"key": 1})  # or it is not ours
    return found["key"] if found else ""


def make_key(db: Database, settings: Settings, records: str) -> str:
    """The key as find_key has it, or a new one, kept for later loads."""
    found = find_key(db, settings, records)
    if found:
        return found
    key = secrets.token_hex(32)
    if not settings.embedded:  # another run may be making one at the same moment
        db[records].update_one({"_id": KEY_ID}, {"$setOnInsert": {"key": key}}, upsert=True)
        return find_key(db, settings, records)
    path = settings.data_path / KEY_ID
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(key)
    except FileExistsError:
        return find_key(db, settings, records)
    except OSError as error:
        fail(
            f"{path} cannot be written ({error.strerror}): set CUSTOMER_KEY in .env, or make the folder writable."
        )
    return key
