"""Microsoft's best practices for semantic models: python .ci/best_practices.py

The rules are those of semantic-link-labs (MIT): predicates over the Tabular Object Model (TOM), which needs .NET,
and a wrapper of it, which needs Microsoft Fabric. Here they read stand-ins, filled from TMDL. What a stand-in does
not know ends the run: no rule passes because something could not be read. Ends with exit code 1 where the model
breaks a rule, where a rule that is off would find nothing, or where a fault put into the model is not found.
"""

import importlib.util
import re
import sys
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEFINITION = ROOT / "powerbi" / "ECommercePulse.SemanticModel" / "definition"
CONTRACT = tomllib.loads((ROOT / "pulse" / "tables.toml").read_text(encoding="utf-8"))
NUMBERS = {name for each in CONTRACT.values() for name, (kind, *_) in each["columns"].items() if kind == "number"}

# --- the rules that are off, for all objects or for some ---

OFF = {
    "Model should have a date table": "facts are of months, and dim_month has a row for each; a date table has "
    "one for each day. No measure uses time intelligence",
    "Relationship columns should be of integer data type": "keys are what the CSV files have: ids and names are "
    "text, months are dates",
    "Percentages should be formatted with thousands separators and 1 decimal": "a share has no thousands, and a "
    "change has a sign",
    "Whole numbers should be formatted with thousands separators and no decimals": "it takes #,0 and #,0.0 alone: "
    "#,##0 shows the same, and amounts, ratios and months are no whole numbers",
    "Provide format string for 'Month' columns": "it takes MMMM yyyy alone; yyyy-mm needs no language",
}
ALONE = {"_Measures", "dim_since", "fact_repurchase", "fact_alerts", "fact_profit_curve", "fact_campaign"}
ALONE |= {"fact_forecast", "fact_metrics", "fact_calibration", "fact_coefficients", "fact_runs", "fact_quality"}
TEXTS = {"Words", "Titles", "One customer"}  # display folders
EXCEPT = {
    # a number of a CSV file is a double there too; a fixed decimal has 4 digits and ends at 9.2e14
    "Do not use floating point data types": lambda at: at.SourceColumn in NUMBERS,
    # the months since the first order need that of dim_customer; customer_months.csv has no such column
    "Avoid using calculated columns": lambda at: at.Name == "months_since_first",
    "Reduce usage of calculated columns that use the RELATED function": lambda at: at.Name == "months_since_first",
    # a segment and a country are a customer's, and of moves and drivers too
    "Consider a star-schema instead of a snowflake architecture": lambda at: at.Name == "dim_customer",
    # of how many customers there are, a card says 0 rather than (Blank)
    "Avoid adding 0 to a measure": lambda at: at.FormatString == "#,##0",
    # what is of the whole shop, or chosen on a page, filters nothing and is filtered by nothing
    "Ensure tables have relationships": lambda at: at.Name in ALONE or at.Name.startswith("what_"),
    # tables are named like the files, hidden columns are theirs
    "First letter of objects must be capitalized": lambda at: at.Kind in ("table", "partition") or at.IsHidden,
    # a text has no format
    "Provide format string for measures": lambda at: at.DisplayFolder in TEXTS or " & " in at.Expression,
    # the diagonal of a chart
    "Measures should not be direct references of other measures": lambda at: at.Name == "Perfect calibration",
    # a table needs a column; is_best is for the mark of the best point
    "Remove unnecessary columns": lambda at: at.Name in ("none", "is_best"),
}

# --- faults that must be found: rule, file, what is replaced, by what ---

