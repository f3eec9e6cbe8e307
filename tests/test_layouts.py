"""pulse/layouts.py and layouts/*.toml: which column is which, what each known export comes to, and a sentence
where a column is missing or a layout is none."""

import csv
import re
import tomllib
from datetime import datetime
from operator import eq
from pathlib import Path

import pytest
from loading import KEY, load

from common import ROOT
from pulse.identity import hash_address
from pulse.layouts import (
    COLUMNS,
    FOLDER,
    Layout,
    choose_columns,
    choose_layout,
    describe_layouts,
    is_by_line,
    known_layouts,
    read_layout,
)
from pulse.statuses import BLANK, normalise

OWN = ["order_id", "customer_id", "order_date", "amount"]
OURS = choose_layout(None, OWN)  # our own column names
SAMPLES = ROOT / "tests" / "data" / "layouts"
EXPECTED = tomllib.loads((SAMPLES / "expected.toml").read_text(encoding="utf-8"))
MAPPED = {"channels": "channel", "countries": "country", "currencies": "currency"}


def pairs(names: list[str]) -> dict[str, tuple[str, ...]]:
    """Columns of our own names."""
    return {name: (name,) for name in names}


# --- which column is which ---


def test_our_own_names_are_known_and_others_do_not_matter():
    columns = choose_columns("orders.csv", ["note", *OWN, "status", "Note"], OURS, {})
    assert columns == pairs([*OWN, "status"])
    assert not is_by_line(columns)


def test_every_name_of_ours_can_be_chosen():
    header = [name.upper() for name in COLUMNS if name not in ("amount", "paid_after_refunds")]
    columns = choose_columns("orders.csv", header, OURS, {name.lower(): name for name in header})
    assert columns == {name.lower(): (name,) for name in header}
    assert is_by_line(columns)


def test_a_layouts_columns_stay_when_others_are_added():
    retail = read_layout(FOLDER / "online_retail.toml")
    header = [name for (name,) in retail.columns.values()] + ["Description"]
    columns = choose_columns("orders.csv", header, retail, {})
    assert columns == dict(retail.columns)
    assert choose_columns("orders.csv", header, retail, {"category": "Description"}) == columns | {
        "category": ("Description",)
    }
    assert is_by_line(columns)


def test_a_text_of_our_own_name_is_found_beside_a_layouts_columns():
    retail = read_layout(FOLDER / "online_retail.toml")
    names = [name for (name,) in retail.columns.values()]
    columns = choose_columns("orders.csv", [*names, "status", "customer_email", "amount"], retail, {})
    assert columns == dict(retail.columns) | pairs(["status", "customer_email"])


def test_a_layouts_optional_columns_may_be_absent_and_one_of_a_sum_leaves_out_the_sum():
    layout = Layout("two", columns=pairs(OWN[:3]) | {"line_total": ("price", "freight"), "amount": ("paid",)})
    assert "line_total" not in choose_columns("orders.csv", [*OWN[:3], "price", "paid"], layout, {})
    assert "amount" not in choose_columns("orders.csv", [*OWN[:3], "price", "freight"], layout, {})


def test_an_amount_goes_before_a_price_unless_that_is_chosen():
    header = [*OWN, "quantity", "unit_price", "qty", "price"]
    assert not is_by_line(choose_columns("orders.csv", header, OURS, {}))
    assert not is_by_line(choose_columns("orders.csv", header, OURS, {"quantity": "qty"}))
    chosen = choose_columns("orders.csv", header, OURS, {"unit_price": "price"})
    assert "amount" not in chosen
    assert (chosen["quantity"], chosen["unit_price"]) == (("quantity",), ("price",))
    assert is_by_line(chosen)
    both = choose_columns("orders.csv", header, OURS, {"unit_price": "price", "amount": "amount"})
    assert not is_by_line(both)


def test_a_layouts_columns_that_the_file_lacks_are_named(capsys):
    stripe = read_layout(FOLDER / "stripe.toml")
    choose_columns("orders.csv", ["id", "Created date (UTC)", "Amount", "Status", "Customer ID"], stripe, {})
    said = capsys.readouterr().out
    assert "lacks: customer_email (Customer Email), refunded (Amount Refunded), currency (Currency)" in said


