"""data/dashboard.html: the pages of the dashboard in one file, for any browser, without a network.

What it shows is what the CSV files say. pulse/page/ holds what the browser runs: its frame, its look, its figures.
"""

import base64
import gzip
import hashlib
import html
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import say
from pulse.cells import Table, analysis_cells, churn_cells, open_tables
from pulse.contract import read_tables
from pulse.currencies import decimals
from pulse.exports import COMPLETE, WHICH, atomic_write, read_manifest
from pulse.progress import clock
from pulse.scratch import is_full, scratch_folder

FILE = "dashboard.html"
ROOM = "as much as its CSV files take"  # of the disk
CACHE = ".cache"  # in data/: what is slow to make, and the same for every shop
PAGE = Path(__file__).with_name("page")
SCRIPTS = (  # in this order
    *("figures.js", "words.js", "parts.js", "charts.js", "list.js", "overview.js", "segments.js"),
    *("retention.js", "churn.js", "model.js", "pages.js", "frame.js"),
)
ANALYSE, CHURN = "2_data_analysis.py", "3_churn_model.py"


@clock("Dashboard")
def write_dashboard(folder: Path) -> None:
    """Write the folder's dashboard.html, whole, from its CSV files; what is missing it says."""
    runs = read_manifest(folder)
    run = runs.get(ANALYSE) or runs.get(CHURN) or {}
    shop = {name: run.get(name, "") for name in ("shop", "as_of", "currency", "time_zone")}
    shop |= {"places": decimals(run.get("currency")), "horizon": runs.get(CHURN, {}).get("horizon_days", "")}
    missing = {script: why_missing(folder, runs, script) for script in (ANALYSE, CHURN)}
    with ThreadPoolExecutor() as pool:  # the library takes as long as all else together
        made = pool.submit(kept, folder, f"vega-{version('vl-convert-python')}.js", make_library)
        specs = kept(folder, f"charts-{fingerprint(read(PAGE.with_name('specs.py')))}.json", make_specs)
        tables = read_cells(folder, missing, shop["places"])
        library = made.result()
    data = {"shop": shop, "missing": missing, "runs": [*runs.values()], "tables": tables}
    script = in_own_room("\n".join(read(PAGE / name) for name in SCRIPTS), "async ")
    parts = {
        "STYLE": read(PAGE / "style.css"),
        "POLICY": policy(library, script),
        "LIBRARY": library,
        "SCRIPT": script,
        "DATA": zipped(as_json(data)),
        "SPECS": specs,
        "TITLE": html.escape(shop["shop"]),
    }
    with atomic_write(folder / FILE) as path:
        path.write_text(fill(read(PAGE / "frame.html"), parts), encoding="utf-8", newline="\n")
    say("", f"{FILE}, for any browser")


def why_missing(folder: Path, runs: Mapping[str, dict], script: str) -> str:
    """Why the pages cannot show what the script's files say, and what to do; "" where they can."""
    run, other = runs.get(script), runs.get(ANALYSE if script == CHURN else CHURN)
    number = script[0]
    if not run:
        return f"Script {number} has not run: run {script}."
    if run["state"] != COMPLETE:
        return f"Script {number} has not finished: run {script} again."
    for name, table in read_tables().items():
        if f"{table.get('script')}" == number and not (folder / f"{name}.csv").exists():
            return f"{name}.csv is missing: run {script} again."
    if script == CHURN and other and any(run[name] != other[name] for name in WHICH):
        return f"Script 3's files are of other orders than script 2's: run {ANALYSE} and {script} again."
    return ""


def read_cells(folder: Path, missing: dict[str, str], places: int) -> dict[str, Table]:
    """The tables of the pages, of scripts whose files can be shown; adds to `missing` those that cannot."""
    from duckdb import Error

    tables: dict[str, Table] = {}
    with scratch_folder(folder, ROOM) as scratch, open_tables(folder, places, scratch) as con:
        for script, cells in ((ANALYSE, analysis_cells), (CHURN, churn_cells)):
            try:
                tables |= {} if missing[ANALYSE] or missing[script] else cells(con)
            except Error as error:
                missing[script] = why_unreadable(error, script)
    return tables


def why_unreadable(error: Exception, script: str) -> str:
    """Why the script's files cannot be read: columns of another version, a line that was edited. That a disk is
    full is raised on."""
    if is_full(error):
        raise error
    return f"Script {script[0]}'s files cannot be read: run {script} again."


# --- the file ---


def fill(template: str, parts: Mapping[str, str]) -> str:
    """The template with each part in place of its {{NAME}}, in one pass: a part may hold what looks like one."""
    first, *others = template.split("{{")
    pieces = [first]
    for other in others:
        name, rest = other.split("}}", 1)
        pieces += [parts[name], rest]
    return "".join(pieces)


def policy(*scripts: str) -> str:
    """The Content-Security-Policy: these scripts alone, nothing from anywhere."""
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )


def as_json(data: Any) -> str:
    """JSON in which no text can end the script tag that it stands in."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def zipped(text: str) -> str:
    """What the browser unzips: a tenth of it; the same for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def read(path: Path) -> str:
    """The file's text."""
    return path.read_text(encoding="utf-8")


def fingerprint(text: str) -> str:
    """What tells this text, and the version of the library that reads it, from others."""
    return hashlib.sha256(f"{version('altair')} {text}".encode()).hexdigest()[:16]


def kept(folder: Path, name: str, make: Callable[[], str]) -> str:
    """The text that `make` makes, from the folder's cache where an earlier run left it."""
    path = folder / CACHE / name
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_text(make(), encoding="utf-8", newline="\n")
    return read(path)


def make_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script; no text in it can end its tag."""
    code = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle(sys.argv[1]).encode())"
    command = [sys.executable, "-c", code, "window.vegaEmbed = vegaEmbed;"]  # apart: it would let no thread run
    made = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    return in_own_room(made.replace("</script", "<\\/script"))


def in_own_room(script: str, kind: str = "") -> str:
    """The script with names of its own: a page has one room for those of all its scripts."""
    return f"({kind}() => {{\n{script}\n}})();"


def make_specs() -> str:
    """The charts as JSON, {name: its specification}."""
    from pulse.specs import draw_specs

    return as_json(draw_specs())
