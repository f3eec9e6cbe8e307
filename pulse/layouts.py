"""Which column of a shop's export is which: our own names, and the layouts we know."""

from pathlib import Path

from common import fail

IDS = ("order_id", "customer_id", "product_id")
ORDER_TEXTS = ("status", "channel", "country", "currency")  # alike on all lines of an order
COLUMNS = (*IDS, "order_date", "amount", "quantity", "unit_price", "category", *ORDER_TEXTS)
ONLINE_RETAIL = {  # the UCI data set's columns; there C begins the id of a cancellation, A of an adjustment
    "order_id": "InvoiceNo",
    "product_id": "StockCode",
    "quantity": "Quantity",
    "order_date": "InvoiceDate",
    "unit_price": "UnitPrice",
    "customer_id": "CustomerID",
    "country": "Country",
}


def choose_columns(file: Path, header: list[str], chosen: dict[str, str]) -> dict[str, str]:
    """{our name: the file's column}: as --columns has `chosen`, else as in Online Retail, else as they are
    named; stops where one that is needed is missing."""
    columns = {name: name for name in COLUMNS if name in header}
    if set(ONLINE_RETAIL.values()) <= set(header):
        columns = ONLINE_RETAIL | columns
    if {"quantity", "unit_price"} & set(chosen):
        columns.pop("amount", None)
    columns |= chosen
    amounts = ("quantity", "unit_price") if "quantity" in columns and "amount" not in columns else ("amount",)
    for name in ("order_id", "customer_id", "order_date", *amounts, *columns):
        if columns.get(name) not in header:
            fail(
                f"{file} has no column {columns.get(name, name)} among {', '.join(header)}: say which one "
                f"it is with --columns {name}=..."
            )
    return columns


def is_by_line(columns: dict[str, str]) -> bool:
    """Whether a row is an order line, with quantity and unit_price, and not a whole order."""
    return "amount" not in columns
