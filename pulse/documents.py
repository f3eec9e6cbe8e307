"""Tables as MongoDB's documents."""

import numpy as np
import pandas as pd


def items_of_orders(lines: pd.DataFrame, n_orders: int) -> list[list[dict]]:
    """Each order's lines as a list of documents, which equal lines share; the lines are sorted by order."""
    ends = np.bincount(lines["order"], minlength=n_orders).cumsum().tolist()
    sort = lines.groupby(["product_id", "quantity"], sort=False).ngroup()
    distinct = documents(lines[~sort.duplicated()].drop(columns="order"))
    items = [distinct[n] for n in sort]
    return [items[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def numbered(letter: str, first: int, n: int) -> np.ndarray:
    """n ids that sort as text in their own order: the letter and eight digits, from first + 1."""
    return np.array([f"{letter}{number:08}" for number in range(first + 1, first + n + 1)], dtype=object)


def documents(frame: pd.DataFrame) -> list[dict]:
    """One document per row, of plain Python values; missing dates and texts become None."""
    names = list(frame)
    columns = []
    for name in names:
        if frame[name].dtype.kind == "M":
            columns.append(frame[name].to_numpy("datetime64[ms]").tolist())
        elif isinstance(frame[name].dtype, pd.StringDtype):
            columns.append(frame[name].to_numpy(object, na_value=None).tolist())  # type: ignore[call-overload]
        else:
            columns.append(frame[name].tolist())
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