def test_a_layout_that_names_no_order_id_takes_ours():
    layout = Layout("mine", columns={"order_date": ("d",), "amount": ("a",)})
    assert choose_columns("orders.csv", ["order_id", "d", "a"], layout, {})["order_id"] == ("order_id",)


@pytest.mark.parametrize(
    ("header", "chosen", "with_order_ids", "says"),
    [
        (["1", "alice@example.com", "Alice"], {}, True, "its first row, which is no header"),
        ([*OWN[:3], "unit_price", "after"], {"paid_after_refunds": "after"}, True, "paid_after_refunds is of an"),
        (OWN, {"order_id": "order_id"}, False, "--no-order-ids is for a file without them"),
    ],
)
def test_what_cannot_go_together_gets_a_sentence(capsys, header, chosen, with_order_ids, says):
    with pytest.raises(SystemExit) as stopped:
        choose_columns("orders.csv", header, OURS, chosen, with_order_ids)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert says in message
    assert "alice" not in message.lower()


def test_an_address_is_enough_for_a_customer_and_a_layout_may_have_none():
    columns = choose_columns("orders.csv", ["order_id", "order_date", "amount", "customer_email"], OURS, {})
    assert "customer_id" not in columns
    prestashop = read_layout(FOLDER / "prestashop.toml")
    columns = choose_columns("orders.csv", ["ID", "Date", "Total", "Status"], prestashop, {})
    assert not {"customer_id", "customer_email"} & columns.keys()


def test_a_log_without_order_ids_needs_none_and_takes_none():
    columns = choose_columns("orders.csv", OWN, OURS, {}, with_order_ids=False)
    assert columns == pairs(OWN[1:])


@pytest.mark.parametrize(
    ("header", "chosen", "says"),
    [
        (OWN[:3], {}, "has no column amount among order_id, customer_id, order_date:"),
        (OWN[1:], {}, "has no column order_id among"),
        ([], {}, "has no column order_id among"),
        ([*OWN[:2], "amount"], {}, "has no column order_date among"),
        (["order_id", "order_date", "amount"], {}, "has no column customer_id among"),
        ([*OWN[:3], "quantity"], {}, "has no column unit_price among"),
        (OWN, {"order_id": "Nr"}, "has no column Nr among order_id, customer_id, order_date, amount:"),
        (OWN, {"category": "Group"}, "has no column Group among"),
    ],
)
def test_a_column_that_is_missing_gets_a_sentence(capsys, header, chosen, says):
    with pytest.raises(SystemExit) as stopped:
        choose_columns("orders.csv", header, OURS, chosen)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"Error: orders.csv {says}")
    assert "--columns" in message
    assert ("--no-order-ids" in message) == ("order_id" in says.split(" among")[0] or "Nr among" in says)
    assert message.count("\n") == 1


def test_a_layout_asked_for_names_the_column_of_its_own_that_is_missing(capsys):
    with pytest.raises(SystemExit):
        choose_columns("a.csv", ["Name", "Email", "Total"], read_layout(FOLDER / "shopify.toml"), {})
    assert "a.csv has no column Created at among Name, Email, Total" in capsys.readouterr().err


# --- choosing a layout ---


def test_a_header_that_nobody_knows_has_our_own_names():
    assert choose_layout(None, ["a", "b"]).name == "our own column names"
    assert choose_layout(None, []).columns == {name: (name,) for name in COLUMNS}


def test_a_layout_can_be_asked_for(capsys):
    assert choose_layout("stripe", OWN).name == "Stripe payments"
    with pytest.raises(SystemExit) as stopped:
        choose_layout("strype", OWN)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "There is no layout 'strype'" in message
    assert "stripe, superstore" in message


def test_a_header_of_two_layouts_is_asked_about(capsys):
    headers = [known_layouts()[name].header for name in ("stripe", "square")]
    with pytest.raises(SystemExit) as stopped:
        choose_layout(None, [name for header in headers for name in header])
    assert stopped.value.code == 2
    assert "choose one of square, stripe with --layout" in capsys.readouterr().err
    assert choose_layout("square", [*headers[0], *headers[1]]).name == "Square transactions"


def test_every_layout_is_listed_and_names_its_publishers_page():
    layouts = known_layouts()
    assert [line.split()[0] for line in describe_layouts().splitlines()] == list(layouts)
    assert len(layouts) == 15
    assert all(layout.page.startswith("https://") for layout in layouts.values())
    assert all(f" {layout.name}" in describe_layouts() for layout in layouts.values())