FAULTS = [
    ("Visible objects with no description", "_Measures", "\t/// Gross revenue / orders.\n", ""),
    ("Provide format string for measures", "_Measures", "\t\tformatString: #,##0\n", ""),
    ("Measure references should be unqualified", "_Measures", "[Gross revenue]", "_Measures[Gross revenue]"),
    ("Column references should be fully qualified", "_Measures", "fact_months[refunds]", "[refunds]"),
    ("Remove unnecessary columns", "_Measures", "fact_months[refunds]", "fact_months[orders]"),
    ("Use the DIVIDE function for division", "_Measures", "DIVIDE([Gross revenue], ", "([Gross revenue] / "),
    ("Do not use floating point data types", "fact_months", "dataType: int64", "dataType: double"),
    (
        "Set IsAvailableInMdx to false on non-attribute columns",
        "fact_months",
        "isAvailableInMdx: false",
        "isHidden",
    ),
    ("Set IsAvailableInMdx to true on necessary columns", "dim_segment", "isHidden", "isAvailableInMdx: false"),
    ("Hide foreign keys", "fact_drivers", "\t\tisHidden\n", ""),
    ("Mark primary keys", "dim_segment", "\t\tisKey\n", ""),
    ("Add data category for columns", "dim_country", "\t\tdataCategory: Country\n", ""),
    ("Do not summarize numeric columns", "dim_month", "summarizeBy: none", "summarizeBy: sum"),
    (
        "Relationship columns should be of the same data type",
        "dim_month",
        "dataType: dateTime",
        "dataType: string",
    ),
    (
        "Check if bi-directional and many-to-many relationships are valid",
        "relationships",
        "\tfromColumn: fact_months.month",
        "\tcrossFilteringBehavior: bothDirections\n\tfromColumn: fact_months.month",
    ),
]

# --- stand-ins for TOM ---

# What TMDL can say of each kind of object, as far as it is read here, and what holds where it is silent.
DEFAULTS = {
    "table": {"IsHidden": False, "DataCategory": "", "CalculationGroup": None},
    "column": {
        "IsHidden": False,
        "IsKey": False,
        "IsAvailableInMDX": True,
        "DataType": "String",
        "DataCategory": "",
    }
    | {"FormatString": "", "SummarizeBy": "Default", "SourceColumn": "", "SortByColumn": None},
    "measure": {"IsHidden": False, "FormatString": "", "FormatStringDefinition": "", "DisplayFolder": ""},
    "partition": {"Mode": "Import", "DataCoverageDefinition": None},
    "relationship": {"FromColumn": "", "ToColumn": "", "FromCardinality": "Many", "ToCardinality": "One"}
    | {"IsActive": True, "CrossFilteringBehavior": "OneDirection"},
}
PARTS = {"table": {"Column", "Measure", "Partition"}, "partition": {"Source"}}
NOT_READ = {"LineageTag", "Annotation", "ChangedProperty", "ExtendedProperty", "IsNameInferred"}
FILES = {"table", "relationship", "expression", "database", "compatibilityLevel", "model", "ref", "annotation"}
ENUMS = {
    "DataType": "String Int64 Double DateTime Decimal Boolean",
    "ColumnType": "Data Calculated",
    "ModeType": "Import DirectQuery Dual DirectLake",
    "PartitionSourceType": "M",
    "CrossFilteringBehavior": "OneDirection BothDirections",
    "RelationshipEndCardinality": "One Many",
}
VALUES = {"DataType", "SummarizeBy", "Mode", "CrossFilteringBehavior", "FromCardinality", "ToCardinality"}


def stop(words: str):
    sys.exit(f"best_practices.py: {words}")


class Strict:
    """An object that ends the run where it is asked for what it was not given."""

    def __init__(self, **given):
        self.__dict__.update(given)

    def __getattr__(self, name):
        if name.startswith("__"):  # Python's own questions
            raise AttributeError(name)
        stop(f"a rule reads {name}, which is not among {', '.join(self.__dict__)}")


class Collection(list):
    @property
    def Count(self) -> int:
        return len(self)


TOM = Strict(**{name: Strict(**{value: value for value in values.split()}) for name, values in ENUMS.items()})


@dataclass
class Line:
    """A line of TMDL, with those below it: an object, or a property without parts."""

    kind: str
    name: str = ""
    value: str = ""
    says: str = ""
    parts: list["Line"] = field(default_factory=list)

    def of(self, kind: str) -> list["Line"]:
        return [part for part in self.parts if part.kind == kind]


def parse(text: str) -> Line:
    """A TMDL file. Lines two deeper than the last one are of its expression."""
    open_at, says = [Line("file")], ""  # open_at[depth]: what a line of this depth is a part of
    for line in filter(str.strip, text.splitlines()):
        depth, said = len(line) - len(line.lstrip("\t")), line.strip()
        found = re.fullmatch(r"(\w+)(?:: (?P<value>.*)|(?: (?P<name>'[^']+'|[^=]+?))?(?: =(?P<dax>.*))?)", said)
        if depth >= len(open_at):
            open_at[-1].value = f"{open_at[-1].value}\n{said}".strip()
        elif said.startswith("///"):
            says += said[3:]
        elif not found:
            stop(f"this line of TMDL is not understood: {said}")
        else:
            value, name = found["value"] or found["dax"] or "", (found["name"] or "").strip("'")
            new = Line(found[1], name, value.strip(), says.strip())
            open_at[depth].parts.append(new)
            open_at[depth + 1 :], says = [new], ""
    return open_at[0]


