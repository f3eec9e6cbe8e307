"""pulse/layouts.py: which column is which, and a sentence where one is missing."""

from pathlib import Path

import pytest

from pulse.layouts import COLUMNS, ONLINE_RETAIL, choose_columns, is_by_line

FILE = Path("orders.csv")
OWN = ["order_id", "customer_id", "order_date", "amount"]


def test_our_own_names_are_known_and_others_do_not_matter():
    columns = choose_columns(FILE, ["note", *OWN, "status", "Note"], {})
    assert columns == {name: name for name in (*OWN, "status")}
    assert not is_by_line(columns)


def test_every_name_of_ours_can_be_chosen():
    header = [name.upper() for name in COLUMNS if name != "amount"]
    columns = choose_columns(FILE, header, {name.lower(): name for name in header})
    assert columns == {name.lower(): name for name in header}
    assert is_by_line(columns)


def test_online_retails_columns_stay_when_others_are_added():
    header = [*ONLINE_RETAIL.values(), "Description"]
    assert choose_columns(FILE, header, {}) == ONLINE_RETAIL
    assert choose_columns(FILE, header, {"category": "Description"}) == ONLINE_RETAIL | {"category": "Description"}
    assert is_by_line(ONLINE_RETAIL)


def test_a_name_of_ours_goes_before_online_retails():
    columns = choose_columns(FILE, [*ONLINE_RETAIL.values(), "country", "status"], {})
    assert columns == ONLINE_RETAIL | {"country": "country", "status": "status"}


def test_an_amount_goes_before_quantity_and_price_unless_these_are_chosen():
    header = [*OWN, "quantity", "unit_price", "qty"]
    columns = choose_columns(FILE, header, {})
    assert not is_by_line(columns)
    chosen = choose_columns(FILE, header, {"quantity": "qty"})
    assert "amount" not in chosen
    assert (chosen["quantity"], chosen["unit_price"]) == ("qty", "unit_price")
    assert is_by_line(chosen)


@pytest.mark.parametrize(
    ("header", "chosen", "says"),
    [
        (OWN[:3], {}, "has no column amount among order_id, customer_id, order_date:"),
        (OWN[1:], {}, "has no column order_id among"),
        ([], {}, "has no column order_id among"),
        ([*OWN[:3], "quantity"], {}, "has no column unit_price among"),
        (OWN, {"order_id": "Nr"}, "has no column Nr among order_id, customer_id, order_date, amount:"),
        (OWN, {"category": "Group"}, "has no column Group among"),
    ],
)
def test_a_column_that_is_missing_gets_a_sentence(capsys, header, chosen, says):
    with pytest.raises(SystemExit) as stopped:
        choose_columns(FILE, header, chosen)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"Error: orders.csv {says}")
    assert "--columns" in message
    assert message.count("\n") == 1
