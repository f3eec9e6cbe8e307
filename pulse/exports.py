"""Writing data/: CSV files and figures, each whole or not at all; the manifest of runs (runs.csv), and the
contract of the files (datapackage.json).
"""

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from common import ROOT, fail, say
from pulse.contract import package_json, read_tables
from pulse.progress import clock

if TYPE_CHECKING:  # slow to import, and script 1 draws nothing
    from matplotlib.figure import Figure

QUICK = {"compress_level": 3}  # of a PNG's 9
FORMULA = r"'*[=+\-@]"  # what makes a spreadsheet run a text, also behind such ' as escaping puts there
CONTROL_PICTURES = {code: 0x2400 + code for code in range(32)} | {127: 0x2421}  # Unicode's pictures of them
WHICH = ("as_of", "odd_dates", "orders", "orders_id")  # the columns of runs.csv that say which orders
MANIFEST = ("script", *WHICH, "currency", "time_zone", "horizon_days", "shop", "state")  # all of them
WRITING, COMPLETE = "writing", "complete"  # its states
KEPT, LEFT_OUT = "kept", "left out"  # its odd_dates


def require_writable(folder: Path) -> None:
    """Stop, before any work is done, where the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        fail(f"The folder {folder} cannot be written to ({error.strerror}): make it writable, or set DATA_DIR.")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path whose file takes the place of `path` once the block has written all of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        fail(
            f"{path} cannot be written ({error.strerror}): close it elsewhere, or free disk space, and run again."
        )
    finally:
        temporary.unlink(missing_ok=True)


@clock("Saving")
def save(
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    figures: "Mapping[str, Figure]",
    run: dict[str, str],
    files: Collection[Path] = (),
) -> None:
    """Write the tables as <name>.csv and the figures as figures/<name>.png, each whole, and move the files, which
    are on the folder's disk, there.

    CSV: UTF-8, comma, dot decimals, ISO dates, no index. The same content gives the same bytes. Before
    and after, the script's `run`, by columns of runs.csv, goes into it, as "writing" and "complete".
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    write_manifest_row(folder, run | {"state": WRITING})
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)
    for file in files:
        with atomic_write(folder / file.name) as path:
            file.replace(path)
    for name, figure in figures.items():
        with atomic_write(folder / "figures" / f"{name}.png") as path:
            figure.set_dpi(120)
            # savefig would lay it out twice; the last tenth of the size takes most of the time to compress
            FigureCanvasAgg(figure).print_png(path, metadata={"Software": None}, pil_kwargs=QUICK)
    write_manifest_row(folder, run | {"state": COMPLETE})
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    say("Saved", f"{len(tables) + len(files)} CSV files and {len(figures)} figures in {shown}")


def write_csv(path: Path, table: pd.DataFrame, opener: Callable[[str, int], int] | None = None) -> None:
    """Write the table, whole; texts as escape_formulas has them, 0 for what came to -0, whole units without .0.
    The `opener` is open's."""
    texts, floats = table.select_dtypes(["object", "string"]), table.select_dtypes("float")
    written = {str(name): escape_formulas(texts[name]) for name in texts}
    written |= {str(name): floats[name] + 0.0 for name in floats}
    if "units" in floats:
        written["units"] = written["units"].map("{:.15g}".format)
    with (
        atomic_write(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="", opener=opener) as file,
    ):
        table.assign(**written).to_csv(file, index=False, lineterminator="\n", date_format="%Y-%m-%d")


def escape_formulas(texts: pd.Series) -> pd.Series:
    """Texts on one line each that no spreadsheet runs: control characters become their pictures (U+2400
    and on), and ' goes before a formula's first character, or before a ' in front of it: =x and '=x stay two."""
    codes, different = pd.factorize(texts)  # most texts of a shop are a few, over and over
    escaped = pd.Series(different, dtype="str").str.translate(CONTROL_PICTURES)
    escaped = escaped.mask(escaped.str.match(FORMULA), "'" + escaped)
    return pd.Series(escaped.array.take(codes, allow_fill=True), texts.index)


# --- the manifest ---


def manifest_row(
    script: str, as_of: pd.Timestamp, orders: int, fingerprint: int, keep_odd_dates: bool = False
) -> dict[str, str]:
    """A script's row in runs.csv, but for its state: which orders its files are of.

    Equal orders, in any order, have an equal fingerprint.
    """
    return {
        "script": script,
        "as_of": f"{as_of:%Y-%m-%d}",
        "odd_dates": KEPT if keep_odd_dates else LEFT_OUT,
        "orders": f"{orders}",
        "orders_id": f"{fingerprint:016x}",
    }


def read_manifest(folder: Path) -> dict[str, dict]:
    """{script: its row in runs.csv}: which orders the CSV files are of, and whether all are written."""
    try:
        table = pd.read_csv(folder / "runs.csv", dtype=str, na_filter=False)
        rows = table.replace(f"^'(?={FORMULA})", "", regex=True).to_dict("records")  # as before escape_formulas
    except (OSError, ValueError):  # not there, or not as it was written
        rows = []
    return {row["script"]: row for row in rows if row.keys() == set(MANIFEST)}


def write_manifest_row(folder: Path, row: dict[str, str]) -> None:
    """Put the row, blank where it says nothing, in its script's place in runs.csv, and renew datapackage.json."""
    row = dict.fromkeys(MANIFEST, "") | row
    rows = read_manifest(folder) | {row["script"]: row}
    write_csv(folder / "runs.csv", pd.DataFrame([rows[script] for script in sorted(rows)]))
    with atomic_write(folder / "datapackage.json") as path:
        path.write_text(package_json(complete_tables(folder, rows, row)), encoding="utf-8", newline="\n")


def complete_tables(folder: Path, rows: Mapping[str, dict], latest: dict[str, str]) -> list[str]:
    """The tables whose files belong together: runs.csv, and those of complete runs (`rows` of runs.csv). Where
    the `latest` is one of them, a run of other orders is left out."""
    whole = {
        script[0]
        for script, row in rows.items()
        if row["state"] == COMPLETE
        and (latest["state"] == WRITING or all(row[name] == latest[name] for name in WHICH))
    }
    return [
        name
        for name, table in read_tables().items()
        if ("script" not in table or str(table["script"]) in whole) and (folder / f"{name}.csv").exists()
    ]
