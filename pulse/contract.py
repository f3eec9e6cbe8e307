"""What the CSV files hold, said once in pulse/tables.toml: for machines (data/datapackage.json) and for people.

`python -m pulse.contract` renews the tables in docs/KPI_Dictionary.md and data/README.md.
"""

import json
import re
import tomllib
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from common import ROOT

FOLDER_README, DICTIONARY = ROOT / "data" / "README.md", ROOT / "docs" / "KPI_Dictionary.md"
PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"  # the version of the standard


class Column(NamedTuple):
    """A column's texts."""

    kind: str  # string, integer, number, date or boolean, as Table Schema calls them
    unit: str
    definition: str
    is_not: str = ""


@cache
def read_tables() -> dict[str, dict]:
    """{table: its entry in tables.toml, with each column as a Column}, in the order of the file."""
    tables = tomllib.loads(Path(__file__).with_name("tables.toml").read_text(encoding="utf-8"))
    for table in tables.values():
        table["columns"] = {name: Column(*texts) for name, texts in table["columns"].items()}
    return tables


# --- for machines ---


def package_json(names: Collection[str]) -> str:
    """The text of datapackage.json, a Frictionless Data Package of these tables' files."""
    tables = {name: table for name, table in read_tables().items() if name in names}
    package = {
        "$schema": PROFILE,
        "name": "e-commerce-pulse",
        "title": "E-Commerce Pulse",
        "description": "RFM segments, cohorts, KPIs and a churn forecast of a shop's orders.",
        "resources": [describe_file(name, table, {*tables}) for name, table in tables.items()],
    }
    return json.dumps(package, indent=2, ensure_ascii=False) + "\n"


def describe_file(name: str, table: dict, listed: set[str]) -> dict:
    """The resource of a table; its foreign keys are those that lead to files that are listed too."""
    fields = [
        {"name": column, "type": text.kind, "description": f"{text.definition} ({text.unit})"}
        for column, text in table["columns"].items()
    ]
    schema: dict = {"fields": fields}
    if "key" in table:
        schema["primaryKey"] = table["key"]
    foreign = [
        {"fields": [column], "reference": {"resource": other, "fields": read_tables()[other]["key"]}}
        for column, other in table.get("refers", {}).items()
        if other in listed
    ]
    if foreign:
        schema["foreignKeys"] = foreign
    return {
        "name": name,
        "type": "table",
        "description": table["about"],
        "path": f"{name}.csv",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "dialect": {"delimiter": ",", "lineTerminator": "\n"},
        "schema": schema,
    }


# --- for people ---


def main() -> None:
    """Renew both documents."""
    for path, text in renewed().items():
        path.write_text(text, encoding="utf-8", newline="\n")


def renewed() -> dict[Path, str]:
    """{document: its text with the tables renewed}."""
    dictionary, readme = (path.read_text(encoding="utf-8") for path in (DICTIONARY, FOLDER_README))
    files = r"^\| file \|.*\n(?:\|.*\n)+"
    return {
        DICTIONARY: renew_dictionary(dictionary),
        FOLDER_README: re.sub(files, lambda _: draw_files(), readme, flags=re.MULTILINE),
    }


def renew_dictionary(text: str) -> str:
    """The dictionary with what tables.toml says under the heading of each file, which may stand there alone."""
    section = r"^## (\w+)\.csv\n(?:\n[^|#\n].*\n\n(?:\|.*\n)+)?"
    return re.sub(section, lambda found: draw_section(found[1]), text, flags=re.MULTILINE)


def draw_section(name: str) -> str:
    """What the dictionary says of a file's grain, source and columns."""
    table = read_tables()[name]
    rows = [(f"`{column}`", text.definition, text.unit, text.is_not) for column, text in table["columns"].items()]
    columns = draw_table(("column", "definition", "unit", "what it is not"), rows)
    return f"## {name}.csv\n\n{table['about']}\n\n{columns}"


def draw_files() -> str:
    """data/README.md's table of files."""
    rows = [
        (f"`{name}.csv`", table["rows"], table["sorted"], f"script {script}" if script else "scripts 2 and 3")
        for name, table in read_tables().items()
        for script in [table.get("script")]
    ]
    return draw_table(("file", "one row per", "sorted by", "from"), rows)


def draw_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    cells = [header, ["---"] * len(header), *rows]
    return "".join("".join(f"| {cell} " if cell else "| " for cell in row) + "|\n" for row in cells)


if __name__ == "__main__":
    main()