# --- a layout of one's own ---

MINE = """
name = "My shop"

[columns]
order_id = "Nr"
order_date = "Tag"
customer_id = "Kunde"
line_total = ["Ware", "Porto"]
status = "Stand"

[format]
dates = "day-first"
decimal = ","

[status]
sold = ["Bezahlt"]
refund = ["Gutschrift"]
blank = "not_sold"

[order_id]
ignore_prefix = "T"
"""


def test_a_layout_of_ones_own_needs_no_code(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(MINE)
    (tmp_path / "a.csv").write_text(
        "Nr;Tag;Kunde;Ware;Porto;Stand\n1;3.4.2024;k;10,50;1;bezahlt\n1;3.4.2024;k;2;;BEZAHLT\n"
        "1;9.4.2024;k;5;;Gutschrift\n2;4.4.2024;k;7;1;\nT3;4.4.2024;k;9;1;bezahlt\n"
    )
    orders, _, left_out = load(tmp_path / "a.csv", "--layout", str(tmp_path / "mine.toml"))
    assert [(doc["_id"], doc["total"], doc["order_date"], doc["sold"]) for doc in orders] == [
        ("1", 13.5, datetime(2024, 4, 3), True),
        ("1/refund", -5, datetime(2024, 4, 9), True),
        ("2", 8, datetime(2024, 4, 4), False),
    ]
    assert left_out == {"adjustment, no sale": 1}
    assert "Layout    My shop\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "My shop"', "", "name"),
        ('name = "My shop"', 'name = "My shop"\ncolour = "red"', "colour"),
        ('order_id = "Nr"', 'order_number = "Nr"', "[columns] has order_number, which is none of order_id"),
        ("[status]", "[status]\npaid = []", "[status] has paid, which is none of sold"),
        ('decimal = ","', 'decimal = ";"', "the value of decimal"),
        ('decimal = ","', 'currency = ";"', "currency"),
        ('dates = "day-first"', 'dates = "year-first"', "the value of dates"),
        ('sold = ["Bezahlt"]', 'sold = ["Bezahlt"]\nnot_sold = ["bezahlt "]', "'bezahlt' is in two lists"),
        ('sold = ["Bezahlt"]', 'sold = ["Bezahlt", "GUTSCHRIFT"]', "'gutschrift' is in two lists"),
        ('blank = "not_sold"', 'blank = "maybe"', "the value of blank"),
        ('order_id = "Nr"', "order_id = 5", "the value of order_id"),
        ("[columns]", "columns = 3\n[other]", ""),
        ('name = "My shop"', 'name = "My shop"\ndates = "dayfirst"', "it has dates, which is none of name"),
        ('name = "My shop"', 'name = "My shop"\nrefund = ["x"]', "it has refund"),
        ('name = "My shop"', 'name = "My shop"\norder_id = "Nr"', ""),
        ('name = "My shop"', 'name = "My shop"\nheader = "Paid"', "the value of header"),
        ('sold = ["Bezahlt"]', "sold = [5]", "the value of sold"),
        ('decimal = ","', 'decimal = ","\nthousands = ","', "the same mark"),
        ("ignore_prefix", "drop_prefix", "drop_prefix"),
        ("[columns]", "[columns", ""),
        (MINE, "\0", ""),
    ],
)
def test_a_broken_layout_gets_one_sentence(tmp_path, capsys, old, new, says):
    file = tmp_path / "mine.toml"
    file.write_text(MINE.replace(old, new))
    with pytest.raises(SystemExit) as stopped:
        choose_layout(str(file), OWN)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"Error: {file} is no layout (")
    assert says in message
    assert message.endswith("see 'Add a layout' in CONTRIBUTING.md.\n")
    assert message.count("\n") == 1


def test_a_layout_file_that_is_not_there_or_is_no_text_gets_one_sentence(tmp_path, capsys):
    (tmp_path / "latin.toml").write_bytes('name = "Café"'.encode("latin-1"))
    for name, says in (("none.toml", "cannot be opened (No such file"), ("latin.toml", "is no layout (")):
        with pytest.raises(SystemExit) as stopped:
            choose_layout(str(tmp_path / name), OWN)
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert f"{name} {says}" in message
        assert message.count("\n") == 1


# --- the layouts we know ---


