"""The dashboard's figures by tests/dax.py beside those of pbix-mcp, an engine of DAX by others.

    python tests/benchmarks/dax_peer.py write FOLDER      after the scripts, in the project's venv
    python tests/benchmarks/dax_peer.py compare FOLDER    where pbix-mcp is installed

`compare` ends with exit code 1 where a figure is over 1e-9 of its size away.
"""

import json
import sys
from datetime import datetime
from pathlib import Path


def write(folder: Path) -> None:
    """figures.json: the tables, relationships and measures, and of each figure its measure, filters and value."""
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    import pandas as pd
    from star import RELATIONSHIPS
    from test_slicers import ORDER, cases, load_both, with_guests

    from common import read_settings

    def plain(value):
        if value is None or pd.isna(value):
            return None
        return (
            {"day": value.isoformat()}
            if isinstance(value, pd.Timestamp)
            else getattr(value, "item", lambda: value)()
        )

    files, model = load_both(with_guests(read_settings().data_path, folder))
    figures = [
        {
            "measure": measure,
            "filters": {f"{table}.{name}": [*map(plain, values)] for (table, name), values in filters.items()},
            "value": plain(model.value(f"[{measure}]", filters)),
        }
        for page in ORDER
        for _, measure, filters, _ in cases(page, files)
    ]
    tables = {
        name: {"columns": [*frame], "rows": [[*map(plain, row)] for row in frame.astype(object).to_numpy()]}
        for name, frame in model.tables.items()
    }
    whole = {"tables": tables, "ones": RELATIONSHIPS, "measures": model.measures, "figures": figures}
    (folder / "figures.json").write_text(json.dumps(whole), encoding="utf-8")


def compare(folder: Path) -> None:
    """Print how many figures agree, and each that does not."""
    from pbix_mcp.dax.engine import evaluate_measure

    def day(node: dict):
        return datetime.fromisoformat(node["day"]) if "day" in node else node

    whole = json.loads((folder / "figures.json").read_text(encoding="utf-8"), object_hook=day)
    names = ("FromTable", "FromColumn", "ToTable", "ToColumn")
    ones = [dict(zip(names, each, strict=True)) | {"IsActive": True} for each in whole["ones"]]
    apart = 0
    for figure in whole["figures"]:
        name, filters, ours = figure["measure"], figure["filters"], figure["value"]
        found = evaluate_measure(name, whole["tables"], whole["measures"], filters, relationships=ones)
        texts = isinstance(found, str) or isinstance(ours, str)
        if found != ours and (texts or not (found and ours and abs(found - ours) <= 1e-9 * abs(ours))):
            apart += 1
            print(f"{name} for {filters}: {found} by the other engine, {ours} by ours")
    known = sum(figure["value"] is not None for figure in whole["figures"])
    print(f"DAX: {len(whole['figures'])} figures by another engine, {known} of them not blank: {apart} apart")
    sys.exit(bool(apart))


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2]))