def stand_in(line: Line, **more) -> Strict:
    """A TOM object of an object in TMDL."""
    given = {}
    for part in line.parts:
        name = part.kind[0].upper() + part.kind[1:].replace("InMdx", "InMDX")
        value = part.value or "true"  # a flag
        if name in DEFAULTS[line.kind]:
            value = value[0].upper() + value[1:] if name in VALUES else value
            given[name] = {"true": True, "false": False}.get(value, value)
        elif name not in NOT_READ | PARTS.get(line.kind, set()):
            stop(f"a {line.kind} with {part.kind} is not known here")
    said = {"Kind": line.kind, "Name": line.name, "Description": line.says}
    return Strict(**(said | DEFAULTS[line.kind] | given | more))


def table_of(line: Line) -> Strict:
    """A table, with its partitions, columns and measures."""
    table = stand_in(line, Partitions=Collection(), Columns=Collection(), Measures=Collection())
    for part in line.of("partition"):
        source = Strict(Expression=part.of("source")[0].value)
        table.Partitions.append(stand_in(part, Parent=table, SourceType=part.value.upper(), Source=source))
    for part in line.of("column"):
        kind = "Calculated" if part.value else "Data"
        table.Columns.append(stand_in(part, Parent=table, Table=table, Type=kind, Expression=part.value))
    for column in table.Columns:
        column.SortByColumn = column.SortByColumn and named(table.Columns, column.SortByColumn)
    table.Measures.extend(stand_in(part, Parent=table, Expression=part.value) for part in line.of("measure"))
    return table


def relationship_of(line: Line, tables: list[Strict]) -> Strict:
    tie = stand_in(line)
    tie.FromTable, tie.ToTable = (named(tables, end.split(".")[0]) for end in (tie.FromColumn, tie.ToColumn))
    tie.FromColumn = named(tie.FromTable.Columns, tie.FromColumn.split(".")[1])
    tie.ToColumn = named(tie.ToTable.Columns, tie.ToColumn.split(".")[1])
    return tie


def named(objects: list[Strict], name: str) -> Strict:
    return next(each for each in objects if each.Name == name.strip("'"))


class Wrapper(Strict):
    """What the rules ask of the package's TOMWrapper, for tables imported by Power Query, and no roles."""

    def __init__(self, texts: dict[str, str]):
        lines = [line for text in texts.values() for line in parse(text).parts]
        if others := {line.kind for line in lines} - FILES:
            stop(f"{', '.join(others)} is not known here")
        tables = Collection(table_of(line) for line in lines if line.kind == "table")
        ties = Collection(relationship_of(line, tables) for line in lines if line.kind == "relationship")
        super().__init__(model=Strict(Name="Model", Tables=tables, Relationships=ties), _bpa_rule_cache={})
        self.columns = [column for table in tables for column in table.Columns]
        self.measures = [measure for table in tables for measure in table.Measures]
        self.partitions = [partition for table in tables for partition in table.Partitions]
        if any((partition.Mode, partition.SourceType) != ("Import", "M") for partition in self.partitions):
            stop("a partition that is not imported by Power Query is not known here")
        self.calculated = [column for column in self.columns if column.Type == "Calculated"]
        self.references = {each: [*self.read(each)] for each in (*self.measures, *self.calculated)}

    def read(self, at: Strict):
        """(table as written, measure or column) of each reference in an object's DAX."""
        dax = at.Expression + " " + (at.FormatStringDefinition if at.Kind == "measure" else "")
        for table, name in re.findall(r"('[^']+'|\w+)?\[([^\]]+)\]", re.sub(r'"[^"]*"', "", dax)):
            for found in (*self.measures, *self.columns):
                if found.Name == name and table.strip("'") in ("", found.Parent.Name):
                    yield table, found

    def all_columns(self):
        return self.columns

    def all_measures(self):
        return self.measures

    def all_partitions(self):
        return self.partitions

    def all_rls(self):
        return []

    def used_in_relationships(self, object):
        ties = self.model.Relationships
        return [tie for tie in ties if object in (tie.FromColumn, tie.ToColumn, tie.FromTable, tie.ToTable)]

    def used_in_sort_by(self, column):
        return [each for each in column.Parent.Columns if each.SortByColumn is column]

    def used_in_hierarchies(self, column):
        return []

    def is_direct_lake(self):
        return False

    is_direct_lake_using_view = has_hybrid_table = is_direct_lake

    def is_hybrid_table(self, table_name):
        return False

    is_calculated_table = is_field_parameter = is_hybrid_table

    def row_count(self, object):
        return 0  # so does TOMWrapper of a model without statistics

    def _get_expression(self, object):
        return object.Expression

    def unqualified_columns(self, object, dependencies):
        return [found for table, found in self.references[object] if found.Kind == "column" and not table]

    def fully_qualified_measures(self, object, dependencies):
        return [found for table, found in self.references[object] if found.Kind == "measure" and table]

    def referenced_by(self, object, dependencies=None):
        return [each for each, found in self.references.items() if object in (at for _, at in found)]