def sample_header(name: str) -> list[str]:
    """The header of a sample."""
    line = (SAMPLES / name).read_text(encoding="cp1252").splitlines()[0]
    separator = max("\t;,", key=line.count)
    return [cell.strip('"') for cell in line.split(separator)]


def who(orders: list[dict], name: str) -> list[str]:
    """The customers of these orders; for a hash, the address in the sample that it stands for."""
    addresses = re.findall(r"[\w.]+@[\w.]+", (SAMPLES / name).read_text(encoding="cp1252"))
    known = {hash_address(address, KEY): address.lower() for address in addresses}
    return sorted({known.get(each, each) for each in (order["customer_id"] for order in orders) if each})


def figures(orders: list[dict], name: str) -> dict:
    """The figures of expected.toml."""
    sold = [order for order in orders if order["sold"]]
    sales = [order for order in sold if order["total"] >= 0]
    items = [item for order in sales for item in order.get("items", ())]
    months: dict[str, float] = {}
    for order in sorted(sold, key=lambda order: order["order_date"]):
        month = f"{order['order_date']:%Y-%m}"
        months[month] = months.get(month, 0) + order["total"]
    found = {
        "id": min(order["_id"] for order in sold),
        "refund": min((order["_id"] for order in sold if order["total"] < 0), default=""),
        "product": min((item["product_id"] for item in items if item["product_id"]), default=""),
        "orders": len(sales),
        "gross": sum(order["total"] for order in sales),
        "refunds": sum(order["total"] for order in sold if order["total"] < 0),
        "customers": len({order["customer_id"] for order in sales} - {None}),
        "who": who(sales, name),
        "guests": sum(order["customer_id"] is None for order in sales),
        "units": sum(item["quantity"] for item in items),
        "goods": sum(item["quantity"] * (item["unit_price"] or 0) for item in items),
        "products": len({item["product_id"] for item in items} - {None}),
        "categories": sorted({item["category"] for item in items} - {None}),
        "months": {month: round(amount, 2) for month, amount in months.items()},
        "first": min(order["order_date"] for order in sold).replace(microsecond=0),
        "last": max(order["order_date"] for order in sold).replace(microsecond=0),
    }
    found |= {
        names: sorted({(order.get(name) or "").upper() if name == "currency" else order.get(name) or ""
                       for order in sold} - {""})
        for names, name in MAPPED.items()
    }  # fmt: skip
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()}


def assert_reads_its_sample(path: Path, name: str) -> None:
    """Assert that the layout of this TOML file reads the sample as expected.toml has it, all of it."""
    layout, header, wanted = read_layout(path), sample_header(name), EXPECTED[name]
    assert layout.name == wanted["layout"]
    assert set(layout.header) <= set(header)
    assert {theirs for each in layout.columns.values() for theirs in each} <= set(header)
    words = layout.words.sold | layout.words.not_sold | layout.refund
    assert words <= {BLANK, *(normalise(cell) for row in rows_of(name) for cell in row)}
    orders, _, _ = load(SAMPLES / name, "--layout", str(path))
    assert figures(orders, name) == {key: value for key, value in wanted.items() if key != "layout"}
    said = {normalise(order["status"] or "") for order in orders if order["status"] or BLANK in layout.words.sold}
    assert said == words  # no word stands in the layout alone, or is known from statuses.toml alone


@pytest.mark.parametrize("name", EXPECTED)
def test_a_known_layout_is_recognised_and_gives_the_right_figures(name):
    assert choose_layout(None, sample_header(name)).name == EXPECTED[name]["layout"]
    assert_reads_its_sample(FOLDER / f"{Path(name).stem}.toml", name)


def test_every_layout_has_a_sample():
    assert sorted(Path(name).stem for name in EXPECTED) == sorted(known_layouts())
    samples = "".join((SAMPLES / name).read_text(encoding="cp1252") for name in EXPECTED)
    assert samples.count("@") == samples.count("@example.com") > 50  # nobody's address


def rows_of(name: str) -> list[list[str]]:
    """The rows of a sample, cell by cell."""
    encoding = read_layout(FOLDER / f"{Path(name).stem}.toml").encoding or "utf-8-sig"
    text = (SAMPLES / name).read_text(encoding=encoding)
    header = text.splitlines()[0]
    return list(csv.reader(text.splitlines()[1:], delimiter=max("\t;,", key=header.count)))


