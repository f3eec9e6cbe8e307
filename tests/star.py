"""The semantic model of powerbi/, read from its TMDL, and filled from CSV files in pandas as its queries say."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from conftest import ROOT
from dax import Model

DEFINITION = ROOT / "powerbi" / "ECommercePulse.SemanticModel" / "definition"
TMDL = {path.stem: path.read_text(encoding="utf-8") for path in (DEFINITION / "tables").glob("*.tmdl")}
M_TYPES = {"type text": "string", "Int64.Type": "int64", "type number": "double", "type date": "dateTime"}
M_TYPES["type logical"] = "boolean"
READ = re.compile(r'ReadCsv\("(\w+)\.csv", \{((?:\{"\w+", [\w. ]+\}(?:, )?)+)\}, (true|false)\)')
PAIR = re.compile(r'\{"(\w+)", ([\w. ]+)\}')
NAME = r"('[^']+'|\w+)"


class Field(NamedTuple):
    """A column or a measure: where its values are from or its DAX, its description and its other lines."""

    says: str
    source: str
    lines: str


def objects(table: str, what: str) -> dict[str, Field]:
    """{name: Field} of a table's columns or measures."""
    pattern = rf"(?:^\t/// (.+)\n)?^\t{what} {NAME}(?: =(.*(?:\n\t\t\t.+)*))?\n((?:\t\t.+\n|\n(?=\t\t))*)"
    found = {}
    for says, name, dax, lines in re.findall(pattern, TMDL[table], flags=re.MULTILINE):
        from_query = re.search(r"^\t\tsourceColumn: (\w+)$", lines, flags=re.MULTILINE)
        source = from_query[1] if from_query else re.sub(r"\n\t+", "\n", dax).strip()
        found[name.strip("'")] = Field(says, source, lines)
    return found


MEASURES = objects("_Measures", "measure")
RELATIONSHIPS = re.findall(
    rf"fromColumn: (\w+)\.{NAME}\n\ttoColumn: (\w+)\.{NAME}\n",
    (DEFINITION / "relationships.tmdl").read_text(encoding="utf-8"),
)
RELATIONSHIPS = [tuple(name.strip("'") for name in each) for each in RELATIONSHIPS]


def read(folder: Path, table: str, file: str) -> pd.DataFrame:
    """A CSV as the table's query reads it: these columns, of these types; no rows where it may be absent."""
    columns, needed = next(found for name, *found in READ.findall(TMDL[table]) if name == file)
    kinds = {name: M_TYPES[m] for name, m in PAIR.findall(columns)}
    days = dict.fromkeys((name for name, kind in kinds.items() if kind == "dateTime"), "datetime64[ns]")
    text = dict.fromkeys((name for name, kind in kinds.items() if kind == "string"), "str")
    path = folder / f"{file}.csv"
    if needed == "false" and not path.exists():
        return pd.DataFrame(columns=[*kinds], dtype=float).astype(text | days)
    rows = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])[[*kinds]]
    return rows.astype(days) if len(rows) else rows.astype(float).astype(text | days)


def customers(folder: Path) -> pd.DataFrame:
    """dim_customer: everything one to one by customer_id, and a row per country of guests."""
    table = "dim_customer"
    frame = read(folder, table, "customers")
    for file in ("rfm_analysis", "churn_predictions", "customer_value"):
        found = read(folder, table, file)
        new = [name for name in found if name not in frame]
        frame = frame.merge(found[["customer_id", *new]], "left", "customer_id", validate="one_to_one")
    frame["segment"] = frame["segment"].fillna("No order yet")
    guests = read(folder, table, "guest_months").drop_duplicates()
    guests["customer_id"] = "guests: " + guests["country"]
    for name in ("acquisition_channel", "first_category", "first_channel", "segment"):
        guests[name] = "Guests"
    frame = pd.concat([frame, guests], ignore_index=True) if len(guests) else frame
    frame = frame.fillna({"contact": "no", "risk_band": "not predicted"})
    bands = re.search(r"List\.PositionOf\(\{(.+?)\}, \[risk_band\]\)", TMDL[table])[1].replace('"', "").split(", ")
    frame["risk_band_order"] = frame["risk_band"].map(bands.index)
    order = [*read(folder, table, "segments")["segment"]]
    place = {name: at for at, name in enumerate(order)}
    frame["previous_segment_order"] = frame["previous_segment"].map(place).fillna(-1).astype(int)
    return frame


def what_if(folder: Path, table: str) -> pd.DataFrame:
    """The values to try: multiples of what campaign.csv has of a cost, usual ones beside it of a rate."""
    own = read(folder, table, "campaign")
    (column,) = own
    steps = [float(step) for step in re.search(r"Steps = \{(.+)\}", TMDL[table])[1].split(", ")]
    is_cost = "cost * step" in TMDL[table]
    values = {step * cost for cost in own[column] for step in steps} if is_cost else {*steps, *own[column]}
    return pd.DataFrame({column: sorted(values if len(own) else [])}, dtype=float)


def frames(folder: Path) -> dict[str, pd.DataFrame]:
    """Each table by the names of its query's columns."""
    found = {"_Measures": pd.DataFrame({"none": pd.Series(dtype="str")}), "dim_customer": customers(folder)}
    countries = [read(folder, "dim_country", name) for name in ("customers", "guest_months", "revenue_drivers")]
    found["dim_country"] = pd.concat(countries).drop_duplicates()
    others = re.findall(r'\{"([^"]+)", (\d+), "([^"]+)", "([^"]+)"\}', TMDL["dim_segment"])
    segments = read(folder, "dim_segment", "segments")
    others = pd.DataFrame(others, columns=segments.columns).astype({"segment_order": int})
    found["dim_segment"] = pd.concat([segments, others])
    shown = re.search(r"type table \[shown = text\], \{(.+)\}\)", TMDL["what_to_show"])[1]
    found["what_to_show"] = pd.DataFrame({"shown": re.findall(r'\{"([^"]+)"\}', shown)})
    months = read(folder, "dim_month", "monthly_kpis")
    label = months["month"].dt.strftime("%b %Y")
    found["dim_month"] = months.assign(year=months["month"].dt.year, label=label)
    found["dim_since"] = pd.DataFrame({"months": range(len(read(folder, "dim_since", "monthly_kpis")))})
    guests = read(folder, "fact_months", "guest_months")
    guests["customer_id"] = "guests: " + guests.pop("country")
    found["fact_months"] = pd.concat(
        [read(folder, "fact_months", "customer_months"), guests][: 1 + (len(guests) > 0)]
    )
    for table, tmdl in TMDL.items():
        if table.startswith("what_if_"):
            found[table] = what_if(folder, table)
        elif table not in found:
            ((file, _, _),) = READ.findall(tmdl)
            found[table] = read(folder, table, file)
    for name in ("model", "metric"):
        found["fact_metrics"][name] = found["fact_metrics"][name].str.replace("_", " ")
    return found


def load_model(folder: Path) -> Model:
    """The model, by the names that DAX knows, computed columns among them."""
    tables, calculated = {}, {}
    for table, frame in frames(folder).items():
        fields = objects(table, "column")
        names = {field.source: name for name, field in fields.items() if "sourceColumn" in field.lines}
        assert sorted(names) == sorted(frame), table
        tables[table] = frame.rename(columns=names)
        calculated |= {(table, name): f.source for name, f in fields.items() if "sourceColumn" not in f.lines}
    return Model(tables, RELATIONSHIPS, {name: field.source for name, field in MEASURES.items()}, calculated)