# --- the rules ---


def is_unused(column: Strict, tom: Wrapper) -> bool:
    """As the rule's text says; its predicate asks whether the column depends on something."""
    hidden = column.IsHidden or column.Parent.IsHidden
    used = tom.used_in_relationships(column) or tom.used_in_sort_by(column) or tom.referenced_by(column)
    return hidden and not used


def load_rules() -> list[dict]:
    """The package's rules, from their file alone: the package imports those of Fabric."""
    start = Strict(_client=Strict(_utils=Strict(_init_analysis_services=lambda: None)))
    sys.modules |= {"sempy": Strict(fabric=start), "sempy._utils._log": Strict(log=lambda function: function)}
    sys.modules |= {"Microsoft": Strict(AnalysisServices=Strict(Tabular=TOM))}
    sys.modules |= {"Microsoft.AnalysisServices.Tabular": TOM}
    path = distribution("semantic-link-labs").locate_file("sempy_labs/_model_bpa_rules.py")
    spec = importlib.util.spec_from_file_location("model_bpa_rules", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rules = module.model_bpa_rules().set_index("Rule Name").to_dict("index")
    rules["Remove unnecessary columns"]["Expression"] = is_unused
    if unknown := {*OFF, *EXCEPT, *(rule for rule, *_ in FAULTS)} - {*rules}:
        stop(f"there is no rule {', '.join(unknown)}")
    return rules


def broken(texts: dict[str, str], rules: dict[str, dict]) -> set[tuple[str, str]]:
    """(rule, object) for each object that breaks a rule, exceptions left out."""
    tom = Wrapper(texts)
    scopes = {"Model": [tom.model], "Relationship": tom.model.Relationships, "Table": tom.model.Tables}
    scopes |= {"Column": tom.columns, "Measure": tom.measures, "Partition": tom.partitions}
    scopes |= {"Calculated Column": tom.calculated, "Calculated Table": [], "Hierarchy": [], "Function": []}
    scopes |= {"Role": [], "Row Level Security": [], "Calculation Item": []}
    found = set()
    for name, rule in rules.items():
        kinds = [rule["Scope"]] if isinstance(rule["Scope"], str) else rule["Scope"]
        for at in (at for kind in kinds for at in scopes[kind]):
            if rule["Expression"](at, tom) and not (name in EXCEPT and EXCEPT[name](at)):
                found.add((name, f"{at.Parent.Name}.{at.Name}" if "Parent" in at.__dict__ else at.Name))
    return found


def main() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in DEFINITION.rglob("*.tmdl")}
    rules = load_rules()
    found = broken(texts, rules)
    said = [f"{rule}: {name}" for rule, name in sorted(found) if rule not in OFF]
    said += [f"off without need: {rule}" for rule in OFF.keys() - {rule for rule, _ in found}]
    for rule, file, old, new in FAULTS:
        faulty = broken(texts | {file: texts[file].replace(old, new)}, rules)
        if rule not in {rule for rule, _ in faulty - found}:
            said.append(f"a fault put into {file} was not found: {rule}")
    summary = f"{len(rules)} rules, {len(OFF)} of them off, {len(FAULTS)} faults put in, {len(said)} errors"
    print(*said, summary, sep="\n")
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