def hardest_to_tell(name: str) -> dict[str, list[str]]:
    """{column of a sample: the others that are the hardest to tell from it}: the two with the most equal cells, or
    with cells of the same shape, as numbers and dates have; and the one whose cells repeat in the same rows."""
    header = sample_header(name)
    cells = dict(zip(header, zip(*rows_of(name), strict=True), strict=True))
    shapes = {column: [re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", cell)) for cell in cells[column]]
              for column in header}  # fmt: skip
    repeats = {column: [cells[column].index(cell) for cell in cells[column]] for column in header}

    def nearest(column: str, *measures: dict, most: int) -> list[str]:
        alike = {other: tuple(sum(map(eq, of[column], of[other])) for of in measures)
                 for other in header if other != column}  # fmt: skip
        return sorted(alike, key=alike.__getitem__, reverse=True)[:most]

    return {
        column: list(
            dict.fromkeys(nearest(column, cells, shapes, most=2) + nearest(column, repeats, shapes, most=1))
        )
        for column in header
    }


def mutations(text: str, others: dict[str, list[str]]) -> list[str]:
    """The layout's text with one thing changed: a column of the header to one that is not there, or to
    one of the others; a word altered, or moved to the other list; a line of its format gone."""
    changed = []
    lines = text.splitlines(keepends=True)
    table = ""
    for n, line in enumerate(lines):
        table = line.split("]")[0] + "]" if line.startswith("[") else table
        key, _, value = line.partition(" = ")
        code = value.split(" #")[0]
        quoted = code.split('"')[1::2]
        if line.startswith("#") or key == "quote":  # what a quotation mark is, the file itself tells too
            continue
        if table in ("[format]", "[order_id]") and value:
            changed.append("".join([*lines[:n], *lines[n + 1 :]]))
        elif (table == "[columns]" and value) or key == "header":
            for theirs in quoted:
                for other in ("gone", *(others.get(theirs, ()) if key != "header" else ())):
                    new = line.replace(f'"{theirs}"', f'"{other}"', 1)
                    changed.append("".join([*lines[:n], new, *lines[n + 1 :]]))
    return changed + word_mutations(text)


def word_mutations(text: str) -> list[str]:
    """The layout's text with a word of [status] altered, or moved to the other list."""
    head, found, status = text.partition("[status]")
    if not found:
        return []
    status, tail_mark, tail = status.partition("\n[")
    parsed = tomllib.loads(status)
    lists = {key: words for key, words in parsed.items() if isinstance(words, list)}
    rest = "".join(f"{key} = {value!r}\n" for key, value in parsed.items() if key not in lists)
    changed = [head + found + "\n" + str(render(lists)) + tail_mark + tail] if rest else []
    for key, words in lists.items():
        for word in words:
            others = [each for each in words if each != word]
            target = "not_sold" if key == "sold" else "sold"
            for new in (
                {key: [*others, word + "x"]},
                {key: others, target: [*lists.get(target, []), word]},
            ):
                changed.append(head + found + "\n" + rest + render(lists | new) + tail_mark + tail)
    return changed


def render(lists: dict[str, list[str]]) -> str:
    """Lists of words as TOML."""
    return "".join(f"{key} = {words!r}\n" for key, words in lists.items())


def assert_no_change_goes_unseen(folder: Path, name: str, others: dict[str, list[str]]) -> None:
    """Assert that the test of the sample fails for each mutation of its layout."""
    original = (FOLDER / f"{Path(name).stem}.toml").read_text(encoding="utf-8")
    file = folder / "changed.toml"
    unseen = []
    for text in mutations(original, others):
        file.write_text(text, encoding="utf-8")
        try:
            assert_reads_its_sample(file, name)
        except (AssertionError, SystemExit):
            continue
        unseen += [line for line in text.splitlines() if line not in original.splitlines()] or [text]
    assert unseen == []


def test_no_column_and_no_word_of_a_layout_can_change_unseen(tmp_path):
    assert_no_change_goes_unseen(tmp_path, "square.csv", {})


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_no_layout_can_change_unseen(tmp_path, name):
    """Each column in turn is each of those that are the hardest to tell from it; each word is altered, or means
    the opposite."""
    assert_no_change_goes_unseen(tmp_path, name, hardest_to_tell(name))
